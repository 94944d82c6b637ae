//! The port to what proves the log: the tree over all events of a store, and the heads of it that were signed.
//!
//! Events are numbered from 0 here, in the order of their commits over all runs, as RFC 6962 numbers leaves.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::id::{Digest, RunId, Seq};
use crate::log::proof::Span;
use crate::log::tree::Node;
use crate::store::StoreError;

/// So many events, and the hash that stands for them in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// How many events.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Digest,
}

/// A head that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// What was signed.
    pub head: TreeHead,
    /// The signed note (C2SP `tlog-checkpoint`).
    pub note: String,
}

/// An event as it was hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its number over all runs, from 0.
    pub index: u64,
    /// Its run.
    pub run: RunId,
    /// Its place in the run.
    pub seq: Seq,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}

/// What proves the log. Everything that is read here is on disk.
#[async_trait]
pub trait Audit: Send + Sync {
    /// A name that no other log has: made with the store, and kept in it. A copy of the store has the same.
    async fn log_id(&self) -> Result<String, StoreError>;

    /// The tree over all events.
    async fn tree(&self) -> Result<TreeHead, StoreError>;

    /// The hashes of complete nodes of the tree. One that is not complete is [`StoreError::Malformed`].
    async fn nodes(&self, nodes: &[Node]) -> Result<BTreeMap<Node, Digest>, StoreError>;

    /// Events from number `from` on, in order; at most `limit`.
    async fn leaves(&self, from: u64, limit: u32) -> Result<Vec<Leaf>, StoreError>;

    /// Events of one run behind `after`, in order; at most `limit`. A run that does not exist is [`StoreError::NoRun`].
    async fn leaves_of(&self, run: RunId, after: Seq, limit: u32) -> Result<Vec<Leaf>, StoreError>;

    /// Keeps a head that was signed, in place of an earlier one of that size. It is on disk when this returns. One that the log never
    /// had, or of no events, is [`StoreError::Malformed`].
    async fn keep_head(&self, head: &SignedHead) -> Result<(), StoreError>;

    /// Heads of more than `above` events that were signed, smallest first; at most `limit`.
    async fn heads(&self, above: u64, limit: u32) -> Result<Vec<SignedHead>, StoreError>;

    /// The newest head that was signed.
    async fn newest_head(&self) -> Result<Option<SignedHead>, StoreError>;
}

/// The hashes of these spans: those of a proof.
pub async fn hashes<A: Audit + ?Sized>(audit: &A, spans: &[Span]) -> Result<Vec<Digest>, StoreError> {
    let nodes: Vec<Node> = spans.iter().flat_map(|span| span.nodes()).collect();
    let known = audit.nodes(&nodes).await?;
    let hash = |span: &Span| {
        span.hash(&known)
            .ok_or_else(|| StoreError::Corrupt(format!("a node over events {} to {} is missing", span.first, span.end)))
    };
    spans.iter().map(hash).collect()
}
