//! Evidence: what came of a call that must not be repeated, where the run was lost before it could be recorded. It goes to
//! the run's inbox, for which no lease is needed, and settles the doubt of whoever holds the run then.

use std::collections::VecDeque;

use serde_json::Value;

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::step::{Failure, Outcome};
use crate::id::{Seq, StepKey, WorkerId};
use crate::log::{Actor, EventKind, Resolution, StepStatus};
use crate::store::Message;

/// What came of calls, until it is on disk.
#[derive(Default)]
pub(super) struct Evidence {
    kept: VecDeque<(Option<Seq>, Message)>,
}

impl Evidence {
    /// Keeps what is told in the events up to `seq`, or could not be recorded.
    pub(super) fn keep(&mut self, seq: Option<Seq>, message: Message, on_disk: Seq) {
        self.kept.retain(|(seq, _)| seq.is_none_or(|seq| seq > on_disk));
        self.kept.push_back((seq, message));
    }
}

impl Executor {
    /// What a call that must not be repeated has shown: that it was carried out, or for sure not.
    pub(super) fn evidence_of(&self, outcome: &Outcome) -> Option<Message> {
        if self.effect_of(outcome.index).repeatable() {
            return None;
        }
        let became = match &outcome.result {
            Ok(output) => Resolution::Done { output: output.value.clone() },
            Err(failure) if failure.not_done => Resolution::NotDone,
            Err(_) => return None,
        };
        let step = self.state.at(outcome.index);
        let (attempt, worker) = (step.attempt, self.services.worker.clone());
        let made = outcome.begun || became != Resolution::NotDone;
        Some(Message::Outcome { step: step.key.clone(), attempt, outcome: became, made, worker })
    }

    /// Tells whoever goes on with the run what came of calls that this executor can no longer record.
    pub(super) async fn leave_evidence(&mut self) {
        for outcome in self.last_calls().await {
            if let Some(evidence) = self.evidence_of(&outcome) {
                self.evidence.keep(None, evidence, self.recorder.on_disk());
            }
        }
        // What is on disk needs no evidence.
        let _ = self.recorder.written().await;
        let on_disk = self.recorder.on_disk();
        for (seq, evidence) in std::mem::take(&mut self.evidence).kept {
            if seq.is_some_and(|seq| seq <= on_disk) {
                continue;
            }
            if let Err(error) = self.services.store.signal(self.lease.run, evidence).await {
                tracing::warn!(run = %self.lease.run, code = error.code(), "what came of a call could not be told: it is in doubt");
            }
        }
    }

    /// Takes evidence in: it counts for the attempt that it is about, while that is in doubt. Without an outcome the call was not
    /// made at all.
    pub(super) async fn take_evidence(
        &mut self,
        mut draft: Draft,
        key: StepKey,
        attempt: u32,
        outcome: Option<Resolution<Value>>,
        worker: WorkerId,
    ) -> Result<(), ExecutorError> {
        if let Some(index) = self.state.index_of(&key).filter(|index| self.state.at(*index).attempt == attempt) {
            let step = self.state.at(index);
            let interrupted = step.status == StepStatus::Running && !step.live && !step.is_moved();
            if interrupted && !self.effect_of(index).repeatable() {
                self.draft_doubt(&mut draft, index, &Failure::crash())?;
            }
            let doubted = step.status == StepStatus::InDoubt || !draft.events.is_empty();
            let problem = match &outcome {
                Some(Resolution::Done { output }) => self.check_output(&key, output).err(),
                Some(Resolution::NotDone | Resolution::Redo) | None => None,
            };
            let over = self.state.barred(index).is_some();
            match problem {
                None if doubted && outcome.is_none() && !over => {
                    let by = Actor::Worker { id: worker };
                    draft.event_by(by, EventKind::StepResolved { key, outcome: Resolution::NotDone, note: None });
                    self.draft_put_off(&mut draft, index, "the process ended before it made the call")?;
                }
                None if doubted => {
                    let outcome = outcome.unwrap_or(Resolution::NotDone);
                    let found = "the process that made the call had lost the run, and says that it was not carried out";
                    self.draft_finding(&mut draft, index, Actor::Worker { id: worker }, outcome, found)?;
                }
                Some(problem) => self.refuse(key, self.secrets.scrub(&problem)),
                None => {}
            }
        }
        self.record(draft).await?;
        Ok(())
    }
}
