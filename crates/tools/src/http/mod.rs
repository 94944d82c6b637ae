//! Requests to other machines. Only hosts that are granted are asked; a name is resolved once, and private addresses are refused
//! unless they are granted too; each redirection is checked again; proxies of the environment are not used.

mod address;
mod content;
mod exchange;
mod get;
mod grants;
mod host;
mod page;
mod rate;
mod request;
mod resolver;
mod send;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::Arc;

use parkway_core::tool::{SharedTool, schema_of};
use serde_json::Value;

use crate::builtin::untitled;
use crate::granted::family;
use crate::remote::remote;
use exchange::Network;
#[cfg(feature = "postgres")]
pub(crate) use exchange::tls;
use grants::{HttpGrants, NotifyGrants};
use resolver::{Lookup, System};

/// The families `http` and `notify`: `http.get`, `http.send`, `http.put`, `notify.webhook`.
pub fn http() -> Vec<SharedTool> {
    tools(Arc::new(System))
}

fn tools(lookup: Arc<dyn Lookup>) -> Vec<SharedTool> {
    let network = Network::new(lookup);
    let http = vec![
        remote(get::Get { network: network.clone() }),
        remote(send::Send { network: network.clone() }),
        remote(send::Put { network: network.clone() }),
    ];
    let notify = vec![remote(webhook::Webhook { network })];
    let mut tools = family(http, grants::http_reach);
    tools.extend(family(notify, grants::notify_reach));
    tools
}

/// JSON Schema of what a workflow says under `tools.http`.
pub fn http_grants_schema() -> Value {
    untitled(schema_of::<HttpGrants>())
}

/// JSON Schema of what a workflow says under `tools.notify`.
pub fn notify_grants_schema() -> Value {
    untitled(schema_of::<NotifyGrants>())
}
