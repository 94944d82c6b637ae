//! Hosts of addresses, in the one form that is compared: small letters, punycode, no dot at their ends.

use parkway_core::host::HostPattern;
use reqwest::Url;

/// Whether the address is at one of these hosts.
pub(super) fn covers(pattern: &HostPattern, url: &Url) -> bool {
    let place = host_of(url).zip(url.port_or_known_default());
    place.is_some_and(|(host, port)| pattern.covers(url.scheme(), &host, port))
}

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

    #[test]
    fn an_address_is_compared_in_one_form() {
        for (pattern, url, covered) in [
            ("example.com", "https://EXAMPLE.com./a?b", true),
            ("example.com", "https://example.com:8443/", false),
            ("example.com", "http://example.com/", false),
            ("http://127.0.0.1:8080", "http://0x7f.1:8080/", true),
            ("http://[::1]:8080", "http://[0:0::1]:8080/", true),
            ("müller.example", "https://xn--mller-kva.example/", true),
            ("*.example.com", "https://a.b.example.com/", true),
            ("*", "https://anything.org/", true),
        ] {
            assert_eq!(
                covers(&HostPattern::parse(pattern).unwrap(), &Url::parse(url).unwrap()),
                covered,
                "{pattern} {url}"
            );
        }
    }

    #[test]
    fn an_address_is_covered_by_how_it_would_be_granted() {
        for url in ["https://example.com/", "http://example.com/x", "https://example.com:8443/", "http://[::1]:80/"] {
            let url = Url::parse(url).unwrap();
            assert!(covers(&HostPattern::parse(&pattern_for(&url)).unwrap(), &url), "{url}");
        }
    }
}
