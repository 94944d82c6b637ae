//! The ports to storage: [`Log`] keeps what happened, [`Queue`] says who may go on with a run. A store is pure storage: it
//! never decides what follows, it only refuses what would break the order of a run.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::Audit;
use crate::id::{CommitId, Fence, RunId, Seq, StepKey, Time, WorkerId};
use crate::log::{
    Channel, Commitment, Event, EventError, EventKind, Payload, PayloadError, Resolution, RunStatus, Verdict,
};
use crate::memory::{Content, Memory};
use crate::write::{OutboxEntry, SqlWrite};

/// The right to change a run, until somebody else gets a newer fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// Who holds it.
    pub worker: WorkerId,
    /// The owner count; a commit under an older one is refused.
    pub fence: Fence,
}

/// What becomes true at once, or not at all.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Sending the same commit twice is like sending it once.
    pub id: CommitId,
    /// The right to make it.
    pub lease: Lease,
    /// The run's newest event before it. [`Seq`] 0 begins the run; if no other commit has enqueued it, `writes` must hold its
    /// [`Write::Enqueue`].
    pub expect: Seq,
    /// The events, without gaps from `expect`; none in a commit that only consumes messages.
    pub events: Vec<Event>,
    /// The texts that the events point to.
    pub payloads: Vec<Payload>,
    /// What else changes in the same transaction.
    pub writes: Vec<Write>,
    /// Where the run stands after it.
    pub status: RunStatus,
    /// When somebody should look at the run again although nobody calls: its earliest timer.
    pub wake: Option<Time>,
}

impl Commit {
    /// What is wrong with the commit whatever the store holds; every store refuses it with this before it looks.
    pub fn check(&self) -> Result<(), StoreError> {
        let run = self.lease.run;
        let mut next = self.expect;
        for event in &self.events {
            next = next.next();
            if event.run != run {
                return Err(malformed(format!("event {} of run {} in a commit to run {run}", event.seq, event.run)));
            }
            if event.seq != next {
                return Err(malformed(format!("event {} of run {run} stands where {next} belongs", event.seq)));
            }
            if event.fence != self.lease.fence {
                let (event, lease) = (event.fence, self.lease.fence);
                return Err(malformed(format!("event {next} of run {run} has fence {event}, its lease {lease}")));
            }
        }
        for (i, write) in self.writes.iter().enumerate() {
            if self.writes[..i].iter().any(|earlier| earlier.same_target(write)) {
                return Err(malformed(format!("two writes to one thing in a commit to run {run}: {write:?}")));
            }
        }
        for event in &self.events {
            if let EventKind::MemoryWritten { content, id, .. } = &event.kind
                && self.content(*content).is_none()
            {
                return Err(malformed(format!("memory {id} of run {run} is written without what it says")));
            }
        }
        if self.expect > Seq(0) && self.creates().is_some() {
            return Err(malformed(format!("run {run} is created in a commit after event {}", self.expect)));
        }
        Ok(())
    }

    /// What a memory says that the commit writes.
    pub fn content(&self, commitment: Commitment) -> Option<Content> {
        self.payloads.iter().find(|payload| payload.commitment == commitment)?.value().ok()
    }

    /// The write that creates the commit's own run, if it does.
    pub fn creates(&self) -> Option<&NewRun> {
        self.writes.iter().find_map(|write| match write {
            Write::Enqueue(new) if new.run == self.lease.run => Some(new),
            _ => None,
        })
    }
}

fn malformed(what: String) -> StoreError {
    StoreError::Malformed(what)
}

/// How long a run is held by the lease that created it, unless that is renewed.
pub const FIRST_LEASE: Duration = Duration::from_secs(30);

/// A change beside the log, made in the transaction of its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Write {
    /// A run comes into being. In a commit with `expect` 0 it may be the commit's own run, owned by its lease for
    /// [`FIRST_LEASE`]; any other run is pending, and free for any worker.
    Enqueue(NewRun),
    /// A message was acted on, and leaves the inbox. One that is not in the run's inbox makes the commit malformed: it was
    /// acted on before.
    Consume(MessageId),
    /// A statement on tables of the embedder's, in the store's own database.
    Sql(SqlWrite),
    /// A message to another run, or to the commit's own. One to a run that does not exist is refused.
    Send(RunId, Message),
    /// Something for the world outside, which a relay takes from [`Queue::outbox`] and carries out at least once.
    Outbox(OutboxEntry),
}

