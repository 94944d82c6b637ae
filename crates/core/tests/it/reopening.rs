//! Runs that ended badly and go on: what completed stays, what did not is done again.

use std::sync::{Arc, Mutex};

use parkway_core::engine::{Ended, Executor, ExecutorError, Preapproval, Reopening};
use parkway_core::id::RunId;
use parkway_core::log::{Channel, RunStatus};
use parkway_core::store::Queue;
use parkway_core::tool::{Effect, ToolError};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::check::{Acting, World};
use crate::recovery::{Calls, KINDS, check_cut, check_cuts, counted, go_on, signal_early, step, workflow};
use crate::subworkflows::calling;

/// What a tool was called with, and under which key, in order.
type Called = Arc<Mutex<Vec<(String, String)>>>;

/// A world with `t.act`, of the effect given: it fails while its argument `value` is among what is broken.
fn breaking(effect: Effect, broken: &[&str]) -> (World, Arc<Mutex<Vec<String>>>, Called) {
    let broken = Arc::new(Mutex::new(broken.iter().map(|b| (*b).to_owned()).collect::<Vec<_>>()));
    let calls = Called::default();
    let (of_tool, seen) = (broken.clone(), calls.clone());
    let world =
        World::new().tool(Acting::new("t.act", effect, move |input: Value, context| {
            let value = input["value"].as_str().unwrap().to_owned();
            seen.lock().unwrap().push((value.clone(), context.key.to_string()));
            let fails = of_tool.lock().unwrap().contains(&value);
            async move {
                if fails { Err(ToolError::invalid("broken", format!("{value} is broken"))) } else { Ok(json!(value)) }
            }
        }));
    (world, broken, calls)
}

impl World {
    pub(crate) async fn reopen(&self, run: RunId) -> Result<Executor, ExecutorError> {
        let plan = Arc::new(self.stored_plan(run).await);
        let reopening = Reopening::new("ada", Channel::Command);
        Executor::reopen(self.services(), self.models(), self.control.clone(), plan, run, &reopening).await
    }

    /// Reopens a run and drives it; a replay of its log is the state that was lived through.
    pub(crate) async fn retry(&self, run: RunId) -> Result<Ended, ExecutorError> {
        let executor = self.reopen(run).await?;
        Ok(self.drive(executor).await.1)
    }

    /// The lines of the log since the run was last reopened.
    async fn since(&self, run: RunId) -> String {
        let log = self.log(run).await;
        let last = log.rfind("run_reopened").expect("not reopened");
        log[last..].lines().skip(2).collect::<Vec<_>>().join("\n")
    }
}

