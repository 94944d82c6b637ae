//! What people and programs say to a run: messages become events, if they still mean something.

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::id::StepKey;
use crate::log::{Actor, Channel, Commitment, EventKind, PayloadError, Verdict};
use crate::store::{Message, MessageId, Write};
use crate::workflow::Verb;

impl Executor {
    /// Records the approvals that were given in advance and are waited for already.
    pub(super) async fn give_preapprovals(&mut self) -> Result<(), ExecutorError> {
        let graph = &self.state.plan().graph;
        let waits = |step: &&crate::log::Step| matches!(graph.node(step.node).verb, Verb::Approve { .. });
        let given = |key: &StepKey| self.control.preapprovals.iter().find(|given| given.covers(key)).cloned();
        let answers: Vec<_> =
            self.state.asking().filter(waits).filter_map(|step| Some((step.key.clone(), given(&step.key)?))).collect();
        for (key, given) in answers {
            let mut draft = Draft::default();
            let by = self.person(&mut draft, &given.by, given.via)?;
            draft.event_by(by, EventKind::ApprovalDecided { key, verdict: Verdict::Approved, note: None });
            self.record(draft).await?;
        }
        Ok(())
    }

    pub(super) async fn read_inbox(&mut self) -> Result<(), ExecutorError> {
        for received in self.services.store.inbox(self.lease.run).await? {
            if self.taken.insert(received.id) {
                self.take_message(received.id, received.message).await?;
            }
        }
        self.look_at_children().await
    }

    /// What somebody said becomes an event, if it still means something; it leaves the inbox either way.
    async fn take_message(&mut self, id: MessageId, message: Message) -> Result<(), ExecutorError> {
        let mut draft = Draft { writes: vec![Write::Consume(id)], ..Draft::default() };
        match message {
            Message::Approval { step, verdict, note, by, via } => {
                if self.state.step(&step).is_some_and(crate::log::Step::asks) {
                    let note = self.note(&mut draft, note)?;
                    let by = self.person(&mut draft, &by, via)?;
                    draft.event_by(by, EventKind::ApprovalDecided { key: step, verdict, note });
                }
            }
            Message::Cancel { note, by, via } => {
                // A run whose deadline has passed fails, whatever is said then.
                if !self.state.stopping() {
                    let note = self.note(&mut draft, note)?;
                    let by = self.person(&mut draft, &by, via)?;
                    draft.event_by(by, EventKind::CancelRequested { note });
                }
            }
            Message::Signal { name, payload, by, via } => {
                let by = self.person(&mut draft, &by, via)?;
                return self.take_signal(draft, name, &payload, by).await;
            }
            Message::Input { step, values, by, via } => {
                let by = self.person(&mut draft, &by, via)?;
                return self.take_input(draft, step, values, by).await;
            }
            Message::Resolve { step, outcome, note, by, via } => {
                let note = self.note(&mut draft, note)?;
                let by = self.person(&mut draft, &by, via)?;
                return self.take_resolution(draft, step, outcome, note, by).await;
            }
            Message::Outcome { step, attempt, outcome, worker } => {
                return self.take_evidence(draft, step, attempt, outcome, worker).await;
            }
            Message::RunEnded { .. } => {}
            Message::Unknown => {
                tracing::warn!(run = %self.lease.run, "a message of a newer version is left in the inbox");
                return Ok(());
            }
        }
        self.record(draft).await?;
        Ok(())
    }

    pub(crate) fn person(&self, draft: &mut Draft, name: &str, via: Channel) -> Result<Actor, PayloadError> {
        Ok(Actor::Person { name: self.text(draft, name)?, via })
    }

    fn note(&self, draft: &mut Draft, note: Option<String>) -> Result<Option<Commitment>, PayloadError> {
        note.map(|note| self.text(draft, &note)).transpose()
    }
}
