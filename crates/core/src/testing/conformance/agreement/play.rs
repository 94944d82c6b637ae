//! Plays calls on a subject and on the store in memory, and compares the answers.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use super::call::{Call, Doing};
use super::seen::Seen;
use crate::id::{CommitId, Digest, Fence, RunId, Seq, Time, WorkerId};
use crate::log::Commitment;
use crate::store::{
    Claim, Commit, Lease, Log, MessageId, OutboxId, Outgoing, Queue, Received, RunFilter, RunSummary, Snapshot, Store,
    StoreError, Write,
};
use crate::testing::conformance::Subject;
use crate::testing::conformance::room::cancel;
use crate::testing::{FakeClock, MemoryStore};

/// Longer than any lease of a sequence.
const ALL_LEASES: Duration = Duration::from_secs(601);

/// Where a store has answered otherwise than the model.
pub(super) struct Disagreement {
    /// The number of the call.
    pub(super) at: usize,
    text: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.at, self.text)
    }
}

pub(super) async fn play(subject: Box<dyn Subject>, calls: &[Call]) -> Result<(), Disagreement> {
    let mut player = Player::new(subject).await;
    for (at, call) in calls.iter().enumerate() {
        player.call(call).await.map_err(|text| Disagreement { at, text })?;
    }
    Ok(())
}

/// A commit as both stores get it: they have their own numbers for messages, and the model has no SQL.
pub(super) struct Sent {
    pub(super) store: Commit,
    pub(super) model: Commit,
    /// Which writes of the store's commit the model's has.
    pub(super) kept: Vec<usize>,
    /// The rows that it adds.
    pub(super) rows: Vec<u64>,
}

/// Both stores, and what they have in common.
pub(super) struct Player {
    pub(super) subject: Box<dyn Subject>,
    clock: Arc<FakeClock>,
    pub(super) model: MemoryStore,
    /// Counts reopenings: a worker lives between two.
    epoch: u32,
    drawn: u64,
    /// Runs that both have, and some that neither has.
    pub(super) runs: Vec<RunId>,
    leases: Vec<(Lease, u32)>,
    sent: Vec<Sent>,
    pub(super) payloads: Vec<Commitment>,
    messages: Seen,
    outgoing: Seen,
    last: BTreeMap<RunId, CommitId>,
    pub(super) table: bool,
    rows: Vec<u64>,
}

impl Player {
    async fn new(subject: Box<dyn Subject>) -> Self {
        let clock = Arc::new(FakeClock::new(subject.now()));
        let table = subject.sql("CREATE TABLE suite_row (id BIGINT PRIMARY KEY)").await.is_some();
        if table {
            subject.sql("INSERT INTO suite_row (id) VALUES (0)").await;
        }
        Player {
            model: MemoryStore::new(clock.clone()),
            subject,
            clock,
            epoch: 0,
            drawn: 0,
            runs: Vec::new(),
            leases: Vec::new(),
            sent: Vec::new(),
            payloads: Vec::new(),
            messages: Seen::default(),
            outgoing: Seen::default(),
            last: BTreeMap::new(),
            table,
            rows: Vec::new(),
        }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        self.subject.store()
    }

    pub(super) fn now(&self) -> Time {
        self.subject.now()
    }

