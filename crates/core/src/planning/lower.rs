//! Planned steps as nodes of the graph: references become templates.

use serde_json::Value;

use super::draft::Draft;
use super::line::PlannedStep;
use crate::workflow::Node;

/// How what a planner wrote out (a text, a number) stands in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literals {
    /// As it is, so that a file can be made of it.
    Inline,
    /// By a reference to the turn that wrote it (`${{ steps.line_3.output.args.path }}`), so that it has that turn's labels.
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
        let _ = (step, literals);
        unimplemented!()
    }

    /// The answer that the closing line gives, as a template; none where a model writes it.
    pub fn lower_answer(&self, literals: Literals, source: &str) -> Option<Value> {
        let _ = (literals, source);
        unimplemented!()
    }
}
