//! Runs that go another way from a step of an earlier run on.

use std::sync::{Arc, Mutex};

use parkway_core::engine::{Ended, Executor, ExecutorError, Fork, Preapproval};
use parkway_core::id::RunId;
use parkway_core::log::{Channel, EventKind, RunStatus, StepStatus};
use parkway_core::store::Log;
use parkway_core::store::RunFilter;
use parkway_core::tool::Effect;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::check::{Acting, World};
use crate::recovery::{Calls, KINDS, check_cuts, counted, ending, go_on, signal_early, statuses, step, workflow};
use crate::subworkflows::calling;

type Called = Arc<Mutex<Vec<(String, String)>>>;

/// A world with `t.write`, idempotent, and `t.look`, that remember what they were called with, and under which key.
fn writing() -> (World, Called) {
    let calls = Called::default();
    let mut world = World::new();
    for (name, effect) in [("t.write", Effect::Idempotent), ("t.look", Effect::Read)] {
        let seen = calls.clone();
        world = world.tool(Acting::new(name, effect, move |input: Value, context| {
            let value = input["value"].to_string();
            seen.lock().unwrap().push((value, context.key.to_string()));
            async move { Ok(input["value"].clone()) }
        }));
    }
    (world, calls)
}

impl World {
    pub(crate) async fn fork_of(&self, run: RunId, step: &str) -> Result<Fork, ExecutorError> {
        Fork::new(Arc::new(self.stored_plan(run).await), run, &self.events(run).await, step)
    }

    pub(crate) async fn start_fork(&self, fork: Fork) -> Executor {
        Executor::fork(self.services(), self.models(), self.control.clone(), fork, "ada", Channel::Command)
            .await
            .unwrap()
    }

    pub(crate) async fn fork(&self, run: RunId, step: &str) -> (RunId, Ended) {
        let fork = self.fork_of(run, step).await.unwrap();
        self.drive(self.start_fork(fork).await).await
    }
}

fn told(fork: &Fork) -> (Vec<String>, Vec<String>) {
    let anew = fork.anew().iter().map(|step| match step.effect {
        Some(effect) => format!("{} {}{}", step.key, effect.as_str(), if step.asks() { " asks" } else { "" }),
        None => format!("{} {}", step.key, step.verb),
    });
    (fork.kept().iter().map(ToString::to_string).collect(), anew.collect())
}

const YAML: &str = "
parkway: 1
tools: { t: {} }
inputs: { n: { type: integer, default: 1 } }
steps:
  a: { tool: t.write, with: { value: '${{ inputs.n }}' } }
  b: { tool: t.look, with: { value: '${{ steps.a.output + 1 }}' } }
  c: { tool: t.write, with: { value: '${{ steps.b.output + 1 }}' } }
  beside: { tool: t.write, with: { value: beside } }
  end: { needs: [c, beside], set: { n: '${{ steps.c.output }}' } }
outputs: { n: '${{ steps.end.output.n }}' }";

