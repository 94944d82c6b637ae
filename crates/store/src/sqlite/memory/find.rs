//! Finding memories: by their words, by vectors, and by both.

use parkway_core::memory::{MemoryVector, Recall, Recalled, words};
use parkway_core::store::StoreError;
use serde_json::json;
use sqlx::{AssertSqlSafe, SqlitePool};

use super::later::KEPT;
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

/// What may be recalled at all, but for what others take from it. `$1` the namespaces, `$2` the kinds, `$3` at, `$4` known, `$5` now.
const ALLOWED: &str = "memory.namespace IN (SELECT value FROM json_each($1))
    AND ($2 = '[]' OR memory.kind IN (SELECT value FROM json_each($2)))
    AND memory.forgotten IS NULL AND memory.known <= $4 AND memory.valid_from <= $3
    AND (memory.valid_until IS NULL OR $3 < memory.valid_until)
    AND (memory.expires IS NULL OR $5 < memory.expires)";

/// A word that stands in more than one of so many memories is common.
const COMMON: i64 = 20;
/// In a store with fewer memories than this, no word is.
const SMALL: i64 = 1_000;
/// A word that one of fewer memories has tells too little of them to be worth its price.
const TELLING: f64 = 4.0;

pub(super) async fn recall(pool: &SqlitePool, vectors: &Vectors, recall: &Recall) -> Result<Vec<Recalled>, StoreError> {
    if recall.namespaces.is_empty() || recall.limit == 0 {
        return Ok(Vec::new());
    }
    // Where one way alone finds them, its order is the last one.
    let depth = if recall.vector.is_none() { recall.limit } else { recall.limit.saturating_mul(DEPTH).max(50) };
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
    // Not beside the others, who have more to ask: connections of SQLite wait for each other's memory.
    let pinned = pinned(pool, recall).await?;
    let (by_text, by_vector) = tokio::try_join!(by_text, by_vector)?;
    // The key of a memory is its number.
    let numbers = |keys: Vec<i64>| keys.into_iter().map(i64::unsigned_abs).collect::<Vec<u64>>();
    let (pinned, by_text, by_vector) = (numbers(pinned), numbers(by_text), numbers(by_vector));
    let best = recall.order(&pinned, &by_text, &by_vector);
    let mut wanted = recall.limit as usize;
    loop {
        let keys: Vec<i64> = best.iter().take(wanted).map(|number| number.cast_signed()).collect();
        let memories = row::by_key(pool, &keys, recall.known).await?;
        // The rows decide; what they say stands in the payload, which says where it belongs.
        let found = recall.fuse(memories.into_values().collect(), &by_text, &by_vector);
        if found.len() >= recall.limit as usize || wanted >= best.len() {
            return Ok(found);
        }
        wanted = wanted.saturating_mul(8);
    }
}

async fn pinned(pool: &SqlitePool, recall: &Recall) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT memory.key FROM parkway_memory AS memory WHERE memory.pinned AND {ALLOWED} LIMIT +$6";
    let found = by_sql(pool, recall, sql, None, u32::MAX).await?;
    Ok(found.into_iter().flatten().collect())
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
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql.replace("{ALLOWED}", &format!("{ALLOWED} AND {KEPT}"))))
        .bind(json!(recall.namespaces).to_string())
        .bind(json!(kinds).to_string())
        .bind(recall.at.micros())
        .bind(recall.known.micros())
        .bind(recall.now.micros())
        .bind(i64::from(limit));
    if let Some(asked) = asked {
        query = query.bind(asked);
    }
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
    let Words { rare, common } = by_frequency(pool, asked).await?;
    // So many of the common words, the least common first, find something as well.
    let mut finding = usize::from(rare.is_empty());
    loop {
        let (more, others) = common.split_at(finding.min(common.len()));
        let words = rare.iter().chain(more.iter().map(|common| &common.word));
        let order = others.iter().filter(|common| common.tells()).map(|common| &common.word);
        let found = ranked(pool, recall, &question(recall, words, order), depth).await?;
        if found.len() >= recall.limit as usize || others.is_empty() {
            return Ok(found);
        }
        finding = finding.saturating_mul(4).max(1);
    }
}

/// The words of a question.
struct Words {
    /// Those of which not many memories of the store have one.
    rare: Vec<String>,
    /// The others, the least common first.
    common: Vec<Common>,
}

