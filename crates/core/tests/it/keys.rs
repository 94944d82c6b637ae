//! The key of an effect: the same over retries, crashes, workers and doubts; another one after "do it again" only.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkway_core::id::EffectKey;
use parkway_core::log::{Resolution, RunStatus};
use parkway_core::testing::FakeClock;
use parkway_core::tool::{Effect, ToolError};
use serde_json::json;

use crate::check::{Acting, World};
use crate::ledger::{AllowAll, Doing, Ledger, Looking};

const YAML: &str = "
parkway: 1
tools: { t: {} }
steps: { pay: { tool: t.pay, retry: { max: 3, initial: 1s } } }
";

#[tokio::test(start_paused = true)]
async fn a_retry_a_crash_or_another_worker_changes_the_key_of_an_idempotent_call() {
    let keys = Arc::new(Mutex::new(Vec::new()));
    let (seen, began) = (keys.clone(), Arc::new(tokio::sync::Notify::new()));
    let said = began.clone();
    let clock = Arc::new(FakeClock::default().paced());
    let world = World { policy: Arc::new(AllowAll), ..World::new().at(clock.clone()) };
    let world = world.tool(Acting::new("t.pay", Effect::Idempotent, move |_, context| {
        seen.lock().unwrap().push(context.key);
        let nth = seen.lock().unwrap().len();
        said.notify_one();
        async move {
            match nth {
                1 => Err(ToolError::transient("net", "the line broke")),
                // Two processes end during the call.
                2 | 3 => std::future::pending().await,
                _ => Ok(json!(1)),
            }
        }
    }));
    let executor = world.create(YAML, json!({})).await;
    let run = executor.run();
    let mut going = tokio::spawn(executor.execute());
    for nth in 2..4 {
        while keys.lock().unwrap().len() < nth {
            began.notified().await;
        }
        going.abort();
        let _ = going.await;
        clock.advance(Duration::from_secs(31));
        let other = World { worker: ["two", "three"][nth - 2], ..world.clone() };
        going = tokio::spawn(async move {
            let plan = Arc::new(other.stored_plan(run).await);
            let executor = parkway_core::engine::Executor::take_over(
                other.services(),
                other.models(),
                other.control.clone(),
                plan,
                run,
            );
            executor.await.unwrap().execute().await
        });
    }
    assert_eq!(going.await.unwrap().unwrap().status, RunStatus::Completed);
    let keys = keys.lock().unwrap().clone();
    assert_eq!(keys, [EffectKey::new(run, &"pay".parse().unwrap(), 0); 4]);
}

#[tokio::test(start_paused = true)]
async fn a_word_of_a_person_changes_the_key_only_if_it_says_to_do_it_again() {
    let ledger = Ledger::new(&[Doing::LosesTheQuestion; 3], Looking::Blind);
    let world = World { policy: Arc::new(AllowAll), ..World::paced().tool(ledger.tool(Effect::AtMostOnce)) };
    let (run, _) = world.run(YAML, json!({})).await;
    for (outcome, status, calls, keys) in [
        (Resolution::NotDone, RunStatus::Waiting, 2, 1),
        (Resolution::Redo, RunStatus::Waiting, 3, 2),
        (Resolution::Redo, RunStatus::Completed, 4, 3),
    ] {
        world.resolve(run, "pay", outcome.clone()).await;
        assert_eq!(world.resume(run).await.unwrap().status, status, "{outcome:?}\n{}", world.log(run).await);
        assert_eq!(ledger.calls.load(Ordering::SeqCst), calls);
        let seen: BTreeSet<String> = ledger.keys.lock().unwrap().iter().cloned().collect();
        assert_eq!(seen.len(), keys, "{outcome:?}");
    }
    let step = "pay".parse().unwrap();
    let expected = [0, 0, 1, 2].map(|redo| EffectKey::new(run, &step, redo).to_string());
    assert_eq!(*ledger.keys.lock().unwrap(), expected);
}
