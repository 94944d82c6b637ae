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

/// A word that stands in more than one of so many memories is common.
const COMMON: u64 = 16;
/// In a store with fewer memories than this, no word is.
const SMALL: u64 = 1_000;

pub(super) async fn recall(pool: &SqlitePool, vectors: &Vectors, recall: &Recall) -> Result<Vec<Recalled>, StoreError> {
    if recall.namespaces.is_empty() || recall.limit == 0 {
        return Ok(Vec::new());
    }
    let depth = recall.limit.saturating_mul(DEPTH).max(50);
    let sql = "SELECT memory.key FROM parkway_memory AS memory WHERE memory.pinned AND {ALLOWED} ORDER BY memory.key LIMIT $6";
    let pinned = by_sql(pool, recall, sql, None, recall.limit).await?;
    let by_text = async {
        let asked = asked(recall);
        if asked.is_empty() || recall.weights.text <= 0.0 {
            return Ok(Vec::new());
        }
        by_text(pool, recall, &asked, depth).await
    };
    let by_vector = async {
        match &recall.vector {
            Some(vector) if recall.weights.vector > 0.0 => by_vector(pool, vectors, recall, vector, depth).await,
            _ => Ok(Vec::new()),
        }
    };
    let (by_text, by_vector) = tokio::try_join!(by_text, by_vector)?;
    let mut keys: Vec<i64> =
        pinned.into_iter().flatten().chain(by_text.iter().copied()).chain(by_vector.iter().copied()).collect();
    keys.sort_unstable();
    keys.dedup();
    let memories = row::by_key(pool, &keys).await?;
    // The key of a memory is its number. The rows decide; what they say stands in the payload, which says where it belongs.
    let numbers = |keys: Vec<i64>| keys.into_iter().map(i64::unsigned_abs).collect::<Vec<u64>>();
    Ok(recall.fuse(memories.into_values().collect(), &numbers(by_text), &numbers(by_vector)))
}

/// The keys that a query gives, in its order; none for what may not be recalled. `{ALLOWED}` in it is what may be, `$6` the limit, and `$7`
/// what is asked.
async fn by_sql(
    pool: &SqlitePool,
    recall: &Recall,
    sql: &str,
    asked: Option<&str>,
    limit: u32,
) -> Result<Vec<Option<i64>>, StoreError> {
    let kinds: Vec<&str> = recall.kinds.iter().map(|kind| kind.as_str()).collect();
    // The parts are ours; what is asked is bound.
    let query = sqlx::query_scalar(AssertSqlSafe(sql.replace("{ALLOWED}", ALLOWED)))
        .bind(json!(recall.namespaces).to_string())
        .bind(json!(kinds).to_string())
        .bind(recall.at.micros())
        .bind(recall.known.micros())
        .bind(recall.now.micros())
        .bind(i64::from(limit));
    let query = match asked {
        Some(asked) => query.bind(asked.to_owned()),
        None => query,
    };
    query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))
}

/// The words that are looked for, each once. They have letters and digits only: nothing in them is an operator.
fn asked(recall: &Recall) -> Vec<String> {
    let mut asked: Vec<String> = Vec::new();
    for word in words(&recall.text) {
        if !asked.contains(&word) && asked.len() < WORDS {
            asked.push(word);
        }
    }
    asked
}

/// The keys that fit the words best. Where the rarer words find enough, the common ones only order that: to rank every memory that has one
/// is most of the work, and one that has no other word comes last.
async fn by_text(pool: &SqlitePool, recall: &Recall, asked: &[String], depth: u32) -> Result<Vec<i64>, StoreError> {
    let (rare, common) = by_frequency(pool, asked).await?;
    if !rare.is_empty() && !common.is_empty() {
        let found = ranked(pool, recall, &question(recall, &rare, &common), depth).await?;
        if found.len() >= depth as usize {
            return Ok(found);
        }
    }
    ranked(pool, recall, &question(recall, asked, &[]), depth).await
}

