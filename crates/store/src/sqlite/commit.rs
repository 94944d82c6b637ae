//! A group of commits in one transaction: everything that decides is read in one query, decided here, and written in a few
//! statements of many rows. A commit that is refused leaves nothing, and takes no other with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parkway_core::id::{Fence, RunId, Seq, Time, WorkerId};
use parkway_core::log::{Event, Payload, RunStatus};
use parkway_core::store::{Commit, FIRST_LEASE, Lease, MessageId, NewRun, StoreError, Write};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::error::{corrupt, from_sqlx};
use super::writer::Tx;

/// A commit that is well formed, with its events as the bytes that are kept.
pub(super) struct Prepared {
    id: String,
    lease: Lease,
    expect: Seq,
    head: Seq,
    bodies: Vec<Arc<[u8]>>,
    updated: Option<Time>,
    payloads: Vec<(Payload, Arc<[u8]>)>,
    own: Option<NewRun>,
    others: Vec<NewRun>,
    consumes: Vec<MessageId>,
    status: RunStatus,
    wake: Option<Time>,
}

impl Prepared {
    pub(super) fn new(commit: Commit) -> Result<Self, StoreError> {
        commit.check()?;
        let bodies: Vec<Arc<[u8]>> =
            commit.events.iter().map(|event| event.to_bytes().map(Arc::from)).collect::<Result<_, _>>()?;
        let take = |mut payload: Payload| {
            let bytes = std::mem::take(&mut payload.bytes);
            (payload, Arc::from(bytes))
        };
        let (mut own, mut others, mut consumes) = (None, Vec::new(), Vec::new());
        for write in commit.writes {
            match write {
                Write::Enqueue(new) if new.run == commit.lease.run => own = Some(new),
                Write::Enqueue(new) => others.push(new),
                Write::Consume(message) => consumes.push(message),
                other => return Err(StoreError::Malformed(format!("this store cannot do {other:?}"))),
            }
        }
        Ok(Prepared {
            id: commit.id.to_string(),
            expect: commit.expect,
            head: Seq(commit.expect.0 + bodies.len() as u64),
            updated: commit.events.last().map(|event: &Event| event.at),
            payloads: commit.payloads.into_iter().map(take).collect(),
            status: commit.status,
            wake: commit.wake,
            lease: commit.lease,
            bodies,
            own,
            others,
            consumes,
        })
    }

    /// The worker that owns the run which the commit creates.
    pub(super) fn creator(&self) -> Option<&WorkerId> {
        self.own.as_ref().map(|_| &self.lease.worker)
    }

    pub(super) fn bytes(&self) -> usize {
        let texts: usize = self.payloads.iter().map(|(_, bytes)| bytes.len()).sum();
        texts + self.bodies.iter().map(|body| body.len()).sum::<usize>()
    }
}

/// What the accepted commits of a transaction have added.
#[derive(Default)]
pub(super) struct Written {
    pub(super) commits: u64,
    pub(super) events: u64,
}

/// A run as the commits so far leave it.
struct Run {
    /// `None` until it is inserted.
    key: Option<i64>,
    new: Option<NewRun>,
    status: RunStatus,
    updated: Time,
    head: Seq,
    owner: Option<String>,
    fence: Fence,
    until: Time,
    wake: Option<Time>,
    last: Option<String>,
    changed: bool,
}

impl Run {
    fn pending(new: &NewRun) -> Self {
        Run {
            key: None,
            new: Some(new.clone()),
            status: RunStatus::Pending,
            updated: new.at,
            head: Seq(0),
            owner: None,
            fence: Fence(0),
            until: Time::default(),
            wake: Some(new.at),
            last: None,
            changed: false,
        }
    }
}

/// Applies the commits in order. The outer error fails the transaction; the inner ones are the commits' own.
pub(super) async fn apply(
    tx: &mut Tx,
    commits: &[&Prepared],
    now: Time,
    written: &mut Written,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let mut runs = load_runs(tx, commits).await?;
    let mut messages = load_messages(tx, commits).await?;
    let (mut outcomes, mut accepted) = (Vec::with_capacity(commits.len()), Vec::new());
    for commit in commits {
        let verdict = accepts(commit, &runs, &messages);
        if let Ok(true) = verdict {
            take(commit, &mut runs, now);
            messages.retain(|message, _| !commit.consumes.contains(message));
            accepted.push(*commit);
            written.commits += 1;
            written.events += commit.bodies.len() as u64;
        }
        outcomes.push(verdict.map(|_| ()));
    }
    insert_runs(tx, &mut runs).await?;
    insert_events(tx, &accepted, &runs).await?;
    insert_payloads(tx, &accepted, &runs).await?;
    delete_messages(tx, &accepted).await?;
    update_runs(tx, &runs).await?;
    Ok(outcomes)
}

