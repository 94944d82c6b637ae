//! Durable steps a second: each step's events are on disk, on SQLite with `synchronous=FULL`.

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use parkway::{Effect, Error, Parkway, ToolError, Workflow, inputs, tool_fn};

use crate::shape::fresh;

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Nothing {}

/// A workflow of `steps` calls of `tool`, one after the other.
pub(crate) fn chain(tool: &str, steps: usize) -> String {
    let mut yaml = format!("parkway: 1\nname: chain\ntools: {{ t: {{}} }}\nsteps:\n  s0: {{ tool: {tool} }}\n");
    for i in 1..steps {
        // Writing to a string does not fail.
        let _written = writeln!(yaml, "  s{i}: {{ needs: [s{}], tool: {tool} }}", i - 1);
    }
    yaml
}

/// Names and figures of three shapes of work.
pub(crate) async fn measure(folder: &Path) -> Result<Vec<(&'static str, f64)>, Error> {
    let path = fresh(folder, "steps.db");
    let call = |_: Nothing| async { Ok::<_, ToolError>(1_u8) };
    let parkway = Parkway::builder()
        .store(format!("sqlite:{}", path.display()))
        .tool(tool_fn("t.write", Effect::Idempotent, call))
        .tool(tool_fn("t.pure", Effect::Pure, call))
        .build()
        .await?;
    Ok(vec![
        ("idempotent, one chain (each waits for disk)", rate(&parkway, "t.write", 1, 300).await?),
        ("idempotent, 64 chains at once", rate(&parkway, "t.write", 64, 30).await?),
        ("pure, one chain, end on disk", rate(&parkway, "t.pure", 1, 1_000).await?),
    ])
}

async fn rate(parkway: &Parkway, tool: &str, runs: usize, steps: usize) -> Result<f64, Error> {
    let yaml = chain(tool, steps);
    let started = Instant::now();
    let mut all = Vec::new();
    for _ in 0..runs {
        all.push(parkway.start(Workflow::from_source("chain.yaml", &yaml)?, inputs! {}).await?);
    }
    for run in all {
        let _: serde_json::Value = run.output().await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of steps is small")]
    let total = (runs * steps) as f64;
    Ok(total / started.elapsed().as_secs_f64())
}
