//! A server that heads are sent to.

use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use parkway_core::secret::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url, redirect};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::time::{Instant, timeout_at};

/// The address, where heads can be sent to it. What is wrong with it is said without it.
pub(crate) fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text.trim()).map_err(|_| "it is no URL; write it as in `https://auditor.example/heads`")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user's name or password in it; say a token under `[audit]`, by the name of its secret");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it goes on behind a `?` or `#`, where secrets stand that are shown with it");
    }
    match url.scheme() {
        _ if url.host_str().is_none_or(str::is_empty) => Err("it names no host"),
        "https" => Ok(url),
        "http" if is_here(&url) => Ok(url),
        "http" => Err(
            "with `http` anybody on the way can change what is sent; only this machine is reached so: write `https`",
        ),
        _ => Err("it is neither `https` nor `http`"),
    }
}

/// Whether it is this very machine.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Sends a head, and gives what was done.
pub(super) async fn keep(
    url: &Url,
    token: &Result<Option<Secret>, String>,
    note: &str,
    until: Instant,
) -> Result<String, String> {
    let token = token.as_ref().map_err(Clone::clone)?;
    let limit = until.saturating_duration_since(Instant::now());
    let mut request = client(url)?.post(url.clone()).header(CONTENT_TYPE, "text/plain; charset=utf-8");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, header(token)?);
    }
    let sent = timeout_at(until, request.body(note.to_owned()).send()).await;
    let response = match sent {
        Err(_) => return Err(format!("it did not answer within {} s", limit.as_secs_f64())),
        Ok(Err(error)) => return Err(format!("the head cannot be sent there: {}", cause(&error))),
        Ok(Ok(response)) => response,
    };
    match response.status() {
        status if status.is_success() => Ok(format!("sent to {}", url.origin().ascii_serialization())),
        status if status.is_redirection() => {
            Err(format!("it answers {status}, and names another address, which is not followed: name that one"))
        }
        status => Err(format!("it answers {status}: the head is not kept there")),
    }
}

fn client(url: &Url) -> Result<Client, String> {
    let broken = |cause: String| format!("no client for the network can be made: {cause}");
    // With ring, given to this client alone, since a default one would be the whole program's.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.map_err(|error| broken(error.to_string()))?;
    // An address without TLS needs no certificates, which a small machine may lack.
    let tls = match url.scheme() {
        "https" => tls.with_platform_verifier().map_err(|error| broken(error.to_string()))?,
        _ => tls.with_root_certificates(rustls::RootCertStore::empty()),
    };
    let here = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].map(|ip| SocketAddr::new(ip, 0));
    Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        // Nobody who answers for names says where this machine is.
        .resolve_to_addrs("localhost", &here)
        .user_agent(concat!("parkway/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| broken(error.to_string()))
}

fn header(token: &Secret) -> Result<HeaderValue, String> {
    let token = token.expose().trim();
    if token.is_empty() || !token.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
        return Err("its token is empty, or holds spaces, line breaks or characters beyond ASCII".into());
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| error.to_string())?;
    header.set_sensitive(true);
    Ok(header)
}

/// The innermost cause, which names no address.
fn cause(error: &reqwest::Error) -> String {
    std::iter::successors(error.source(), |cause| (*cause).source())
        .last()
        .map_or_else(|| "no connection".into(), ToString::to_string)
}