impl Write {
    fn same_target(&self, other: &Write) -> bool {
        match (self, other) {
            (Write::Enqueue(a), Write::Enqueue(b)) => a.run == b.run,
            (Write::Consume(a), Write::Consume(b)) => a == b,
            // The others may be done as often as they stand there.
            _ => false,
        }
    }
}

/// A run that comes into being.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Its id.
    pub run: RunId,
    /// Whose it is.
    pub tenant: String,
    /// The name of its workflow, for listings.
    pub workflow: String,
    /// When it was created.
    pub at: Time,
    /// The run that it is a part of, where a step has made it.
    pub parent: Option<RunId>,
}

/// The name of a message in a run's inbox, given by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u64);

/// A message in a run's inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its name.
    pub id: MessageId,
    /// When it was sent, by the store's clock.
    pub at: Time,
    /// What it says.
    pub message: Message,
}

/// The name of an outbox entry, given by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId(pub u64);

/// An outbox entry that was not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its name: the same each time that it is read, so that the other side can tell a repetition.
    pub id: OutboxId,
    /// The run whose step wrote it.
    pub run: RunId,
    /// When it was committed, by the store's clock.
    pub at: Time,
    /// What it says.
    pub entry: OutboxEntry,
}

/// The state of a run at some event, as an engine has written it down: a cache, never evidence. Deleting it loses time and
/// nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The newest event in it.
    pub seq: Seq,
    /// The version of the engine that can read it; others pass it over.
    pub engine: String,
    /// The state.
    pub bytes: Vec<u8>,
}

/// Something said to a run from outside. It becomes an event when the run's executor takes it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Message {
    /// An answer to an approval.
    Approval {
        /// The step that waits.
        step: StepKey,
        /// The answer.
        verdict: Verdict,
        /// A remark.
        note: Option<String>,
        /// The person's name.
        by: String,
        /// How the word came in.
        via: Channel,
    },
    /// A signal, for the first step that waits for one of this name, now or later.
    Signal {
        /// Its name.
        name: String,
        /// What it says: the step's output.
        payload: Value,
        /// The person's name, or what else sends it.
        by: String,
        /// How the word came in.
        via: Channel,
    },
    /// A filled form.
    Input {
        /// The step that asks.
        step: StepKey,
        /// The values of the form's fields.
        values: Value,
        /// The person's name.
        by: String,
        /// How the word came in.
        via: Channel,
    },
    /// What became of a call in doubt.
    Resolve {
        /// The step in doubt.
        step: StepKey,
        /// What became of it.
        outcome: Resolution<Value>,
        /// A remark.
        note: Option<String>,
        /// The person's name.
        by: String,
        /// How the word came in.
        via: Channel,
    },
    /// The run is to stop.
    Cancel {
        /// Why.
        note: Option<String>,
        /// The person's name.
        by: String,
        /// How the word came in.
        via: Channel,
    },
    /// What became of a call whose worker had lost the run by then: evidence for a step in doubt.
    Outcome {
        /// The step.
        step: StepKey,
        /// Which attempt.
        attempt: u32,
        /// What became of it; never [`Resolution::Redo`]. One that was not even made is [`Resolution::NotDone`].
        outcome: Resolution<Value>,
        /// Whether the call was made at all. One that was not is no failure: it is made by whoever goes on.
        made: bool,
        /// The process that made the call.
        worker: WorkerId,
    },
    /// A run that a step has for itself has ended.
    RunEnded {
        /// The step.
        step: StepKey,
        /// That run.
        run: RunId,
    },
    /// A message of a newer version: it stays in the inbox.
    #[serde(other)]
    Unknown,
}

