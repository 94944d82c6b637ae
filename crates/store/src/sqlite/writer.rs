//! The one writer: a task that takes what has been asked for meanwhile, does it in one transaction, and answers when that
//! is on disk. Many small commits share one wait for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parkway_core::audit::SignedHead;
use parkway_core::clock::Clock;
use parkway_core::id::{MemoryId, RunId, Seq, Time};
use parkway_core::memory::MemoryVector;
use parkway_core::store::{Claim, Lease, MessageId, OutboxId, Released, StoreError};
use sqlx::{Executor, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use super::audit;
use super::commit::{self, Known, Prepared};
use super::error::{closed, code, from_sqlx, words};
use super::log::LogKeeper;
use super::memory;
use super::owner::Owners;
use super::place::Place;
use super::queue;
use super::snapshot::Spares;
use super::tx::{Tx, Unfinished};

/// What was written since a store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Commits that became true; those sent again are not counted.
    pub commits: u64,
    /// Finished transactions, of commits and of anything else; each that changed something has waited for the disk once.
    pub transactions: u64,
    /// Events in those commits.
    pub events: u64,
    /// Statements in those transactions, with those that begin and end them.
    pub statements: u64,
    /// Queries for the messages of runs: one answers all who asked by then.
    pub inbox_queries: u64,
    /// How long the write-ahead log is now, in bytes. It is cut back when nothing is written and nobody reads.
    pub wal_bytes: u64,
}

#[derive(Debug, Default)]
struct Counters {
    commits: AtomicU64,
    transactions: AtomicU64,
    events: AtomicU64,
    statements: AtomicU64,
}

/// One thing to do, and whom to tell.
pub(super) enum Job {
    Commit(Box<Prepared>, Reply<()>),
    Claim(Claim, Reply<Option<Lease>>),
    Renew(Lease, Duration, Reply<()>),
    Release(Lease, Option<Time>, Reply<Released>),
    Signal(RunId, String, Reply<MessageId>),
    Delivered(Vec<OutboxId>, Reply<()>),
    Head(SignedHead, Reply<()>),
    Vectors(Vec<(MemoryId, MemoryVector)>, Reply<()>),
    /// Cuts the write-ahead log back, after all that was asked for before.
    Purge(Reply<bool>),
    /// Nothing but the snapshots that wait.
    Spares(Reply<()>),
    Close(Reply<()>),
}

/// Where an outcome goes. It is told when the transaction is on disk, not before.
pub(super) struct Reply<T> {
    to: Option<oneshot::Sender<Result<T, StoreError>>>,
    outcome: Option<Result<T, StoreError>>,
}

impl<T> Reply<T> {
    fn send(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| Err(closed()));
        if let Some(to) = self.to.take() {
            // Nobody waits any more where the caller's future was dropped.
            let _ = to.send(outcome);
        }
    }
}

impl Job {
    fn answer(&mut self) {
        match self {
            Job::Commit(_, reply) | Job::Renew(_, _, reply) | Job::Delivered(_, reply) => reply.send(),
            Job::Head(_, reply) | Job::Vectors(_, reply) | Job::Spares(reply) | Job::Close(reply) => reply.send(),
            Job::Purge(reply) => reply.send(),
            Job::Claim(_, reply) => reply.send(),
            Job::Release(_, _, reply) => reply.send(),
            Job::Signal(_, _, reply) => reply.send(),
        }
    }

    fn fail(&mut self, error: &StoreError) {
        match self {
            Job::Commit(_, reply) | Job::Renew(_, _, reply) | Job::Delivered(_, reply) => {
                reply.outcome = Some(Err(error.clone()));
            }
            Job::Head(_, reply) | Job::Vectors(_, reply) | Job::Spares(reply) | Job::Close(reply) => {
                reply.outcome = Some(Err(error.clone()));
            }
            Job::Purge(reply) => reply.outcome = Some(Err(error.clone())),
            Job::Claim(_, reply) => reply.outcome = Some(Err(error.clone())),
            Job::Release(_, _, reply) => reply.outcome = Some(Err(error.clone())),
            Job::Signal(_, _, reply) => reply.outcome = Some(Err(error.clone())),
        }
    }

    /// The first statement of a tool in it, among the writes of its commit.
    fn statement(&self) -> Option<usize> {
        match self {
            Job::Commit(commit, _) => commit.statement(),
            _ => None,
        }
    }

    /// Whether it has a text to be gone, and became true.
    fn has_erased(&self) -> bool {
        matches!(self, Job::Commit(commit, Reply { outcome: Some(Ok(())), .. }) if commit.erases())
    }