#[tokio::test]
async fn what_does_not_depend_on_the_step_is_kept_and_effects_are_asked_about_under_new_keys() {
    let (world, calls) = writing();
    let (run, ended) = world.run(YAML, json!({"n": 5})).await;
    assert_eq!(ended.status, RunStatus::Completed);
    let before = calls.lock().unwrap().len();
    let fork = world.fork_of(run, "b").await.unwrap();
    assert_eq!(
        told(&fork),
        (
            vec!["a".to_owned(), "beside".to_owned()],
            vec!["b read".to_owned(), "c idempotent asks".to_owned(), "end set".to_owned()]
        )
    );
    let (forked, ended) = world.drive(world.start_fork(fork).await).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    let state = world.state(forked).await;
    assert_eq!(state.asking().map(|step| step.key.to_string()).collect::<Vec<_>>(), ["c"]);
    let origin = state.forked().unwrap();
    assert_eq!((origin.from, origin.step.to_string().as_str()), (run, "b"));
    assert!(world.log(forked).await.contains("policy_decided c Ask by fork"));
    world.answer(forked, "c", true).await;
    assert_eq!(world.resume(forked).await.unwrap().status, RunStatus::Completed, "{}", world.log(forked).await);
    assert_eq!(world.outputs(forked).await, json!({"n": 7}));
    let calls = calls.lock().unwrap().clone();
    let made: Vec<_> = calls[before..].iter().map(|call| call.0.as_str()).collect();
    assert_eq!(made, ["6", "7"]);
    let keys: Vec<_> = calls.iter().filter(|call| call.0 == "7").map(|call| call.1.as_str()).collect();
    assert!(keys.len() == 2 && keys[0] != keys[1]);
    // The earlier run is as it was, and nothing of what it paid is paid again.
    assert_eq!(world.state(run).await.status(), RunStatus::Completed);
    assert_eq!(world.store.runs(&RunFilter::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn neither_a_flag_nor_a_word_in_the_earlier_run_answers_for_an_effect() {
    let (mut world, calls) = writing();
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  ask: { approve: { prompt: go? } }
  c: { needs: [ask], tool: t.write, with: { value: 1 } }
";
    let (run, _) = world.run(yaml, json!({})).await;
    world.answer(run, "ask", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    let yes = Preapproval { step: None, by: "ada".into(), via: Channel::Flag };
    world.control.preapprovals = vec![yes];
    // The word about the very same call is kept with its step, and the call is asked about all the same.
    let (forked, ended) = world.fork(run, "c").await;
    assert_eq!(ended.status, RunStatus::Waiting, "{}", world.log(forked).await);
    // A flag answers the workflow's own question anew, and not for the call.
    let (other, ended) = world.fork(run, "ask").await;
    assert_eq!(ended.status, RunStatus::Waiting, "{}", world.log(other).await);
    for run in [forked, other] {
        let state = world.state(run).await;
        assert_eq!(state.asking().map(|step| step.key.to_string()).collect::<Vec<_>>(), ["c"]);
    }
    assert_eq!(calls.lock().unwrap().len(), 1);
    // A person who sees the call in the fork answers for it once.
    world.control.preapprovals.clear();
    let (third, _) = world.fork(run, "ask").await;
    world.answer(third, "ask", true).await;
    assert_eq!(world.resume(third).await.unwrap().status, RunStatus::Completed, "{}", world.log(third).await);
}

#[tokio::test]
async fn a_step_inside_a_group_or_a_called_workflow_is_a_place_to_fork_from() {
    let (world, calls) = writing();
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  before: { tool: t.look, with: { value: 0 } }
  work: { timeout: 1h, steps: { one: { tool: t.look, with: { value: 1 } }, two: { needs: [one], tool: t.look, with: { value: 2 } }, three: { tool: t.look, with: { value: 3 } } } }
  after: { needs: [work], tool: t.look, with: { value: 4 } }
";
    let (run, _) = world.run(yaml, json!({})).await;
    for named in ["work.two", "two"] {
        calls.lock().unwrap().clear();
        let fork = world.fork_of(run, named).await.unwrap();
        let (kept, anew) = told(&fork);
        assert_eq!(kept, ["before", "work.one", "work.three"]);
        assert_eq!(anew, ["work.two read", "after read"]);
        let (forked, ended) = world.drive(world.start_fork(fork).await).await;
        assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(forked).await);
        let made: Vec<_> = calls.lock().unwrap().iter().map(|call| call.0.clone()).collect();
        assert_eq!(made, ["2", "4"]);
    }
    let child = "
steps: { one: { tool: t.look, with: { value: 1 } }, two: { needs: [one], tool: t.look, with: { value: 2 } } }
outputs: { two: '${{ steps.two.output }}' }";
    let caller = "steps: { sub: { set: {} } }\noutputs: { two: '${{ steps.sub.output.two }}' }";
    for own_run in [false, true] {
        calls.lock().unwrap().clear();
        let plan = calling(&world, caller, child, own_run);
        let (run, _) = world.drive(world.create_plan(plan, json!({})).await).await;
        let fork = world.fork_of(run, "sub.two").await;
        if own_run {
            let own = run.child(&"sub".parse().unwrap());
            let why = fork.unwrap_err().to_string();
            assert!(
                why.contains(&format!("parkway fork {run} --from sub; or fork its run: parkway fork {own} --from")),
                "{why}"
            );
            let (forked, ended) = world.fork(own, "two").await;
            assert_eq!((ended.status, world.state(forked).await.parent()), (RunStatus::Completed, None));
            let (forked, _) = world.fork(run, "sub").await;
            assert_eq!(world.outputs(forked).await, json!({"two": 2}));
            continue;
        }
        let (forked, _) = world.drive(world.start_fork(fork.unwrap()).await).await;
        assert_eq!(world.outputs(forked).await, json!({"two": 2}));
        let made: Vec<_> = calls.lock().unwrap().iter().map(|call| call.0.clone()).collect();
        assert_eq!(made, ["1", "2", "2"]);
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_forked_from_is_told_with_one_that_can() {
    let (world, _) = writing();
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  each: { for_each: [a, b], key: item, steps: { x: { set: { n: 1 } } } }
  poll: { repeat: { until: 'true', max: 2 }, set: { n: 1 } }
  one: { steps: { x: { set: { n: 1 } } } }
";
    let (run, _) = world.run(yaml, json!({})).await;
    for (step, said) in [
        (
            "each[1]",
            format!(
                "`each[1]` is inside `each`, whose items are done anew together; fork from that: parkway fork {run} --from each"
            ),
        ),
        ("each[a.b].x", format!("parkway fork {run} --from each")),
        (
            "each.x",
            format!(
                "is inside `each`, whose items are done anew together; fork from that: parkway fork {run} --from each"
            ),
        ),
        ("poll#1", format!("whose rounds are done anew together; fork from that: parkway fork {run} --from poll")),
        ("x", format!("several steps are called `x`: `each.x`, `one.x`; name one: parkway fork {run} --from each.x")),
        ("one[1]", format!("`one` has no items and no rounds; fork from it: parkway fork {run} --from one")),
        ("nothing", "the workflow has no step `nothing`; it has `each`, `poll`, `one`".to_owned()),
    ] {
        let why = world.fork_of(run, step).await.unwrap_err().to_string();
        assert!(why.contains(&said), "{step}: {why}");
    }
}

#[tokio::test]
async fn of_a_run_that_failed_or_waits_or_runs_what_had_not_ended_well_is_done_anew_too() {
    let (world, calls) = writing();
    let broken = Arc::new(Mutex::new(true));
    let breaks = broken.clone();
    let world = world.tool(Acting::new("t.bad", Effect::Read, move |_, _| {
        let broken = *breaks.lock().unwrap();
        async move { if broken { Err(parkway_core::tool::ToolError::invalid("broken", "it is")) } else { Ok(json!(1)) } }
    }));
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  a: { tool: t.look, with: { value: 1 } }
  b: { tool: t.look, with: { value: '${{ steps.a.output + 1 }}' } }
  none: { needs: [a], if: false, set: {} }
  handled: { needs: [a], on_error: continue, tool: t.bad }
  group: { needs: [a], steps: { x: { tool: t.look, with: { value: 7 } }, ask: { approve: { prompt: go? } }, y: { needs: [ask], tool: t.look, with: { value: 8 } } } }
  last: { needs: [b, group], run_if: always, tool: t.bad }
";
    let (run, ended) = world.run(yaml, json!({})).await;
    // It waits: the group is open, and its completed member is kept.
    assert_eq!(ended.status, RunStatus::Waiting);
    let (kept, anew) = told(&world.fork_of(run, "b").await.unwrap());
    assert_eq!(kept, ["a", "none", "handled", "group.x"]);
    assert_eq!(anew, ["b read", "group.ask approve", "group.y read", "last read"]);
    calls.lock().unwrap().clear();
    let (forked, ended) = world.fork(run, "b").await;
    assert_eq!(ended.status, RunStatus::Waiting);
    *broken.lock().unwrap() = false;
    world.answer(forked, "group.ask", true).await;
    assert_eq!(world.resume(forked).await.unwrap().status, RunStatus::Completed, "{}", world.log(forked).await);
    let state = world.state(forked).await;
    assert_eq!(state.step(&"handled".parse().unwrap()).unwrap().status, StepStatus::Failed);
    let made: Vec<_> = calls.lock().unwrap().iter().map(|call| call.0.clone()).collect();
    assert_eq!(made, ["2", "8"]);
    // It failed: the failure is not kept, whichever step is named.
    *broken.lock().unwrap() = true;
    world.answer(run, "group.ask", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Failed);
    *broken.lock().unwrap() = false;
    let (forked, ended) = world.fork(run, "none").await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(forked).await);
    // A fork can be forked, at any moment of it: every prefix of a log is one.
    let events = world.events(forked).await;
    let plan = Arc::new(world.stored_plan(forked).await);
    let copied = events.iter().find_map(|event| match event.kind {
        EventKind::RunForked { copied, .. } => Some(usize::try_from(copied).unwrap()),
        _ => None,
    });
    for at in copied.unwrap() + 3..=events.len() {
        let fork = Fork::new(plan.clone(), forked, &events[..at], "last").unwrap();
        let (again, ended) = world.drive(world.start_fork(fork).await).await;
        let status = go_on(&world, again, ended.status).await;
        assert_eq!(status, RunStatus::Completed, "at {at}\n{}", world.log(again).await);
    }
}

#[tokio::test]
async fn what_is_asked_in_a_fork_is_asked_in_the_runs_of_its_steps_too() {
    let (world, calls) = writing();
    let child = "
steps: { one: { tool: t.write, with: { value: 1 } } }
outputs: { one: '${{ steps.one.output }}' }";
    let caller = "steps: { sub: { set: {} } }\noutputs: { one: '${{ steps.sub.output.one }}' }";
    let plan = calling(&world, caller, child, true);
    let (run, ended) = world.drive(world.create_plan(plan, json!({})).await).await;
    assert_eq!(ended.status, RunStatus::Completed);
    let (_, anew) = told(&world.fork_of(run, "sub").await.unwrap());
    assert_eq!(anew, ["sub.one idempotent asks"]);
    let (forked, ended) = world.fork(run, "sub").await;
    assert_eq!(ended.status, RunStatus::Waiting);
    assert_eq!(calls.lock().unwrap().len(), 1);
    world.answer(forked.child(&"sub".parse().unwrap()), "one", true).await;
    assert_eq!(world.resume(forked).await.unwrap().status, RunStatus::Completed);
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_reopened_run_is_copied_as_if_it_had_gone_well_at_once() {
    let (world, _) = writing();
    let broken = Arc::new(Mutex::new(true));
    let breaks = broken.clone();
    let world = world.tool(Acting::new("t.bad", Effect::Read, move |input: Value, _| {
        let broken = *breaks.lock().unwrap() && input["value"] == json!(2);
        async move {
            if broken {
                Err(parkway_core::tool::ToolError::invalid("broken", "it is"))
            } else {
                Ok(input["value"].clone())
            }
        }
    }));
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  each: { for_each: [1, 2, 3], tool: t.bad, with: { value: '${{ item }}' } }
  group: { needs: [each], run_if: always, steps: { x: { tool: t.bad, with: { value: 2 } } } }
  poll: { needs: [each], run_if: always, repeat: { until: previous == 2, max: 2 }, tool: t.bad, with: { value: 2 } }
  last: { needs: [each, group, poll], tool: t.look, with: { value: '${{ steps.each.output }}' } }
outputs: { all: '${{ steps.last.output }}' }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    *broken.lock().unwrap() = false;
    let plan = Arc::new(world.stored_plan(run).await);
    let reopening = parkway_core::engine::Reopening::new("ada", Channel::Command);
    let executor = Executor::reopen(world.services(), world.models(), world.control.clone(), plan, run, &reopening);
    assert_eq!(world.drive(executor.await.unwrap()).await.1.status, RunStatus::Completed, "{}", world.log(run).await);
    let (forked, ended) = world.fork(run, "last").await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(forked).await);
    assert_eq!(world.outputs(forked).await, json!({"all": [1, 2, 3]}));
    let state = world.state(forked).await;
    assert!(state.steps().iter().all(|step| step.attempt <= 1), "{}", world.log(forked).await);
}

/// Runs a workflow to its end, forks it from each of its steps, and compares how the forks end; then cuts the log of the one
/// that keeps two steps at every event.
async fn check_forks(yaml: &str) {
    // In the short time after a stop nobody answers.
    let yaml = &yaml.replace("run_if: always, tool: t.write", "run_if: always, tool: t.read");
    let calls = Calls::default();
    let world = counted(&calls);
    let executor = world.create(yaml, json!({})).await;
    let run = executor.run();
    signal_early(&world, run, &[]).await;
    let (_, ended) = world.drive(executor).await;
    go_on(&world, run, ended.status).await;
    let (expected, end) = (statuses(&world, run).await, ending(&world, run).await);
    for node in &world.stored_plan(run).await.graph.roots {
        let id = world.stored_plan(run).await.graph.node(*node).id.clone();
        let fork = world.fork_of(run, &id).await.unwrap();
        let executor = world.start_fork(fork).await;
        let forked = executor.run();
        let copied = executor.state().head().0 as usize;
        signal_early(&world, forked, &[]).await;
        let (_, ended) = world.drive(executor).await;
        let status = go_on(&world, forked, ended.status).await;
        let log = || world.log(forked);
        assert!(status.ended(), "forked from {id}\n{yaml}\n{}", log().await);
        assert_eq!(statuses(&world, forked).await, expected, "forked from {id}\n{yaml}\n{}", log().await);
        assert_eq!(ending(&world, forked).await, end, "forked from {id}\n{yaml}\n{}", log().await);
        if id == "s2" {
            check_cuts(&world, &calls, forked, copied, yaml).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fork_from_any_step_ends_as_the_run_did(yaml in workflow()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(check_forks(&yaml));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fork_behind_any_kind_of_step_ends_as_the_run_did() {
    for kind in 0..KINDS {
        let steps = [step(0, 0, &[]), step(1, kind, &[0]), step(2, 2, &[1])];
        check_forks(&format!("parkway: 1\ntools: {{ t: {{}} }}\nsteps:\n{}", steps.concat())).await;
    }
}
