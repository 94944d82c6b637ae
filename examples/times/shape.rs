//! Shapes of work, as the benchmark beside other engines asks for them: steps that do nothing and return 100 bytes, on SQLite
//! with `synchronous=FULL`. `scripts/rivals/bench` runs each in a process of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use parkway::clock::SystemClock;
use parkway::sqlite::SqliteStore;
use parkway::{Effect, Error, Parkway, ToolError, Workflow, inputs, tool_fn};
use serde_json::{Value, json};

use crate::{machine, steps};

/// How steps follow each other.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shape {
    /// One after the other, each an effect that waits for the disk.
    Chain,
    /// One after the other, without effects; only the end waits for the disk.
    Pure,
    /// As a chain, the rounds of one step.
    Rounds,
    /// The items of one step, 64 at once, each an effect.
    FanOut,
}

/// The length of an output as JSON.
const BYTES: usize = 100;

/// An empty database for a measurement.
pub(crate) fn fresh(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    for ending in ["", "-wal", "-shm"] {
        // A file that is not there is as good as one that was removed.
        let _gone = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
    path
}

/// Does so many `runs` of so many `steps` at once in a new database `shape.db`, and tells what it took.
pub(crate) async fn measure(folder: &Path, shape: Shape, runs: usize, steps: usize) -> Result<Value, Error> {
    let store = Arc::new(SqliteStore::open(fresh(folder, "shape.db"), Arc::new(SystemClock)).await?);
    let call = |_: steps::Nothing| async { Ok::<_, ToolError>("x".repeat(BYTES - 2)) };
    let parkway = Parkway::builder()
        .store_with(store.clone())
        .tool(tool_fn("t.write", Effect::Idempotent, call))
        .tool(tool_fn("t.pure", Effect::Pure, call))
        .build()
        .await?;
    let workflow = Workflow::from_source("shape.yaml", &source(shape, steps))?;
    let (before, started) = (store.stats(), Instant::now());
    let mut all = Vec::new();
    for _ in 0..runs {
        all.push(parkway.start(workflow.clone(), inputs! {}).await?);
    }
    for run in all {
        let status = run.wait().await?.status;
        if status != parkway::log::RunStatus::Completed {
            return Err(Error::Setup(format!("run {} is {} and not completed", run.id(), status.as_str())));
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let stats = store.stats();
    drop(parkway);
    store.close().await?;
    Ok(json!({
        "steps": runs * steps,
        "seconds": seconds,
        "commits": stats.commits - before.commits,
        "transactions": stats.transactions - before.transactions,
        "statements": stats.statements - before.statements,
        "events": stats.events - before.events,
        "peak_kib": machine::peak_kib(),
        "durability": "WAL, FULL",
    }))
}

fn source(shape: Shape, steps: usize) -> String {
    let one = |step: &str| format!("parkway: 1\nname: shape\ntools: {{ t: {{}} }}\nsteps:\n  {step}\n");
    match shape {
        Shape::Chain => steps::chain("t.write", steps),
        Shape::Pure => steps::chain("t.pure", steps),
        Shape::Rounds => {
            one(&format!("all: {{ tool: t.pure, repeat: {{ until: 'index + 1 == {steps}', max: {steps} }} }}"))
        }
        Shape::FanOut => {
            one(&format!("all: {{ for_each: '${{{{ range({steps}) }}}}', max_parallel: 64, tool: t.write }}"))
        }
    }
}
