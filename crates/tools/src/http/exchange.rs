//! A request and its answer: each address on the way is checked, each wait and each size is bounded.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use parkway_core::tool::{ToolContext, ToolError};
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::grants::Egress;
use super::host::host_of;
use super::rate::{Rate, Turns};
use super::request::address;
use super::resolver::{Guard, Lookup, NotPublic, check_literal};

/// How long a connection may take, with the lookup of the name and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// How long it may take until an answer begins, from the first byte of the request on, and how long a silence within it may be.
const SILENCE: Duration = Duration::from_secs(60);
/// What is kept of a step's time for its end.
const MARGIN: Duration = Duration::from_millis(250);
/// The most bytes of what a server says to a refusal.
const MOST_OF_REFUSAL: usize = 8 << 10;
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
    /// What becomes of an answer that is longer.
    pub(super) over: Over,
    /// Statuses that are answers, beside those from 200 to 299.
    pub(super) allowed: Vec<u16>,
    /// Whether the whole address is a secret: messages name its host.
    pub(super) hidden: bool,
}

/// What becomes of an answer that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// It is an error; redirections are followed. For what is only read.
    Refused,
    /// Its end is left out: what it answers was carried out. Redirections are not followed.
    Cut,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Where it came from in the end.
    pub(super) url: Url,
    /// The same for messages.
    pub(super) place: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Network {
    pub(super) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Network { lookup, clients: Arc::default(), turns: Turns::default() }
    }

    /// Asks, and takes the answer whatever its status.
    pub(super) async fn ask(
        &self,
        mut wanted: Wanted,
        egress: &Egress,
        context: &ToolContext,
    ) -> Result<Answer, ToolError> {
        let began = Instant::now();
        let mut hops = 0;
        loop {
            let networks = egress.admit(&wanted.url)?;
            check_literal(&wanted.url, networks)?;
            let client = self.client(networks)?;
            if let (Some(rate), Some(host)) = (egress.rate, host_of(&wanted.url)) {
                self.turn(rate, host, began, context).await?;
            }
            let request = client.request(wanted.method.clone(), wanted.url.clone()).headers(wanted.headers.clone());
            let request = match &wanted.body {
                Some(body) => request.body(body.clone()),
                None => request,
            };
            let response = request.send().await.map_err(|error| unreachable(&wanted.place(), &error))?;
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

    /// Waits for the turn of a request. One that is to be stopped meanwhile is not made.
    async fn turn(&self, rate: Rate, host: String, began: Instant, context: &ToolContext) -> Result<(), ToolError> {
        let left = context.deadline.map(|end| end.since(context.now).saturating_sub(began.elapsed() + MARGIN));
        let (code, why) = tokio::select! {
            () = self.turns.wait(rate, host) => match context.cancel.is_cancelled() {
                false => return Ok(()),
                true => ("cancelled", "was stopped"),
            },
            () = context.cancel.cancelled() => ("cancelled", "was stopped"),
            () = tokio::time::sleep(left.unwrap_or(Duration::MAX)) => ("timeout", "ran out of its time"),
        };
        let message = format!("the call {why} while it waited for its turn (`rate`); no request was made");
        Err(ToolError { retryable: true, ..ToolError::invalid(code, message) })
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
    let followed = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && wanted.over == Over::Refused;
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
    let (status, headers, place) = (response.status(), response.headers().clone(), wanted.place());
    let answers = status.is_success() || wanted.allowed.contains(&status.as_u16());
    // Of what a server says to its refusal the beginning is enough.
    let (most, over) = if answers { (wanted.most, wanted.over) } else { (MOST_OF_REFUSAL, Over::Cut) };
    let mut body = Vec::new();
    loop {
        let piece = match response.chunk().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            // Its status has told what there is to know.
            Err(_) if over == Over::Cut => break,
            Err(error) => return Err(broken_off(&place, &error)),
        };
        let room = most - body.len();
        if piece.len() > room {
            if over == Over::Cut {
                body.extend_from_slice(&piece[..room]);
                break;
            }
            let message = format!(
                "the answer of `{place}` has more than {most} bytes once it is unpacked; raise `max_bytes`, or ask for a part of it"
            );
            return Err(ToolError::invalid("too_large", message));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status, url: wanted.url, place, headers, body })
}

impl Wanted {
    /// The address for messages.
    fn place(&self) -> String {
        if self.hidden { self.url.origin().ascii_serialization() } else { shown(&self.url) }
    }
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
            not_done: self.status.is_client_error() && !matches!(self.status.as_u16(), 408 | 409),
            retry_after: if again { retry_after(&self.headers) } else { None },
            ..ToolError::invalid(code, format!("`{}` answers {}{said}", self.place, self.status))
        }
    }

    /// The beginning of the body in one line.
    fn quote(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(QUOTED * 4)]);
        let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        let line = words.collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(QUOTED) {
            // Nothing is cut in its middle: half of a secret is not known for one.
            Some((end, _)) => format!("{} …", line[..end].rsplit_once(' ').map_or("", |(whole, _)| whole)),
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
fn unreachable(place: &str, error: &reqwest::Error) -> ToolError {
    let causes = causes(error);
    if let Some(refused) = causes.clone().find_map(|cause| cause.downcast_ref::<NotPublic>()) {
        return refused.refusal();
    }
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
fn broken_off(place: &str, error: &reqwest::Error) -> ToolError {
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
