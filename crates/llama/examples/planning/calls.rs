//! Calls that answer a question.

use std::time::Instant;

use parkway_core::model::{ChatMessage, ChatRequest, Constraint, Role};
use parkway_llama::Llama;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::cases::{Case, Outcome};
use crate::{Side, ask};

/// How an answer begins.
const BEGINNING: &str = "[{\"name\": \"";
/// The most tokens of an answer.
const LONGEST: u32 = 400;

/// An answer, as `scripts/planning-data --judge` reads it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) side: Side,
    /// `{name: arguments}` each.
    pub(crate) calls: Vec<Map<String, Value>>,
    pub(crate) text: String,
    pub(crate) failed: Option<String>,
    pub(crate) read: u32,
    pub(crate) wrote: u32,
    pub(crate) seconds: f64,
}

/// Has a question answered.
pub(crate) async fn write(model: Llama, case: Case, side: Side) -> Outcome<Record> {
    let started = Instant::now();
    let request = ChatRequest {
        assistant_prefix: (side == Side::Begun).then(|| BEGINNING.to_owned()),
        constraint: (side == Side::Constrained).then(|| Constraint::JsonSchema(form(&case))),
        max_tokens: LONGEST,
        ..ChatRequest::new(messages(&case))
    };
    let (answer, failed) = match ask(&model, request).await {
        Ok(answer) => (answer, None),
        Err(error) => ((None, 0, 0), Some(error.to_string())),
    };
    let (text, read, wrote) = answer;
    let begun = if side == Side::Begun { BEGINNING } else { "" };
    let text = format!("{begun}{}", text.unwrap_or_default());
    let seconds = started.elapsed().as_secs_f64();
    Ok(Record { id: case.id, side, calls: calls_of(&text), text, failed, read, wrote, seconds })
}

/// Prints what the judge does not.
pub(crate) fn tell(records: &[Record]) {
    for side in Side::ALL {
        let of: Vec<&Record> = records.iter().filter(|record| record.side == side).collect();
        let without = of.iter().filter(|record| record.calls.is_empty()).count();
        let refused = of.iter().filter(|record| record.failed.is_some()).count();
        let (read, wrote): (u32, u32) = of.iter().fold((0, 0), |(r, w), record| (r + record.read, w + record.wrote));
        println!(
            "{side:?}: {} answers, {without} without a call, {refused} refused; tokens read {read}, written {wrote}",
            of.len()
        );
    }
}

fn messages(case: &Case) -> Vec<ChatMessage> {
    let mut told = "You answer with calls of functions. Write a JSON list of calls, and nothing else, as in:\n\
        [{\"name\": \"add\", \"arguments\": {\"a\": 2, \"b\": 3}}]\n\
        Call a function several times where the question needs it. The functions:\n"
        .to_owned();
    for tool in &case.tools {
        let described = json!({"name": tool.name, "description": tool.description, "arguments": tool.input_schema});
        told.push_str(&described.to_string());
        told.push('\n');
    }
    vec![
        ChatMessage::new(Role::System, told),
        ChatMessage::new(Role::User, format!("{}\n\nWrite the JSON list of calls.", case.goal)),
    ]
}

/// JSON Schema of a list of calls.
fn form(case: &Case) -> Value {
    let calls: Vec<Value> = case
        .tools
        .iter()
        .map(|tool| {
            json!({
                "type": "object",
                "properties": {"name": {"const": tool.name}, "arguments": tool.input_schema},
                "required": ["name", "arguments"],
                "additionalProperties": false,
            })
        })
        .collect();
    json!({"type": "array", "items": {"anyOf": calls}, "minItems": 1, "maxItems": 8})
}

/// The calls in a text: the first JSON value in it that holds any, whatever stands around it.
fn calls_of(text: &str) -> Vec<Map<String, Value>> {
    let starts = text.char_indices().filter(|(_, char)| matches!(char, '[' | '{'));
    let values = starts.filter_map(|(at, _)| serde_json::Deserializer::from_str(&text[at..]).into_iter().next()?.ok());
    values.map(|value: Value| calls_in(&value)).find(|calls| !calls.is_empty()).unwrap_or_default()
}

fn calls_in(value: &Value) -> Vec<Map<String, Value>> {
    match value {
        Value::Array(items) => items.iter().flat_map(calls_in).collect(),
        Value::Object(map) => match (map.get("name").and_then(Value::as_str), map.get("arguments")) {
            (Some(name), Some(arguments @ Value::Object(_))) => {
                vec![Map::from_iter([(name.to_owned(), arguments.clone())])]
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
