//! What a workflow grants to the tools that send requests: hosts, networks that are not public, and how often.

use ipnet::IpNet;
use parkway_core::host::HostPattern;
use parkway_core::tool::{Reach, ToolContext, ToolError};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::host::{covers, pattern_for};
use super::rate::Rate;
use super::request::address;
use crate::granted::granted;

/// Which hosts the `http` tools may ask. A host is written `example.com`, `*.example.com` for the names below it,
/// `example.com:8443` for another port, `http://plain.example` for one without TLS, or `*` for every public host.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpGrants {
    /// Hosts to read from.
    #[serde(default)]
    get: Vec<String>,
    /// Hosts to send to. They are not read from for that.
    #[serde(default)]
    send: Vec<String>,
    /// Networks that are not public and may be reached all the same, by hosts that are named: `10.1.0.0/16`, `127.0.0.1/32`.
    #[serde(default)]
    private: Vec<String>,
    /// How many requests each host gets at most: `5/s`, `60/m`. Those beyond wait.
    #[serde(default)]
    rate: Option<String>,
}

/// Which hosts `notify.webhook` may send to, written as those of `http`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifyGrants {
    /// Hosts to send to.
    #[serde(default)]
    send: Vec<String>,
    /// Where to ask whether a message came through, with `{key}` for its key: `https://hooks.example.com/sent/{key}`. The answer
    /// is 200 if it did, and 410 if it did not and never will. Without it, and after any other answer, a person must say so.
    #[serde(default)]
    status: Option<String>,
    /// Networks that are not public and may be reached all the same: `10.1.0.0/16`, `127.0.0.1/32`.
    #[serde(default)]
    private: Vec<String>,
    /// How many requests each host gets at most: `5/s`, `60/m`. Those beyond wait.
    #[serde(default)]
    rate: Option<String>,
}

/// The hosts that the grants of `http` name.
pub(super) fn http_reach(grants: &Value) -> Result<Reach, ToolError> {
    let HttpGrants { get, send, private, rate } = parse("http", grants)?;
    let mut reach = Reach::default();
    reach.private = !private.is_empty();
    for (list, hosts) in [("get", get), ("send", send)] {
        reach.hosts.extend(Egress::new(("http", list), hosts, &private, rate.as_deref())?.hosts);
    }
    Ok(reach)
}

/// The hosts that the grants of `notify` name.
pub(super) fn notify_reach(grants: &Value) -> Result<Reach, ToolError> {
    let NotifyGrants { send, private, rate, .. } = parse("notify", grants)?;
    let mut reach = Reach::default();
    reach.private = !private.is_empty();
    reach.hosts = Egress::new(("notify", "send"), send, &private, rate.as_deref())?.hosts;
    if let Some((_, status)) = status_place(grants, "key")? {
        reach.hosts.extend(status.hosts);
    }
    Ok(reach)
}

/// What a call may do on the network.
#[derive(Debug)]
pub(super) struct Egress {
    family: &'static str,
    /// The key of the grants that lists the hosts.
    list: &'static str,
    written: Vec<String>,
    hosts: Vec<HostPattern>,
    networks: Vec<IpNet>,
    pub(super) rate: Option<Rate>,
}

impl Egress {
    /// What `http` may read.
    pub(super) fn get(context: &ToolContext) -> Result<Self, ToolError> {
        let HttpGrants { get, private, rate, .. } = parse("http", &context.grants)?;
        Egress::new(("http", "get"), get, &private, rate.as_deref())
    }

    /// What `http` may send to.
    pub(super) fn send(context: &ToolContext) -> Result<Self, ToolError> {
        let HttpGrants { send, private, rate, .. } = parse("http", &context.grants)?;
        Egress::new(("http", "send"), send, &private, rate.as_deref())
    }

    /// What `notify` may send to.
    pub(super) fn notify(context: &ToolContext) -> Result<Self, ToolError> {
        let NotifyGrants { send, private, rate, .. } = parse("notify", &context.grants)?;
        Egress::new(("notify", "send"), send, &private, rate.as_deref())
    }

    /// Where `notify` may ask whether the message with this key came through, and what it may do for that.
    pub(super) fn status(context: &ToolContext, key: &str) -> Result<Option<(Url, Self)>, ToolError> {
        status_place(&context.grants, key)
    }

