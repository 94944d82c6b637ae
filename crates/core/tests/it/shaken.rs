//! Everything around an executor fails by chance, and every run ends as if nothing had.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkway_core::engine::{Executor, ExecutorError, Services};
use parkway_core::id::RunId;
use parkway_core::label::Labels;
use parkway_core::log::{Resolution, RunStatus, StepStatus, WaitFor};
use parkway_core::store::{Log, Queue, RunFilter, StoreError};
use parkway_core::testing::{FaultyStore, StoreOperation};
use parkway_core::tool::{Effect, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use parkway_core::write::{OutboxEntry, ToolWrite};
use serde_json::{Value, json};

use crate::check::{Acting, World};
use crate::recovery::{ending, go_on, signal_early, statuses, step};

/// What calls have done to the world outside: the keys that each step was called with.
type Ledger = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

fn world(ledger: &Ledger) -> World {
    let mut world = World::paced();
    for (name, effect) in [
        ("t.pure", Effect::Pure),
        ("t.read", Effect::Read),
        ("t.write", Effect::Idempotent),
        ("t.bad", Effect::Pure),
        ("t.once", Effect::AtMostOnce),
    ] {
        let ledger = ledger.clone();
        world = world.tool(Acting::new(name, effect, move |input, context| {
            if matches!(effect, Effect::Idempotent | Effect::AtMostOnce) {
                let said = format!("{name} {}", context.step);
                ledger.lock().unwrap().entry(said).or_default().push(context.key.to_string());
            }
            async move {
                tokio::task::yield_now().await;
                if name == "t.bad" { Err(ToolError::invalid("broken", "always")) } else { Ok(input) }
            }
        }));
    }
    world.tool(Mailing(ToolSpec {
        name: "t.mail".into(),
        description: "writes to the outbox".into(),
        input_schema: json!({}),
        output_schema: json!({}),
        effect: Effect::Transactional,
        labels: Labels::NONE,
    }))
}

/// Leaves its step's name in the outbox.
struct Mailing(ToolSpec);

#[async_trait::async_trait]
impl Tool for Mailing {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let entry = OutboxEntry::new("mail", context.step.to_string().into());
        Ok(ToolOutput::new(input).write(ToolWrite::Outbox(entry)))
    }
}

async fn mails(world: &World) -> Vec<String> {
    let outbox = world.store.outbox(u32::MAX).await.unwrap();
    let mut mails: Vec<_> = outbox.into_iter().map(|outgoing| outgoing.entry.body.to_string()).collect();
    mails.sort();
    mails
}

fn gone() -> StoreError {
    StoreError::Backend { message: "the disk is gone".into(), retryable: true }
}

/// The kinds of steps of `recovery::step` that end the same however long they take, and have none of its other tools.
const KINDS: [u8; 20] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 24];

fn workflow(seed: u64) -> String {
    let mut chance = seed;
    let mut below = |most: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(chance >> 33).unwrap() % most
    };
    let mut yaml = "parkway: 1\ntools: { t: {} }\nsteps:\n".to_owned();
    let steps = 2 + below(5);
    for i in 0..steps {
        let mut names: Vec<usize> = (0..below(3)).filter(|_| i > 0).map(|_| below(i.max(1))).collect();
        names.sort_unstable();
        names.dedup();
        match below(KINDS.len() + 4) {
            0..2 => yaml.push_str(&format!("  s{i}: {{ tool: t.mail }}\n")),
            2..4 => yaml.push_str(&format!("  s{i}: {{ for_each: [1, 2, 3], max_parallel: 2, tool: t.mail }}\n")),
            kind => yaml.push_str(&step(i, KINDS[kind - 4], &names)),
        }
    }
    yaml + &format!("outputs: {{ end: '${{{{ steps.s{}.status }}}}' }}\n", steps - 1)
}

fn services(world: &World, store: &Arc<FaultyStore>) -> Services {
    let mut services = world.services();
    services.store = store.clone();
    services
}

/// Creates a run although the store fails.
async fn create(world: &World, store: &Arc<FaultyStore>, yaml: &str) -> RunId {
    for _ in 0..200 {
        let plan = Arc::new(world.plan(yaml).unwrap());
        let created =
            Executor::create(services(world, store), world.models(), world.control.clone(), plan, &json!({})).await;
        // A creation without an answer may have been done.
        let runs = world.store.runs(&RunFilter::default()).await.unwrap();
        if let Some(run) = runs.first() {
            if let Ok(executor) = created {
                drop(tokio::time::timeout(world.patience, executor.execute()).await.expect("hangs"));
            }
            return run.run;
        }
        assert!(created.is_err(), "a run that was created does not exist");
    }
    panic!("200 creations have failed");
}

