//! The way to the server: one client for one origin, each wait bounded, each answer limited.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parkway_core::model::ModelError;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{OpenAiConfig, Times, shown};
use crate::error::LoadError;
use crate::failure::{self, Subject};
use crate::scrub::Scrub;

/// The most bytes of an error's body that are read.
const MOST_OF_ERROR: u64 = 16 * 1024;

/// A server, and how to reach it.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client,
    /// Without a slash at its end.
    base: String,
    key: Option<HeaderValue>,
    pub(crate) subject: Subject,
    pub(crate) times: Times,
    most_bytes: u64,
}

impl Http {
    pub(crate) fn new(config: &OpenAiConfig) -> Result<Self, LoadError> {
        let url = address(&config.url)?;
        let key = config.key.as_ref().map(|key| header(key.expose())).transpose()?;
        let mut client = Client::builder()
            .tls_backend_preconfigured(tls(&url)?)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // Pieces of a stream that is packed come late. Other crates of a program may switch this on.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .connect_timeout(config.times.connect)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("parkway/", env!("CARGO_PKG_VERSION")));
        if !config.environment_proxy {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| LoadError::Tls { cause: chain(&error) })?;
        let subject = Subject {
            model: config.name.clone().unwrap_or_else(|| config.model.clone()),
            asked: config.model.clone(),
            origin: url.origin().ascii_serialization(),
            has_key: key.is_some(),
            scrub: Scrub::new(config.key.as_ref().map(|key| key.expose().trim())),
        };
        if key.is_some() && url.scheme() == "http" && !is_here(&url) {
            tracing::warn!(server = %subject.origin, "the key travels in clear text; write the address with `https`");
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Http { client, base, key, subject, times: config.times, most_bytes: config.most_bytes })
    }

    /// The host's name, where the origin has one.
    pub(crate) fn host(&self) -> String {
        Url::parse(&self.base).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Sends JSON to a path below the base. The answer has begun well when this returns.
    pub(crate) async fn post(&self, path: &str, body: Vec<u8>, max_tokens: u32) -> Result<Body, ModelError> {
        let request = self.client.post(format!("{}/{path}", self.base)).header(CONTENT_TYPE, "application/json");
        let request = self.keyed(request).header(ACCEPT, "text/event-stream, application/json").body(body);
        let first_byte = Instant::now() + self.times.first_byte;
        let response = match timeout_at(first_byte, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.unreachable(&error)),
            Err(_) => return Err(self.silent()),
        };
        let status = response.status();
        let mut body = Body { http: self.clone(), response, first_byte: Some(first_byte), read: 0 };
        if status == StatusCode::OK {
            return Ok(body);
        }
        let told = failure::Told {
            status: status.as_u16(),
            retry_after: failure::retry_after(body.response.headers()),
            page: body.is_page(),
            text: body.error_text().await,
            max_tokens,
        };
        Err(self.subject.refused(&told))
    }

    /// What the server says at a place, for finding out about it: the status and at most a megabyte. `Err` when there is no server.
    pub(crate) async fn look(&self, place: &Place<'_>) -> Result<(u16, Vec<u8>), ModelError> {
        let url = match place {
            Place::Base(path) => format!("{}/{path}", self.base),
            Place::Root(path) => format!("{}/{path}", self.base.strip_suffix("/v1").unwrap_or(&self.base)),
        };
        let request = self.keyed(self.client.get(url)).header(ACCEPT, "application/json");
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let (status, mut body) = (response.status().as_u16(), Vec::new());
        let mut response = response;
        while let Some(piece) = response.chunk().await.map_err(|error| self.broken(&error))? {
            body.extend_from_slice(&piece);
            if body.len() > 1024 * 1024 {
                break;
            }
        }
        Ok((status, body))
    }

    fn keyed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        }
    }

    fn fails(&self, message: String, retryable: bool) -> ModelError {
        ModelError::Backend { message: self.subject.scrub.clean(&message), retryable }
    }

    /// Why nothing came back.
    fn unreachable(&self, error: &reqwest::Error) -> ModelError {
        let origin = &self.subject.origin;
        let words = self.subject.scrub.words(&chain(error));
        if tls_error(error) {
            let way = "check the address (`http` or `https`), the server's certificate, and what this system trusts";
            return self.fails(format!("no secure connection to {origin}: {words}; {way}"), false);
        }
        if error.is_dns() {
            return self.fails(format!("no server is known as {origin}: {words}; check `url` and the network"), true);
        }
        if error.is_timeout() {
            let limit = words_of(self.times.connect);
            let way = "check `url`, the network and its firewalls";
            return self.fails(format!("no connection to {origin} within {limit}; {way}"), true);
        }
        if error.is_connect() {
            let message = format!("no server answers at {origin}: {words}; start it, or correct `url`");
            return self.fails(message, true);
        }
        self.fails(format!("{origin} closed the connection before it answered: {words}"), true)
    }

    /// Why an answer that had begun did not go on.
    fn broken(&self, error: &reqwest::Error) -> ModelError {
        let words = self.subject.scrub.words(&chain(error));
        self.fails(
            format!("the connection to {} broke in the middle of the answer: {words}", self.subject.origin),
            true,
        )
    }

    fn silent(&self) -> ModelError {
        let limit = words_of(self.times.first_byte);
        let message = format!(
            "{} did not begin to answer within {limit}; it may be loading the model or have too much to do; `timeouts: {{ first_byte: … }}` waits longer",
            self.subject.origin
        );
        self.fails(message, true)
    }

    fn stalled(&self) -> ModelError {
        let limit = words_of(self.times.stall);
        self.fails(format!("{} began to answer, and then said nothing for {limit}", self.subject.origin), true)
    }
}

