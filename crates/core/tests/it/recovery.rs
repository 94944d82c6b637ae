//! The log is cut where a commit may have ended, and another process goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkway_core::engine::{Control, Executor, ExecutorError, Services};
use parkway_core::id::{CommitId, RunId, Seq, WorkerId};
use parkway_core::log::{Commitment, Event, EventKind, Resolution, RunState, RunStatus, StepStatus, WaitFor};
use parkway_core::store::{Commit, Lease, Log, NewRun, Queue, RunFilter, StoreError, Write};
use parkway_core::testing::{FakeClock, FaultyStore, MemoryStore, Moment, StopAt, StoreOperation, WritePoint};
use parkway_core::tool::{Effect, ToolError};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::check::{Acting, World, compare};

/// How often each step was called.
pub(crate) type Calls = Arc<Mutex<BTreeMap<String, u32>>>;

pub(crate) fn counted(calls: &Calls) -> World {
    let mut world = World::paced();
    for (name, effect) in [
        ("t.pure", Effect::Pure),
        ("t.read", Effect::Read),
        ("t.write", Effect::Idempotent),
        ("t.bad", Effect::Pure),
        ("t.once", Effect::AtMostOnce),
    ] {
        let calls = calls.clone();
        world = world.tool(Acting::new(name, effect, move |input, context| {
            *calls.lock().unwrap().entry(context.step.to_string()).or_default() += 1;
            async move {
                tokio::task::yield_now().await;
                if name == "t.bad" { Err(ToolError::invalid("broken", "always")) } else { Ok(input) }
            }
        }));
    }
    // Loses the line at its first attempt.
    world.tool(Acting::new("t.lost", Effect::AtMostOnce, |input, context| async move {
        if context.attempt == 1 { Err(ToolError::transient("net", "the line broke")) } else { Ok(input) }
    }))
}

/// A world whose store holds the first events of a run, as a process that ended there left it.
async fn cut(world: &World, calls: &Calls, run: RunId, events: &[Event]) -> World {
    // The other process goes on at that time, so that timers mean the same.
    let at = events.last().unwrap().at;
    let copy = World { worker: "two", ..counted(calls).at(Arc::new(FakeClock::new(at).paced())) };
    plant(world, &copy, run, events).await;
    copy
}

/// Puts the first events of a run of `world` into the store of `copy`, as a process that ended there left it.
pub(crate) async fn plant(world: &World, copy: &World, run: RunId, events: &[Event]) {
    let mut payloads = Vec::new();
    for event in events {
        let text = String::from_utf8(event.to_bytes().unwrap()).unwrap();
        let commitments: Vec<Commitment> = text.split('"').filter_map(|part| part.parse().ok()).collect();
        payloads.extend(world.store.payloads(&commitments).await.unwrap().into_iter().flatten());
    }
    let state = RunState::replay(run, Arc::new(world.stored_plan(run).await), events).expect("a legal prefix");
    let last = events.last().unwrap();
    let lease = Lease { run, worker: WorkerId::new("one"), fence: last.fence };
    let new = NewRun { run, tenant: "default".into(), workflow: "test".into(), at: last.at, parent: None };
    let commit = Commit {
        id: CommitId::new([1; 16]),
        lease: lease.clone(),
        expect: Seq(0),
        events: {
            let mut events = events.to_vec();
            // One commit has one fence.
            events.iter_mut().for_each(|event| event.fence = last.fence);
            events
        },
        payloads,
        writes: vec![Write::Enqueue(new)],
        status: state.status(),
        wake: state.wake(),
    };
    copy.store.commit(commit).await.unwrap();
    copy.store.release(&lease, None).await.unwrap();
}

pub(crate) async fn statuses(world: &World, run: RunId) -> BTreeMap<String, StepStatus> {
    world.state(run).await.steps().iter().map(|step| (step.key.to_string(), step.status)).collect()
}

