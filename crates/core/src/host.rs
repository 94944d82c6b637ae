//! Hosts as grants and site settings write them: `example.com`, `*.example.com`, `example.com:8443`, `http://plain.example`, `*`,
//! `postgres://db.example.com`.

use url::Url;

/// Hosts that are reached by one protocol at one port. Without a protocol that is HTTPS; `*` stands for every host, `*.` for the
/// names below one.
///
/// ```
/// use parkway_core::host::HostPattern;
///
/// let allowed = HostPattern::parse("*.example.com").unwrap();
/// assert!(allowed.covers("https", "api.example.com", 443));
/// assert!(HostPattern::parse("EU.api.example.com").unwrap().within(&allowed));
/// assert!(!HostPattern::parse("*").unwrap().within(&allowed));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    protocol: &'static Protocol,
    host: Host,
    port: u16,
}

#[derive(Debug, PartialEq, Eq)]
struct Protocol {
    name: &'static str,
    port: u16,
}

/// The first is meant where none is written.
const PROTOCOLS: [Protocol; 3] = [
    Protocol { name: "https", port: 443 },
    Protocol { name: "http", port: 80 },
    Protocol { name: "postgres", port: 5432 },
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    Exactly(String),
    /// One below this name, with a dot before it.
    Below(String),
}

impl HostPattern {
    /// Reads a pattern; an error says what is wrong with it.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        // What a parser of addresses leaves out could be read in two ways.
        if let Some(odd) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!("it holds the character {odd:?}"));
        }
        let (protocol, rest) = match text.split_once("://") {
            Some((name, rest)) => (named(name).ok_or_else(|| no_protocol(name))?, rest),
            None => (&PROTOCOLS[0], text),
        };
        // A name that nobody has, for what may stand in its place.
        let (rest, any) = match rest.strip_prefix('*') {
            Some(port) if port.is_empty() || port.starts_with(':') => (format!("any.invalid{port}"), true),
            _ => (rest.to_owned(), false),
        };
        let (below, name) = rest.strip_prefix("*.").map_or((false, rest.as_str()), |name| (true, name));
        // Read as HTTP, so that names have one form whatever the protocol; a port is told apart by its own.
        let url = Url::parse(&format!("http://{name}")).map_err(|error| error.to_string())?;
        let alone =
            url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !name.contains(['/', '@', '\\']);
        if !alone || name.contains('*') {
            return Err("it is more than a host's name and a port".into());
        }
        let written = name.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.contains(']'));
        if written.is_some_and(|port| port.is_empty() || port.starts_with('0')) {
            return Err("its port is none: write it without zeros before it, as in `example.com:8443`".into());
        }
        let host = url.host_str().map(without_dot).filter(|host| !host.is_empty()).ok_or("it names no host")?;
        // The parser leaves out the one port that is its protocol's own.
        let port = url.port().or_else(|| written?.parse().ok()).unwrap_or(protocol.port);
        let host = match (any, below) {
            (true, _) => Host::Any,
            (false, true) => Host::Below(format!(".{host}")),
            (false, false) => Host::Exactly(host.to_owned()),
        };
        Ok(HostPattern { protocol, host, port })
    }

    /// The protocol: `https`, `http` or `postgres`.
    pub fn protocol(&self) -> &'static str {
        self.protocol.name
    }

    /// Whether it names its hosts, and is not all of them.
    pub fn names(&self) -> bool {
        self.host != Host::Any
    }

    /// Whether this is one of the hosts. `host` has small letters, and punycode for what is not ASCII.
    pub fn covers(&self, protocol: &str, host: &str, port: u16) -> bool {
        let host = without_dot(host);
        let named = match &self.host {
            Host::Any => true,
            Host::Exactly(name) => name == host,
            Host::Below(end) => host.ends_with(end.as_str()),
        };
        named && self.protocol.name == protocol && self.port == port
    }

    /// Whether all of these hosts are among those of another pattern.
    pub fn within(&self, other: &HostPattern) -> bool {
        let named = match (&self.host, &other.host) {
            (_, Host::Any) => true,
            (Host::Any, _) => false,
            (Host::Exactly(name), Host::Exactly(other)) => name == other,
            (Host::Exactly(name) | Host::Below(name), Host::Below(end)) => name.ends_with(end.as_str()),
            (Host::Below(_), Host::Exactly(_)) => false,
        };
        named && self.protocol == other.protocol && self.port == other.port
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.protocol != &PROTOCOLS[0] {
            write!(f, "{}://", self.protocol.name)?;
        }
        match &self.host {
            Host::Any => f.write_str("*")?,
            Host::Exactly(name) => f.write_str(name)?,
            Host::Below(end) => write!(f, "*{end}")?,
        }
        if self.port != self.protocol.port { write!(f, ":{}", self.port) } else { Ok(()) }
    }
}

