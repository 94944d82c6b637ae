//! What people and programs say to a run: messages become events, if they still mean something.

use crate::engine::decide::Command;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::id::{StepKey, Time};
use crate::log::{Actor, Channel, Commitment, EventKind, PayloadError, Step, Timer, Verdict};
use crate::store::{Message, Received, Write};
use crate::workflow::Verb;

impl Executor {
    /// Records the approvals that were given in advance and are waited for already.
    pub(super) async fn give_preapprovals(&mut self) -> Result<(), ExecutorError> {
        let graph = &self.state.plan().graph;
        let now = self.services.clock.now();
        let waits = |step: &&Step| {
            step.expires().is_none_or(|expires| now <= expires)
                && matches!(graph.node(step.node).verb, Verb::Approve { .. })
        };
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
        let now = self.services.clock.now();
        for received in self.services.store.inbox(self.lease.run).await? {
            if self.taken.insert(received.id) {
                self.take_message(received).await?;
            }
        }
        // All that was sent before is taken.
        self.heard = now;
        self.look_at_children().await
    }

    /// Whether a command still follows, where it is about a time that is over, once all that was said before is taken: a word that was
    /// sent in time counts, however late it is read.
    pub(super) async fn still_stands(&mut self, command: &Command) -> Result<bool, ExecutorError> {
        let key = match command {
            Command::Reject { key, expired: true } | Command::Fire { key: Some(key), timer: Timer::Wait } => key,
            Command::Fire { key: None, timer: Timer::Deadline } => {
                if self.state.deadline().is_some_and(|deadline| self.heard < deadline) {
                    self.read_inbox().await?;
                }
                return Ok(!self.state.stopping());
            }
            _ => return Ok(true),
        };
        let Some(expires) = self.state.step(key).and_then(Step::expires) else { return Ok(true) };
        if self.heard < expires {
            self.read_inbox().await?;
        }
        Ok(self.state.step(key).is_some_and(|step| step.expires().is_some()))
    }

    /// Whether a word to a step that waits for one was sent in time. The store's clock says when it was sent; that of the
    /// worker said how long the step waits.
    fn in_time(&self, key: &StepKey, at: Time) -> bool {
        let expires = self.state.step(key).and_then(Step::expires);
        let in_time = expires.is_none_or(|expires| at <= expires);
        if !in_time {
            self.refuse(key.clone(), "it was said after the time for an answer was over".into());
        }
        in_time
    }

    /// What somebody said becomes an event, if it still means something; it leaves the inbox either way.
    async fn take_message(&mut self, received: Received) -> Result<(), ExecutorError> {
        let Received { id, at, message } = received;
        let mut draft = Draft { writes: vec![Write::Consume(id)], ..Draft::default() };
        match message {
            Message::Approval { step, verdict, note, by, via } => {
                if self.state.step(&step).is_some_and(Step::asks) && self.in_time(&step, at) {
                    let note = self.note(&mut draft, note)?;
                    let by = self.person(&mut draft, &by, via)?;
                    draft.event_by(by, EventKind::ApprovalDecided { key: step, verdict, note });
                } else if !self.state.step(&step).is_some_and(Step::asks) {
                    self.refuse(step, "the step does not ask, or does not ask any more".into());
                }
            }
            Message::Cancel { note, by, via } => {
                // A run whose deadline has passed fails, whatever is said then.
                let late = self.state.deadline().is_some_and(|deadline| at > deadline);
                if !late && !self.state.stopping() {
                    let note = self.note(&mut draft, note)?;
                    let by = self.person(&mut draft, &by, via)?;
                    draft.event_by(by, EventKind::CancelRequested { note });
                }
            }
            Message::Signal { name, payload, by, via } => {
                let by = self.person(&mut draft, &by, via)?;
                return self.take_signal(draft, name, &payload, by, at).await;
            }
            Message::Input { step, values, by, via } => {
                if self.in_time(&step, at) {
                    let by = self.person(&mut draft, &by, via)?;
                    return self.take_input(draft, step, values, by).await;
                }
            }
            Message::Resolve { step, outcome, note, by, via } => {
                let note = self.note(&mut draft, note)?;
                let by = self.person(&mut draft, &by, via)?;
                return self.take_resolution(draft, step, outcome, note, by).await;
            }
            Message::Outcome { step, attempt, outcome, made, worker } => {
                let outcome = if made { Some(outcome) } else { None };
                return self.take_evidence(draft, step, attempt, outcome, worker).await;
            }
            Message::RunEnded { step, run } => return self.take_report(id, draft, step, run).await,
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
