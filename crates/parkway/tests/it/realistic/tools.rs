//! Tools of a site, in the place of those that come with Parkway, as functions that answer from a table and remember what they
//! were asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use parkway_core::label::Labels;
use parkway_core::tool::{Effect, Tool, tool_fn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a tool was called with, in order.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<Value>>>);

impl Calls {
    pub(super) fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    fn add(&self, call: &impl Serialize) -> usize {
        let mut calls = self.0.lock().unwrap();
        calls.push(serde_json::to_value(call).unwrap());
        calls.len()
    }
}

#[derive(Serialize, JsonSchema)]
struct Response {
    /// The status, `200` for example. Any status is an answer; only none is a failure.
    status: u16,
    headers: BTreeMap<String, String>,
    /// The body as text.
    text: String,
    /// The body, where it is JSON.
    json: Option<Value>,
}

impl Response {
    fn new(status: u16, text: String) -> Response {
        let json = serde_json::from_str(&text).ok();
        Response { status, headers: BTreeMap::new(), text, json }
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Send {
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
}

/// `http.send`: remembers what it sent, and says so.
pub(super) fn http_send(calls: Calls) -> impl Tool {
    tool_fn("http.send", Effect::AtMostOnce, move |send: Send| {
        let n = calls.add(&send);
        async move { Ok(Response::new(201, json!({"id": format!("m-{n}")}).to_string())) }
    })
    .labels(Labels::UNTRUSTED)
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Webhook {
    url: String,
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Told {
    status: u16,
}

/// `notify.webhook`: remembers what it said.
pub(super) fn notify_webhook(calls: Calls) -> impl Tool {
    tool_fn("notify.webhook", Effect::AtMostOnce, move |webhook: Webhook| {
        calls.add(&webhook);
        async move { Ok(Told { status: 200 }) }
    })
}
