//! The one door: apply, commit, publish. The state may run ahead of the disk; commits follow in order, many events at
//! once, and whoever must not run ahead waits for [`Disk::holds`].

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::engine::reporter::{Notice, Reporter};
use crate::id::{CommitId, Seq, Time};
use crate::log::{Actor, Commitment, Event, EventKind, IllegalEvent, Payload, PayloadError, RunState, RunStatus};
use crate::store::{Commit, Lease, Log, Store, StoreError, Write};

/// Events of one run that go into one commit at most.
const BATCH: usize = 512;
/// Batches that may wait for the disk before recording waits too.
const AHEAD: usize = 1_024;

/// What becomes part of the log together.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) events: Vec<(Option<Actor>, EventKind)>,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) writes: Vec<Write>,
}

impl Draft {
    pub(crate) fn event(&mut self, kind: EventKind) {
        self.events.push((None, kind));
    }

    pub(crate) fn event_by(&mut self, by: Actor, kind: EventKind) {
        self.events.push((Some(by), kind));
    }

    /// Adds a value, and gives what events call it.
    pub(crate) fn payload<T: serde::Serialize + ?Sized>(
        &mut self,
        clock: &dyn Clock,
        value: &T,
    ) -> Result<Commitment, PayloadError> {
        let payload = Payload::json(value, clock.random())?;
        let commitment = payload.commitment;
        self.payloads.push(payload);
        Ok(commitment)
    }
}

/// Why something could not be recorded.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One of a commit's writes cannot be done, and so nothing of the commit was.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Which of the draft's writes, from 0.
    pub(crate) write: usize,
    pub(crate) message: String,
}

struct Batch {
    events: Vec<Event>,
    payloads: Vec<Payload>,
    writes: Vec<Write>,
    status: RunStatus,
    wake: Option<Time>,
    /// Who must know what came of it before anything else is recorded: it is a commit of its own.
    answer: Option<oneshot::Sender<Result<(), Refusal>>>,
}

impl Batch {
    /// Takes in what was recorded after it.
    fn extend(&mut self, next: Batch) {
        self.events.extend(next.events);
        self.payloads.extend(next.payloads);
        self.writes.extend(next.writes);
        (self.status, self.wake) = (next.status, next.wake);
    }
}

/// Writes one run's log.
pub(crate) struct Recorder {
    clock: Arc<dyn Clock>,
    tenant: String,
    lease: Lease,
    /// What was recorded and not handed to the committer yet: an outcome and what follows from it go into one commit.
    gathered: Option<Batch>,
    sender: mpsc::Sender<(CommitId, Batch)>,
    sent: u64,
    disk: Disk,
    committer: JoinHandle<()>,
}

/// What is known to be on disk of a run, and why it goes no further, if it does not.
#[derive(Clone, Debug, Default)]
struct Durable {
    /// The last event.
    seq: Seq,
    /// How much was handed to the committer: some of it has no event.
    batches: u64,
    error: Option<StoreError>,
}

/// Tells what is on disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    durable: watch::Receiver<Durable>,
}

impl Disk {
    /// Returns when every event up to `seq` is on disk.
    pub(crate) async fn holds(&mut self, seq: Seq) -> Result<(), StoreError> {
        let reached = self.durable.wait_for(|durable| durable.seq >= seq || durable.error.is_some()).await;
        match reached {
            Ok(durable) if durable.seq >= seq => Ok(()),
            Ok(durable) => Err(durable.error.clone().unwrap_or_else(committer_gone)),
            Err(_) => Err(committer_gone()),
        }
    }

    /// Returns when so many batches are on disk.
    async fn has(&mut self, batches: u64) -> Result<(), StoreError> {
        let reached = self.durable.wait_for(|durable| durable.batches >= batches || durable.error.is_some()).await;
        match reached {
            Ok(durable) => durable.error.clone().map_or(Ok(()), Err),
            Err(_) => Err(committer_gone()),
        }
    }

    /// Returns when a commit has failed.
    pub(crate) async fn failed(&mut self) -> StoreError {
        match self.durable.wait_for(|durable| durable.error.is_some()).await {
            Ok(durable) => durable.error.clone().unwrap_or_else(committer_gone),
            Err(_) => committer_gone(),
        }
    }
}

fn committer_gone() -> StoreError {
    StoreError::Backend { message: "the run's commits ended before their time".into(), retryable: true }
}

