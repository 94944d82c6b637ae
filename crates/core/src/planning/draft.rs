//! The plan as far as it is written: which line may come next, and whether one that came may stand.

use std::collections::BTreeMap;

use serde_json::Value;

use super::line::{Done, Line, PlannedStep};
use crate::tool::ToolSpec;

/// A plan as far as it is written.
#[derive(Clone, Debug)]
pub struct Draft {
    tools: Vec<ToolSpec>,
    answer: Option<Value>,
    max_steps: u32,
}

/// How a step stands when a plan is to be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It has completed: its output may be referred to.
    Completed,
    /// It runs, or waits for a person: it may be referred to, and stays.
    Started,
    /// It has not started: it may be referred to, dropped and replaced.
    Open,
    /// It failed, or was skipped or dropped: it may be replaced, and not referred to.
    Lost,
}

/// Why a line cannot stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
#[non_exhaustive]
pub struct LineError {
    /// Stable code: `json`, `shape`, `id`, `unknown_tool`, `unknown_argument`, `missing_argument`, `type`, `unknown_step`,
    /// `forward_reference`, `unknown_field`, `cycle`, `limit`, `standing`.
    pub code: &'static str,
    /// Where in the line: `args.path`.
    pub place: String,
    /// What is wrong, and what could stand there.
    pub message: String,
}

/// What a line changes.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The steps that come into being: that of the line, and under new ids those that waited for one that it replaces.
    pub steps: Vec<PlannedStep>,
    /// Steps that will not run.
    pub dropped: Vec<String>,
    /// That the plan is whole.
    pub done: Option<Done>,
}

impl Draft {
    /// An empty plan over these tools, for an answer of this JSON Schema (free text if absent), of at most so many steps.
    pub fn new(tools: Vec<ToolSpec>, answer: Option<Value>, max_steps: u32) -> Self {
        Draft { tools, answer, max_steps }
    }

    /// JSON Schema of the next line: only known tools, arguments of the tool's schema, only earlier ids, only references whose
    /// schema fits.
    pub fn form(&self) -> Value {
        unimplemented!()
    }

    /// The line that a value is, if it may come next; else all that is wrong with it.
    pub fn read(&self, line: &Value) -> Result<Line, Vec<LineError>> {
        let _ = line;
        unimplemented!()
    }

    /// Takes a line in that [`Draft::read`] gave; `source` is the turn that wrote it.
    pub fn take(&mut self, line: Line, source: &str) -> Change {
        let _ = (line, source);
        unimplemented!()
    }

    /// From here on the lines mend the plan, whose steps stand like this.
    pub fn begin_patch(&mut self, standing: &BTreeMap<String, Standing>) {
        let _ = standing;
        unimplemented!()
    }

    /// The steps, in the order of their ids; dropped ones too.
    pub fn steps(&self) -> &[PlannedStep] {
        &[]
    }

    /// The closing line, where it was written.
    pub fn done(&self) -> Option<&Done> {
        None
    }

    /// The tools.
    pub fn tools(&self) -> &[ToolSpec] {
        &self.tools
    }

    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&ToolSpec> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}
