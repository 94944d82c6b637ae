//! Each way in which a server can fail: what is said of it, and whether another try may help.

use std::time::{Duration, Instant};

use parkway_core::model::{Model as _, ModelError};
use parkway_openai::{OpenAi, Server};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::chats::{model, request};
use crate::served::{Act, CHUNKED, DONE, HELLO, STOP, STREAM, Served, chunk, nobody, say, status, stream};

async fn fails(served: &Served) -> ModelError {
    model(served, Server::Other).await.chat(request("Hi")).await.unwrap_err()
}

#[track_caller]
fn check(error: &ModelError, code: &str, retryable: bool, words: &[&str]) {
    assert_eq!((error.code(), error.retryable()), (code, retryable), "{error}");
    for words in words {
        assert!(error.to_string().contains(words), "`{words}` is missing: {error}");
    }
}

async fn check_status(line: &str, body: &str, code: &str, retryable: bool, words: &[&str]) {
    let served = Served::bytes(status(line, "Content-Type: application/json\r\n", body)).await;
    let error = fails(&served).await;
    check(&error, code, retryable, words);
    check(&error, code, retryable, &[&served.origin]);
    assert_eq!(served.seen().len(), 1, "asked again by itself");
}

#[tokio::test]
async fn each_status_says_what_to_do() {
    let error = |message: &str| format!(r#"{{"error":{{"message":"{message}","type":"t"}}}}"#);
    check_status("400 Bad Request", &error("no such field"), "unsupported", false, &["no such field", "(400)"]).await;
    check_status(
        "401 Unauthorized",
        &error("who?"),
        "model",
        false,
        &["wants a key (401): who?", "`key: ${{ secrets.NAME }}`"],
    )
    .await;
    check_status("402 Payment Required", &error("Insufficient Balance"), "model", false, &["wants to be paid"]).await;
    check_status("403 Forbidden", &error("no"), "model", false, &["(403)"]).await;
    check_status("404 Not Found", &error("The model `m` does not exist."), "model", false, &["no model `m`", "`/v1`"])
        .await;
    check_status("405 Method Not Allowed", "", "model", false, &["does not take chats", "`url`"]).await;
    check_status("408 Request Timeout", "", "model", true, &["(408)"]).await;
    check_status("409 Conflict", &error("locked"), "model", true, &["locked"]).await;
    check_status("413 Payload Too Large", "", "unsupported", false, &["larger than", "shorten"]).await;
    check_status("418 I'm a teapot", "", "model", false, &["(418)"]).await;
    check_status(
        "422 Unprocessable Entity",
        r#"{"detail":[{"loc":["body"],"msg":"extra"}]}"#,
        "unsupported",
        false,
        &["extra"],
    )
    .await;
    check_status("429 Too Many Requests", &error("slow down"), "busy", true, &["slow down", "(429)"]).await;
    check_status(
        "500 Internal Server Error",
        r#"{"error":"out of memory"}"#,
        "model",
        true,
        &["failed (500): out of memory"],
    )
    .await;
    check_status("501 Not Implemented", "", "model", false, &["(501)"]).await;
    check_status("502 Bad Gateway", "<html><body>nginx</body></html>", "model", true, &["the answer is a web page"])
        .await;
    check_status("503 Service Unavailable", &error("Loading model"), "busy", true, &["Loading model"]).await;
    check_status("529 Overloaded", "", "busy", true, &["too much to do"]).await;
    check_status("204 No Content", "", "model", false, &["status 204"]).await;
    let quota = r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
    check_status("429 Too Many Requests", quota, "model", false, &["used up"]).await;
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_told_with_both_sizes() {
    let body = r#"{"error":{"code":400,"message":"request (4476 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":4476,"n_ctx":4096}}"#;
    let served = Served::bytes(status("400 Bad Request", "", body)).await;
    let expect =
        ModelError::PromptTooLong { model: "m".into(), prompt_tokens: 4476, max_tokens: 512, context_length: 4096 };
    assert_eq!(fails(&served).await, expect);
    // Within a stream, too.
    let served = Served::events(&[body]).await;
    assert_eq!(fails(&served).await, expect);
}

#[tokio::test]
async fn how_long_to_leave_it_alone_is_passed_on() {
    for (line, after, expect) in [
        ("429 Too Many Requests", "Retry-After: 7\r\n", Some(7)),
        ("503 Service Unavailable", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", Some(0)),
        ("429 Too Many Requests", "Retry-After: soon\r\n", None),
        ("429 Too Many Requests", "", None),
    ] {
        let served = Served::bytes(status(line, after, "")).await;
        let ModelError::Busy { retry_after, .. } = fails(&served).await else { panic!("not busy: {line}") };
        assert_eq!(retry_after, expect.map(Duration::from_secs));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Served::events(&[HELLO, STOP, DONE]).await;
    for line in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let served = Served::bytes(status(line, &format!("Location: {}\r\n", other.url()), "")).await;
        check(&fails(&served).await, "model", false, &["sends on to another address", "`url`"]);
    }
    assert_eq!(other.seen().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_so() {
    let gone = nobody();
    let load = async |url: String| OpenAi::at(url, "m").server(Server::Other).load().await.unwrap();
    let error = load(format!("{gone}/v1")).await.chat(request("Hi")).await.unwrap_err();
    check(
        &error,
        "model",
        true,
        &["no server answers at", &gone, ": tcp connect error: Connection refused", "start it, or correct `url`"],
    );
    let error = load("http://no-such-host.invalid/v1".into()).await.chat(request("Hi")).await.unwrap_err();
    check(&error, "model", true, &["no server is known as http://no-such-host.invalid", "check `url`"]);
}

#[tokio::test]
async fn a_server_without_tls_is_told_so() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}/v1", plain.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let _ = stream.read(&mut [0; 512]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let Ok(model) = OpenAi::at(address, "m").server(Server::Other).load().await else {
        // A machine without any certificates cannot get so far.
        return;
    };
    let error = model.chat(request("Hi")).await.unwrap_err();
    check(&error, "model", false, &["no secure connection to https://127.0.0.1", "certificate"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_is_never_made_ends_by_time() {
    // Nobody takes connections from its queue, and the queue is full: more of them are left without an answer.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting: Vec<_> = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let config = OpenAi::at(format!("http://{address}/v1"), "m").server(Server::Other);
    let config = config.connect_timeout(Duration::from_millis(200));
    let error = config.load().await.unwrap().chat(request("Hi")).await.unwrap_err();
    check(&error, "model", true, &["no connection to http://127.0.0.1", "within 0.2 s", "firewalls"]);
    drop((listener, waiting));
}

#[tokio::test]
async fn silence_ends_by_time_before_and_within_an_answer() {
    let fails = async |served: &Served| {
        let config = OpenAi::at(served.url(), "m").server(Server::Other).stall_timeout(Duration::from_millis(300));
        let model = config.first_byte_timeout(Duration::from_millis(700)).load().await.unwrap();
        model.chat(request("Hi")).await.unwrap_err()
    };
    let start = Instant::now();
    let served = Served::new(|_| vec![Act::Wait(Duration::from_secs(60))]).await;
    check(&fails(&served).await, "model", true, &["did not begin to answer within 0.7 s"]);
    let served = Served::new(|_| vec![say(STREAM), Act::Wait(Duration::from_secs(60))]).await;
    check(&fails(&served).await, "model", true, &["did not begin to answer within 0.7 s"]);
    let served = Served::new(|_| vec![say(stream(&[HELLO])), Act::Wait(Duration::from_secs(60))]).await;
    check(&fails(&served).await, "model", true, &["said nothing for 0.3 s"]);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn signs_of_life_count() {
    let served = Served::new(|_| {
        let mut acts = vec![say(stream(&[HELLO]))];
        for _ in 0..6 {
            acts.extend([Act::Wait(Duration::from_millis(200)), say(": still here\n\n")]);
        }
        acts.push(say(format!("data: {STOP}\n\ndata: {DONE}\n\n")));
        acts
    })
    .await;
    let config = OpenAi::at(served.url(), "m").server(Server::Other).stall_timeout(Duration::from_secs(1));
    assert_eq!(config.load().await.unwrap().chat(request("Hi")).await.unwrap().text, "Hello");
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_so() {
    let served = Served::new(|_| vec![say(stream(&[HELLO])), Act::Wait(Duration::from_millis(50)), Act::Reset]).await;
    check(&fails(&served).await, "model", true, &["broke in the middle of the answer", "reset"]);
    let served = Served::new(|_| vec![Act::Reset]).await;
    check(&fails(&served).await, "model", true, &[&served.origin]);
    let served = Served::new(|_| vec![]).await;
    check(&fails(&served).await, "model", true, &["closed the connection before it answered"]);
    // Chunked, and cut within a chunk.
    let served = Served::bytes(format!("{CHUNKED}{}ff\r\ndata: {{", chunk(&format!("data: {HELLO}\n\n")))).await;
    check(&fails(&served).await, "model", true, &["broke in the middle of the answer"]);
}

#[tokio::test]
async fn an_answer_that_is_not_whole_is_none() {
    for events in [vec![HELLO], vec![HELLO, DONE], vec![]] {
        let served = Served::events(&events).await;
        check(&fails(&served).await, "model", true, &["ended its answer before it was whole"]);
    }
    let served = Served::bytes(format!("{}data: {{\"choices\":[{{\"index\":0,\"del", stream(&[HELLO]))).await;
    check(&fails(&served).await, "model", true, &["sent what is no JSON"]);
    // The answer is whole without the last word, and with the last line break missing.
    let served = Served::events(&[HELLO, STOP]).await;
    assert_eq!(model(&served, Server::Other).await.chat(request("Hi")).await.unwrap().text, "Hello");
    let served = Served::bytes(format!("{}data: {STOP}\n\ndata: [DONE]", stream(&[HELLO]))).await;
    assert_eq!(model(&served, Server::Other).await.chat(request("Hi")).await.unwrap().text, "Hello");
}

#[tokio::test]
async fn what_is_no_answer_is_told_so() {
    let served = Served::events(&[HELLO, "{not json}"]).await;
    check(&fails(&served).await, "model", true, &["sent what is no JSON", "{not json}"]);
    let served = Served::bytes(status("200 OK", "Content-Type: text/html\r\n", "<html>Welcome</html>")).await;
    check(&fails(&served).await, "model", false, &["web page", "`/v1`"]);
    let served = Served::bytes(status("200 OK", "Content-Type: application/json\r\n", "{\"ok\":true}")).await;
    check(&fails(&served).await, "model", true, &["before it was whole"]);
    let served = Served::new(|_| vec![say(STREAM), Act::Say(b"data: \xff\xfe\n\n".to_vec())]).await;
    check(&fails(&served).await, "model", false, &["does not stream events", "UTF-8"]);
    let served = Served::bytes("SMTP ready\r\n").await;
    check(&fails(&served).await, "model", true, &[&served.origin]);
}

#[tokio::test]
async fn an_error_within_a_stream_is_told_as_one() {
    for (event, code, retryable, words) in [
        (r#"{"error":{"message":"CUDA out of memory","code":500}}"#, "model", true, "failed (500): CUDA out of memory"),
        (r#"{"error":{"message":"later","code":"503"}}"#, "busy", true, "later"),
        (r#"{"error":{"message":"provider is gone"}}"#, "model", true, "broke off with an error: provider is gone"),
        (r#"{"error":"plain words"}"#, "model", true, "plain words"),
    ] {
        let served = Served::events(&[HELLO, event]).await;
        check(&fails(&served).await, code, retryable, &[words]);
    }
    let served = Served::bytes(format!("{STREAM}error: {{\"code\":500,\"message\":\"old style\"}}\n\n")).await;
    check(&fails(&served).await, "model", true, &["failed (500): old style"]);
    let served = Served::bytes(format!("{STREAM}event: error\ndata: {{\"message\":\"by name\"}}\n\n")).await;
    check(&fails(&served).await, "model", true, &["by name"]);
}

#[tokio::test]
async fn each_reason_for_an_end_is_told() {
    for (reason, code, retryable, words) in [
        ("content_filter", "model", false, "filter"),
        ("insufficient_system_resource", "busy", true, "too much to do"),
        ("abort", "model", true, "broke the answer off (`abort`)"),
        ("moonrise", "model", false, "not known here: `moonrise`"),
    ] {
        let end = format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#);
        let served = Served::events(&[HELLO, &end, DONE]).await;
        check(&fails(&served).await, code, retryable, &[words]);
    }
    let refusal = r#"{"choices":[{"index":0,"delta":{"refusal":"I cannot help with that."}}]}"#;
    let served = Served::events(&[refusal, STOP, DONE]).await;
    check(&fails(&served).await, "model", false, &["does not want to answer: I cannot help with that."]);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let piece = format!("data: {HELLO}\n\n").repeat(1000);
    let mut served = Served::new(move |_| {
        let mut acts = vec![say(STREAM)];
        acts.extend(std::iter::repeat_n(say(piece.clone()), 5));
        acts.push(Act::AwaitClose);
        acts
    })
    .await;
    let config = OpenAi::at(served.url(), "m").server(Server::Other).max_answer_bytes(200_000);
    let error = config.load().await.unwrap().chat(request("Hi")).await.unwrap_err();
    check(&error, "model", false, &["longer than 200000 bytes"]);
    served.closed().await;
    let line = format!("{STREAM}data: {}", "x".repeat(2 * 1024 * 1024));
    let served = Served::bytes(line).await;
    check(&fails(&served).await, "model", false, &["a line is longer than"]);
}

#[tokio::test]
async fn words_of_a_server_are_short_and_steer_nothing() {
    let body = format!("\u{1b}[2J{}", "very long ".repeat(100_000));
    let served = Served::bytes(status("400 Bad Request", "", &body)).await;
    let error = fails(&served).await.to_string();
    assert!(error.len() < 600 && !error.contains('\u{1b}') && error.contains("very long"), "{error}");
    let control = r#"{"error":{"message":"a\u001b]0;title\u0007b\nc"}}"#;
    let served = Served::bytes(status("400 Bad Request", "", control)).await;
    let error = fails(&served).await.to_string();
    assert!(!error.chars().any(char::is_control) && error.contains("]0;title b c"), "{error}");
}
