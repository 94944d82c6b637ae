//! The suite of stores, tried on stores that are wrong: each bug must be found.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parkway_core::audit::Audit;
use parkway_core::clock::Clock;
use parkway_core::id::{CommitId, RunId, Seq, Time};
use parkway_core::log::{Commitment, Event, Payload};
use parkway_core::memory::Memory;
use parkway_core::store::{
    Claim, Commit, Lease, Log, Message, MessageId, OutboxId, Outgoing, Queue, Received, Released, RunFilter,
    RunSummary, Snapshot, Store, StoreError, Write,
};
use parkway_core::testing::conformance::{CASES, Case, Subject, agrees_with_model};
use parkway_core::testing::{FakeClock, MemoryStore};

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bug {
    ForgetsToFence,
    AcknowledgesBeforeWriting,
    LosesLargePayloads,
    DoublesCommits,
    ForgetsWhichCommitsItHas,
    IgnoresWhereTheCallerStands,
    KeepsEventsOfRefusedCommits,
    SendsBeforeItRefuses,
    ConsumesWhatIsNotThere,
    UsesMessageNumbersAgain,
    UsesOutboxNumbersAgain,
    TakesEqualEntriesForOne,
    LosesMessagesToEndedRuns,
    LosesEntriesOfCommitsWithoutEvents,
    LosesTheStatusOfCommitsWithoutEvents,
    ForgetsParents,
    NamesAnotherWrite,
    CallsARefusalMalformed,
    PassesOverStatements,
    GivesOutEndedRuns,
    NeverGivesOutEndedRuns,
    NeverEndsALease,
    RenewsForZombies,
    FreesWhatHasMessages,
    ForgetsTimers,
    WakesAtOnce,
    ListsWithoutLimit,
    ReadsTheLogFromOneTooEarly,
    ReadsAllOfTheBeginning,
    ReadsTheTailWithoutLimit,
    ReadsTheOutboxBackwards,
    ReadsTheOutboxWithoutLimit,
    DeliversOlderEntriesToo,
    RefusesWhatIsDelivered,
    KeepsTheFirstSnapshot,
    GivesTheSnapshotOfAnyRun,
    ForgetsWhenMessagesCame,
    ReadsPayloadsInAnotherOrder,
    CutsLongLists,
}

use Bug::*;

const BUGS: &[Bug] = &[
    ForgetsToFence,
    AcknowledgesBeforeWriting,
    LosesLargePayloads,
    DoublesCommits,
    ForgetsWhichCommitsItHas,
    IgnoresWhereTheCallerStands,
    KeepsEventsOfRefusedCommits,
    SendsBeforeItRefuses,
    ConsumesWhatIsNotThere,
    UsesMessageNumbersAgain,
    UsesOutboxNumbersAgain,
    TakesEqualEntriesForOne,
    LosesMessagesToEndedRuns,
    LosesEntriesOfCommitsWithoutEvents,
    LosesTheStatusOfCommitsWithoutEvents,
    ForgetsParents,
    NamesAnotherWrite,
    CallsARefusalMalformed,
    PassesOverStatements,
    GivesOutEndedRuns,
    NeverGivesOutEndedRuns,
    NeverEndsALease,
    RenewsForZombies,
    FreesWhatHasMessages,
    ForgetsTimers,
    WakesAtOnce,
    ListsWithoutLimit,
    ReadsTheLogFromOneTooEarly,
    ReadsAllOfTheBeginning,
    ReadsTheTailWithoutLimit,
    ReadsTheOutboxBackwards,
    ReadsTheOutboxWithoutLimit,
    DeliversOlderEntriesToo,
    RefusesWhatIsDelivered,
    KeepsTheFirstSnapshot,
    GivesTheSnapshotOfAnyRun,
    ForgetsWhenMessagesCame,
    ReadsPayloadsInAnotherOrder,
    CutsLongLists,
];

/// The store in memory with a bug before it, or with none.
struct Buggy {
    bug: Option<Bug>,
    inner: Arc<MemoryStore>,
    notes: Mutex<Notes>,
    answers: Arc<Mutex<BTreeSet<String>>>,
}

#[derive(Default)]
struct Notes {
    leases: BTreeMap<RunId, Lease>,
    commits: BTreeSet<[u8; 32]>,
    pending: Vec<Commit>,
    snapshot: Option<Snapshot>,
    drawn: u8,
}

