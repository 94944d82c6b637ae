//! A worker that has lost its run tells the next one what came of its calls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parkway_core::engine::ExecutorError;
use parkway_core::id::{RunId, WorkerId};
use parkway_core::log::{Actor, EventKind, Resolution, RunStatus, StepStatus};
use parkway_core::store::{Claim, Lease, Message, Queue, StoreError};
use parkway_core::testing::{FakeClock, StoreOperation};
use parkway_core::tool::Effect;
use serde_json::{Value, json};

use crate::check::{Acting, World};
use crate::ledger::{AllowAll, Doing, Ledger, Looking};

const YAML: &str = "
parkway: 1
tools: { t: {} }
steps: { pay: { tool: t.pay, retry: { max: 1, initial: 1s } } }
outputs: { receipt: '${{ steps.pay.output.receipt }}' }
";

fn world(ledger: &Ledger) -> (World, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default().paced());
    let world = World::new().at(clock.clone()).tool(ledger.tool(Effect::AtMostOnce));
    (World { policy: Arc::new(AllowAll), patience: Duration::from_secs(7_200), ..world }, clock)
}

/// Another worker takes the run while its holder stands still for longer than its lease.
async fn steal(world: &World, clock: &FakeClock, run: RunId) -> Lease {
    clock.advance(Duration::from_secs(31));
    let claim = Claim::new(WorkerId::new("two"), Some(run), Duration::from_secs(30));
    world.store.claim(&claim).await.unwrap().expect("the lease has run out")
}

async fn give_back(world: &World, lease: &Lease) {
    world.store.release(lease, None).await.unwrap();
    let _ = world.store.renew(lease, Duration::ZERO).await;
}

async fn resolved_by(world: &World, run: RunId) -> Option<Actor> {
    let events = world.events(run).await;
    events.into_iter().find(|event| matches!(event.kind, EventKind::StepResolved { .. })).map(|event| event.by)
}

#[tokio::test(start_paused = true)]
async fn what_a_call_returns_after_its_worker_lost_the_run_is_not_lost() {
    // The call ends within its grace time, before or after the new holder has put it in doubt.
    for doubted_first in [false, true] {
        let ledger = Ledger::new(&[Doing::PaysWhenStopped], Looking::Blind);
        let (world, clock) = world(&ledger);
        let executor = world.create(YAML, json!({})).await;
        let (run, going) = (executor.run(), tokio::spawn(executor.execute()));
        ledger.began.notified().await;
        let other = world.beside();
        if doubted_first {
            clock.advance(Duration::from_secs(31));
            assert_eq!(other.resume(run).await.unwrap().status, RunStatus::Waiting);
        } else {
            let lease = steal(&world, &clock, run).await;
            tokio::time::sleep(Duration::from_secs(25)).await;
            give_back(&world, &lease).await;
        }
        let error = going.await.unwrap().unwrap_err();
        assert!(matches!(error, ExecutorError::Store(StoreError::Fenced { .. })), "{error}");
        assert_eq!(world.store.inbox(run).await.unwrap().len(), 1);
        assert_eq!(other.resume(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
        assert_eq!(world.outputs(run).await, json!({"receipt": ledger.entries()[0]}));
        assert_eq!((ledger.calls.load(Ordering::SeqCst), ledger.entries().len()), (1, 1));
        let by = resolved_by(&world, run).await;
        assert!(matches!(&by, Some(Actor::Worker { id }) if id.as_str() == "one"), "{by:?}");
        assert!(world.log(run).await.contains("step_in_doubt pay crash"), "{}", world.log(run).await);
        assert!(world.store.inbox(run).await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_whose_commit_is_fenced_is_not_lost() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let (began, open) = (Arc::new(tokio::sync::Notify::new()), gate.clone());
    let said = began.clone();
    let ledger = Ledger::new(&[], Looking::Blind);
    let (world, clock) = world(&ledger);
    let world = world.tool(Acting::new("t.pay", Effect::AtMostOnce, move |_, _| {
        said.notify_one();
        let open = open.clone();
        async move {
            open.notified().await;
            Ok(json!({"receipt": 7}))
        }
    }));
    let executor = world.create(YAML, json!({})).await;
    let (run, going) = (executor.run(), tokio::spawn(executor.execute()));
    began.notified().await;
    let lease = steal(&world, &clock, run).await;
    gate.notify_one();
    assert!(matches!(going.await.unwrap(), Err(ExecutorError::Store(StoreError::Fenced { .. }))));
    let inbox = world.store.inbox(run).await.unwrap();
    let expected = Message::Outcome {
        made: true,
        step: "pay".parse().unwrap(),
        attempt: 1,
        outcome: Resolution::Done { output: json!({"receipt": 7}) },
        worker: WorkerId::new("one"),
    };
    assert_eq!(inbox.iter().map(|received| &received.message).collect::<Vec<_>>(), [&expected]);
    give_back(&world, &lease).await;
    assert_eq!(world.beside().resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"receipt": 7}));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_outcome_is_on_disk_leaves_no_evidence() {
    let ledger = Ledger::new(&[], Looking::Blind);
    let (mut world, _) = world(&ledger);
    let front = world.faulty();
    let yaml = YAML.replace("steps: {", "steps: { w: { wait: 5s, needs: [pay] },");
    let executor = world.create(&yaml, json!({})).await;
    let (run, going) = (executor.run(), tokio::spawn(executor.execute()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    front.fail(StoreOperation::Commit, StoreError::Full("no room".into()));
    assert!(going.await.unwrap().is_err());
    assert!(world.store.inbox(run).await.unwrap().is_empty());
    assert_eq!(world.beside().resume(run).await.unwrap().status, RunStatus::Completed);
}

/// A run whose call is in doubt, and the evidence that comes then.
async fn told(looking: Looking, attempt: u32, outcome: Resolution<Value>) -> (World, RunId, Ledger) {
    let ledger = Ledger::new(&[Doing::PaysAndLosesTheAnswer], looking);
    let (world, _) = world(&ledger);
    let (run, _) = world.run(YAML, json!({})).await;
    let (step, worker) = ("pay".parse().unwrap(), WorkerId::new("zombie"));
    world.store.signal(run, Message::Outcome { step, attempt, outcome, made: true, worker }).await.unwrap();
    (world, run, ledger)
}

#[tokio::test(start_paused = true)]
async fn evidence_counts_for_the_attempt_that_it_is_about_and_only_if_the_tool_could_have_said_it() {
    let done = || Resolution::Done { output: json!({"receipt": 1}) };
    let wrong = Resolution::Done { output: json!({"no": 1}) };
    for (attempt, outcome, status, calls) in [
        (1, done(), RunStatus::Completed, 1),
        // The call is made again, since it was not carried out.
        (1, Resolution::NotDone, RunStatus::Completed, 2),
        (2, done(), RunStatus::Waiting, 1),
        (1, wrong, RunStatus::Waiting, 1),
    ] {
        let (world, run, ledger) = told(Looking::Blind, attempt, outcome.clone()).await;
        assert_eq!(world.resume(run).await.unwrap().status, status, "{outcome:?}\n{}", world.log(run).await);
        assert_eq!(ledger.calls.load(Ordering::SeqCst), calls, "{outcome:?}");
        assert!(world.store.inbox(run).await.unwrap().is_empty(), "{outcome:?}");
        let step = world.state(run).await.step(&"pay".parse().unwrap()).unwrap().status;
        assert_eq!(step == StepStatus::InDoubt, status == RunStatus::Waiting);
    }
}
