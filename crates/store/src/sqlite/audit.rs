//! What proves the log: nodes of the tree out of the rows of the leaves that complete them, and signed heads.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parkway_core::audit::{Audit, Leaf, SignedHead, TreeHead};
use parkway_core::id::{Digest, RunId, Seq};
use parkway_core::log::tree::Node;
use parkway_core::store::StoreError;
use sqlx::{Sqlite, Transaction};

use super::SqliteStore;
use super::error::{corrupt, from_sqlx};
use super::leaves;
use super::read::{must_exist, number, signed};
use super::tx::Tx;
use super::writer::Job;

#[async_trait]
impl Audit for SqliteStore {
    async fn log_id(&self) -> Result<String, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM parkway_log_id");
        query.fetch_one(&self.readers).await.map_err(|e| self.failed(&e))
    }

    async fn tree(&self) -> Result<TreeHead, StoreError> {
        // Two statements have to see the same events.
        let mut tx = self.readers.begin().await.map_err(|e| self.failed(&e))?;
        let found = tree(&mut tx).await;
        tx.rollback().await.map_err(|e| self.failed(&e))?;
        found.map_err(|error| self.writer.told(error))
    }

    async fn nodes(&self, nodes: &[Node]) -> Result<BTreeMap<Node, Digest>, StoreError> {
        let mut connection = self.readers.acquire().await.map_err(|e| self.failed(&e))?;
        let found = leaves::nodes(&mut connection, nodes).await.map_err(|error| self.writer.told(error))?;
        if let Some(missing) = nodes.iter().find(|node| !found.contains_key(node)) {
            let what = format!("node {} of level {} of the tree is not complete", missing.index, missing.level);
            return Err(StoreError::Malformed(what));
        }
        Ok(found)
    }

    async fn leaves(&self, from: u64, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        let sql = "SELECT leaf, run, seq, body FROM parkway_log WHERE leaf > $1 ORDER BY leaf LIMIT +$2";
        let query = sqlx::query_as(sql).bind(signed(from)).bind(i64::from(limit));
        let rows: Vec<Row> = query.fetch_all(&self.readers).await.map_err(|e| self.failed(&e))?;
        rows.into_iter().map(leaf).collect()
    }

    async fn leaves_of(&self, run: RunId, after: Seq, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        let sql = "SELECT leaf, run, seq, body FROM parkway_log WHERE run = $1 AND seq > $2 ORDER BY seq LIMIT +$3";
        let query = sqlx::query_as(sql).bind(run.to_string()).bind(signed(after.0)).bind(i64::from(limit));
        let rows: Vec<Row> = query.fetch_all(&self.readers).await.map_err(|e| self.failed(&e))?;
        if rows.is_empty() {
            must_exist(&self.readers, run).await?;
        }
        rows.into_iter().map(leaf).collect()
    }

    async fn keep_head(&self, head: &SignedHead) -> Result<(), StoreError> {
        self.writer.send(|reply| Job::Head(head.clone(), reply)).await
    }

    async fn heads(&self, above: u64, limit: u32) -> Result<Vec<SignedHead>, StoreError> {
        let sql = "SELECT size, root, note FROM parkway_head WHERE size > $1 ORDER BY size LIMIT +$2";
        let query = sqlx::query_as(sql).bind(signed(above)).bind(i64::from(limit));
        let rows: Vec<HeadRow> = query.fetch_all(&self.readers).await.map_err(|e| self.failed(&e))?;
        rows.into_iter().map(head).collect()
    }

    async fn newest_head(&self) -> Result<Option<SignedHead>, StoreError> {
        let query = sqlx::query_as("SELECT size, root, note FROM parkway_head ORDER BY size DESC LIMIT 1");
        let row: Option<HeadRow> = query.fetch_optional(&self.readers).await.map_err(|e| self.failed(&e))?;
        row.map(head).transpose()
    }
}

impl SqliteStore {
    fn failed(&self, error: &sqlx::Error) -> StoreError {
        self.writer.told(from_sqlx(error))
    }
}

type Row = (i64, String, i64, Vec<u8>);
type HeadRow = (i64, Vec<u8>, String);

fn leaf((leaf, run, seq, bytes): Row) -> Result<Leaf, StoreError> {
    let index = number("a leaf number", leaf)?.checked_sub(1).ok_or_else(|| corrupt("a leaf number", leaf))?;
    let run = run.parse().map_err(|_| corrupt("a run id", &run))?;
    Ok(Leaf { index, run, seq: Seq(number("an event number", seq)?), bytes })
}

fn head((size, root, note): HeadRow) -> Result<SignedHead, StoreError> {
    let root = leaves::digest(&root).ok_or_else(|| corrupt("the root of a head", size))?;
    Ok(SignedHead { head: TreeHead { size: number("the size of a head", size)?, root }, note })
}

async fn tree(tx: &mut Transaction<'_, Sqlite>) -> Result<TreeHead, StoreError> {
    let query = sqlx::query_scalar("SELECT coalesce(max(leaf), 0) FROM parkway_event");
    let size: i64 = query.fetch_one(&mut **tx).await.map_err(|e| from_sqlx(&e))?;
    let size = number("a leaf number", size)?;
    Ok(TreeHead { size, root: leaves::frontier(tx, size).await?.root() })
}

/// Writes a signed head down, if the log has had it.
pub(super) async fn keep_head(tx: &mut Tx, head: &SignedHead) -> Result<Result<(), StoreError>, StoreError> {
    let TreeHead { size, root } = head.head;
    let sql = "SELECT count(*) FROM parkway_event WHERE leaf = $1";
    let query = sqlx::query_scalar(sql).bind(signed(size));
    let reached: i64 = query.fetch_one(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    if size == 0 || reached == 0 || leaves::frontier(tx.statement().await?, size).await?.root() != root {
        return Ok(Err(StoreError::Malformed(format!("the log never had this head of {size} events"))));
    }
    let sql = "INSERT INTO parkway_head (size, root, note) VALUES ($1, $2, $3)
        ON CONFLICT (size) DO UPDATE SET root = excluded.root, note = excluded.note";
    let query = sqlx::query(sql).bind(signed(size)).bind(root.as_bytes().to_vec()).bind(&head.note);
    query.execute(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    Ok(Ok(()))
}
