//! A store in memory that remembers what changed it, so that it can be made again as it was at any moment.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use parkway_core::audit::Audit;
use parkway_core::clock::Clock;
use parkway_core::id::{Digest, RunId, Seq, Time};
use parkway_core::log::{Commitment, Event, Payload};
use parkway_core::memory::Memory;
use parkway_core::store::{
    Claim, Commit, Lease, Log, Message, MessageId, OutboxId, Outgoing, Queue, Received, Released, RunFilter,
    RunSummary, StoreError,
};
use parkway_core::testing::{FakeClock, MemoryStore};
use tokio::time::Instant;

/// What changed a store.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Commit(Commit),
    Claim(Claim),
    Renew(Lease, Duration),
    Release(Lease, Option<Time>),
    Signal(RunId, Message),
}

impl Change {
    pub(super) fn run(&self) -> RunId {
        match self {
            Change::Commit(commit) => commit.lease.run,
            Change::Claim(claim) => claim.run.expect("a claim of one run"),
            Change::Renew(lease, _) | Change::Release(lease, _) => lease.run,
            Change::Signal(run, _) => *run,
        }
    }

    /// Makes it again in another store.
    async fn make(&self, store: &MemoryStore) {
        match self.clone() {
            Change::Commit(commit) => store.commit(commit).await.unwrap(),
            Change::Claim(claim) => drop(store.claim(&claim).await.unwrap().expect("the run is free again")),
            Change::Renew(lease, lasts) => store.renew(&lease, lasts).await.unwrap(),
            Change::Release(lease, wake) => drop(store.release(&lease, wake).await.unwrap()),
            Change::Signal(run, message) => drop(store.signal(run, message).await.unwrap()),
        }
    }
}

/// A clock that is put to a time, and from then on goes as the test's runtime does.
#[derive(Debug)]
pub(super) struct PutClock(Mutex<(Time, Option<Instant>, u64)>);

impl PutClock {
    /// A clock that goes on from `now`, with chance of its own.
    pub(super) fn going(now: Time) -> Arc<Self> {
        Arc::new(PutClock(Mutex::new((now, Some(Instant::now()), 1 << 32))))
    }

    fn put(&self, now: Time, going: bool) {
        let mut state = self.0.lock().unwrap();
        (state.0, state.1) = (now, going.then(Instant::now));
    }
}

impl Clock for PutClock {
    fn now(&self) -> Time {
        let (now, since, _) = *self.0.lock().unwrap();
        now.after(since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    fn jitter(&self, most: Duration) -> Duration {
        most / 2
    }

    fn random(&self) -> [u8; 16] {
        let mut state = self.0.lock().unwrap();
        state.2 += 1;
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::of(&[b"second clock", &state.2.to_le_bytes()]).as_bytes()[..16]);
        bytes
    }
}

/// A store as it was after these changes, when the leases of its workers have run out.
pub(super) async fn remake(changes: &[(Time, Change)]) -> Arc<MemoryStore> {
    let clock = Arc::new(PutClock(Mutex::new((changes[0].0, None, 0))));
    let store = Arc::new(MemoryStore::new(clock.clone()));
    for (at, change) in changes {
        clock.put(*at, false);
        change.make(&store).await;
    }
    clock.put(changes.last().unwrap().0.after(Duration::from_secs(60)), true);
    store
}

/// The store.
pub(super) struct Journal {
    pub(super) clock: Arc<FakeClock>,
    pub(super) inner: Arc<MemoryStore>,
    changes: Mutex<Vec<(Time, Change)>>,
}

impl Journal {
    pub(super) fn new() -> Self {
        let clock = Arc::new(FakeClock::default().paced());
        Journal { inner: Arc::new(MemoryStore::new(clock.clone())), clock, changes: Mutex::default() }
    }

    pub(super) fn changes(&self) -> Vec<(Time, Change)> {
        self.changes.lock().unwrap().clone()
    }

    /// Notes a change that was made at `at`. The store in memory never waits, so that the notes are in order.
    fn note(&self, at: Time, change: Change) {
        self.changes.lock().unwrap().push((at, change));
    }
}

#[async_trait]
impl Log for Journal {
    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let at = self.clock.now();
        self.inner.commit(commit.clone()).await?;
        self.note(at, Change::Commit(commit));
        Ok(())
    }

    async fn events(&self, run: RunId, after: Seq) -> Result<Vec<Event>, StoreError> {
        self.inner.events(run, after).await
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
        self.inner.audit()
    }

    fn memory(&self) -> &dyn Memory {
        self.inner.memory()
    }
}

#[async_trait]
impl Queue for Journal {
    async fn claim(&self, claim: &Claim) -> Result<Option<Lease>, StoreError> {
        let at = self.clock.now();
        let lease = self.inner.claim(claim).await?;
        if let Some(lease) = &lease {
            self.note(at, Change::Claim(Claim { run: Some(lease.run), ..claim.clone() }));
        }
        Ok(lease)
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<(), StoreError> {
        let at = self.clock.now();
        self.inner.renew(lease, duration).await?;
        self.note(at, Change::Renew(lease.clone(), duration));
        Ok(())
    }

    async fn release(&self, lease: &Lease, wake: Option<Time>) -> Result<Released, StoreError> {
        let at = self.clock.now();
        let released = self.inner.release(lease, wake).await?;
        if released == Released::Free {
            self.note(at, Change::Release(lease.clone(), wake));
        }
        Ok(released)
    }

    async fn signal(&self, run: RunId, message: Message) -> Result<MessageId, StoreError> {
        let at = self.clock.now();
        let id = self.inner.signal(run, message.clone()).await?;
        self.note(at, Change::Signal(run, message));
        Ok(id)
    }

    async fn inbox(&self, run: RunId) -> Result<Vec<Received>, StoreError> {
        self.inner.inbox(run).await
    }

    async fn outbox(&self, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
        self.inner.outbox(limit).await
    }

    async fn delivered(&self, entries: &[OutboxId]) -> Result<(), StoreError> {
        self.inner.delivered(entries).await
    }
}
