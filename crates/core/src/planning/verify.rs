//! Whether an answer says only what the run can show.

use serde_json::Value;

use crate::tool::Effect;

/// What a step of the run gave.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The step.
    pub id: &'a str,
    /// The effect of what it called.
    pub effect: Effect,
    /// Whether it completed. Only then it has an output.
    pub completed: bool,
    /// What it gave.
    pub output: &'a Value,
}

/// Something that an answer says and the run cannot show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{claim}: {why}")]
#[non_exhaustive]
pub struct Unsupported {
    /// The words of the answer.
    pub claim: String,
    /// What is missing.
    pub why: String,
}

/// Holds an answer against the results that it names as its sources, and against what the goal says itself.
pub fn verify(answer: &Value, sources: &[String], found: &[Found<'_>], goal: &str) -> Result<(), Vec<Unsupported>> {
    let _ = (answer, sources, found, goal);
    unimplemented!()
}
