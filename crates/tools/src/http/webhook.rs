//! `notify.webhook`: a message to a system of others. It shows what a tool needs whose effect must not be repeated: a key that the
//! other side can be asked for.

use parkway_core::id::EffectKey;
use parkway_core::label::Labels;
use parkway_core::tool::{Effect, Reconciled, ToolContext, ToolError};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::exchange::{Network, Over, Wanted};
use super::grants::Egress;
use super::request::{given, headers};
use super::send::judged;
use crate::remote::Remote;

/// The most bytes of an answer that are taken.
const MOST: usize = 64 << 10;

/// Tells another system something.
pub(crate) struct Webhook {
    pub(super) network: Network,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The address, which may be a secret: `${{ secrets.HOOK }}`. Its host must be granted.
    url: String,
    /// What happened, in a sentence for people.
    text: String,
    /// What belongs to it, for programs.
    #[serde(default)]
    data: Value,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The status of the answer; null if it was asked for after a crash.
    status: Option<u16>,
    /// The key that the message carried, as the header `Idempotency-Key` and as `key` in its body.
    key: String,
}

impl Remote for Webhook {
    const NAME: &'static str = "notify.webhook";
    const DESCRIPTION: &'static str = "Tells another system that something happened, at most once: a sentence for people and data for \
         programs, as JSON to its webhook.";
    const EFFECT: Effect = Effect::AtMostOnce;
    const LABELS: Labels = Labels::NONE;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let egress = Egress::notify(context)?;
        let url = given(&input.url)?;
        let key = context.key.to_string();
        let mut headers = headers(&[("idempotency-key".to_owned(), key.clone())].into())?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = json!({"text": input.text, "data": input.data, "key": key, "run": context.run, "at": context.now});
        let body = Some(body.to_string().into_bytes());
        let wanted = asking(Method::POST, url, headers, body);
        let answer = judged(self.network.ask(wanted, &egress, context).await?, &[])?;
        Ok(Output { status: Some(answer.status.as_u16()), key })
    }

    async fn reconcile(&self, key: &EffectKey, context: &ToolContext) -> Result<Reconciled, ToolError> {
        let key = key.to_string();
        let Some((url, egress)) = Egress::status(context, &key)? else { return Ok(Reconciled::Unknown) };
        let wanted = asking(Method::GET, url, HeaderMap::new(), None);
        let answer = self.network.ask(wanted, &egress, context).await?;
        Ok(match answer.status.as_u16() {
            200 => Reconciled::Done(json!(Output { status: None, key })),
            // One that is not known yet may still be on its way.
            410 => Reconciled::NotDone,
            _ => Reconciled::Unknown,
        })
    }
}

fn asking(method: Method, url: Url, headers: HeaderMap, body: Option<Vec<u8>>) -> Wanted {
    Wanted { method, url, headers, body, most: MOST, over: Over::Cut, allowed: Vec::new(), hidden: true }
}