impl Buggy {
    fn is(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn new_id(&self) -> CommitId {
        let mut notes = self.notes.lock().unwrap();
        notes.drawn = notes.drawn.wrapping_add(1);
        CommitId::new([notes.drawn; 16])
    }

    async fn head(&self, run: RunId) -> Option<RunSummary> {
        let filter = RunFilter { run: Some(run), ..RunFilter::default() };
        self.inner.runs(&filter).await.unwrap().pop()
    }

    async fn flush(&self) {
        let pending = std::mem::take(&mut self.notes.lock().unwrap().pending);
        for commit in pending {
            // It was acknowledged already.
            drop(self.inner.commit(commit).await);
        }
    }

    fn answered<T>(&self, call: &str, answer: &Result<T, StoreError>) {
        let code = answer.as_ref().map_or_else(StoreError::code, |_| "ok");
        self.answers.lock().unwrap().insert(format!("{call}: {code}"));
    }

    /// Moves the events behind what the run has.
    fn behind(commit: &mut Commit, head: Seq) {
        commit.expect = head;
        for (event, seq) in commit.events.iter_mut().zip(head.0 + 1..) {
            event.seq = Seq(seq);
        }
    }

    async fn distort(&self, commit: &mut Commit) {
        let run = commit.lease.run;
        let quiet = commit.events.is_empty();
        match self.bug {
            Some(ForgetsToFence) => {
                let newest = self.notes.lock().unwrap().leases.get(&run).cloned();
                if let Some(newest) = newest.filter(|_| commit.creates().is_none()) {
                    commit.events.iter_mut().for_each(|event| event.fence = newest.fence);
                    commit.lease = newest;
                }
            }
            Some(LosesLargePayloads) => commit.payloads.retain(|payload| payload.bytes.len() < 4_000),
            Some(ForgetsWhichCommitsItHas) => commit.id = self.new_id(),
            Some(DoublesCommits) => {
                let name = parkway_core::id::Digest::of(&[commit.id.to_string().as_bytes()]);
                let again = !self.notes.lock().unwrap().commits.insert(*name.as_bytes());
                if let Some(found) = self.head(run).await.filter(|_| again && commit.creates().is_none()) {
                    Self::behind(commit, found.head);
                    commit.id = self.new_id();
                }
            }
            Some(IgnoresWhereTheCallerStands) => {
                if let Some(found) = self.head(run).await.filter(|_| commit.creates().is_none()) {
                    Self::behind(commit, found.head);
                }
            }
            Some(ConsumesWhatIsNotThere) => {
                let inbox = self.inner.inbox(run).await.unwrap_or_default();
                let there = |id: &MessageId| inbox.iter().any(|received| received.id == *id);
                commit.writes.retain(|write| if let Write::Consume(id) = write { there(id) } else { true });
            }
            Some(UsesMessageNumbersAgain) => {
                let inbox = self.inner.inbox(run).await.unwrap_or_default();
                for write in &mut commit.writes {
                    if let Write::Consume(id) = write {
                        let at = usize::try_from(id.0).unwrap().wrapping_sub(1);
                        *id = inbox.get(at).map_or(MessageId(u64::MAX), |received| received.id);
                    }
                }
            }
            Some(TakesEqualEntriesForOne) => {
                let writes = std::mem::take(&mut commit.writes);
                for write in writes {
                    if !(matches!(write, Write::Outbox(_)) && commit.writes.contains(&write)) {
                        commit.writes.push(write);
                    }
                }
            }
            Some(LosesMessagesToEndedRuns) => {
                let mut kept = Vec::new();
                for write in std::mem::take(&mut commit.writes) {
                    let ended = match &write {
                        Write::Send(to, _) => self.head(*to).await.is_some_and(|found| found.status.ended()),
                        _ => false,
                    };
                    kept.extend((!ended).then_some(write));
                }
                commit.writes = kept;
            }
            Some(LosesEntriesOfCommitsWithoutEvents) if quiet => {
                commit.writes.retain(|write| !matches!(write, Write::Outbox(_)));
            }
            Some(LosesTheStatusOfCommitsWithoutEvents) if quiet => {
                if let Some(found) = self.head(run).await {
                    commit.status = found.status;
                }
            }
            Some(ForgetsParents) => {
                for write in &mut commit.writes {
                    if let Write::Enqueue(new) = write {
                        new.parent = None;
                    }
                }
            }
            Some(PassesOverStatements) => commit.writes.retain(|write| !matches!(write, Write::Sql(_))),
            _ => {}
        }
    }
}

#[async_trait]
impl Log for Buggy {
    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        commit.check()?;
        self.flush().await;
        if self.is(AcknowledgesBeforeWriting) {
            self.notes.lock().unwrap().pending.push(commit);
            return Ok(());
        }
        let mut distorted = commit.clone();
        self.distort(&mut distorted).await;
        let answer = self.inner.commit(distorted).await;
        self.answered("commit", &answer);
        if answer.is_ok() && commit.creates().is_some() {
            self.notes.lock().unwrap().leases.insert(commit.lease.run, commit.lease.clone());
        }
        match answer {
            Err(StoreError::Refused { write, message }) if self.is(NamesAnotherWrite) => {
                Err(StoreError::Refused { write: write + 1, message })
            }
            Err(StoreError::Refused { message, .. }) if self.is(CallsARefusalMalformed) => {
                Err(StoreError::Malformed(message))
            }
            Err(error) => {
                if self.is(KeepsEventsOfRefusedCommits) {
                    let rest = Commit { writes: Vec::new(), id: self.new_id(), ..commit.clone() };
                    drop(self.inner.commit(rest).await);
                }
                if self.is(SendsBeforeItRefuses) {
                    for write in commit.writes {
                        if let Write::Send(to, message) = write {
                            drop(self.inner.signal(to, message).await);
                        }
                    }
                }
                Err(error)
            }
            done => done,
        }
    }

