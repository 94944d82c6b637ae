//! A run that a step has for itself says by message that it has ended.

use std::time::Duration;

use parkway_core::id::{RunId, WorkerId};
use parkway_core::log::{RunStatus, StepStatus};
use parkway_core::store::{Claim, Message, Queue};
use serde_json::json;

use crate::check::World;
use crate::subworkflows::calling;

const CALLER: &str = "steps: { sub: { set: {} } }\noutputs: { by: '${{ steps.sub.output.note }}' }";
const ASKING: &str = "
inputs: { name: { type: string, default: you } }
steps: { confirm: { approve: { prompt: 'greet ${{ inputs.name }}?' } } }
outputs: { note: '${{ steps.confirm.output.by }}' }";

/// A run that waits for one of its own, which waits for a person.
async fn waiting(world: &World) -> (RunId, RunId) {
    let plan = calling(world, CALLER, ASKING, true);
    let (run, ended) = world.drive(world.create_plan(plan, json!({})).await).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    (run, run.child(&"sub".parse().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn nobody_wakes_the_caller_of_a_run_that_somebody_else_has_ended() {
    let world = World::paced();
    let (run, child) = waiting(&world).await;
    let any = Claim::new(WorkerId::new("any"), None, Duration::from_secs(10));
    assert_eq!(world.store.claim(&any).await.unwrap(), None);
    world.answer(child, "confirm", true).await;
    assert_eq!(world.beside().resume(child).await.unwrap().status, RunStatus::Completed);
    let inbox = world.store.inbox(run).await.unwrap();
    let ended = Message::RunEnded { step: "sub".parse().unwrap(), run: child };
    assert_eq!(inbox.iter().map(|received| &received.message).collect::<Vec<_>>(), [&ended]);
    // Whoever asks for any run gets the one that can go on now.
    let lease = world.store.claim(&any).await.unwrap().expect("the caller can go on");
    assert_eq!(lease.run, run);
    world.store.renew(&lease, Duration::ZERO).await.unwrap();
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"by": "ada"}));
    assert!(world.store.inbox(run).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_stays_does_not_hear_of_the_end() {
    let mut world = World::paced();
    world.control.stay = true;
    let plan = calling(&world, CALLER, ASKING, true);
    let executor = world.create_plan(plan, json!({})).await;
    let run = executor.run();
    let child = run.child(&"sub".parse().unwrap());
    let going = tokio::spawn(executor.execute());
    while !world.state(run).await.steps().iter().any(|step| step.status == StepStatus::Waiting) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Another process takes the run before its caller can see the answer.
    let other = world.beside();
    let claim = Claim::new(WorkerId::new("two"), Some(child), Duration::from_secs(30));
    let lease = world.store.claim(&claim).await.unwrap().unwrap();
    world.answer(child, "confirm", true).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.store.renew(&lease, Duration::ZERO).await.unwrap();
    let _ = other.resume(child).await;
    assert_eq!(going.await.unwrap().unwrap().status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"by": "ada"}));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_its_caller_drives_sends_nothing() {
    let world = World::paced();
    let (run, child) = waiting(&world).await;
    world.answer(child, "confirm", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert!(world.store.inbox(run).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_about_another_run_does_not_move_a_step() {
    let world = World::paced();
    let (run, _) = waiting(&world).await;
    let other = run.child(&"other".parse().unwrap());
    world.store.signal(run, Message::RunEnded { step: "sub".parse().unwrap(), run: other }).await.unwrap();
    world.store.signal(run, Message::RunEnded { step: "gone".parse().unwrap(), run: other }).await.unwrap();
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    assert!(world.store.inbox(run).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_many_runs_that_wait_each_is_looked_at_in_its_turn() {
    let mut world = World::paced();
    world.control.stay = true;
    let caller = "steps: { sub: { for_each: '${{ range(50) | list }}', set: {} } }";
    let plan = calling(&world, caller, ASKING, true);
    let executor = world.create_plan(plan, json!({})).await;
    let run = executor.run();
    let going = tokio::spawn(executor.execute());
    let stands = |wanted: StepStatus| {
        let world = world.clone();
        async move {
            let state = world.state(run).await;
            state.steps().iter().filter(|step| step.item().is_some() && step.status == wanted).count()
        }
    };
    while stands(StepStatus::Waiting).await < 50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for item in 0..50 {
        world.answer(run.child(&format!("sub[{item}]").parse().unwrap()), "confirm", true).await;
    }
    assert_eq!(going.await.unwrap().unwrap().status, RunStatus::Completed);
}
