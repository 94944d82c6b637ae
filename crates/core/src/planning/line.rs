//! What a planner writes: one line of JSON a step, and a closing line.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A place in what an earlier step gives: `s1.files[0].path`, or in the item of a fan-out: `item.path`. In a line it stands as
/// `{"$ref": "s1.files[0].path"}`, wherever a value may stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// The step's id, or `item`.
    pub root: String,
    /// The way from its output: names and places in lists.
    pub path: Vec<Key>,
}

/// One step of the way into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// A place in a list, from 0.
    At(u32),
    /// A field of an object.
    Name(String),
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Line {
    /// `{"id":"s2","tool":"math","args":{…},"why":"…"}`: a step.
    Step(Box<PlannedStep>),
    /// `{"drop":"s4"}`: a step that has not started is not needed any more. Only in a patch.
    Drop {
        /// The step.
        id: String,
    },
    /// `{"done":true}`, `{"done":true,"answer":…}`: the plan is whole.
    Done(Done),
}

/// A step of the plan.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlannedStep {
    /// `s1`, `s2`, … in the order of the lines.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// Its arguments, with references wherever a value may stand; empty for a step that is decided late.
    pub args: Map<String, Value>,
    /// `"for_each":{"$ref":"s1.files"}`: it is done for each item of that list, which its arguments see as `item`.
    pub for_each: Option<Reference>,
    /// `"if":{"$ref":"s1.found"}`, `"if":{"left":{"$ref":"s1.count"},"is":">","right":3}`: it is done only if that holds.
    pub condition: Option<Condition>,
    /// `"late":"…","uses":["s1"]`: its arguments are decided when these steps have given what they give; the text says by what.
    pub late: Option<String>,
    /// The steps that such a decision looks at.
    pub uses: Vec<String>,
    /// `"after":["s2"]`: steps that must have completed before, beside those that it refers to.
    pub after: Vec<String>,
    /// In a patch: the step in whose place it stands. What waited for that one waits for this one, under new ids.
    pub replaces: Option<String>,
    /// Why it is done, in the planner's words.
    pub why: String,
    /// The turn in whose output the line stands: `line_3`. Empty outside a run.
    pub source: String,
}

/// When a step is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What is looked at.
    pub left: Reference,
    /// How.
    pub is: Comparison,
    /// What it is compared with; null where nothing is needed.
    pub right: Value,
}

/// How a condition looks at a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Comparison {
    /// It is true.
    True,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    More,
    /// `<`
    Less,
    /// `contains`: a text or a list holds it.
    Contains,
    /// `empty`: a text or a list without anything.
    Empty,
    /// `not_empty`
    NotEmpty,
}

/// The closing line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// The answer, where the plan says what it is made of: a value with references. A model writes one from the results if absent.
    pub answer: Option<Value>,
}