struct Common {
    word: String,
    /// Of so many memories one has it, as far as was looked.
    of: f64,
}

impl Common {
    /// Whether it tells something of a memory that has it.
    fn tells(&self) -> bool {
        self.of > TELLING
    }
}

async fn by_frequency(pool: &SqlitePool, asked: &[String]) -> Result<Words, StoreError> {
    // It is looked no further than to the first memory beyond so many that have the word; where that stands tells how common it is.
    let sql = "WITH store AS (SELECT coalesce(max(key), 0) AS newest FROM parkway_memory),
            most AS (SELECT max(newest / $2, $3) AS many FROM store)
        SELECT asked.value, (SELECT rowid FROM parkway_memory_text
            WHERE parkway_memory_text MATCH '{text context} : \"' || asked.value || '\"' LIMIT 1 OFFSET (SELECT many FROM most)),
            (SELECT many FROM most)
        FROM json_each($1) AS asked";
    let query = sqlx::query_as(sql).bind(json!(asked).to_string()).bind(COMMON).bind(SMALL);
    let seen: Vec<(String, Option<i64>, i64)> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    let mut words = Words { rare: Vec::new(), common: Vec::new() };
    for (word, beyond, many) in seen {
        match beyond {
            Some(beyond) => words.common.push(Common { word, of: beyond as f64 / many as f64 }),
            None => words.rare.push(word),
        }
    }
    words.common.sort_by(|a, b| b.of.total_cmp(&a.of));
    Ok(words)
}

/// The best of what the index of texts finds that may be recalled.
async fn ranked(pool: &SqlitePool, recall: &Recall, question: &str, limit: u32) -> Result<Vec<i64>, StoreError> {
    // The index reads the words of these namespaces alone; that nothing else is among it is said once more.
    let sql = format!(
        "WITH found AS MATERIALIZED (SELECT rowid AS key, {BY_TEXT} AS score FROM parkway_memory_text
            WHERE parkway_memory_text MATCH $7 ORDER BY score, rowid DESC LIMIT +$6)
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
fn question<'a>(
    recall: &Recall,
    words: impl Iterator<Item = &'a String>,
    others: impl Iterator<Item = &'a String>,
) -> String {
    let quoted = |word: &String| format!("\"{word}\"");
    let any = |words: Vec<String>| words.join(" OR ");
    let scopes = recall.namespaces.iter().map(|namespace| quoted(&scope(namespace))).collect();
    let within = format!("scope : ({})", any(scopes));
    let question = format!("{within} AND {{text context}} : ({})", any(words.map(quoted).collect()));
    let others: Vec<String> = others.map(quoted).collect();
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
            WHERE {ALLOWED} ORDER BY asked.key LIMIT +$6";
        let allowed = by_sql(pool, recall, sql, Some(&json!(close).to_string()), limit).await?;
        let allowed: Vec<i64> = allowed.into_iter().flatten().collect();
        if allowed.len() < close.len().min(limit as usize) {
            vectors.forget(&asked.model, &gone(pool, &close).await?).await;
        }
        // Of those that lie closest, some may not be recalled now: then others are looked at.
        if allowed.len() >= limit as usize || close.len() < wanted {
            return Ok(allowed);
        }
        wanted = wanted.saturating_mul(8);
    }
}

/// Those of these memories that say nothing any more.
async fn gone(pool: &SqlitePool, keys: &[i64]) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT value FROM json_each($1)
        WHERE NOT EXISTS (SELECT 1 FROM parkway_memory WHERE key = value AND namespace IS NOT NULL)";
    let query = sqlx::query_scalar(sql).bind(json!(keys).to_string());
    query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))
}

#[cfg(test)]
mod tests {
    use parkway_core::id::Time;

    use super::*;

    #[test]
    fn nothing_that_is_asked_is_an_operator() {
        let recall = Recall::new(vec!["a".into()], "x\" OR scope:* NEAR(b) -c ^d", Time::default());
        let asked = question(&recall, asked(&recall).iter(), [].iter());
        assert!(asked.ends_with(r#": ("x" OR "scope" OR "near" OR "b" OR "c" OR "d")"#), "{asked}");
        let nothing = Recall::new(vec!["a".into()], " -*\"", Time::default());
        assert_eq!(super::asked(&nothing), [""; 0]);
    }
}