impl Recorder {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        reporter: Reporter,
        tenant: &str,
        lease: Lease,
        head: Seq,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (durable_sender, durable) = watch::channel(Durable { seq: head, batches: 0, error: None });
        let committer = Committer { store, reporter, lease: lease.clone(), head, durable: durable_sender };
        let committer = tokio::spawn(committer.run(receiver));
        Recorder {
            clock,
            tenant: tenant.into(),
            lease,
            gathered: None,
            sender,
            sent: 0,
            disk: Disk { durable },
            committer,
        }
    }

    /// Makes a draft part of the run: applies it to the state, and lays it beside what goes to the committer with the next
    /// [`hand_over`](Recorder::hand_over).
    pub(crate) async fn record(&mut self, state: &mut RunState, draft: Draft) -> Result<Seq, RecordError> {
        let events = self.events(state.head(), draft.events);
        events.iter().try_for_each(|event| state.apply(event))?;
        let (status, wake) = (state.status(), state.wake());
        let (payloads, writes) = (draft.payloads, draft.writes);
        let batch = Batch { events, payloads, writes, status, wake, answer: None };
        match &mut self.gathered {
            Some(gathered) => gathered.extend(batch),
            None => self.gathered = Some(batch),
        }
        if self.gathered.as_ref().is_some_and(|gathered| gathered.events.len() >= BATCH) {
            self.hand_over().await?;
        }
        Ok(state.head())
    }

    /// Hands what was recorded to the committer. Whoever waits for anything does this first.
    pub(crate) async fn hand_over(&mut self) -> Result<(), StoreError> {
        match self.gathered.take() {
            Some(batch) => self.send(batch).await,
            None => Ok(()),
        }
    }

    /// Makes a draft with writes that may be refused part of the run: it becomes true in a commit of its own, after all
    /// that was recorded before it, and the state takes it in when it has.
    pub(crate) async fn record_if_taken(
        &mut self,
        state: &mut RunState,
        draft: Draft,
    ) -> Result<Result<Seq, Refusal>, RecordError> {
        self.hand_over().await?;
        let events = self.events(state.head(), draft.events);
        let (status, wake) = (state.status(), state.wake());
        let (answer, taken) = oneshot::channel();
        let (payloads, writes) = (draft.payloads, draft.writes);
        self.send(Batch { events: events.clone(), payloads, writes, status, wake, answer: Some(answer) }).await?;
        match taken.await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => return Ok(Err(refusal)),
            Err(_) => return Err(self.disk().failed().await.into()),
        }
        events.iter().try_for_each(|event| state.apply(event))?;
        if (state.status(), state.wake()) != (status, wake) {
            // The commit could not know where the run would stand after it.
            self.record(state, Draft::default()).await?;
        }
        Ok(Ok(state.head()))
    }

    fn events(&self, mut head: Seq, kinds: Vec<(Option<Actor>, EventKind)>) -> Vec<Event> {
        let at = self.clock.now();
        let event = |(by, kind): (Option<Actor>, EventKind)| {
            head = head.next();
            Event::new(&self.tenant, self.lease.run, head, at, self.lease.fence, by.unwrap_or_default(), kind)
        };
        kinds.into_iter().map(event).collect()
    }

    async fn send(&mut self, batch: Batch) -> Result<(), StoreError> {
        // Drawn here, since a clock that panics must do so in the executor's task.
        let id = CommitId::new(self.clock.random());
        if self.sender.send((id, batch)).await.is_err() {
            return Err(self.disk().failed().await);
        }
        self.sent += 1;
        Ok(())
    }

    /// Returns when all that was recorded is on disk.
    pub(crate) async fn written(&mut self) -> Result<(), StoreError> {
        self.hand_over().await?;
        self.disk().has(self.sent).await
    }

    /// The last event that is on disk.
    pub(crate) fn on_disk(&self) -> Seq {
        self.disk.durable.borrow().seq
    }

    pub(crate) fn disk(&self) -> Disk {
        self.disk.clone()
    }

    /// Commits all that was recorded, and ends.
    pub(crate) async fn close(mut self) -> Result<(), StoreError> {
        // Where this fails, the committer has an error to tell.
        let _ = self.hand_over().await;
        drop(self.sender);
        if self.committer.await.is_err() {
            return Err(committer_gone());
        }
        let durable = self.disk.durable.borrow();
        durable.error.clone().map_or(Ok(()), Err)
    }
}

struct Committer {
    store: Arc<dyn Store>,
    reporter: Reporter,
    lease: Lease,
    head: Seq,
    durable: watch::Sender<Durable>,
}

impl Committer {
    async fn run(mut self, mut receiver: mpsc::Receiver<(CommitId, Batch)>) {
        let mut batches = 0;
        let mut next_alone = None;
        loop {
            let next = match next_alone.take() {
                Some(alone) => Some(alone),
                None => receiver.recv().await,
            };
            let Some((id, mut batch)) = next else { return };
            batches += 1;
            let answer = batch.answer.take();
            while answer.is_none() && batch.events.len() < BATCH {
                let Ok((next_id, next)) = receiver.try_recv() else { break };
                if next.answer.is_some() {
                    next_alone = Some((next_id, next));
                    break;
                }
                batches += 1;
                batch.extend(next);
            }
            let answered = match (self.commit(id, batch, batches).await, answer) {
                (Ok(()), Some(answer)) => answer.send(Ok(())),
                (Err(StoreError::Refused { write, message }), Some(answer)) => {
                    self.durable.send_modify(|durable| durable.batches = batches);
                    answer.send(Err(Refusal { write, message }))
                }
                (Ok(()), None) => Ok(()),
                (Err(error), _) => {
                    self.durable.send_modify(|durable| durable.error = Some(error));
                    return;
                }
            };
            // Whoever asked is gone, and the executor with it.
            let _ = answered;
        }
    }

    async fn commit(&mut self, id: CommitId, batch: Batch, batches: u64) -> Result<(), StoreError> {
        let events: Vec<Arc<Event>> = batch.events.iter().cloned().map(Arc::new).collect();
        let commit = Commit {
            id,
            lease: self.lease.clone(),
            expect: self.head,
            events: batch.events,
            payloads: batch.payloads,
            writes: batch.writes,
            status: batch.status,
            wake: batch.wake,
        };
        Log::commit(&*self.store, commit).await?;
        tracing::debug!(run = %self.lease.run, events = events.len(), "committed");
        if let Some(last) = events.last() {
            self.head = last.seq;
        }
        let head = self.head;
        self.durable.send_modify(|durable| (durable.seq, durable.batches) = (head, batches));
        for event in events {
            self.reporter.tell(Notice::Event(event));
        }
        Ok(())
    }
}
