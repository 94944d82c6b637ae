//! Memories as they stand in rows, with what they say from its payload.

use std::collections::HashMap;

use parkway_core::id::{MemoryId, Seq, Time};
use parkway_core::label::Labels;
use parkway_core::log::{Codec, Commitment, Payload};
use parkway_core::memory::{Content, MemoryFilter, MemoryKind, NewMemory, Remembered};
use parkway_core::store::StoreError;
use serde_json::json;
use sqlx::{AssertSqlSafe, SqlitePool};

use super::later;
use crate::sqlite::error::{corrupt, from_sqlx};
use crate::sqlite::named::named_row;
use crate::sqlite::read::{number, signed};

named_row! {
    /// What is read of a memory. Of a text that is gone, `salt` is NULL.
    Row {
        key: i64,
        id: Vec<u8>,
        run: String,
        seq: i64,
        kind: String,
        untrusted: bool,
        secret: bool,
        pinned: bool,
        known: i64,
        valid_from: i64,
        valid_until: Option<i64>,
        expires: Option<i64>,
        forgotten: Option<i64>,
        body: Vec<u8>,
        salt: Option<Vec<u8>>,
        bytes: Option<Vec<u8>>,
        contradicts: String,
    }
}

/// `$1` is a list of keys; `$2` the time by which the others are known that they contradict.
const BY_KEY: &str =
    "SELECT memory.key, memory.id, run.id AS run, memory.seq, kind, untrusted, secret, pinned, known, valid_from,
        valid_until, expires, forgotten, log.body, payload.salt, coalesce(payload.bytes, blob.bytes) AS bytes,
        (SELECT json_group_array(hex(other.id)) FROM (SELECT other.id FROM parkway_memory_contradiction AS said
            JOIN parkway_memory AS other ON other.key = said.memory + said.other - memory.key
            WHERE (said.memory = memory.key OR said.other = memory.key) AND other.known <= $2
            ORDER BY other.key) AS other) AS contradicts
    FROM json_each($1) AS asked
        JOIN parkway_memory AS memory ON memory.key = asked.value
        JOIN parkway_run AS run ON run.key = memory.run
        JOIN parkway_log AS log ON log.run = run.id AND log.seq = memory.seq
        LEFT JOIN parkway_payload AS payload ON substr(payload.commitment, 1, 16) = memory.content
        LEFT JOIN parkway_blob AS blob ON blob.key = payload.blob";

/// The memories with these keys, by their keys, as they were known at `known`.
pub(super) async fn by_key(
    pool: &SqlitePool,
    keys: &[i64],
    known: Time,
) -> Result<HashMap<i64, Remembered>, StoreError> {
    let mut found = HashMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let query = sqlx::query_as(BY_KEY).bind(json!(keys).to_string()).bind(known.micros());
    let rows: Vec<Row> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    for row in rows {
        found.insert(row.key, remembered(row)?);
    }
    later::take(pool, &mut found, known).await?;
    Ok(found)
}

pub(super) fn id(bytes: Vec<u8>) -> Result<MemoryId, StoreError> {
    <[u8; 16]>::try_from(bytes).map(MemoryId::new).map_err(|_| corrupt("the id of a memory", "a blob"))
}

fn remembered(row: Row) -> Result<Remembered, StoreError> {
    let id_of_row = id(row.id)?;
    let (time, key) = (Time::from_micros, row.key);
    let commitment = commitment(&row.body).ok_or_else(|| corrupt("the event of a memory", key))?;
    let content = content(commitment, row.salt, row.bytes)?;
    let mut new =
        NewMemory::new(id_of_row, content.clone().unwrap_or_else(|| Content::new("", "")), time(row.valid_from));
    new.kind = MemoryKind::from_name(&row.kind).ok_or_else(|| corrupt("the kind of a memory", &row.kind))?;
    new.labels = Labels { untrusted: row.untrusted, secret: row.secret };
    (new.until, new.expires, new.pinned) = (row.valid_until.map(time), row.expires.map(time), row.pinned);
    let run = row.run.parse().map_err(|_| corrupt("a run id", &row.run))?;
    let seq = Seq(number("an event number", row.seq)?);
    let number = number("the number of a memory", key)?;
    let mut memory = Remembered::new(number, new, commitment, time(row.known), run, seq);
    memory.content = content.filter(|_| row.forgotten.is_none());
    memory.forgotten = row.forgotten.map(time);
    memory.contradicts =
        serde_json::from_str(&row.contradicts).map_err(|_| corrupt("contradictions", &row.contradicts))?;
    Ok(memory)
}

