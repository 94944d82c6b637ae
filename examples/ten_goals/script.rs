//! A played model: what it writes in each turn is written down, by the goal that it is asked about.

use parkway::ModelBinding;
use parkway::model::{ChatRequest, ModelError};
use parkway::testing::ScriptedModel;
use serde_json::{Value, json};

use crate::goals::Task;
use crate::place::Place;

/// What is written for a goal.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The lines of the plan, without the closing one.
    lines: Vec<Value>,
    /// The steps that the answer names as its sources.
    sources: Vec<&'static str>,
    /// The answer.
    answer: String,
}

impl Script {
    /// Lines of a plan, and an answer with its sources, which stand in one text.
    pub(crate) fn new(lines: Vec<Value>, sources: &'static str, answer: impl Into<String>) -> Script {
        Script { lines, sources: sources.split(' ').collect(), answer: answer.into() }
    }
}

/// A step of a plan; `more` are keys beside those that each has.
pub(crate) fn step(id: &str, tool: &str, args: Value, more: Value) -> Value {
    let mut step = json!({ "id": id, "tool": tool, "args": args, "why": "it is needed" });
    if let (Value::Object(step), Value::Object(more)) = (&mut step, more) {
        step.extend(more);
    }
    step
}

/// A model that plays the scripts of goals, by their names.
pub(crate) fn played(tasks: &[Task], place: &Place, script: fn(&str, &Place) -> Script) -> ModelBinding {
    let scripts: Vec<_> = tasks.iter().map(|task| (task.goal.clone(), script(task.name, place))).collect();
    let find = move |request: &ChatRequest| {
        let asked = request.messages.iter().find_map(|message| {
            let (_, goal) = message.content.split_once("The goal: ").unwrap_or(("", &message.content));
            scripts.iter().find(|(known, _)| goal.starts_with(known))
        });
        let said = asked.and_then(|(_, script)| turn(script, request));
        said.ok_or_else(|| ModelError::Backend { message: "nothing is written down for this".into(), retryable: false })
    };
    ScriptedModel::new().script(find).into()
}

/// What is said in a turn: a line of the plan, the line that closes it, or the answer.
fn turn(script: &Script, request: &ChatRequest) -> Option<String> {
    let id = &request.step.as_ref()?.last()?.id;
    if let Some(number) = id.strip_prefix("line_").and_then(|number| number.parse::<usize>().ok()) {
        let line = script.lines.get(number.checked_sub(1)?);
        return Some(line.map_or_else(|| r#"{"done":true}"#.to_owned(), Value::to_string));
    }
    Some(json!({ "sources": script.sources, "answer": script.answer }).to_string())
}
