//! Workflows with a run of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parkway_core::engine::{Author, Control, Executor, Outside, record_outside};
use parkway_core::id::{CommitId, RunId, Seq, WorkerId};
use parkway_core::log::{Channel, Commitment, EventKind, Resolution, RunStatus, StepStatus, WaitFor};
use parkway_core::store::{Commit, Lease, Log, Message, NewRun, Queue, RunFilter, Write};
use parkway_core::testing::MemoryStore;
use parkway_core::tool::{Cancel, Effect, ToolContext, ToolError};
use parkway_core::workflow::Plan;
use serde_json::{Value, json};

use crate::check::{Acting, Vault, World, compare};
use crate::recovery::stopped_after_claim;
use crate::subworkflows::{called, calling};

/// A plan whose step `sub` is a workflow with a run of its own.
fn parent(world: &World, caller: &str, child: &str) -> Plan {
    calling(world, caller, child, true)
}

async fn run(world: &World, plan: Plan) -> (RunId, RunId, RunStatus) {
    let (run, ended) = world.drive(world.create_plan(plan, json!({})).await).await;
    (run, run.child(&"sub".parse().unwrap()), ended.status)
}

const GREETING: &str = "
inputs: { name: { type: string, default: you } }
steps: { one: { set: { text: 'hello ${{ inputs.name }}' } } }
outputs: { text: '${{ steps.one.output.text }}' }";

const ASKING: &str = "
inputs: { name: { type: string, default: you } }
steps: { confirm: { approve: { prompt: 'greet ${{ inputs.name }}?' } } }
outputs: { note: '${{ steps.confirm.output.by }}' }";

