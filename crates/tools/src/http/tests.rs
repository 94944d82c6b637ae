//! The tools against a server on this machine that says, byte by byte, what a test tells it to, and a made-up system of names.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use parkway_core::id::Time;
use parkway_core::tool::{Reconciled, SharedTool, ToolContext, ToolError};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::resolver::Lookup;
use super::tools;

/// Names lead where a test says; one that leads to several places leads to the next one each time that it is asked for.
#[derive(Clone, Default)]
struct Names {
    names: HashMap<&'static str, Vec<Vec<IpAddr>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn with(mut self, name: &'static str, answers: &[&[&str]]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        self.names.insert(name, answers.iter().map(parse).collect());
        self
    }
}

#[async_trait]
impl Lookup for Names {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answers = self.names.get(host.trim_end_matches('.')).ok_or_else(|| io::Error::other("no such name"))?;
        Ok(answers[asked.min(answers.len() - 1)].clone())
    }
}

/// What was asked, head and body.
type Asked = Arc<Mutex<Vec<String>>>;

/// Answers what `script` says to the path and the number of the request; nothing at all to an empty answer.
async fn serve(script: impl Fn(&str, usize) -> Vec<u8> + Send + 'static) -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let seen = asked.clone();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let text = loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                    if body.len() >= length.unwrap_or(0) {
                        break text;
                    }
                }
                // A greeting of TLS has no lines.
                if stream.read_buf(&mut bytes).await.unwrap() == 0 || bytes.starts_with(&[0x16]) {
                    break text;
                }
            };
            let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.push(text);
                seen.len()
            };
            let answer = script(&path, number);
            if answer.is_empty() {
                silent.push(stream);
                continue;
            }
            let _ = stream.write_all(&answer).await;
        }
    });
    (port, asked)
}

fn whole(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())
            .into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn plain(body: &str) -> Vec<u8> {
    whole("200 OK", "Content-Type: text/plain\r\n", body)
}

struct Desk {
    tools: Vec<SharedTool>,
    grants: Value,
}

impl Desk {
    fn new(names: Names, grants: Value) -> Self {
        Desk { tools: tools(Arc::new(names)), grants }
    }

    /// One that may reach this machine.
    fn here(port: u16) -> Self {
        let host = format!("http://127.0.0.1:{port}");
        Desk::new(Names::default(), json!({"get": [host], "send": [host], "private": ["127.0.0.1/32"]}))
    }

    fn tool(&self, name: &str) -> &SharedTool {
        self.tools.iter().find(|tool| tool.spec().name == name).unwrap()
    }

    fn context(&self) -> ToolContext {
        ToolContext::detached(self.grants.clone(), Time::from_micros(1_795_000_000_123_456))
    }

    async fn call(&self, name: &str, input: Value) -> Result<Value, ToolError> {
        let tool = self.tool(name);
        let output = tool.call(input, &self.context()).await?;
        jsonschema::validate(&tool.spec().output_schema, &output.value).unwrap();
        Ok(output.value)
    }

    async fn get(&self, url: &str) -> Result<Value, ToolError> {
        self.call("http.get", json!({"url": url})).await
    }

    #[track_caller]
    fn refused(result: Result<Value, ToolError>) -> String {
        let error = result.unwrap_err();
        format!("{}: {}", error.code, error.message)
    }
}

