//! Reads goals: what `agent` and `plan` say.

use serde_json::{Map, Value};

use super::read::{output, text};
use super::step::SubDef;
use super::{SchemaDef, TextDef};
use crate::workflow::diagnostic::{Diagnostic, Place};
use crate::workflow::field::refuse_filled;
use crate::workflow::graph::PlanExample;
use crate::workflow::reading::{Keys, Reader};
use crate::workflow::tree::{At, Entries, Kind, Tree};

/// The most turns of an agent, and the most steps of a plan, that may be asked for.
const MOST: u32 = 64;
/// The most patches of a plan that may be asked for.
const MOST_REPLANS: u32 = 8;

/// A goal, and what a model may do to reach it.
#[derive(Clone, Debug)]
pub(crate) struct GoalDef {
    /// The model's name; that of `defaults` if absent.
    pub(crate) model: Option<At<String>>,
    pub(crate) goal: TextDef,
    pub(crate) tools: Vec<OfferDef>,
    pub(crate) max_turns: Option<u32>,
    pub(crate) output: Option<SchemaDef>,
    pub(crate) temperature: Option<At<f64>>,
    pub(crate) max_tokens: Option<At<u64>>,
    pub(crate) seed: Option<u64>,
    /// How a plan is made; an agent makes none.
    pub(crate) plan: Option<PlanningDef>,
}

/// What a model may call.
#[derive(Clone, Debug)]
pub(crate) enum OfferDef {
    Tool(At<String>),
    /// All tools of a family: `files.*`.
    Family(At<String>),
    Workflow(DelegateDef),
}

/// A workflow that is called as a tool is.
#[derive(Clone, Debug)]
pub(crate) struct DelegateDef {
    /// The workflow: always a run of its own, with arguments that the model writes.
    pub(crate) sub: SubDef,
    /// What the model knows it under; the name of its file if absent.
    pub(crate) name: Option<At<String>>,
    /// What it does, in words for the model; the description in its file if absent.
    pub(crate) description: Option<String>,
}

/// How a plan is made and mended.
#[derive(Clone, Debug)]
pub(crate) struct PlanningDef {
    pub(crate) max_steps: Option<u32>,
    pub(crate) max_replans: Option<u32>,
    pub(crate) approve: bool,
    pub(crate) draft: bool,
    pub(crate) examples: Vec<PlanExample>,
}

