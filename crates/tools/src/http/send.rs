//! `http.send` and `http.put`: to change what another machine has. Two tools, since an effect is a tool's and not an argument's.

use std::collections::BTreeMap;

use parkway_core::tool::{Effect, ToolContext, ToolError};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::{self, Form, kind_of};
use super::exchange::{Answer, Network, Over, Wanted};
use super::get::told;
use super::grants::Egress;
use super::request::{given, headers};
use crate::remote::Remote;
use crate::watch::watched;

/// The most bytes of an answer that are taken.
const MOST: usize = 1 << 20;
/// The most bytes that are sent.
const MOST_SENT: usize = 8 << 20;

/// Sends what must not be sent twice.
pub(crate) struct Send {
    pub(super) network: Network,
}

/// Sends what may be sent twice.
pub(crate) struct Put {
    pub(super) network: Network,
}

/// How a request changes something.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verb {
    #[default]
    Post,
    Put,
    Patch,
    Delete,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The address: `https://example.com/orders`. Its host must be granted for sending.
    url: String,
    /// `POST` (if absent), `PUT`, `PATCH` or `DELETE`.
    #[serde(default)]
    method: Verb,
    /// What is sent as JSON.
    json: Option<Value>,
    /// What is sent as a text, in place of `json`; its content type is that of `headers`, or `text/plain`.
    text: Option<String>,
    /// What is sent as a form of the web, in place of `json`.
    form: Option<BTreeMap<String, String>>,
    /// Headers to send.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The header that carries the key of this call, the same over all attempts: `Idempotency-Key` if absent.
    key_header: Option<String>,
    /// Statuses that are answers as well, where others than 200 to 299 are errors: `[303, 409]`.
    #[serde(default)]
    allow_status: Vec<u16>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The answer's text; null if it is JSON.
    text: Option<String>,
    /// The answer's value if it is JSON; else null.
    value: Value,
    /// Its status: 201.
    status: u16,
    /// What it says that it is: `application/json`; null if it does not say.
    content_type: Option<String>,
    /// Those of its headers that tell of its age and place, by names in small letters.
    headers: BTreeMap<String, String>,
    /// The key that the request carried.
    key: String,
}

impl Remote for Send {
    const NAME: &'static str = "http.send";
    const DESCRIPTION: &'static str = "Sends a request that changes something on another machine, at most once: after a crash it is \
         in doubt, and not sent again unasked. Only hosts that are granted can be asked.";
    const EFFECT: Effect = Effect::AtMostOnce;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        send(&self.network, input, context).await
    }
}

impl Remote for Put {
    const NAME: &'static str = "http.put";
    const DESCRIPTION: &'static str = "Sends a request that changes something on another machine and that may be repeated: one to \
         a server that knows idempotency keys, or one that has the same result however often it is sent. It is repeated after a \
         crash. Only hosts that are granted can be asked.";
    const EFFECT: Effect = Effect::Idempotent;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        send(&self.network, input, context).await
    }
}

async fn send(network: &Network, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
    let egress = Egress::send(context)?;
    let key = context.key.to_string();
    let allowed = input.allow_status.clone();
    let answer = network.ask(request(input, &key)?, &egress, context).await?;
    let answer = judged(answer, &allowed)?;
    watched(context, move |_| Ok(output(answer, key))).await
}

fn request(input: Input, key: &str) -> Result<Wanted, ToolError> {
    let invalid = |message: String| ToolError::invalid("invalid", message);
    let url = given(&input.url)?;
    let mut headers = headers(&input.headers)?;
    let (body, kind) = match (input.json, input.text, input.form) {
        (Some(value), None, None) => (Some(value.to_string()), "application/json"),
        (None, Some(text), None) => (Some(text), "text/plain; charset=utf-8"),
        (None, None, Some(form)) => {
            let mut pairs = url::form_urlencoded::Serializer::new(String::new());
            (Some(pairs.extend_pairs(form).finish()), "application/x-www-form-urlencoded")
        }
        (None, None, None) => (None, ""),
        _ => return Err(invalid("only one of `json`, `text` and `form` can be sent; keep one of them".into())),
    };
    if let Some(size) = body.as_ref().map(String::len).filter(|size| *size > MOST_SENT) {
        let message = format!("{size} bytes are to be sent, and at most {MOST_SENT} (8 MiB) are; send it in parts");
        return Err(ToolError::invalid("too_large", message));
    }
    if body.is_some() {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    }
    let name = input.key_header.as_deref().unwrap_or("idempotency-key");
    let carried = self::headers(&[(name.to_owned(), key.to_owned())].into())?;
    headers.extend(carried);
    let method = match input.method {
        Verb::Post => Method::POST,
        Verb::Put => Method::PUT,
        Verb::Patch => Method::PATCH,
        Verb::Delete => Method::DELETE,
    };
    let (body, allowed) = (body.map(String::into_bytes), input.allow_status);
    Ok(Wanted { method, url, headers, body, most: MOST, over: Over::Cut, allowed, hidden: false })
}

/// The answer, if its status is one. What a request was sent on to by 307 and 308 was not carried out; whether it was behind
/// another redirection, nobody knows but who named the status.
pub(super) fn judged(answer: Answer, allowed: &[u16]) -> Result<Answer, ToolError> {
    let status = answer.status.as_u16();
    if answer.status.is_success() || allowed.contains(&status) {
        return Ok(answer);
    }
    if answer.status.is_redirection() {
        let to = told(&answer.headers).remove("location").unwrap_or_else(|| "nowhere".into());
        let (place, not_done) = (&answer.place, matches!(status, 307 | 308));
        let message = match not_done {
            true => format!("`{place}` sends the request on to `{to}`, which is not followed; send it there"),
            false => format!(
                "`{place}` answers {status} and names `{to}`; if that means that it is done, write `allow_status: [{status}]`"
            ),
        };
        return Err(ToolError { not_done, ..ToolError::invalid("redirect", message) });
    }
    Err(answer.refusal())
}

/// What came back. It was carried out, so nothing about its content is an error.
fn output(answer: Answer, key: String) -> Output {
    let place = &answer.place;
    let content = content::read(&answer.body, &answer.headers, Form::Auto, place)
        .or_else(|_| content::read(&answer.body, &answer.headers, Form::Text, place))
        .unwrap_or_default();
    Output {
        text: content.text,
        value: content.value.unwrap_or_default(),
        status: answer.status.as_u16(),
        content_type: kind_of(&answer.headers),
        headers: told(&answer.headers),
        key,
    }
}