/// What a listing shows of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// Whose it is.
    pub tenant: String,
    /// The name of its workflow.
    pub workflow: String,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was created.
    pub created: Time,
    /// When its newest event was recorded.
    pub updated: Time,
    /// Its newest event.
    pub head: Seq,
    /// Whether a living process holds it now.
    pub held: bool,
    /// The run that it is a part of, where a step has made it.
    pub parent: Option<RunId>,
}

impl RunSummary {
    /// What has become of a run.
    pub fn new(new: NewRun, status: RunStatus, updated: Time, head: Seq, held: bool) -> Self {
        let NewRun { run, tenant, workflow, at, parent } = new;
        RunSummary { run, tenant, workflow, status, created: at, updated, head, held, parent }
    }
}

/// Which runs to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only this run.
    pub run: Option<RunId>,
    /// Only runs that have not ended.
    pub open: bool,
    /// At most this many; 0 means all.
    pub limit: u32,
}

/// Which run a worker wants, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who wants it.
    pub worker: WorkerId,
    /// This run; `None` for any that can go on now.
    pub run: Option<RunId>,
    /// How long the lease lasts without a renewal.
    pub lease: Duration,
    /// Whether `run` may have ended: it is to be reopened. Means nothing without `run`.
    pub ended: bool,
}

impl Claim {
    /// A claim of one run that has not ended, or of any that can go on now.
    pub fn new(worker: WorkerId, run: Option<RunId>, lease: Duration) -> Self {
        Claim { worker, run, lease, ended: false }
    }
}

/// What became of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// The run is free.
    Free,
    /// Refused: the inbox holds messages. The caller still holds the run.
    Unread,
}

/// Why a store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The run's newest event is not the one expected: somebody else has written.
    #[error("run {run} is at event {found}, not {expected}: another process has written to it")]
    Conflict {
        /// The run.
        run: RunId,
        /// The newest event that the commit expected.
        expected: Seq,
        /// The newest event there is.
        found: Seq,
    },
    /// Another worker holds the run now.
    #[error("run {run} was taken over by another process")]
    Fenced {
        /// The run.
        run: RunId,
    },
    /// There is no such run.
    #[error("there is no run {0}; `parkway runs` lists them")]
    NoRun(RunId),
    /// What is stored was written by a newer version.
    #[error("{0}")]
    Newer(String),
    /// What is stored is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The commit itself is malformed: an error of the caller.
    #[error("malformed commit: {0}")]
    Malformed(String),
    /// One of the commit's writes cannot be done, and so nothing of the commit was.
    #[error("{message}")]
    Refused {
        /// Which of [`Commit::writes`], from 0.
        write: usize,
        /// Why not, and a way out.
        message: String,
    },
    /// The disk, or the space given to the store, is full.
    #[error("no space is left for the store: {0}")]
    Full(String),
    /// The store cannot be written to.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The store cannot be reached or used now.
    #[error("the store failed: {message}")]
    Backend {
        /// What it said.
        message: String,
        /// Whether the same call may succeed later.
        retryable: bool,
    },
}

impl StoreError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::Conflict { .. } => "conflict",
            StoreError::Fenced { .. } => "fenced",
            StoreError::NoRun(_) => "no_run",
            StoreError::Newer(_) => "newer",
            StoreError::Corrupt(_) => "corrupt",
            StoreError::Malformed(_) => "malformed",
            StoreError::Refused { .. } => "refused",
            StoreError::Full(_) => "full",
            StoreError::ReadOnly(_) => "read_only",
            StoreError::Backend { .. } => "backend",
        }
    }

    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            StoreError::Conflict { .. }
            | StoreError::Fenced { .. }
            | StoreError::NoRun(_)
            | StoreError::Newer(_)
            | StoreError::Corrupt(_)
            | StoreError::Malformed(_)
            | StoreError::Refused { .. }
            | StoreError::ReadOnly(_) => false,
            StoreError::Full(_) => true,
            StoreError::Backend { retryable, .. } => *retryable,
        }
    }
}

impl From<EventError> for StoreError {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Newer { .. } => StoreError::Newer(error.to_string()),
            EventError::Unreadable(_) => StoreError::Corrupt(error.to_string()),
            EventError::Unwritable(_) => StoreError::Malformed(error.to_string()),
        }
    }
}

