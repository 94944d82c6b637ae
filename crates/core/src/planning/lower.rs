//! Planned steps as nodes of the graph: references become templates.

use serde_json::{Map, Value};

use super::draft::Draft;
use super::line::{Comparison, Condition, PlannedStep};
use super::reference::{ITEM, Key, Reference, holds_reference};
use crate::workflow::{ForEach, Node, OnItemError, Retry, Turn, Verb, literal};

/// How long a call may take, in milliseconds.
const CALL_MS: u64 = 120_000;
/// How long a turn of a model may take.
const TURN_MS: u64 = 600_000;
/// How often a failed call is tried again. One that must not be made twice is only if it is certain that nothing was done.
const RETRIES: u32 = 2;
/// How many items of a fan-out run at once.
const AT_ONCE: u32 = 8;

/// How what a planner wrote out (a text, a number) stands in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literals {
    /// As it is, so that a file can be made of it.
    Inline,
    /// By a reference to the turn that wrote it (`${{ steps.line_3.output.args.path }}`), so that it has that turn's labels. Of a
    /// step that no turn wrote it stands as it is.
    FromTurn,
}

/// A node, and what it waits for by id.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Lowered {
    /// The node; its `after` and `parent` are empty.
    pub node: Node,
    /// Ids of the steps beside it that it waits for.
    pub after: Vec<String>,
}

impl Draft {
    /// The nodes of a step, in order: the step, and before it the turn that decides its arguments, where that is done late.
    pub fn lower(&self, step: &PlannedStep, literals: Literals) -> Vec<Lowered> {
        let writer = Writer::new(literals, &step.source);
        let retry = || Some(Retry::times(RETRIES));
        let condition = step.condition.as_ref().map(|one| Value::String(writer.condition(one)));
        let mut after: Vec<String> = step.needs().into_iter().collect();
        let mut lowered = Vec::new();
        let with = match &step.late {
            None => writer.args(&step.args),
            Some(late) => {
                let id = format!("{}_args", step.id);
                let with = format!("${{{{ steps.{id}.output }}}}");
                let turn = Verb::Turn(Turn::Decide { step: step.id.clone() });
                let node = Node { condition: condition.clone(), retry: retry(), ..node(&id, turn, TURN_MS) };
                let node = Node { description: writer.words(late), ..node };
                lowered.push(Lowered { node, after: after.clone() });
                after.push(id);
                Value::String(with)
            }
        };
        let for_each = step.for_each.as_ref().map(|list| ForEach {
            list: Value::String(wrapped(&expression(list))),
            item: ITEM.to_owned(),
            key: None,
            max_parallel: AT_ONCE,
            on_item_error: OnItemError::Fail,
        });
        let node = Node {
            description: writer.words(&step.why),
            condition,
            for_each,
            retry: retry(),
            ..node(&step.id, Verb::Tool { name: step.tool.clone(), with }, CALL_MS)
        };
        lowered.push(Lowered { node, after });
        lowered
    }

    /// The answer that the closing line gives, as a template; none where a model writes it. `source` is the turn of that line.
    pub fn lower_answer(&self, literals: Literals, source: &str) -> Option<Value> {
        let answer = self.done()?.answer.as_ref()?;
        Some(Writer::new(literals, source).value(answer, ".answer"))
    }
}

fn node(id: &str, verb: Verb, timeout_ms: u64) -> Node {
    Node { timeout_ms: Some(timeout_ms), ..Node::new(id, None, verb) }
}

/// Writes values as templates.
struct Writer<'s> {
    /// The turn whose output literals are taken from.
    turn: Option<&'s str>,
}

impl<'s> Writer<'s> {
    fn new(literals: Literals, source: &'s str) -> Self {
        Writer { turn: (literals == Literals::FromTurn && !source.is_empty()).then_some(source) }
    }

    /// What the planner says to people; free text stays out of graphs that are made in a run.
    fn words(&self, text: &str) -> Option<String> {
        (self.turn.is_none() && !text.is_empty()).then(|| text.to_owned())
    }

    fn args(&self, args: &Map<String, Value>) -> Value {
        let arg =
            |(name, value): (&String, &Value)| (name.clone(), self.value(value, &format!(".args{}", field(name))));
        Value::Object(args.iter().map(arg).collect())
    }

    /// A value as a template; `at` is where it stands in the line.
    fn value(&self, value: &Value, at: &str) -> Value {
        if let Some(Ok(found)) = Reference::of(value) {
            return Value::String(wrapped(&expression(&found)));
        }
        if let Some(turn) = self.turn.filter(|_| !holds_reference(value)) {
            return Value::String(wrapped(&format!("steps.{turn}.output{at}")));
        }
        match value {
            Value::Object(map) => {
                let part = |(name, value): (&String, &Value)| {
                    (name.clone(), self.value(value, &format!("{at}{}", field(name))))
                };
                Value::Object(map.iter().map(part).collect())
            }
            Value::Array(list) => {
                let part = |(i, value): (usize, &Value)| self.value(value, &format!("{at}[{i}]"));
                Value::Array(list.iter().enumerate().map(part).collect())
            }
            Value::String(text) => Value::String(literal(text)),
            other => other.clone(),
        }
    }

    fn condition(&self, condition: &Condition) -> String {
        let left = expression(&condition.left);
        let right = match self.turn {
            Some(turn) => format!("steps.{turn}.output['if'].right"),
            None => constant(&condition.right),
        };
        // What is null has no length, and holds nothing.
        let filled = format!("({left} | default([]))");
        let condition = match condition.is {
            Comparison::True => format!("{left} is true"),
            Comparison::Contains => format!("{right} in {filled}"),
            Comparison::Empty => format!("({filled} | length) == 0"),
            Comparison::NotEmpty => format!("({filled} | length) > 0"),
            is => format!("{left} {} {right}", is.as_str()),
        };
        wrapped(&condition)
    }
}

fn wrapped(expression: &str) -> String {
    format!("${{{{ {expression} }}}}")
}

/// A reference as an expression: `steps.s1.output.files[0].path`, `item.path`.
fn expression(found: &Reference) -> String {
    let mut text = match found.root.as_str() {
        ITEM => ITEM.to_owned(),
        id => format!("steps.{id}.output"),
    };
    for key in &found.path {
        match key {
            Key::At(at) => text.push_str(&format!("[{at}]")),
            Key::Name(name) => text.push_str(&field(name)),
        }
    }
    text
}

/// The way to a field in an expression: `.path`, `['max-size']`.
fn field(name: &str) -> String {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        format!(".{name}")
    } else {
        format!("[{}]", quoted(name))
    }
}

/// A text in an expression.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    format!("'{}'", inner.replace("\\\"", "\"").replace('\'', "\\'"))
}

/// A value that is written out, in an expression.
fn constant(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}