pub(crate) async fn ending(world: &World, run: RunId) -> Value {
    match world.events(run).await.pop().unwrap().kind {
        EventKind::RunCompleted { outputs } => world.payload(outputs).await,
        EventKind::RunFailed { reason } => json!(reason.code),
        EventKind::RunCancelled => json!("cancelled"),
        other => panic!("{other:?}"),
    }
}

/// Goes on with a run until it ends: whatever it waits for, somebody gives it.
pub(crate) async fn go_on(world: &World, run: RunId, mut status: RunStatus) -> RunStatus {
    for _ in 0..100 {
        if status.ended() {
            break;
        }
        let state = world.state(run).await;
        for step in state.steps() {
            let key = step.key.to_string();
            match step.status {
                StepStatus::InDoubt => {
                    let output = world.payload(step.args.unwrap()).await;
                    let outcome = match output["how"].as_str() {
                        Some("redo") => Resolution::Redo,
                        Some("not_done") => Resolution::NotDone,
                        _ => Resolution::Done { output },
                    };
                    world.resolve(run, &key, outcome).await;
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
        status = world.resume(run).await.unwrap().status;
    }
    status
}

/// Cuts the run of a workflow at every event, resumes it, and compares how it ends.
async fn check_every_cut(yaml: &str) {
    let calls = Calls::default();
    let world = counted(&calls);
    let executor = world.create(yaml, json!({})).await;
    signal_early(&world, executor.run(), &[]).await;
    let (run, ended) = world.drive(executor).await;
    let status = go_on(&world, run, ended.status).await;
    assert!(status.ended(), "{yaml}\n{}", world.log(run).await);
    check_cuts(&world, &calls, run, 1, yaml).await;
}

/// Signals that come before anybody waits for them, but for those that have come.
pub(crate) async fn signal_early(world: &World, run: RunId, came: &[Value]) {
    for i in 0..6 {
        let name = format!("early{i}");
        if !came.contains(&json!(name)) {
            world.signal(run, &name, json!(i)).await;
        }
    }
}

/// Cuts a run that has ended at every event from `first` on, resumes it, and compares how it ends: each step, and what
/// the run says.
pub(crate) async fn check_cuts(world: &World, calls: &Calls, run: RunId, first: usize, yaml: &str) {
    let expected = (statuses(world, run).await, ending(world, run).await);
    for at in first..world.events(run).await.len() {
        let copy = check_cut(world, calls, run, at, yaml).await;
        let found = (statuses(&copy, run).await, ending(&copy, run).await);
        assert_eq!(found, expected, "cut after {at} events of\n{yaml}\n{}", copy.log(run).await);
    }
}

/// Cuts a run that has ended after `at` events, and resumes it: it ends, with the same status, and no step is called
/// again that had ended. What else is compared is the caller's, in the world that is returned.
pub(crate) async fn check_cut(world: &World, calls: &Calls, run: RunId, at: usize, yaml: &str) -> World {
    let events = world.events(run).await;
    let reopened = events[..at].iter().rposition(|event| matches!(event.kind, EventKind::RunReopened { .. }));
    let ends = |(at, event): &(usize, &Event)| match event.kind {
        EventKind::StepCompleted { .. } => true,
        // A failure before the run was reopened is no end.
        EventKind::StepFailed { .. } => reopened.is_none_or(|reopened| *at > reopened),
        _ => false,
    };
    let done: BTreeSet<String> = events[..at]
        .iter()
        .enumerate()
        .filter(ends)
        .filter_map(|(_, event)| event.kind.key().map(ToString::to_string))
        .collect();
    calls.lock().unwrap().clear();
    let copy = cut(world, calls, run, &events[..at]).await;
    let mut came = Vec::new();
    for event in &events[..at] {
        if let EventKind::SignalReceived { name, kept: None, .. } = &event.kind {
            came.push(copy.payload(*name).await);
        }
    }
    signal_early(&copy, run, &came).await;
    let ended = copy.resume(run).await.unwrap();
    let status = go_on(&copy, run, ended.status).await;
    let expected = world.state(run).await.status();
    assert_eq!(status, expected, "cut after {at} events of\n{yaml}\n{}", copy.log(run).await);
    for (step, count) in calls.lock().unwrap().iter() {
        assert!(!done.contains(step), "{step} had ended, and was called again");
        assert_eq!(*count, 1, "{step} was called {count} times by one process");
    }
    copy
}

/// One step of a generated workflow: what it does, and which earlier steps it names.
pub(crate) fn step(i: usize, kind: u8, names: &[usize]) -> String {
    let list: Vec<_> = names.iter().map(|n| format!("steps.s{n}.output")).collect();
    let value = format!("\"${{{{ [{}] | length }}}}\"", list.join(", "));
    let body = match kind {
        0 => format!("set: {{ n: {value} }}"),
        1 => format!("tool: t.pure, with: {{ n: {value} }}"),
        2 => format!("tool: t.read, with: {{ n: {value} }}"),
        3 => format!("tool: t.write, with: {{ n: {value} }}"),
        4 => format!("if: \"{} > 1\", set: {{ n: 1 }}", list.len()),
        5 => format!(
            "steps: {{ a{i}: {{ tool: t.read, with: {{ n: {value} }} }}, b{i}: {{ set: {{ n: \"${{{{ steps.a{i}.output }}}}\" }} }} }}, result: \"${{{{ steps.b{i}.output.n }}}}\""
        ),
        6 => format!(
            "for_each: [1, 2, 3], max_parallel: 2, tool: t.write, with: {{ n: {value}, item: '${{{{ item }}}}' }}"
        ),
        7 => format!(
            "for_each: [x, y], key: item, steps: {{ a{i}: {{ set: {{ n: {value} }} }}, b{i}: {{ tool: t.pure, with: {{ n: '${{{{ steps.a{i}.output }}}}' }} }} }}"
        ),
        8 => format!("tool: t.bad, on_error: continue, with: {{ n: {value} }}"),
        9 => format!("for_each: [1, 2], on_item_error: collect, max_parallel: 1, tool: t.bad, with: {{ n: {value} }}"),
        10 => format!("if: \"{} >= 0\", wait: 3s", list.len()),
        11 => format!("input: {{ prompt: {value}, output: {{ n: {{ type: integer }} }} }}"),
        12 => format!("wait: {{ signal: 'go{i}' }}"),
        13 => {
            format!("repeat: {{ until: index == 1, max: 3, delay: 2s }}, tool: t.write, with: {{ n: {value} }}")
        }
        14 => format!(
            "repeat: {{ until: 'previous.b{i}.n == 1', max: 2 }}, steps: {{ a{i}: {{ wait: 1s }}, b{i}: {{ needs: [a{i}], tool: t.read, with: {{ n: '${{{{ index }}}}' }} }} }}"
        ),
        15 => format!(
            "timeout: 5s, on_error: continue, steps: {{ a{i}: {{ wait: 30s }}, b{i}: {{ tool: t.read, with: {{ n: {value} }} }}, c{i}: {{ needs: [a{i}], run_if: always, tool: t.write, with: {{ n: 1 }} }}, d{i}: {{ needs: [a{i}], set: {{ n: 1 }} }} }}"
        ),
        16 => format!("repeat: {{ until: 'false', max: 2 }}, on_error: continue, set: {{ n: {value} }}"),
        17 => format!("for_each: [1, 2, 3], max_parallel: 2, if: \"{} >= 0\", wait: 2s", list.len()),
        18 => format!("tool: t.once, with: {{ n: {value} }}"),
        19 => format!("steps: {{ a{i}: {{ wait: 1s }}, b{i}: {{ needs: [a{i}], wait: {{ signal: 'early{i}' }} }} }}"),
        20 => format!("tool: t.lost, with: {{ n: {value}, how: redo }}"),
        21 => format!("tool: t.lost, retry: {{ max: 3, initial: 1s }}, with: {{ n: {value}, how: not_done }}"),
        22 => format!("tool: t.lost, on_error: continue, with: {{ n: {value}, how: not_done }}"),
        23 => format!("tool: t.lost, with: {{ n: {value}, how: done }}"),
        _ => format!(
            "for_each: [1, 2], max_parallel: 1, steps: {{ a{i}: {{ input: {{ prompt: {value}, output: {{ n: {{ type: integer }} }} }} }}, b{i}: {{ repeat: {{ until: previous.n == 1, max: 2 }}, set: {{ n: '${{{{ index }}}}' }} }} }}"
        ),
    };
    format!("  s{i}: {{ {body} }}\n")
}

/// How many kinds of steps there are.
pub(crate) const KINDS: u8 = 25;

pub(crate) fn workflow() -> impl Strategy<Value = String> {
    let steps = prop::collection::vec((0..KINDS, prop::collection::vec(any::<prop::sample::Index>(), 0..3)), 1..7);
    (steps, any::<bool>()).prop_map(|(steps, fails)| {
        let mut yaml = "parkway: 1\ntools: { t: {} }\nsteps:\n".to_owned();
        for (i, (kind, names)) in steps.iter().enumerate() {
            let names: BTreeSet<_> = names.iter().filter(|_| i > 0).map(|name| name.index(i.max(1))).collect();
            yaml.push_str(&step(i, *kind, &names.into_iter().collect::<Vec<_>>()));
        }
        let last = steps.len() - 1;
        if fails {
            // After all others, for what still runs when a run fails is a matter of chance.
            let all: Vec<_> = (0..=last).map(|i| format!("s{i}")).collect();
            yaml.push_str(&format!("  bad: {{ needs: [{}], run_if: always, tool: t.bad }}\n", all.join(", ")));
            yaml.push_str("  clean: { needs: [bad], run_if: failed, tool: t.write }\n");
        }
        yaml.push_str(&format!("outputs: {{ end: '${{{{ steps.s{last}.status }}}}' }}\n"));
        yaml
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_at_any_event_changes_nothing(yaml in workflow()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(check_every_cut(&yaml));
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_event_of_any_kind_of_step_changes_nothing() {
    for kind in 0..KINDS {
        let steps = [step(0, 0, &[]), step(1, kind, &[0]), step(2, 3, &[1])];
        check_every_cut(&format!("parkway: 1\ntools: {{ t: {{}} }}\nsteps:\n{}", steps.concat())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_around_a_deadline_changes_nothing() {
    check_every_cut(
        "
parkway: 1
tools: { t: {} }
deadline: 20s
steps:
  group: { timeout: 1h, steps: { a: { wait: 5s }, b: { needs: [a], wait: 1h }, c: { needs: [b], run_if: always, tool: t.write } } }
  poll: { repeat: { until: 'false', max: 100, delay: 3s }, tool: t.read }
  each: { for_each: [1, 2, 3], max_parallel: 1, on_item_error: collect, wait: 9s }
  clean: { needs: [poll], run_if: always, tool: t.write }
",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_a_cancel_changes_nothing() {
    let calls = Calls::default();
    let world = counted(&calls);
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  group: { steps: { a: { wait: 1h }, b: { needs: [a], run_if: always, steps: { c: { wait: 3s }, d: { needs: [c], tool: t.write } } } } }
  poll: { repeat: { until: 'false', max: 100, delay: 3s }, tool: t.read }
  ask: { approve: { prompt: go? } }
  each: { for_each: [1, 2, 3], max_parallel: 1, wait: 9s }
  clean: { needs: [poll], run_if: always, wait: 1h }
";
    let executor = world.create(yaml, json!({})).await;
    let run = executor.run();
    let going = tokio::spawn(executor.execute());
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.cancel(run).await;
    assert_eq!(going.await.unwrap().unwrap().status, RunStatus::Cancelled);
    let events = world.events(run).await;
    let asked = events.iter().position(|event| matches!(event.kind, EventKind::CancelRequested { .. })).unwrap();
    check_cuts(&world, &calls, run, asked + 1, yaml).await;
}

#[tokio::test]
async fn a_second_crash_does_not_make_two_calls_of_one() {
    let calls = Calls::default();
    let world = counted(&calls);
    let yaml = "parkway: 1\ntools: { t: {} }\nsteps: { a: { tool: t.read } }";
    let (run, _) = world.run(yaml, json!({})).await;
    let mut world = world;
    for _ in 0..3 {
        let events = world.events(run).await;
        let started = events.iter().rposition(|event| matches!(event.kind, EventKind::StepStarted { .. })).unwrap();
        calls.lock().unwrap().clear();
        let mut events = events[..=started].to_vec();
        // The store of a test is filled by one commit, which has one fence.
        let fence = events.last().unwrap().fence;
        events.iter_mut().for_each(|event| event.fence = fence);
        world = cut(&world, &calls, run, &events).await;
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
        assert_eq!(calls.lock().unwrap()["a"], 1);
    }
}

#[tokio::test]
async fn a_call_that_must_not_be_repeated_is_in_doubt_after_a_crash() {
    let calls = Calls::default();
    let world = counted(&calls);
    let yaml = "parkway: 1\ntools: { t: {} }\nsteps: { ask: { approve: { prompt: go? } }, send: { needs: [ask], tool: t.once } }";
    let (run, _) = world.run(yaml, json!({})).await;
    world.answer(run, "ask", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    let mut events = world.events(run).await;
    let started = events.iter().position(|event| matches!(event.kind, EventKind::StepStarted { .. })).unwrap();
    events.truncate(started + 1);
    let fence = events.last().unwrap().fence;
    events.iter_mut().for_each(|event| event.fence = fence);
    calls.lock().unwrap().clear();
    let copy = cut(&world, &calls, run, &events).await;
    assert_eq!(copy.resume(run).await.unwrap().status, RunStatus::Waiting);
    assert!(calls.lock().unwrap().is_empty());
    let log = copy.log(run).await;
    assert!(
        log.ends_with("step_in_doubt send crash: the process that made the call ended before the outcome was known"),
        "{log}"
    );
    // It stays in doubt, also for a caller who would wait for a person's answer.
    let mut copy = copy;
    copy.control.stay = true;
    assert_eq!(copy.resume(run).await.unwrap().status, RunStatus::Waiting);
    // A cancel does not make it known either.
    assert_eq!(statuses(&copy, run).await["send"], StepStatus::InDoubt);
}

#[tokio::test]
async fn a_run_that_is_held_is_not_taken_over() {
    let world = World::new();
    let executor = world.create("parkway: 1\nsteps: { a: { set: { n: 1 } } }", json!({})).await;
    let run = executor.run();
    let second = World { store: world.store.clone(), worker: "two", ..World::new() };
    assert!(matches!(second.resume(run).await, Err(ExecutorError::Held(held)) if held == run));
    executor.execute().await.unwrap();
    assert!(matches!(second.resume(run).await, Err(ExecutorError::Over(_, RunStatus::Completed))));
}

/// Those of a worker that is stopped after its claim of that number, past its lease, while another one takes `run` over and
/// ends it.
pub(crate) fn stopped_after_claim(world: &World, number: u32, run: RunId) -> Services {
    let (other, lease) = (world.beside(), Duration::from_millis(10));
    let store = StopAt::new(world.store.clone(), move |point, moment, nth| {
        if (point, moment, nth) == (WritePoint::Claim, Moment::After, number) {
            std::thread::sleep(2 * lease);
            // A thread that waits within one runtime cannot wait within another.
            let ending = || tokio::runtime::Runtime::new().unwrap().block_on(other.resume(run)).unwrap();
            std::thread::scope(|scope| drop(scope.spawn(ending)));
        }
    });
    let mut services = world.services();
    (services.store, services.lease) = (Arc::new(store), lease);
    services
}

#[tokio::test]
async fn a_run_that_another_ended_since_it_was_claimed_is_taken_for_a_broken_one() {
    let world = World::new();
    let (run, _) = world.run("parkway: 1\nsteps: { ask: { approve: { prompt: p } } }", json!({})).await;
    world.answer(run, "ask", true).await;
    let services = stopped_after_claim(&world, 1, run);
    let plan = Arc::new(world.stored_plan(run).await);
    let taken = Executor::take_over(services, world.models(), Control::default(), plan, run).await;
    assert!(matches!(taken, Err(ExecutorError::Over(_, RunStatus::Completed))), "{taken:?}");
}

#[tokio::test]
async fn other_tools_than_the_plans_do_not_take_the_run() {
    let world = World::new();
    let (run, _) = world
        .run("parkway: 1\nsteps: { ask: { approve: { prompt: p } }, b: { needs: [ask], tool: t.echo } }", json!({}))
        .await;
    let changed =
        World { store: world.store.clone(), ..World::new() }
            .tool(Acting::new("t.echo", Effect::Read, |_, _| async { Ok(json!(1)) }));
    let error = changed.resume(run).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "this program's tools differ from those of the run's plan: the tool `t.echo` has another description, schema or effect"
    );
    world.answer(run, "ask", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
}

#[tokio::test]
async fn a_stop_cuts_off_what_may_be_repeated_and_the_run_goes_on_later() {
    let calls = Arc::new(AtomicU32::new(0));
    let (seen, started) = (calls.clone(), Arc::new(tokio::sync::Notify::new()));
    let said = started.clone();
    let world = World::new().tool(Acting::new("t.slow", Effect::Pure, move |_, _| {
        let n = seen.fetch_add(1, Ordering::SeqCst);
        said.notify_one();
        async move {
            tokio::time::sleep(Duration::from_secs(if n == 0 { 60 } else { 0 })).await;
            Ok(json!(n))
        }
    }));
    let executor = world.create("parkway: 1\nsteps: { a: { tool: t.slow } }", json!({})).await;
    let run = executor.run();
    let going = tokio::spawn(executor.execute());
    started.notified().await;
    world.control.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), going).await.expect("hangs").unwrap().unwrap();
    assert!(ended.stopped && ended.status == RunStatus::Running);
    let again = World { control: parkway_core::engine::Control::default(), ..world };
    assert_eq!(again.resume(run).await.unwrap().status, RunStatus::Completed);
    compare(
        &again,
        run,
        r##"
            step_started a #1 {}
            run_claimed
            step_started a #2 {}
            step_completed a 1
            run_completed {}
"##,
    )
    .await;
}

fn gone() -> StoreError {
    StoreError::Backend { message: "the disk is gone".into(), retryable: false }
}

/// The world's services, on a store that can be told to fail.
fn faulty(world: &World) -> (Services, Arc<FaultyStore>) {
    let store = Arc::new(FaultyStore::new(world.store.clone()));
    let mut services = world.services();
    services.store = store.clone();
    (services, store)
}

async fn is_held(world: &World, run: RunId) -> bool {
    world.store.runs(&RunFilter { run: Some(run), ..RunFilter::default() }).await.unwrap()[0].held
}

#[tokio::test]
async fn a_failed_commit_ends_the_executor_before_the_effect_and_the_run_goes_on_later() {
    let calls = Calls::default();
    let world = counted(&calls);
    let (mut services, store) = faulty(&world);
    let breaks = store.clone();
    let mut tools = world.tools.clone();
    tools.insert(Arc::new(Acting::new("t.bad", Effect::Pure, move |_, _| {
        breaks.fail(StoreOperation::Commit, gone());
        async { Ok(json!(1)) }
    })));
    services.tools = Arc::new(tools);
    let yaml = "parkway: 1\ntools: { t: {} }\nsteps: { a: { tool: t.bad, on_error: continue }, b: { needs: [a], tool: t.write } }";
    let plan = Arc::new(world.plan(yaml).unwrap());
    let executor = Executor::create(services, world.models(), world.control.clone(), plan, &json!({})).await.unwrap();
    let run = executor.run();
    let error = tokio::time::timeout(Duration::from_secs(5), executor.execute()).await.expect("hangs").unwrap_err();
    assert!(error.to_string().contains("the disk is gone"), "{error}");
    assert!(calls.lock().unwrap().is_empty(), "the effect happened before its intent was on disk");
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(calls.lock().unwrap()["b"], 1);
}

#[tokio::test]
async fn a_run_that_cannot_be_taken_over_is_not_held_by_who_tried() {
    let world = World::new();
    let (run, _) = world.run("parkway: 1\nsteps: { ask: { approve: { prompt: go? } } }", json!({})).await;
    // Nobody has read the answer, so that the run cannot be given back as it was.
    world.answer(run, "ask", true).await;
    let (services, store) = faulty(&world);
    store.fail(StoreOperation::Events, gone());
    let plan = Arc::new(world.stored_plan(run).await);
    let taken = Executor::take_over(services, world.models(), world.control.clone(), plan, run).await;
    assert!(taken.unwrap_err().to_string().contains("the disk is gone"));
    assert!(!is_held(&world, run).await);
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
}

#[tokio::test]
async fn a_run_whose_creation_got_no_answer_is_not_held() {
    let world = World::new();
    let (services, store) = faulty(&world);
    store.lose_answers(StoreOperation::Commit, gone());
    let plan = Arc::new(world.plan("parkway: 1\nsteps: { a: { set: { n: 1 } } }").unwrap());
    let created = Executor::create(services, world.models(), world.control.clone(), plan, &json!({})).await;
    assert!(created.unwrap_err().to_string().contains("the disk is gone"));
    let run = world.store.runs(&RunFilter::default()).await.unwrap()[0].run;
    assert!(!is_held(&world, run).await);
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
}

#[tokio::test]
async fn an_executor_that_fails_with_unread_messages_does_not_keep_the_run() {
    let world = World::new();
    let (run, _) = world.run("parkway: 1\nsteps: { ask: { approve: { prompt: go? } } }", json!({})).await;
    world.answer(run, "ask", true).await;
    let (services, store) = faulty(&world);
    let plan = Arc::new(world.stored_plan(run).await);
    let executor = Executor::take_over(services, world.models(), world.control.clone(), plan, run).await.unwrap();
    store.fail(StoreOperation::Inbox, gone());
    assert!(executor.execute().await.unwrap_err().to_string().contains("the disk is gone"));
    assert!(!is_held(&world, run).await);
}

#[tokio::test(start_paused = true)]
async fn a_stop_keeps_the_run_while_a_call_has_its_grace_time_and_records_the_doubt() {
    let clock = Arc::new(FakeClock::default());
    let started = Arc::new(tokio::sync::Notify::new());
    let said = started.clone();
    let mut world = World::new().tool(Acting::new("t.once", Effect::AtMostOnce, move |_, _| {
        said.notify_one();
        std::future::pending::<Result<Value, ToolError>>()
    }));
    world.store = Arc::new(MemoryStore::new(clock.clone()));
    world.control.stay = true;
    let mut services = world.services();
    (services.clock, services.lease) = (clock.clone(), Duration::from_secs(10));
    let yaml = "parkway: 1\ntools: { t: {} }\nsteps: { send: { tool: t.once } }";
    let plan = Arc::new(world.plan(yaml).unwrap());
    let executor = Executor::create(services, world.models(), world.control.clone(), plan, &json!({})).await.unwrap();
    let run = executor.run();
    let going = tokio::spawn(executor.execute());
    while world.state(run).await.asking().next().is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.answer(run, "send", true).await;
    started.notified().await;
    world.control.stop.cancel();
    tokio::time::sleep(Duration::from_secs(1)).await;
    clock.advance(Duration::from_secs(15));
    assert!(is_held(&world, run).await, "another process could take the run during the call");
    let ended = going.await.unwrap().unwrap();
    assert!(ended.stopped && ended.status == RunStatus::Waiting, "{ended:?}");
    let log = world.log(run).await;
    assert!(log.ends_with("step_in_doubt send cancelled: the call was stopped"), "{log}");
    assert!(!is_held(&world, run).await);
}
