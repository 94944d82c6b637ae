//! A group of commits in one transaction: everything that decides is read in one query, decided here, and written in a few
//! statements of many rows. A commit that is refused leaves nothing, and takes no other with it.

use std::collections::{HashMap, HashSet};

use parkway_core::clock::Clock;
use parkway_core::id::{Fence, RunId, Seq, Time, WorkerId};
use parkway_core::log::tree::Frontier;
use parkway_core::log::{Event, Payload, RunStatus};
use parkway_core::store::{Commit, FIRST_LEASE, Lease, Message, MessageId, NewRun, StoreError, Write};
use parkway_core::write::OutboxEntry;
use serde_json::{Value, json};

use super::error::{corrupt, from_sqlx};
use super::leaves::{self, Leaf};
use super::payload::{self, Tenants, Text};
use super::reach::Reach;
use super::statement::Statement;
use super::tx::Tx;

/// A commit that is well formed, with its events as the bytes that are kept.
pub(super) struct Prepared {
    id: String,
    lease: Lease,
    expect: Seq,
    head: Seq,
    leaves: Vec<Leaf>,
    updated: Option<Time>,
    texts: Vec<Text>,
    own: Option<NewRun>,
    others: Vec<NewRun>,
    consumes: Vec<MessageId>,
    statements: Vec<Statement>,
    /// The first of the writes that is a statement which SQLite is not even shown, and why.
    flaw: Option<(usize, String)>,
    sends: Vec<Send>,
    outbox: Vec<OutboxEntry>,
    status: RunStatus,
    wake: Option<Time>,
}

impl Prepared {
    pub(super) fn new(commit: Commit) -> Result<Self, StoreError> {
        commit.check()?;
        let leaf = |event: &Event| Ok(Leaf::new(event.to_bytes()?));
        let leaves: Vec<Leaf> = commit.events.iter().map(leaf).collect::<Result<_, StoreError>>()?;
        let (mut own, mut others, mut consumes) = (None, Vec::new(), Vec::new());
        let (mut statements, mut sends, mut outbox) = (Vec::new(), Vec::new(), Vec::new());
        let mut flaw = None;
        for (write, what) in commit.writes.into_iter().enumerate() {
            match what {
                Write::Enqueue(new) if new.run == commit.lease.run => own = Some(new),
                Write::Enqueue(new) => others.push(new),
                Write::Consume(message) => consumes.push(message),
                Write::Sql(sql) => match Statement::new(write, sql) {
                    Ok(statement) => statements.push(statement),
                    Err(why) => flaw = flaw.or(Some((write, why))),
                },
                Write::Send(to, message) => sends.push(Send { write, to, body: body(&message)? }),
                Write::Outbox(entry) => outbox.push(entry),
                other => return Err(StoreError::Malformed(format!("this store cannot do {other:?}"))),
            }
        }
        let text = |payload: Payload| Text {
            commitment: payload.commitment,
            salt: payload.salt,
            codec: payload.codec.as_str(),
            bytes: payload.bytes.into(),
        };
        Ok(Prepared {
            id: commit.id.to_string(),
            expect: commit.expect,
            head: Seq(commit.expect.0 + leaves.len() as u64),
            updated: commit.events.last().map(|event| event.at),
            texts: commit.payloads.into_iter().map(text).collect(),
            status: commit.status,
            wake: commit.wake,
            lease: commit.lease,
            leaves,
            own,
            others,
            consumes,
            statements,
            flaw,
            sends,
            outbox,
        })
    }

    /// Whether it makes a run with this id.
    fn creates(&self, run: &RunId) -> bool {
        self.own.iter().chain(&self.others).any(|new| new.run == *run)
    }

    /// The first of its writes that is a statement.
    pub(super) fn statement(&self) -> Option<usize> {
        self.statements.first().map(|statement| statement.write)
    }

    /// The worker that owns the run which the commit creates.
    pub(super) fn creator(&self) -> Option<&WorkerId> {
        self.own.as_ref().map(|_| &self.lease.worker)
    }

    pub(super) fn bytes(&self) -> usize {
        let texts: usize = self.texts.iter().map(|text| text.bytes.len()).sum();
        texts + self.leaves.iter().map(|leaf| leaf.body.len()).sum::<usize>()
    }
}

/// A message that a commit sends.
struct Send {
    /// Which of the commit's writes it is.
    write: usize,
    to: RunId,
    body: String,
}

