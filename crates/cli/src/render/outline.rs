//! What the plan says about the steps before they start.

use super::words::clean;

/// A workflow's steps, as far as they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The workflow's name.
    pub workflow: String,
    /// Its steps, in the order of the file.
    pub steps: Vec<OutlineStep>,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutlineStep {
    /// Its id among its siblings.
    pub id: String,
    /// `tool`, `chat`, `approve`, `steps` …
    pub verb: String,
    /// What the verb is about: the tool's or the model's name; may be empty.
    pub detail: String,
    /// Whether it runs once for each item of a list.
    pub fans_out: bool,
    /// The steps of a group.
    pub children: Vec<OutlineStep>,
}

impl Outline {
    /// The outline with nothing in it that could steer a terminal.
    pub(super) fn cleaned(self) -> Self {
        Outline { workflow: clean(&self.workflow), steps: self.steps.into_iter().map(OutlineStep::cleaned).collect() }
    }
}

impl OutlineStep {
    fn cleaned(self) -> Self {
        OutlineStep {
            id: clean(&self.id),
            verb: clean(&self.verb),
            detail: clean(&self.detail),
            fans_out: self.fans_out,
            children: self.children.into_iter().map(OutlineStep::cleaned).collect(),
        }
    }

    /// Verb and detail, as they stand beside the id. The name of a tool says that it is one.
    pub(super) fn label(&self) -> String {
        match (self.verb.as_str(), self.detail.as_str()) {
            ("tool", detail) if !detail.is_empty() => detail.into(),
            ("steps", "") if self.fans_out => "for each".into(),
            (verb, "") => verb.into(),
            (verb, detail) => format!("{verb} {detail}"),
        }
    }
}
