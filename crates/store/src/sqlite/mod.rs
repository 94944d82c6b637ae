//! The store on SQLite: one writer that groups commits, readers apart, and a lock file for each living owner.

mod audit;
mod blob;
mod commit;
mod error;
mod inbox;
mod insert;
mod leaves;
mod lock;
mod log;
mod memory;
mod migrate;
mod named;
mod open;
mod owner;
mod payload;
mod place;
mod queue;
mod reach;
mod read;
mod rows;
mod schema;
mod snapshot;
mod statement;
mod tx;
pub mod upkeep;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parkway_core::audit::Audit;
use parkway_core::clock::Clock;
use parkway_core::id::{RunId, Seq, Time};
use parkway_core::log::{Commitment, Event, Payload};
use parkway_core::memory::Memory;
use parkway_core::store::{
    Claim, Commit, Lease, Log, Message, MessageId, OutboxId, Outgoing, Queue, Received, Released, RunFilter,
    RunSummary, Snapshot, StoreError,
};
use sqlx::SqlitePool;

use self::inbox::Inboxes;
pub use self::open::SqliteConfig;
use self::owner::Owners;
use self::snapshot::Spares;
pub use self::writer::Stats;
use self::writer::{Job, Writer};

/// Runs in one SQLite file, or in memory.
///
/// Several processes may have the same file open. Each worker that claims through a store holds the operating system's
/// lock on a file of its name in the folder `<file>.owners`, so that everybody sees at once when it has died. The folder
/// belongs to the database, but copies of the database do without it.
///
/// It works on the tokio runtime that it was opened on. Dropping it finishes the commits that are under way;
/// [`close`](SqliteStore::close) also waits for them. Until they are done the file is in use, which matters to what needs it
/// alone: [`restore`](upkeep::restore) and [`vacuum`](upkeep::vacuum).
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    inboxes: Inboxes,
    owners: Arc<Owners>,
    clock: Arc<dyn Clock>,
    spares: Arc<Spares>,
    vectors: memory::Vectors,
}

impl SqliteStore {
    /// Opens the database, and creates it where there is none. `clock` decides when leases run out; processes that share a
    /// file should read the same one.
    ///
    /// # Errors
    ///
    /// In words that name the file and a way out: the folder does not exist or cannot be written to, the file is no
    /// database, a newer version wrote it, or it cannot be made durable.
    pub async fn open(config: impl Into<SqliteConfig>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        open::file(config.into(), clock).await
    }

    /// An empty store that ends with this value. No other process can see it.
    pub async fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        open::memory(clock).await
    }

    /// What was written since the store was opened.
    pub fn stats(&self) -> Stats {
        Stats { inbox_queries: self.inboxes.queries(), ..self.writer.stats() }
    }

    /// Finishes what was asked for, gives up the names of this store's workers, and closes the database. Later calls fail.
    ///
    /// Runs that are still held are free for others from then on.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.writer.close().await;
        self.readers.close().await;
        self.owners.give_up();
        Ok(())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Log for SqliteStore {
    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let prepared = Box::new(commit::Prepared::new(commit)?);
        if let Some(worker) = prepared.creator() {
            self.owners.hold(worker)?;
        }
        let forgotten = prepared.forgets();
        self.writer.send(|reply| Job::Commit(prepared, reply)).await?;
        if !forgotten.is_empty() {
            self.vectors.forget_all(&self.readers, &forgotten).await;
        }
        Ok(())
    }

    async fn events(&self, run: RunId, after: Seq) -> Result<Vec<Event>, StoreError> {
        read::events(&self.readers, run, after).await.map_err(|error| self.writer.told(error))
    }

    async fn beginning(&self, run: RunId, limit: u32) -> Result<Vec<Event>, StoreError> {
        read::beginning(&self.readers, run, limit).await.map_err(|error| self.writer.told(error))
    }

    async fn payloads(&self, commitments: &[Commitment]) -> Result<Vec<Option<Payload>>, StoreError> {
        read::payloads(&self.readers, commitments).await.map_err(|error| self.writer.told(error))
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        read::runs(&self.readers, filter, self.clock.now(), &self.owners).await.map_err(|error| self.writer.told(error))
    }

    async fn tail(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError> {
        read::tail(&self.readers, after, limit).await.map_err(|error| self.writer.told(error))
    }

    fn audit(&self) -> &dyn Audit {
        self
    }

    fn memory(&self) -> &dyn Memory {
        self
    }

    async fn purge(&self) -> Result<bool, StoreError> {
        self.writer.send(Job::Purge).await
    }

    async fn snapshot(&self, run: RunId) -> Result<Option<Snapshot>, StoreError> {
        self.spares.read(&self.readers, run).await.map_err(|error| self.writer.told(error))
    }

    async fn keep_snapshot(&self, run: RunId, snapshot: Snapshot) -> Result<(), StoreError> {
        if self.spares.keep(run, snapshot) {
            self.writer.send(Job::Spares).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Queue for SqliteStore {
    async fn claim(&self, claim: &Claim) -> Result<Option<Lease>, StoreError> {
        self.owners.hold(&claim.worker)?;
        self.writer.send(|reply| Job::Claim(claim.clone(), reply)).await
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<(), StoreError> {
        self.writer.send(|reply| Job::Renew(lease.clone(), duration, reply)).await
    }

    async fn release(&self, lease: &Lease, wake: Option<Time>) -> Result<Released, StoreError> {
        self.writer.send(|reply| Job::Release(lease.clone(), wake, reply)).await
    }

    async fn signal(&self, run: RunId, message: Message) -> Result<MessageId, StoreError> {
        let body = commit::body(&message)?;
        self.writer.send(|reply| Job::Signal(run, body, reply)).await
    }

    async fn inbox(&self, run: RunId) -> Result<Vec<Received>, StoreError> {
        self.inboxes.of(run).await.map_err(|error| self.writer.told(error))
    }

    async fn outbox(&self, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
        read::outbox(&self.readers, limit).await.map_err(|error| self.writer.told(error))
    }

    async fn delivered(&self, entries: &[OutboxId]) -> Result<(), StoreError> {
        self.writer.send(|reply| Job::Delivered(entries.to_vec(), reply)).await
    }
}
