//! Events as rows: each is a leaf of the tree over all events, and its row has the nodes that it completes.

use std::collections::BTreeMap;

use parkway_core::id::{Digest, RunId};
use parkway_core::log::tree::{Frontier, Node, leaf_hash};
use parkway_core::store::StoreError;
use serde_json::json;
use sqlx::SqliteConnection;

use super::error::{corrupt, from_sqlx};
use super::insert::{ROWS, insert, insert_if, inserted};
use super::tx::Tx;

/// An event's canonical bytes, and its hash as a leaf.
pub(super) struct Leaf {
    pub(super) body: Vec<u8>,
    hash: Digest,
}

impl Leaf {
    pub(super) fn new(body: Vec<u8>) -> Self {
        Leaf { hash: leaf_hash(&body), body }
    }

    /// What the row of event `seq` of `run` keeps of the bytes: they may lack the end, which the row says as well. Then also
    /// the version that stands there.
    fn kept(&self, run: RunId, tenant: &str, seq: i64) -> (&[u8], Option<i64>) {
        let short = || {
            let digits = self.body.strip_suffix(b"}")?.rsplit(|byte| *byte == b':').next()?;
            let version: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
            // What JSON writes otherwise than the view over the rows would.
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | ' ');
            let end = format!(r#","run":"{run}","seq":"{seq}","tenant":"{tenant}","v":{version}}}"#);
            let body = self.body.strip_suffix(end.as_bytes()).filter(|_| tenant.chars().all(plain))?;
            Some((body, Some(version)))
        };
        short().unwrap_or((&self.body, None))
    }
}

/// An event that becomes a row.
pub(super) struct Row<'a> {
    pub(super) key: i64,
    pub(super) run: RunId,
    pub(super) tenant: &'a str,
    pub(super) seq: i64,
    pub(super) leaf: &'a Leaf,
}

/// The right edge of the tree over the `size` leaves that there are, read from their rows.
pub(super) async fn frontier(connection: &mut SqliteConnection, size: u64) -> Result<Frontier, StoreError> {
    let damaged = || corrupt("the tree over the events", format!("a frontier of {size} leaves"));
    let places = Frontier::places(size);
    let found = nodes(connection, &places).await?;
    let nodes: Option<Vec<Digest>> = places.iter().map(|place| found.get(place).copied()).collect();
    nodes.and_then(|nodes| Frontier::new(size, nodes)).ok_or_else(damaged)
}

/// The hashes of these nodes that are complete. They stand in the rows of the leaves that complete them.
pub(super) async fn nodes(
    connection: &mut SqliteConnection,
    nodes: &[Node],
) -> Result<BTreeMap<Node, Digest>, StoreError> {
    let leaves: Vec<u64> = nodes.iter().filter_map(|node| node.last_leaf().checked_add(1)).collect();
    let sql = "SELECT leaf, hash FROM parkway_event WHERE leaf IN (SELECT value FROM json_each($1))";
    let query = sqlx::query_as(sql).bind(json!(leaves).to_string());
    let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(connection).await.map_err(|e| from_sqlx(&e))?;
    let rows: BTreeMap<i64, Vec<u8>> = rows.into_iter().collect();
    let hash = |node: &Node| {
        let row = rows.get(&i64::try_from(node.last_leaf() + 1).ok()?)?;
        Some((*node, digest(row.chunks_exact(32).nth(node.level as usize)?)?))
    };
    Ok(nodes.iter().filter_map(hash).collect())
}

/// A hash as a row keeps it.
pub(super) fn digest(bytes: &[u8]) -> Option<Digest> {
    Some(Digest::from_bytes(bytes.try_into().ok()?))
}

/// Appends the events to the tree and to the table.
pub(super) async fn append(tx: &mut Tx, frontier: &mut Frontier, rows: &[Row<'_>]) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS) {
        insert(tx, TABLE, COLUMNS, rows.len(), "").await?;
        rows.iter().try_for_each(|row| bind(tx, frontier, row))?;
        inserted(tx, rows.len()).await?;
    }
    Ok(())
}

/// Gathers what appends a few events if `condition` holds.
pub(super) fn append_if(
    tx: &mut Tx,
    frontier: &mut Frontier,
    rows: &[Row<'_>],
    condition: &str,
) -> Result<(), StoreError> {
    insert_if(tx, TABLE, COLUMNS, rows.len(), condition, "");
    rows.iter().try_for_each(|row| bind(tx, frontier, row))
}

const TABLE: &str = "parkway_event (leaf, run, seq, hash, body, cut)";
const COLUMNS: usize = 6;

/// Binds an event's row, with the nodes of the tree that it completes.
fn bind(tx: &mut Tx, frontier: &mut Frontier, row: &Row<'_>) -> Result<(), StoreError> {
    let mut hash = row.leaf.hash.as_bytes().to_vec();
    for node in frontier.append(row.leaf.hash) {
        hash.extend(node.as_bytes());
    }
    let leaf = i64::try_from(frontier.size()).map_err(|_| corrupt("a leaf number", frontier.size()))?;
    let (body, cut) = row.leaf.kept(row.run, row.tenant, row.seq);
    tx.bind(leaf).bind(row.key).bind(row.seq).bind(hash).bind(body.to_vec()).bind(cut);
    Ok(())
}
