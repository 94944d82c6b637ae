//! What runs cost that only wait, while a process holds them: each waits for a signal, and a store is asked for messages all the
//! while.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parkway::clock::SystemClock;
use parkway::sqlite::SqliteStore;
use parkway::{Error, Parkway, Workflow, inputs};
use serde_json::{Value, json};

use crate::machine;
use crate::shape::fresh;

const WAITS: &str = "parkway: 1\nname: waits\nsteps: { go: { wait: { signal: go } } }\n";
/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(5);

/// Holds so many `runs`, and tells what that took a second.
pub(crate) async fn measure(folder: &Path, runs: usize) -> Result<Value, Error> {
    let store = Arc::new(SqliteStore::open(fresh(folder, "held.db"), Arc::new(SystemClock)).await?);
    let parkway = Parkway::builder().store_with(store.clone()).build().await?;
    let workflow = Workflow::from_source("waits.yaml", WAITS)?;
    let mut held = Vec::new();
    for _ in 0..runs {
        held.push(parkway.start(workflow.clone(), inputs! {}).await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, cpu) = (store.stats(), machine::cpu_seconds());
    tokio::time::sleep(WATCHED).await;
    let (after, used) = (store.stats(), machine::cpu_seconds().zip(cpu).map(|(now, then)| now - then));
    for run in &held {
        run.stop();
    }
    for run in &held {
        run.wait().await?;
    }
    drop(parkway);
    store.close().await?;
    let seconds = WATCHED.as_secs_f64();
    Ok(json!({
        "runs": runs,
        "inbox queries a second": (after.inbox_queries - before.inbox_queries) as f64 / seconds,
        "transactions a second": (after.transactions - before.transactions) as f64 / seconds,
        "cpu": used.map(|used| used / seconds),
        "peak_kib": machine::peak_kib(),
    }))
}
