//! A request and its answer: each address on the way is checked, each wait and each size is bounded.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use parkway_core::tool::ToolError;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::grants::{Egress, address};
use super::host::host_of;
use super::rate::Turns;
use super::resolver::{Guard, Lookup, NotPublic, check_literal};

/// How long a connection may take, with the lookup of the name and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the other side may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How many redirections are followed.
const HOPS: usize = 5;
/// How much of an error's body is quoted.
const QUOTED: usize = 200;

/// The way to the network that all the tools share.
#[derive(Clone)]
pub(super) struct Network {
    lookup: Arc<dyn Lookup>,
    /// One for each list of networks that was granted, since a connection that is open was allowed by that.
    clients: Arc<Mutex<HashMap<Vec<IpNet>, Client>>>,
    turns: Turns,
}

/// What is asked.
pub(super) struct Wanted {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
    /// The most bytes that are taken, as they are after decompression.
    pub(super) most: usize,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Where it came from in the end.
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Network {
    pub(super) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Network { lookup, clients: Arc::default(), turns: Turns::default() }
    }

    /// Asks, and takes the answer whatever its status. What is only read follows redirections.
    pub(super) async fn ask(&self, mut wanted: Wanted, egress: &Egress) -> Result<Answer, ToolError> {
        let client = self.client(&egress.networks)?;
        let mut hops = 0;
        loop {
            egress.admit(&wanted.url)?;
            check_literal(&wanted.url, &egress.networks)?;
            if let (Some(rate), Some(host)) = (egress.rate, host_of(&wanted.url)) {
                self.turns.wait(rate, host).await;
            }
            let request = client.request(wanted.method.clone(), wanted.url.clone()).headers(wanted.headers.clone());
            let request = match &wanted.body {
                Some(body) => request.body(body.clone()),
                None => request,
            };
            let response = request.send().await.map_err(|error| unreachable(&wanted.url, &error))?;
            let Some(next) = next_of(&wanted, &response)? else { return taken(response, wanted).await };
            hops += 1;
            if hops > HOPS {
                let message =
                    format!("`{}` is the {hops}th redirection in a row; ask for the last address", shown(&next));
                return Err(ToolError::invalid("redirect", message));
            }
            // What was meant for one host is not told to another one.
            if next.origin() != wanted.url.origin() {
                wanted.headers = HeaderMap::new();
            }
            wanted.url = next;
        }
    }

    fn client(&self, networks: &[IpNet]) -> Result<Client, ToolError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(networks) {
            return Ok(client.clone());
        }
        let guard = Guard { lookup: self.lookup.clone(), networks: networks.to_vec() };
        let broken =
            |cause: String| ToolError::invalid("tls", format!("no client for the network can be made: {cause}"));
        let client = Client::builder()
            .tls_backend_preconfigured(tls().map_err(|error| broken(error.to_string()))?)
            .dns_resolver(Arc::new(guard))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("parkway/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| broken(error.to_string()))?;
        clients.insert(networks.to_vec(), client.clone());
        Ok(client)
    }
}

/// TLS with ring, given to this client alone, since a default one would be the whole program's.
pub(crate) fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_platform_verifier()?.with_no_client_auth())
}

/// Where a redirection leads, if the answer is one that is followed.
fn next_of(wanted: &Wanted, response: &Response) -> Result<Option<Url>, ToolError> {
    let status = response.status();
    let followed = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && wanted.method == Method::GET;
    let Some(location) = response.headers().get(LOCATION).filter(|_| followed) else { return Ok(None) };
    let from = shown(&wanted.url);
    let refused = |why: &str| {
        ToolError::invalid("redirect", format!("`{from}` redirects to an address that is not followed: {why}"))
    };
    let location = location.to_str().map_err(|_| refused("it holds characters beyond ASCII"))?;
    let next = wanted.url.join(location).map_err(|error| refused(&error.to_string()))?;
    let next = address(next.as_str()).map_err(|why| refused(&why))?;
    if wanted.url.scheme() == "https" && next.scheme() == "http" {
        return Err(refused("it leaves TLS"));
    }
    Ok(Some(next))
}

