//! The fold of what events say of memories and of texts that are gone, in the transaction of their commit.

use parkway_core::id::{Digest, MemoryId, Time};
use parkway_core::log::{Commitment, Event, EventKind};
use parkway_core::memory::NewMemory;
use parkway_core::store::{Commit, StoreError};
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::sqlite::error::from_sqlx;
use crate::sqlite::payload::beginning;
use crate::sqlite::tx::Tx;

/// What an event changes beside the log.
pub(crate) enum Change {
    Written(Box<Written>),
    Forgotten { id: MemoryId, at: Time },
    Erased(Vec<Commitment>),
}

/// A memory that an event writes.
pub(crate) struct Written {
    seq: i64,
    at: Time,
    commitment: Commitment,
    memory: NewMemory,
}

impl Change {
    /// What the events of a commit change that was checked: it has what its memories say.
    pub(crate) fn all_of(commit: &Commit) -> Vec<Change> {
        let change = |event: &Event| match &event.kind {
            EventKind::MemoryWritten { content, .. } => {
                let (memory, commitment) = NewMemory::written(&event.kind, commit.content(*content)?)?;
                let (seq, at) = (i64::try_from(event.seq.0).unwrap_or(i64::MAX), event.at);
                Some(Change::Written(Box::new(Written { seq, at, commitment, memory })))
            }
            EventKind::MemoryForgotten { id, .. } => Some(Change::Forgotten { id: *id, at: event.at }),
            EventKind::PayloadErased { payloads, .. } => Some(Change::Erased(payloads.clone())),
            _ => None,
        };
        commit.events.iter().filter_map(change).collect()
    }

    /// Whether a text is to be gone that the write-ahead log may hold.
    pub(crate) fn erases(&self) -> bool {
        matches!(self, Change::Forgotten { .. } | Change::Erased(_))
    }

    /// The memory that it forgets.
    pub(crate) fn forgets(&self) -> Option<MemoryId> {
        match self {
            Change::Forgotten { id, .. } => Some(*id),
            Change::Written(_) | Change::Erased(_) => None,
        }
    }

    /// The memory that it writes.
    fn writes(&self) -> Option<MemoryId> {
        match self {
            Change::Written(written) => Some(written.memory.id),
            Change::Forgotten { .. } | Change::Erased(_) => None,
        }
    }
}

/// One of the memories that these changes write, which is there already.
pub(crate) async fn known(tx: &mut Tx, changes: &[Change]) -> Result<Option<MemoryId>, StoreError> {
    let written: Vec<MemoryId> = changes.iter().filter_map(Change::writes).collect();
    if written.is_empty() {
        return Ok(None);
    }
    let sql = "SELECT value FROM json_each($1) WHERE EXISTS (SELECT 1 FROM parkway_memory WHERE id = unhex(value))";
    let query = sqlx::query_scalar(sql).bind(json!(written).to_string());
    let found: Option<String> = query.fetch_optional(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    Ok(found.and_then(|id| id.parse().ok()))
}

/// The word that stands for a namespace in the index of texts.
pub(super) fn scope(namespace: &str) -> String {
    let digest = Digest::of(&[b"parkway-memory-scope-1\0", namespace.as_bytes()]).to_string();
    // A letter first: it is one word for every tokenizer.
    format!("n{}", &digest[..24])
}

/// Makes what events of the run with this key change true.
pub(crate) async fn fold(tx: &mut Tx, run: i64, changes: &[Change]) -> Result<(), StoreError> {
    for change in changes {
        match change {
            Change::Written(written) => write(tx, run, written).await?,
            Change::Forgotten { id, at } => forget(tx, *id, *at),
            Change::Erased(payloads) => erase(tx, payloads).await?,
        }
    }
    Ok(())
}

async fn write(tx: &mut Tx, run: i64, written: &Written) -> Result<(), StoreError> {
    let NewMemory { content, id, .. } = &written.memory;
    let memory = &written.memory;
    let sql = "INSERT INTO parkway_memory (id, run, seq, content, namespace, subject, digest, kind, untrusted, secret, pinned, known,
            valid_from, valid_until, expires)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING key";
    let query = sqlx::query_scalar(sql)
        .bind(id.as_bytes().to_vec())
        .bind(run)
        .bind(written.seq)
        .bind(beginning(&written.commitment).to_vec())
        .bind(&content.namespace)
        .bind(&content.subject)
        .bind(content.digest().as_bytes()[..16].to_vec())
        .bind(memory.kind.as_str())
        .bind(memory.labels.untrusted)
        .bind(memory.labels.secret)
        .bind(memory.pinned)
        .bind(written.at.micros())
        .bind(memory.from.micros())
        .bind(memory.until.map(Time::micros))
        .bind(memory.expires.map(Time::micros));
    let key: i64 = query.fetch_one(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    // What happened before tells what was meant.
    let context = "SELECT text FROM parkway_memory_text WHERE rowid = (SELECT key FROM parkway_memory
            WHERE namespace = ? AND key < ? AND kind = 'episodic' ORDER BY key DESC LIMIT 1)";
    tx.gather(&format!(
        "INSERT INTO parkway_memory_text (rowid, scope, text, context)
        SELECT ?, ?, ?, CASE WHEN ? = 'episodic' THEN ({context}) END"
    ));
    tx.bind(key).bind(scope(&content.namespace)).bind(content.text.clone()).bind(memory.kind.as_str());
    tx.bind(content.namespace.clone()).bind(key);
    for (table, named) in [("supersession", &memory.supersedes), ("contradiction", &memory.contradicts)] {
        if !named.is_empty() {
            tx.gather(&format!(
                "INSERT OR IGNORE INTO parkway_memory_{table} (memory, other)
                SELECT ?, key FROM parkway_memory WHERE id IN (SELECT unhex(value) FROM json_each(?)) AND key <> ?"
            ));
            tx.bind(key).bind(json!(named).to_string()).bind(key);
        }
    }
    tx.done().await
}

