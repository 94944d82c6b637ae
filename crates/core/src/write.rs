//! What a transactional tool asks for in place of doing it: changes that become true in the commit of its step, or not at all.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{MemoryId, RunId};
use crate::log::Commitment;
use crate::memory::NewMemory;

/// A change that a tool asks for, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolWrite {
    /// A statement on tables of the embedder's, in the store's own database.
    Sql(SqlWrite),
    /// A signal to a run.
    Signal {
        /// The run, which must exist.
        run: RunId,
        /// The signal's name.
        name: String,
        /// What it says.
        payload: Value,
    },
    /// Something for the world outside, which a relay carries out at least once after the commit.
    Outbox(OutboxEntry),
    /// Something is remembered.
    Remember(NewMemory),
    /// A memory is forgotten.
    Forget {
        /// The memory.
        id: MemoryId,
        /// What it says.
        content: Commitment,
        /// Why.
        note: Option<String>,
    },
}

/// One SQL statement: `INSERT`, `UPDATE`, `DELETE` or `REPLACE`, perhaps after `WITH`. It reaches the embedder's own tables only,
/// never Parkway's, nor on SQLite virtual ones (full text search, `json_each`); triggers, views and foreign keys count. Other runs
/// wait for it: on SQLite it has 5 seconds.
///
/// ```
/// use parkway_core::write::SqlWrite;
///
/// let write = SqlWrite::new("UPDATE stock SET pieces = pieces - $2 WHERE part = $1 AND pieces >= $2")
///     .bind("A-1")
///     .bind(3)
///     .expect_rows(1);
/// assert_eq!(write.params.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SqlWrite {
    /// The statement, with `$1`, `$2` … where values belong.
    pub statement: String,
    /// The values: null, a boolean (stored as 0 or 1), a number, a text; a list or an object is stored as JSON text.
    pub params: Vec<Value>,
    /// How many rows it must change; otherwise the step fails, and nothing of it becomes true.
    pub expect_rows: Option<u64>,
}

impl SqlWrite {
    /// A statement without values.
    pub fn new(statement: impl Into<String>) -> Self {
        SqlWrite { statement: statement.into(), params: Vec::new(), expect_rows: None }
    }

    /// Gives the next `$n` its value.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.params.push(value.into());
        self
    }

    /// Demands that exactly so many rows change.
    #[must_use]
    pub fn expect_rows(mut self, rows: u64) -> Self {
        self.expect_rows = Some(rows);
        self
    }
}

/// Something for the world outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutboxEntry {
    /// What kind of thing it is, for the relay that takes it: `mail`, `order.placed`.
    pub topic: String,
    /// What it says.
    pub body: Value,
}

impl OutboxEntry {
    /// An entry.
    pub fn new(topic: impl Into<String>, body: Value) -> Self {
        OutboxEntry { topic: topic.into(), body }
    }
}