#[tokio::test]
async fn a_run_of_its_own_gives_its_outputs_to_the_step() {
    let world = World::new();
    let plan = parent(
        &world,
        "steps:\n  sub: { set: { name: Ada } }\noutputs: { got: '${{ steps.sub.output.text }}' }",
        GREETING,
    );
    let (run, child, _) = run(&world, plan).await;
    compare(
        &world,
        run,
        r#"
        step_started sub #1 {"name":"Ada"}
        step_completed sub {"text":"hello Ada"}
        run_completed {"got":"hello Ada"}
        "#,
    )
    .await;
    let state = world.state(child).await;
    assert_eq!(state.status(), RunStatus::Completed);
    let made_for = state.parent().unwrap();
    assert_eq!((made_for.run, made_for.step.to_string().as_str()), (run, "sub"));
    assert_eq!(world.store.runs(&RunFilter::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn each_item_has_a_run_and_labels_cross_over() {
    let world = World::new();
    let caller = "
steps:
  letter: { tool: t.letter, with: {} }
  sub: { for_each: [a, b, c], set: { name: '${{ item }} ${{ steps.letter.output.text }}' } }
outputs: { all: '${{ steps.sub.output }}' }";
    let (run, _, _) = run(&world, parent(&world, caller, GREETING)).await;
    let text = |item: &str| json!({"text": format!("hello {item} dear all")});
    assert_eq!(world.outputs(run).await, json!({"all": [text("a"), text("b"), text("c")]}));
    let state = world.state(run).await;
    assert!(state.step(&"sub[2]".parse().unwrap()).unwrap().labels.untrusted);
    let child = world.state(run.child(&"sub[2]".parse().unwrap())).await;
    assert!(child.steps()[0].labels.untrusted);
}

#[tokio::test]
async fn the_failure_of_the_run_is_the_steps() {
    let world = World::new();
    let caller = "
steps: { sub: { on_error: continue, set: {} } }
outputs: { code: '${{ steps.sub.error.code }}', message: '${{ steps.sub.error.message }}' }";
    for (child_steps, code, said) in [
        ("steps: { bad: { tool: t.fail, with: { value: 1 } } }", "broken", "failed at `bad`: told to fail with 1"),
        ("steps: { one: { set: { n: 1 } } }\nensure: [ 'steps.one.output.n == 2' ]", "ensure", "does not hold"),
    ] {
        let (run, child, _) = run(&world, parent(&world, caller, child_steps)).await;
        let outputs = world.outputs(run).await;
        assert_eq!(outputs["code"], code);
        let message = outputs["message"].as_str().unwrap();
        assert!(
            message.starts_with(&format!("run {child} of `child.yaml` failed")) && message.contains(said),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_run_that_another_ended_since_it_was_claimed_fails_its_step() {
    let world = World::new();
    let caller = "steps: { sub: { set: {} } }\noutputs: { by: '${{ steps.sub.output.note }}' }";
    let (run, child, _) = run(&world, parent(&world, caller, ASKING)).await;
    world.answer(child, "confirm", true).await;
    // The first claim is that of the parent.
    let services = stopped_after_claim(&world, 2, child);
    let plan = Arc::new(world.stored_plan(run).await);
    let executor = Executor::take_over(services, world.models(), Control::default(), plan, run).await.unwrap();
    assert_eq!(executor.execute().await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(world.outputs(run).await, json!({"by": "ada"}));
}

#[tokio::test]
async fn a_run_that_waits_for_a_person_lets_its_parent_wait_and_go_on() {
    for resumed_alone in [false, true] {
        let world = World::new();
        let caller =
            "steps: { sub: { set: {} }, beside: { set: { n: 1 } } }\noutputs: { by: '${{ steps.sub.output.note }}' }";
        let (run, child, status) = run(&world, parent(&world, caller, ASKING)).await;
        assert_eq!(status, RunStatus::Waiting);
        let state = world.state(run).await;
        let step = state.step(&"sub".parse().unwrap()).unwrap();
        assert_eq!(step.status, StepStatus::Waiting);
        assert_eq!(step.waiting.as_ref().unwrap().what, WaitFor::Run { run: child, wake: None });
        // Nobody has said anything: the parent waits again.
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
        world.answer(child, "confirm", true).await;
        if resumed_alone {
            assert_eq!(world.resume(child).await.unwrap().status, RunStatus::Completed);
        }
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
        assert_eq!(world.outputs(run).await, json!({"by": "ada"}));
        assert_eq!(world.state(child).await.status(), RunStatus::Completed);
    }
}

#[tokio::test]
async fn what_was_erased_of_a_run_is_nothing_to_its_parent() {
    let world = World::new();
    let caller = "steps: { sub: { on_error: continue, set: {} } }\noutputs: { code: '${{ steps.sub.error.code }}' }";
    let (run, child, _) = run(&world, parent(&world, caller, ASKING)).await;
    world.answer(child, "confirm", true).await;
    world.resume(child).await.unwrap();
    let EventKind::RunCompleted { outputs } = world.events(child).await.pop().unwrap().kind else { panic!() };
    let erased = Outside::Erase { payloads: vec![outputs], note: "old".into() };
    record_outside(&world.services(), &Author::new("ada", Channel::Command), &[erased]).await.unwrap();
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"code": "erased"}));
}

#[tokio::test]
async fn a_parent_that_stays_goes_on_when_its_run_is_answered() {
    let mut world = World::new();
    world.control.stay = true;
    let world = Arc::new(world);
    let caller = "steps: { sub: { set: {} } }\noutputs: { by: '${{ steps.sub.output.note }}' }";
    let executor = world.create_plan(parent(&world, caller, ASKING), json!({})).await;
    let run = executor.run();
    let child = run.child(&"sub".parse().unwrap());
    let driven = tokio::spawn(executor.execute());
    wait_until(&world, run, |status| status == StepStatus::Waiting).await;
    world.answer(child, "confirm", true).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), driven).await.unwrap().unwrap().unwrap();
    assert_eq!(ended.status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"by": "ada"}));
}