/// One turn at a run; where it is when that ends, as far as anybody knows.
async fn turn(world: &World, store: &Arc<FaultyStore>, run: RunId) -> RunStatus {
    let plan = Arc::new(world.stored_plan(run).await);
    let taken = Executor::take_over(services(world, store), world.models(), world.control.clone(), plan, run).await;
    match taken {
        Ok(executor) => drop(tokio::time::timeout(world.patience, executor.execute()).await.expect("hangs")),
        // Who could not give the run back holds it until its lease has run out.
        Err(ExecutorError::Held(_)) => tokio::time::sleep(Duration::from_secs(31)).await,
        Err(ExecutorError::Over(..) | ExecutorError::Store(_)) => {}
        Err(other) => panic!("{other}"),
    }
    world.state(run).await.status()
}

async fn check(seed: u64, one_in: u32, delay: Duration) -> u64 {
    let yaml = workflow(seed);
    let calm = world(&Ledger::default());
    let executor = calm.create(&yaml, json!({})).await;
    signal_early(&calm, executor.run(), &[]).await;
    let (wanted, ended) = calm.drive(executor).await;
    assert!(go_on(&calm, wanted, ended.status).await.ended(), "{yaml}\n{}", calm.log(wanted).await);

    let ledger = Ledger::default();
    let world = world(&ledger);
    let store = Arc::new(FaultyStore::new(world.store.clone()));
    store.shake(seed, one_in, gone());
    if !delay.is_zero() {
        store.delay(seed, delay);
    }
    let run = create(&world, &store, &yaml).await;
    signal_early(&world, run, &[]).await;
    let mut status = RunStatus::Running;
    for _ in 0..400 {
        status = turn(&world, &store, run).await;
        assert!(store.acknowledged(run) <= world.state(run).await.head(), "an acknowledged commit is lost");
        if status == RunStatus::Waiting {
            people(&world, run).await;
        }
        if status.ended() {
            break;
        }
    }
    let log = world.log(run).await;
    let told = || format!("seed {seed}, one in {one_in}:\n{yaml}\n{log}");
    assert!(status.ended(), "{}", told());
    assert_eq!(statuses(&world, run).await, statuses(&calm, wanted).await, "{}", told());
    assert_eq!(ending(&world, run).await, ending(&calm, wanted).await, "{}", told());
    assert_eq!(mails(&world).await, mails(&calm).await, "{}", told());
    for (step, keys) in ledger.lock().unwrap().iter() {
        assert!(keys.iter().all(|key| *key == keys[0]), "{step} was called with {keys:?}; {}", told());
        if step.starts_with("t.once") {
            assert_eq!(keys.len(), 1, "{step} must not be called twice; {}", told());
        }
    }
    let operations = [StoreOperation::Commit, StoreOperation::Events, StoreOperation::Inbox, StoreOperation::Claim];
    operations.into_iter().map(|operation| store.calls(operation)).sum()
}

/// Gives a run what it waits for.
async fn people(world: &World, run: RunId) {
    let state = world.state(run).await;
    if !world.store.inbox(run).await.unwrap().is_empty() {
        return;
    }
    for step in state.steps() {
        let key = step.key.to_string();
        match step.status {
            StepStatus::InDoubt => {
                let output = world.payload(step.args.unwrap()).await;
                world.resolve(run, &key, Resolution::Done { output }).await;
            }
            StepStatus::Waiting if step.asks() => world.answer(run, &key, true).await,
            StepStatus::Waiting => match step.waiting.as_ref().map(|waiting| &waiting.what) {
                Some(WaitFor::Input { .. }) => world.fill(run, &key, json!({"n": 1})).await,
                Some(WaitFor::Signal { name, .. }) => {
                    let name = world.payload(*name).await;
                    if let Some(name) = name.as_str().filter(|name| name.starts_with("go")) {
                        world.signal(run, name, json!(1)).await;
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_by_chance_changes_how_a_run_ends() {
    let mut calls = 0;
    for seed in 0..50 {
        calls += check(seed, 6, Duration::ZERO).await;
    }
    println!("{calls} calls of a store, of which one in six failed");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_and_fails_by_chance_changes_how_a_run_ends() {
    for seed in 100..125 {
        check(seed, 8, Duration::from_millis(300)).await;
    }
}