    /// A number that was not given before.
    pub(super) fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    pub(super) fn random(&mut self) -> [u8; 16] {
        let drawn = self.draw();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::of(&[b"agreement", &drawn.to_le_bytes()]).as_bytes()[..16]);
        bytes
    }

    pub(super) fn worker(&self, n: u8) -> WorkerId {
        WorkerId::new(format!("w{n}-{}", self.epoch))
    }

    pub(super) fn lease(&self, n: u8) -> Option<&Lease> {
        picked(&self.leases, n).map(|(lease, _)| lease)
    }

    pub(super) fn keep_lease(&mut self, lease: Lease) {
        self.leases.push((lease, self.epoch));
    }

    pub(super) fn run(&self, n: u8) -> Option<RunId> {
        picked(&self.runs, n).copied()
    }

    /// What the model's listing says of a run.
    pub(super) async fn listed(&self, run: RunId) -> Result<Option<RunSummary>, String> {
        let filter = RunFilter { run: Some(run), ..RunFilter::default() };
        let mut runs = self.model.runs(&filter).await.map_err(|e| e.to_string())?;
        Ok(runs.pop())
    }

    pub(super) async fn pass(&self, by: Duration) -> Result<(), String> {
        self.subject.advance(by).await;
        self.clock.advance(by);
        let (now, wanted) = (self.subject.now(), self.model_now());
        if now == wanted { Ok(()) } else { Err(format!("the subject's clock stands at {now:?}, not at {wanted:?}")) }
    }

    fn model_now(&self) -> Time {
        use crate::clock::Clock;
        self.clock.now()
    }

    async fn call(&mut self, call: &Call) -> Result<(), String> {
        let store = self.store();
        match call {
            Call::Commit(making) => {
                if let Some(sent) = self.make(making).await? {
                    self.sent.push(sent);
                    self.send(self.sent.len() - 1).await?;
                }
            }
            Call::Again { commit } => {
                if !self.sent.is_empty() {
                    self.send(self.sent.len() - 1 - *commit as usize % self.sent.len()).await?;
                }
            }
            Call::Claim { worker, run, ended, seconds } => {
                let run = run.and_then(|run| self.run(run));
                let lease = Duration::from_secs(*seconds);
                let claim = Claim { ended: *ended, ..Claim::new(self.worker(*worker), run, lease) };
                let (theirs, ours) = (store.claim(&claim).await, self.model.claim(&claim).await);
                same("claim", &theirs, &ours)?;
                if let Ok(Some(lease)) = ours {
                    self.keep_lease(lease);
                }
            }
            Call::Renew { lease, seconds } => {
                // A process that has ended renews nothing.
                let alive = picked(&self.leases, *lease).filter(|(_, epoch)| *epoch == self.epoch);
                if let Some((lease, _)) = alive {
                    let duration = Duration::from_secs(*seconds);
                    same("renew", &store.renew(lease, duration).await, &self.model.renew(lease, duration).await)?;
                }
            }
            Call::Release { lease, wake } => {
                if let Some(lease) = self.lease(*lease) {
                    let wake = wake.map(|seconds| self.now().after(Duration::from_secs(seconds)));
                    same("release", &store.release(lease, wake).await, &self.model.release(lease, wake).await)?;
                }
            }
            Call::Signal { run, text } => {
                if let Some(run) = self.run(*run) {
                    let message = cancel(&text.to_string());
                    let theirs = store.signal(run, message.clone()).await;
                    let ours = self.model.signal(run, message).await;
                    same("signal", &theirs.clone().map(|_| ()), &ours.clone().map(|_| ()))?;
                    if let (Ok(store), Ok(model)) = (theirs, ours) {
                        self.messages.meet(store.0, model.0)?;
                    }
                }
            }
            Call::Delivered { entries } => {
                let both = self.outboxes(u32::MAX).await?;
                let found = entries.iter().map(|n| picked(&both, *n).copied().unwrap_or(NO_ENTRY));
                let (theirs, ours): (Vec<_>, Vec<_>) = found.unzip();
                same("delivered", &store.delivered(&theirs).await, &self.model.delivered(&ours).await)?;
            }
            Call::KeepSnapshot { run, text } => {
                if let Some(run) = self.run(*run)
                    && let Some(listed) = self.listed(run).await?
                {
                    let snapshot = Snapshot { seq: listed.head, engine: "1".into(), bytes: vec![*text; 300] };
                    let theirs = store.keep_snapshot(run, snapshot.clone()).await;
                    same("keep_snapshot", &theirs, &self.model.keep_snapshot(run, snapshot).await)?;
                }
            }
            Call::Pass { seconds } => self.pass(Duration::from_secs(*seconds)).await?,
            Call::Reopen => {
                if self.subject.reopen().await {
                    // Whether the leases of a process that has ended are free at once is the store's affair.
                    self.pass(ALL_LEASES).await?;
                    self.epoch += 1;
                }
            }
            Call::Look => self.look().await?,
        }
        Ok(())
    }

    async fn send(&mut self, number: usize) -> Result<(), String> {
        let sent = &self.sent[number];
        let theirs = self.store().commit(sent.store.clone()).await;
        let ours = match self.model.commit(sent.model.clone()).await {
            Err(StoreError::Refused { write, message }) => {
                Err(StoreError::Refused { write: sent.kept.get(write).copied().unwrap_or(write), message })
            }
            other => other,
        };
        same("commit", &theirs, &ours)?;
        let run = sent.store.lease.run;
        if ours.is_ok() && self.last.insert(run, sent.store.id) != Some(sent.store.id) {
            self.rows.extend(&sent.rows);
        }
        Ok(())
    }

    /// The unread messages of a run as both have them.
    pub(super) async fn inboxes(&mut self, run: RunId) -> Result<Vec<(MessageId, MessageId)>, String> {
        let (theirs, ours) = (self.store().inbox(run).await, self.model.inbox(run).await);
        let said = |inbox: &Vec<Received>| inbox.iter().map(|r| (r.at, r.message.clone())).collect::<Vec<_>>();
        same(
            "inbox",
            &theirs.as_ref().map(said).map_err(Clone::clone),
            &ours.as_ref().map(said).map_err(Clone::clone),
        )?;
        let ids = |inbox: Vec<Received>| inbox.into_iter().map(|received| received.id);
        let both = ids(theirs.unwrap_or_default()).zip(ids(ours.unwrap_or_default())).collect::<Vec<_>>();
        ascending("messages", both.iter().map(|(store, _)| store.0))?;
        for (store, model) in &both {
            self.messages.meet(store.0, model.0).map_err(|what| format!("inbox: {what}"))?;
        }
        Ok(both)
    }

    async fn outboxes(&mut self, limit: u32) -> Result<Vec<(OutboxId, OutboxId)>, String> {
        let (theirs, ours) = (self.store().outbox(limit).await, self.model.outbox(limit).await);
        let said = |outbox: &Vec<Outgoing>| outbox.iter().map(|o| (o.run, o.at, o.entry.clone())).collect::<Vec<_>>();
        same(
            "outbox",
            &theirs.as_ref().map(said).map_err(Clone::clone),
            &ours.as_ref().map(said).map_err(Clone::clone),
        )?;
        let ids = |outbox: Vec<Outgoing>| outbox.into_iter().map(|outgoing| outgoing.id);
        let both = ids(theirs.unwrap_or_default()).zip(ids(ours.unwrap_or_default())).collect::<Vec<_>>();
        ascending("outbox entries", both.iter().map(|(store, _)| store.0))?;
        for (store, model) in &both {
            self.outgoing.meet(store.0, model.0).map_err(|what| format!("outbox: {what}"))?;
        }
        Ok(both)
    }

    /// Compares everything that can be read.
    async fn look(&mut self) -> Result<(), String> {
        let store = self.store();
        for (open, limit) in [(false, 0), (true, 0), (true, 2), (false, 3)] {
            let filter = RunFilter { run: None, open, limit };
            same("runs", &store.runs(&filter).await, &self.model.runs(&filter).await)?;
        }
        for run in self.runs.clone() {
            let filter = RunFilter { run: Some(run), ..RunFilter::default() };
            same("runs", &store.runs(&filter).await, &self.model.runs(&filter).await)?;
            for after in [Seq(0), Seq(2)] {
                same("events", &store.events(run, after).await, &self.model.events(run, after).await)?;
            }
            same("beginning", &store.beginning(run, 2).await, &self.model.beginning(run, 2).await)?;
            self.inboxes(run).await?;
            let (theirs, ours) = (store.snapshot(run).await, self.model.snapshot(run).await);
            if theirs != Ok(None) {
                same("snapshot", &theirs, &ours)?;
            }
        }
        self.outboxes(u32::MAX).await?;
        self.outboxes(2).await?;
        same("payloads", &store.payloads(&self.payloads).await, &self.model.payloads(&self.payloads).await)?;
        self.look_at_leaves().await?;
        if let Some(found) = self.subject.sql("SELECT id FROM suite_row WHERE id > 0 ORDER BY id").await {
            self.rows.sort_unstable();
            let wanted: Vec<Vec<serde_json::Value>> = self.rows.iter().map(|row| vec![(*row).into()]).collect();
            same("rows", &Ok(found), &Ok(wanted))?;
        }
        Ok(())
    }

    async fn look_at_leaves(&self) -> Result<(), String> {
        let store = self.store();
        let theirs = store.tail(0, u32::MAX).await.map_err(|e| format!("tail: {e}"))?;
        let ours = self.model.tail(0, u32::MAX).await.map_err(|e| e.to_string())?;
        ascending("leaves", theirs.iter().map(|(leaf, _)| *leaf))?;
        let events =
            |tail: &[(u64, crate::log::Event)]| tail.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>();
        same("tail", &Ok(events(&theirs)), &Ok(events(&ours)))?;
        let middle = theirs.len() / 2;
        let after = theirs.get(middle).map_or(0, |(leaf, _)| *leaf);
        let page: Vec<_> = theirs.iter().filter(|(leaf, _)| *leaf > after).take(3).cloned().collect();
        same("tail", &store.tail(after, 3).await, &Ok(page))
    }
}

