//! A server that says what it is told to, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The method and the path: `POST /v1/chat/completions`.
    pub(crate) what: String,
    /// The lines of the head.
    pub(crate) head: String,
    /// The body, null without one.
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// What the server does next.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Say(Vec<u8>),
    Wait(Duration),
    /// Ends the connection with a reset.
    Reset,
    /// Waits until the other side has closed the connection.
    AwaitClose,
    /// Leaves the connection open for another request.
    KeepAlive,
}

pub(crate) fn say(text: impl Into<String>) -> Act {
    Act::Say(text.into().into_bytes())
}

/// A server that runs as long as this lives.
pub(crate) struct Served {
    pub(crate) origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    closed: watch::Receiver<usize>,
    connections: Arc<Mutex<usize>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    /// Serves what `script` says to each request.
    pub(crate) async fn new(script: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let (tell, closed) = watch::channel(0);
        let (script, tell) = (Arc::new(script), Arc::new(tell));
        let task = tokio::spawn({
            let (seen, connections) = (seen.clone(), connections.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    *connections.lock().unwrap() += 1;
                    let (seen, script, tell) = (seen.clone(), script.clone(), tell.clone());
                    tokio::spawn(serve(stream, seen, script, tell));
                }
            }
        });
        Served { origin, seen, closed, connections, task }
    }

    /// Answers each request with these bytes, in one piece.
    pub(crate) async fn bytes(answer: impl Into<String>) -> Served {
        let answer = answer.into();
        Served::new(move |_| vec![say(answer.clone())]).await
    }

    /// Streams these events.
    pub(crate) async fn events(events: &[&str]) -> Served {
        Served::bytes(stream(events)).await
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/v1", self.origin)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    /// Waits until the other side has closed a connection.
    pub(crate) async fn closed(&mut self) {
        tokio::time::timeout(Duration::from_secs(5), self.closed.wait_for(|closed| *closed > 0))
            .await
            .unwrap()
            .unwrap();
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<impl Fn(&Seen) -> Vec<Act>>,
    closed: Arc<watch::Sender<usize>>,
) {
    while let Some(request) = read(&mut stream).await {
        seen.lock().unwrap().push(request.clone());
        let mut goes_on = false;
        for act in script(&request) {
            match act {
                Act::Say(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
                Act::Wait(time) => tokio::time::sleep(time).await,
                Act::Reset => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
                Act::AwaitClose => {
                    while !matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_)) {}
                    closed.send_modify(|count| *count += 1);
                }
                Act::KeepAlive => goes_on = true,
            }
        }
        if !goes_on {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let what = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let mut seen = Seen { what, head, body: Value::Null };
    let length = seen.header("content-length").map_or(0, |length| length.parse::<usize>().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = serde_json::from_slice(&bytes[end + 4..end + 4 + length]).unwrap_or_default();
    Some(seen)
}

/// An origin where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

pub(crate) const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
pub(crate) const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A whole answer of these events.
pub(crate) fn stream(events: &[&str]) -> String {
    let events = events.iter().map(|event| format!("data: {event}\n\n"));
    format!("{STREAM}{}", events.collect::<String>())
}

/// An answer with a status.
pub(crate) fn status(line: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {line}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

pub(crate) fn json(body: &Value) -> String {
    status("200 OK", "Content-Type: application/json\r\n", &body.to_string())
}

pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

pub(crate) const HELLO: &str = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"}}]}"#;
pub(crate) const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
pub(crate) const DONE: &str = "[DONE]";
