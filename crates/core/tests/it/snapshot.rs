//! Snapshots save reading, and decide nothing.

use std::sync::Arc;
use std::time::Duration;

use parkway_core::engine::Executor;
use parkway_core::id::{RunId, Seq};
use parkway_core::log::{RunState, RunStatus};
use parkway_core::store::{Log, Snapshot};
use parkway_core::testing::{FaultyStore, StoreOperation, frozen};
use serde_json::json;

use crate::check::World;
use crate::recovery::plant;

const YAML: &str = "
parkway: 1
tools: { t: {} }
steps:
  list: { for_each: [1, 2, 3], tool: t.echo, with: { value: '${{ item }}' } }
  ask: { needs: [list], approve: { prompt: 'Go on?' } }
  again: { needs: [ask], approve: { prompt: 'Really?' } }
  end: { needs: [again], set: { all: '${{ steps.list.output }}', n: '${{ steps.list.output | length }}' } }
outputs: { end: '${{ steps.end.output }}' }";

/// A run that waits for its first answer.
async fn waiting() -> (World, RunId) {
    let world = World::new();
    let (run, ended) = world.run(YAML, json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    (world, run)
}

async fn finish(world: &World, run: RunId, said: &str) {
    world.answer(run, "ask", true).await;
    let ended = world.resume(run).await.unwrap_or_else(|error| panic!("{said}: {error}"));
    assert_eq!(ended.status, RunStatus::Waiting, "{said}");
    world.answer(run, "again", true).await;
    let ended = world.resume(run).await.unwrap_or_else(|error| panic!("{said}: {error}"));
    assert_eq!(ended.status, RunStatus::Completed, "{said}");
    assert!(world.log(run).await.contains(r#"{"end":{"all":[1,2,3],"n":3}}"#), "{said}");
    let left = world.store.snapshot(run).await.unwrap();
    assert!(left.is_none_or(|left| left.bytes.is_empty()), "a run that has ended keeps a snapshot; {said}");
}

async fn kept(world: &World, run: RunId) -> Snapshot {
    world.store.snapshot(run).await.unwrap().expect("none is kept")
}

#[tokio::test]
async fn a_run_is_taken_up_without_its_snapshot() {
    let (world, run) = waiting().await;
    let mut snapshot = kept(&world, run).await;
    assert_eq!(snapshot.seq, world.state(run).await.head());
    // One that differs from the log in what no event changes.
    let mut events = world.events(run).await;
    events[0].at = events[0].at.after(Duration::from_secs(1_000));
    let plan = Arc::new(world.stored_plan(run).await);
    let forged = RunState::replay(run, plan.clone(), &events).unwrap();
    snapshot.bytes = frozen(&forged).unwrap();
    world.store.keep_snapshot(run, snapshot).await.unwrap();
    let executor =
        Executor::take_over(world.services(), world.models(), world.control.clone(), plan, run).await.unwrap();
    assert_eq!(executor.state().created(), forged.created());
}

#[tokio::test]
async fn a_snapshot_that_is_not_of_this_engine_or_not_whole_is_believed() {
    type Change = fn(&mut Snapshot);
    let changes: [(&str, Change); 7] = [
        ("as it is", |_| {}),
        ("of another version", |snapshot| snapshot.engine.insert(0, '9')),
        ("with another byte", |snapshot| *snapshot.bytes.last_mut().unwrap() ^= 1),
        ("with another digest", |snapshot| snapshot.bytes[0] ^= 1),
        ("cut off", |snapshot| snapshot.bytes.truncate(31)),
        ("deleted", |snapshot| snapshot.bytes.clear()),
        ("under another event", |snapshot| snapshot.seq = Seq(snapshot.seq.0 - 1)),
    ];
    for (said, change) in changes {
        let (world, run) = waiting().await;
        let mut snapshot = kept(&world, run).await;
        change(&mut snapshot);
        world.store.keep_snapshot(run, snapshot).await.unwrap();
        finish(&world, run, said).await;
    }
}

#[tokio::test]
async fn a_snapshot_of_events_that_the_log_has_lost_is_believed() {
    let (world, run) = waiting().await;
    let events = world.events(run).await;
    for cut in 2..events.len() {
        let copy = World { worker: "two", ..World::new() };
        plant(&world, &copy, run, &events[..cut]).await;
        copy.store.keep_snapshot(run, kept(&world, run).await).await.unwrap();
        if copy.resume(run).await.unwrap().status == RunStatus::Waiting {
            finish(&copy, run, &format!("after {cut} events")).await;
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_with_snapshots_stops_a_run() {
    let (mut world, run) = waiting().await;
    let front = Arc::new(FaultyStore::new(world.store.clone()));
    let gone = parkway_core::store::StoreError::Backend { message: "gone".into(), retryable: true };
    front.fail(StoreOperation::Snapshot, gone.clone());
    front.fail(StoreOperation::KeepSnapshot, gone);
    world.front = Some(front);
    world.answer(run, "ask", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    world.answer(run, "again", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
}
