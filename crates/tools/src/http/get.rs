//! `http.get`: what stands at an address.

use std::collections::BTreeMap;

use parkway_core::tool::{Effect, ToolContext, ToolError};
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::{self, Form, kind_of};
use super::exchange::{Answer, Network, Over, Wanted};
use super::grants::Egress;
use super::request::{given, headers};
use crate::remote::Remote;
use crate::watch::watched;

/// The most bytes that are taken if nothing is said.
const USUAL: usize = 1 << 20;
/// The most that may be asked for.
const MOST: usize = 16 << 20;
/// Headers of an answer that a workflow may want to know.
const TOLD: [&str; 7] = ["etag", "last-modified", "date", "link", "location", "retry-after", "content-language"];

/// Reads from an address.
pub(crate) struct Get {
    pub(super) network: Network,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The address: `https://example.com/prices`. Its host must be granted.
    url: String,
    /// What is added behind its `?`, encoded: texts, numbers, truth values, or lists of these.
    #[serde(default)]
    query: BTreeMap<String, Value>,
    /// Headers to send. They are not sent on to another host by a redirection.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How the answer is given: `auto` (by its content type), `text`, `json`, or `markdown` (of a page).
    #[serde(default, rename = "as")]
    form: Form,
    /// Statuses that are answers as well, where others than 200 to 299 are errors: `[404]`.
    #[serde(default)]
    allow_status: Vec<u16>,
    /// The most bytes of the answer, unpacked: 1 MiB if absent, 16 MiB at most. A longer one is an error.
    max_bytes: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The answer's text; null if it is given as JSON.
    text: Option<String>,
    /// The answer's value, if it is given as JSON; else null.
    value: Value,
    /// Its status: 200.
    status: u16,
    /// Where it came from, after redirections.
    url: String,
    /// What it says that it is: `text/html`; null if it does not say.
    content_type: Option<String>,
    /// Those of its headers that tell of its age and place, by names in small letters.
    headers: BTreeMap<String, String>,
    /// Its size in bytes, unpacked.
    bytes: u64,
}

impl Remote for Get {
    const NAME: &'static str = "http.get";
    const DESCRIPTION: &'static str = "Reads what stands at an address of the web: JSON as a value, a page as Markdown, other \
         texts as they are. Only hosts that are granted can be asked.";
    const EFFECT: Effect = Effect::Read;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let egress = Egress::get(context)?;
        let mut url = given(&input.url)?;
        add_query(&mut url, &input.query)?;
        let most = input.max_bytes.unwrap_or(USUAL);
        if most > MOST {
            let message = format!("`max_bytes` is {most}, and at most {MOST} (16 MiB) are read; ask for a part");
            return Err(ToolError::invalid("invalid", message));
        }
        let headers = headers(&input.headers)?;
        let allowed = input.allow_status.clone();
        let (method, over) = (Method::GET, Over::Refused);
        let wanted = Wanted { method, url, headers, body: None, most, over, allowed, hidden: false };
        let answer = self.network.ask(wanted, &egress, context).await?;
        let status = answer.status.as_u16();
        if !answer.status.is_success() && !input.allow_status.contains(&status) {
            return Err(answer.refusal());
        }
        watched(context, move |_| output(answer, input.form)).await
    }
}

/// Adds to what stands behind the `?`.
fn add_query(url: &mut Url, query: &BTreeMap<String, Value>) -> Result<(), ToolError> {
    if query.is_empty() {
        return Ok(());
    }
    let mut pairs = url.query_pairs_mut();
    for (name, value) in query {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => {
                    let message = format!("`query.{name}` is no text, number or truth value; write it as a text");
                    return Err(ToolError::invalid("invalid", message));
                }
            };
            pairs.append_pair(name, &text);
        }
    }
    Ok(())
}

/// The answer as the tool gives it.
fn output(answer: Answer, form: Form) -> Result<Output, ToolError> {
    let content = content::read(&answer.body, &answer.headers, form, &answer.place)?;
    Ok(Output {
        text: content.text,
        value: content.value.unwrap_or_default(),
        status: answer.status.as_u16(),
        content_type: kind_of(&answer.headers),
        headers: told(&answer.headers),
        bytes: answer.body.len() as u64,
        url: answer.url.into(),
    })
}

/// The headers that are passed on.
pub(super) fn told(headers: &HeaderMap) -> BTreeMap<String, String> {
    let told = TOLD.iter().filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.to_owned())));
    told.collect()
}
