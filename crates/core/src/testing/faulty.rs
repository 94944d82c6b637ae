//! A store that fails when it is told to, so that a test sees what a full disk or a lost answer does to a run.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::dice::Dice;
use crate::audit::Audit;
use crate::id::{RunId, Seq, Time};
use crate::log::{Commitment, Event, Payload};
use crate::memory::Memory;
use crate::store::{
    Claim, Commit, Lease, Log, Message, MessageId, OutboxId, Outgoing, Queue, Received, Released, RunFilter,
    RunSummary, Snapshot, Store, StoreError,
};

/// A [`Store`] in front of another one. It passes everything on, but for the operations that were told to fail.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::sync::Arc;
///
/// use parkway_core::clock::SystemClock;
/// use parkway_core::store::{Log, RunFilter, StoreError};
/// use parkway_core::testing::{FaultyStore, MemoryStore, StoreOperation};
///
/// let store = FaultyStore::new(Arc::new(MemoryStore::new(Arc::new(SystemClock))));
/// store.fail(StoreOperation::Runs, StoreError::Full("the disk has no room".into()));
/// assert!(store.runs(&RunFilter::default()).await.is_err());
/// store.heal();
/// assert!(store.runs(&RunFilter::default()).await.is_ok());
/// # });
/// ```
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Mutex<Plan>,
}

/// What a store can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreOperation {
    /// [`Log::commit`].
    Commit,
    /// [`Log::events`].
    Events,
    /// [`Log::beginning`].
    Beginning,
    /// [`Log::payloads`].
    Payloads,
    /// [`Log::runs`].
    Runs,
    /// [`Log::tail`].
    Tail,
    /// [`Queue::claim`].
    Claim,
    /// [`Queue::renew`].
    Renew,
    /// [`Queue::release`].
    Release,
    /// [`Queue::signal`].
    Signal,
    /// [`Queue::inbox`].
    Inbox,
    /// [`Log::snapshot`].
    Snapshot,
    /// [`Log::keep_snapshot`].
    KeepSnapshot,
    /// [`Queue::outbox`].
    Outbox,
    /// [`Queue::delivered`].
    Delivered,
}

#[derive(Clone)]
struct Fault {
    error: StoreError,
    /// Whether the operation is done all the same, and only its answer is lost.
    done: bool,
}

/// What is to go wrong, and what has happened so far.
#[derive(Default)]
struct Plan {
    always: HashMap<StoreOperation, Fault>,
    /// By the operation, and by how often it has been called by then.
    once: HashMap<(StoreOperation, u64), Fault>,
    shaken: Option<Shaken>,
    delays: Option<(Dice, Duration)>,
    calls: HashMap<StoreOperation, u64>,
    acknowledged: HashMap<RunId, Seq>,
}

/// Faults by chance.
struct Shaken {
    dice: Dice,
    one_in: u32,
    error: StoreError,
}

impl Plan {
    /// The fault of the next call, and how long that waits before and after it is done.
    fn next(&mut self, operation: StoreOperation) -> (Option<Fault>, [Duration; 2]) {
        let calls = self.calls.entry(operation).or_default();
        *calls += 1;
        let planned = self.once.remove(&(operation, *calls)).or_else(|| self.always.get(&operation).cloned());
        let by_chance = self.shaken.as_mut().and_then(|Shaken { dice, one_in, error }| {
            let done = dice.one_in(2);
            dice.one_in(u64::from(*one_in)).then(|| Fault { error: error.clone(), done })
        });
        let delays = self.delays.as_mut().map(|(dice, most)| [dice.up_to(*most / 2), dice.up_to(*most / 2)]);
        (planned.or(by_chance), delays.unwrap_or_default())
    }
}