/// Waits until the step `sub` of a run stands so.
async fn wait_until(world: &World, run: RunId, stands: impl Fn(StepStatus) -> bool) {
    for _ in 0..500 {
        let state = world.state(run).await;
        if state.step(&"sub".parse().unwrap()).is_some_and(|step| stands(step.status)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{}", world.log(run).await);
}

async fn cancel(world: &World, run: RunId) {
    let message = Message::Cancel { note: None, by: "ada".into(), via: Channel::Command };
    world.store.signal(run, message).await.unwrap();
}

#[tokio::test]
async fn cancelling_a_parent_cancels_the_run_that_waits() {
    let world = World::new();
    let (run, child, _) = run(&world, parent(&world, "steps: { sub: { set: {} } }", ASKING)).await;
    cancel(&world, run).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(world.state(child).await.status(), RunStatus::Cancelled);
    assert!(world.log(run).await.contains("step_cancelled sub"));
}

fn hanging(calls: &Arc<AtomicU32>) -> Acting<impl Fn(Value, ToolContext) -> Hang + use<>> {
    let calls = calls.clone();
    Acting::new("t.hang", Effect::Read, move |_, _| -> Hang {
        let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            if first {
                std::future::pending::<()>().await;
            }
            Ok(json!("done"))
        })
    })
}

type Hang = std::pin::Pin<Box<dyn Future<Output = Result<Value, ToolError>> + Send>>;

const HANGING: &str = "
steps: { hang: { tool: t.hang, with: {} }, after: { run_if: always, needs: [hang], set: { n: 1 } } }
outputs: { said: '${{ steps.hang.output if steps.hang.status == \"completed\" else none }}' }";

#[tokio::test]
async fn cancelling_a_parent_cancels_the_run_that_runs() {
    let calls = Arc::new(AtomicU32::new(0));
    let world = Arc::new(World::new().tool(hanging(&calls)));
    let executor = world.create_plan(parent(&world, "steps: { sub: { set: {} } }", HANGING), json!({})).await;
    let run = executor.run();
    let driven = tokio::spawn(executor.execute());
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancel(&world, run).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), driven).await.unwrap().unwrap().unwrap();
    assert_eq!(ended.status, RunStatus::Cancelled);
    let child = world.log(run.child(&"sub".parse().unwrap())).await;
    assert!(child.contains("step_cancelled hang") && child.contains(r#"step_completed after {"n":1}"#), "{child}");
    assert!(child.ends_with("run_cancelled"), "{child}");
}

#[tokio::test]
async fn a_failure_elsewhere_ends_the_wait_for_a_run() {
    let world = World::new();
    let caller = "steps: { sub: { set: {} }, confirm: { approve: { prompt: ok? } }, bad: { needs: [confirm], tool: t.fail, with: {} } }";
    let (run, child, status) = run(&world, parent(&world, caller, ASKING)).await;
    assert_eq!(status, RunStatus::Waiting);
    world.answer(run, "confirm", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Failed);
    assert_eq!(world.state(child).await.status(), RunStatus::Cancelled);
    assert!(world.log(run).await.contains("step_cancelled sub"));
}

#[tokio::test]
async fn a_stop_leaves_the_run_as_it_stands_and_it_is_resumed_with_its_parent() {
    let calls = Arc::new(AtomicU32::new(0));
    let mut world = World::new().tool(hanging(&calls));
    world.control.stop = Cancel::new();
    let caller = "steps: { sub: { set: {} } }\noutputs: { said: '${{ steps.sub.output.said }}' }";
    let executor = world.create_plan(parent(&world, caller, HANGING), json!({})).await;
    let run = executor.run();
    let driven = tokio::spawn(executor.execute());
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.control.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), driven).await.unwrap().unwrap().unwrap();
    assert!(ended.stopped && ended.status == RunStatus::Running);
    world.control = Control::default();
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"said": "done"}));
    assert_eq!(world.state(run.child(&"sub".parse().unwrap())).await.steps()[0].attempt, 2);
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_cancelled_and_fails_its_step() {
    let calls = Arc::new(AtomicU32::new(0));
    let world = World::new().tool(hanging(&calls));
    let mut hanging = parent(&world, "steps: { sub: { set: {} } }", HANGING);
    let mut asking = parent(&world, "steps: { sub: { set: {} } }", ASKING);
    for plan in [&mut hanging, &mut asking] {
        plan.graph.nodes[0].timeout_ms = Some(300);
    }
    for plan in [hanging, asking] {
        let (run, child, status) = run(&world, plan).await;
        assert_eq!(status, RunStatus::Failed);
        let log = world.log(run).await;
        let expected = format!("step_failed sub timeout: run {child} of `child.yaml` took longer than 300ms");
        assert!(log.contains(&expected), "{log}");
        assert_eq!(world.state(child).await.status(), RunStatus::Cancelled);
    }
}

