//! A request of the port as the JSON that servers take.

use parkway_core::model::{ChatMessage, ChatRequest, ModelError, Role};
use serde_json::{Map, Value, json};

use crate::constraint::Form;
use crate::names::Names;
use crate::server::Dialect;

/// The body of a request for a chat, and its constraint.
pub(crate) fn body(
    request: &ChatRequest,
    model: &str,
    dialect: Dialect,
    names: &Names,
) -> Result<(Vec<u8>, Option<Form>), ModelError> {
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    body.insert("messages".into(), request.messages.iter().map(|said| message(said, names)).collect());
    body.insert("stream".into(), true.into());
    body.insert("stream_options".into(), json!({ "include_usage": true }));
    body.insert("temperature".into(), decimal(request.temperature));
    // What all servers take for a seed has 31 bits.
    body.insert("seed".into(), (request.seed & 0x7fff_ffff).into());
    body.insert(dialect.max_tokens().into(), request.max_tokens.into());
    if let Some(adapter) = &request.adapter {
        let message =
            format!("the server has no adapter `{adapter}`; bind a model of its own to the adapter's name there");
        return Err(ModelError::Unsupported(message));
    }
    if let Some(prefix) = &request.assistant_prefix {
        let Some(fields) = dialect.prefix() else {
            return Err(unable(dialect, "go on with the beginning of an answer"));
        };
        if let Some(Value::Array(messages)) = body.get_mut("messages") {
            messages.push(json!({ "role": "assistant", "content": prefix }));
        }
        body.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), Value::Bool(*value))));
    }
    if !request.tools.is_empty() {
        if !dialect.tools {
            return Err(unable(dialect, "take definitions of tools"));
        }
        if request.constraint.is_some() {
            return Err(ModelError::Unsupported("a constraint and tools cannot be asked for together".into()));
        }
        let tools = request.tools.iter().map(|tool| {
            let name = names.theirs(&tool.name);
            let function = json!({ "name": name, "description": tool.description, "parameters": tool.parameters });
            json!({ "type": "function", "function": function })
        });
        body.insert("tools".into(), tools.collect());
    }
    if let Some(top) = request.logprobs {
        if !dialect.logprobs() {
            return Err(unable(dialect, "tell log-probabilities"));
        }
        body.insert("logprobs".into(), true.into());
        body.insert("top_logprobs".into(), top.into());
    }
    let form = request.constraint.as_ref().map(|constraint| Form::of(constraint, dialect)).transpose()?;
    if let Some(form) = &form {
        body.extend(form.fields.clone());
    }
    Ok((Value::Object(body).to_string().into_bytes(), form))
}

fn unable(dialect: Dialect, what: &str) -> ModelError {
    ModelError::Unsupported(format!("a server of the kind `{}` is not known to {what}", dialect.server))
}

fn message(message: &ChatMessage, names: &Names) -> Value {
    let mut said = json!({ "role": message.role.as_str(), "content": message.content });
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| {
            let function = json!({ "name": names.theirs(&call.name), "arguments": call.arguments.to_string() });
            json!({ "id": call.id, "type": "function", "function": function })
        });
        said["tool_calls"] = calls.collect();
    }
    if let (Role::Tool, Some(id)) = (message.role, &message.tool_call_id) {
        said["tool_call_id"] = id.as_str().into();
    }
    said
}

/// A number as a person wrote it: 0.7 and not 0.699999988079071.
fn decimal(number: f32) -> Value {
    number.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}
