//! What arguments say of a request: its address, and headers.

use std::collections::BTreeMap;

use parkway_core::tool::ToolError;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Headers that belong to the connection, and not to whoever uses it.
const OURS: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "accept-encoding",
    "proxy-authorization",
    "proxy-connection",
];

/// The address that the argument `url` names. It is not quoted in the error, since it may be a secret.
pub(super) fn given(url: &str) -> Result<Url, ToolError> {
    address(url).map_err(|why| ToolError::invalid("invalid", format!("`url`: {why}")))
}

/// The address that a text names, if it can be asked; an error says why not.
pub(super) fn address(text: &str) -> Result<Url, String> {
    // Parsers disagree about these, so that one could be shown an address and another one asked.
    if let Some(odd) = text.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '\\') {
        return Err(format!("it holds the character {odd:?}; write it percent-encoded"));
    }
    let url = Url::parse(text)
        .map_err(|error| format!("it is no address: {error}; write it like `https://example.com/path`"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}` is neither `http` nor `https`", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user's name or password; give them as the header `authorization`".into());
    }
    if url.host_str().is_none_or(|host| host.trim_matches('.').is_empty()) {
        return Err("it names no host".into());
    }
    Ok(url)
}

/// Headers as arguments give them.
pub(super) fn headers(given: &BTreeMap<String, String>) -> Result<HeaderMap, ToolError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let refused = |why: &str| ToolError::invalid("invalid", format!("the header `{name}` {why}"));
        let key = HeaderName::try_from(name).map_err(|_| refused("has a name that no header has"))?;
        if OURS.contains(&key.as_str()) {
            return Err(refused("is set by the connection; leave it out"));
        }
        // The value is not quoted, since it may be a secret.
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| refused("has a value with line breaks or characters beyond ASCII"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}
