//! Runs that ended badly and go on: what completed stays, what did not is done again.

use std::sync::{Arc, Mutex};

use parkway_core::engine::{Ended, Executor, ExecutorError, Reopening};
use parkway_core::id::RunId;
use parkway_core::log::{Channel, RunStatus};
use parkway_core::tool::{Effect, ToolError};
use serde_json::{Value, json};

use crate::check::{Acting, World};

/// What a tool was called with, and under which key, in order.
type Calls = Arc<Mutex<Vec<(String, String)>>>;

/// A world with `t.act`, of the effect given: it fails while its argument `value` is among what is broken.
fn breaking(effect: Effect, broken: &[&str]) -> (World, Arc<Mutex<Vec<String>>>, Calls) {
    let broken = Arc::new(Mutex::new(broken.iter().map(|b| (*b).to_owned()).collect::<Vec<_>>()));
    let calls = Calls::default();
    let (of_tool, seen) = (broken.clone(), calls.clone());
    let world =
        World::new().tool(Acting::new("t.act", effect, move |input: Value, context| {
            let value = input["value"].as_str().unwrap().to_owned();
            seen.lock().unwrap().push((value.clone(), context.key.to_string()));
            let fails = of_tool.lock().unwrap().contains(&value);
            async move {
                if fails { Err(ToolError::invalid("broken", format!("{value} is broken"))) } else { Ok(json!(value)) }
            }
        }));
    (world, broken, calls)
}

impl World {
    pub(crate) async fn reopen(&self, run: RunId) -> Result<Executor, ExecutorError> {
        let plan = Arc::new(self.stored_plan(run).await);
        let reopening = Reopening::new("ada", Channel::Command);
        Executor::reopen(self.services(), self.models(), self.control.clone(), plan, run, &reopening).await
    }

    /// Reopens a run and drives it; a replay of its log is the state that was lived through.
    pub(crate) async fn retry(&self, run: RunId) -> Result<Ended, ExecutorError> {
        let executor = self.reopen(run).await?;
        Ok(self.drive(executor).await.1)
    }

    /// The lines of the log since the run was last reopened.
    async fn since(&self, run: RunId) -> String {
        let log = self.log(run).await;
        let last = log.rfind("run_reopened").expect("not reopened");
        log[last..].lines().skip(2).collect::<Vec<_>>().join("\n")
    }
}

fn lines(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_completed_stays_and_what_failed_is_done_again_with_its_arguments_and_key() {
    let (world, broken, calls) = breaking(Effect::Idempotent, &["b"]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  a: { tool: t.act, with: { value: a } }
  b: { needs: [a], tool: t.act, with: { value: b } }
  c: { needs: [b], set: { got: '${{ steps.b.output }}' } }
  d: { needs: [a], if: false, set: {} }
outputs: { got: '${{ steps.c.output.got }}' }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    broken.lock().unwrap().clear();
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(
        world.since(run).await,
        lines(
            r#"
            step_started b #2 {"value":"b"}
            step_completed b "b"
            step_started c #1
            step_completed c {"got":"b"}
            run_completed {"got":"b"}
            "#
        )
    );
    let calls = calls.lock().unwrap();
    assert_eq!(calls.iter().map(|call| call.0.as_str()).collect::<Vec<_>>(), ["a", "b", "b"]);
    assert_eq!(calls[1].1, calls[2].1);
}
