//! What a step that asks has asked.

use parkway::id::StepKey;
use parkway::log::EventKind;
use parkway::{Parkway, Record};
use serde_json::Value;

use crate::failure::Failure;
use crate::render::Question;

/// The newest question of a step, with the texts that it shows; none, if it asks nothing.
pub(crate) async fn asked(parkway: &Parkway, record: &Record, key: &StepKey) -> Result<Option<Question>, Failure> {
    let asked = record.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::ApprovalRequested { key: step, prompt, shown, .. } if step == key => Some((*prompt, *shown)),
        _ => None,
    });
    let Some((prompt, shown)) = asked else { return Ok(None) };
    let mut texts = parkway.texts(&[prompt, shown]).await?.into_iter();
    let prompt = match texts.next().unwrap_or_default() {
        Value::String(prompt) => prompt,
        other => other.to_string(),
    };
    Ok(Some(Question { step: key.clone(), prompt, shown: texts.next().unwrap_or_default() }))
}