impl From<PayloadError> for StoreError {
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::Unwritable(_) => StoreError::Malformed(error.to_string()),
            PayloadError::Altered(_) | PayloadError::Unreadable(..) => StoreError::Corrupt(error.to_string()),
        }
    }
}

/// What happened, in order.
#[async_trait]
pub trait Log: Send + Sync {
    /// Makes a commit true. It is on disk when this returns. What its events say of memories is true with it, and the texts that they
    /// [erase](crate::log::EventKind::erased) are gone. The run's newest commit again is `Ok`, whoever holds the run by
    /// then; a wrong `expect` is [`StoreError::Conflict`], an old fence or a lease given back [`StoreError::Fenced`]. A lease
    /// that ran out is good until somebody else claims. After [`StoreError::Backend`] or [`StoreError::Full`] the caller
    /// does not know whether the commit became true, and must read the log.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;

    /// The run's events after `after`, oldest first. A run that does not exist is [`StoreError::NoRun`].
    async fn events(&self, run: RunId, after: Seq) -> Result<Vec<Event>, StoreError>;

    /// The run's first events, oldest first; at most `limit`. A store that can read them alone says so itself.
    async fn beginning(&self, run: RunId, limit: u32) -> Result<Vec<Event>, StoreError> {
        let mut events = self.events(run, Seq(0)).await?;
        events.truncate(limit as usize);
        Ok(events)
    }

    /// The payloads with these commitments, in that order; `None` where one was erased or never existed.
    async fn payloads(&self, commitments: &[Commitment]) -> Result<Vec<Option<Payload>>, StoreError>;

    /// Runs, newest first. [`RunId::SYSTEM`] is among them only if it is asked for.
    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError>;

    /// Events of all runs with a leaf number above `after`, in the order of their commits; at most `limit`.
    async fn tail(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError>;

    /// What proves this log.
    fn audit(&self) -> &dyn Audit;

    /// What agents remember.
    fn memory(&self) -> &dyn Memory;

    /// Takes what was erased out of every place where the store may still have it. `false` where somebody reads who keeps it: then it is
    /// gone when nobody does.
    async fn purge(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// The newest snapshot of a run's state that was kept. A store without a place for them has none.
    async fn snapshot(&self, run: RunId) -> Result<Option<Snapshot>, StoreError> {
        let _ = run;
        Ok(None)
    }

    /// Keeps a snapshot in place of the run's older one. It may be lost at any time.
    async fn keep_snapshot(&self, run: RunId, snapshot: Snapshot) -> Result<(), StoreError> {
        let _ = (run, snapshot);
        Ok(())
    }
}

/// Who may go on with a run.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Takes a run that has not ended and that nobody holds. `None` if there is none, or if the one asked for is held.
    /// A dead process holds nothing. Asked for any run, it gives one that is new, whose `wake` has come, that has a message,
    /// or whose holder is gone without a release.
    async fn claim(&self, claim: &Claim) -> Result<Option<Lease>, StoreError>;

    /// Makes a lease last for `lease` from now. [`StoreError::Fenced`] if another worker has the run.
    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<(), StoreError>;

    /// Gives a run back; `wake` is when it should be claimed although no message comes. Refused while the inbox holds
    /// messages, unless the run has ended.
    async fn release(&self, lease: &Lease, wake: Option<Time>) -> Result<Released, StoreError>;

    /// Puts a message into the inbox of a run that exists.
    async fn signal(&self, run: RunId, message: Message) -> Result<MessageId, StoreError>;

    /// The messages that were not consumed, oldest first.
    async fn inbox(&self, run: RunId) -> Result<Vec<Received>, StoreError>;

    /// Entries that were not delivered, oldest first; at most `limit`.
    async fn outbox(&self, limit: u32) -> Result<Vec<Outgoing>, StoreError>;

    /// Takes entries away that were delivered. One that is gone already is no error.
    async fn delivered(&self, entries: &[OutboxId]) -> Result<(), StoreError>;
}

/// A store that does both.
pub trait Store: Log + Queue {}

impl<T: Log + Queue> Store for T {}
