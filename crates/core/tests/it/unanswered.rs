//! A commit whose answer does not come may be on disk or not: the executor ends, and the next one reads which.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parkway_core::engine::{Executor, ExecutorError};
use parkway_core::log::{RunStatus, StepStatus};
use parkway_core::store::StoreError;
use parkway_core::testing::{FaultyStore, StoreOperation};
use parkway_core::tool::Effect;
use serde_json::json;

use crate::check::{Acting, World};

const FLOW: &str = "parkway: 1\ntools: { t: {} }
steps: { ask: { approve: { prompt: go? } }, x: { needs: [ask], tool: t.x }, after: { needs: [x], set: { n: 1 } } }";

/// Runs a step whose call is the last thing before commits fail, and then goes on without failures. Gives where the run and
/// the step stand, and how often the call was made.
async fn disturbed(effect: Effect, written: bool) -> (RunStatus, StepStatus, u32) {
    disturbed_with(effect, written, false).await
}

/// The same; where `silenced`, no message can be left either.
async fn disturbed_with(effect: Effect, written: bool, silenced: bool) -> (RunStatus, StepStatus, u32) {
    let (calls, broken) = (Arc::new(AtomicU32::new(0)), Arc::new(OnceLock::<Arc<FaultyStore>>::new()));
    let (seen, breaks) = (calls.clone(), broken.clone());
    let world = World::new().tool(Acting::new("t.x", effect, move |_, _| {
        if seen.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(store) = breaks.get()
        {
            let gone = StoreError::Backend { message: "the disk is gone".into(), retryable: false };
            match written {
                true => store.lose_answers(StoreOperation::Commit, gone.clone()),
                false => store.fail(StoreOperation::Commit, gone.clone()),
            }
            if silenced {
                store.fail(StoreOperation::Signal, gone);
            }
        }
        async { Ok(json!(7)) }
    }));
    let (run, _) = world.run(FLOW, json!({})).await;
    world.answer(run, "ask", true).await;
    let store = Arc::new(FaultyStore::new(world.store.clone()));
    broken.set(store.clone()).ok();
    let mut services = world.services();
    services.store = store.clone();
    let plan = Arc::new(world.stored_plan(run).await);
    let executor = Executor::take_over(services, world.models(), world.control.clone(), plan, run).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), executor.execute()).await.expect("hangs");
    assert!(ended.unwrap_err().to_string().contains("the disk is gone"));
    store.heal();
    let status = match world.resume(run).await {
        Ok(ended) => ended.status,
        // The end of the run was in that commit, too.
        Err(ExecutorError::Over(_, status)) => status,
        Err(error) => unreachable!("{error}"),
    };
    let step = world.state(run).await.steps().iter().find(|step| step.key.to_string() == "x").unwrap().status;
    (status, step, calls.load(Ordering::SeqCst))
}

#[tokio::test]
async fn an_outcome_that_is_on_disk_without_an_answer_is_made_again() {
    for effect in [Effect::Idempotent, Effect::AtMostOnce] {
        let found = disturbed(effect, true).await;
        assert_eq!(found, (RunStatus::Completed, StepStatus::Completed, 1), "{effect:?}");
    }
    // The events before such a call need not be on disk yet, and so it may be theirs that have no answer.
    for effect in [Effect::Pure, Effect::Read] {
        let (status, step, calls) = disturbed(effect, true).await;
        assert_eq!((status, step), (RunStatus::Completed, StepStatus::Completed), "{effect:?}");
        assert!(calls <= 2, "{effect:?}: {calls} calls");
    }
}

#[tokio::test]
async fn an_outcome_that_did_not_reach_the_disk_is_taken_for_done() {
    for effect in [Effect::Pure, Effect::Read, Effect::Idempotent] {
        let found = disturbed(effect, false).await;
        assert_eq!(found, (RunStatus::Completed, StepStatus::Completed, 2), "{effect:?}");
    }
    let found = disturbed_with(Effect::AtMostOnce, false, true).await;
    assert_eq!(found, (RunStatus::Waiting, StepStatus::InDoubt, 1));
    // Whoever made the call leaves word of what came of it, where that can still be done.
    let found = disturbed(Effect::AtMostOnce, false).await;
    assert_eq!(found, (RunStatus::Completed, StepStatus::Completed, 1));
}
