//! What cases are written in: a store with short ways to make runs, commits and messages.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Subject;
use crate::id::{CommitId, Digest, Fence, RunId, Seq, StepKey, Time, WorkerId};
use crate::log::{Actor, Channel, Commitment, Event, EventKind, Payload, RunStatus, SkipReason, Verdict};
use crate::store::{Claim, Commit, Lease, Message, NewRun, Released, RunFilter, RunSummary, Store, StoreError, Write};

/// How long the leases of the cases last.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// A subject, and ids that are used once.
pub(super) struct Room {
    subject: Box<dyn Subject>,
    drawn: AtomicU64,
}

impl Room {
    pub(super) fn new(subject: Box<dyn Subject>) -> Self {
        Room { subject, drawn: AtomicU64::new(0) }
    }

    pub(super) fn random(&self) -> [u8; 16] {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::of(&[b"conformance", &drawn.to_le_bytes()]).as_bytes()[..16]);
        bytes
    }

    pub(super) fn new_run(&self) -> NewRun {
        let at = self.now();
        NewRun {
            run: RunId::new(at, self.random()),
            tenant: "tenant".into(),
            workflow: "flow".into(),
            at,
            parent: None,
        }
    }

    /// A run's first commit: one event, by `worker` under fence 1.
    pub(super) fn creation(&self, new: &NewRun, worker: &str) -> Draft {
        let lease = Lease { run: new.run, worker: WorkerId::new(worker), fence: Fence(1) };
        let mut draft = self.draft(&lease, Seq(0), 1);
        draft.writes.push(Write::Enqueue(new.clone()));
        draft
    }

    /// A commit of `events` events after `head`.
    pub(super) fn draft(&self, lease: &Lease, head: Seq, events: u64) -> Draft {
        let at = self.now();
        let event = |n| event(lease, Seq(head.0 + n), at);
        Draft(Commit {
            id: CommitId::new(self.random()),
            lease: lease.clone(),
            expect: head,
            events: (1..=events).map(event).collect(),
            payloads: Vec::new(),
            writes: Vec::new(),
            status: RunStatus::Running,
            wake: None,
        })
    }

    pub(super) fn payload(&self, text: &str) -> Payload {
        Payload::json(text, self.random()).unwrap()
    }

    /// A run of one event that `worker` holds for [`LEASE`].
    pub(super) async fn create(&self, worker: &str) -> Hold {
        let creation = self.creation(&self.new_run(), worker);
        let lease = creation.lease.clone();
        self.commit(&creation).await.unwrap();
        self.store().renew(&lease, LEASE).await.unwrap();
        Hold { lease, head: Seq(1) }
    }

    /// A run that `worker` has created and given back.
    pub(super) async fn create_free(&self, worker: &str, wake: Option<Time>) -> RunId {
        let hold = self.create(worker).await;
        assert_eq!(self.store().release(&hold.lease, wake).await, Ok(Released::Free));
        hold.lease.run
    }

    /// A run that has ended.
    pub(super) async fn create_ended(&self, worker: &str) -> Hold {
        let mut hold = self.create(worker).await;
        let draft = self.draft(&hold.lease, hold.head, 1).status(RunStatus::Completed);
        self.commit(&draft).await.unwrap();
        hold.head = Seq(2);
        hold
    }

    pub(super) async fn commit(&self, draft: &Draft) -> Result<(), StoreError> {
        self.store().commit(draft.0.clone()).await
    }

    /// Commits `events` more events for the holder.
    pub(super) async fn extend(&self, hold: &mut Hold, events: u64) {
        self.commit(&self.draft(&hold.lease, hold.head, events)).await.unwrap();
        hold.head = Seq(hold.head.0 + events);
    }

    pub(super) async fn claim(&self, worker: &str, run: RunId) -> Option<Lease> {
        let claim = Claim::new(WorkerId::new(worker), Some(run), LEASE);
        self.store().claim(&claim).await.unwrap()
    }

    pub(super) async fn claim_any(&self, worker: &str) -> Option<Lease> {
        let claim = Claim::new(WorkerId::new(worker), None, LEASE);
        self.store().claim(&claim).await.unwrap()
    }

    pub(super) async fn signal(&self, run: RunId, text: &str) -> crate::store::MessageId {
        self.store().signal(run, cancel(text)).await.unwrap()
    }

    pub(super) async fn inbox(&self, run: RunId) -> Vec<Message> {
        self.store().inbox(run).await.unwrap().into_iter().map(|received| received.message).collect()
    }

    /// The sequence numbers of a run's events.
    pub(super) async fn seqs(&self, run: RunId) -> Vec<u64> {
        self.store().events(run, Seq(0)).await.unwrap().iter().map(|event| event.seq.0).collect()
    }

    pub(super) async fn summary(&self, run: RunId) -> RunSummary {
        let filter = RunFilter { run: Some(run), ..RunFilter::default() };
        let mut runs = self.store().runs(&filter).await.unwrap();
        assert_eq!(runs.len(), 1, "one run was asked for");
        runs.remove(0)
    }

    pub(super) async fn listed(&self, filter: RunFilter) -> Vec<RunId> {
        self.store().runs(&filter).await.unwrap().iter().map(|run| run.run).collect()
    }

    /// The payload as the store has it.
    pub(super) async fn read(&self, commitment: Commitment) -> Option<Payload> {
        self.store().payloads(&[commitment]).await.unwrap().remove(0)
    }

    pub(super) async fn leaves(&self) -> Vec<(u64, RunId, u64)> {
        let tail = self.store().tail(0, u32::MAX).await.unwrap();
        tail.iter().map(|(leaf, event)| (*leaf, event.run, event.seq.0)).collect()
    }
}

