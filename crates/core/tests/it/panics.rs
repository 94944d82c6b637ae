//! A panic ends a call or an executor, and keeps nobody from the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parkway_core::clock::Clock;
use parkway_core::engine::{Executor, ExecutorError};
use parkway_core::id::{RunId, Time};
use parkway_core::log::RunStatus;
use parkway_core::policy::{Decision, Policy, PolicyRequest, Verdict};
use parkway_core::store::{Log, RunFilter};
use parkway_core::testing::{FakeClock, ScriptedModel};
use parkway_core::tool::Effect;
use serde_json::json;

use crate::check::{Acting, World};
use crate::ledger::{AllowAll, Doing, Ledger, Looking};

/// A policy and a clock that panic while they are blown.
#[derive(Clone)]
struct Fuse {
    blown: Arc<AtomicBool>,
    clock: Arc<FakeClock>,
}

impl Fuse {
    fn new() -> Fuse {
        Fuse { blown: Arc::default(), clock: Arc::new(FakeClock::default().paced()) }
    }

    fn burn(&self) {
        assert!(!self.blown.load(Ordering::SeqCst), "blown");
    }

    /// A world whose store has a clock of its own, that is sound.
    fn world(&self) -> World {
        World::new().at(self.clock.clone())
    }
}

impl Policy for Fuse {
    fn decide(&self, _: &PolicyRequest<'_>) -> Decision {
        self.burn();
        Decision { verdict: Verdict::Allow, rule: "test".into(), reason: "a test".into() }
    }

    fn fingerprint(&self) -> String {
        "fuse".into()
    }
}

impl Clock for Fuse {
    fn now(&self) -> Time {
        self.burn();
        self.clock.now()
    }

    fn jitter(&self, most: Duration) -> Duration {
        self.clock.jitter(most)
    }

    fn random(&self) -> [u8; 16] {
        self.burn();
        self.clock.random()
    }
}

async fn is_held(world: &World, run: RunId) -> bool {
    world.store.runs(&RunFilter { run: Some(run), ..RunFilter::default() }).await.unwrap()[0].held
}

const YAML: &str = "
parkway: 1
tools: { t: {} }
steps: { a: { tool: t.blow }, b: { needs: [a], tool: t.read } }";

#[tokio::test(start_paused = true)]
async fn a_policy_or_a_clock_that_panics_does_not_keep_the_run() {
    for clock_too in [false, true] {
        let fuse = Fuse::new();
        let mut world = fuse.world();
        if clock_too {
            world.clock = Arc::new(fuse.clone());
        }
        world.policy = Arc::new(fuse.clone());
        let lit = fuse.blown.clone();
        let world = world.tool(Acting::new("t.read", Effect::Read, |_, _| async { Ok(json!(1)) })).tool(Acting::new(
            "t.blow",
            Effect::Pure,
            move |_, _| {
                lit.store(true, Ordering::SeqCst);
                async { Ok(json!(1)) }
            },
        ));
        let executor = world.create(YAML, json!({})).await;
        let run = executor.run();
        let error = executor.execute().await.unwrap_err();
        assert!(matches!(&error, ExecutorError::Panicked(said) if said.contains("blown")), "{error}");
        fuse.blown.store(false, Ordering::SeqCst);
        assert!(!is_held(&world, run).await, "the run is kept until the lease ends");
        let plan = Arc::new(world.stored_plan(run).await);
        let other = world.beside();
        let other = Executor::take_over(other.services(), other.models(), other.control.clone(), plan, run).await;
        assert!(other.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_panics_while_a_run_is_taken_up_does_not_keep_it() {
    let fuse = Fuse::new();
    let mut world = fuse.world();
    let (run, _) = world.run("parkway: 1\nsteps: { ask: { approve: { prompt: go? } } }", json!({})).await;
    world.clock = Arc::new(fuse.clone());
    fuse.blown.store(true, Ordering::SeqCst);
    let error = world.resume(run).await.unwrap_err();
    assert!(matches!(&error, ExecutorError::Panicked(_)), "{error}");
    assert!(!is_held(&world, run).await);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_panics_fails_its_step() {
    let world = World::paced().model(ScriptedModel::new().script(|_| panic!("no words")));
    let yaml =
        "parkway: 1\nmodels: { main: { gguf: { name: x } } }\nsteps: { a: { chat: { model: main, prompt: hi } } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    let log = world.log(run).await;
    assert!(log.contains("step_failed a panic: the model panicked: no words"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_executor_leaves_evidence_of_the_call_under_way() {
    let fuse = Fuse::new();
    let ledger = Ledger::new(&[Doing::PaysWhenStopped], Looking::Blind);
    let mut world = fuse.world().tool(ledger.tool(Effect::AtMostOnce));
    world.policy = Arc::new(AllowAll);
    let sound = world.clone();
    world.clock = Arc::new(fuse.clone());
    let yaml = "parkway: 1\ntools: { t: {} }\nsteps: { pay: { tool: t.pay } }";
    let executor = world.create(yaml, json!({})).await;
    let (run, going) = (executor.run(), tokio::spawn(executor.execute()));
    ledger.began.notified().await;
    fuse.blown.store(true, Ordering::SeqCst);
    assert!(matches!(going.await.unwrap(), Err(ExecutorError::Panicked(_))));
    assert_eq!(sound.beside().resume(run).await.unwrap().status, RunStatus::Completed, "{}", sound.log(run).await);
    assert_eq!(ledger.entries().len(), 1);
}