fn lines(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_completed_stays_and_what_failed_is_done_again_with_its_arguments_and_key() {
    let (world, broken, calls) = breaking(Effect::Idempotent, &["b"]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  a: { tool: t.act, with: { value: a } }
  b: { needs: [a], tool: t.act, with: { value: b } }
  c: { needs: [b], set: { got: '${{ steps.b.output }}' } }
  d: { needs: [a], if: false, set: {} }
outputs: { got: '${{ steps.c.output.got }}' }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    broken.lock().unwrap().clear();
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(
        world.since(run).await,
        lines(
            r#"
            step_started b #2 {"value":"b"} by default.idempotent
            step_completed b "b"
            step_started c #1
            step_completed c {"got":"b"}
            run_completed {"got":"b"}
            "#
        )
    );
    let calls = calls.lock().unwrap().clone();
    assert_eq!(calls.iter().map(|call| call.0.as_str()).collect::<Vec<_>>(), ["a", "b", "b"]);
    assert_eq!(calls[1].1, calls[2].1);
}

#[tokio::test]
async fn of_a_fan_out_only_the_failed_items_are_done_again_and_never_more_at_once_than_allowed() {
    let (world, broken, calls) = breaking(Effect::Idempotent, &["b", "d"]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  each: { for_each: [a, b, c, d, e], max_parallel: 2, tool: t.act, with: { value: '${{ item }}' } }
outputs: { all: '${{ steps.each.output }}' }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    broken.lock().unwrap().clear();
    let before = calls.lock().unwrap().len();
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(world.outputs(run).await, json!({"all": ["a", "b", "c", "d", "e"]}));
    let calls = calls.lock().unwrap().clone();
    let again: Vec<_> = calls[before..].iter().map(|call| call.0.as_str()).collect();
    assert!(!again.contains(&"a") && again.contains(&"b"), "{again:?}");
    let keys = |value: &str| calls.iter().filter(|call| call.0 == value).map(|call| call.1.clone()).collect::<Vec<_>>();
    assert!(keys("b").len() == 2 && keys("b")[0] == keys("b")[1]);
    assert!(world.since(run).await.starts_with("step_expanded each 5 items\n"));
}

#[tokio::test]
async fn more_failed_items_than_max_parallel_are_done_again_in_turn() {
    let (world, _, calls) = breaking(Effect::Read, &[]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  each: { for_each: [a, b, c, d], max_parallel: 1, steps: { ask: { approve: { prompt: go? } }, act: { needs: [ask], tool: t.act, with: { value: '${{ item }}' } } } }
";
    // Each item that asks leaves its place, so that all four wait, and all four are cancelled.
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    world.cancel(run).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Waiting);
    let state = world.state(run).await;
    assert_eq!(state.asking().count(), 4, "{}", world.log(run).await);
    for item in 0..4 {
        world.answer(run, &format!("each[{item}].ask"), true).await;
    }
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(calls.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn items_that_were_to_be_done_again_end_when_the_fan_out_fails_before_their_turn() {
    let (mut world, broken, calls) = breaking(Effect::Read, &["b"]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  each: { for_each: [a, b, c, d], max_parallel: 1, steps: { ask: { approve: { prompt: go? } }, act: { needs: [ask], tool: t.act, with: { value: '${{ item }}' } } } }
";
    let (run, _) = world.run(yaml, json!({})).await;
    world.cancel(run).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Cancelled);
    // Nobody waits now: one item runs after the other, and the second one fails.
    let yes = Preapproval { step: None, by: "ada".into(), via: Channel::Flag };
    world.control.preapprovals = vec![yes];
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Failed);
    let state = world.state(run).await;
    let status = |item: &str| state.step(&item.parse().unwrap()).unwrap().status.as_str();
    let items = [status("each[0]"), status("each[1]"), status("each[2]"), status("each[3]")];
    assert_eq!(items, ["completed", "failed", "skipped", "skipped"], "{}", world.log(run).await);
    broken.lock().unwrap().clear();
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    let values: Vec<_> = calls.lock().unwrap().iter().map(|call| call.0.clone()).collect();
    assert_eq!(values, ["a", "b", "b", "c", "d"]);
}

#[tokio::test]
async fn a_call_that_must_not_be_repeated_is_made_again_only_where_it_was_not_made() {
    let keys = Arc::new(Mutex::new(Vec::new()));
    let seen = keys.clone();
    let world = World::new().tool(Acting::new("t.once", Effect::AtMostOnce, move |_, context| {
        seen.lock().unwrap().push(context.key.to_string());
        let failure = ToolError { not_done: context.attempt == 1, ..ToolError::invalid("full", "no room") };
        async move { Err::<Value, _>(failure) }
    }));
    let yaml = "parkway: 1\ntools: { t: {} }\nsteps: { act: { tool: t.once } }";
    let (run, _) = world.run(yaml, json!({})).await;
    world.answer(run, "act", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Failed, "{}", world.log(run).await);
    // This time nobody knows, and the run does not end, so that it cannot be retried.
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Waiting, "{}", world.log(run).await);
    assert!(matches!(world.retry(run).await, Err(ExecutorError::NotAgain(_))));
    let keys = keys.lock().unwrap().clone();
    assert!(keys.len() == 2 && keys[0] == keys[1]);
}

#[tokio::test]
async fn inside_groups_and_called_workflows_only_what_failed_is_done_again() {
    let (world, broken, calls) = breaking(Effect::Idempotent, &["b"]);
    let group = "parkway: 1
tools: { t: {} }
steps:
  work: { timeout: 1h, steps: { one: { tool: t.act, with: { value: a } }, two: { needs: [one], tool: t.act, with: { value: b } }, three: { needs: [two], set: { n: 1 } } }, result: '${{ steps.two.output }}' }
outputs: { got: '${{ steps.work.output }}' }";
    let (run, _) = world.run(group, json!({})).await;
    broken.lock().unwrap().clear();
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(
        world.since(run).await,
        lines(
            r#"
            step_started work #2
            step_started work.two #2 {"value":"b"} by default.idempotent
            step_completed work.two "b"
            step_started work.three #1
            step_completed work.three {"n":1}
            step_completed work "b"
            run_completed {"got":"b"}
            "#
        )
    );
    assert_eq!(calls.lock().unwrap().len(), 3);
    broken.lock().unwrap().push("b".into());
    let child = "
inputs: { n: { type: integer } }
steps: { one: { tool: t.act, with: { value: a } }, two: { needs: [one], tool: t.act, with: { value: b } } }
outputs: { n: '${{ inputs.n }}' }";
    let caller = "
steps: { sub: { set: { n: 7 } } }
outputs: { n: '${{ steps.sub.output.n }}' }";
    let plan = calling(&world, caller, child, false);
    let (run, _) = world.drive(world.create_plan(plan, json!({})).await).await;
    broken.lock().unwrap().clear();
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(world.outputs(run).await, json!({"n": 7}));
    assert!(world.since(run).await.starts_with("step_started sub #2 {\"n\":7}\nstep_started sub.two #2"));
}

#[tokio::test]
async fn the_round_that_failed_is_done_again_and_rounds_that_were_used_up_are_allowed_again() {
    let (world, broken, _) = breaking(Effect::Read, &["2"]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  poll: { repeat: { until: index == 3, max: 3 }, tool: t.act, with: { value: '${{ index ~ \"\" }}' } }
outputs: { last: '${{ steps.poll.output }}' }";
    let (run, _) = world.run(yaml, json!({})).await;
    assert!(world.log(run).await.ends_with("run_failed broken at poll#3: 2 is broken"));
    broken.lock().unwrap().clear();
    // The third round is done again and is not the last: the rounds are used up.
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Failed);
    assert_eq!(
        world.since(run).await,
        lines(
            r#"
            step_started poll #2
            step_started poll#3 #2 {"value":"2"} by default.read
            step_completed poll#3 "2"
            step_repeated poll after 3: false
            step_failed poll exhausted: `until` was not true after 3 rounds
            run_failed exhausted at poll: `until` was not true after 3 rounds
            "#
        )
    );
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(world.outputs(run).await, json!({"last": "3"}));
    assert!(world.since(run).await.contains("step_started poll#4 #1"));
}

#[tokio::test]
async fn a_handled_failure_is_not_undone_and_what_looked_at_the_failure_looks_again() {
    let (world, broken, calls) = breaking(Effect::Read, &["a", "b", "i"]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  handled: { on_error: continue, tool: t.act, with: { value: a } }
  next: { needs: [handled], set: { code: '${{ steps.handled.error.code }}' } }
  items: { for_each: [h, i], on_item_error: collect, tool: t.act, with: { value: '${{ item }}' } }
  bad: { tool: t.act, with: { value: b } }
  told: { needs: [bad], run_if: failed, tool: t.act, with: { value: told } }
  well: { needs: [bad], run_if: always, if: \"${{ steps.bad.status == 'completed' }}\", set: { n: 1 } }
  clean: { needs: [bad], run_if: always, tool: t.act, with: { value: clean } }
  after: { needs: [bad], set: { n: 2 } }
";
    let (run, _) = world.run(yaml, json!({})).await;
    let called = |value: &str| calls.lock().unwrap().iter().filter(|call| call.0 == value).count();
    assert_eq!((called("told"), called("clean")), (1, 1), "{}", world.log(run).await);
    broken.lock().unwrap().clear();
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    let state = world.state(run).await;
    let status = |step: &str| state.step(&step.parse().unwrap()).unwrap().status.as_str();
    assert_eq!((status("handled"), status("next"), status("items[1]")), ("failed", "completed", "failed"));
    assert_eq!((status("bad"), status("well"), status("after")), ("completed", "completed", "completed"));
    // What ran because of the failure has run.
    assert_eq!((called("a"), called("told"), called("clean"), called("i"), called("b")), (1, 1, 1, 1, 2));
}

#[tokio::test]
async fn who_said_no_is_asked_again_and_who_said_yes_is_not() {
    let (world, _, calls) = breaking(Effect::AtMostOnce, &[]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  first: { approve: { prompt: one? } }
  second: { needs: [first], approve: { prompt: two? } }
  act: { needs: [second], tool: t.act, with: { value: a } }
";
    let (run, _) = world.run(yaml, json!({})).await;
    world.answer(run, "first", true).await;
    world.resume(run).await.unwrap();
    world.answer(run, "second", false).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Failed);
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Waiting);
    let asked: Vec<_> = world.state(run).await.asking().map(|step| step.key.to_string()).collect();
    assert_eq!(asked, ["second"]);
    world.answer(run, "second", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_cancelled_run_goes_on_where_it_was() {
    let (world, _, calls) = breaking(Effect::Idempotent, &[]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  a: { tool: t.act, with: { value: a } }
  go: { needs: [a], wait: { signal: go } }
  form: { needs: [a], input: { prompt: n?, output: { n: { type: integer } } } }
  last: { needs: [go, form], tool: t.act, with: { value: '${{ steps.go.output }}' } }
  clean: { needs: [last], run_if: always, set: { n: 1 } }
outputs: { n: '${{ steps.form.output.n }}' }";
    let (run, _) = world.run(yaml, json!({})).await;
    world.cancel(run).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Waiting);
    world.signal(run, "go", json!("x")).await;
    world.fill(run, "form", json!({"n": 3})).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(world.outputs(run).await, json!({"n": 3}));
    assert_eq!(calls.lock().unwrap().iter().map(|call| call.0.as_str()).collect::<Vec<_>>(), ["a", "x"]);
}

#[tokio::test]
async fn a_cancel_that_came_too_late_does_not_end_the_run_that_goes_on() {
    let (world, broken, _) = breaking(Effect::Read, &["b"]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps: { b: { tool: t.act, with: { value: b } } }";
    let (run, _) = world.run(yaml, json!({})).await;
    world.cancel(run).await;
    broken.lock().unwrap().clear();
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert!(world.store.inbox(run).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_retries_of_a_step_begin_anew_and_its_attempts_go_on() {
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = attempts.clone();
    let world = World::paced().tool(Acting::new("t.act", Effect::Idempotent, move |_, context| {
        seen.lock().unwrap().push(context.attempt);
        async move { if context.attempt < 4 { Err(ToolError::transient("busy", "later")) } else { Ok(json!(1)) } }
    }));
    tokio::time::pause();
    let yaml = "
parkway: 1
tools: { t: {} }
steps: { act: { tool: t.act, retry: { max: 1, initial: 1s } } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!((ended.status, attempts.lock().unwrap().len()), (RunStatus::Failed, 2));
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(*attempts.lock().unwrap(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn the_run_of_a_step_is_reopened_with_it_and_charged_once() {
    let (world, broken, calls) = breaking(Effect::Idempotent, &["b"]);
    let child = "
steps: { one: { tool: t.act, with: { value: a } }, two: { needs: [one], tool: t.act, with: { value: b } } }
outputs: { two: '${{ steps.two.output }}' }";
    let caller = "
budget: { tool_calls: 6 }
steps: { sub: { set: {} }, after: { needs: [sub], tool: t.act, with: { value: c } } }
outputs: { two: '${{ steps.sub.output.two }}' }";
    let plan = calling(&world, caller, child, true);
    let (run, ended) = world.drive(world.create_plan(plan, json!({})).await).await;
    assert_eq!(ended.status, RunStatus::Failed);
    let own = run.child(&"sub".parse().unwrap());
    let refused = world.retry(own).await.unwrap_err();
    assert!(
        matches!(&refused, ExecutorError::NotAgain(why) if why.contains(&format!("parkway retry {run}"))),
        "{refused}"
    );
    // It fails again, and is not reopened by whoever takes its parent up then.
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Failed);
    broken.lock().unwrap().clear();
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(world.outputs(run).await, json!({"two": "b"}));
    let values: Vec<_> = calls.lock().unwrap().iter().map(|call| call.0.clone()).collect();
    assert_eq!(values, ["a", "b", "b", "b", "c"]);
    let (state, child) = (world.state(run).await, world.state(own).await);
    assert_eq!((child.status(), child.committed().tool_calls), (RunStatus::Completed, 4));
    assert_eq!(state.committed().tool_calls, 5, "{}", world.log(run).await);
    let reopened = world.log(own).await.matches("run_reopened").count();
    assert_eq!(reopened, 2);
}

#[tokio::test]
async fn a_run_that_is_not_to_be_retried_says_why_and_what_to_do() {
    let (world, _, _) = breaking(Effect::Read, &["b"]);
    let refused = async |run: RunId| match world.reopen(run).await {
        Err(ExecutorError::NotAgain(why)) => why,
        other => panic!("{other:?}"),
    };
    let (run, _) = world.run("parkway: 1\nsteps: { a: { set: { n: 1 } } }", json!({})).await;
    assert!(refused(run).await.contains(&format!(
        "has completed, and a retry would find nothing to do; to do a part of it anew: parkway fork {run} --from STEP"
    )));
    let (run, _) = world.run("parkway: 1\nsteps: { a: { approve: { prompt: go? } } }", json!({})).await;
    assert!(refused(run).await.contains(&format!("has not ended: it is waiting; go on with it: parkway resume {run}")));
    let yaml = "
parkway: 1
tools: { t: {} }
budget: { tool_calls: 1 }
steps: { a: { tool: t.echo, with: {} }, b: { needs: [a], tool: t.echo, with: {} } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    let why = refused(run).await;
    assert!(why.contains("has used up its budget") && why.contains("0 of the budget's 1 are left"), "{why}");
}

#[tokio::test]
async fn of_two_who_retry_at_once_one_wins() {
    let (world, broken, calls) = breaking(Effect::Idempotent, &["b"]);
    let yaml = "
parkway: 1
tools: { t: {} }
steps: { b: { tool: t.act, with: { value: b } } }";
    for _ in 0..10 {
        broken.lock().unwrap().push("b".into());
        calls.lock().unwrap().clear();
        let (run, _) = world.run(yaml, json!({})).await;
        broken.lock().unwrap().clear();
        let (one, two) = tokio::join!(world.retry(run), world.retry(run));
        let won =
            [&one, &two].into_iter().filter(|end| matches!(end, Ok(ended) if ended.status == RunStatus::Completed));
        assert_eq!(won.count(), 1, "{one:?} {two:?}");
        assert_eq!(calls.lock().unwrap().len(), 2);
        assert_eq!(world.log(run).await.matches("run_reopened").count(), 1);
    }
}

#[tokio::test]
async fn what_ensure_says_is_asked_again_and_a_deadline_begins_anew() {
    let world = World::new();
    let (run, _) =
        world.run("parkway: 1\nsteps: { a: { set: { n: 1 } } }\nensure: [ 'steps.a.output.n == 2' ]", json!({})).await;
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Failed);
    let again = world.since(run).await;
    assert!(again.starts_with("run_failed ensure") && again.lines().count() == 1, "{again}");
    tokio::time::pause();
    let world = World::paced();
    let yaml = "parkway: 1\ndeadline: 40s\nsteps: { a: { wait: 30s }, b: { needs: [a], wait: 30s } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);
}

/// Runs a workflow that fails at its end, reopens it, and cuts the log at every event from then on: whoever reads it is
/// where the one was who wrote it.
async fn check_reopened(yaml: &str) {
    let Some((world, calls, run, first)) = reopen(yaml).await else { return };
    check_cuts(&world, &calls, run, first, yaml).await;
}

/// As [`check_reopened`], for a workflow that may fail anywhere: how far other steps come until then is a matter of
/// chance, so that only what holds in any order is compared.
async fn check_reopened_in_any_order(yaml: &str) {
    let Some((world, calls, run, first)) = reopen(yaml).await else { return };
    for at in first..world.events(run).await.len() {
        check_cut(&world, &calls, run, at, yaml).await;
    }
}

/// Runs a workflow, and retries it where it fails. Where its log was reopened, if it was.
async fn reopen(yaml: &str) -> Option<(World, Calls, RunId, usize)> {
    // What a crash leaves in doubt is said not to be done there, and ends otherwise.
    if yaml.contains("how: not_done") {
        return None;
    }
    let calls = Calls::default();
    let world = counted(&calls);
    let executor = world.create(yaml, json!({})).await;
    let run = executor.run();
    signal_early(&world, run, &[]).await;
    let (_, ended) = world.drive(executor).await;
    let status = go_on(&world, run, ended.status).await;
    if status != RunStatus::Failed {
        return None;
    }
    let ended = world.retry(run).await.unwrap();
    let status = go_on(&world, run, ended.status).await;
    assert_eq!(status, RunStatus::Failed, "{yaml}\n{}", world.log(run).await);
    let events = world.events(run).await;
    let reopened = events.iter().position(|event| event.kind.name() == "run_reopened").unwrap();
    Some((world, calls, run, reopened + 1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reopened_log_is_read_as_it_was_lived(yaml in workflow()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        // Without the handling of errors, more of it fails, and earlier.
        runtime.block_on(check_reopened_in_any_order(&yaml.replace("on_error: continue, ", "")));
        runtime.block_on(check_reopened(&yaml));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reopened_log_of_any_kind_of_step_is_read_as_it_was_lived() {
    let fails = "  bad: { needs: [s1], run_if: always, tool: t.bad }\n  last: { needs: [bad], set: { n: 1 } }\n";
    for kind in 0..KINDS {
        let steps = [step(0, 0, &[]), step(1, kind, &[0])];
        let yaml = format!("parkway: 1\ntools: {{ t: {{}} }}\nsteps:\n{}{fails}", steps.concat());
        check_reopened(&yaml).await;
        check_reopened(&yaml.replace("on_error: continue, ", "")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reopened_log_of_steps_that_run_beside_the_one_that_fails_is_read_as_it_was_lived() {
    let yaml = format!("parkway: 1\ntools: {{ t: {{}} }}\nsteps:\n{}{}", step(0, 16, &[]), step(1, 24, &[]));
    check_reopened_in_any_order(&yaml.replace("on_error: continue, ", "")).await;
}
