//! A store that fails when it is told to, so that a test sees what a full disk or a lost answer does to a run.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::id::{RunId, Seq, Time};
use crate::log::{Commitment, Event, Payload};
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
    faults: Mutex<HashMap<StoreOperation, Fault>>,
}

/// What a store can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreOperation {
    /// [`Log::commit`].
    Commit,
    /// [`Log::events`].
    Events,
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

impl FaultyStore {
    /// A store that passes everything on to `inner`.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        FaultyStore { inner, faults: Mutex::default() }
    }

    /// From now on `operation` does nothing and gives `error`.
    pub fn fail(&self, operation: StoreOperation, error: StoreError) {
        self.set(operation, Fault { error, done: false });
    }

    /// From now on `operation` is done and gives `error` all the same, as when a connection ends before the answer.
    pub fn lose_answers(&self, operation: StoreOperation, error: StoreError) {
        self.set(operation, Fault { error, done: true });
    }

    /// From now on nothing fails.
    pub fn heal(&self) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn set(&self, operation: StoreOperation, fault: Fault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).insert(operation, fault);
    }

    async fn pass<T>(
        &self,
        operation: StoreOperation,
        done: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).get(&operation).cloned();
        let Some(fault) = fault else { return done.await };
        if fault.done {
            done.await?;
        }
        Err(fault.error)
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
        self.pass(StoreOperation::Commit, self.inner.commit(commit)).await
    }

    async fn events(&self, run: RunId, after: Seq) -> Result<Vec<Event>, StoreError> {
        self.pass(StoreOperation::Events, self.inner.events(run, after)).await
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
