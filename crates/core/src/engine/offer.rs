//! Tools that a model may ask for in one round: how they are described to it, and the form that its calls come back in.
//! A model that has a form of its own for that gets their definitions; to any other one they are described in words.
//! Nothing is called.

use serde_json::{Map, Value, json};

use crate::model::{ChatMessage, ChatResponse, Role, ToolCall, ToolDefinition};
use crate::schema::move_references;
use crate::tool::ToolSpec;

const HOW: &str = "You may ask for tools. Answer with one JSON object: {\"text\": what you want to say, \"calls\": [{\"tool\": a tool's name, \"args\": its arguments}]}. Leave `calls` empty where you need no tool. These are the tools, each with the JSON Schema of its arguments:";

/// JSON Schema of an answer `{text, calls: [{tool, args}]}` with calls of these tools.
pub(super) fn form(tools: &[&ToolSpec]) -> Value {
    let mut defs = Map::new();
    let mut calls = Vec::new();
    for tool in tools {
        let place = format!("#/$defs/{}", tool.name);
        let mut args = tool.input_schema.clone();
        move_references(&mut args, &place);
        defs.insert(tool.name.clone(), args);
        calls.push(json!({
            "type": "object",
            "properties": { "tool": { "const": tool.name }, "args": { "$ref": place } },
            "required": ["tool", "args"],
            "additionalProperties": false,
        }));
    }
    json!({
        "type": "object",
        "properties": { "text": { "type": "string" }, "calls": { "type": "array", "items": { "anyOf": calls } } },
        "required": ["text", "calls"],
        "additionalProperties": false,
        "$defs": defs,
    })
}

/// The tools as a model takes them that has a form for calls of its own.
pub(super) fn definitions(tools: &[&ToolSpec]) -> Vec<ToolDefinition> {
    let definition = |tool: &&ToolSpec| ToolDefinition {
        name: tool.name.clone(),
        description: tool.description.clone(),
        parameters: tool.input_schema.clone(),
    };
    tools.iter().map(definition).collect()
}

/// What such a model said, in the [`form`] that the step's output has.
pub(super) fn output(response: &ChatResponse) -> Value {
    let call = |call: &ToolCall| json!({ "tool": call.name, "args": call.arguments });
    json!({ "text": response.text, "calls": response.tool_calls.iter().map(call).collect::<Vec<_>>() })
}

/// Tells the model of the tools, in the system message: many chat templates allow one only, and first.
pub(super) fn describe(messages: &mut Vec<ChatMessage>, tools: &[&ToolSpec]) {
    let mut text = HOW.to_owned();
    for tool in tools {
        let about = json!({ "tool": tool.name, "description": tool.description, "args": tool.input_schema });
        text.push('\n');
        text.push_str(&about.to_string());
    }
    match messages.first_mut() {
        Some(first) if first.role == Role::System => first.content = format!("{}\n\n{text}", first.content),
        _ => messages.insert(0, ChatMessage::new(Role::System, text)),
    }
}