    async fn events(&self, run: RunId, after: Seq) -> Result<Vec<Event>, StoreError> {
        self.flush().await;
        let after = if self.is(ReadsTheLogFromOneTooEarly) { Seq(after.0.saturating_sub(1)) } else { after };
        let mut events = self.inner.events(run, after).await?;
        if self.is(CutsLongLists) {
            events.truncate(1_000);
        }
        Ok(events)
    }

    async fn beginning(&self, run: RunId, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.flush().await;
        self.inner.beginning(run, if self.is(ReadsAllOfTheBeginning) { u32::MAX } else { limit }).await
    }

    async fn payloads(&self, commitments: &[Commitment]) -> Result<Vec<Option<Payload>>, StoreError> {
        self.flush().await;
        let mut payloads = self.inner.payloads(commitments).await?;
        if self.is(ReadsPayloadsInAnotherOrder) {
            payloads.sort_by_key(|payload| payload.as_ref().map(|payload| *payload.commitment.as_bytes()));
        }
        Ok(payloads)
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        self.flush().await;
        let limit = if self.is(ListsWithoutLimit) { 0 } else { filter.limit };
        self.inner.runs(&RunFilter { limit, ..filter.clone() }).await
    }

    async fn tail(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError> {
        self.flush().await;
        self.inner.tail(after, if self.is(ReadsTheTailWithoutLimit) { u32::MAX } else { limit }).await
    }

    fn audit(&self) -> &dyn Audit {
        self.inner.audit()
    }

    fn memory(&self) -> &dyn Memory {
        self.inner.memory()
    }

    async fn snapshot(&self, run: RunId) -> Result<Option<Snapshot>, StoreError> {
        if self.is(GivesTheSnapshotOfAnyRun) {
            return Ok(self.notes.lock().unwrap().snapshot.clone());
        }
        self.inner.snapshot(run).await
    }

    async fn keep_snapshot(&self, run: RunId, snapshot: Snapshot) -> Result<(), StoreError> {
        self.notes.lock().unwrap().snapshot = Some(snapshot.clone());
        if self.is(KeepsTheFirstSnapshot) && self.inner.snapshot(run).await?.is_some() {
            return Ok(());
        }
        self.inner.keep_snapshot(run, snapshot).await
    }
}

#[async_trait]
impl Queue for Buggy {
    async fn claim(&self, claim: &Claim) -> Result<Option<Lease>, StoreError> {
        self.flush().await;
        let mut claim = claim.clone();
        if self.is(GivesOutEndedRuns) {
            claim.ended = true;
        }
        if self.is(NeverGivesOutEndedRuns) {
            claim.ended = false;
        }
        if self.is(NeverEndsALease) {
            let leases = self.notes.lock().unwrap().leases.clone();
            for lease in leases.into_values() {
                drop(self.inner.renew(&lease, Duration::from_secs(3_600)).await);
            }
        }
        let answer = self.inner.claim(&claim).await;
        if let Ok(Some(lease)) = &answer {
            self.notes.lock().unwrap().leases.insert(lease.run, lease.clone());
        }
        let given = answer.as_ref().is_ok_and(Option::is_some);
        self.answered(&format!("claim of {} {given}", if claim.run.is_some() { "one" } else { "any" }), &answer);
        answer
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<(), StoreError> {
        self.flush().await;
        let answer = self.inner.renew(lease, duration).await;
        self.answered("renew", &answer);
        if self.is(RenewsForZombies) && matches!(answer, Err(StoreError::Fenced { .. })) {
            return Ok(());
        }
        answer
    }

    async fn release(&self, lease: &Lease, wake: Option<Time>) -> Result<Released, StoreError> {
        self.flush().await;
        let wake = match self.bug {
            Some(ForgetsTimers) => None,
            Some(WakesAtOnce) => wake.map(|_| Time::default()),
            _ => wake,
        };
        let answer = self.inner.release(lease, wake).await;
        self.answered(&format!("release {:?}", answer.as_ref().ok()), &answer);
        if self.is(FreesWhatHasMessages) { answer.map(|_| Released::Free) } else { answer }
    }

    async fn signal(&self, run: RunId, message: Message) -> Result<MessageId, StoreError> {
        self.flush().await;
        let answer = self.inner.signal(run, message).await;
        self.answered("signal", &answer);
        if self.is(UsesMessageNumbersAgain) && answer.is_ok() {
            return Ok(MessageId(self.inner.inbox(run).await?.len() as u64));
        }
        answer
    }

    async fn inbox(&self, run: RunId) -> Result<Vec<Received>, StoreError> {
        self.flush().await;
        let mut inbox = self.inner.inbox(run).await?;
        for (received, n) in inbox.iter_mut().zip(1..) {
            if self.is(UsesMessageNumbersAgain) {
                received.id = MessageId(n);
            }
            if self.is(ForgetsWhenMessagesCame) {
                received.at = Time::default();
            }
        }
        Ok(inbox)
    }

    async fn outbox(&self, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
        self.flush().await;
        let limit = if self.is(ReadsTheOutboxWithoutLimit) { u32::MAX } else { limit };
        let mut outbox = self.inner.outbox(limit).await?;
        if self.is(ReadsTheOutboxBackwards) {
            outbox.reverse();
        }
        if self.is(UsesOutboxNumbersAgain) {
            outbox.iter_mut().zip(1..).for_each(|(outgoing, n)| outgoing.id = OutboxId(n));
        }
        Ok(outbox)
    }

    async fn delivered(&self, entries: &[OutboxId]) -> Result<(), StoreError> {
        self.flush().await;
        let outbox: Vec<OutboxId> =
            self.inner.outbox(u32::MAX).await?.into_iter().map(|outgoing| outgoing.id).collect();
        let entries: Vec<OutboxId> = match self.bug {
            Some(UsesOutboxNumbersAgain) => {
                let at = |id: &OutboxId| outbox.get(usize::try_from(id.0).unwrap().wrapping_sub(1));
                entries.iter().filter_map(at).copied().collect()
            }
            Some(DeliversOlderEntriesToo) => {
                outbox.into_iter().filter(|id| entries.iter().any(|delivered| id <= delivered)).collect()
            }
            Some(RefusesWhatIsDelivered) if entries.iter().any(|id| !outbox.contains(id)) => {
                return Err(StoreError::Malformed("no such entry".into()));
            }
            _ => entries.to_vec(),
        };
        self.inner.delivered(&entries).await
    }
}

struct Trial {
    clock: Arc<FakeClock>,
    store: Arc<Buggy>,
}

impl Trial {
    fn new(bug: Option<Bug>, answers: &Arc<Mutex<BTreeSet<String>>>) -> Self {
        let clock = Arc::new(FakeClock::default());
        let inner = Arc::new(MemoryStore::new(clock.clone()));
        Trial { clock, store: Arc::new(Buggy { bug, inner, notes: Mutex::default(), answers: answers.clone() }) }
    }
}

#[async_trait]
impl Subject for Trial {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn reopen(&mut self) -> bool {
        self.store.notes.lock().unwrap().pending.clear();
        true
    }
}

/// Runs a test in a thread and a runtime of its own, and gives its panic. Telling of the hundreds of them that are wanted
/// would take longer than the tests.
fn panic_of(test: impl AsyncFnOnce() + Send + 'static) -> Option<Box<dyn Any + Send>> {
    const QUIET: &str = "on trial";
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some(QUIET) {
                told(panic);
            }
        }));
    });
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    std::thread::Builder::new().name(QUIET.into()).spawn(run).unwrap().join().err()
}

