//! What a planner is told.

use serde_json::Value;

use super::draft::Draft;
use crate::model::ChatMessage;
use crate::workflow::PlanExample;

/// What became of a step, as a model is told.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The step.
    pub id: &'a str,
    /// `completed`, `failed`, `skipped`, `running`, `pending`, `cancelled`.
    pub status: &'a str,
    /// What it gave.
    pub output: Option<&'a Value>,
    /// Its code and message, where it failed.
    pub error: Option<(&'a str, &'a str)>,
}

impl Draft {
    /// The messages before the first line: how plans are written, the tools, plans that worked, and the goal.
    pub fn messages(&self, goal: &str, examples: &[PlanExample]) -> Vec<ChatMessage> {
        let _ = (goal, examples);
        unimplemented!()
    }

    /// What is said before a patch: what happened, and what may be written now. `room` is the most characters of it.
    pub fn patch_prompt(&self, seen: &[Seen<'_>], room: usize) -> String {
        let _ = (seen, room);
        unimplemented!()
    }
}
