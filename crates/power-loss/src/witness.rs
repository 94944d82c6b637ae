//! A store in front of another one that marks in a record what was promised, once it was.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parkway_core::audit::Audit;
use parkway_core::id::{RunId, Seq, Time};
use parkway_core::log::{Commitment, Event, Payload};
use parkway_core::memory::Memory;
use parkway_core::store::{
    Claim, Commit, Lease, Log, Message, MessageId, OutboxId, Outgoing, Queue, Received, Released, RunFilter,
    RunSummary, Snapshot, StoreError, Write,
};
use parkway_store::SqliteStore;

use crate::record::{Mark, Record};

/// The store, and the record of its database.
#[derive(Debug)]
pub(crate) struct Witness {
    /// The store.
    pub store: SqliteStore,
    /// The record.
    pub record: Arc<Record>,
}

#[async_trait]
impl Log for Witness {
    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let run = commit.lease.run;
        let last = commit.events.last().map(|event| event.seq);
        for write in &commit.writes {
            if let Write::Consume(message) = write {
                self.record.mark(Mark::Consuming(run, *message));
            }
        }
        self.store.commit(commit).await?;
        if let Some(last) = last {
            self.record.mark(Mark::Committed(run, last));
        }
        Ok(())
    }

    async fn events(&self, run: RunId, after: Seq) -> Result<Vec<Event>, StoreError> {
        self.store.events(run, after).await
    }

    async fn beginning(&self, run: RunId, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.store.beginning(run, limit).await
    }

    async fn payloads(&self, commitments: &[Commitment]) -> Result<Vec<Option<Payload>>, StoreError> {
        self.store.payloads(commitments).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        self.store.runs(filter).await
    }

    async fn tail(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError> {
        self.store.tail(after, limit).await
    }

    fn audit(&self) -> &dyn Audit {
        self.store.audit()
    }

    fn memory(&self) -> &dyn Memory {
        self.store.memory()
    }

    async fn snapshot(&self, run: RunId) -> Result<Option<Snapshot>, StoreError> {
        self.store.snapshot(run).await
    }

    async fn keep_snapshot(&self, run: RunId, snapshot: Snapshot) -> Result<(), StoreError> {
        self.store.keep_snapshot(run, snapshot).await
    }
}

#[async_trait]
impl Queue for Witness {
    async fn claim(&self, claim: &Claim) -> Result<Option<Lease>, StoreError> {
        self.store.claim(claim).await
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<(), StoreError> {
        self.store.renew(lease, duration).await
    }

    async fn release(&self, lease: &Lease, wake: Option<Time>) -> Result<Released, StoreError> {
        self.store.release(lease, wake).await
    }

    async fn signal(&self, run: RunId, message: Message) -> Result<MessageId, StoreError> {
        let id = self.store.signal(run, message).await?;
        self.record.mark(Mark::Sent(run, id));
        Ok(id)
    }

    async fn inbox(&self, run: RunId) -> Result<Vec<Received>, StoreError> {
        self.store.inbox(run).await
    }

    async fn outbox(&self, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
        self.store.outbox(limit).await
    }

    async fn delivered(&self, entries: &[OutboxId]) -> Result<(), StoreError> {
        self.store.delivered(entries).await
    }
}
