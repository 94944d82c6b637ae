//! Calls under way beside the loop: sending them off, taking what comes of them, and ending them.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::reconcile::Finding;
use crate::engine::recorder::Draft;
use crate::engine::step::{self, Attempt, Failure, Outcome};
use crate::log::{EventKind, StepIndex};
use crate::store::StoreError;
use crate::tool::{Cancel, Effect};
use crate::workflow::Verb;

/// How long a call that changes something may take to end by itself once it was told to.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// Ends of calls that are taken together.
const TOGETHER: usize = 64;

/// What a call is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An attempt at a step.
    Attempt,
    /// To find out what became of an earlier attempt.
    Finding,
}

/// How a call ended.
pub(super) enum End {
    Attempt(Outcome),
    Finding(Finding),
}

/// What the runtime says of a call that ended.
pub(super) type Joined = Result<(Id, Result<End, StoreError>), JoinError>;

struct UnderWay {
    index: StepIndex,
    purpose: Purpose,
    cancel: Cancel,
    task: AbortHandle,
}

/// Calls under way.
#[derive(Default)]
pub(super) struct Calls {
    tasks: JoinSet<Result<End, StoreError>>,
    under_way: HashMap<Id, UnderWay>,
    /// The attempts among them.
    attempts: HashMap<StepIndex, Id>,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn spawn(
        &mut self,
        index: StepIndex,
        purpose: Purpose,
        cancel: Cancel,
        call: impl Future<Output = Result<End, StoreError>> + Send + 'static,
    ) {
        let task = self.tasks.spawn(call);
        let id = task.id();
        if purpose == Purpose::Attempt {
            self.attempts.insert(index, id);
        }
        self.under_way.insert(id, UnderWay { index, purpose, cancel, task });
    }

    /// The next call that ends; for ever where there is none.
    pub(super) async fn next(&mut self) -> Joined {
        match self.tasks.join_next_with_id().await {
            Some(joined) => joined,
            None => std::future::pending().await,
        }
    }

    /// What stops the attempt at a step that is under way.
    pub(super) fn cancel_of(&self, index: StepIndex) -> Option<&Cancel> {
        self.attempts.get(&index).and_then(|id| self.under_way.get(id)).map(|call| &call.cancel)
    }

    /// Whether somebody is asked about a step.
    pub(super) fn asks_about(&self, index: StepIndex) -> bool {
        self.under_way.values().any(|call| call.purpose == Purpose::Finding && call.index == index)
    }

    /// Ends calls of this purpose that are no longer wanted.
    pub(super) fn abort(&self, unwanted: impl Fn(Purpose, StepIndex) -> bool) {
        for call in self.under_way.values().filter(|call| unwanted(call.purpose, call.index)) {
            call.cancel.cancel();
            call.task.abort();
        }
    }

    pub(super) fn cancel_all(&self) {
        self.under_way.values().for_each(|call| call.cancel.cancel());
    }

    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
        self.under_way.clear();
        self.attempts.clear();
    }

    /// Forgets a call that has ended.
    fn end(&mut self, id: Id) -> Option<(StepIndex, Purpose)> {
        let call = self.under_way.remove(&id)?;
        if self.attempts.get(&call.index) == Some(&id) {
            self.attempts.remove(&call.index);
        }
        Some((call.index, call.purpose))
    }
}

impl Executor {
    /// Sends an attempt on its way, after its `StepStarted` was recorded.
    pub(crate) fn launch(&mut self, attempt: Attempt) {
        let (index, cancel) = (attempt.index, attempt.cancel.clone());
        let step = self.state.at(index);
        let span = tracing::info_span!("step", step = %step.key, attempt = step.attempt);
        let call = async move { step::make(attempt).await.map(End::Attempt) };
        self.calls.spawn(index, Purpose::Attempt, cancel, call.instrument(span));
    }

    /// Whether another call may be made beside those under way.
    pub(super) fn has_room(&self) -> bool {
        self.calls.len() < self.services.concurrency
    }

    /// Takes what came of a call that has ended. Attempts that ask for writes take others along that have ended too, so
    /// that one commit holds them all.
    pub(super) async fn take_ends(&mut self, first: Joined) -> Result<(), ExecutorError> {
        let mut writing = Vec::new();
        let mut next = Some(first);
        while let Some(joined) = next {
            if let Some(outcome) = self.take_end(joined).await? {
                if outcome.result.as_ref().is_ok_and(|output| !output.writes.is_empty()) {
                    writing.push(outcome);
                } else {
                    self.settle_call(outcome).await?;
                }
            }
            let more = !writing.is_empty() && writing.len() < TOGETHER;
            next = more.then(|| self.calls.tasks.try_join_next_with_id()).flatten();
        }
        self.settle_writing(writing).await
    }