/// What a memory says: its payload, if that is what was committed to.
fn content(
    commitment: Commitment,
    salt: Option<Vec<u8>>,
    bytes: Option<Vec<u8>>,
) -> Result<Option<Content>, StoreError> {
    let (Some(salt), Some(bytes)) = (salt, bytes) else { return Ok(None) };
    let salt = <[u8; 16]>::try_from(salt).map_err(|_| corrupt("the salt of a payload", commitment))?;
    Ok(Some(Payload::stored(commitment, salt, Codec::Json, bytes)?.value()?))
}

/// The payload that the event of a memory points to.
fn commitment(body: &[u8]) -> Option<Commitment> {
    let event: serde_json::Value = serde_json::from_slice(body).ok()?;
    event.pointer("/kind/content")?.as_str()?.parse().ok()
}

/// A later memory that takes all of the time from `$7` on in which this one is to hold. One that takes a part of it is looked at in Rust.
const OVER: &str = "EXISTS (SELECT 1 FROM parkway_memory AS later
    WHERE later.namespace = parkway_memory.namespace AND later.subject = parkway_memory.subject AND later.key > parkway_memory.key
        AND later.valid_from <= max(parkway_memory.valid_from, $7) AND later.valid_until IS NULL
        AND NOT EXISTS (SELECT 1 FROM parkway_memory_contradiction WHERE memory = later.key AND other = parkway_memory.key))";

/// Memories that are read at once where some of them may not be wanted.
const PART: i64 = 1_000;

/// Memories as a filter wants them, oldest first.
pub(super) async fn list(pool: &SqlitePool, filter: &MemoryFilter) -> Result<Vec<Remembered>, StoreError> {
    let over = format!("(valid_until IS NULL OR $7 < valid_until) AND NOT {OVER}");
    // What is not asked for is not said, so that an index answers what is.
    let conditions = [
        (true, "key > $1"),
        (filter.id.is_some(), "id = $2"),
        (filter.namespace.is_some(), "namespace = $3"),
        (filter.subject.is_some(), "subject = $4"),
        (filter.digest.is_some(), "digest = $5"),
        (!filter.all, "forgotten IS NULL"),
        (filter.holds_from.is_some(), &over),
    ];
    let conditions: Vec<&str> = conditions.into_iter().filter_map(|(asked, sql)| asked.then_some(sql)).collect();
    let sql = format!("SELECT key FROM parkway_memory WHERE {} ORDER BY key LIMIT +$6", conditions.join(" AND "));
    let wanted = if filter.limit == 0 { usize::MAX } else { filter.limit as usize };
    let (mut listed, mut after) = (Vec::new(), signed(filter.after));
    loop {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.clone()))
            .bind(after)
            .bind(filter.id.map(|id| id.as_bytes().to_vec()))
            .bind(&filter.namespace)
            .bind(&filter.subject)
            .bind(filter.digest.map(|digest| digest.as_bytes()[..16].to_vec()))
            .bind(i64::try_from(wanted).unwrap_or(PART).min(PART))
            .bind(filter.holds_from.map(Time::micros));
        let keys: Vec<i64> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
        let Some(last) = keys.last() else { break };
        after = *last;
        listed.extend(in_order(pool, keys).await?.into_iter().filter(|memory| filter.allows(memory)));
        if listed.len() >= wanted {
            listed.truncate(wanted);
            break;
        }
    }
    Ok(listed)
}

pub(super) async fn without_vector(
    pool: &SqlitePool,
    model: &str,
    namespace: &str,
    after: u64,
    limit: u32,
) -> Result<Vec<Remembered>, StoreError> {
    let sql = "SELECT key FROM parkway_memory WHERE key > $3 AND namespace = $4
            AND NOT EXISTS (SELECT 1 FROM parkway_memory_vector WHERE model = $1 AND memory = parkway_memory.key)
        ORDER BY key LIMIT +$2";
    let query = sqlx::query_scalar(sql).bind(model).bind(i64::from(limit)).bind(signed(after)).bind(namespace);
    let keys: Vec<i64> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    in_order(pool, keys).await
}

async fn in_order(pool: &SqlitePool, keys: Vec<i64>) -> Result<Vec<Remembered>, StoreError> {
    let mut found = by_key(pool, &keys, Time::from_micros(i64::MAX)).await?;
    Ok(keys.into_iter().filter_map(|key| found.remove(&key)).collect())
}