/// A parent's log is cut right after the step began: the process ended before the run had its first event.
#[tokio::test]
async fn a_crash_before_the_run_began_is_made_good() {
    let world = World::new();
    let caller = "steps: { sub: { set: { name: Ada } } }\noutputs: { got: '${{ steps.sub.output.text }}' }";
    let (run, child, _) = run(&world, parent(&world, caller, GREETING)).await;
    let events: Vec<_> = world.events(run).await.into_iter().take(3).collect();
    assert!(matches!(events[2].kind, EventKind::StepStarted { .. }));
    let mut payloads = Vec::new();
    for event in &events {
        let text = String::from_utf8(event.to_bytes().unwrap()).unwrap();
        let commitments: Vec<Commitment> = text.split('"').filter_map(|part| part.parse().ok()).collect();
        payloads.extend(world.store.payloads(&commitments).await.unwrap().into_iter().flatten());
    }
    let store = MemoryStore::new(Arc::new(parkway_core::clock::SystemClock));
    let other = World { store: Arc::new(store), worker: "two", ..World::new() };
    let lease = Lease { run, worker: WorkerId::new("one"), fence: events[2].fence };
    let new = |run| NewRun { run, tenant: "default".into(), workflow: "test".into(), at: events[0].at, parent: None };
    let commit = Commit {
        id: CommitId::new([1; 16]),
        lease: lease.clone(),
        expect: Seq(0),
        events: events.clone(),
        payloads,
        writes: vec![Write::Enqueue(new(run)), Write::Enqueue(new(child))],
        status: RunStatus::Running,
        wake: None,
    };
    other.store.commit(commit).await.unwrap();
    other.store.release(&lease, None).await.unwrap();
    assert_eq!(other.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(other.outputs(run).await, json!({"got": "hello Ada"}));
    assert_eq!(other.state(child).await.status(), RunStatus::Completed);
}

#[tokio::test]
async fn the_runs_budget_comes_out_of_its_parents() {
    let world = World::new();
    let calls = |n: u32| {
        format!(
            "steps: {{ c: {{ for_each: '${{{{ range({n}) | list }}}}', max_parallel: 1, tool: t.echo, with: {{}} }} }}"
        )
    };
    let caller = |rest: &str| {
        format!("budget: {{ tool_calls: 5 }}\nsteps: {{ sub: {{ set: {{}} }}, after: {{ needs: [sub], {rest} }} }}")
    };
    let after = "for_each: [1, 2, 3], max_parallel: 1, tool: t.echo, with: {}";
    // It may use what is left, and gives back what it did not use.
    let (parent_run, child, status) = run(&world, parent(&world, &caller(after), &calls(2))).await;
    assert_eq!(status, RunStatus::Completed, "{}", world.log(parent_run).await);
    let log = world.log(parent_run).await;
    assert!(
        log.contains("budget_reserved sub 0 tokens, 5 calls\n") && log.contains("budget_settled sub 0 tokens, 2 calls"),
        "{log}"
    );
    assert_eq!(world.state(parent_run).await.committed().tool_calls, 5);
    assert_eq!(world.state(child).await.plan().limits.tool_calls, Some(5));
    // What it is short of fails with `budget`, which nothing handles.
    let own = format!("budget: {{ tool_calls: 1 }}\n{}", calls(2));
    let (parent_run, _, status) = run(&world, parent(&world, &caller("set: {}"), &own)).await;
    assert_eq!(status, RunStatus::Failed);
    assert!(world.log(parent_run).await.contains("step_failed sub budget: run "));
    // What the parent does not have it does not get.
    let mut plan = parent(&world, &caller("set: {}"), &calls(1));
    called(&mut plan).own_run.as_mut().unwrap().limits.tool_calls = Some(9);
    let (parent_run, child, _) = run(&world, plan).await;
    assert!(world.log(parent_run).await.contains("step_failed sub budget: the call needs 9 tool calls, and 5"));
    assert!(world.store.events(child, Seq(0)).await.is_err());
}

#[tokio::test]
async fn the_environment_and_secrets_of_the_parent_reach_the_run_where_it_declares_them() {
    let mut world = World::new();
    world.secrets = Vault([("TOKEN".to_owned(), "hunter2".to_owned())].into());
    world.env = [("REGION".to_owned(), "north".to_owned()), ("ZONE".to_owned(), "one".to_owned())].into();
    let child = "
env: [REGION]
secrets: [TOKEN]
steps: { say: { tool: t.echo, with: { value: '${{ env.REGION }} ${{ secrets.TOKEN }}' } } }
outputs: { said: '${{ steps.say.output }}' }";
    let caller = "
env: [REGION, ZONE]
secrets: [TOKEN]
steps: { sub: { set: {} } }
outputs: { said: '${{ steps.sub.output.said }}' }";
    let (run, child, _) = run(&world, parent(&world, caller, child)).await;
    assert_eq!(world.outputs(run).await, json!({"said": "north [secret TOKEN]"}));
    let env = world.state(child).await.env().unwrap();
    assert_eq!(world.payload(env).await, json!({"REGION": "north"}));
}

/// A child whose call is in doubt once somebody has approved it.
const SENDING: &str = "
steps: { ask: { approve: { prompt: go? } }, send: { needs: [ask], tool: t.send } }";

/// A run whose child waits for a word about a call in doubt, and for nothing else.
async fn child_in_doubt(world: &World) -> (RunId, RunId) {
    let (run, child, _) = run(world, parent(world, "steps: { sub: { set: {} } }", SENDING)).await;
    world.answer(child, "ask", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    assert!(world.log(child).await.contains("step_in_doubt send"), "{}", world.log(child).await);
    (run, child)
}

fn losing() -> Acting<impl Fn(Value, ToolContext) -> Hang> {
    Acting::new("t.send", Effect::AtMostOnce, |_, _| -> Hang {
        Box::pin(async { Err(ToolError::transient("net", "the line broke")) })
    })
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_parent_whose_run_is_in_doubt_waits_and_does_not_spin() {
    let world = World::paced().tool(losing());
    let (run, child) = child_in_doubt(&world).await;
    cancel(&world, run).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    // Nor does it once the time of the steps that always run is over.
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    let (said, done) = (world.events(run).await.len(), world.events(child).await.len());
    assert!(said < 40 && done < 40, "{said} {done}\n{}", world.log(run).await);
    assert_eq!((world.state(run).await.wake(), world.state(child).await.wake()), (None, None));
    world.resolve(child, "send", Resolution::NotDone).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(world.state(child).await.status(), RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_a_run_leaves_unread_does_not_keep_its_parent_busy() {
    let mut world = World::paced();
    world.control.stay = true;
    let executor = world.create_plan(parent(&world, "steps: { sub: { set: {} } }", ASKING), json!({})).await;
    let (run, child) = (executor.run(), executor.run().child(&"sub".parse().unwrap()));
    let going = tokio::spawn(executor.execute());
    wait_until(&world, run, |status| status == StepStatus::Waiting).await;
    world.store.signal(child, Message::Unknown).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let events = world.events(run).await.len();
    assert!(events < 12, "{}", world.log(run).await);
    world.answer(child, "confirm", true).await;
    assert_eq!(going.await.unwrap().unwrap().status, RunStatus::Completed);
}