/// Whether the commit may become true; `false` if it already has.
fn accepts(
    commit: &Prepared,
    runs: &HashMap<RunId, Run>,
    messages: &HashMap<MessageId, RunId>,
) -> Result<bool, StoreError> {
    let id = commit.lease.run;
    match runs.get(&id) {
        Some(run) => {
            if run.last.as_ref() == Some(&commit.id) {
                return Ok(false);
            }
            let holds = run.owner.as_deref() == Some(commit.lease.worker.as_str()) && run.fence == commit.lease.fence;
            if commit.own.is_none() && !holds {
                return Err(StoreError::Fenced { run: id });
            }
            if commit.own.is_some() || run.head != commit.expect {
                return Err(StoreError::Conflict { run: id, expected: commit.expect, found: run.head });
            }
        }
        None if commit.expect > Seq(0) => return Err(StoreError::NoRun(id)),
        None if commit.own.is_none() => {
            return Err(StoreError::Malformed(format!("run {id} begins without being enqueued")));
        }
        None => {}
    }
    if let Some(new) = commit.others.iter().find(|new| runs.contains_key(&new.run)) {
        return Err(StoreError::Malformed(format!("run {} exists already", new.run)));
    }
    if let Some(message) = commit.consumes.iter().find(|message| messages.get(message) != Some(&id)) {
        return Err(StoreError::Malformed(format!("message {} is not in the inbox of {id}", message.0)));
    }
    Ok(true)
}

fn take(commit: &Prepared, runs: &mut HashMap<RunId, Run>, now: Time) {
    for new in &commit.others {
        runs.insert(new.run, Run::pending(new));
    }
    if let Some(new) = &commit.own {
        let mut run = Run::pending(new);
        run.owner = Some(commit.lease.worker.as_str().to_owned());
        run.fence = commit.lease.fence;
        run.until = now.after(FIRST_LEASE);
        runs.insert(new.run, run);
    }
    if let Some(run) = runs.get_mut(&commit.lease.run) {
        run.status = commit.status;
        run.updated = commit.updated.unwrap_or(run.updated);
        run.head = commit.head;
        run.wake = commit.wake;
        run.last = Some(commit.id.clone());
        run.changed = true;
    }
}

type Row = (i64, String, String, i64, i64, Option<String>, i64, Option<String>);

async fn load_runs(tx: &mut Tx, commits: &[&Prepared]) -> Result<HashMap<RunId, Run>, StoreError> {
    let own = commits.iter().map(|commit| commit.lease.run);
    let others = commits.iter().flat_map(|commit| commit.others.iter().map(|new| new.run));
    let ids: HashSet<RunId> = own.chain(others).collect();
    let ids: Vec<String> = ids.iter().map(RunId::to_string).collect();
    let sql = "SELECT key, id, status, updated, head, owner, fence, last_commit FROM parkway_run
        WHERE id IN (SELECT value FROM json_each($1))";
    let query = sqlx::query_as(sql).bind(json!(ids).to_string());
    let rows: Vec<Row> = query.fetch_all(&mut **tx).await.map_err(|e| from_sqlx(&e))?;
    let mut runs = HashMap::new();
    for (key, id, status, updated, head, owner, fence, last) in rows {
        let run = Run {
            key: Some(key),
            new: None,
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
        runs.insert(id.parse().map_err(|_| corrupt("a run id", &id))?, run);
    }
    Ok(runs)
}

/// The messages that the commits consume, with the runs that they were sent to.
async fn load_messages(tx: &mut Tx, commits: &[&Prepared]) -> Result<HashMap<MessageId, RunId>, StoreError> {
    let wanted: Vec<u64> = commits.iter().flat_map(|commit| commit.consumes.iter().map(|message| message.0)).collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let sql =
        "SELECT message.id, run.id FROM parkway_message AS message JOIN parkway_run AS run ON run.key = message.run
        WHERE message.id IN (SELECT value FROM json_each($1))";
    let query = sqlx::query_as(sql).bind(json!(wanted).to_string());
    let rows: Vec<(i64, String)> = query.fetch_all(&mut **tx).await.map_err(|e| from_sqlx(&e))?;
    let message = |(id, run): (i64, String)| {
        let id = MessageId(u64::try_from(id).map_err(|_| corrupt("a message number", id))?);
        Ok((id, run.parse().map_err(|_| corrupt("a run id", &run))?))
    };
    rows.into_iter().map(message).collect()
}

async fn insert_runs(tx: &mut Tx, runs: &mut HashMap<RunId, Run>) -> Result<(), StoreError> {
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
        ]))
    };
    let rows: Vec<Value> = runs.values().filter_map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO parkway_run
        (id, tenant, workflow, status, created, updated, head, owner, fence, lease_until, wake, last_commit)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
            value ->> 8, value ->> 9, value ->> 10, value ->> 11
        FROM json_each($1) RETURNING key, id";
    let query = sqlx::query_as(sql).bind(Value::from(rows).to_string());
    let keys: Vec<(i64, String)> = query.fetch_all(&mut **tx).await.map_err(|e| from_sqlx(&e))?;
    for (key, id) in keys {
        let id = id.parse().map_err(|_| corrupt("a run id", &id))?;
        if let Some(run) = runs.get_mut(&id) {
            run.key = Some(key);
        }
    }
    Ok(())
}

