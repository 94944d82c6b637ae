//! What a group of commits reads and writes: one query for all that decides, and statements of many rows.

use std::collections::{HashMap, HashSet};

use parkway_core::clock::Clock;
use parkway_core::id::{Fence, RunId, Seq, Time};
use parkway_core::log::RunStatus;
use parkway_core::log::tree::Frontier;
use parkway_core::store::{MessageId, StoreError};
use parkway_core::write::OutboxEntry;
use serde_json::{Value, json};

use super::commit::{Prepared, Run, Send};
use super::error::corrupt;
use super::leaves;
use super::payload::{self, Tenants};
use super::tx::Tx;

/// A run, a message that is to be consumed with its run, or how many events there are: what a batch is decided on comes with
/// one query.
type Row = (String, i64, String, Option<String>, Option<String>, i64, i64, Option<String>, i64, Option<String>);

const DECIDING: &str =
    "SELECT 'run', key, id, tenant, status, updated, head, owner, fence, last_commit FROM parkway_run
        WHERE id IN (SELECT value FROM json_each(?))
    UNION ALL SELECT 'message', message.id, run.id, NULL, NULL, 0, 0, NULL, 0, NULL
        FROM parkway_message AS message JOIN parkway_run AS run ON run.key = message.run
        WHERE message.id IN (SELECT value FROM json_each(?))
    UNION ALL SELECT 'leaves', coalesce(max(leaf), 0), '', NULL, NULL, 0, 0, NULL, 0, NULL FROM parkway_event";

/// What is in the database of what the commits need.
pub(super) struct Found {
    pub(super) runs: HashMap<RunId, Run>,
    pub(super) messages: HashMap<MessageId, RunId>,
    pub(super) leaves: u64,
}

pub(super) async fn load(tx: &mut Tx, commits: &[&Prepared]) -> Result<Found, StoreError> {
    let own = commits.iter().map(|commit| commit.lease.run);
    let others = commits.iter().flat_map(|commit| commit.others.iter().map(|new| new.run));
    let receivers = commits.iter().flat_map(|commit| commit.sends.iter().map(|send| send.to));
    let ids: HashSet<RunId> = own.chain(others).chain(receivers).collect();
    let ids: Vec<String> = ids.iter().map(RunId::to_string).collect();
    let messages: Vec<u64> =
        commits.iter().flat_map(|commit| commit.consumes.iter().map(|message| message.0)).collect();
    tx.gather(DECIDING).bind(json!(ids).to_string()).bind(json!(messages).to_string());
    let rows: Vec<Row> = tx.fetch().await?;
    let mut found = Found { runs: HashMap::new(), messages: HashMap::new(), leaves: 0 };
    for (what, key, id, tenant, status, updated, head, owner, fence, last) in rows {
        if what == "leaves" {
            found.leaves = u64::try_from(key).map_err(|_| corrupt("a leaf number", key))?;
            continue;
        }
        let run = id.parse().map_err(|_| corrupt("a run id", &id))?;
        if what == "message" {
            let message = u64::try_from(key).map_err(|_| corrupt("a message number", key))?;
            found.messages.insert(MessageId(message), run);
            continue;
        }
        let status = status.unwrap_or_default();
        let loaded = Run {
            key: Some(key),
            new: None,
            tenant: tenant.unwrap_or_default(),
            status: RunStatus::from_name(&status).ok_or_else(|| corrupt("a status", &status))?,
            updated: Time::from_micros(updated),
            head: Seq(u64::try_from(head).map_err(|_| corrupt("an event number", head))?),
            owner,
            fence: Fence(u64::try_from(fence).map_err(|_| corrupt("a fence", fence))?),
            until: Time::default(),
            wake: None,
            last,
            changed: false,
        };
        found.runs.insert(run, loaded);
    }
    Ok(found)
}

pub(super) async fn insert_runs(tx: &mut Tx, runs: &mut HashMap<RunId, Run>) -> Result<(), StoreError> {
    let row = |run: &Run| {
        let new = run.new.as_ref()?;
        Some(json!([
            new.run.to_string(),
            new.tenant,
            new.workflow,
            run.status.as_str(),
            new.at.micros(),
            run.updated.micros(),
            run.head.0,
            run.owner,
            run.fence.0,
            run.until.micros(),
            run.wake.map(Time::micros),
            run.last,
            new.parent.map(|parent| parent.to_string()),
        ]))
    };
    let rows: Vec<Value> = runs.values().filter_map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO parkway_run
        (id, tenant, workflow, status, created, updated, head, owner, fence, lease_until, wake, last_commit, parent)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
            value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12
        FROM json_each(?) RETURNING key, id";
    tx.gather(sql).bind(Value::from(rows).to_string());
    let keys: Vec<(i64, String)> = tx.fetch().await?;
    for (key, id) in keys {
        let id = id.parse().map_err(|_| corrupt("a run id", &id))?;
        if let Some(run) = runs.get_mut(&id) {
            run.key = Some(key);
        }
    }
    Ok(())
}

