//! A server that says what it was told: the keys of its callers, in every form, in bodies, headers, errors and answers of a model.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A value as others may write it.
pub(crate) fn forms(value: &str) -> Vec<String> {
    let percent = |kept: &str, small: bool| {
        let encoded = value.bytes().map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) => char::from(byte).to_string(),
            byte if small => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        });
        encoded.collect::<String>()
    };
    let escaped = |c: char| if c.is_alphanumeric() { c.to_string() } else { format!("\\u{:04X}", u32::from(c)) };
    vec![
        value.to_owned(),
        Value::from(value).to_string(),
        value.chars().map(escaped).collect(),
        percent("", false),
        percent("", true),
        percent("-._~!$&'()*+,;=:@/", false),
        percent("-._*", false).replace("%20", "+"),
        value.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;"),
        hex::encode(value),
        hex::encode_upper(value),
        STANDARD.encode(value),
        STANDARD.encode(format!("a{value}")),
        STANDARD.encode(format!("me:{value}")),
        URL_SAFE_NO_PAD.encode(value),
        URL_SAFE_NO_PAD.encode(format!("me{value}")),
    ]
}

/// What was asked.
struct Asked {
    method: String,
    path: String,
    /// What stands behind `Bearer` in the header for it, or the header of that name.
    key: String,
    body: String,
}

/// Starts the server, and gives its origin.
pub(crate) fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let own = origin.clone();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let own = own.clone();
            thread::spawn(move || answer(stream, &own));
        }
    });
    origin
}

fn asked(stream: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                lines.find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
            };
            if body.len() >= header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0) {
                let mut line = head.split(' ').map(str::to_owned);
                let (method, path) = (line.next()?, line.next()?);
                let key = header("authorization").unwrap_or_default();
                let key = key.strip_prefix("Bearer ").unwrap_or(&key).to_owned();
                return Some(Asked { method, path, key, body: body.to_owned() });
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

fn answer(mut stream: TcpStream, own: &str) {
    let Some(asked) = asked(&mut stream) else { return };
    let said = forms(&asked.key).join("\n");
    let all =
        json!({ "key": asked.key, "forms": forms(&asked.key), "asked": asked.body, "at": asked.path }).to_string();
    let path = asked.path.split('?').next().unwrap_or_default();
    let place = path.rsplit('/').next().unwrap_or_default();
    let in_path = forms(&asked.key)[5].clone();
    let (head, body) = match (asked.method.as_str(), place) {
        ("GET", "models") => {
            let list = json!({"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 16384, "note": asked.key}]});
            ("200 OK\r\nContent-Type: application/json".to_owned(), list.to_string())
        }
        ("POST", "completions") => model(&asked),
        (_, "json") => ("200 OK\r\nContent-Type: application/json".to_owned(), all),
        (_, "text") => ("200 OK\r\nContent-Type: text/plain".to_owned(), said),
        (_, "page") => {
            let page = format!("<title>{0}</title><a href=\"/{in_path}\">{0}</a>", forms(&asked.key)[7]);
            ("200 OK\r\nContent-Type: text/html".to_owned(), page)
        }
        (_, "bad") => ("400 Bad Request\r\nContent-Type: text/plain".to_owned(), said),
        (_, "failed") => ("500 Internal Server Error\r\nContent-Type: application/json".to_owned(), all),
        (_, "long") => ("400 Bad Request".to_owned(), format!("{} {}", "x".repeat(190), asked.key)),
        (_, "there") => (format!("302 Found\r\nLocation: /{in_path}/json?key={in_path}"), said),
        (_, "elsewhere") => (format!("302 Found\r\nLocation: http://127.0.0.2:1/{in_path}?key={in_path}"), said),
        (_, "around") => (format!("302 Found\r\nLocation: {own}/{in_path}/around"), said),
        (_, "nowhere") => (format!("302 Found\r\nLocation: http://{in_path}\\"), said),
        (_, "tagged") => (format!("200 OK\r\nETag: \"{}\"\r\nLocation: /{in_path}", asked.key), said),
        (_, "packed") => ("200 OK\r\nContent-Encoding: gzip".to_owned(), said),
        (_, "charset") => (format!("200 OK\r\nContent-Type: text/plain; charset={in_path}"), said),
        (_, "image") => (format!("200 OK\r\nContent-Type: image/{in_path}"), said),
        // It does what it is asked, and hangs up.
        (_, "lost") => return,
        _ => ("404 Not Found".to_owned(), said),
    };
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes());
}

/// What the model says, who repeats its key in each way that the prompt asks for.
fn model(asked: &Asked) -> (String, String) {
    let (key, said) = (&asked.key, forms(&asked.key).join(" | "));
    let asks = |word: &str| asked.body.contains(word);
    let error = |status: &str| {
        let body = json!({"error": {"message": said, "type": "invalid", "code": key, "param": key}}).to_string();
        (format!("{status}\r\nContent-Type: application/json"), body)
    };
    if asks("BAD") {
        return error("400 Bad Request");
    } else if asks("DENIED") {
        return error("401 Unauthorized");
    } else if asks("BROKEN") {
        return error("500 Internal Server Error");
    } else if asks("PLAIN") {
        return ("503 Service Unavailable".to_owned(), said);
    } else if asks("MOVED") {
        return (format!("307 Temporary Redirect\r\nLocation: http://127.0.0.2:1/?key={key}"), said);
    }
    let events = "200 OK\r\nContent-Type: text/event-stream".to_owned();
    let event = |value: &Value| format!("data: {value}\n\n");
    let content = |text: &str| event(&json!({"choices": [{"index": 0, "delta": {"content": text}}]}));
    if asks("STREAM") {
        // It begins well.
        return (events, content("so ") + &event(&json!({"error": {"message": said}})));
    } else if asks("NONSENSE") {
        return (events, format!("data: {{{said}\n\n"));
    } else if asks("REASON") {
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": key}]});
        return (events, content("so ") + &event(&end));
    }
    // In the middle of a piece, and across two; thoughts and probabilities, too.
    let (first, second) = said.split_at(said.char_indices().nth(9).unwrap().0);
    let thought = json!({"choices": [{"index": 0, "delta": {"reasoning_content": said}}]});
    let token = json!({"token": key, "logprob": -0.5, "top_logprobs": [{"token": key, "logprob": -0.5}]});
    let probable = json!({"choices": [{"index": 0, "delta": {}, "logprobs": {"content": [token]}}]});
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}});
    let whole = event(&thought) + &content(first) + &content(second) + &event(&probable) + &event(&end);
    (events, whole + "data: [DONE]\n\n")
}
