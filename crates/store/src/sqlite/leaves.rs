//! Events as rows: each is a leaf of the tree over all events, and its row has the nodes that it completes.

use std::sync::Arc;

use parkway_core::id::Digest;
use parkway_core::log::tree::{Frontier, leaf_hash};
use parkway_core::store::StoreError;
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::error::{corrupt, from_sqlx};
use super::insert::{ROWS, insert};
use super::tx::Tx;

/// An event's canonical bytes, and its hash as a leaf.
#[derive(Clone)]
pub(super) struct Leaf {
    pub(super) body: Arc<[u8]>,
    hash: Digest,
}

impl Leaf {
    pub(super) fn new(body: Vec<u8>) -> Self {
        Leaf { hash: leaf_hash(&body), body: body.into() }
    }
}

/// An event that becomes a row.
pub(super) struct Row {
    pub(super) run: i64,
    pub(super) seq: i64,
    pub(super) leaf: Leaf,
}

/// The right edge of the tree over the `size` leaves that there are, read from their rows.
pub(super) async fn frontier(tx: &mut Tx, size: u64) -> Result<Frontier, StoreError> {
    let damaged = || corrupt("the tree over the events", format!("a frontier of {size} leaves"));
    let places = Frontier::places(size);
    let leaves: Vec<u64> = places.iter().map(|place| place.last_leaf() + 1).collect();
    let sql = "SELECT hash FROM parkway_event WHERE leaf IN (SELECT value FROM json_each($1)) ORDER BY leaf";
    let query = sqlx::query_scalar(sql).bind(json!(leaves).to_string());
    let hashes: Vec<Vec<u8>> = query.fetch_all(tx.statement()).await.map_err(|e| from_sqlx(&e))?;
    // Larger nodes stand further left, so that their order is that of the leaves.
    let node = |(place, hash): (&parkway_core::log::tree::Node, &Vec<u8>)| {
        let node = hash.chunks_exact(32).nth(place.level as usize)?;
        Some(Digest::from_bytes(node.try_into().ok()?))
    };
    let nodes: Option<Vec<Digest>> = places.iter().zip(&hashes).map(node).collect();
    nodes.and_then(|nodes| Frontier::new(size, nodes)).ok_or_else(damaged)
}

/// Appends the events to the tree and to the table.
pub(super) async fn append(tx: &mut Tx, frontier: &mut Frontier, rows: &[Row]) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS) {
        let sql = insert("parkway_event (leaf, run, seq, hash, body)", 5, rows.len(), "");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for row in rows {
            let mut hash = row.leaf.hash.as_bytes().to_vec();
            for node in frontier.append(row.leaf.hash) {
                hash.extend(node.as_bytes());
            }
            let leaf = i64::try_from(frontier.size()).map_err(|_| corrupt("a leaf number", frontier.size()))?;
            query = query.bind(leaf).bind(row.run).bind(row.seq).bind(hash).bind(row.leaf.body.clone());
        }
        query.execute(tx.statement()).await.map_err(|e| from_sqlx(&e))?;
    }
    Ok(())
}