pub(super) fn update_runs(tx: &mut Tx, runs: &HashMap<RunId, Run>) {
    let row = |run: &Run| {
        let (key, status, wake) = (run.key, run.status.as_str(), run.wake.map(Time::micros));
        json!([key, status, run.updated.micros(), run.head.0, wake, run.last])
    };
    let changed: Vec<Value> = runs.values().filter(|run| run.new.is_none() && run.changed).map(row).collect();
    if !changed.is_empty() {
        let sql = "UPDATE parkway_run SET status = new.value ->> 1, updated = new.value ->> 2, head = new.value ->> 3,
                wake = new.value ->> 4, last_commit = new.value ->> 5
            FROM json_each(?) AS new WHERE parkway_run.key = new.value ->> 0";
        tx.gather(sql).bind(Value::from(changed).to_string());
    }
}

pub(super) async fn insert_events(
    tx: &mut Tx,
    commits: &[&Prepared],
    runs: &HashMap<RunId, Run>,
    leaves: u64,
    frontier: &mut Frontier,
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for commit in commits {
        let (id, key) = (commit.lease.run, key_of(runs, commit.lease.run)?);
        let tenant = runs.get(&id).map_or("", |run| &run.tenant);
        for (seq, leaf) in (commit.expect.0 + 1..).zip(&commit.leaves) {
            let seq = i64::try_from(seq).map_err(|_| corrupt("an event number", seq))?;
            rows.push(leaves::Row { key, run: id, tenant, seq, leaf });
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    // Another process may have written since.
    if frontier.size() != leaves {
        *frontier = leaves::frontier(tx.statement().await?, leaves).await?;
    }
    leaves::append(tx, frontier, &rows).await
}

pub(super) async fn insert_payloads(
    tx: &mut Tx,
    commits: &[&Prepared],
    runs: &HashMap<RunId, Run>,
    tenants: &mut Tenants,
    clock: &dyn Clock,
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for commit in commits {
        let run = runs.get(&commit.lease.run).ok_or(StoreError::NoRun(commit.lease.run))?;
        let (key, tenant) = (key_of(runs, commit.lease.run)?, run.tenant.as_str());
        rows.extend(commit.texts.iter().map(|text| payload::Row { run: key, tenant, text }));
    }
    payload::write(tx, rows, tenants, clock).await
}

/// Messages to runs, numbered in the order of their commits.
pub(super) fn insert_messages(
    tx: &mut Tx,
    commits: &[&Prepared],
    runs: &HashMap<RunId, Run>,
    now: Time,
) -> Result<(), StoreError> {
    let sends = commits.iter().flat_map(|commit| &commit.sends);
    let row = |send: &Send| Ok(json!([key_of(runs, send.to)?, now.micros(), send.body]));
    let rows: Vec<Value> = sends.map(row).collect::<Result<_, StoreError>>()?;
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO parkway_message (run, at, body)
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)";
    tx.gather(sql).bind(Value::from(rows).to_string());
    Ok(())
}

pub(super) fn insert_outbox(
    tx: &mut Tx,
    commits: &[&Prepared],
    runs: &HashMap<RunId, Run>,
    now: Time,
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for commit in commits {
        let run = key_of(runs, commit.lease.run)?;
        let row = |entry: &OutboxEntry| json!([run, now.micros(), entry.topic, entry.body.to_string()]);
        rows.extend(commit.outbox.iter().map(row));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO parkway_outbox (run, at, topic, body)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)";
    tx.gather(sql).bind(Value::from(rows).to_string());
    Ok(())
}

pub(super) fn delete_messages(tx: &mut Tx, commits: &[&Prepared]) {
    let read: Vec<u64> = commits.iter().flat_map(|commit| commit.consumes.iter().map(|message| message.0)).collect();
    if !read.is_empty() {
        let sql = "DELETE FROM parkway_message WHERE id IN (SELECT value FROM json_each(?))";
        tx.gather(sql).bind(json!(read).to_string());
    }
}

pub(super) fn key_of(runs: &HashMap<RunId, Run>, run: RunId) -> Result<i64, StoreError> {
    runs.get(&run).and_then(|run| run.key).ok_or(StoreError::NoRun(run))
}
