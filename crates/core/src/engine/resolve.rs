//! What a person says about a call in doubt, and what follows of it.

use serde_json::Value;

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::step::Failure;
use crate::id::StepKey;
use crate::label::Labels;
use crate::log::{Actor, Commitment, EventKind, Resolution, StepStatus};
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
                        let output = self.secrets.scrub_value(output);
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
    fn check_output(&self, key: &StepKey, output: &Value) -> Result<(), String> {
        let node = self.state.step(key).map(|step| step.node);
        let verb = node.map(|node| &self.state.plan().graph.node(node).verb);
        let Some(Verb::Tool { name, .. }) = verb else { return schema::check_depth(output) };
        let Some(tool) = self.services.tools.get(name) else { return schema::check_depth(output) };
        schema::check(&tool.spec().output_schema, output)
            .map_err(|error| format!("`{name}` cannot have returned this: {error}"))
    }

    /// Records what follows of a word about a call in doubt.
    pub(super) async fn resolve(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let Some(index) = self.state.index_of(&key) else { return Ok(()) };
        let step = self.state.at(index).clone();
        let plan = self.state.plan().clone();
        let node = plan.graph.node(step.node);
        let mut draft = Draft::default();
        match step.resolution {
            Some(Resolution::Done { output }) => {
                let labels = match &node.verb {
                    Verb::Tool { name, .. } => self.services.tools.get(name).map(|tool| tool.spec().labels),
                    _ => None,
                };
                let labels = labels.unwrap_or(Labels::NONE).union(step.arg_labels.scrubbed());
                draft.event(EventKind::StepCompleted { key, attempt: step.attempt, output: Some(output), labels });
            }
            Some(Resolution::NotDone) => {
                let code = step.error.map_or_else(|| "not_done".to_owned(), |error| error.code);
                let message = "somebody found out that the call was not carried out".to_owned();
                let failure = Failure { code, message, retryable: true, not_done: true };
                self.draft_attempt_failure(&mut draft, node, index, &failure)?;
            }
            Some(Resolution::Redo) | None => return Ok(()),
        }
        self.record(draft).await?;
        Ok(())
    }
}