    fn new(
        (family, list): (&'static str, &'static str),
        written: Vec<String>,
        private: &[String],
        rate: Option<&str>,
    ) -> Result<Self, ToolError> {
        let host = |text: &String| {
            pattern(text).map_err(|why| {
                wrong(family, &format!("`{list}` names the host `{text}`, and {why}; write it like `example.com`, `*.example.com` or `example.com:8443`"))
            })
        };
        // One address is a network, too: written without its length it would be the beginning of wider ones, to whom compares texts.
        let network = |text: &String| {
            text.parse::<IpNet>().map_err(|_| {
                let why = format!(
                    "`private` names `{text}`, which is no network; write it like `10.1.0.0/16` or `127.0.0.1/32`"
                );
                wrong(family, &why)
            })
        };
        let rate = rate.map(|text| {
            Rate::parse(text)
                .ok_or_else(|| wrong(family, &format!("`rate` is `{text}`; write it like `5/s`, `60/m` or `1000/h`")))
        });
        Ok(Egress {
            family,
            list,
            hosts: written.iter().map(host).collect::<Result<_, _>>()?,
            networks: private.iter().map(network).collect::<Result<_, _>>()?,
            rate: rate.transpose()?,
            written,
        })
    }

    /// The networks that an address may lead to, beside public ones; refuses one whose host is not granted. Where every host is
    /// granted, that means every public one.
    pub(super) fn admit(&self, url: &Url) -> Result<&[IpNet], ToolError> {
        if self.hosts.iter().any(|host| host.names() && covers(host, url)) {
            return Ok(&self.networks);
        }
        if self.hosts.iter().any(|host| covers(host, url)) {
            return Ok(&[]);
        }
        let wanted = pattern_for(url);
        let so_far = match self.written.is_empty() {
            true => "none is".to_owned(),
            false => format!("granted: {}", listed(&self.written)),
        };
        let all: Vec<_> = self.written.iter().cloned().chain([wanted.clone()]).collect();
        let message = format!(
            "`{wanted}` is no host that `{}` may {} ({so_far}); to allow it, write under `tools`: `{}: {{ {}: [{}] }}`",
            self.family,
            if self.list == "get" { "read from" } else { "send to" },
            self.family,
            self.list,
            listed(&all)
        );
        Err(ToolError::invalid("denied", message))
    }
}

/// Where `notify` may ask whether the message with this key came through, and what it may do for that.
fn status_place(grants: &Value, key: &str) -> Result<Option<(Url, Egress)>, ToolError> {
    let NotifyGrants { status, private, rate, .. } = parse("notify", grants)?;
    let Some(status) = status else { return Ok(None) };
    let wrong = |why: &str| wrong("notify", &format!("`status` is `{status}`, and {why}"));
    if !status.contains("{key}") {
        return Err(wrong("does not say where the key belongs: write `{key}` there"));
    }
    let with = |key: &str| address(&status.replace("{key}", key)).map_err(|why| wrong(&why));
    let url = with(key)?;
    let host = pattern_for(&url);
    if pattern_for(&with("other")?) != host {
        return Err(wrong("has the key in its host: write `{key}` into the path or behind the `?`"));
    }
    Ok(Some((url, Egress::new(("notify", "status"), vec![host], &private, rate.as_deref())?)))
}

fn pattern(text: &str) -> Result<HostPattern, String> {
    let pattern = HostPattern::parse(text)?;
    match pattern.protocol() {
        "http" | "https" => Ok(pattern),
        other => Err(format!("`{other}` is neither `http` nor `https`")),
    }
}

fn parse<G: DeserializeOwned + Default>(family: &str, grants: &Value) -> Result<G, ToolError> {
    granted(grants, |error| unusable(family, &format!("it is malformed: {error}")))
}

fn wrong(family: &str, why: &str) -> ToolError {
    ToolError::invalid("invalid_grants", unusable(family, why))
}

fn unusable(family: &str, why: &str) -> String {
    format!("`tools.{family}` cannot be used: {why}")
}

/// The hosts as they stand in a YAML list.
fn listed(hosts: &[String]) -> String {
    let item = |host: &String| match host.contains(['*', ':', '[', '{', ' ']) {
        true => Value::from(host.as_str()).to_string(),
        false => host.clone(),
    };
    hosts.iter().map(item).collect::<Vec<_>>().join(", ")
}
