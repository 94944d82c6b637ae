//! From a host's name to addresses: resolved once, and only those that may be reached are given to the connection. What a name
//! leads to a moment later does not matter.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use ipnet::IpNet;
use parkway_core::tool::ToolError;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::private;

/// Looks names up.
#[async_trait]
pub(super) trait Lookup: Send + Sync {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// As the operating system does.
pub(super) struct System;

#[async_trait]
impl Lookup for System {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Names lead to public addresses, and to those of the granted networks.
pub(super) struct Guard {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) networks: Vec<IpNet>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, networks) = (self.lookup.clone(), self.networks.clone());
        Box::pin(async move {
            let found = lookup.lookup(name.as_str()).await?;
            let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|ip| refusal(*ip, &networks).is_none());
            match (good.is_empty(), bad.first()) {
                (true, Some(bad)) => Err(Box::new(NotPublic { host: name.as_str().into(), address: *bad }) as Box<_>),
                _ => Ok(Box::new(good.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs),
            }
        })
    }
}

/// A name leads to nothing but addresses that are not public and not granted.
#[derive(Debug)]
pub(super) struct NotPublic {
    host: String,
    address: IpAddr,
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotPublic { host, address } = self;
        let what = private(*address).unwrap_or("not public");
        let network = IpNet::from(*address);
        write!(
            f,
            "`{host}` leads to {address} ({what}), and such addresses are reached only where they are granted: `private: [\"{network}\"]`"
        )
    }
}

impl Error for NotPublic {}

impl NotPublic {
    pub(super) fn refusal(&self) -> ToolError {
        ToolError::invalid("denied", self.to_string())
    }
}

/// Refuses an address that is written out in place of a name: no resolver sees it.
pub(super) fn check_literal(url: &Url, networks: &[IpNet]) -> Result<(), ToolError> {
    let host = url.host_str().unwrap_or_default();
    let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() else { return Ok(()) };
    match refusal(address, networks) {
        Some(address) => Err(NotPublic { host: host.into(), address }.refusal()),
        None => Ok(()),
    }
}

/// The address, if it may not be reached.
fn refusal(address: IpAddr, networks: &[IpNet]) -> Option<IpAddr> {
    let plain = address.to_canonical();
    let granted = networks.iter().any(|network| network.contains(&plain) || network.contains(&address));
    (private(address).is_some() && !granted).then_some(address)
}