pub(super) fn read_agent(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<GoalDef> {
    let mut keys = reader.keys(tree, "`agent`")?;
    let tools = keys.get(reader, "tools");
    let goal = read_goal(reader, &mut keys, tools);
    keys.finish(reader);
    goal
}

pub(super) fn read_plan(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<GoalDef> {
    let mut keys = reader.keys(tree, "`plan`")?;
    let tools = keys.required(reader, "tools");
    let goal = read_goal(reader, &mut keys, tools);
    let mut flag = |name| keys.get(reader, name).and_then(|tree| reader.flag(tree)).unwrap_or(false);
    let (approve, draft) = (flag("approve"), flag("draft"));
    let planning = PlanningDef {
        max_steps: most(reader, &mut keys, "max_steps", 1, MOST),
        max_replans: most(reader, &mut keys, "max_replans", 0, MOST_REPLANS),
        approve,
        draft,
        examples: keys.get(reader, "examples").map(|tree| read_examples(reader, tree)).unwrap_or_default(),
    };
    if let Some(none) = tools.filter(|tree| tree.kind == Kind::List(Vec::new())) {
        let message = "this plan has no tools: it would have no steps";
        let help = "name what it may call, as `[files.*]`; for an answer alone use `chat`";
        reader.problem(Diagnostic::new("no-tools", none.place, message).help(help));
    }
    keys.finish(reader);
    Some(GoalDef { plan: Some(planning), ..goal? })
}

/// What both verbs say.
fn read_goal(reader: &mut Reader<'_, '_>, keys: &mut Keys<'_>, tools: Option<&Tree>) -> Option<GoalDef> {
    let model = keys.get(reader, "model").and_then(|tree| reader.text(tree));
    let goal = keys.required(reader, "goal").and_then(|tree| text(reader, tree));
    let tools = tools.map(|tree| reader.list(tree, read_offer)).unwrap_or_default();
    let max_turns = most(reader, keys, "max_turns", 1, MOST);
    let output = output(reader, keys);
    if let Some(SchemaDef::Fields(fields)) = &output {
        refuse_filled(reader, &fields.value, true);
    }
    let temperature = keys.get(reader, "temperature").and_then(|tree| reader.number(tree));
    let max_tokens = keys.get(reader, "max_tokens").and_then(|tree| reader.count(tree));
    if let Some(none) = max_tokens.as_ref().filter(|max| max.value == 0) {
        let message = "`max_tokens: 0` leaves no room for a turn";
        reader.problem(Diagnostic::new("bad-value", none.place, message).help("take 1 or more"));
    }
    let seed = keys.get(reader, "seed").and_then(|tree| reader.integer(tree)).map(|seed| seed.value);
    Some(GoalDef { model, goal: goal?, tools, max_turns, output, temperature, max_tokens, seed, plan: None })
}

/// A number from `least` to `most`.
fn most(reader: &mut Reader<'_, '_>, keys: &mut Keys<'_>, name: &'static str, least: u32, most: u32) -> Option<u32> {
    let number = keys.get(reader, name).and_then(|tree| reader.integer::<u32>(tree))?;
    if !(least..=most).contains(&number.value) {
        let message = format!("`{name}: {}` is out of bounds", number.value);
        let help = format!("take a number from {least} to {most}");
        reader.problem(Diagnostic::new("bad-value", number.place, message).help(help));
        return None;
    }
    Some(number.value)
}

fn read_offer(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<OfferDef> {
    if !matches!(tree.kind, Kind::Map(_)) {
        let name = reader.text(tree)?;
        return Some(match name.value.strip_suffix(".*") {
            Some(family) => OfferDef::Family(At::new(family.to_owned(), name.place)),
            None => OfferDef::Tool(name),
        });
    }
    let mut keys = reader.keys(tree, "an entry of `tools`")?;
    let path = keys.required(reader, "workflow").and_then(|tree| reader.text(tree));
    let name = keys.get(reader, "name").and_then(|tree| reader.text(tree));
    let description = keys.get(reader, "description").and_then(|tree| reader.text(tree));
    keys.finish(reader);
    let path = path?;
    let child = reader.child(&path);
    let with = At::new(Entries::default(), path.place);
    let sub = SubDef { path, child, with, own_run: true };
    Some(OfferDef::Workflow(DelegateDef { sub, name, description: description.map(|text| text.value) }))
}

/// Plans that worked: here, or one a line in a file of their own.
fn read_examples(reader: &mut Reader<'_, '_>, tree: &Tree) -> Vec<PlanExample> {
    if !matches!(tree.kind, Kind::Map(_)) {
        return reader.list(tree, read_example);
    }
    let Some(file) = text(reader, tree) else { return Vec::new() };
    let name = file.file.as_deref().unwrap_or_default();
    let lines = file.text().lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut examples = Vec::new();
    for (number, line) in lines {
        match example_of(line) {
            Ok(example) => examples.push(example),
            Err(why) => {
                let message = format!("line {} of `{name}` is no example of a plan: {why}", number + 1);
                let help = "write one `{\"goal\": …, \"lines\": [ … ]}` a line";
                reader.problem(Diagnostic::new("bad-example", tree.place, message).help(help));
            }
        }
    }
    examples
}

fn read_example(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<PlanExample> {
    let mut keys = reader.keys(tree, "an example of a plan")?;
    let goal = keys.required(reader, "goal").and_then(|tree| reader.text(tree));
    let lines = keys.required(reader, "lines").map(|tree| {
        reader.list(tree, |reader, tree| {
            reader.keys(tree, "a line of a plan")?;
            Some(tree.to_value())
        })
    });
    keys.finish(reader);
    Some(PlanExample { goal: goal?.value, lines: lines? })
}

fn example_of(line: &str) -> Result<PlanExample, String> {
    let mut example: Map<String, Value> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let Some(Value::String(goal)) = example.remove("goal") else { return Err("`goal` is no text".into()) };
    let Some(Value::Array(lines)) = example.remove("lines") else { return Err("`lines` is no list".into()) };
    if lines.iter().any(|line| !line.is_object()) {
        return Err("a line of a plan is an object".into());
    }
    match example.keys().next() {
        Some(key) => Err(format!("`{key}` is no key of it")),
        None => Ok(PlanExample { goal, lines }),
    }
}

impl OfferDef {
    pub(crate) fn place(&self) -> Place {
        match self {
            OfferDef::Tool(name) | OfferDef::Family(name) => name.place,
            OfferDef::Workflow(delegate) => delegate.sub.path.place,
        }
    }
}
