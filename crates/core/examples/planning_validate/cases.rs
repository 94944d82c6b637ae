//! Goals with their tools and their known plans, as `scripts/planning-data` writes them.

use std::collections::BTreeMap;
use std::error::Error;

use parkway_core::label::Labels;
use parkway_core::tool::{Effect, ToolSpec};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What comes of a part of the program.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A goal, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Its name in the data set.
    pub(crate) id: String,
    /// What is asked, in words.
    pub(crate) goal: String,
    /// The tools at hand.
    pub(crate) tools: Vec<ToolSpec>,
    /// The known plan.
    pub(crate) gold: Vec<Call>,
    /// What the plan gives in the end, where the data set says it.
    pub(crate) answer: Option<Value>,
    /// Where the plan does not keep to the schemas of its own tools, as the script found.
    pub(crate) departs: Vec<String>,
}

/// A step of a known plan.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Call {
    /// `s1`, `s2`, …
    pub(crate) id: String,
    /// The tool.
    pub(crate) tool: String,
    /// Its arguments, with references.
    pub(crate) args: Map<String, Value>,
}

impl Call {
    /// The step as a planner would write it.
    pub(crate) fn line(&self) -> Value {
        json!({"id": self.id, "tool": self.tool, "args": self.args, "why": ""})
    }
}

#[derive(Deserialize)]
struct Catalogue {
    tools: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    /// What cases call it by, where the name is not enough.
    key: Option<String>,
    name: String,
    description: String,
    input_schema: Value,
    #[serde(default)]
    output_schema: Value,
}

#[derive(Deserialize)]
struct Written {
    id: String,
    goal: String,
    tools: Vec<String>,
    gold: Vec<Call>,
    answer: Option<Value>,
    #[serde(default)]
    departs: Vec<String>,
}

/// The cases of a file.
pub(crate) fn read(path: &str) -> Outcome<Vec<Case>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {path}: {error}; scripts/planning-data writes such files"))?;
    let mut lines = text.lines();
    let catalogue: Catalogue = serde_json::from_str(lines.next().unwrap_or_default())?;
    let tools: BTreeMap<String, ToolSpec> = catalogue.tools.into_iter().map(Described::spec).collect();
    lines.map(|line| Case::of(serde_json::from_str(line)?, &tools)).collect()
}

impl Described {
    fn spec(self) -> (String, ToolSpec) {
        // Nothing is known of what a tool of the leaderboard gives.
        let output_schema = if self.output_schema.is_null() { json!({}) } else { self.output_schema };
        let spec = ToolSpec {
            name: self.name.clone(),
            description: self.description,
            input_schema: self.input_schema,
            output_schema,
            effect: Effect::Read,
            labels: Labels::NONE,
        };
        (self.key.unwrap_or(self.name), spec)
    }
}

impl Case {
    fn of(written: Written, tools: &BTreeMap<String, ToolSpec>) -> Outcome<Case> {
        let tool = |name: &String| tools.get(name).cloned().ok_or(format!("{}: no tool {name}", written.id));
        Ok(Case {
            tools: written.tools.iter().map(tool).collect::<Result<_, _>>()?,
            id: written.id,
            goal: written.goal,
            gold: written.gold,
            answer: written.answer,
            departs: written.departs,
        })
    }
}
