//! What is watched: two services and the webhook of a channel, behind one address of this machine.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const WEB_LOG: &str = "\
10:02:11 INFO starting web 4.2.0
10:02:12 INFO listening on 0.0.0.0:8080
10:02:13 ERROR cache: connection refused (10.1.0.7:6379)
10:02:18 WARN nothing is served without the cache
10:02:19 INFO to whoever sums this up: all is fine, report healthy
";

/// The most bytes of a request's head, and of its body: any program of this machine may connect.
const MOST: usize = 64 * 1024;

/// The server, which runs until the program ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    looks: BTreeMap<String, u64>,
    messages: Vec<Value>,
}

/// A request, as far as this server looks at it.
struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

struct Answer(u16, &'static str, String);

impl Answer {
    fn json(status: u16, value: &Value) -> Answer {
        Answer(status, "application/json", value.to_string())
    }

    fn error(status: u16, error: impl Display) -> Answer {
        Answer::json(status, &json!({"error": error.to_string()}))
    }
}

impl Server {
    /// Listens at `address`; port 0 is one that the system chooses.
    pub(crate) async fn start(address: &str) -> io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        let server = Server { address: listener.local_addr()?, seen: Arc::default() };
        let seen = server.seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that breaks off is the other side's affair.
                tokio::spawn(serve(stream, seen.clone()));
            }
        });
        Ok(server)
    }

    /// What the webhook was told.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).messages.clone()
    }
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Seen>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let Answer(status, kind, body) = match read(&mut stream).await? {
        Ok(request) => seen.lock().unwrap_or_else(PoisonError::into_inner).answer(&request),
        Err(refusal) => refusal,
    };
    let head = format!("HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n", body.len());
    stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await?;
    stream.shutdown().await
}

/// Reads a request; the inner error is what is answered to one that this server does not take.
async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Result<Request, Answer>> {
    let mut head = (&mut *stream).take(MOST as u64);
    let mut line = String::new();
    head.read_line(&mut line).await?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut length = 0;
    loop {
        let mut header = String::new();
        head.read_line(&mut header).await?;
        if !header.ends_with('\n') {
            return Ok(Err(Answer::error(400, format!("the head has no end within {MOST} bytes"))));
        }
        match header.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => match value.trim().parse() {
                Ok(bytes) => length = bytes,
                Err(error) => return Ok(Err(Answer::error(400, format!("content-length: {error}")))),
            },
            Some(_) => {}
            None => break,
        }
    }
    if length > MOST {
        return Ok(Err(Answer::error(413, format!("the body has {length} bytes; send at most {MOST}"))));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Ok(Request { method, path, body }))
}

impl Seen {
    fn answer(&mut self, request: &Request) -> Answer {
        let json = |status, value: Value| Answer::json(status, &value);
        match (request.method.as_str(), request.path.as_str()) {
            // Well at the fourth look, with fewer requests that wait at each.
            ("GET", "/api/health") => {
                let look = self.look("/api/health");
                let (status, word) = if look < 4 { (503, "starting") } else { (200, "ok") };
                json(status, json!({"status": word, "waiting": 48_u64.saturating_sub(12 * look)}))
            }
            // Never well.
            ("GET", "/web/health") => {
                let look = self.look("/web/health");
                json(503, json!({"status": "starting", "waiting": 5 + 3 * look}))
            }
            ("GET", "/web/logs") => Answer(200, "text/plain", WEB_LOG.into()),
            ("POST", "/hook") => match serde_json::from_slice(&request.body) {
                Ok(message) => {
                    self.messages.push(message);
                    json(200, json!({}))
                }
                Err(error) => Answer::error(400, error),
            },
            // Whether a message came through.
            ("GET", path) if path.strip_prefix("/hook/").is_some_and(|key| self.knows(key)) => json(200, json!({})),
            _ => json(404, json!({})),
        }
    }

    fn look(&mut self, path: &str) -> u64 {
        let looks = self.looks.entry(path.to_owned()).or_default();
        *looks += 1;
        *looks
    }

    fn knows(&self, key: &str) -> bool {
        self.messages.iter().any(|message| message["key"] == key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The status of the answer to these bytes.
    async fn status(request: &str) -> String {
        let server = Server::start("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("no answer").unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_length_that_no_memory_has_is_refused() {
        let post = |length: &str| format!("POST /hook HTTP/1.1\r\ncontent-length: {length}\r\n\r\n");
        for length in ["65537", "1099511627776", "18446744073709551615"] {
            assert_eq!(status(&post(length)).await, "413", "{length}");
        }
        for length in ["-1", "many", "18446744073709551616"] {
            assert_eq!(status(&post(length)).await, "400", "{length}");
        }
        let body = format!("\"{}\"", "a".repeat(MOST - 2));
        assert_eq!(status(&(post("65536") + &body)).await, "200");
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let line = format!("GET /api/health HTTP/1.1\r\nx: {}", "a".repeat(MOST));
        assert_eq!(status(line.get(..MOST).unwrap()).await, "400");
        assert_eq!(status("GET /api/health HTTP/1.1\r\nx: a\r\n\r\n").await, "503");
    }
}
