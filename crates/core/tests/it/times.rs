//! When something was said counts, not when it was read.

use std::sync::Arc;
use std::time::Duration;

use parkway_core::id::RunId;
use parkway_core::log::{RunStatus, StepStatus};
use parkway_core::store::Queue;
use parkway_core::testing::FakeClock;
use serde_json::json;

use crate::check::World;

const ASKING: [&str; 3] = [
    "ask: { approve: { prompt: go?, timeout: 1h } }",
    "ask: { input: { prompt: n?, timeout: 1h, output: { n: { type: integer } } } }",
    "ask: { wait: { signal: go, timeout: 1h } }",
];

fn file(step: &str) -> String {
    format!("parkway: 1\nsteps: {{ {step} }}")
}

fn world() -> (World, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default().paced());
    let mut world = World::new().at(clock.clone());
    world.patience = Duration::from_secs(7_200);
    (world, clock)
}

/// A word to each kind of step that waits for one.
async fn say(world: &World, run: RunId) {
    let state = world.state(run).await;
    if state.asking().next().is_some() {
        world.answer(run, "ask", true).await;
    } else if state.questions().next().is_some() {
        world.fill(run, "ask", json!({"n": 1})).await;
    } else {
        world.signal(run, "go", json!(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_word_that_was_sent_in_time_and_is_read_too_late_is_lost() {
    for step in ASKING {
        let (world, clock) = world();
        let (run, _) = world.run(&file(step), json!({})).await;
        clock.advance(Duration::from_secs(3_599));
        say(&world, run).await;
        clock.advance(Duration::from_secs(86_400));
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_word_that_was_sent_too_late_counts_if_nobody_looked_before() {
    for step in ASKING {
        let (world, clock) = world();
        let (run, _) = world.run(&file(step), json!({})).await;
        clock.advance(Duration::from_secs(3_601));
        say(&world, run).await;
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Failed, "{}", world.log(run).await);
        assert!(world.store.inbox(run).await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_word_between_the_last_look_and_the_end_of_the_time_is_lost() {
    for step in ASKING {
        let (mut world, _) = world();
        world.control.stay = true;
        let executor = world.create(&file(step), json!({})).await;
        let (run, going) = (executor.run(), tokio::spawn(executor.execute()));
        while world.state(run).await.steps()[0].status != StepStatus::Waiting {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The inbox is looked at five times a second; the word comes just before the time is over.
        let began = world.state(run).await.updated();
        let left = began.after(Duration::from_secs(3_600)).since(world.clock.now());
        tokio::time::sleep(left - Duration::from_millis(1)).await;
        say(&world, run).await;
        let ended = going.await.unwrap().unwrap();
        assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_is_too_late_for_one_step_is_for_the_next() {
    let (world, clock) = world();
    let yaml =
        file("a: { wait: { signal: go, timeout: 1h }, on_error: continue }, b: { wait: { signal: go, timeout: 3h } }");
    let (run, _) = world.run(&yaml, json!({})).await;
    clock.advance(Duration::from_secs(7_200));
    world.signal(run, "go", json!("late")).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    let log = world.log(run).await;
    assert!(log.contains("step_failed a timeout") && log.contains("step_completed b \"late\""), "{log}");
}
