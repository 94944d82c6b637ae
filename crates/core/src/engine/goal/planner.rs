//! A plan while it is written and carried out: each line that comes becomes steps, a failure becomes a patch, and what all of it gave becomes
//! the answer. Where patches are used up, an agent goes on by turns.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::answer::fruitless;
use super::extend::Extension;
use super::pursuit::{Pursuit, name_of};
use crate::engine::context::Site;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::step::Failure;
use crate::id::StepKey;
use crate::log::{StepIndex, StepStatus};
use crate::planning::{Literals, PlannedStep, Standing};
use crate::workflow::{Goal, Planning, Template, Turn, Verb, literal};

/// How many lines in a row may be such as cannot stand, before the model is believed to be unable to plan.
const BAD_LINES: u32 = 3;

impl Executor {
    pub(super) async fn go_on_with_plan(
        &mut self,
        key: StepKey,
        index: StepIndex,
        goal: &Goal,
        planning: &Planning,
    ) -> Result<(), ExecutorError> {
        let mut pursuit = match self.pursuit(index, goal).await? {
            Ok(pursuit) => pursuit,
            Err(failure) => return self.fail(key, &failure).await,
        };
        let result = self.plan_on(&key, index, goal, planning, &mut pursuit).await;
        self.keep_pursuit(index, pursuit);
        result
    }

    async fn plan_on(
        &mut self,
        key: &StepKey,
        index: StepIndex,
        goal: &Goal,
        planning: &Planning,
        pursuit: &mut Pursuit,
    ) -> Result<(), ExecutorError> {
        let Some(growth) = self.state.growth(index) else { return Ok(()) };
        if growth.turn.is_none() {
            return self.next_line(key, index, Extension::default(), 0, Value::Null).await;
        }
        let failed = !growth.failures.is_empty();
        let Some(turn) = self.untaken(index) else {
            if failed {
                return self.mend(key, index, planning, pursuit).await;
            }
            let given_up = growth.given_up;
            return match self.state.at(index).open {
                0 if given_up => self.next_turn(key, 1).await,
                0 => self.ask_for_answer(key, index, goal, pursuit).await,
                _ => Ok(()),
            };
        };
        let completed = self.state.at(turn).status == StepStatus::Completed;
        let verb = self.state.plan().graph.node(self.state.at(turn).node).verb.clone();
        match verb {
            Verb::Turn(Turn::Answer) => self.conclude(key, index, turn, &pursuit.goal).await,
            Verb::Turn(Turn::Line { patch }) if completed => {
                self.take_line(key, index, goal, planning, pursuit, (turn, patch)).await
            }
            Verb::Turn(_) => self.stop_planning(key, index, planning, pursuit).await,
            // What failed while a person looked at the plan is mended first, and asked about again.
            _ if completed && failed => self.mend(key, index, planning, pursuit).await,
            // A person has approved the plan. A no has ended it before.
            _ if completed => self.extend(key, Extension { closes: true, ..Extension::default() }).await,
            _ => self.fail_like(key, turn).await,
        }
    }

    /// Makes steps of the line that a turn wrote, and asks for the next one, or closes the plan.
    async fn take_line(
        &mut self,
        key: &StepKey,
        index: StepIndex,
        goal: &Goal,
        planning: &Planning,
        pursuit: &mut Pursuit,
        (turn, patch): (StepIndex, u32),
    ) -> Result<(), ExecutorError> {
        let line = self.said(turn).await?;
        let mut extension = Extension::default();
        let Some(change) = pursuit.take(&self.id_of(turn), &line) else {
            if pursuit.bad >= BAD_LINES {
                return self.stop_planning(key, index, planning, pursuit).await;
            }
            return self.next_line(key, index, extension, patch, Value::Null).await;
        };
        if !planning.draft_only {
            extension.steps(goal, &pursuit.draft, &change.steps);
            extension.dropped = change.dropped.iter().flat_map(|id| self.pending(index, id)).collect();
        }
        if change.done.is_none() {
            return self.next_line(key, index, extension, patch, Value::Null).await;
        }
        if planning.draft_only {
            let lines = json!({ "lines": pursuit.accepted });
            let labels = self.state.labels_of(index).union(self.state.at(index).arg_labels);
            return self.complete_goal(key, index, &lines, labels).await;
        }
        let failed = self.state.growth(index).is_some_and(|growth| !growth.failures.is_empty());
        if failed {
            // What was planned beside the failure is recorded first.
            self.extend(key, extension).await?;
            return self.mend(key, index, planning, pursuit).await;
        }
        if planning.approve && self.changes_something(index) {
            let number = self.state.at(index).members.len();
            let open = |step: &&PlannedStep| self.standing(index, &step.id) != Standing::Lost;
            // Those of this line are not there yet.
            let fresh = |step: &&PlannedStep| change.steps.iter().any(|one| one.id == step.id);
            let steps = pursuit.draft.steps().iter().filter(|step| open(step) || fresh(step)).cloned();
            extension.approval(
                &format!("approval_{number}"),
                "Carry out this plan?",
                shown(&steps.collect::<Vec<_>>()),
            );
        } else {
            extension.closes = true;
        }
        self.extend(key, extension).await
    }

    /// Asks for one more line.
    async fn next_line(
        &mut self,
        key: &StepKey,
        index: StepIndex,
        mut extension: Extension,
        patch: u32,
        standing: Value,
    ) -> Result<(), ExecutorError> {
        let graph = &self.state.plan().graph;
        let members = self.state.at(index).members.iter().map(|member| &graph.node(self.state.at(*member).node).verb);
        let number = 1 + members.filter(|verb| matches!(verb, Verb::Turn(Turn::Line { .. }))).count();
        extension.turn(&format!("line_{number}"), Vec::new(), Turn::Line { patch }, standing);
        self.extend(key, extension).await
    }