    /// What came of an attempt, if it was one and the log needs a word about it.
    async fn take_end(&mut self, joined: Joined) -> Result<Option<Outcome>, ExecutorError> {
        let outcome = match joined {
            Ok((id, end)) => {
                self.calls.end(id);
                match end? {
                    End::Attempt(outcome) => outcome,
                    End::Finding(finding) => {
                        self.take_finding(finding).await?;
                        return Ok(None);
                    }
                }
            }
            Err(error) => match self.calls.end(error.id()) {
                Some((index, Purpose::Attempt)) => self.broken(index, error),
                // Nobody knows more than before.
                Some((index, Purpose::Finding)) => {
                    if error.is_panic() {
                        tracing::warn!(step = %self.state.at(index).key, "the tool panicked while it was asked about a call in doubt");
                    }
                    return Ok(None);
                }
                None => return Ok(None),
            },
        };
        if !self.control.stop.is_cancelled() {
            return Ok(Some(outcome));
        }
        if !outcome.begun && !outcome.cut_off {
            self.put_off(outcome.index).await?;
            return Ok(None);
        }
        // It is begun again when the run is resumed; the log needs no word about it.
        Ok((!outcome.cut_off).then_some(outcome))
    }

    /// What came of an attempt whose code panicked.
    fn broken(&self, index: StepIndex, error: JoinError) -> Outcome {
        let what = match &self.state.plan().graph.node(self.state.at(index).node).verb {
            Verb::Chat(_) | Verb::Turn(_) => "model",
            Verb::Workflow(_) => "executor of its run",
            _ => "tool",
        };
        let failure = step::panicked(what, error.is_panic().then(|| error.into_panic()));
        let result = Err(self.secrets.kept_failure(failure, self.given_labels(index)));
        Outcome { index, result, turns: Vec::new(), cut_off: false, begun: true, child: None }
    }

    /// A call that must not be repeated, and that was not made before this process stopped, is for the next one.
    async fn put_off(&mut self, index: StepIndex) -> Result<(), ExecutorError> {
        let mut draft = Draft::default();
        self.draft_put_off(&mut draft, index, "the process stopped before it made the call")?;
        self.record(draft).await?;
        Ok(())
    }

    /// Says that an attempt is to be followed by another at once, since its call was not made.
    pub(super) fn draft_put_off(&self, draft: &mut Draft, index: StepIndex, why: &str) -> Result<(), ExecutorError> {
        let step = self.state.at(index);
        let (key, attempt) = (step.key.clone(), step.attempt);
        let message = self.text(draft, why)?;
        let (code, not_before) = ("interrupted".to_owned(), self.services.clock.now());
        draft.event(EventKind::StepRetried { key, attempt, code, message, not_before });
        Ok(())
    }

    /// Records what came of an attempt. What nobody can find out later is kept until it is on disk.
    async fn settle_call(&mut self, outcome: Outcome) -> Result<(), ExecutorError> {
        let evidence = self.evidence_of(&outcome);
        let settled = self.settle_outcome(outcome).await;
        if let Some(evidence) = evidence {
            let seq = settled.is_ok().then(|| self.state.head());
            self.evidence.keep(seq, evidence, self.recorder.on_disk());
        }
        settled
    }

    /// The effect of what a step calls.
    pub(super) fn effect_of(&self, index: StepIndex) -> Effect {
        self.state.effect_of(index)
    }

    /// Stops: calls that look are cut off, those that change something get a grace time.
    pub(super) async fn wind_down(&mut self) -> Result<(), ExecutorError> {
        self.calls.cancel_all();
        if self.calls.is_empty() {
            return Ok(());
        }
        // Each call ends by itself within the grace time; the deadline is for one that does not.
        let most = GRACE + Duration::from_secs(3);
        // Nobody else may take the run for abandoned meanwhile. If this fails the lease runs out sooner, and what is
        // recorded after that is refused.
        let _ = self.services.store.renew(&self.lease, most + self.services.lease).await;
        let deadline = Instant::now() + most;
        while !self.calls.is_empty() {
            self.recorder.hand_over().await?;
            let Ok(joined) = tokio::time::timeout_at(deadline, self.calls.next()).await else { break };
            self.take_ends(joined).await?;
        }
        // The run is given back after this: nothing goes on behind its back.
        self.calls.shutdown().await;
        Ok(())
    }

    /// Waits for calls that must not be repeated, so that what comes of them can be told to whoever goes on with the run;
    /// ends all others at once.
    pub(super) async fn last_calls(&mut self) -> Vec<Outcome> {
        let once: Vec<StepIndex> =
            self.calls.attempts.keys().copied().filter(|index| !self.effect_of(*index).repeatable()).collect();
        self.calls.abort(|purpose, index| purpose == Purpose::Finding || !once.contains(&index));
        self.calls.cancel_all();
        // A call may wait for what was recorded before it; where that cannot be written, it is told so.
        let _ = self.recorder.hand_over().await;
        let most = GRACE + Duration::from_secs(3);
        // Where the run is still held here, nobody else need look at it meanwhile.
        let _ = self.services.store.renew(&self.lease, most + self.services.lease).await;
        let deadline = Instant::now() + most;
        let mut outcomes = Vec::new();
        while !self.calls.is_empty() {
            let Ok(joined) = tokio::time::timeout_at(deadline, self.calls.next()).await else { break };
            if let Ok((id, end)) = joined {
                self.calls.end(id);
                if let Ok(End::Attempt(outcome)) = end {
                    outcomes.push(outcome);
                }
            }
        }
        outcomes
    }
}

/// What a call that was stopped says.
pub(super) fn stopped() -> Failure {
    Failure { not_done: false, ..Failure::new("cancelled", "the call was stopped") }
}
