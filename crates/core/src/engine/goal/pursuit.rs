//! What is known of a goal while it is pursued: the plan as far as it is written. It follows from the log, and is made again from it where
//! another process goes on.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::step::Failure;
use crate::log::{Said, StepIndex, StepStatus};
use crate::planning::{Done, Draft, Line, Standing};
use crate::workflow::{Goal, Turn, Verb};

/// What is known of the goals of a run.
pub(crate) type Pursuits = HashMap<StepIndex, Pursuit>;

/// What is known of a goal.
pub(crate) struct Pursuit {
    /// What is to be reached.
    pub(super) goal: String,
    /// The plan as far as it is written.
    pub(super) draft: Draft,
    /// The lines that the model wrote since it was last told something.
    pub(super) lines: Vec<String>,
    /// All lines that stand, in order.
    pub(super) accepted: Vec<Value>,
    /// What is wrong with the newest line, where it cannot stand.
    pub(super) complaint: Option<String>,
    /// How many lines in a row could not stand.
    pub(super) bad: u32,
    /// The turn that wrote the closing line.
    pub(super) closed_by: Option<String>,
}

impl Executor {
    /// What is known of a goal; it is to be given back by [`Executor::keep_pursuit`].
    pub(super) async fn pursuit(
        &mut self,
        host: StepIndex,
        goal: &Goal,
    ) -> Result<Result<Pursuit, Failure>, ExecutorError> {
        match self.pursuits.remove(&host) {
            Some(known) => Ok(Ok(known)),
            None => self.read_pursuit(host, goal).await,
        }
    }

    pub(super) fn keep_pursuit(&mut self, host: StepIndex, pursuit: Pursuit) {
        self.pursuits.insert(host, pursuit);
    }

    async fn read_pursuit(&mut self, host: StepIndex, goal: &Goal) -> Result<Result<Pursuit, Failure>, ExecutorError> {
        let args = match self.state.at(host).args {
            Some(args) => self.values.value(args).await?,
            None => Value::Null,
        };
        let Some(text) = args.get("goal").and_then(Value::as_str) else {
            return Ok(Err(Failure::new("erased", "the goal of the step was erased")));
        };
        let chosen: Vec<&str> = args["tools"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut specs = match self.callable(goal) {
            Ok(specs) => specs,
            Err(failure) => return Ok(Err(failure)),
        };
        specs.retain(|spec| chosen.contains(&spec.name.as_str()));
        let max_steps = goal.plan.as_ref().map_or(0, |plan| plan.max_steps);
        let mut pursuit = Pursuit {
            goal: text.to_owned(),
            draft: Draft::new(specs, goal.schema.clone(), max_steps),
            lines: Vec::new(),
            accepted: Vec::new(),
            complaint: None,
            bad: 0,
            closed_by: None,
        };
        let untaken = self.untaken(host);
        let mut patch = 0;
        for member in self.state.at(host).members.clone() {
            let node = self.state.at(member).node;
            let Verb::Turn(Turn::Line { patch: of }) = self.state.plan().graph.node(node).verb else { continue };
            if of > patch {
                patch = of;
                let standing = self.recorded_standing(member).await?;
                pursuit.begin_patch(&standing);
            }
            if self.state.at(member).status == StepStatus::Completed && untaken != Some(member) {
                let (id, line) = (self.id_of(member), self.said(member).await?);
                // It was taken in before, so that what follows from it is recorded.
                let _ = pursuit.take(&id, &line);
            }
        }
        Ok(Ok(pursuit))
    }

    /// How the steps stood when a patch was begun, as it was recorded with its first line.
    async fn recorded_standing(&mut self, turn: StepIndex) -> Result<BTreeMap<String, Standing>, ExecutorError> {
        let Some((texts, at)) = self.state.texts_of(self.state.at(turn).node) else { return Ok(BTreeMap::new()) };
        let said: Vec<Said> = serde_json::from_value(self.values.value(texts).await?).unwrap_or_default();
        let standing = said.into_iter().nth(at).map(|said| said.with).unwrap_or_default();
        let of = |(id, name): (&String, &Value)| Some((id.clone(), standing_of(name.as_str()?)));
        Ok(standing.as_object().into_iter().flatten().filter_map(of).collect())
    }
}

impl Pursuit {
    /// From here on the lines mend the plan.
    pub(super) fn begin_patch(&mut self, standing: &BTreeMap<String, Standing>) {
        self.draft.begin_patch(standing);
        (self.complaint, self.bad, self.closed_by) = (None, 0, None);
        self.lines.clear();
    }

    /// Takes a line in; where it cannot stand, notes why, for the model to be told.
    pub(super) fn take(&mut self, turn: &str, line: &Value) -> Option<crate::planning::Change> {
        // What was wrong with the line before was told, and begins the lines anew.
        if self.complaint.take().is_some() {
            self.lines.clear();
        }
        self.lines.push(line.to_string());
        match self.draft.read(line) {
            Ok(read) => {
                // A model that plans the same once more has nothing to add: small ones do so without an end.
                let read = if self.draft.repeats(&read) { Line::Done(Done::default()) } else { read };
                self.bad = 0;
                self.accepted.push(line.clone());
                let change = self.draft.take(read, turn);
                if change.done.is_some() {
                    self.closed_by = Some(turn.to_owned());
                }
                Some(change)
            }
            Err(errors) => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                self.bad += 1;
                self.complaint = Some(errors.join("; "));
                None
            }
        }
    }
}

/// How a step stands, as it is recorded.
pub(super) fn name_of(standing: Standing) -> &'static str {
    match standing {
        Standing::Completed => "completed",
        Standing::Started => "started",
        Standing::Open => "open",
        Standing::Lost => "lost",
    }
}

fn standing_of(name: &str) -> Standing {
    match name {
        "completed" => Standing::Completed,
        "started" => Standing::Started,
        "open" => Standing::Open,
        _ => Standing::Lost,
    }
}