    /// Has what has not started planned anew, after a failure.
    async fn mend(
        &mut self,
        key: &StepKey,
        index: StepIndex,
        planning: &Planning,
        pursuit: &mut Pursuit,
    ) -> Result<(), ExecutorError> {
        let patch = self.state.growth(index).map_or(0, |growth| growth.patch) + 1;
        let full = pursuit.draft.room() == 0;
        if patch > planning.max_replans || full {
            return self.stop_planning(key, index, planning, pursuit).await;
        }
        let standing: BTreeMap<String, Standing> =
            pursuit.draft.steps().iter().map(|step| (step.id.clone(), self.standing(index, &step.id))).collect();
        pursuit.begin_patch(&standing);
        let recorded: Map<String, Value> =
            standing.iter().map(|(id, standing)| (id.clone(), json!(name_of(*standing)))).collect();
        self.next_line(key, index, Extension::default(), patch, Value::Object(recorded)).await
    }

    /// Gives the plan up: what has not started is dropped, and when all else has ended, an agent goes on by turns.
    async fn stop_planning(
        &mut self,
        key: &StepKey,
        index: StepIndex,
        planning: &Planning,
        pursuit: &Pursuit,
    ) -> Result<(), ExecutorError> {
        if planning.draft_only {
            let why = match &pursuit.complaint {
                Some(complaint) => format!("its last line could not stand: {complaint}"),
                None => "its last turn failed".to_owned(),
            };
            let message = format!("the model wrote no plan: {why}; ask another model, or say the goal in other words");
            return self.fail(key.clone(), &Failure::new("gave_up", message)).await;
        }
        let pending = self.state.at(index).members.iter().map(|member| self.state.at(*member));
        let pending = pending.filter(|member| member.status == StepStatus::Pending);
        let dropped = pending.map(|member| member.key.clone()).collect();
        self.extend(key, Extension { dropped, gives_up: true, ..Extension::default() }).await
    }

    /// All has run: the plan says what the answer is made of, or the model does.
    async fn ask_for_answer(
        &mut self,
        key: &StepKey,
        index: StepIndex,
        goal: &Goal,
        pursuit: &Pursuit,
    ) -> Result<(), ExecutorError> {
        let source = pursuit.closed_by.as_deref().unwrap_or_default();
        if let Some(answer) = pursuit.draft.lower_answer(Literals::FromTurn, source) {
            let result = self.values.evaluate(&self.state, Site::inside(index), Template::Value(&answer)).await;
            // A part that did not come into being is no part of the answer; a model says then what there is.
            if let Ok((value, labels)) = Self::evaluated(result)?
                && goal.schema.as_ref().is_none_or(|schema| crate::schema::check(schema, &value).is_ok())
            {
                let sources = self.sources(index);
                return self.answer_with(key, index, &value, &sources, labels, &pursuit.goal).await;
            }
        }
        if self.fruitless(index) {
            return self.fail(key.clone(), &fruitless()).await;
        }
        let mut extension = Extension::default();
        extension.turn("answer", Vec::new(), Turn::Answer, Value::Null);
        self.extend(key, extension).await
    }

    /// How a planned step stands.
    fn standing(&self, host: StepIndex, id: &str) -> Standing {
        match self.state.member(host, id).map(|member| self.state.at(member).status) {
            Some(StepStatus::Completed) => Standing::Completed,
            Some(StepStatus::Running | StepStatus::Waiting | StepStatus::InDoubt) => Standing::Started,
            Some(StepStatus::Pending) => Standing::Open,
            _ => Standing::Lost,
        }
    }

    /// The members that make up a planned step and have not started.
    fn pending(&self, host: StepIndex, id: &str) -> Vec<StepKey> {
        let ids = [id.to_owned(), format!("{id}_args")];
        let members = ids.iter().filter_map(|id| self.state.member(host, id)).map(|member| self.state.at(member));
        members.filter(|member| member.status == StepStatus::Pending).map(|member| member.key.clone()).collect()
    }

    /// Whether a member that has not started would change something.
    fn changes_something(&self, host: StepIndex) -> bool {
        let calls = self.calls_of(host).into_iter();
        calls
            .filter(|(call, ..)| self.state.at(*call).status == StepStatus::Pending)
            .any(|(_, _, effect)| effect.changes())
    }
}

/// The steps of a plan, for a person who is asked about it: templates without expressions.
fn shown(steps: &[PlannedStep]) -> Value {
    let step = |step: &PlannedStep| {
        let mut shown = json!({ "id": step.id, "tool": step.tool, "args": step.args });
        if let Some(list) = &step.for_each {
            shown["for_each"] = json!(list.to_string());
        }
        if let Some(late) = &step.late {
            shown["late"] = json!(late);
        }
        if let Some(condition) = &step.condition {
            shown["if"] = json!(format!("{} {} {}", condition.left, condition.is.as_str(), condition.right));
        }
        shown["why"] = json!(step.why);
        as_written(&shown)
    };
    steps.iter().map(step).collect()
}

/// A value whose texts are no templates.
fn as_written(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(literal(text)),
        Value::Array(all) => all.iter().map(as_written).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(name, value)| (name.clone(), as_written(value))).collect())
        }
        other => other.clone(),
    }
}