    fn bytes(&self) -> usize {
        match self {
            Job::Commit(commit, _) => commit.bytes(),
            _ => 0,
        }
    }
}

/// Where the writer's connection comes from.
pub(super) enum Source {
    /// A pool of its own, and the files that it writes to.
    Own(SqlitePool, Arc<Place>),
    /// The pool of the readers, who need the connection between transactions.
    Shared(SqlitePool),
}

/// The way to the writing task.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    counters: Arc<Counters>,
    place: Option<Arc<Place>>,
}

/// How many jobs may wait before callers do.
const WAITING: usize = 1_024;
/// How much goes into one transaction: enough for the disk's wait to be shared, little enough for other processes to have
/// their turn.
const BATCH_JOBS: usize = 512;
const BATCH_BYTES: usize = 8 << 20;

impl Writer {
    /// Starts the task. It ends when the writer is closed or dropped, after what was asked for until then.
    pub(super) fn start(
        source: Source,
        patience: Duration,
        clock: Arc<dyn Clock>,
        owners: Arc<Owners>,
        spares: Arc<Spares>,
    ) -> Self {
        let (jobs, inbox) = mpsc::channel(WAITING);
        let counters = Arc::new(Counters::default());
        let (pool, shared, place) = match source {
            Source::Own(pool, place) => (pool, false, Some(place)),
            Source::Shared(pool) => (pool, true, None),
        };
        let (known, kept, log) = (Known::default(), None, place.clone().map(LogKeeper::new));
        let task = Task { pool, shared, kept, patience, clock, owners, spares, known, counters: counters.clone(), log };
        tokio::spawn(task.run(inbox));
        Writer { jobs, counters, place }
    }

    pub(super) async fn send<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (to, answer) = oneshot::channel();
        let reply = Reply { to: Some(to), outcome: None };
        self.jobs.send(job(reply)).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed())).map_err(|error| self.told(error))
    }

    /// The error with the name of the database in it.
    pub(super) fn told(&self, error: StoreError) -> StoreError {
        self.place.as_ref().map_or(error.clone(), |place| place.named(error))
    }

    pub(super) async fn close(&self) {
        // An error says that it is closed already.
        let _ = self.send(Job::Close).await;
    }

    pub(super) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            commits: read(&self.counters.commits),
            transactions: read(&self.counters.transactions),
            events: read(&self.counters.events),
            statements: read(&self.counters.statements),
            inbox_queries: 0,
            wal_bytes: self.place.as_ref().map_or(0, |place| place.log_bytes()),
        }
    }
}

/// Why a batch did not become true.
enum Failure {
    /// In a statement: nothing was written, and one of the jobs may be the culprit.
    Statement(StoreError),
    /// While committing or before the first statement: all jobs fail alike.
    Batch(StoreError),
}

