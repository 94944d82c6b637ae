//! Reading, apart from the writer: each call sees the database as the newest finished transaction left it.

use std::collections::HashMap;

use parkway_core::id::{RunId, Seq, Time};
use parkway_core::log::{Codec, Commitment, Event, Payload, RunStatus};
use parkway_core::store::{NewRun, OutboxId, Outgoing, RunFilter, RunSummary, StoreError};
use parkway_core::write::OutboxEntry;
use sqlx::SqlitePool;

use super::error::{corrupt, from_sqlx};
use super::owner::Owners;
use super::payload;

/// Events that are read at once. A read that lasts keeps the write-ahead log from being cut back; what is in a log does not
/// change, so that it can be read in parts.
const PART: i64 = 4_096;

pub(super) async fn events(pool: &SqlitePool, run: RunId, after: Seq) -> Result<Vec<Event>, StoreError> {
    let sql = "SELECT seq, body FROM parkway_log WHERE run = $1 AND seq > $2 ORDER BY seq LIMIT +$3";
    let (mut events, mut last) = (Vec::new(), signed(after.0));
    loop {
        let query = sqlx::query_as(sql).bind(run.to_string()).bind(last).bind(PART);
        let part: Vec<(i64, Vec<u8>)> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
        let read = part.len();
        if let Some((seq, _)) = part.last() {
            last = *seq;
        }
        for (_, body) in part {
            events.push(Event::from_bytes(&body)?);
        }
        if i64::try_from(read) != Ok(PART) {
            break;
        }
    }
    if events.is_empty() {
        must_exist(pool, run).await?;
    }
    Ok(events)
}

pub(super) async fn beginning(pool: &SqlitePool, run: RunId, limit: u32) -> Result<Vec<Event>, StoreError> {
    let sql = "SELECT body FROM parkway_log WHERE run = $1 ORDER BY seq LIMIT +$2";
    let query = sqlx::query_scalar(sql).bind(run.to_string()).bind(i64::from(limit));
    let bodies: Vec<Vec<u8>> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    if bodies.is_empty() {
        must_exist(pool, run).await?;
    }
    bodies.iter().map(|body| Ok(Event::from_bytes(body)?)).collect()
}

