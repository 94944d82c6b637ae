//! Steps that do nothing and return 100 bytes, on duroxide with its SQLite provider.
//!
//! `rivals-duroxide RUNS STEPS DATABASE [--tuned]`. Without `--tuned` everything is as it is shipped: its provider asks for
//! `PRAGMA synchronous = WAL`, which is no value of that setting and which SQLite takes for NORMAL, so that a commit does not
//! wait for the disk; an idle dispatcher looks for work ten times a second. With `--tuned` each connection has FULL, and for one
//! run looks are a millisecond apart, and one dispatcher instead of two takes turns. Many runs at once are not faster for that:
//! dispatchers refuse each other the database, and runs have failed of it, the more of them the more dispatchers there were.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{File, read_to_string};
use std::sync::Arc;
use std::time::{Duration, Instant};

use duroxide::providers::sqlite::SqliteProvider;
use duroxide::runtime::registry::ActivityRegistry;
use duroxide::runtime::{Runtime, RuntimeOptions};
use duroxide::{ActivityContext, Client, OrchestrationContext, OrchestrationRegistry, OrchestrationStatus};
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;

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
    if tuned {
        wait_for_the_disk(&store).await?;
    }

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
    if tuned && runs == 1 {
        options.dispatcher_min_poll_interval = Duration::from_millis(1);
        options.orchestration_concurrency = 1;
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
            Ok(OrchestrationStatus::Completed { output, .. }) if output == "done" => {}
            Ok(other) => return Err(format!("{id} has not completed: {other:?}").into()),
            Err(error) => return Err(format!("{id}: {error:?}").into()),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    // Before the shutdown: a connection that it breaks off is replaced by one that is as shipped.
    let durability = durability(&store).await?;
    runtime.shutdown(Some(1_000)).await;
    store.get_pool().close().await;
    let steps = runs * steps;
    let peak = peak_kib().unwrap_or(0);
    println!(r#"{{"steps":{steps},"seconds":{seconds},"peak_kib":{peak},"durability":"{durability}"}}"#);
    Ok(())
}

/// All connections of the pool at once, so that none is left out.
async fn connections(store: &SqliteProvider) -> sqlx::Result<Vec<PoolConnection<Sqlite>>> {
    let mut all = Vec::new();
    for _ in 0..CONNECTIONS {
        all.push(store.get_pool().acquire().await?);
    }
    Ok(all)
}

async fn wait_for_the_disk(store: &SqliteProvider) -> sqlx::Result<()> {
    for mut connection in connections(store).await? {
        sqlx::query("PRAGMA synchronous = FULL").execute(&mut *connection).await?;
    }
    Ok(())
}

/// What holds on all connections.
async fn durability(store: &SqliteProvider) -> Result<String, Box<dyn Error>> {
    let mut found = BTreeSet::new();
    for mut connection in connections(store).await? {
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
        let level: usize =
            sqlx::query_scalar::<_, i64>("PRAGMA synchronous").fetch_one(&mut *connection).await?.try_into()?;
        let level = ["OFF", "NORMAL", "FULL", "EXTRA"].get(level).unwrap_or(&"unknown");
        found.insert(format!("{}, {level}", journal.to_uppercase()));
    }
    Ok(Vec::from_iter(found).join("; "))
}

/// The most memory that this process has had.
fn peak_kib() -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