/// Where to look at a server.
pub(crate) enum Place<'a> {
    /// Below the base URL.
    Base(&'a str),
    /// Beside the `/v1` of the base URL.
    Root(&'a str),
}

/// An answer that is being read. Dropping it closes the connection.
pub(crate) struct Body {
    http: Http,
    response: Response,
    /// Until when the first byte must be there; `None` once it was.
    first_byte: Option<Instant>,
    read: u64,
}

impl Body {
    /// The next bytes; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, ModelError> {
        let next = match self.first_byte {
            Some(until) => timeout_at(until, self.response.chunk()).await.map_err(|_| self.http.silent())?,
            None => timeout(self.http.times.stall, self.response.chunk()).await.map_err(|_| self.http.stalled())?,
        };
        let Some(bytes) = next.map_err(|error| self.http.broken(&error))? else { return Ok(None) };
        self.first_byte = None;
        self.read += bytes.len() as u64;
        let most = self.http.most_bytes;
        if self.read > most {
            let message = format!("the answer of {} is longer than {most} bytes", self.http.subject.origin);
            return Err(self.http.fails(message, false));
        }
        Ok(Some(bytes.into()))
    }

    /// All of it.
    pub(crate) async fn whole(&mut self) -> Result<Vec<u8>, ModelError> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    /// Reads what comes after the answer, so that the connection can be used again.
    pub(crate) async fn drain(mut self) {
        let rest = async { while let Ok(Some(_)) = self.chunk().await {} };
        let _ = timeout(Duration::from_secs(1), rest).await;
    }

    /// Whether it says to be JSON, and so no stream of events.
    pub(crate) fn is_json(&self) -> bool {
        self.kind().starts_with("application/json")
    }

    /// Whether it says to be a page for people.
    pub(crate) fn is_page(&self) -> bool {
        self.kind().starts_with("text/html")
    }

    fn kind(&self) -> String {
        let kind = self.response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The beginning of an error's body. What breaks off is as good as what was read.
    async fn error_text(&mut self) -> String {
        let mut text = Vec::new();
        while let Ok(Some(bytes)) = self.chunk().await {
            text.extend_from_slice(&bytes);
            if text.len() as u64 >= MOST_OF_ERROR {
                text.truncate(usize::try_from(MOST_OF_ERROR).unwrap_or(usize::MAX));
                break;
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The address, where it can be used as one.
fn address(text: &str) -> Result<Url, LoadError> {
    let fail = |cause: &str| Err(LoadError::Address { url: shown(text), cause: cause.into() });
    let Ok(url) = Url::parse(text.trim()) else { return fail("it is no URL") };
    if !matches!(url.scheme(), "http" | "https") {
        return fail("it is neither `http` nor `https`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return fail("it holds a user's name or password; a key is given as a secret");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return fail("it goes on after a `?` or `#`");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return fail("it names no host");
    }
    Ok(url)
}

/// Whether it is this very machine.
fn is_here(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
}

fn header(key: &str) -> Result<HeaderValue, LoadError> {
    let key = key.trim();
    if key.is_empty() {
        return Err(LoadError::Key { cause: "it is empty".into() });
    }
    if !key.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
        return Err(LoadError::Key { cause: "it holds spaces, line breaks or characters beyond ASCII".into() });
    }
    let mut header =
        HeaderValue::from_str(&format!("Bearer {key}")).map_err(|error| LoadError::Key { cause: error.to_string() })?;
    header.set_sensitive(true);
    Ok(header)
}

/// TLS with ring, given to this client alone, since a default one would be the whole program's.
fn tls(url: &Url) -> Result<rustls::ClientConfig, LoadError> {
    let fail = |error: rustls::Error| LoadError::Tls { cause: error.to_string() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(fail)?;
    // An address without TLS needs no certificates, which a small machine may lack.
    let config = match url.scheme() {
        "https" => config.with_platform_verifier().map_err(fail)?,
        _ => config.with_root_certificates(rustls::RootCertStore::empty()),
    };
    Ok(config.with_no_client_auth())
}

/// What an error says and what it says caused it, without addresses.
fn chain(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(error) = next {
        let said = error.to_string();
        // Which part of the client it was is of no use to anybody.
        if !said.starts_with("client error (") && !words.iter().any(|word| word.contains(&said)) {
            words.push(said);
        }
        next = error.source();
    }
    if words.is_empty() { "the request could not be sent".into() } else { words.join(": ") }
}

/// Whether TLS is what failed. Its errors stand inside I/O errors, which do not name them as their causes.
fn tls_error(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(error) = next {
        let mut inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        while let Some(error) = inner {
            if error.is::<rustls::Error>() {
                return true;
            }
            inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        }
        if error.is::<rustls::Error>() {
            return true;
        }
        next = error.source();
    }
    false
}

fn words_of(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
