//! A server, as a grant names it: `postgres://reader@db.example.com:5432/books?sslmode=disable`.

use std::net::IpAddr;

use parkway_core::host::HostPattern;
use parkway_core::tool::ToolError;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use url::{Host, Url};

/// A database on a server.
#[derive(Clone)]
pub(in crate::sql) struct Server {
    /// Its name in the grants.
    name: String,
    host: String,
    port: u16,
    pub(super) config: Config,
}

/// The server that a grant names.
pub(in crate::sql) fn locate(name: &str, written: &str) -> Result<Server, ToolError> {
    // The address is not quoted, since a password may stand in it.
    let wrong = |why: &str| {
        let message = format!(
            "`tools.sql` grants `{name}` with an address that cannot be used: it {why}; write it like \
             `postgres://reader@db.example.com/books`"
        );
        ToolError::invalid("invalid_grants", message)
    };
    let url = Url::parse(written).map_err(|error| wrong(&format!("is none: {error}")))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(wrong("begins with something else than `postgres://`"));
    }
    if url.password().is_some() {
        return Err(wrong(
            "holds a password, which does not belong into a file; give it to each call: `password: \"${{ secrets.NAME }}\"`",
        ));
    }
    let text = |part: &str| percent_decoded(part).ok_or_else(|| wrong("is not UTF-8 in one of its parts"));
    let (user, database) = (text(url.username())?, text(url.path().trim_start_matches('/'))?);
    let Some(host) = url.host().filter(|_| !user.is_empty() && !database.is_empty()) else {
        return Err(wrong("does not name a user, a host and a database"));
    };
    let host = match host {
        Host::Domain(name) => text(name)?,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    // What does not leave the machine needs no TLS.
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let mut mode = if here { SslMode::Disable } else { SslMode::Require };
    for (key, value) in url.query_pairs() {
        mode = match (&*key, &*value) {
            ("sslmode", "require" | "verify-full") => SslMode::Require,
            ("sslmode", "disable") => SslMode::Disable,
            _ => return Err(wrong("has something else behind its `?` than `sslmode=require` or `sslmode=disable`")),
        };
    }
    let port = url.port().unwrap_or(5432);
    let mut config = Config::new();
    config.host(&host).port(port).user(user).dbname(database).ssl_mode(mode).application_name("parkway");
    Ok(Server { name: name.into(), host, port, config })
}

impl Server {
    /// The host that it is at; none where it is spoken to by a socket of this machine.
    pub(in crate::sql) fn at(&self) -> Result<Option<HostPattern>, ToolError> {
        if self.host.starts_with('/') {
            return Ok(None);
        }
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        HostPattern::parse(&format!("postgres://{host}:{}", self.port)).map(Some).map_err(|why| {
            let message = format!("`tools.sql` grants `{}` at `{host}`, and {why}; correct its address", self.name);
            ToolError::invalid("invalid_grants", message)
        })
    }

    /// How messages name it.
    pub(super) fn shown(&self) -> String {
        format!("`{}` ({}:{})", self.name, self.host, self.port)
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
