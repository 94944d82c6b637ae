//! Steps that do nothing and return 100 bytes, on duroxide with its SQLite provider.
//!
//! `rivals-duroxide RUNS STEPS DATABASE [--tuned]`. Without `--tuned` everything is as it is shipped: its provider asks for
//! `PRAGMA synchronous = WAL`, which is no value of that setting and which SQLite takes for NORMAL, so that a commit does not
//! wait for the disk; an idle dispatcher looks for work ten times a second. With `--tuned` each connection has FULL, looks
//! are a millisecond apart, and eight workers take turns and activities.

use std::error::Error;
use std::fs::{File, read_to_string};
use std::sync::Arc;
use std::time::{Duration, Instant};

use duroxide::providers::sqlite::SqliteProvider;
use duroxide::runtime::registry::ActivityRegistry;
use duroxide::runtime::{Runtime, RuntimeOptions};
use duroxide::{ActivityContext, Client, OrchestrationContext, OrchestrationRegistry, OrchestrationStatus};

/// As many as its pool has.
const CONNECTIONS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [runs, steps, path, more @ ..] = args.as_slice() else {
        return Err("usage: rivals-duroxide RUNS STEPS DATABASE [--tuned]".into());
    };
    let (runs, steps): (usize, usize) = (runs.parse()?, steps.parse()?);
    let tuned = more.iter().any(|arg| arg == "--tuned");
    File::create(path)?;
    let store = Arc::new(SqliteProvider::new(&format!("sqlite:{path}"), None).await?);
    let durability = durability(&store, tuned).await?;

    let activities = ActivityRegistry::builder()
        .register("noop", |_: ActivityContext, _: String| async move { Ok("x".repeat(98)) })
        .build();
    let chain = |context: OrchestrationContext, steps: String| async move {
        let steps: usize = steps.parse().map_err(|_| "no number".to_string())?;
        for _ in 0..steps {
            context.schedule_activity("noop", "").await?;
        }
        Ok("done".to_string())
    };
    let orchestrations = OrchestrationRegistry::builder().register("chain", chain).build();
    let mut options = RuntimeOptions::default();
    if tuned {
        options.dispatcher_min_poll_interval = Duration::from_millis(1);
        options.orchestration_concurrency = 8;
        options.worker_concurrency = 8;
    }
    let runtime = Runtime::start_with_options(store.clone(), activities, orchestrations, options).await;
    let client = Client::new(store.clone());

    let started = Instant::now();
    for run in 0..runs {
        client.start_orchestration(&format!("run-{run}"), "chain", steps.to_string()).await?;
    }
    for run in 0..runs {
        let id = format!("run-{run}");
        match client.wait_for_orchestration(&id, Duration::from_secs(300)).await {
            Ok(OrchestrationStatus::Completed { .. }) => {}
            Ok(other) => return Err(format!("{id} has not completed: {other:?}").into()),
            Err(error) => return Err(format!("{id}: {error:?}").into()),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    runtime.shutdown(Some(1_000)).await;
    store.get_pool().close().await;
    let steps = runs * steps;
    let peak = peak_kib().unwrap_or(0);
    println!(r#"{{"steps":{steps},"seconds":{seconds},"peak_kib":{peak},"durability":"{durability}"}}"#);
    Ok(())
}

/// Sets FULL on all connections of the pool if asked to, and reads back what holds.
async fn durability(store: &SqliteProvider, full: bool) -> Result<String, Box<dyn Error>> {
    let mut all = Vec::new();
    for _ in 0..CONNECTIONS {
        all.push(store.get_pool().acquire().await?);
    }
    let mut found = String::new();
    for connection in &mut all {
        if full {
            sqlx::query("PRAGMA synchronous = FULL").execute(&mut **connection).await?;
        }
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut **connection).await?;
        let level: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut **connection).await?;
        let level = ["OFF", "NORMAL", "FULL", "EXTRA"].get(level as usize).unwrap_or(&"unknown");
        found = format!("{}, {level}", journal.to_uppercase());
    }
    Ok(found)
}

/// The most memory that this process has had.
fn peak_kib() -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