fn panics(test: impl AsyncFnOnce() + Send + 'static) -> bool {
    panic_of(test).is_some()
}

fn fails(case: Case, bug: Option<Bug>) -> bool {
    panics(async move || (case.run)(Box::new(Trial::new(bug, &Arc::default()))).await)
}

#[test]
fn a_store_with_a_bug_passes_the_suite() {
    // The quickest cases first: most bugs need no more.
    let mut cases: Vec<(Duration, Case)> = Vec::new();
    for case in CASES {
        let start = Instant::now();
        assert!(!fails(*case, None), "{} fails without a bug", case.name);
        cases.push((start.elapsed(), *case));
    }
    cases.sort_by_key(|(took, _)| *took);
    let cases: Vec<Case> = cases.into_iter().map(|(_, case)| case).collect();
    let mut passed = Vec::new();
    for bug in BUGS {
        match cases.iter().find(|case| fails(**case, Some(*bug))) {
            Some(case) => println!("{bug:?}: {}", case.name),
            None => passed.push(bug),
        }
    }
    assert!(passed.is_empty(), "no case finds {passed:?}");
}

#[test]
fn a_store_with_a_bug_is_like_the_model() {
    // What needs more of everything than a sequence has.
    let too_large = [CutsLongLists];
    let mut passed = Vec::new();
    for bug in BUGS.iter().copied().filter(|bug| !too_large.contains(bug)) {
        let fresh = async move || Box::new(Trial::new(Some(bug), &Arc::default())) as Box<dyn Subject>;
        let found = (0..40).find(|block| {
            let seeds = block * 25..(block + 1) * 25;
            panics(async move || agrees_with_model(fresh, seeds).await)
        });
        match found {
            Some(block) => println!("{bug:?}: before seed {}", (block + 1) * 25),
            None => passed.push(bug),
        }
    }
    assert!(passed.is_empty(), "no sequence finds {passed:?}");
}

