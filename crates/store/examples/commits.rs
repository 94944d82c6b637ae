//! How many durable commits a second the store makes, beside what the disk takes for one wait in the same minute.
//!
//! `cargo run --release -p parkway-store --example commits [FOLDER] [SECONDS]`; the folder decides which disk is measured,
//! and is the current one unless told. A commit holds one event and one payload of 100 bytes.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::id::{CommitId, Fence, RunId, Seq, StepKey, WorkerId};
use parkway_core::label::Labels;
use parkway_core::log::{Actor, Event, EventKind, Payload, RunStatus};
use parkway_core::store::{Commit, Lease, Log, NewRun, Write};
use parkway_store::SqliteStore;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let folder = tempfile::tempdir_in(args.next().unwrap_or_else(|| ".".into()))?;
    let seconds = args.next().map_or(Ok(3), |text| text.parse())?;
    println!("runs  commits/s  events/s  commits  transactions  commits/transaction  fdatasync p50   load");
    for runs in [1, 8, 64] {
        let sync = sync_cost(folder.path())?;
        let store = SqliteStore::open(folder.path().join(format!("{runs}.db")), Arc::new(SystemClock)).await?;
        let store = Arc::new(store);
        let start = Instant::now();
        let until = start + Duration::from_secs(seconds);
        let work: Vec<_> = (0..runs).map(|_| tokio::spawn(chain(store.clone(), until))).collect();
        for chain in work {
            chain.await??;
        }
        let took = start.elapsed().as_secs_f64();
        let stats = store.stats();
        store.close().await?;
        let (commits, transactions) = (stats.commits as f64, stats.transactions as f64);
        println!(
            "{runs:4}  {:9.0}  {:8.0}  {:7}  {:12}  {:19.1}  {:10.3} ms  {:5}",
            commits / took,
            stats.events as f64 / took,
            stats.commits,
            stats.transactions,
            commits / transactions,
            sync.as_secs_f64() * 1e3,
            load()
        );
    }
    Ok(())
}

/// One run after the other's heels: each commit waits for the one before it.
async fn chain(store: Arc<SqliteStore>, until: Instant) -> Outcome<()> {
    let clock = SystemClock;
    let (at, run) = (clock.now(), RunId::new(clock.now(), clock.random()));
    let lease = Lease { run, worker: WorkerId::new("benchmark"), fence: Fence(1) };
    let new = NewRun { run, tenant: "default".into(), workflow: "benchmark".into(), at, parent: None };
    let mut head = Seq(0);
    while Instant::now() < until {
        let mut commit = step(&lease, head)?;
        if head == Seq(0) {
            commit.writes.push(Write::Enqueue(new.clone()));
        }
        store.commit(commit).await?;
        head = head.next();
    }
    Ok(())
}

fn step(lease: &Lease, head: Seq) -> Outcome<Commit> {
    let clock = SystemClock;
    let payload = Payload::json(&"x".repeat(98), clock.random())?;
    let (key, output) = (StepKey::root("step"), Some(payload.commitment));
    let kind = EventKind::StepCompleted { key, attempt: 1, output, labels: Labels::default() };
    let by = Actor::Worker { id: lease.worker.clone() };
    Ok(Commit {
        id: CommitId::new(clock.random()),
        lease: lease.clone(),
        expect: head,
        events: vec![Event::new("default", lease.run, head.next(), clock.now(), lease.fence, by, kind)],
        payloads: vec![payload],
        writes: Vec::new(),
        status: RunStatus::Running,
        wake: None,
    })
}

/// What the disk takes to keep 4 KiB at the end of a file: the median of 200.
fn sync_cost(folder: &Path) -> Outcome<Duration> {
    let mut file = File::create(folder.join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[7; 4096])?;
        let start = Instant::now();
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[100])
}

/// The load average of the last minute, where the system tells it.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("-").to_owned()
}
