//! The plan as far as it is written: which line may come next, and whether one that came may stand.

use serde_json::Value;

use super::line::{Done, Line, PlannedStep};
use super::patch::State;
use crate::tool::ToolSpec;
use crate::workflow::Type;

/// A plan as far as it is written.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(super) tools: Vec<ToolSpec>,
    pub(super) answer: Option<Value>,
    max_steps: u32,
    pub(super) steps: Vec<PlannedStep>,
    /// By step: what it gives.
    pub(super) kinds: Vec<Type>,
    /// By step: how it stands.
    pub(super) states: Vec<State>,
    /// How many steps lines have written: those that a patch writes again under new ids do not count.
    written: u32,
    pub(super) done: Option<Done>,
    /// Whether the lines mend the plan.
    pub(super) patching: bool,
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
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
        Draft {
            tools,
            answer,
            max_steps,
            steps: Vec::new(),
            kinds: Vec::new(),
            states: Vec::new(),
            written: 0,
            done: None,
            patching: false,
        }
    }

    /// Takes a line in that [`Draft::read`] gave; `source` is the turn that wrote it.
    pub fn take(&mut self, line: Line, source: &str) -> Change {
        match line {
            Line::Step(step) => {
                let step = PlannedStep { source: source.to_owned(), ..*step };
                self.written = self.written.saturating_add(1);
                let (more, dropped) = self.put_in_place(&step);
                let steps: Vec<_> = std::iter::once(step).chain(more).collect();
                for step in &steps {
                    self.kinds.push(self.gives(step));
                    self.states.push(State::Fresh);
                    self.steps.push(step.clone());
                }
                Change { steps, dropped, done: None }
            }
            Line::Drop { id } => Change { dropped: self.drop_step(&id), ..Change::default() },
            Line::Done(done) => {
                self.done = Some(done.clone());
                Change { dropped: self.drop_lost(), done: Some(done), ..Change::default() }
            }
        }
    }

    /// Whether a line plans what an earlier one does that stands, word for word, and what is no use to do twice: it only looks.
    pub fn repeats(&self, line: &Line) -> bool {
        let Line::Step(step) = line else { return false };
        let looks = self.tool(&step.tool).is_some_and(|tool| !tool.effect.changes());
        let same = |earlier: &PlannedStep| {
            (&earlier.tool, &earlier.args, earlier.over(), &earlier.condition, &earlier.late)
                == (&step.tool, &step.args, step.over(), &step.condition, &step.late)
        };
        looks && step.replaces.is_none() && self.steps.iter().any(|earlier| same(earlier) && self.stands(&earlier.id))
    }

    /// The steps, in the order of their ids; dropped ones too.
    pub fn steps(&self) -> &[PlannedStep] {
        &self.steps
    }

    /// The closing line, where it was written.
    pub fn done(&self) -> Option<&Done> {
        self.done.as_ref()
    }

    /// The tools.
    pub fn tools(&self) -> &[ToolSpec] {
        &self.tools
    }

    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&ToolSpec> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// The id of the next step.
    pub(super) fn next_id(&self) -> String {
        id_at(self.steps.len())
    }

    /// How many steps may still be written.
    pub(crate) fn room(&self) -> u32 {
        self.max_steps.saturating_sub(self.written)
    }

    /// Whether the closing line may come: a plan without a step is no way out, unless none can be written.
    pub(super) fn may_close(&self) -> bool {
        !self.steps.is_empty() || self.room() == 0 || self.tools.is_empty()
    }

    /// What a step gives.
    pub(super) fn gives(&self, step: &PlannedStep) -> Type {
        let kind = self.tool(&step.tool).map_or(Type::Any, |tool| Type::of_schema(&tool.output_schema));
        if step.for_each.is_some() { Type::list(kind) } else { kind }
    }
}

/// The id of the step at this place.
pub(super) fn id_at(place: usize) -> String {
    format!("s{}", place + 1)
}

/// The place of the step that an id names, if it is one.
pub(super) fn place_of(id: &str) -> Option<usize> {
    let number = id.strip_prefix('s').filter(|number| !number.starts_with(['0', '+']))?;
    number.parse::<usize>().ok()?.checked_sub(1)
}
