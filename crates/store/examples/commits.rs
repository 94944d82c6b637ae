//! How many durable steps a second the store takes, beside what the disk takes for one wait in the same minute; and how many
//! bytes a step has on disk, and where they go.
//!
//! `cargo run --release -p parkway-store --example commits [FOLDER] [SECONDS] [RUNS…]`; the folder decides which disk is measured,
//! and is the current one unless told. A step is one commit, as an executor makes it in a chain of idempotent calls: the end of
//! a call with an output of 100 bytes, and the beginning of the next one with arguments of 50 bytes.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

mod machine;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::id::{CommitId, Fence, RunId, Seq, StepKey, WorkerId};
use parkway_core::label::Labels;
use parkway_core::log::{Actor, Event, EventKind, Payload, RunStatus};
use parkway_core::store::{Commit, Lease, Log, NewRun, Write};
use parkway_core::tool::Effect;
use parkway_store::SqliteStore;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use machine::{load, sync_cost};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let folder = tempfile::tempdir_in(args.next().unwrap_or_else(|| ".".into()))?;
    let seconds = args.next().map_or(Ok(3), |text| text.parse())?;
    println!("runs   steps/s  steps/transaction  statements/step  bytes/step  fdatasync p50   load");
    let asked: Vec<usize> = args.map(|text| text.parse()).collect::<Result<_, _>>()?;
    let at_once = if asked.is_empty() { vec![1, 8, 64, 256] } else { asked };
    for runs in at_once {
        let sync = sync_cost(folder.path())?;
        let path = folder.path().join(format!("{runs}.db"));
        let store = Arc::new(SqliteStore::open(&path, Arc::new(SystemClock)).await?);
        let start = Instant::now();
        let until = start + Duration::from_secs(seconds);
        let work: Vec<_> = (0..runs).map(|_| tokio::spawn(chain(store.clone(), until))).collect();
        for chain in work {
            chain.await??;
        }
        let took = start.elapsed().as_secs_f64();
        let stats = store.stats();
        // Closing is a checkpoint.
        store.close().await?;
        let (steps, transactions) = (stats.commits as f64, stats.transactions as f64);
        println!(
            "{runs:4}  {:8.0}  {:17.1}  {:15.2}  {:10.0}  {:10.3} ms  {:5}",
            steps / took,
            steps / transactions,
            stats.statements as f64 / steps,
            fs::metadata(&path)?.len() as f64 / steps,
            sync.as_secs_f64() * 1e3,
            load()
        );
        if runs == 64 {
            where_they_go(&path, steps).await?;
        }
    }
    Ok(())
}

/// Prints what each table and index has of a step's bytes.
async fn where_they_go(path: &Path, steps: f64) -> Outcome<()> {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await?;
    let sql =
        "SELECT name, sum(pgsize), sum(unused) FROM dbstat GROUP BY name HAVING sum(pgsize) > 100000 ORDER BY 2 DESC";
    let parts: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(&mut connection).await?;
    for (name, bytes, unused) in parts {
        println!("      {:6.0} bytes/step, {:3.0} of them unused: {name}", bytes as f64 / steps, unused as f64 / steps);
    }
    let sql = "SELECT sum(length(body)), sum(length(hash)) FROM parkway_event";
    let (bodies, hashes): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await?;
    println!("      {:6.0} bytes/step are events, {:3.0} their hashes", bodies as f64 / steps, hashes as f64 / steps);
    Ok(())
}

/// One run after the other's heels: each commit waits for the one before it.
async fn chain(store: Arc<SqliteStore>, until: Instant) -> Outcome<()> {
    let clock = SystemClock;
    let (at, run) = (clock.now(), RunId::new(clock.now(), clock.random()));
    let lease = Lease { run, worker: WorkerId::new("w16752-cee5fb0bab24"), fence: Fence(1) };
    let new = NewRun { run, tenant: "default".into(), workflow: "benchmark".into(), at, parent: None };
    let mut head = Seq(0);
    while Instant::now() < until {
        let mut commit = step(&lease, head)?;
        if head == Seq(0) {
            commit.writes.push(Write::Enqueue(new.clone()));
        }
        store.commit(commit).await?;
        head = Seq(head.0 + 2);
    }
    Ok(())
}

fn step(lease: &Lease, expect: Seq) -> Outcome<Commit> {
    let clock = SystemClock;
    let output = Payload::json(&"x".repeat(98), clock.random())?;
    let args = Payload::json(&"x".repeat(48), clock.random())?;
    let (key, next) = (StepKey::root("write1"), StepKey::root("write2"));
    let kinds = [
        EventKind::StepCompleted { key, attempt: 1, output: Some(output.commitment), labels: Labels::default() },
        EventKind::StepStarted {
            key: next,
            attempt: 1,
            args: Some(args.commitment),
            labels: BTreeMap::new(),
            effect: Some(Effect::Idempotent),
            rule: Some("default.idempotent".into()),
            secrets: None,
        },
    ];
    let event = |(n, kind)| Event::new("default", lease.run, Seq(n), clock.now(), lease.fence, Actor::Engine, kind);
    Ok(Commit {
        id: CommitId::new(clock.random()),
        lease: lease.clone(),
        expect,
        events: (expect.0 + 1..).zip(kinds).map(event).collect(),
        payloads: vec![output, args],
        writes: Vec::new(),
        status: RunStatus::Running,
        wake: None,
    })
}
