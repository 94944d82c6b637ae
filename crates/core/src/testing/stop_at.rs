//! A store that tells a hook of every write before and after it, so that a process can be ended at exactly that place.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::write_point::{Moment, WritePoint};
use crate::audit::{Audit, Leaf, SignedHead, TreeHead};
use crate::id::{Digest, RunId, Seq, Time};
use crate::log::tree::Node;
use crate::log::{Commitment, Event, Payload};
use crate::memory::Memory;
use crate::store::{
    Claim, Commit, Lease, Log, Message, MessageId, OutboxId, Outgoing, Queue, Received, Released, RunFilter,
    RunSummary, Snapshot, Store, StoreError,
};

/// What is told at a point: the point, the side of it, and for the how manyth time, from 1. A commit with three events of a
/// kind passes the point of that kind three times.
type Hook = dyn Fn(WritePoint, Moment, u32) + Send + Sync;

/// A [`Store`] in front of another one that tells a hook whenever something is written.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use parkway_core::clock::SystemClock;
/// use parkway_core::id::WorkerId;
/// use parkway_core::store::{Claim, Queue};
/// use parkway_core::testing::{MemoryStore, Moment, StopAt, WritePoint};
///
/// let reached = Arc::new(AtomicBool::new(false));
/// let seen = reached.clone();
/// let store = StopAt::new(Arc::new(MemoryStore::new(Arc::new(SystemClock))), move |point, moment, nth| {
///     // A test of crashes would end the process here.
///     seen.fetch_or((point, moment, nth) == (WritePoint::Claim, Moment::After, 1), Ordering::Relaxed);
/// });
/// store.claim(&Claim::new(WorkerId::new("w"), None, std::time::Duration::from_secs(1))).await.unwrap();
/// assert!(reached.load(Ordering::Relaxed));
/// # });
/// ```
pub struct StopAt {
    inner: Arc<dyn Store>,
    passed: Mutex<HashMap<(WritePoint, Moment), u32>>,
    hook: Box<Hook>,
}

impl StopAt {
    /// A store that passes everything on to `inner`, and tells `hook` of every write: the point, the side of it, and for the
    /// how manyth time, from 1.
    pub fn new(inner: Arc<dyn Store>, hook: impl Fn(WritePoint, Moment, u32) + Send + Sync + 'static) -> Self {
        StopAt { inner, passed: Mutex::default(), hook: Box::new(hook) }
    }

    /// Tells the hook of a point that the store cannot see: a tool before and after its effect.
    pub fn pass(&self, point: WritePoint, moment: Moment) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = passed.entry((point, moment)).or_default();
        *count += 1;
        let nth = *count;
        drop(passed);
        (self.hook)(point, moment, nth);
    }

    async fn around<T>(
        &self,
        points: &[WritePoint],
        done: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        points.iter().for_each(|point| self.pass(*point, Moment::Before));
        let answer = done.await?;
        points.iter().for_each(|point| self.pass(*point, Moment::After));
        Ok(answer)
    }
}

impl fmt::Debug for StopAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopAt").finish_non_exhaustive()
    }
}

/// A method that is not passed on would be a write that nobody sees.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Log for StopAt {
    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let mut points = vec![WritePoint::Commit];
        points.extend(commit.events.iter().map(|event| WritePoint::of_event(&event.kind)));
        points.extend(commit.writes.iter().map(WritePoint::of_write));
        self.around(&points, self.inner.commit(commit)).await
    }

    async fn events(&self, run: RunId, after: Seq) -> Result<Vec<Event>, StoreError> {
        self.inner.events(run, after).await
    }

    async fn beginning(&self, run: RunId, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.inner.beginning(run, limit).await
    }

    async fn payloads(&self, commitments: &[Commitment]) -> Result<Vec<Option<Payload>>, StoreError> {
        self.inner.payloads(commitments).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        self.inner.runs(filter).await
    }

    async fn tail(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError> {
        self.inner.tail(after, limit).await
    }

    fn audit(&self) -> &dyn Audit {
        self
    }

    fn memory(&self) -> &dyn Memory {
        self.inner.memory()
    }

    async fn purge(&self) -> Result<bool, StoreError> {
        self.inner.purge().await
    }

    async fn snapshot(&self, run: RunId) -> Result<Option<Snapshot>, StoreError> {
        self.inner.snapshot(run).await
    }

    async fn keep_snapshot(&self, run: RunId, snapshot: Snapshot) -> Result<(), StoreError> {
        self.around(&[WritePoint::KeepSnapshot], self.inner.keep_snapshot(run, snapshot)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Audit for StopAt {
    async fn log_id(&self) -> Result<String, StoreError> {
        self.inner.audit().log_id().await
    }

    async fn tree(&self) -> Result<TreeHead, StoreError> {
        self.inner.audit().tree().await
    }

    async fn nodes(&self, nodes: &[Node]) -> Result<BTreeMap<Node, Digest>, StoreError> {
        self.inner.audit().nodes(nodes).await
    }

    async fn leaves(&self, from: u64, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        self.inner.audit().leaves(from, limit).await
    }

    async fn leaves_of(&self, run: RunId, after: Seq, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        self.inner.audit().leaves_of(run, after, limit).await
    }

    async fn keep_head(&self, head: &SignedHead) -> Result<(), StoreError> {
        self.around(&[WritePoint::KeepHead], self.inner.audit().keep_head(head)).await
    }

    async fn heads(&self, above: u64, limit: u32) -> Result<Vec<SignedHead>, StoreError> {
        self.inner.audit().heads(above, limit).await
    }

    async fn newest_head(&self) -> Result<Option<SignedHead>, StoreError> {
        self.inner.audit().newest_head().await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Queue for StopAt {
    async fn claim(&self, claim: &Claim) -> Result<Option<Lease>, StoreError> {
        self.around(&[WritePoint::Claim], self.inner.claim(claim)).await
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<(), StoreError> {
        self.around(&[WritePoint::Renew], self.inner.renew(lease, duration)).await
    }

    async fn release(&self, lease: &Lease, wake: Option<Time>) -> Result<Released, StoreError> {
        self.around(&[WritePoint::Release], self.inner.release(lease, wake)).await
    }

    async fn signal(&self, run: RunId, message: Message) -> Result<MessageId, StoreError> {
        self.around(&[WritePoint::Signal], self.inner.signal(run, message)).await
    }

    async fn inbox(&self, run: RunId) -> Result<Vec<Received>, StoreError> {
        self.inner.inbox(run).await
    }

    async fn outbox(&self, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
        self.inner.outbox(limit).await
    }

    async fn delivered(&self, entries: &[OutboxId]) -> Result<(), StoreError> {
        self.around(&[WritePoint::Delivered], self.inner.delivered(entries)).await
    }
}