impl FaultyStore {
    /// A store that passes everything on to `inner`.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        FaultyStore { inner, plan: Mutex::default() }
    }

    /// From now on `operation` does nothing and gives `error`.
    pub fn fail(&self, operation: StoreOperation, error: StoreError) {
        self.plan().always.insert(operation, Fault { error, done: false });
    }

    /// From now on `operation` is done and gives `error` all the same, as when a connection ends before the answer.
    pub fn lose_answers(&self, operation: StoreOperation, error: StoreError) {
        self.plan().always.insert(operation, Fault { error, done: true });
    }

    /// The `n`-th call of `operation` from now on does nothing and gives `error`; 1 is the next one.
    pub fn fail_call(&self, operation: StoreOperation, n: u64, error: StoreError) {
        self.once(operation, n, Fault { error, done: false });
    }

    /// The `n`-th call of `operation` from now on is done and gives `error` all the same; 1 is the next one.
    pub fn lose_answer(&self, operation: StoreOperation, n: u64, error: StoreError) {
        self.once(operation, n, Fault { error, done: true });
    }

    /// From now on about one call in `one_in`, whichever, gives `error`, and half of those are done all the same. The same
    /// seed lets the same calls fail, if they come in the same order.
    pub fn shake(&self, seed: u64, one_in: u32, error: StoreError) {
        self.plan().shaken = Some(Shaken { dice: Dice::new(seed), one_in, error });
    }

    /// From now on each call takes up to `most` longer, a part of it before and a part after it is done, so that calls
    /// that are under way at once overtake each other. Needs a tokio runtime that has time.
    pub fn delay(&self, seed: u64, most: Duration) {
        self.plan().delays = Some((Dice::new(seed), most));
    }

    /// From now on nothing fails, and nothing is delayed.
    pub fn heal(&self) {
        let mut plan = self.plan();
        let (calls, acknowledged) = (std::mem::take(&mut plan.calls), std::mem::take(&mut plan.acknowledged));
        *plan = Plan { calls, acknowledged, ..Plan::default() };
    }

    /// How often `operation` was called.
    pub fn calls(&self, operation: StoreOperation) -> u64 {
        self.plan().calls.get(&operation).copied().unwrap_or_default()
    }

    /// The newest event of a run that a commit was acknowledged for: it must never be lost.
    pub fn acknowledged(&self, run: RunId) -> Seq {
        self.plan().acknowledged.get(&run).copied().unwrap_or_default()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn once(&self, operation: StoreOperation, n: u64, fault: Fault) {
        let mut plan = self.plan();
        let calls = plan.calls.get(&operation).copied().unwrap_or_default();
        plan.once.insert((operation, calls + n), fault);
    }

    async fn pass<T>(
        &self,
        operation: StoreOperation,
        done: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let (fault, [before, after]) = self.plan().next(operation);
        wait(before).await;
        let answer = match fault {
            None => done.await,
            Some(Fault { error, done: false }) => Err(error),
            Some(Fault { error, done: true }) => done.await.and(Err(error)),
        };
        wait(after).await;
        answer
    }
}

async fn wait(delay: Duration) {
    // Without a delay no timer is needed, nor a runtime that has one.
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Log for FaultyStore {
    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let (run, head) = (commit.lease.run, Seq(commit.expect.0 + commit.events.len() as u64));
        self.pass(StoreOperation::Commit, self.inner.commit(commit)).await?;
        let mut plan = self.plan();
        let newest = plan.acknowledged.entry(run).or_default();
        *newest = head.max(*newest);
        Ok(())
    }

    async fn events(&self, run: RunId, after: Seq) -> Result<Vec<Event>, StoreError> {
        self.pass(StoreOperation::Events, self.inner.events(run, after)).await
    }

    async fn beginning(&self, run: RunId, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.pass(StoreOperation::Beginning, self.inner.beginning(run, limit)).await
    }

    async fn payloads(&self, commitments: &[Commitment]) -> Result<Vec<Option<Payload>>, StoreError> {
        self.pass(StoreOperation::Payloads, self.inner.payloads(commitments)).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        self.pass(StoreOperation::Runs, self.inner.runs(filter)).await
    }

    async fn tail(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError> {
        self.pass(StoreOperation::Tail, self.inner.tail(after, limit)).await
    }

    fn audit(&self) -> &dyn Audit {
        self.inner.audit()
    }

    fn memory(&self) -> &dyn Memory {
        self.inner.memory()
    }

    async fn purge(&self) -> Result<bool, StoreError> {
        self.inner.purge().await
    }

    async fn snapshot(&self, run: RunId) -> Result<Option<Snapshot>, StoreError> {
        self.pass(StoreOperation::Snapshot, self.inner.snapshot(run)).await
    }

    async fn keep_snapshot(&self, run: RunId, snapshot: Snapshot) -> Result<(), StoreError> {
        self.pass(StoreOperation::KeepSnapshot, self.inner.keep_snapshot(run, snapshot)).await
    }
}

#[async_trait]
impl Queue for FaultyStore {
    async fn claim(&self, claim: &Claim) -> Result<Option<Lease>, StoreError> {
        self.pass(StoreOperation::Claim, self.inner.claim(claim)).await
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<(), StoreError> {
        self.pass(StoreOperation::Renew, self.inner.renew(lease, duration)).await
    }

    async fn release(&self, lease: &Lease, wake: Option<Time>) -> Result<Released, StoreError> {
        self.pass(StoreOperation::Release, self.inner.release(lease, wake)).await
    }

    async fn signal(&self, run: RunId, message: Message) -> Result<MessageId, StoreError> {
        self.pass(StoreOperation::Signal, self.inner.signal(run, message)).await
    }

    async fn inbox(&self, run: RunId) -> Result<Vec<Received>, StoreError> {
        self.pass(StoreOperation::Inbox, self.inner.inbox(run)).await
    }

    async fn outbox(&self, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
        self.pass(StoreOperation::Outbox, self.inner.outbox(limit)).await
    }

    async fn delivered(&self, entries: &[OutboxId]) -> Result<(), StoreError> {
        self.pass(StoreOperation::Delivered, self.inner.delivered(entries)).await
    }
}