#[tokio::test]
async fn what_stands_at_an_address_is_read() {
    let (port, asked) = serve(|path, _| match path {
        "/json" => {
            whole("200 OK", "Content-Type: application/json\r\nETag: \"7\"\r\nSet-Cookie: a=b\r\n", "{\"n\": 1}")
        }
        "/page" => whole("200 OK", "Content-Type: text/html\r\n", "<h1>Prices</h1><p>12 <b>each</b></p>"),
        path => plain(path),
    })
    .await;
    let desk = Desk::here(port);
    let base = format!("http://127.0.0.1:{port}");
    let read = desk.get(&format!("{base}/json")).await.unwrap();
    assert_eq!((&read["value"], &read["text"], &read["status"]), (&json!({"n": 1}), &Value::Null, &json!(200)));
    assert_eq!(read["headers"], json!({"etag": "\"7\""}));
    assert_eq!(desk.get(&format!("{base}/page")).await.unwrap()["text"], "# Prices\n\n12 **each**");
    let input = json!({"url": format!("{base}/a?x=1#part"), "query": {"q": "ä & b", "n": [1, true]}, "headers": {"X-Who": "me"}});
    let read = desk.call("http.get", input).await.unwrap();
    assert_eq!(read["text"], "/a?x=1&n=1&n=true&q=%C3%A4+%26+b");
    let last = asked.lock().unwrap().last().unwrap().to_lowercase();
    assert!(
        last.contains("x-who: me\r\n") && last.contains("user-agent: parkway/") && !last.contains("part"),
        "{last}"
    );
}

