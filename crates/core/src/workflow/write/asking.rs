//! What chats and goals say, written back.

use serde_json::{Value, json};

use super::schema;
use crate::model::Role;
use crate::workflow::graph::{Chat, Goal};

/// The keys of a verb, in the order of the file.
type Parts = Vec<(&'static str, Option<Value>)>;

pub(super) fn chat(chat: &Chat) -> Parts {
    let mut parts = vec![("model", Some(json!(chat.model)))];
    let said: Vec<_> = chat.messages.iter().map(|message| (message.role, json!(message.content.text))).collect();
    match said.as_slice() {
        [(Role::User, prompt)] => parts.push(("prompt", Some(prompt.clone()))),
        [(Role::System, system), (Role::User, prompt)] => {
            parts.extend([("system", Some(system.clone())), ("prompt", Some(prompt.clone()))]);
        }
        said => {
            let message = |(role, text): &(Role, Value)| json!({ "role": role.as_str(), "content": text });
            parts.push(("messages", Some(said.iter().map(message).collect())));
        }
    }
    parts.push(("adapter", chat.adapter.as_ref().map(|adapter| json!(adapter))));
    parts.push(("tools", (!chat.tools.is_empty()).then(|| json!(chat.tools))));
    answers(chat.schema.as_ref(), chat.temperature_milli, chat.max_tokens, chat.seed, &mut parts);
    parts
}

pub(super) fn goal(goal: &Goal) -> Parts {
    let mut tools: Vec<_> = goal.tools.iter().map(|tool| json!(tool)).collect();
    tools.extend(goal.workflows.iter().map(|(name, delegate)| {
        json!({ "workflow": delegate.workflow.path, "name": name, "description": delegate.description })
    }));
    let mut parts = vec![
        ("model", Some(json!(goal.model))),
        ("goal", Some(json!(goal.goal.text))),
        ("tools", (!tools.is_empty()).then_some(Value::Array(tools))),
        ("max_turns", Some(json!(goal.max_turns))),
    ];
    if let Some(plan) = &goal.plan {
        parts.push(("max_steps", Some(json!(plan.max_steps))));
        parts.push(("max_replans", Some(json!(plan.max_replans))));
        parts.push(("approve", plan.approve.then(|| json!(true))));
        parts.push(("draft", plan.draft_only.then(|| json!(true))));
        parts.push(("examples", (!plan.examples.is_empty()).then(|| json!(plan.examples))));
    }
    answers(goal.schema.as_ref(), goal.temperature_milli, goal.max_tokens, goal.seed, &mut parts);
    parts
}

/// What chats and goals say alike of answers.
fn answers(form: Option<&Value>, temperature_milli: u32, max_tokens: u32, seed: Option<u64>, parts: &mut Parts) {
    let form = form.map(|form| schema(form, "output", "output_schema"));
    parts.extend(form.map(|(key, form)| (key, Some(form))));
    parts.push(("temperature", (temperature_milli > 0).then(|| json!(f64::from(temperature_milli) / 1000.0))));
    parts.push(("max_tokens", Some(json!(max_tokens))));
    parts.push(("seed", seed.map(|seed| json!(seed))));
}