pub(super) async fn tail(pool: &SqlitePool, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError> {
    let sql = "SELECT leaf, body FROM parkway_log WHERE leaf > $1 ORDER BY leaf LIMIT +$2";
    let query = sqlx::query_as(sql).bind(signed(after)).bind(i64::from(limit));
    let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    rows.iter().map(|(leaf, body)| Ok((number("a leaf number", *leaf)?, Event::from_bytes(body)?))).collect()
}

type PayloadRow = (Vec<u8>, Vec<u8>, String, Option<Vec<u8>>);

pub(super) async fn payloads(
    pool: &SqlitePool,
    commitments: &[Commitment],
) -> Result<Vec<Option<Payload>>, StoreError> {
    if commitments.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT commitment, salt, codec, coalesce(payload.bytes, blob.bytes)
        FROM parkway_payload AS payload LEFT JOIN parkway_blob AS blob ON blob.key = payload.blob
        WHERE substr(commitment, 1, 16) IN (SELECT substr(unhex(value), 1, 16) FROM json_each($1))";
    let asked: Vec<String> = commitments.iter().map(Commitment::to_string).collect();
    let query = sqlx::query_as(sql).bind(serde_json::json!(asked).to_string());
    let rows: Vec<PayloadRow> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    let asked: HashMap<_, _> = commitments.iter().map(|asked| (payload::beginning(asked), *asked)).collect();
    let mut found = HashMap::new();
    for (stored, salt, codec, bytes) in rows {
        let Some(commitment) = asked.get(&payload::kept(&stored)?).copied() else { continue };
        let salt = <[u8; 16]>::try_from(salt).map_err(|_| corrupt("the salt of a payload", commitment))?;
        let codec = Codec::from_name(&codec).ok_or_else(|| corrupt("the codec of a payload", &codec))?;
        let bytes = bytes.ok_or_else(|| StoreError::Corrupt(format!("the blob of payload {commitment} is gone")))?;
        found.insert(commitment, Payload::stored(commitment, salt, codec, bytes)?);
    }
    Ok(commitments.iter().map(|commitment| found.get(commitment).cloned()).collect())
}

type RunRow = (String, String, String, String, i64, i64, i64, Option<String>, i64, Option<String>);

pub(super) async fn runs(
    pool: &SqlitePool,
    filter: &RunFilter,
    now: Time,
    owners: &Owners,
) -> Result<Vec<RunSummary>, StoreError> {
    let columns =
        "SELECT id, tenant, workflow, status, created, updated, head, owner, lease_until, parent FROM parkway_run";
    let limit = if filter.limit == 0 { -1 } else { i64::from(filter.limit) };
    let open = if filter.open { "status IN ('pending', 'running', 'waiting')" } else { "TRUE" };
    // The parts are ours; what the caller gives is bound.
    let sql = match filter.run {
        Some(_) => format!("{columns} WHERE {open} AND id = $2 LIMIT +$1"),
        None => format!("{columns} WHERE {open} AND id <> $2 ORDER BY created DESC, id DESC LIMIT +$1"),
    };
    let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(limit);
    query = query.bind(filter.run.unwrap_or(RunId::SYSTEM).to_string());
    let rows: Vec<RunRow> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    let mut living: HashMap<String, bool> = HashMap::new();
    let mut summary = |row: RunRow| {
        let (id, tenant, workflow, status, created, updated, head, owner, until, parent) = row;
        let run = id.parse().map_err(|_| corrupt("a run id", &id))?;
        let status = RunStatus::from_name(&status).ok_or_else(|| corrupt("a status", &status))?;
        let leased = until > now.micros() && !status.ended();
        let held = leased && owner.is_some_and(|owner| *living.entry(owner).or_insert_with_key(|o| owners.alive(o)));
        let parent = parent.map(|id| id.parse().map_err(|_| corrupt("a run id", &id))).transpose()?;
        let new = NewRun { run, tenant, workflow, at: Time::from_micros(created), parent };
        let head = Seq(number("an event number", head)?);
        Ok(RunSummary::new(new, status, Time::from_micros(updated), head, held))
    };
    rows.into_iter().map(&mut summary).collect()
}

type OutboxRow = (i64, String, i64, String, String);

pub(super) async fn outbox(pool: &SqlitePool, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
    let sql = "SELECT entry.id, run.id, entry.at, topic, body
        FROM parkway_outbox AS entry JOIN parkway_run AS run ON run.key = entry.run ORDER BY entry.id LIMIT +$1";
    let query = sqlx::query_as(sql).bind(i64::from(limit));
    let rows: Vec<OutboxRow> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    let entry = |(id, run, at, topic, body): OutboxRow| {
        let run = run.parse().map_err(|_| corrupt("a run id", &run))?;
        let body = serde_json::from_str(&body)
            .map_err(|e| StoreError::Corrupt(format!("outbox entry {id} of run {run} cannot be read: {e}")))?;
        let id = OutboxId(number("the number of an outbox entry", id)?);
        Ok(Outgoing { id, run, at: Time::from_micros(at), entry: OutboxEntry::new(topic, body) })
    };
    rows.into_iter().map(entry).collect()
}

pub(super) async fn must_exist(pool: &SqlitePool, run: RunId) -> Result<(), StoreError> {
    let query = sqlx::query_scalar("SELECT 1 FROM parkway_run WHERE id = $1").bind(run.to_string());
    let found: Option<i64> = query.fetch_optional(pool).await.map_err(|e| from_sqlx(&e))?;
    if found.is_some() { Ok(()) } else { Err(StoreError::NoRun(run)) }
}

pub(super) fn number(what: &str, stored: i64) -> Result<u64, StoreError> {
    u64::try_from(stored).map_err(|_| corrupt(what, stored))
}

/// For comparing: no stored number is above the largest that SQLite has.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