/// A message as it is kept.
pub(super) fn body(message: &Message) -> Result<String, StoreError> {
    serde_json::to_string(message).map_err(|e| StoreError::Malformed(format!("a message that cannot be written: {e}")))
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
    tenant: String,
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
            tenant: new.tenant.clone(),
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

/// What the writer knows of the database from one transaction to the next. After one that failed it knows nothing.
#[derive(Default)]
pub(super) struct Known {
    frontier: Frontier,
    tenants: Tenants,
    reach: Reach,
}

/// Applies the commits in order. The outer error fails the transaction; the inner ones are the commits' own.
pub(super) async fn apply(
    tx: &mut Tx,
    commits: &[&Prepared],
    now: Time,
    clock: &dyn Clock,
    known: &mut Known,
    written: &mut Written,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let Found { mut runs, mut messages, leaves } = load(tx, commits).await?;
    let (mut outcomes, mut accepted) = (Vec::with_capacity(commits.len()), Vec::new());
    for commit in commits {
        let mut verdict = accepts(commit, &runs, &messages);
        if verdict == Ok(true) && !commit.statements.is_empty() {
            verdict = known.reach.execute(tx, &commit.statements).await?.map(|()| true);
        }
        if verdict == Ok(true) {
            take(commit, &mut runs, now);
            messages.retain(|message, _| !commit.consumes.contains(message));
            accepted.push(*commit);
            written.commits += 1;
            written.events += commit.leaves.len() as u64;
        }
        outcomes.push(verdict.map(|_| ()));
    }
    insert_runs(tx, &mut runs).await?;
    insert_events(tx, &accepted, &runs, leaves, &mut known.frontier).await?;
    insert_payloads(tx, &accepted, &runs, &mut known.tenants, clock).await?;
    delete_messages(tx, &accepted).await?;
    insert_messages(tx, &accepted, &runs, now).await?;
    insert_outbox(tx, &accepted, &runs, now).await?;
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
    // A commit that is malformed is refused for that, whatever else would refuse it.
    let exists = |run: &RunId| runs.contains_key(run) || commit.creates(run);
    let lost = commit.sends.iter().find(|send| !exists(&send.to)).map(|send| {
        let message = format!("there is no run {} to send a message to; `parkway runs` lists them", send.to);
        (send.write, message)
    });
    match lost.into_iter().chain(commit.flaw.clone()).min() {
        Some((write, message)) => Err(StoreError::Refused { write, message }),
        None => Ok(true),
    }
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

/// A run, a message that is to be consumed with its run, or how many events there are: what a batch is decided on comes with
/// one query.
type Row = (String, i64, String, Option<String>, Option<String>, i64, i64, Option<String>, i64, Option<String>);

/// What is in the database of what the commits need.
struct Found {
    runs: HashMap<RunId, Run>,
    messages: HashMap<MessageId, RunId>,
    leaves: u64,
}

async fn load(tx: &mut Tx, commits: &[&Prepared]) -> Result<Found, StoreError> {
    let own = commits.iter().map(|commit| commit.lease.run);
    let others = commits.iter().flat_map(|commit| commit.others.iter().map(|new| new.run));
    let receivers = commits.iter().flat_map(|commit| commit.sends.iter().map(|send| send.to));
    let ids: HashSet<RunId> = own.chain(others).chain(receivers).collect();
    let ids: Vec<String> = ids.iter().map(RunId::to_string).collect();
    let messages: Vec<u64> =
        commits.iter().flat_map(|commit| commit.consumes.iter().map(|message| message.0)).collect();
    let sql = "SELECT 'run', key, id, tenant, status, updated, head, owner, fence, last_commit FROM parkway_run
            WHERE id IN (SELECT value FROM json_each($1))
        UNION ALL SELECT 'message', message.id, run.id, NULL, NULL, 0, 0, NULL, 0, NULL
            FROM parkway_message AS message JOIN parkway_run AS run ON run.key = message.run
            WHERE message.id IN (SELECT value FROM json_each($2))
        UNION ALL SELECT 'leaves', coalesce(max(leaf), 0), '', NULL, NULL, 0, 0, NULL, 0, NULL FROM parkway_event";
    let query = sqlx::query_as(sql).bind(json!(ids).to_string()).bind(json!(messages).to_string());
    let rows: Vec<Row> = query.fetch_all(tx.statement()).await.map_err(|e| from_sqlx(&e))?;
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
        FROM json_each($1) RETURNING key, id";
    let query = sqlx::query_as(sql).bind(Value::from(rows).to_string());
    let keys: Vec<(i64, String)> = query.fetch_all(tx.statement()).await.map_err(|e| from_sqlx(&e))?;
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
    query.execute(tx.statement()).await.map_err(|e| from_sqlx(&e))?;
    Ok(())
}

async fn insert_events(
    tx: &mut Tx,
    commits: &[&Prepared],
    runs: &HashMap<RunId, Run>,
    leaves: u64,
    frontier: &mut Frontier,
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for commit in commits {
        let run = key_of(runs, commit.lease.run)?;
        for (seq, leaf) in (commit.expect.0 + 1..).zip(&commit.leaves) {
            let seq = i64::try_from(seq).map_err(|_| corrupt("an event number", seq))?;
            rows.push(leaves::Row { run, seq, leaf: leaf.clone() });
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    // Another process may have written since.
    if frontier.size() != leaves {
        *frontier = leaves::frontier(tx, leaves).await?;
    }
    leaves::append(tx, frontier, &rows).await
}

async fn insert_payloads(
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
async fn insert_messages(
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
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1)";
    let query = sqlx::query(sql).bind(Value::from(rows).to_string());
    query.execute(tx.statement()).await.map_err(|e| from_sqlx(&e))?;
    Ok(())
}

async fn insert_outbox(
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
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1)";
    let query = sqlx::query(sql).bind(Value::from(rows).to_string());
    query.execute(tx.statement()).await.map_err(|e| from_sqlx(&e))?;
    Ok(())
}

async fn delete_messages(tx: &mut Tx, commits: &[&Prepared]) -> Result<(), StoreError> {
    let read: Vec<u64> = commits.iter().flat_map(|commit| commit.consumes.iter().map(|message| message.0)).collect();
    if read.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM parkway_message WHERE id IN (SELECT value FROM json_each($1))";
    let query = sqlx::query(sql).bind(json!(read).to_string());
    query.execute(tx.statement()).await.map_err(|e| from_sqlx(&e))?;
    Ok(())
}

fn key_of(runs: &HashMap<RunId, Run>, run: RunId) -> Result<i64, StoreError> {
    runs.get(&run).and_then(|run| run.key).ok_or(StoreError::NoRun(run))
}