impl Deref for Room {
    type Target = dyn Subject;
    fn deref(&self) -> &Self::Target {
        &*self.subject
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.subject
    }
}

/// A run that somebody holds, and how far its log is.
#[derive(Clone)]
pub(super) struct Hold {
    pub(super) lease: Lease,
    pub(super) head: Seq,
}

/// A commit that is being put together.
#[derive(Clone)]
pub(super) struct Draft(pub(super) Commit);

impl Draft {
    pub(super) fn payload(mut self, payload: &Payload) -> Self {
        self.0.payloads.push(payload.clone());
        self
    }

    pub(super) fn write(mut self, write: Write) -> Self {
        self.0.writes.push(write);
        self
    }

    pub(super) fn send(self, to: RunId, text: &str) -> Self {
        self.write(Write::Send(to, cancel(text)))
    }

    pub(super) fn status(mut self, status: RunStatus) -> Self {
        self.0.status = status;
        self
    }

    pub(super) fn wake(mut self, wake: Time) -> Self {
        self.0.wake = Some(wake);
        self
    }
}

impl Deref for Draft {
    type Target = Commit;
    fn deref(&self) -> &Commit {
        &self.0
    }
}

impl DerefMut for Draft {
    fn deref_mut(&mut self) -> &mut Commit {
        &mut self.0
    }
}

/// An event that differs from its neighbours.
pub(super) fn event(lease: &Lease, seq: Seq, at: Time) -> Event {
    let key = StepKey::root(&format!("step_{seq}"));
    let by = Actor::Engine;
    let kind = EventKind::StepSkipped { key, reason: SkipReason::Condition };
    Event::new("tenant", lease.run, seq, at, lease.fence, by, kind)
}

pub(super) fn cancel(text: &str) -> Message {
    Message::Cancel { note: Some(text.into()), by: "ada".into(), via: Channel::Command }
}

pub(super) fn approval() -> Message {
    Message::Approval {
        step: StepKey::root("intake").item(3).child("confirm"),
        verdict: Verdict::Rejected,
        note: Some("no: „zu teuer“\n\u{1F4B8}\u{0}".into()),
        by: "Grace \"Amazing\" Hopper".into(),
        via: Channel::Prompt,
    }
}

pub(super) fn conflict(run: RunId, expected: u64, found: u64) -> Result<(), StoreError> {
    Err(StoreError::Conflict { run, expected: Seq(expected), found: Seq(found) })
}

pub(super) fn fenced<T>(run: RunId) -> Result<T, StoreError> {
    Err(StoreError::Fenced { run })
}

#[track_caller]
pub(super) fn assert_malformed(result: Result<(), StoreError>) {
    assert!(matches!(result, Err(StoreError::Malformed(_))), "expected a malformed commit, got {result:?}");
}

/// The commit must be refused for its write of that number.
#[track_caller]
pub(super) fn assert_refused(result: Result<(), StoreError>, write: usize) {
    let refused = matches!(result, Err(StoreError::Refused { write: found, .. }) if found == write);
    assert!(refused, "expected write {write} to be refused, got {result:?}");
}

/// Runs the futures at once, and gives their results in order.
pub(super) async fn at_once<T: Send + 'static>(
    futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

/// The store's commit as a future that owns what it needs.
pub(super) fn sending(store: &Arc<dyn Store>, draft: &Draft) -> impl Future<Output = Result<(), StoreError>> + use<> {
    let (store, commit) = (store.clone(), draft.0.clone());
    async move { store.commit(commit).await }
}
