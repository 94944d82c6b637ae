//! A granted host, as a workflow writes it: `example.com`, `*.example.com`, `example.com:8443`, `http://plain.example`, `*`.

use reqwest::Url;

/// Addresses that a grant covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    scheme: &'static str,
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    Exactly(String),
    /// One below this name, with a dot before it.
    Below(String),
}

impl Pattern {
    /// Reads a pattern; an error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => ("https", rest),
            Some(("http", rest)) => ("http", rest),
            Some((other, _)) => return Err(format!("`{other}` is neither `http` nor `https`")),
            None => ("https", text),
        };
        // A name that nobody has, for what may stand in its place.
        let (rest, any) = match rest.strip_prefix('*') {
            Some(port) if port.is_empty() || port.starts_with(':') => (format!("any.invalid{port}"), true),
            _ => (rest.to_owned(), false),
        };
        let (below, name) = rest.strip_prefix("*.").map_or((false, rest.as_str()), |name| (true, name));
        let url = Url::parse(&format!("{scheme}://{name}")).map_err(|error| error.to_string())?;
        let alone =
            url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !name.contains(['/', '@', '\\']);
        if !alone || name.contains('*') || name.trim() != name {
            return Err("it is more than a host's name and a port".into());
        }
        let host = host_of(&url).ok_or("it names no host")?;
        let port = url.port_or_known_default().ok_or("it has no port")?;
        let host = match (any, below) {
            (true, _) => Host::Any,
            (false, true) => Host::Below(format!(".{host}")),
            (false, false) => Host::Exactly(host),
        };
        Ok(Pattern { scheme, host, port })
    }

    /// Whether it names its hosts, and is not all of them.
    pub(super) fn names(&self) -> bool {
        self.host != Host::Any
    }

    /// Whether the address is one of these.
    pub(super) fn covers(&self, url: &Url) -> bool {
        let Some(host) = host_of(url) else { return false };
        let named = match &self.host {
            Host::Any => true,
            Host::Exactly(name) => *name == host,
            Host::Below(end) => host.ends_with(end.as_str()),
        };
        named && url.scheme() == self.scheme && url.port_or_known_default() == Some(self.port)
    }
}

/// The host's name in the one form that is compared: small letters, punycode, no dot at its end.
pub(super) fn host_of(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| host.to_owned())
}

/// How an address would be granted.
pub(super) fn pattern_for(url: &Url) -> String {
    let host = host_of(url).unwrap_or_default();
    let scheme = if url.scheme() == "http" { "http://" } else { "" };
    url.port().map_or_else(|| format!("{scheme}{host}"), |port| format!("{scheme}{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, url: &str, covers: bool) {
        assert_eq!(Pattern::parse(pattern).unwrap().covers(&Url::parse(url).unwrap()), covers, "{pattern} {url}");
    }

    #[test]
    fn a_host_is_granted_by_scheme_name_and_port() {
        check("example.com", "https://example.com/a?b", true);
        check("example.com", "https://EXAMPLE.com./", true);
        check("EXAMPLE.com.", "https://example.com/", true);
        check("example.com", "http://example.com/", false);
        check("example.com", "https://example.com:8443/", false);
        check("example.com", "https://www.example.com/", false);
        check("example.com", "https://example.com.evil.org/", false);
        check("example.com", "https://notexample.com/", false);
        check("example.com:8443", "https://example.com:8443/", true);
        check("example.com:443", "https://example.com/", true);
        check("http://example.com", "http://example.com/", true);
        check("http://example.com", "https://example.com/", false);
        check("http://127.0.0.1:8080", "http://0x7f.1:8080/", true);
        check("http://[::1]:8080", "http://[0:0::1]:8080/", true);
        check("müller.example", "https://xn--mller-kva.example/", true);
    }

    #[test]
    fn a_star_stands_for_names_below_or_for_every_host() {
        check("*.example.com", "https://a.b.example.com/", true);
        check("*.example.com", "https://example.com/", false);
        check("*.example.com", "https://evilexample.com/", false);
        check("*", "https://anything.org/", true);
        check("*", "http://anything.org/", false);
        check("*", "https://anything.org:444/", false);
        check("*:444", "https://anything.org:444/", true);
        check("http://*", "http://anything.org/", true);
    }

    #[test]
    fn what_is_no_host_is_no_pattern() {
        for pattern in [
            "",
            "example.com/path",
            "example.com?q",
            "user@example.com",
            "ftp://example.com",
            "a*.example.com",
            "*.*.com",
            "**",
            "example.com:99999",
            "exa mple.com",
            " example.com",
            "https://",
            "example.com\\evil.org",
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
