//! What a planner writes: one line of JSON a step, and a closing line.
//!
//! ```json
//! {"id":"s1","tool":"files.list","args":{"folder":"letters"},"why":"all letters"}
//! {"id":"s2","tool":"files.read","for_each":{"$ref":"s1.files"},"args":{"path":{"$ref":"item.path"}},"why":"their texts"}
//! {"id":"s3","tool":"notify","if":{"left":{"$ref":"s1.count"},"is":">","right":9},"late":"name the worst","uses":["s2"],"why":"tell"}
//! {"done":true,"answer":{"$ref":"s2"}}
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::reference::{ITEM, Reference, each_reference, rename};

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

impl PlannedStep {
    /// A step without arguments.
    pub(super) fn new(id: String, tool: String) -> Self {
        PlannedStep {
            id,
            tool,
            args: Map::new(),
            for_each: None,
            condition: None,
            late: None,
            uses: Vec::new(),
            after: Vec::new(),
            replaces: None,
            why: String::new(),
            source: String::new(),
        }
    }

    /// The ids of the steps that it waits for.
    pub fn needs(&self) -> BTreeSet<String> {
        let mut ids: BTreeSet<String> = self.uses.iter().chain(&self.after).cloned().collect();
        ids.extend(self.for_each.iter().chain(self.condition.iter().map(|one| &one.left)).map(|one| one.root.clone()));
        let mut see = |found: Reference| {
            ids.insert(found.root);
        };
        self.args.values().for_each(|value| each_reference(value, &mut see));
        ids.remove(ITEM);
        ids
    }

    /// The list that it is done over, if what it does depends on the item.
    pub(super) fn over(&self) -> Option<&Reference> {
        let mut sees = self.condition.as_ref().is_some_and(|condition| condition.left.root == ITEM);
        self.args.values().for_each(|value| each_reference(value, &mut |found| sees |= found.root == ITEM));
        self.for_each.as_ref().filter(|_| sees)
    }

    /// The same step, where others have new names.
    pub(super) fn renamed(&self, names: &BTreeMap<String, String>) -> PlannedStep {
        let mut step = self.clone();
        let one = |id: &mut String| {
            if let Some(name) = names.get(id) {
                id.clone_from(name);
            }
        };
        step.uses.iter_mut().chain(&mut step.after).for_each(one);
        let roots = step.for_each.iter_mut().chain(step.condition.iter_mut().map(|one| &mut one.left));
        roots.for_each(|found| one(&mut found.root));
        step.args.values_mut().for_each(|value| rename(value, names));
        step
    }
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

impl Comparison {
    /// All that are written out: [`Comparison::True`] is a reference alone.
    pub(super) const WRITTEN: [Comparison; 7] = [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::More,
        Comparison::Less,
        Comparison::Contains,
        Comparison::Empty,
        Comparison::NotEmpty,
    ];

    /// The word that it is written as.
    pub fn as_str(self) -> &'static str {
        match self {
            Comparison::True => "true",
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
            Comparison::More => ">",
            Comparison::Less => "<",
            Comparison::Contains => "contains",
            Comparison::Empty => "empty",
            Comparison::NotEmpty => "not_empty",
        }
    }

    /// Whether it needs something to compare with.
    pub(super) fn compares(self) -> bool {
        !matches!(self, Comparison::True | Comparison::Empty | Comparison::NotEmpty)
    }
}

/// The closing line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// The answer, where the plan says what it is made of: a value with references. A model writes one from the results if absent.
    pub answer: Option<Value>,
}