fn named(name: &str) -> Option<&'static Protocol> {
    let name = if name.eq_ignore_ascii_case("postgresql") { "postgres" } else { name };
    PROTOCOLS.iter().find(|protocol| protocol.name.eq_ignore_ascii_case(name))
}

fn no_protocol(name: &str) -> String {
    let known: Vec<_> = PROTOCOLS.iter().map(|protocol| format!("`{}`", protocol.name)).collect();
    format!("`{name}` is none of the protocols {}", known.join(", "))
}

fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[track_caller]
    fn check(text: &str, (protocol, host, port): (&str, &str, u16), covers: bool) {
        assert_eq!(pattern(text).covers(protocol, host, port), covers, "{text} {protocol}://{host}:{port}");
    }

    #[test]
    fn a_host_is_named_by_protocol_name_and_port() {
        check("example.com", ("https", "example.com", 443), true);
        check("example.com", ("https", "example.com.", 443), true);
        check("EXAMPLE.com.", ("https", "example.com", 443), true);
        check("example.com", ("http", "example.com", 443), false);
        check("example.com", ("http", "example.com", 80), false);
        check("example.com", ("https", "example.com", 8443), false);
        check("example.com", ("https", "www.example.com", 443), false);
        check("example.com", ("https", "example.com.evil.org", 443), false);
        check("example.com", ("https", "notexample.com", 443), false);
        check("example.com:8443", ("https", "example.com", 8443), true);
        check("example.com:443", ("https", "example.com", 443), true);
        check("example.com:80", ("https", "example.com", 80), true);
        check("http://example.com", ("http", "example.com", 80), true);
        check("http://example.com:443", ("http", "example.com", 443), true);
        check("http://0x7f.1:8080", ("http", "127.0.0.1", 8080), true);
        check("http://[0:0::1]:8080", ("http", "[::1]", 8080), true);
        check("müller.example", ("https", "xn--mller-kva.example", 443), true);
        check("postgres://db.example.com", ("postgres", "db.example.com", 5432), true);
        check("postgres://db.example.com", ("https", "db.example.com", 5432), false);
        check("postgresql://db.example.com:80", ("postgres", "db.example.com", 80), true);
        check("HTTP://example.com", ("http", "example.com", 80), true);
    }

    #[test]
    fn a_star_stands_for_names_below_or_for_every_host() {
        check("*.example.com", ("https", "a.b.example.com", 443), true);
        check("*.example.com", ("https", "example.com", 443), false);
        check("*.example.com", ("https", "evilexample.com", 443), false);
        check("*", ("https", "anything.org", 443), true);
        check("*", ("http", "anything.org", 80), false);
        check("*", ("https", "anything.org", 444), false);
        check("*:444", ("https", "anything.org", 444), true);
        check("http://*", ("http", "anything.org", 80), true);
    }

    #[test]
    fn what_is_within_a_pattern_has_no_host_beside_it() {
        for (inner, outer, within) in [
            ("example.com", "example.com", true),
            ("example.com", "*", true),
            ("*.example.com", "*", true),
            ("a.example.com", "*.example.com", true),
            ("*.a.example.com", "*.example.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "*.a.example.com", false),
            ("*.example.com", "example.com", false),
            ("example.com", "*.example.com", false),
            ("badexample.com", "*.example.com", false),
            ("*", "*.com", false),
            ("http://example.com", "example.com", false),
            ("example.com:8443", "example.com", false),
            ("postgres://example.com", "example.com:5432", false),
            ("*:444", "*", false),
        ] {
            assert_eq!(pattern(inner).within(&pattern(outer)), within, "{inner} within {outer}");
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_is_read() {
        for text in
            ["example.com", "*.example.com:8443", "http://*", "http://[::1]:8080", "postgres://db.example.com", "*:80"]
        {
            assert_eq!(pattern(text).to_string(), text);
        }
        assert_eq!(pattern("https://Example.com:443").to_string(), "example.com");
    }

    #[test]
    fn what_is_no_host_is_no_pattern() {
        for text in [
            "",
            "example.com/path",
            "example.com?q",
            "user@example.com",
            "ftp://example.com",
            "a*.example.com",
            "*.*.com",
            "**",
            "example.com:99999",
            "example.com:080",
            "example.com:",
            "*:0080",
            "example.com:8\t0",
            "exa mple.com",
            " example.com",
            "https://",
            "example.com\\evil.org",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