/// A sequence that is refused everything would agree with any model.
#[tokio::test]
async fn the_sequences_of_the_model_never_get_an_answer_of_some_kind() {
    let answers = Arc::default();
    let fresh = async || Box::new(Trial::new(None, &answers)) as Box<dyn Subject>;
    agrees_with_model(fresh, 0..200).await;
    let found = answers.lock().unwrap().clone();
    for wanted in [
        "claim of any false: ok",
        "claim of any true: ok",
        "claim of one false: ok",
        "claim of one true: ok",
        "commit: conflict",
        "commit: fenced",
        "commit: malformed",
        "commit: no_run",
        "commit: ok",
        "commit: refused",
        "release None: fenced",
        "release None: no_run",
        "release Some(Free): ok",
        "release Some(Unread): ok",
        "renew: fenced",
        "renew: ok",
        "signal: no_run",
        "signal: ok",
    ] {
        assert!(found.contains(wanted), "never `{wanted}`, only {found:#?}");
    }
}

#[test]
fn the_model_tells_of_a_bug_without_the_seed_or_with_calls_that_do_not_matter() {
    let fresh = async || Box::new(Trial::new(Some(ForgetsToFence), &Arc::default())) as Box<dyn Subject>;
    let panic = panic_of(async move || agrees_with_model(fresh, 0..500).await).unwrap();
    let told = panic.downcast_ref::<String>().unwrap();
    println!("{told}");
    assert!(told.starts_with("seed ") && told.contains("the model: Err(Fenced"), "{told}");
    assert!(told.lines().filter(|line| line.starts_with("  ") && line.contains(": Commit(")).count() <= 3, "{told}");
}