/// The words of which not many memories of the store have one, and the others.
async fn by_frequency(pool: &SqlitePool, asked: &[String]) -> Result<(Vec<String>, Vec<String>), StoreError> {
    let query = sqlx::query_scalar("SELECT coalesce(max(key), 0) FROM parkway_memory");
    let all: i64 = query.fetch_one(pool).await.map_err(|e| from_sqlx(&e))?;
    let most = (all.unsigned_abs() / COMMON).max(SMALL);
    // It is counted no further than that.
    let sql = "SELECT asked.value, (SELECT count(*) FROM (SELECT 1 FROM parkway_memory_text
            WHERE parkway_memory_text MATCH '{text context} : \"' || asked.value || '\"' LIMIT $2 + 1)) > $2
        FROM json_each($1) AS asked";
    let query = sqlx::query_as(sql).bind(json!(asked).to_string()).bind(most.cast_signed());
    let counted: Vec<(String, bool)> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    let (common, rare): (Vec<_>, Vec<_>) = counted.into_iter().partition(|(_, common)| *common);
    let words = |counted: Vec<(String, bool)>| counted.into_iter().map(|(word, _)| word).collect();
    Ok((words(rare), words(common)))
}

/// The best of what the index of texts finds that may be recalled.
async fn ranked(pool: &SqlitePool, recall: &Recall, question: &str, limit: u32) -> Result<Vec<i64>, StoreError> {
    // The index reads the words of these namespaces alone; that nothing else is among it is said once more.
    let sql = format!(
        "WITH found AS MATERIALIZED (SELECT rowid AS key, {BY_TEXT} AS score FROM parkway_memory_text
            WHERE parkway_memory_text MATCH $7 ORDER BY score, rowid DESC LIMIT $6)
        SELECT memory.key FROM found LEFT JOIN parkway_memory AS memory ON memory.key = found.key AND {{ALLOWED}}
            ORDER BY found.score, found.key DESC"
    );
    let mut wanted = limit;
    loop {
        let found = by_sql(pool, recall, &sql, Some(question), wanted).await?;
        let exhausted = found.len() < wanted as usize;
        let allowed: Vec<i64> = found.into_iter().flatten().take(limit as usize).collect();
        // Of the best, some may not be recalled now: then others are looked at.
        if allowed.len() >= limit as usize || exhausted {
            return Ok(allowed);
        }
        wanted = wanted.saturating_mul(8);
    }
}

/// What the index of texts is asked: any of these words, within the namespaces. Of others, those that are there count as well.
fn question(recall: &Recall, words: &[String], others: &[String]) -> String {
    let any = |words: &[String]| words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" OR ");
    let scopes: Vec<String> = recall.namespaces.iter().map(|namespace| scope(namespace)).collect();
    let within = format!("scope : ({})", any(&scopes));
    let question = format!("{within} AND {{text context}} : ({})", any(words));
    if others.is_empty() {
        return question;
    }
    // What is found is within them, so that nothing is left out by this.
    format!("{question} AND ({within} OR {{text context}} : ({}))", any(others))
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
        let sql =
            "SELECT memory.key FROM json_each($7) AS asked JOIN parkway_memory AS memory ON memory.key = asked.value
            WHERE {ALLOWED} ORDER BY asked.key LIMIT $6";
        let allowed = by_sql(pool, recall, sql, Some(&json!(close).to_string()), limit).await?;
        let allowed: Vec<i64> = allowed.into_iter().flatten().collect();
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
        let asked = question(&recall, &asked(&recall), &[]);
        assert!(asked.ends_with(r#": ("x" OR "scope" OR "near" OR "b" OR "c" OR "d")"#), "{asked}");
        let nothing = Recall::new(vec!["a".into()], " -*\"", Time::default());
        assert_eq!(super::asked(&nothing), [""; 0]);
    }
}
