//! Tools are asked what became of their calls in doubt.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parkway_core::id::RunId;
use parkway_core::log::{Actor, EventKind, Resolution, RunStatus, StepStatus};
use parkway_core::tool::Effect;
use serde_json::json;

use crate::check::{World, compare};
use crate::ledger::{AllowAll, Doing, Ledger, Looking};

const YAML: &str = "
parkway: 1
tools: { t: {} }
steps:
  pay: { tool: t.pay, timeout: 20s, retry: { max: 1, initial: 1s } }
outputs: { receipt: '${{ steps.pay.output.receipt }}' }
";

fn world(ledger: &Ledger) -> World {
    let world = World::paced().tool(ledger.tool(Effect::AtMostOnce));
    World { policy: std::sync::Arc::new(AllowAll), ..world }
}

async fn status(world: &World, run: RunId) -> Option<StepStatus> {
    world.state(run).await.step(&"pay".parse().unwrap()).map(|step| step.status)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_carried_out_is_completed_with_what_the_tool_finds() {
    for doing in [Doing::PaysAndLosesTheAnswer, Doing::PaysAndPanics, Doing::PaysAndHangs] {
        let ledger = Ledger::new(&[doing], Looking::Sees);
        let world = world(&ledger);
        let (run, ended) = world.run(YAML, json!({})).await;
        assert_eq!(ended.status, RunStatus::Completed, "{doing:?}\n{}", world.log(run).await);
        assert_eq!(ledger.entries().len(), 1, "{doing:?}");
        assert_eq!(ledger.looks.load(Ordering::SeqCst), 1);
        assert_eq!(world.outputs(run).await, json!({"receipt": ledger.entries()[0]}));
        let events = world.events(run).await;
        let resolved = events.iter().find(|event| matches!(event.kind, EventKind::StepResolved { .. })).unwrap();
        assert_eq!(resolved.by, Actor::Engine, "{resolved:?}");
        // What the tool says always has its labels, however it came to be known.
        let labels = world.state(run).await.step(&"pay".parse().unwrap()).unwrap().labels;
        assert!(labels.untrusted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_carried_out_is_tried_again_while_retry_lasts() {
    let ledger = Ledger::new(&[Doing::LosesTheQuestion], Looking::Sees);
    let world = world(&ledger);
    let (run, ended) = world.run(YAML, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!((ledger.calls.load(Ordering::SeqCst), ledger.entries().len()), (2, 1));
    let keys = ledger.keys.lock().unwrap().clone();
    assert_eq!(keys[0], keys[1]);

    let ledger = Ledger::new(&[Doing::LosesTheQuestion; 2], Looking::Sees);
    let world = self::world(&ledger);
    let (run, ended) = world.run(YAML, json!({})).await;
    assert_eq!((ended.status, ledger.entries().len()), (RunStatus::Failed, 0));
    let log = world.log(run).await;
    assert!(log.ends_with("run_failed net at pay: the tool found that the call was not carried out"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_cannot_tell_leaves_the_doubt_to_a_person_and_is_asked_at_each_claim() {
    for looking in [Looking::Blind, Looking::Fails, Looking::Raves, Looking::Panics, Looking::Hangs] {
        let ledger = Ledger::new(&[Doing::PaysAndLosesTheAnswer], looking);
        let world = world(&ledger);
        let (run, ended) = world.run(YAML, json!({})).await;
        assert_eq!(ended.status, RunStatus::Waiting, "{looking:?}\n{}", world.log(run).await);
        assert_eq!(status(&world, run).await, Some(StepStatus::InDoubt));
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
        assert_eq!(ledger.looks.load(Ordering::SeqCst), 2, "{looking:?}");
        *ledger.looking.lock().unwrap() = Looking::Sees;
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed, "{looking:?}");
        assert_eq!(ledger.entries().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_who_is_quicker_than_the_tool_wins() {
    for (outcome, calls) in [(Resolution::Done { output: json!({"receipt": "by hand"}) }, 1), (Resolution::Redo, 2)] {
        let ledger = Ledger::new(&[Doing::PaysAndLosesTheAnswer], Looking::Hangs);
        let world = world(&ledger);
        let executor = world.create(YAML, json!({})).await;
        let run = executor.run();
        let going = tokio::spawn(executor.execute());
        ledger.looked.notified().await;
        world.resolve(run, "pay", outcome.clone()).await;
        assert_eq!(going.await.unwrap().unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
        assert_eq!(ledger.calls.load(Ordering::SeqCst), calls);
        let entries = ledger.entries();
        assert_eq!(entries.len(), calls as usize);
        if outcome == Resolution::Redo {
            assert_ne!(entries[0], entries[1], "a call that is made again has the key of the first");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_during_the_call_is_cleared_up_by_whoever_goes_on() {
    for (doing, calls, entries) in [(Doing::PaysAndHangs, 1, 1), (Doing::Hangs, 2, 1)] {
        let ledger = Ledger::new(&[doing], Looking::Sees);
        let world = world(&ledger);
        let executor = world.create(YAML, json!({})).await;
        let run = executor.run();
        let going = tokio::spawn(executor.execute());
        ledger.began.notified().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        // A process that is killed says nothing to anybody.
        going.abort();
        assert!(going.await.unwrap_err().is_cancelled());
        tokio::time::sleep(Duration::from_secs(40)).await;
        let other = world.beside();
        assert_eq!(other.resume(run).await.unwrap().status, RunStatus::Completed, "{}", other.log(run).await);
        assert_eq!((ledger.calls.load(Ordering::SeqCst), ledger.entries().len()), (calls, entries), "{doing:?}");
        let log = other.log(run).await;
        assert!(log.contains("step_in_doubt pay crash: "), "{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_takes_the_question_back_and_the_next_process_asks_it_anew() {
    let ledger = Ledger::new(&[Doing::PaysAndLosesTheAnswer], Looking::Hangs);
    let mut world = world(&ledger);
    let executor = world.create(YAML, json!({})).await;
    let run = executor.run();
    let going = tokio::spawn(executor.execute());
    ledger.looked.notified().await;
    let began = tokio::time::Instant::now();
    world.control.stop.cancel();
    assert!(going.await.unwrap().unwrap().stopped);
    assert!(began.elapsed() < Duration::from_secs(1), "a stop waited for a tool that looks");
    world = world.beside();
    *ledger.looking.lock().unwrap() = Looking::Sees;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_ends_when_the_tool_has_found_out() {
    for (doing, end) in [(Doing::PaysAndHangs, StepStatus::Completed), (Doing::Hangs, StepStatus::Cancelled)] {
        let ledger = Ledger::new(&[doing], Looking::Sees);
        let world = world(&ledger);
        let executor = world.create(&YAML.replace("20s", "1h"), json!({})).await;
        let run = executor.run();
        let going = tokio::spawn(executor.execute());
        ledger.began.notified().await;
        world.cancel(run).await;
        assert_eq!(going.await.unwrap().unwrap().status, RunStatus::Cancelled, "{}", world.log(run).await);
        assert_eq!(status(&world, run).await, Some(end), "{}", world.log(run).await);
        assert_eq!(ledger.calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn many_doubts_are_asked_about_within_the_room_that_calls_have() {
    let ledger = Ledger::new(&[Doing::PaysAndLosesTheAnswer; 30], Looking::Sees);
    let world = World { concurrency: 4, ..world(&ledger) };
    let yaml = "
parkway: 1
tools: { t: {} }
steps: { pay: { for_each: '${{ range(30) | list }}', max_parallel: 30, tool: t.pay } }
outputs: { n: '${{ steps.pay.output | length }}' }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!((ledger.looks.load(Ordering::SeqCst), ledger.entries().len()), (30, 30));
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_call_that_was_looked_up_reads_in_order() {
    let ledger = Ledger::new(&[Doing::LosesTheQuestion], Looking::Sees);
    let world = world(&ledger);
    let (run, _) = world.run("parkway: 1\ntools: { t: {} }\nsteps: { pay: { tool: t.pay } }", json!({})).await;
    compare(
        &world,
        run,
        r##"
            step_started pay #1 {} by test
            step_in_doubt pay net: the line broke
            step_resolved pay NotDone
            step_failed pay net: the tool found that the call was not carried out
            run_failed net at pay: the tool found that the call was not carried out
"##,
    )
    .await;
}