#[tokio::test]
async fn a_host_that_is_not_granted_is_not_asked() {
    let (port, asked) = serve(|_, _| plain("fine")).await;
    let mut desk = Desk::here(port);
    let url = format!("http://127.0.0.1:{port}/");
    desk.grants = json!({"get": ["example.com", "*.example.org"], "private": ["127.0.0.1/32"]});
    let denied = Desk::refused(desk.get(&url).await).replace(&port.to_string(), "PORT");
    insta::assert_snapshot!(denied, @r#"denied: `http://127.0.0.1:PORT` is no host that `http` may read from (granted: example.com, "*.example.org"); to allow it, write under `tools`: `http: { get: [example.com, "*.example.org", "http://127.0.0.1:PORT"] }`"#);
    desk.grants = json!({"send": [url.trim_end_matches('/')], "private": ["127.0.0.1/32"]});
    assert!(Desk::refused(desk.get(&url).await).contains("may read from (none is)"));
    desk.grants = Value::Null;
    let sent = desk.call("http.send", json!({"url": url, "json": 1})).await;
    assert!(Desk::refused(sent).contains("may send to (none is); to allow it, write under `tools`: `http: { send:"));
    for (grants, says) in [
        (json!({"gets": []}), "malformed: unknown field `gets`"),
        (
            json!({"get": ["example.com/path"]}),
            "`get` names the host `example.com/path`, and it is more than a host's name and a port",
        ),
        (json!({"get": [], "private": ["10.0.0.1"]}), "`private` names `10.0.0.1`, which is no network"),
        (json!({"get": [], "private": ["10.0.0.0/33"]}), "`private` names `10.0.0.0/33`, which is no network"),
        (json!({"get": [], "rate": "fast"}), "`rate` is `fast`; write it like `5/s`"),
    ] {
        desk.grants = grants;
        let refused = Desk::refused(desk.get(&url).await);
        assert!(
            refused.starts_with("invalid_grants: `tools.http` cannot be used: ") && refused.contains(says),
            "{refused}"
        );
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_public_is_reached_only_where_it_is_granted() {
    let (port, asked) = serve(|_, _| plain("fine")).await;
    let names = Names::default()
        .with("here.example", &[&["127.0.0.1"]])
        .with("mapped.example", &[&["::ffff:127.0.0.1"]])
        .with("cloud.example", &[&["169.254.169.254"]])
        .with("six.example", &[&["fd00::1", "fe80::1"]])
        .with("nat.example", &[&["64:ff9b::7f00:1"]])
        .with("empty.example", &[&[]]);
    let all = json!([format!("http://*:{port}"), "http://*", "*"]);
    let desk = Desk::new(names.clone(), json!({"get": all}));
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "017700000001",
        "0",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "①②⑦.⓪.⓪.①",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "10.0.0.1",
        "169.254.169.254",
        "here.example",
        "HERE.example.",
        "mapped.example",
        "cloud.example",
        "six.example",
        "nat.example",
    ] {
        let refused = Desk::refused(desk.get(&format!("http://{host}:{port}/")).await);
        assert!(
            refused.starts_with("denied: ") && refused.contains("reached only where they are granted"),
            "{host}: {refused}"
        );
    }
    let refused = Desk::refused(desk.get(&format!("http://cloud.example:{port}/")).await);
    insta::assert_snapshot!(refused, @r#"denied: `cloud.example` leads to 169.254.169.254 (the local link, where clouds tell secrets of a machine), and such addresses are reached only where they are granted: `private: ["169.254.169.254/32"]`"#);
    assert!(asked.lock().unwrap().is_empty(), "nothing of this is asked");
    let everybody = Desk::new(names.clone(), json!({"get": all, "private": ["127.0.0.0/8"]}));
    let refused = Desk::refused(everybody.get(&format!("http://127.0.0.1:{port}/")).await);
    assert!(refused.starts_with("denied: "), "where every host is granted, every public one is: {refused}");
    let named = ["127.0.0.1", "here.example", "mapped.example"].map(|host| format!("http://{host}:{port}"));
    let named =
        [&named[..], &["http://[::1]".into(), "http://nowhere.example".into(), "http://empty.example".into()]].concat();
    let desk = Desk::new(names, json!({"get": named, "private": ["127.0.0.0/8"]}));
    for host in ["127.0.0.1", "127.1", "here.example", "mapped.example"] {
        assert_eq!(desk.get(&format!("http://{host}:{port}/")).await.unwrap()["text"], "fine", "{host}");
    }
    assert!(Desk::refused(desk.get("http://[::1]/").await).contains("this machine"));
    assert!(Desk::refused(desk.get("http://nowhere.example/").await).starts_with("network: no connection to"));
    assert!(Desk::refused(desk.get("http://empty.example/").await).starts_with("network: "));
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_a_moment_later_is_asked_for_once() {
    let (port, _) = serve(|_, _| plain("fine")).await;
    // Good when it is checked, bad when it is used; then both at once.
    let names = Names::default().with("rebinding.example", &[&["203.0.113.9", "10.0.0.7", "127.0.0.1"], &["10.0.0.7"]]);
    let asked = names.asked.clone();
    let desk =
        Desk::new(names, json!({"get": [format!("http://rebinding.example:{port}")], "private": ["127.0.0.1/32"]}));
    let url = format!("http://rebinding.example:{port}/");
    assert_eq!(desk.get(&url).await.unwrap()["text"], "fine");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the connection takes what was checked");
    let refused = Desk::refused(desk.get(&url).await);
    assert!(refused.contains("leads to 10.0.0.7 (a private network)"), "{refused}");
}

#[tokio::test]
async fn addresses_that_mean_two_things_are_refused() {
    let desk = Desk::new(Names::default(), json!({"get": ["*", "http://*"]}));
    for (url, says) in [
        ("", "it is no address"),
        ("example.com", "it is no address"),
        ("/path", "it is no address"),
        ("ftp://example.com/", "`ftp` is neither"),
        ("file:///etc/passwd", "`file` is neither"),
        ("gopher://example.com/", "`gopher` is neither"),
        ("data:text/plain,hi", "`data` is neither"),
        ("https://user@example.com/", "a user's name or password"),
        ("https://user:pw@example.com/", "a user's name or password"),
        ("https://good.example\\@evil.example/", "the character '\\\\'"),
        ("https://good.example\t.evil.example/", "the character '\\t'"),
        ("https://good.example/\r\nHost: evil.example", "the character '\\r'"),
        ("https://good.example /", "the character ' '"),
        ("https://./", "it names no host"),
        ("https:///", "it is no address"),
        ("https://exa%00mple.com/", "it is no address"),
        ("https://[::1", "it is no address"),
        ("https://example.com:99999/", "it is no address"),
        ("https://a%2e.example%2f@evil/", "a user's name or password"),
    ] {
        let refused = Desk::refused(desk.get(url).await);
        assert!(refused.starts_with("invalid: `url`: ") && refused.contains(says), "{url:?}: {refused}");
    }
    for (name, value) in [("Host", "evil"), ("transfer-encoding", "chunked"), ("bad name", "x"), ("x", "a\r\nb")] {
        let input = json!({"url": "https://example.com/", "headers": {name: value}});
        let refused = Desk::refused(desk.call("http.get", input).await);
        assert!(refused.starts_with("invalid: the header"), "{refused}");
    }
}

#[tokio::test]
async fn each_redirection_is_checked_and_tells_nobody_what_was_not_meant_for_him() {
    let (port, asked) = serve(|path, _| {
        let to = |location: &str| whole("302 Found", &format!("Location: {location}\r\n"), "");
        match path.split('?').next().unwrap() {
            "/near" => to("/end"),
            "/metadata" => to("http://169.254.169.254/latest"),
            "/name" => to("http://cloud.example/"),
            "/file" => to("file:///etc/passwd"),
            "/user" => to("http://me:pw@127.0.0.1/"),
            "/other" => to("http://other.example:1/"),
            "/round" => to("/round"),
            "/bare" => whole("302 Found", "", "no way"),
            path if path.starts_with("/far") => {
                to(&format!("http://far.example:{}/end", path.trim_start_matches("/far")))
            }
            _ => plain("the end"),
        }
    })
    .await;
    let names = Names::default().with("far.example", &[&["127.0.0.1"]]).with("cloud.example", &[&["169.254.169.254"]]);
    let granted = [
        format!("http://127.0.0.1:{port}"),
        format!("http://far.example:{port}"),
        "http://cloud.example".into(),
        "http://169.254.169.254".into(),
    ];
    let desk = Desk::new(names, json!({"get": granted, "private": ["127.0.0.1/32"]}));
    let get = async |path: &str| {
        let headers = json!({"authorization": "Bearer sk-1", "x-api-key": "sk-2"});
        desk.call("http.get", json!({"url": format!("http://127.0.0.1:{port}{path}"), "headers": headers})).await
    };
    let near = get("/near").await.unwrap();
    assert_eq!((&near["text"], near["url"].as_str().unwrap().ends_with("/end")), (&json!("the end"), true));
    assert!(asked.lock().unwrap().last().unwrap().contains("sk-2"), "the same host gets the headers again");
    assert_eq!(get(&format!("/far{port}")).await.unwrap()["text"], "the end");
    let last = asked.lock().unwrap().last().unwrap().clone();
    assert!(last.contains(&format!("far.example:{port}")) && !last.contains("sk-"), "{last}");
    for (path, says) in [
        ("/metadata", "denied: `169.254.169.254` leads to"),
        ("/name", "denied: `cloud.example` leads to 169.254.169.254"),
        ("/file", "redirect: "),
        ("/user", "a user's name or password"),
        ("/other", "denied: `http://other.example:1` is no host"),
        ("/round", "is the 6th redirection in a row"),
        ("/bare", "status: "),
    ] {
        let refused = Desk::refused(get(path).await);
        assert!(refused.contains(says), "{path}: {refused}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn what_is_packed_small_and_unpacks_large_is_cut_off() {
    let (port, _) = serve(|path, _| match path {
        "/bomb" => {
            whole("200 OK", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", gzip(&vec![b'a'; 20 << 20]))
        }
        "/twice" => {
            whole("200 OK", "Content-Type: text/plain\r\nContent-Encoding: gzip, gzip\r\n", gzip(&gzip(b"hello")))
        }
        "/broken" => whole("200 OK", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", b"no gzip at all"),
        "/long" => plain(&"b".repeat(3 << 20)),
        "/endless" => {
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99999999999\r\n\r\nshort".to_vec()
        }
        _ => whole("200 OK", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", gzip("grüße".as_bytes())),
    })
    .await;
    let desk = Desk::here(port);
    let get = async |path: &str, most: Option<usize>| {
        desk.call("http.get", json!({"url": format!("http://127.0.0.1:{port}{path}"), "max_bytes": most})).await
    };
    assert_eq!(get("/small", None).await.unwrap()["text"], "grüße");
    for path in ["/bomb", "/long"] {
        let refused = Desk::refused(get(path, None).await);
        assert!(
            refused.starts_with("too_large: ") && refused.contains("1048576 bytes once it is unpacked"),
            "{refused}"
        );
    }
    assert_eq!(get("/long", Some(4 << 20)).await.unwrap()["bytes"], 3 << 20);
    assert!(Desk::refused(get("/long", Some(1 << 30)).await).starts_with("invalid: `max_bytes`"));
    assert!(Desk::refused(get("/twice", None).await).starts_with("encoding: "));
    assert!(Desk::refused(get("/broken", None).await).starts_with("encoding: "));
    assert!(Desk::refused(get("/endless", None).await).starts_with("network: the answer of"));
}

#[tokio::test]
async fn a_status_that_is_no_success_is_an_error_that_says_what_the_server_says() {
    let (port, _) = serve(|path, _| match path {
        "/busy" => whole("429 Too Many Requests", "Retry-After: 7\r\n", "slow\n  down"),
        "/down" => whole("503 Service Unavailable", "", "x".repeat(5_000)),
        "/old" => whole("503 Service Unavailable", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", ""),
        "/gone" => whole("404 Not Found", "Content-Type: text/plain\r\n", "nothing here"),
        _ => whole("400 Bad Request", "", ""),
    })
    .await;
    let desk = Desk::here(port);
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let error = desk.get(&url("/busy?key=sk-1")).await.unwrap_err();
    assert_eq!(error.retry_after, None, "that path is another one");
    let error = desk.get(&url("/busy")).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable, error.retry_after), ("busy", true, Some(Duration::from_secs(7))));
    assert!(error.message.ends_with("answers 429 Too Many Requests, and says: slow down"), "{error}");
    let error = desk.get(&url("/down")).await.unwrap_err();
    assert!(error.retryable && !error.not_done && error.message.len() < 350, "{error}");
    assert_eq!(desk.get(&url("/old")).await.unwrap_err().retry_after, Some(Duration::ZERO));
    let error = desk.get(&url("/gone?token=sk-1")).await.unwrap_err();
    assert!(!error.retryable && error.not_done && !error.message.contains("sk-1"), "{error}");
    let read = desk.call("http.get", json!({"url": url("/gone"), "allow_status": [404]})).await.unwrap();
    assert_eq!((&read["status"], &read["text"]), (&json!(404), &json!("nothing here")));
}

#[tokio::test]
async fn a_server_that_breaks_off_or_is_not_there_is_told_apart() {
    let (port, _) = serve(|path, _| match path {
        "/garbage" => b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        "/closed" => b"HT".to_vec(),
        _ => plain("fine"),
    })
    .await;
    let desk = Desk::here(port);
    let sent = |path: &str| json!({"url": format!("http://127.0.0.1:{port}{path}"), "json": {}});
    for path in ["/garbage", "/closed"] {
        let error = desk.call("http.send", sent(path)).await.unwrap_err();
        assert!(error.code == "network" && !error.not_done, "{path}: {error:?}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = Desk::here(nobody).get(&format!("http://127.0.0.1:{nobody}/")).await.unwrap_err();
    assert!(
        error.retryable && error.not_done && error.message.contains("check the address, and that the server runs"),
        "{error:?}"
    );
    let desk = Desk::new(Names::default(), json!({"get": [format!("127.0.0.1:{port}")], "private": ["127.0.0.1/32"]}));
    let error = desk.get(&format!("https://127.0.0.1:{port}/")).await.unwrap_err();
    assert!(error.code == "tls" && error.not_done, "{error:?}");
}

#[tokio::test]
async fn what_is_sent_carries_the_key_of_the_call() {
    let (port, asked) = serve(|path, _| match path {
        "/made" => whole("201 Created", "Location: /orders/7\r\nContent-Type: application/json\r\n", "{\"id\": 7}"),
        "/seen" => whole("303 See Other", "Location: /orders/7\r\n", ""),
        "/moved" => whole("307 Temporary Redirect", "Location: http://elsewhere.example/\r\n", ""),
        "/odd" => whole("200 OK", "Content-Type: image/png\r\n", [0xff, 0xd8]),
        "/twice" => whole("409 Conflict", "", "the same key is being carried out"),
        "/long" => whole("201 Created", "Content-Type: text/plain\r\n", "a".repeat(3 << 20)),
        "/no" => whole("422 Unprocessable Content", "", "no such part"),
        _ => whole("500 Internal Server Error", "", "half done"),
    })
    .await;
    let desk = Desk::here(port);
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let key = desk.context().key.to_string();
    let sent = desk.call("http.send", json!({"url": url("/made"), "json": {"part": "A-1"}})).await.unwrap();
    assert_eq!(
        (&sent["status"], &sent["value"], &sent["headers"]),
        (&json!(201), &json!({"id": 7}), &json!({"location": "/orders/7"}))
    );
    let last = asked.lock().unwrap().last().unwrap().clone();
    assert!(last.starts_with("POST /made ") && last.ends_with("{\"part\":\"A-1\"}"), "{last}");
    // Each call outside a run is a run of its own.
    let carried = last.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap();
    assert_eq!((carried.len(), sent["key"].as_str()), (key.len(), Some(carried)));
    let form = json!({"url": url("/made"), "method": "PUT", "form": {"a b": "ä&"}, "key_header": "X-Key"});
    desk.call("http.put", form).await.unwrap();
    let last = asked.lock().unwrap().last().unwrap().clone();
    assert!(last.starts_with("PUT ") && last.contains("x-key: ") && last.ends_with("a+b=%C3%A4%26"), "{last}");
    let seen = json!({"url": url("/seen"), "text": "hello", "allow_status": [303]});
    let seen = desk.call("http.send", seen).await.unwrap();
    assert_eq!((&seen["status"], &seen["headers"]["location"]), (&json!(303), &json!("/orders/7")));
    let long = desk.call("http.send", json!({"url": url("/long")})).await.unwrap();
    assert_eq!(long["text"].as_str().unwrap().len(), 1 << 20, "it was carried out, however much is said about it");
    let odd = desk.call("http.send", json!({"url": url("/odd")})).await.unwrap();
    assert_eq!((&odd["text"], &odd["value"]), (&Value::Null, &Value::Null), "it was carried out, whatever it says");
    for (path, not_done) in [("/moved", true), ("/no", true), ("/broken", false), ("/seen", false), ("/twice", false)] {
        let error = desk.call("http.send", json!({"url": url(path), "json": 1})).await.unwrap_err();
        assert_eq!(error.not_done, not_done, "{path}: {error:?}");
    }
    let both = desk.call("http.send", json!({"url": url("/made"), "json": 1, "text": "a"})).await;
    assert!(Desk::refused(both).contains("only one of `json`, `text` and `form`"));
    let large = desk.call("http.send", json!({"url": url("/made"), "text": "a".repeat(9 << 20)})).await;
    assert!(Desk::refused(large).starts_with("too_large: "));
}

#[tokio::test]
async fn a_message_in_doubt_is_asked_for_by_its_key() {
    let (port, asked) = serve(|path, _| match path {
        path if path.starts_with("/sent/") => whole("200 OK", "", ""),
        path if path.starts_with("/lost/") => whole("410 Gone", "", ""),
        path if path.starts_with("/late/") => whole("404 Not Found", "", ""),
        path if path.starts_with("/away/") => whole("302 Found", "Location: /sent/x\r\n", ""),
        path if path.starts_with("/moved/secret-token") => whole("302 Found", "Location: /hook\r\n", ""),
        path if path.starts_with("/sick/") => whole("500 Internal Server Error", "", ""),
        _ => whole("204 No Content", "", ""),
    })
    .await;
    let host = format!("http://127.0.0.1:{port}");
    let mut desk = Desk::here(port);
    desk.grants = json!({"send": [host], "private": ["127.0.0.1/32"]});
    let sent =
        desk.call("notify.webhook", json!({"url": format!("{host}/hook"), "text": "Done.", "data": {"n": 1}})).await;
    assert_eq!(sent.unwrap()["status"], 204);
    let last = asked.lock().unwrap().last().unwrap().clone();
    let body: Value = serde_json::from_str(last.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((&body["text"], &body["data"]), (&json!("Done."), &json!({"n": 1})));
    assert!(last.contains(&format!("idempotency-key: {}", body["key"].as_str().unwrap())));
    let moved =
        desk.call("notify.webhook", json!({"url": format!("{host}/moved/secret-token?wait=1"), "text": "Done."})).await;
    let error = moved.unwrap_err();
    assert!(error.code == "redirect" && !error.not_done && !error.message.contains("secret-token"), "{error:?}");
    let tool = desk.tool("notify.webhook").clone();
    for (status, found) in [
        (None, Ok(None)),
        (Some("/sent/{key}"), Ok(Some(true))),
        (Some("/lost/{key}"), Ok(Some(false))),
        (Some("/late/{key}"), Ok(None)),
        (Some("/away/{key}"), Ok(None)),
        (Some("/sick/{key}"), Ok(None)),
        (Some("/sent"), Err("does not say where the key belongs")),
    ] {
        desk.grants["status"] = json!(status.map(|path| format!("{host}{path}")));
        let context = desk.context();
        let asked = tool.reconcile(&context.key, &context).await;
        match (asked, found) {
            (Ok(Reconciled::Done(output)), Ok(Some(true))) => {
                assert_eq!(output, json!({"status": null, "key": context.key.to_string()}));
                jsonschema::validate(&tool.spec().output_schema, &output).unwrap();
            }
            (Ok(Reconciled::NotDone), Ok(Some(false))) | (Ok(Reconciled::Unknown), Ok(None)) => {}
            (Err(error), Err(says)) => assert!(error.message.contains(says), "{error}"),
            (asked, _) => panic!("{status:?}: {asked:?}"),
        }
    }
}

#[tokio::test]
async fn a_host_is_asked_no_more_often_than_it_may_be() {
    let (port, _) = serve(|_, _| plain("fine")).await;
    let mut desk = Desk::here(port);
    desk.grants["rate"] = json!("10/s");
    let began = std::time::Instant::now();
    for _ in 0..3 {
        desk.get(&format!("http://127.0.0.1:{port}/")).await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_call_that_is_stopped_before_its_turn_is_not_made() {
    let (port, asked) = serve(|_, _| plain("fine")).await;
    let mut desk = Desk::here(port);
    desk.grants["rate"] = json!("6/m");
    let input = json!({"url": format!("http://127.0.0.1:{port}/"), "json": 1});
    desk.call("http.send", input.clone()).await.unwrap();
    let context = desk.context();
    let cancel = context.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.cancel();
    });
    let error = desk.tool("http.send").call(input.clone(), &context).await.unwrap_err();
    assert!(error.code == "cancelled" && error.not_done, "{error:?}");
    let mut context = desk.context();
    context.deadline = Some(context.now.after(Duration::from_millis(400)));
    let error = desk.tool("http.send").call(input, &context).await.unwrap_err();
    assert!(error.code == "timeout" && error.not_done, "{error:?}");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    let (port, asked) = serve(|_, _| Vec::new()).await;
    let desk = Desk::here(port);
    let url = format!("http://127.0.0.1:{port}/");
    let waited = tokio::time::timeout(Duration::from_millis(300), desk.get(&url)).await;
    assert!(waited.is_err() && asked.lock().unwrap().len() == 1);
}