fn forget(tx: &mut Tx, id: MemoryId, at: Time) {
    // What it said, whatever the event calls that: nothing else goes with it.
    tx.gather(
        "DELETE FROM parkway_payload
        WHERE substr(commitment, 1, 16) = (SELECT content FROM parkway_memory WHERE id = ?)",
    );
    tx.bind(id.as_bytes().to_vec());
    hide(tx, "SELECT key FROM parkway_memory WHERE id = unhex(?)", &id.to_string());
    tx.gather("UPDATE parkway_memory SET forgotten = coalesce(forgotten, ?) WHERE id = ?");
    tx.bind(at.micros()).bind(id.as_bytes().to_vec());
}

/// Takes away all that memories are found by. `these` gives their keys, and has one value.
fn hide(tx: &mut Tx, these: &str, value: &str) {
    // What came after one of them has its text as context.
    tx.gather(&format!(
        "UPDATE parkway_memory_text SET context = NULL WHERE rowid IN (SELECT
                (SELECT min(later.key) FROM parkway_memory AS later
                    WHERE later.namespace = this.namespace AND later.kind = 'episodic' AND later.key > this.key)
            FROM parkway_memory AS this WHERE this.kind = 'episodic' AND this.key IN ({these}))"
    ));
    tx.bind(value.to_owned());
    for table in ["parkway_memory_text WHERE rowid", "parkway_memory_vector WHERE memory"] {
        tx.gather(&format!("DELETE FROM {table} IN ({these})")).bind(value.to_owned());
    }
    tx.gather(&format!(
        "UPDATE parkway_memory SET namespace = NULL, subject = NULL, digest = NULL WHERE key IN ({these})"
    ));
    tx.bind(value.to_owned());
}

async fn erase(tx: &mut Tx, payloads: &[Commitment]) -> Result<(), StoreError> {
    let payloads: Vec<String> = payloads.iter().map(Commitment::to_string).collect();
    let payloads = json!(payloads).to_string();
    let these = "(SELECT substr(unhex(value), 1, 16) FROM json_each(?))";
    tx.gather(&format!("DELETE FROM parkway_payload WHERE substr(commitment, 1, 16) IN {these}"));
    tx.bind(payloads.clone());
    // Hardly one of them is what a memory says: looked for once.
    let sql = format!("SELECT key FROM parkway_memory WHERE namespace IS NOT NULL AND content IN {these}");
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(payloads);
    let hidden: Vec<i64> = query.fetch_all(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    if !hidden.is_empty() {
        hide(tx, "SELECT value FROM json_each(?)", &json!(hidden).to_string());
    }
    Ok(())
}
