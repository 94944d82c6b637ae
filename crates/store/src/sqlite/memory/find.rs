//! Finding memories: by their words, by vectors, and by both.

use parkway_core::memory::{MemoryVector, Recall, Recalled, words};
use parkway_core::store::StoreError;
use serde_json::json;
use sqlx::{AssertSqlSafe, SqlitePool};

use super::row;
use super::vectors::Vectors;
use super::write::scope;
use crate::sqlite::error::from_sqlx;

/// Words of a question that are looked for: a text of any length may be asked for.
const WORDS: usize = 256;
/// So many more than are asked for are ranked each way, so that what comes far behind by words can still come first by both.
const DEPTH: u32 = 5;
/// How much a word counts in the text of a memory, and in that of the one before it.
const BY_TEXT: &str = "bm25(parkway_memory_text, 0.0, 1.0, 0.5)";

/// What may be recalled at all. `$1` the namespaces, `$2` the kinds, `$3` at, `$4` known, `$5` now.
const ALLOWED: &str = "memory.namespace IN (SELECT value FROM json_each($1))
    AND ($2 = '[]' OR memory.kind IN (SELECT value FROM json_each($2)))
    AND memory.forgotten IS NULL AND memory.known <= $4 AND memory.valid_from <= $3
    AND (memory.valid_until IS NULL OR $3 < memory.valid_until)
    AND (memory.superseded_at IS NULL OR memory.superseded_at > $4 OR $3 < memory.superseded_from)
    AND (memory.expires IS NULL OR $5 < memory.expires)";

pub(super) async fn recall(pool: &SqlitePool, vectors: &Vectors, recall: &Recall) -> Result<Vec<Recalled>, StoreError> {
    if recall.namespaces.is_empty() || recall.limit == 0 {
        return Ok(Vec::new());
    }
    let depth = recall.limit.saturating_mul(DEPTH).max(50);
    let pinned = by_sql(
        pool,
        recall,
        "SELECT memory.key FROM parkway_memory AS memory WHERE memory.pinned AND",
        "memory.key",
        None,
        recall.limit,
    );
    let pinned = pinned.await?;
    let by_text = match question(recall) {
        Some(question) if recall.weights.text > 0.0 => {
            // The index reads the words of these namespaces alone; that nothing else is among it is said once more.
            let sql = "SELECT memory.key FROM parkway_memory_text AS found JOIN parkway_memory AS memory ON memory.key = found.rowid
                WHERE parkway_memory_text MATCH $7 AND";
            by_sql(pool, recall, sql, &format!("{BY_TEXT}, memory.key DESC"), Some(question), depth).await?
        }
        _ => Vec::new(),
    };
    let by_vector = match &recall.vector {
        Some(vector) if recall.weights.vector > 0.0 => by_vector(pool, vectors, recall, vector, depth).await?,
        _ => Vec::new(),
    };
    let mut keys: Vec<i64> = pinned.iter().chain(&by_text).chain(&by_vector).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let memories = row::by_key(pool, &keys).await?;
    // The key of a memory is its number. The rows decide; what they say stands in the payload, which says where it belongs.
    let numbers = |keys: Vec<i64>| keys.into_iter().map(i64::unsigned_abs).collect::<Vec<u64>>();
    Ok(recall.fuse(memories.into_values().collect(), &numbers(by_text), &numbers(by_vector)))
}

/// The keys that a query gives of what may be recalled, in this order.
async fn by_sql(
    pool: &SqlitePool,
    recall: &Recall,
    select: &str,
    order: &str,
    question: Option<String>,
    limit: u32,
) -> Result<Vec<i64>, StoreError> {
    let kinds: Vec<&str> = recall.kinds.iter().map(|kind| kind.as_str()).collect();
    // The parts are ours; what is asked is bound.
    let sql = format!("{select} {ALLOWED} ORDER BY {order} LIMIT $6");
    let query = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(json!(recall.namespaces).to_string())
        .bind(json!(kinds).to_string())
        .bind(recall.at.micros())
        .bind(recall.known.micros())
        .bind(recall.now.micros())
        .bind(i64::from(limit));
    let query = match question {
        Some(question) => query.bind(question),
        None => query,
    };
    query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))
}

/// What the index of texts is asked: any of the words, within the namespaces.
fn question(recall: &Recall) -> Option<String> {
    // Letters and digits only: nothing in it is an operator.
    let mut asked: Vec<String> = Vec::new();
    for word in words(&recall.text) {
        if !asked.contains(&word) && asked.len() < WORDS {
            asked.push(word);
        }
    }
    if asked.is_empty() {
        return None;
    }
    let any = |words: &[String]| words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" OR ");
    let scopes: Vec<String> = recall.namespaces.iter().map(|namespace| scope(namespace)).collect();
    Some(format!("scope : ({}) AND {{text context}} : ({})", any(&scopes), any(&asked)))
}

/// The keys that lie closest to a vector, closest first. Vectors of another model are not looked at.
async fn by_vector(
    pool: &SqlitePool,
    vectors: &Vectors,
    recall: &Recall,
    asked: &MemoryVector,
    limit: u32,
) -> Result<Vec<i64>, StoreError> {
    let mut wanted = limit as usize;
    loop {
        let close = vectors.closest(pool, &recall.namespaces, asked, wanted).await?;
        let sql = "SELECT memory.key FROM json_each($7) AS asked JOIN parkway_memory AS memory ON memory.key = asked.value WHERE";
        let allowed = by_sql(pool, recall, sql, "asked.key", Some(json!(close).to_string()), limit).await?;
        // Of those that lie closest, some may not be recalled now: then others are looked at.
        if allowed.len() >= limit as usize || close.len() < wanted {
            return Ok(allowed);
        }
        wanted = wanted.saturating_mul(8);
    }
}

#[cfg(test)]
mod tests {
    use parkway_core::id::Time;

    use super::*;

    #[test]
    fn nothing_that_is_asked_is_an_operator() {
        let recall = Recall::new(vec!["a".into()], "x\" OR scope:* NEAR(b) -c ^d", Time::default());
        let asked = question(&recall).unwrap();
        assert!(asked.ends_with(r#": ("x" OR "scope" OR "near" OR "b" OR "c" OR "d")"#), "{asked}");
        let nothing = Recall::new(vec!["a".into()], " -*\"", Time::default());
        assert_eq!(question(&nothing), None);
    }
}
