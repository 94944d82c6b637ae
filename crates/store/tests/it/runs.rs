//! Short ways to runs and commits.

use std::sync::Arc;
use std::time::Duration;

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::id::{CommitId, Fence, RunId, Seq, WorkerId};
use parkway_core::log::{Actor, Channel, Event, EventKind, Payload, RunStatus};
use parkway_core::store::{Claim, Commit, Lease, Message, NewRun, Write};
use parkway_store::{SqliteConfig, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

pub(crate) const LEASE: Duration = Duration::from_secs(600);

pub(crate) async fn open(config: impl Into<SqliteConfig>) -> SqliteStore {
    SqliteStore::open(config, Arc::new(SystemClock)).await.unwrap()
}

/// The commit that creates a run of one event, and what it needs to go on.
pub(crate) fn creation(worker: &str) -> (Lease, Commit) {
    let clock = SystemClock;
    let (at, run) = (clock.now(), RunId::new(clock.now(), clock.random()));
    let lease = Lease { run, worker: WorkerId::new(worker), fence: Fence(1) };
    let mut commit = extension(&lease, Seq(0));
    commit.writes.push(Write::Enqueue(NewRun {
        run,
        tenant: "default".into(),
        workflow: "flow".into(),
        at,
        parent: None,
    }));
    (lease, commit)
}

/// The commit of the event after `head`, with a payload.
pub(crate) fn extension(lease: &Lease, head: Seq) -> Commit {
    let clock = SystemClock;
    let payload = Payload::json(&format!("output of {}", head.next()), clock.random()).unwrap();
    let kind = EventKind::CancelRequested { note: Some(payload.commitment) };
    let by = Actor::Engine;
    let event = Event::new("default", lease.run, head.next(), clock.now(), lease.fence, by, kind);
    Commit {
        id: CommitId::new(clock.random()),
        lease: lease.clone(),
        expect: head,
        events: vec![event],
        payloads: vec![payload],
        writes: vec![],
        status: RunStatus::Running,
        wake: None,
    }
}

pub(crate) fn claim(worker: &str, run: Option<RunId>) -> Claim {
    Claim::new(WorkerId::new(worker), run, LEASE)
}

pub(crate) fn cancel() -> Message {
    Message::Cancel { note: None, by: "ada".into(), via: Channel::Command }
}

/// A connection of the program that shares the file.
pub(crate) async fn raw(path: &std::path::Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

/// What a statement of that program does.
pub(crate) async fn execute(path: &std::path::Path, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut raw(path).await).await.unwrap();
}

/// The one number that a query gives.
pub(crate) async fn number(path: &std::path::Path, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut raw(path).await).await.unwrap()
}
