//! What a person says about a call in doubt, and what follows of it.

use serde_json::Value;

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::secret::is_withheld;
use crate::engine::step::Failure;
use crate::id::StepKey;
use crate::label::Labels;
use crate::log::{Actor, Commitment, EventKind, Resolution, StepIndex, StepStatus};
use crate::schema;
use crate::workflow::Verb;

impl Executor {
    /// Takes a person's word in. An output that the tool could not have returned is refused, and the doubt stands.
    pub(super) async fn take_resolution(
        &mut self,
        mut draft: Draft,
        key: StepKey,
        outcome: Resolution<Value>,
        note: Option<Commitment>,
        by: Actor,
    ) -> Result<(), ExecutorError> {
        if self.state.step(&key).is_some_and(|step| step.status == StepStatus::InDoubt) {
            let outcome = match outcome {
                Resolution::Done { output } => match self.check_output(&key, &output) {
                    Ok(()) => {
                        let labels = self.state.index_of(&key).map_or(Labels::NONE, |index| self.given_labels(index));
                        let output = self.secrets.kept(output, labels);
                        Some(Resolution::Done { output: self.value(&mut draft, &output)? })
                    }
                    Err(problem) => {
                        self.refuse(key.clone(), self.secrets.scrub(&problem));
                        None
                    }
                },
                Resolution::NotDone => Some(Resolution::NotDone),
                Resolution::Redo => Some(Resolution::Redo),
            };
            if let Some(outcome) = outcome {
                draft.event_by(by, EventKind::StepResolved { key, outcome, note });
            }
        }
        self.record(draft).await?;
        Ok(())
    }

    /// Whether a step's tool could have returned this.
    pub(super) fn check_output(&self, key: &StepKey, output: &Value) -> Result<(), String> {
        let node = self.state.step(key).map(|step| step.node);
        let verb = node.map(|node| &self.state.plan().graph.node(node).verb);
        let Some(Verb::Tool { name, .. }) = verb else { return schema::check_depth(output) };
        let Some(tool) = self.services.tools.get(name) else { return schema::check_depth(output) };
        // What the tool gave has gone by the schema, and not been kept.
        if tool.spec().labels.secret && is_withheld(output) {
            return Ok(());
        }
        schema::check(&tool.spec().output_schema, output)
            .map_err(|error| format!("`{name}` cannot have returned this: {error}"))
    }

    /// The labels of what a step's tool gives.
    pub(super) fn given_labels(&self, index: StepIndex) -> Labels {
        let node = self.state.plan().graph.node(self.state.at(index).node);
        let tool = match &node.verb {
            Verb::Tool { name, .. } => self.services.tools.get(name),
            _ => None,
        };
        tool.map_or(Labels::NONE, |tool| tool.spec().labels)
    }

    /// Records what follows of a person's word about a call in doubt.
    pub(super) async fn resolve(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let Some(index) = self.state.index_of(&key) else { return Ok(()) };
        let Some(outcome) = self.state.at(index).resolution.clone() else { return Ok(()) };
        let mut draft = Draft::default();
        let message = "somebody found out that the call was not carried out";
        self.draft_resolved(&mut draft, index, &outcome, message)?;
        self.record(draft).await?;
        Ok(())
    }

    /// What follows of what became of a call in doubt, as events.
    pub(super) fn draft_resolved(
        &self,
        draft: &mut Draft,
        index: StepIndex,
        outcome: &Resolution<Commitment>,
        not_done: &str,
    ) -> Result<(), ExecutorError> {
        let step = self.state.at(index);
        let plan = self.state.plan().clone();
        let node = plan.graph.node(step.node);
        match outcome {
            Resolution::Done { output } => {
                let labels = self.given_labels(index).union(step.arg_labels.scrubbed());
                let (key, attempt, output) = (step.key.clone(), step.attempt, Some(*output));
                draft.event(EventKind::StepCompleted { key, attempt, output, labels });
                Ok(())
            }
            Resolution::NotDone => {
                let code = step.error.as_ref().map_or_else(|| "not_done".to_owned(), |error| error.code.clone());
                let failure = Failure { retryable: true, ..Failure::new(&code, not_done) };
                self.draft_attempt_failure(draft, node, index, &failure)
            }
            Resolution::Redo => Ok(()),
        }
    }
}