struct Task {
    pool: SqlitePool,
    /// Whether readers use the pool too.
    shared: bool,
    /// The connection that the next transaction uses, where it need not be given back meanwhile.
    kept: Option<Tx>,
    patience: Duration,
    clock: Arc<dyn Clock>,
    owners: Arc<Owners>,
    spares: Arc<Spares>,
    known: Known,
    counters: Arc<Counters>,
    /// What keeps the write-ahead log short, where there is one.
    log: Option<LogKeeper>,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        let mut closers = Vec::new();
        while let Some(first) = self.next(&mut inbox).await {
            let mut bytes = first.bytes();
            let mut batch = vec![first];
            while batch.len() < BATCH_JOBS && bytes < BATCH_BYTES {
                let Ok(job) = inbox.try_recv() else { break };
                bytes += job.bytes();
                batch.push(job);
            }
            let (close, work): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| matches!(job, Job::Close(_)));
            let (purge, work): (Vec<_>, Vec<_>) = work.into_iter().partition(|job| matches!(job, Job::Purge(_)));
            self.write(work).await;
            if !purge.is_empty() {
                self.purge(purge).await;
            }
            if self.log.as_ref().is_some_and(LogKeeper::is_due) {
                self.cut_log().await;
            }
            if !close.is_empty() {
                // What was asked for until now is still done; the channel ends behind it.
                inbox.close();
                closers.extend(close);
            }
        }
        if !self.spares.is_empty() {
            // They may be lost.
            let _ = self.transact(&mut []).await;
        }
        self.kept = None;
        self.pool.close().await;
        for closer in &mut closers {
            if let Job::Close(reply) = closer {
                reply.outcome = Some(Ok(()));
                reply.send();
            }
        }
    }

    /// The next job. While there is none, the write-ahead log is cut back.
    async fn next(&mut self, inbox: &mut mpsc::Receiver<Job>) -> Option<Job> {
        loop {
            if let Ok(job) = inbox.try_recv() {
                return Some(job);
            }
            let Some(pause) = self.log.as_ref().and_then(LogKeeper::pause) else { return inbox.recv().await };
            match tokio::time::timeout(pause, inbox.recv()).await {
                Ok(job) => return job,
                Err(_) => {
                    self.cut_log().await;
                }
            }
        }
    }

    /// Cuts the log back, and tells whether what was erased is gone from it.
    async fn purge(&mut self, mut jobs: Vec<Job>) {
        let mut cut = self.log.is_none();
        let start = Instant::now();
        while !cut {
            cut = self.cut_log().await;
            if cut || start.elapsed() > self.patience {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for job in &mut jobs {
            if let Job::Purge(reply) = job {
                reply.outcome = Some(Ok(cut));
                reply.send();
            }
        }
    }

    /// Cuts the log back, and tells whether that was possible.
    async fn cut_log(&mut self) -> bool {
        let tx = match self.kept.take() {
            Some(kept) => Ok(kept),
            None => self.connect().await,
        };
        let (Some(log), Ok(mut tx)) = (&mut self.log, tx) else { return false };
        let cut = log.cut(tx.connection()).await;
        self.kept = Some(tx).filter(|_| !self.shared);
        cut
    }

    /// Does the jobs and answers them. If a statement fails, each job is tried alone, so that it fails only its own.
    async fn write(&mut self, mut batch: Vec<Job>) {
        if batch.is_empty() {
            return;
        }
        match self.transact(&mut batch).await {
            Ok(()) => {}
            Err(Failure::Statement(_)) if batch.len() > 1 => {
                for job in &mut batch {
                    if let Err(Failure::Statement(e) | Failure::Batch(e)) =
                        self.transact(std::slice::from_mut(job)).await
                    {
                        job.fail(&e);
                    }
                    self.erased(std::slice::from_ref(job));
                    job.answer();
                }
                return;
            }
            Err(Failure::Statement(e) | Failure::Batch(e)) => batch.iter_mut().for_each(|job| job.fail(&e)),
        }
        self.erased(&batch);
        batch.iter_mut().for_each(Job::answer);
    }

    /// A text that was erased is in the write-ahead log until that is cut back.
    fn erased(&mut self, jobs: &[Job]) {
        if let Some(log) = self.log.as_mut().filter(|_| jobs.iter().any(Job::has_erased)) {
            log.erased();
        }
    }

    async fn transact(&mut self, batch: &mut [Job]) -> Result<(), Failure> {
        if let [Job::Commit(commit, reply)] = batch
            && self.commit_alone(commit).await?
        {
            reply.outcome = Some(Ok(()));
            return Ok(());
        }
        // Whatever was learnt in a transaction that fails was never true.
        let mut known = std::mem::take(&mut self.known);
        let mut tx = self.begin().await.map_err(|e| Failure::Batch(from_sqlx(&e)))?;
        let (written, spares) = match self.fill(&mut tx, batch, &mut known).await {
            Ok(written) => written,
            Err(e) if !tx.has_begun() => return Err(Failure::Batch(e)),
            Err(e) => {
                tx.roll_back().await;
                return Err(Failure::Statement(e));
            }
        };
        if let Err(unfinished) = tx.commit().await {
            tx.roll_back().await;
            return Err(match (unfinished, batch.iter().find_map(Job::statement)) {
                // A constraint that is only checked now is that of a tool's statement.
                (Unfinished::Commit(e), Some(write)) if code(&e) == Some(19) => {
                    let message = format!("{}, at the end of the transaction", words(&e));
                    Failure::Statement(StoreError::Refused { write, message })
                }
                (Unfinished::Statement(e), _) => Failure::Statement(from_sqlx(&e)),
                (Unfinished::Begin(e) | Unfinished::Commit(e), _) => Failure::Batch(from_sqlx(&e)),
            });
        }
        self.finished(tx, known, &written)?;
        self.spares.written(&spares);
        Ok(())
    }

    /// Makes a commit true that is alone and of the common kind, in one go. Whether it was: otherwise nothing has happened, and
    /// the way for any batch tells why.
    async fn commit_alone(&mut self, commit: &Prepared) -> Result<bool, Failure> {
        if !self.spares.is_empty() {
            return Ok(false);
        }
        let mut tx = self.begin().await.map_err(|e| Failure::Batch(from_sqlx(&e)))?;
        let Some(frontier) = commit::gather_alone(&mut tx, commit, &self.known).map_err(Failure::Batch)? else {
            self.kept = Some(tx).filter(|_| !self.shared);
            return Ok(false);
        };
        match tx.commit().await {
            Ok(changed) if commit::was_taken(&changed) => {
                self.known.grown(commit, frontier);
                let known = std::mem::take(&mut self.known);
                let written = commit::Written { commits: 1, events: commit.leaves.len() as u64 };
                self.finished(tx, known, &written)?;
                Ok(true)
            }
            Ok(_) => {
                self.kept = Some(tx).filter(|_| !self.shared);
                Ok(false)
            }
            Err(unfinished) => {
                tx.roll_back().await;
                self.known = Known::default();
                match unfinished {
                    Unfinished::Statement(_) => Ok(false),
                    Unfinished::Begin(e) | Unfinished::Commit(e) => Err(Failure::Batch(from_sqlx(&e))),
                }
            }
        }
    }

    /// After a transaction that is on disk.
    fn finished(&mut self, tx: Tx, known: Known, written: &commit::Written) -> Result<(), Failure> {
        if let Some(log) = &mut self.log {
            log.written().map_err(Failure::Batch)?;
        }
        self.counters.statements.fetch_add(tx.statements(), Ordering::Relaxed);
        self.counters.commits.fetch_add(written.commits, Ordering::Relaxed);
        self.counters.events.fetch_add(written.events, Ordering::Relaxed);
        self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        self.known = known;
        self.kept = Some(tx).filter(|_| !self.shared);
        Ok(())
    }

    async fn begin(&mut self) -> Result<Tx, sqlx::Error> {
        let mut tx = match self.kept.take() {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        tx.begin(self.patience);
        Ok(tx)
    }

    async fn connect(&self) -> Result<Tx, sqlx::Error> {
        self.log.iter().for_each(|log| log.place.connected());
        let mut tx = Tx::connect(&self.pool).await?;
        if !self.shared {
            // A statement of many rows keeps the pages that it changes as they were, so that it alone can be undone: in a
            // file, once they are more than a few, unless told otherwise. Migrations, which may sort much, came before.
            tx.connection().execute("PRAGMA temp_store = MEMORY").await?;
        }
        Ok(tx)
    }

    /// Does the jobs in the order in which they came, neighbouring commits together, and neighbouring renewals.
    async fn fill(
        &self,
        tx: &mut Tx,
        batch: &mut [Job],
        known: &mut Known,
    ) -> Result<(commit::Written, Vec<(RunId, Seq)>), StoreError> {
        let now = self.clock.now();
        let mut written = commit::Written::default();
        let alike =
            |a: &Job, b: &Job| matches!((a, b), (Job::Commit(..), Job::Commit(..)) | (Job::Renew(..), Job::Renew(..)));
        for group in batch.chunk_by_mut(alike) {
            match group {
                [Job::Claim(claim, reply)] => reply.outcome = Some(queue::claim(tx, claim, now, &self.owners).await?),
                [Job::Renew(..), ..] => {
                    let (leases, replies): (Vec<_>, Vec<_>) = group
                        .iter_mut()
                        .filter_map(|job| match job {
                            Job::Renew(lease, lasts, reply) => Some(((&*lease, now.after(*lasts)), reply)),
                            _ => None,
                        })
                        .unzip();
                    answer(replies, queue::renew(tx, &leases).await?);
                }
                [Job::Release(lease, wake, reply)] => reply.outcome = Some(queue::release(tx, lease, *wake).await?),
                [Job::Signal(run, body, reply)] => reply.outcome = Some(queue::signal(tx, *run, body, now).await?),
                [Job::Delivered(entries, reply)] => reply.outcome = Some(Ok(queue::delivered(tx, entries).await?)),
                [Job::Head(head, reply)] => reply.outcome = Some(audit::keep_head(tx, head).await?),
                [Job::Vectors(vectors, reply)] => reply.outcome = Some(memory::keep_vectors(tx, vectors).await?),
                [Job::Spares(reply)] => reply.outcome = Some(Ok(())),
                commits => {
                    let (commits, replies): (Vec<&Prepared>, Vec<&mut Reply<()>>) = commits
                        .iter_mut()
                        .filter_map(|job| match job {
                            Job::Commit(commit, reply) => Some((&**commit, reply)),
                            _ => None,
                        })
                        .unzip();
                    let outcomes = commit::apply(tx, &commits, now, &*self.clock, known, &mut written).await?;
                    answer(replies, outcomes);
                }
            }
        }
        let spares = self.spares.write(tx).await?;
        Ok((written, spares))
    }
}

fn answer(replies: Vec<&mut Reply<()>>, outcomes: Vec<Result<(), StoreError>>) {
    for (reply, outcome) in replies.into_iter().zip(outcomes) {
        reply.outcome = Some(outcome);
    }
}
