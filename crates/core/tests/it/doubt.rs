//! What a person says about a call whose outcome nobody knew.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use parkway_core::id::RunId;
use parkway_core::log::{Resolution, RunStatus, StepStatus};
use parkway_core::tool::{Effect, ToolError, ToolSpec};
use serde_json::{Value, json};

use crate::check::{Acting, World};

type Keys = Arc<Mutex<Vec<String>>>;

/// A world whose tool `t.send` loses the line at its first calls, and then says with which keys it was called.
fn losing(times: usize) -> (World, Keys) {
    let keys = Keys::default();
    let seen = keys.clone();
    let mut tool = Acting::new("t.send", Effect::AtMostOnce, move |_, context| {
        let mut seen = seen.lock().unwrap();
        seen.push(context.key.to_string());
        let lost = seen.len() <= times;
        async move {
            if lost { Err(ToolError::transient("net", "the line broke")) } else { Ok(json!({"id": context.attempt})) }
        }
    });
    tool.spec = ToolSpec { output_schema: json!({"type": "object", "required": ["id"]}), ..tool.spec };
    (World::new().tool(tool), keys)
}

const YAML: &str = "
parkway: 1
tools: { t: {} }
steps:
  ask: { approve: { prompt: go? } }
  send: { needs: [ask], tool: t.send, retry: { max: 1, initial: 1ms } }
  after: { set: { id: '${{ steps.send.output.id }}' } }
  other: { set: { n: 1 } }
outputs: { id: '${{ steps.after.output.id }}' }
";

/// A run whose call is in doubt.
async fn in_doubt(world: &World, yaml: &str) -> RunId {
    let (run, _) = world.run(yaml, json!({})).await;
    world.answer(run, "ask", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    assert_eq!(status(world, run, "send").await, Some(StepStatus::InDoubt), "{}", world.log(run).await);
    run
}

async fn status(world: &World, run: RunId, step: &str) -> Option<StepStatus> {
    world.state(run).await.step(&step.parse().unwrap()).map(|step| step.status)
}

async fn resolve(world: &World, run: RunId, outcome: Resolution<Value>) -> RunStatus {
    world.resolve(run, "send", outcome).await;
    world.resume(run).await.unwrap().status
}

#[tokio::test]
async fn a_call_that_was_done_has_the_output_that_a_person_gives() {
    let (world, keys) = losing(1);
    let run = in_doubt(&world, YAML).await;
    // The tool cannot have returned this.
    assert_eq!(resolve(&world, run, Resolution::Done { output: json!({"no": 1}) }).await, RunStatus::Waiting);
    assert_eq!(status(&world, run, "send").await, Some(StepStatus::InDoubt));
    assert_eq!(resolve(&world, run, Resolution::Done { output: json!({"id": 7}) }).await, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"id": 7}));
    assert_eq!(keys.lock().unwrap().len(), 1);
    // A second word comes too late.
    let state = world.state(run).await;
    assert_eq!(state.status(), RunStatus::Completed);
}

#[tokio::test]
async fn a_call_that_was_not_done_is_tried_again_under_the_same_key_while_retry_lasts() {
    let (world, keys) = losing(2);
    let run = in_doubt(&world, YAML).await;
    assert_eq!(resolve(&world, run, Resolution::NotDone).await, RunStatus::Waiting);
    assert_eq!(status(&world, run, "send").await, Some(StepStatus::InDoubt));
    {
        let keys = keys.lock().unwrap();
        assert_eq!((keys.len(), keys.iter().collect::<BTreeSet<_>>().len()), (2, 1));
    }
    assert_eq!(resolve(&world, run, Resolution::NotDone).await, RunStatus::Failed);
    let log = world.log(run).await;
    assert!(log.contains("step_failed send net: somebody found out that the call was not carried out"), "{log}");
    assert!(log.ends_with("run_failed net at send: somebody found out that the call was not carried out"), "{log}");
}

#[tokio::test]
async fn a_call_that_is_made_again_has_another_key() {
    let (world, keys) = losing(1);
    let run = in_doubt(&world, YAML).await;
    assert_eq!(resolve(&world, run, Resolution::Redo).await, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"id": 2}));
    assert_eq!(keys.lock().unwrap().iter().collect::<BTreeSet<_>>().len(), 2);
}

#[tokio::test]
async fn a_run_that_fails_elsewhere_or_is_cancelled_does_not_end_before_the_doubt() {
    let fails = "
parkway: 1
tools: { t: {} }
steps:
  ask: { approve: { prompt: go? } }
  send: { needs: [ask], tool: t.send }
  bad: { needs: [ask], tool: t.fail }
  after: { needs: [send], run_if: always, set: { status: '${{ steps.send.status }}' } }
";
    for (outcome, end) in [
        (Resolution::Done { output: json!({"id": 1}) }, StepStatus::Completed),
        (Resolution::NotDone, StepStatus::Failed),
        (Resolution::Redo, StepStatus::Cancelled),
    ] {
        let (world, keys) = losing(1);
        let run = in_doubt(&world, fails).await;
        assert_eq!(resolve(&world, run, outcome).await, RunStatus::Failed);
        let said = (status(&world, run, "send").await, status(&world, run, "after").await);
        assert_eq!(said, (Some(end), Some(StepStatus::Completed)), "{}", world.log(run).await);
        assert!(world.log(run).await.contains("run_failed broken at bad"));
        assert_eq!(keys.lock().unwrap().len(), 1);
    }
    for (outcome, end) in [
        (Resolution::Done { output: json!({"id": 1}) }, StepStatus::Completed),
        (Resolution::NotDone, StepStatus::Cancelled),
        (Resolution::Redo, StepStatus::Cancelled),
    ] {
        let (world, _) = losing(1);
        let run = in_doubt(&world, YAML).await;
        world.cancel(run).await;
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
        assert_eq!(resolve(&world, run, outcome).await, RunStatus::Cancelled);
        assert_eq!(status(&world, run, "send").await, Some(end));
    }
}

#[tokio::test]
async fn an_item_in_doubt_leaves_its_place_to_others() {
    let (world, keys) = losing(1);
    let yaml = "
parkway: 1
tools: { t: {} }
steps: { each: { for_each: [1, 2], max_parallel: 1, tool: t.send } }
";
    let (run, _) = world.run(yaml, json!({})).await;
    for item in ["each[0]", "each[1]"] {
        world.answer(run, item, true).await;
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    }
    assert_eq!(keys.lock().unwrap().len(), 2);
    assert_eq!(status(&world, run, "each[1]").await, Some(StepStatus::Completed));
}