/// The whole answer.
async fn taken(mut response: Response, wanted: Wanted) -> Result<Answer, ToolError> {
    let Wanted { url, most, .. } = wanted;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| broken_off(&url, &error))? {
        if body.len() + piece.len() > most {
            let message = format!(
                "the answer of `{}` has more than {most} bytes once it is unpacked; raise `max_bytes`, or ask for a part of it",
                shown(&url)
            );
            return Err(ToolError { not_done: false, ..ToolError::invalid("too_large", message) });
        }
        body.extend_from_slice(&piece);
    }
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Answer { status, url, headers, body })
}

impl Answer {
    /// The error that a status is: what the other side says is quoted, and whether asking again can help.
    pub(super) fn refusal(&self) -> ToolError {
        let said = match self.quote() {
            quote if quote.is_empty() => String::new(),
            quote => format!(", and says: {quote}"),
        };
        let again = matches!(self.status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504 | 529);
        let code = if self.status.as_u16() == 429 { "busy" } else { "status" };
        ToolError {
            retryable: again,
            // Who finds a fault in the request has not carried it out. Others may have, before they failed.
            not_done: self.status.is_client_error() && self.status != StatusCode::REQUEST_TIMEOUT,
            retry_after: if again { retry_after(&self.headers) } else { None },
            ..ToolError::invalid(code, format!("`{}` answers {}{said}", shown(&self.url), self.status))
        }
    }

    /// The beginning of the body in one line.
    fn quote(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(QUOTED * 4)]);
        let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        let line = words.collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(QUOTED) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

/// How long the server asks to be left alone: seconds, or until a moment.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = httpdate::parse_http_date(text).ok()?;
    // A moment that has passed means now.
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Why no answer came.
fn unreachable(url: &Url, error: &reqwest::Error) -> ToolError {
    let causes = causes(error);
    if let Some(refused) = causes.clone().find_map(|cause| cause.downcast_ref::<NotPublic>()) {
        return refused.into();
    }
    let place = shown(url);
    // While there is no connection, nothing was sent.
    let not_done = error.is_connect() || error.is_builder();
    if causes.into_iter().any(is_tls) {
        let message = format!(
            "no secure connection to `{place}`: {}; check the address, and the server's certificate",
            last(error)
        );
        return ToolError { not_done, ..ToolError::invalid("tls", message) };
    }
    let message = match error.is_timeout() {
        true if not_done => format!("no connection to `{place}` within {} seconds", CONNECT.as_secs()),
        true => format!("`{place}` said nothing for {} seconds", SILENCE.as_secs()),
        false if not_done => {
            format!("no connection to `{place}`: {}; check the address, and that the server runs", last(error))
        }
        false => format!("`{place}` gave no answer: {}", last(error)),
    };
    ToolError { not_done, ..ToolError::transient("network", message) }
}

/// Why an answer ended too early.
fn broken_off(url: &Url, error: &reqwest::Error) -> ToolError {
    let place = shown(url);
    let packed = |cause: &io::Error| matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
    if causes(error).any(|cause| cause.downcast_ref().is_some_and(packed)) {
        let message = format!("the answer of `{place}` is packed in a way that cannot be unpacked: {}", last(error));
        return ToolError { not_done: false, ..ToolError::invalid("encoding", message) };
    }
    let why = match error.is_timeout() {
        true => format!("nothing came for {} seconds", SILENCE.as_secs()),
        false => last(error),
    };
    ToolError::transient("network", format!("the answer of `{place}` broke off: {why}"))
}

/// The innermost cause, which names no address.
fn last(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "unknown".into(), ToString::to_string)
}

/// Its errors stand inside errors of input and output, which do not name them as their causes.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || within.is_some_and(|within| is_tls(within))
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> + Clone {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

/// An address as messages show it: without what follows a `?`, where keys may stand.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    let query = url.query().is_some();
    url.set_query(None);
    if query { format!("{url}?…") } else { url.to_string() }
}