async fn update_runs(tx: &mut Tx, runs: &HashMap<RunId, Run>) -> Result<(), StoreError> {
    let row = |run: &Run| {
        let (key, status, wake) = (run.key, run.status.as_str(), run.wake.map(Time::micros));
        json!([key, status, run.updated.micros(), run.head.0, wake, run.last])
    };
    let rows: Vec<Value> = runs.values().filter(|run| run.new.is_none() && run.changed).map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE parkway_run SET status = new.value ->> 1, updated = new.value ->> 2, head = new.value ->> 3,
            wake = new.value ->> 4, last_commit = new.value ->> 5
        FROM json_each($1) AS new WHERE parkway_run.key = new.value ->> 0";
    let query = sqlx::query(sql).bind(Value::from(rows).to_string());
    query.execute(&mut **tx).await.map_err(|e| from_sqlx(&e))?;
    Ok(())
}

async fn insert_events(tx: &mut Tx, commits: &[&Prepared], runs: &HashMap<RunId, Run>) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for commit in commits {
        let key = key_of(runs, commit.lease.run)?;
        rows.extend((commit.expect.0 + 1..).zip(&commit.bodies).map(|(seq, body)| (key, seq, body)));
    }
    for rows in rows.chunks(ROWS) {
        let sql = insert("parkway_event (run, seq, body)", 3, rows.len(), "");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (key, seq, body) in rows {
            let seq = i64::try_from(*seq).map_err(|_| corrupt("an event number", seq))?;
            query = query.bind(*key).bind(seq).bind((*body).clone());
        }
        query.execute(&mut **tx).await.map_err(|e| from_sqlx(&e))?;
    }
    Ok(())
}

async fn insert_payloads(tx: &mut Tx, commits: &[&Prepared], runs: &HashMap<RunId, Run>) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for commit in commits {
        let key = key_of(runs, commit.lease.run)?;
        rows.extend(commit.payloads.iter().map(|(payload, bytes)| (key, payload, bytes)));
    }
    for rows in rows.chunks(ROWS) {
        // The same commitment is the same salt and text: there is nothing to change.
        let then = "ON CONFLICT (commitment) DO NOTHING";
        let sql = insert("parkway_payload (run, commitment, salt, codec, bytes)", 5, rows.len(), then);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (key, payload, bytes) in rows {
            query = query.bind(*key).bind(payload.commitment.as_bytes().to_vec()).bind(payload.salt.to_vec());
            query = query.bind(payload.codec.as_str()).bind((*bytes).clone());
        }
        query.execute(&mut **tx).await.map_err(|e| from_sqlx(&e))?;
    }
    Ok(())
}

async fn delete_messages(tx: &mut Tx, commits: &[&Prepared]) -> Result<(), StoreError> {
    let read: Vec<u64> = commits.iter().flat_map(|commit| commit.consumes.iter().map(|message| message.0)).collect();
    if read.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM parkway_message WHERE id IN (SELECT value FROM json_each($1))";
    let query = sqlx::query(sql).bind(json!(read).to_string());
    query.execute(&mut **tx).await.map_err(|e| from_sqlx(&e))?;
    Ok(())
}

fn key_of(runs: &HashMap<RunId, Run>, run: RunId) -> Result<i64, StoreError> {
    runs.get(&run).and_then(|run| run.key).ok_or(StoreError::NoRun(run))
}

/// Rows of one INSERT; far below SQLite's limit of 32,766 variables.
const ROWS: usize = 128;

/// The text of an INSERT of `rows` rows. There are as many texts as numbers of rows, and the connection keeps them prepared.
fn insert(into: &str, columns: usize, rows: usize, then: &str) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (row * columns + 1..=(row + 1) * columns).map(|place| format!("${place}")).collect();
        format!("({})", places.join(", "))
    };
    let values: Vec<String> = (0..rows).map(row).collect();
    format!("INSERT INTO {into} VALUES {} {then}", values.join(", "))
}
