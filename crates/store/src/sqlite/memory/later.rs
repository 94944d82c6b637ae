//! What later memories take from earlier ones: those that name them, those about their subject, and those that say the same.

use std::collections::HashMap;

use parkway_core::id::Time;
use parkway_core::memory::{Bond, MemoryKind, Remembered, Span, Superseded};
use parkway_core::store::StoreError;
use serde_json::json;
use sqlx::SqlitePool;

use super::row;
use crate::sqlite::error::{corrupt, from_sqlx};
use crate::sqlite::named::named_row;

/// That `later` takes the time `$3` from `memory`, by what was known at `$4`, if it has anything to do with it. What says nothing any more
/// takes nothing; the same words with another end have the new one.
macro_rules! takes {
    () => {
        "later.namespace IS NOT NULL AND later.known <= $4 AND later.valid_from <= $3
            AND (later.valid_until IS NULL OR $3 < later.valid_until
                OR (later.digest = memory.digest AND later.valid_from >= memory.valid_from))"
    };
}

/// That `memory` says of itself that it contradicts the earlier one.
macro_rules! beside {
    () => {
        "EXISTS (SELECT 1 FROM parkway_memory_contradiction AS said
            WHERE said.memory = later.key AND said.other = memory.key)"
    };
}

/// That no later memory takes the time `$3` from `memory`, by what was known at `$4`: [`Remembered::meet`] in SQL.
pub(super) const KEPT: &str = concat!(
    "NOT EXISTS (SELECT 1 FROM parkway_memory_supersession AS named JOIN parkway_memory AS later ON later.key = named.memory
        WHERE named.other = memory.key AND ",
    takes!(),
    ") AND NOT EXISTS (SELECT 1 FROM parkway_memory AS later
        WHERE later.namespace = memory.namespace AND later.subject = memory.subject AND later.key > memory.key AND ",
    takes!(),
    " AND NOT ",
    beside!(),
    ") AND NOT EXISTS (SELECT 1 FROM parkway_memory AS later
        WHERE later.digest = memory.digest AND later.key > memory.key AND later.kind = memory.kind
            AND (later.kind <> 'episodic' OR later.valid_from = memory.valid_from) AND ",
    takes!(),
    " AND NOT ",
    beside!(),
    ")"
);

named_row! {
    /// A later memory. `named` is the one that it names, if that is why it is here.
    Row {
        named: Option<i64>,
        key: i64,
        id: Vec<u8>,
        kind: String,
        known: i64,
        valid_from: i64,
        valid_until: Option<i64>,
        namespace: String,
        subject: Option<String>,
        digest: Vec<u8>,
    }
}

/// `$1` is a list of keys, `$2` the time by which the later ones are known. Those about a subject are read once, however many are asked for.
const LATER: &str = "WITH asked AS (SELECT memory.key, namespace, subject, digest FROM json_each($1) AS asked
            JOIN parkway_memory AS memory ON memory.key = asked.value AND memory.namespace IS NOT NULL),
        about AS (SELECT namespace, subject, min(key) AS key FROM asked WHERE subject IS NOT NULL GROUP BY namespace, subject),
        same AS (SELECT digest, min(key) AS key FROM asked GROUP BY digest),
        found AS (
            SELECT named.other AS named, later.key FROM asked
                JOIN parkway_memory_supersession AS named ON named.other = asked.key
                JOIN parkway_memory AS later ON later.key = named.memory
            UNION SELECT NULL, later.key FROM about JOIN parkway_memory AS later
                ON later.namespace = about.namespace AND later.subject = about.subject AND later.key > about.key
            UNION SELECT NULL, later.key FROM same JOIN parkway_memory AS later
                ON later.digest = same.digest AND later.key > same.key)
    SELECT found.named, later.key, later.id, later.kind, later.known, later.valid_from, later.valid_until, later.namespace,
            later.subject, later.digest
        FROM found JOIN parkway_memory AS later ON later.key = found.key
        WHERE later.namespace IS NOT NULL AND later.known <= $2 ORDER BY later.key";

/// Says of each of these memories, by their keys, what later ones take from it.
pub(super) async fn take(
    pool: &SqlitePool,
    memories: &mut HashMap<i64, Remembered>,
    known: Time,
) -> Result<(), StoreError> {
    let keys: Vec<i64> = memories.keys().copied().collect();
    let query = sqlx::query_as(LATER).bind(json!(keys).to_string()).bind(known.micros());
    let rows: Vec<Row> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    if rows.is_empty() {
        return Ok(());
    }
    let named: Vec<(i64, i64)> = rows.iter().filter_map(|row| Some((row.key, row.named?))).collect();
    for (key, memory) in memories {
        let Some(content) = &memory.content else { continue };
        let (namespace, subject, digest) = (content.namespace.clone(), content.subject.clone(), content.digest());
        let mut last = *key;
        for row in &rows {
            // One that is here for two reasons stands here twice.
            if row.key <= last {
                continue;
            }
            let about = subject.is_some() && row.subject == subject && row.namespace == namespace;
            let words = row.digest == digest.as_bytes()[..16];
            let names = named.contains(&(row.key, *key));
            if !about && !words && !names {
                continue;
            }
            last = row.key;
            let kind = MemoryKind::from_name(&row.kind).ok_or_else(|| corrupt("the kind of a memory", &row.kind))?;
            let time = Time::from_micros;
            let span = Span::new(time(row.valid_from), row.valid_until.map(time));
            let later = Superseded::new(row::id(row.id.clone())?, time(row.known), span);
            memory.meet(later, Bond::new(kind, names, about, words));
        }
    }
    Ok(())
}