/// An outbox entry that neither has.
const NO_ENTRY: (OutboxId, OutboxId) = (OutboxId(900_000_001), OutboxId(900_000_001));
/// A message that neither has.
pub(super) const NO_MESSAGE: (MessageId, MessageId) = (MessageId(900_000_001), MessageId(900_000_001));
/// The fence of a lease that creates its run.
pub(super) const FIRST_FENCE: Fence = Fence(1);

/// The one that a small number means: 0 is the newest.
pub(super) fn picked<T>(list: &[T], n: u8) -> Option<&T> {
    list.len().checked_sub(1).map(|last| &list[last - n as usize % list.len()])
}

/// Whether the write may be refused: then no other of its commit may be, since nothing says which is named.
pub(super) fn refusable(doing: Doing) -> bool {
    matches!(doing, Doing::Send { .. } | Doing::SendToNobody | Doing::SqlRefused)
}

/// The writes of the model's commit, and which of the store's they are.
pub(super) fn without_sql(writes: &[(Write, bool)]) -> (Vec<Write>, Vec<usize>) {
    let kept = writes.iter().enumerate().filter(|(_, (_, accepted_sql))| !accepted_sql);
    kept.map(|(at, (write, _))| (write.clone(), at)).unzip()
}

fn ascending(what: &str, numbers: impl Iterator<Item = u64>) -> Result<(), String> {
    let numbers: Vec<u64> = numbers.collect();
    if numbers.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(format!("the {what} are out of order: {numbers:?}")) }
}

/// The answers must be the same, but for the texts of errors.
fn same<T: PartialEq + Debug>(
    what: &str,
    theirs: &Result<T, StoreError>,
    ours: &Result<T, StoreError>,
) -> Result<(), String> {
    let like = match (theirs, ours) {
        (Err(StoreError::Malformed(_)), Err(StoreError::Malformed(_))) => true,
        (Err(StoreError::Refused { write: a, .. }), Err(StoreError::Refused { write: b, .. })) => a == b,
        _ => theirs == ours,
    };
    if like { Ok(()) } else { Err(format!("{what}\n  the store: {theirs:?}\n  the model: {ours:?}")) }
}
