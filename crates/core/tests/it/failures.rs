//! What a failure means for the others: skips, `run_if`, `on_error`, groups, fan-outs, retries, timeouts, cancels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::engine::Executor;
use parkway_core::id::Time;
use parkway_core::label::Labels;
use parkway_core::log::{Channel, EventKind, RunStatus};
use parkway_core::store::{Message, Queue};
use parkway_core::tool::{Effect, Tool, ToolError, tool_fn};
use serde_json::{Value, json};

use crate::check::{Acting, World, check, check_in, compare};

#[tokio::test]
async fn a_skip_is_passed_on_and_its_reason_recorded() {
    check(
        "
steps:
  a: { if: 'false', set: { n: 1 } }
  b: { needs: [a], set: { n: 2 } }
  c: { needs: [b], set: { n: 3 } }
  not_rejected: { needs: [a, b], run_if: not_rejected, set: { n: 4 } }
  always: { needs: [a], run_if: always, set: { n: 5 } }
  failed: { needs: [a], run_if: failed, set: { n: 6 } }
",
        r##"
            step_skipped a Condition
            step_skipped b since a did not complete
            step_started always #1
            step_completed always {"n":5}
            step_skipped failed RunIf
            step_skipped c since b did not complete
            step_started not_rejected #1
            step_completed not_rejected {"n":4}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn after_a_failure_only_steps_for_failures_start() {
    check(
        "
steps:
  a: { tool: t.fail }
  default: { needs: [a], set: { n: 1 } }
  not_rejected: { needs: [a], run_if: not_rejected, set: { n: 1 } }
  failed: { needs: [a], run_if: failed, set: { code: '${{ steps.a.error.code }}' } }
  always: { needs: [a], run_if: always, set: { n: 1 } }
  elsewhere: { needs: [other], set: { n: 1 } }
  other: { needs: [always], set: { n: 1 } }
  untouched: { needs: [other], run_if: failed, set: { n: 1 } }
",
        r##"
            step_started a #1 {}
            step_failed a broken: told to fail with null
            step_skipped default RunFailed
            step_skipped not_rejected RunFailed
            step_started failed #1
            step_completed failed {"code":"broken"}
            step_started always #1
            step_completed always {"n":1}
            step_skipped other RunFailed
            step_skipped elsewhere RunFailed
            step_skipped untouched RunIf
            run_failed broken at a: told to fail with null
"##,
    )
    .await;
}

#[tokio::test]
async fn a_group_for_failures_runs_its_members() {
    check(
        "
steps:
  a: { tool: t.fail }
  clean:
    needs: [a]
    run_if: failed
    steps:
      one: { set: { n: 1 } }
      two: { needs: [one], set: { n: 2 } }
  each: { needs: [a], run_if: always, for_each: [1], steps: { own: { set: { n: '${{ item }}' } } } }
",
        r##"
            step_started a #1 {}
            step_failed a broken: told to fail with null
            step_started clean #1
            step_expanded each 1 items
            step_started clean.one #1
            step_completed clean.one {"n":1}
            step_started each[0] #1
            step_started clean.two #1
            step_completed clean.two {"n":2}
            step_started each[0].own #1
            step_completed each[0].own {"n":1}
            step_completed clean
            step_completed each[0]
            step_completed each
            run_failed broken at a: told to fail with null
"##,
    )
    .await;
}

#[tokio::test]
async fn a_failure_that_is_continued_counts_as_completed_without_an_output() {
    check(
        "
steps:
  a: { tool: t.fail, on_error: continue }
  b: { set: { seen: '${{ steps.a.output }}', status: '${{ steps.a.status }}', code: '${{ steps.a.error.code }}' } }
  failed: { needs: [a], run_if: failed, set: { n: 1 } }
outputs: { a: \"${{ steps.a.output if steps.a.status == 'completed' else 'none' }}\" }
",
        r##"
            step_started a #1 {}
            step_failed a broken: told to fail with null
            step_started b #1
            step_completed b {"seen":null,"status":"failed","code":"broken"}
            step_skipped failed RunIf
            run_completed {"a":"none"}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_group_fails_with_its_first_failure_when_its_members_have_ended() {
    check(
        "
steps:
  group:
    steps:
      a: { tool: t.fail, with: { value: 1 } }
      b: { needs: [a], set: { n: 1 } }
      c: { needs: [a], run_if: always, set: { n: 1 } }
  after: { needs: [group], set: { n: 1 } }
",
        r##"
            step_started group #1
            step_started group.a #1 {"value":1}
            step_failed group.a broken: told to fail with 1
            step_skipped group.b RunFailed
            step_started group.c #1
            step_completed group.c {"n":1}
            step_failed group broken: told to fail with 1
            step_skipped after RunFailed
            run_failed broken at group.a: told to fail with 1
"##,
    )
    .await;
}

#[tokio::test]
async fn a_group_that_is_continued_handles_what_fails_inside() {
    check(
        "
steps:
  group:
    on_error: continue
    steps:
      a: { tool: t.fail, with: { value: 1 } }
      b: { set: { n: 1 } }
  after: { set: { all: '${{ steps.group.output }}', code: '${{ steps.group.error.code }}' } }
",
        r##"
            step_started group #1
            step_started group.a #1 {"value":1}
            step_started group.b #1
            step_completed group.b {"n":1}
            step_failed group.a broken: told to fail with 1
            step_failed group broken: told to fail with 1
            step_started after #1
            step_completed after {"all":null,"code":"broken"}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_fan_out_fails_with_the_first_error_by_index_and_starts_no_more() {
    let slow_first = Acting::new("t.by", Effect::Pure, |input, _| async move {
        let n = input["n"].as_u64().unwrap();
        tokio::time::sleep(Duration::from_millis(40 - 20 * n.min(1))).await;
        if n < 2 { Err(ToolError::invalid(format!("e{n}"), "no")) } else { Ok(json!(n)) }
    });
    let world = World::new().tool(slow_first);
    check_in(
        &world,
        "
steps:
  each: { for_each: [0, 1, 2, 3], max_parallel: 2, tool: t.by, with: { n: '${{ item }}' } }
",
        r##"
            step_expanded each 4 items
            step_started each[0] #1 {"n":0}
            step_started each[1] #1 {"n":1}
            step_failed each[1] e1: no
            step_failed each[0] e0: no
            step_failed each e0: no
            run_failed e1 at each[1]: no
"##,
    )
    .await;
}

#[tokio::test]
async fn a_collecting_fan_out_completes_though_every_item_failed() {
    check(
        "
steps:
  each: { for_each: [0, 1], max_parallel: 1, on_item_error: collect, tool: t.fail, with: { value: '${{ item }}' } }
  after: { set: { all: '${{ steps.each.output }}', codes: \"${{ steps.each.items | map(attribute='error.code') | list }}\" } }
",
        r##"
            step_expanded each 2 items
            step_started each[0] #1 {"value":0}
            step_failed each[0] broken: told to fail with 0
            step_started each[1] #1 {"value":1}
            step_failed each[1] broken: told to fail with 1
            step_completed each
            step_started after #1
            step_completed after {"all":[null,null],"codes":["broken","broken"]}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_failure_stops_a_fan_out_elsewhere() {
    check(
        "
steps:
  bad: { tool: t.fail }
  each: { for_each: [0, 1, 2], max_parallel: 1, tool: t.echo, with: { value: '${{ item }}' } }
",
        r##"
            step_started bad #1 {}
            step_expanded each 3 items
            step_started each[0] #1 {"value":0}
            step_failed bad broken: told to fail with null
            step_completed each[0] 0
            step_cancelled each
            run_failed broken at bad: told to fail with null
"##,
    )
    .await;
}

/// A tool that fails so many times with `code`, then gives the number of the attempt.
fn flaky(times: u32, effect: Effect, error: fn() -> ToolError) -> World {
    let calls = Arc::new(AtomicU32::new(0));
    World::new().tool(Acting::new("t.flaky", effect, move |_, context| {
        let n = calls.fetch_add(1, Ordering::SeqCst);
        async move { if n < times { Err(error()) } else { Ok(json!(context.attempt)) } }
    }))
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_each_attempt_is_in_the_log() {
    let world = flaky(2, Effect::Read, || ToolError::transient("busy", "not now"));
    let yaml = "
tools: { t: {} }
steps: { a: { tool: t.flaky, retry: { max: 3, initial: 1ms } } }
outputs: { n: '${{ steps.a.output }}', attempts: '${{ steps.a.attempts }}' }
";
    check_in(
        &world,
        yaml,
        r##"
            step_started a #1 {} by default.read
            step_retried a busy: not now
            step_started a #2 {} by default.read
            step_retried a busy: not now
            step_started a #3 {} by default.read
            step_completed a 3
            run_completed {"n":3,"attempts":3}
"##,
    )
    .await;
}

#[tokio::test]
async fn retries_end() {
    let world = flaky(9, Effect::Pure, || ToolError::transient("busy", "not now"));
    check_in(
        &world,
        "steps: { a: { tool: t.flaky, retry: { max: 1, initial: 1ms } } }",
        r##"
            step_started a #1 {}
            step_retried a busy: not now
            step_started a #2 {}
            step_failed a busy: not now
            run_failed busy at a: not now
"##,
    )
    .await;
}

#[tokio::test]
async fn only_listed_codes_are_tried_again() {
    let world = flaky(9, Effect::Pure, || ToolError::transient("busy", "not now"));
    check_in(
        &world,
        "steps: { a: { tool: t.flaky, retry: { max: 1, initial: 1ms, on: [late] } } }",
        r##"
            step_started a #1 {}
            step_failed a busy: not now
            run_failed busy at a: not now
"##,
    )
    .await;
}

#[tokio::test]
async fn an_item_is_tried_again_by_itself() {
    let world = flaky(1, Effect::Pure, || ToolError::transient("busy", "not now"));
    let yaml = "steps: { a: { for_each: [1, 2], max_parallel: 1, tool: t.flaky, retry: { max: 1, initial: 1ms } } }";
    check_in(
        &world,
        yaml,
        r##"
            step_expanded a 2 items
            step_started a[0] #1 {}
            step_retried a[0] busy: not now
            step_started a[0] #2 {}
            step_completed a[0] 2
            step_started a[1] #1 {}
            step_completed a[1] 1
            step_completed a
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up() {
    let world = World::new().tool(Acting::new("t.sleep", Effect::Pure, |_, _| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(json!(1))
    }));
    check_in(
        &world,
        "steps: { a: { tool: t.sleep, timeout: 20ms, retry: 0 } }",
        r##"
            step_started a #1 {}
            step_failed a timeout: the call took longer than 20ms
            run_failed timeout at a: the call took longer than 20ms
"##,
    )
    .await;
}

#[tokio::test]
async fn a_panic_in_a_tool_is_a_failure_of_its_step() {
    let world = World::new().tool(Acting::new("t.panic", Effect::Pure, |_, _| async { panic!("ouch") }));
    check_in(
        &world,
        "steps: { a: { tool: t.panic, on_error: continue }, b: { needs: [a], set: { n: 1 } } }",
        r##"
            step_started a #1 {}
            step_failed a panic: the tool panicked: ouch
            step_started b #1
            step_completed b {"n":1}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_call_in_doubt_is_never_made_again_and_the_run_waits() {
    let world = World::new().tool(Acting::new("t.send", Effect::AtMostOnce, |_, _| async {
        Err(ToolError::transient("net", "the line broke"))
    }));
    let yaml = "
tools: { t: {} }
steps:
  ask: { approve: { prompt: go? } }
  send: { needs: [ask], tool: t.send, retry: { max: 3, initial: 1ms } }
";
    let run = check_in_waiting(&world, yaml).await;
    compare(
        &world,
        run,
        r##"
            approval_requested ask go? {"calls":[{"step":"send","tool":"t.send","args":{}}],"unknown":[],"show":null}
            run_claimed
            approval_decided ask Approved
            step_completed ask {"by":"ada","via":"command","at":"T","note":null}
            policy_decided send Ask by default.at_most_once
            step_started send #1 {}
            step_in_doubt send net: the line broke
"##,
    )
    .await;
}

/// Runs a workflow whose first question is answered with a yes from elsewhere, until it waits for something else.
async fn check_in_waiting(world: &World, yaml: &str) -> parkway_core::id::RunId {
    let (run, ended) = world.run(&format!("parkway: 1\n{yaml}"), json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting, "{}", world.log(run).await);
    world.answer(run, "ask", true).await;
    let ended = world.resume(run).await.unwrap();
    assert_eq!(ended.status, RunStatus::Waiting, "{}", world.log(run).await);
    run
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_a_failure_before_the_call() {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Number {
        n: u32,
    }
    let tool = parkway_core::tool::tool_fn("t.number", Effect::Pure, |input: Number| async move { Ok(input.n) });
    let world = World::new().tool(tool);
    check_in(
        &world,
        "steps: { s: { tool: t.echo, with: { value: { n: x } } }, a: { tool: t.number, with: { n: '${{ steps.s.output.n }}' } } }",
        r##"
            step_started s #1 {"value":{"n":"x"}}
            step_completed s {"n":"x"}
            step_failed a invalid: the arguments do not fit `t.number`: at `/n`: "x" is not of type "integer"
            run_failed invalid at a: the arguments do not fit `t.number`: at `/n`: "x" is not of type "integer"
"##,
    )
    .await;
}

#[tokio::test]
async fn a_condition_that_is_no_boolean_is_an_error() {
    check(
        "steps: { v: { tool: t.echo, with: { value: 1 } }, a: { if: steps.v.output, set: { n: 1 } } }",
        r##"
            step_started v #1 {"value":1}
            step_completed v 1
            step_failed a template: `if` must be true or false, not `1`
            run_failed template at a: `if` must be true or false, not `1`
"##,
    )
    .await;
    check(
        "steps: { a: { tool: t.echo, with: { value: { n: 1 } } }, b: { if: steps.a.output.m, set: { n: 1 } } }",
        r##"
            step_started a #1 {"value":{"n":1}}
            step_completed a {"n":1}
            step_failed b template: `output` has no field `m`; it has n, in `steps.a.output.m`
            run_failed template at b: `output` has no field `m`; it has n, in `steps.a.output.m`
"##,
    )
    .await;
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_handled_by_nothing() {
    check(
        "
budget: { tool_calls: 1 }
steps:
  a: { tool: t.echo, with: { value: 1 } }
  b: { needs: [a], tool: t.echo, with: { value: 2 }, on_error: continue }
  c: { needs: [b], run_if: always, set: { n: 1 } }
",
        r##"
            step_started a #1 {"value":1}
            budget_reserved a 0 tokens, 1 calls
            budget_settled a 0 tokens, 1 calls
            step_completed a 1
            step_failed b budget: the call needs 1 tool calls, and 0 of the budget's 1 are left; raise `budget: { … }` in the workflow
            step_started c #1
            step_completed c {"n":1}
            run_failed budget at b: the call needs 1 tool calls, and 0 of the budget's 1 are left; raise `budget: { … }` in the workflow
"##,
    )
    .await;
}

#[tokio::test]
async fn a_cancel_stops_what_runs_and_starts_only_what_always_runs() {
    let started = Arc::new(tokio::sync::Notify::new());
    let said = started.clone();
    let world = World::new().tool(Acting::new("t.hang", Effect::Pure, move |_, _| {
        said.notify_one();
        async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(json!(1))
        }
    }));
    let yaml = "
parkway: 1
steps:
  hang: { tool: t.hang }
  next: { needs: [hang], set: { n: 1 } }
  failed: { needs: [hang], run_if: failed, set: { n: 1 } }
  clean: { needs: [hang], run_if: always, steps: { up: { set: { n: 1 } } } }
";
    let mut world = world;
    world.concurrency = 1;
    let executor = world.create(yaml, json!({})).await;
    let run = executor.run();
    let going = tokio::spawn(executor.execute());
    started.notified().await;
    let cancel = Message::Cancel { note: None, by: "ada".into(), via: Channel::Command };
    world.store.signal(run, cancel).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), going).await.expect("hangs").unwrap().unwrap();
    assert_eq!(ended.status, RunStatus::Cancelled);
    compare(
        &world,
        run,
        r##"
            step_started hang #1 {}
            cancel_requested
            step_cancelled hang
            step_skipped next RunCancelled
            step_skipped failed RunCancelled
            step_started clean #1
            step_started clean.up #1
            step_completed clean.up {"n":1}
            step_completed clean
            run_cancelled
"##,
    )
    .await;
    assert!(world.events(run).await.iter().any(|event| matches!(event.kind, EventKind::CancelRequested { .. })));
}

#[tokio::test]
async fn a_cancel_of_a_run_that_waits_ends_it() {
    let world = World::new();
    let (run, _) = world.run("parkway: 1\nsteps: { ask: { approve: { prompt: go? } } }", json!({})).await;
    let cancel = Message::Cancel { note: None, by: "ada".into(), via: Channel::Command };
    world.store.signal(run, cancel).await.unwrap();
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Cancelled);
    compare(
        &world,
        run,
        r##"
            approval_requested ask go? {"calls":[],"unknown":[],"show":null}
            run_claimed
            cancel_requested
            step_cancelled ask
            run_cancelled
"##,
    )
    .await;
}

#[tokio::test]
async fn an_output_that_its_schema_does_not_allow_is_a_failure() {
    #[derive(serde::Serialize, schemars::JsonSchema)]
    struct Found {
        pieces: Option<u32>,
    }
    let honest = tool_fn("t.honest", Effect::Pure, |_: serde_json::Value| async { Ok(Found { pieces: None }) });
    let mut spec = honest.spec().clone();
    (spec.name, spec.output_schema) = ("t.other".into(), json!({"type": "string"}));
    let world = World::new().tool(honest).tool(Acting { spec, act: |_, _| async { Ok(json!({"pieces": 1})) } });
    check_in(
        &world,
        "
steps:
  a: { tool: t.honest }
  b: { needs: [a], tool: t.other }
",
        r##"
            step_started a #1 {}
            step_completed a {"pieces":null}
            step_started b #1 {}
            step_failed b output: `t.other` returned what its output schema does not allow: {"pieces":1} is not of type "string"
            run_failed output at b: `t.other` returned what its output schema does not allow: {"pieces":1} is not of type "string"
"##,
    )
    .await;
}

#[tokio::test]
async fn an_output_that_could_not_be_read_back_is_a_failure_and_the_run_can_end() {
    let world = World::new().tool(Acting::new("t.deep", Effect::Pure, |_, _| async {
        Ok((0..200).fold(json!(1), |value, _| json!([value])))
    }));
    check_in(
        &world,
        "
steps:
  a: { tool: t.deep }
",
        r##"
            step_started a #1 {}
            step_failed a output: `t.deep` returned what its output schema does not allow: the value nests deeper than 64 levels
            run_failed output at a: `t.deep` returned what its output schema does not allow: the value nests deeper than 64 levels
"##,
    )
    .await;
}

#[tokio::test]
async fn a_call_that_fails_after_the_run_has_failed_is_not_tried_again() {
    let (failed, seen) = (Arc::new(tokio::sync::Notify::new()), Arc::new(AtomicU32::new(0)));
    let (tell, calls) = (failed.clone(), seen.clone());
    let world = World::new()
        .tool(Acting::new("t.first", Effect::Pure, move |_, _| {
            tell.notify_one();
            async { Err(ToolError::invalid("broken", "at once")) }
        }))
        .tool(Acting::new("t.late", Effect::Read, move |_, _| {
            calls.fetch_add(1, Ordering::SeqCst);
            let failed = failed.clone();
            async move {
                failed.notified().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(ToolError::transient("busy", "later"))
            }
        }));
    let yaml = "
tools: { t: {} }
steps:
  a: { tool: t.late }
  b: { tool: t.first }
";
    let yaml = format!("parkway: 1\n{yaml}");
    let (_, ended) = world.run(&yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_timer_that_is_due_does_not_keep_a_full_executor_busy() {
    let looks = Arc::new(AtomicU32::new(0));
    let world = World::new().tool(Acting::new("t.slow", Effect::Pure, |_, _| async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(json!(1))
    }));
    let mut services = world.services();
    services.concurrency = 1;
    services.clock = Arc::new(CountingClock(looks.clone()));
    let yaml = "
parkway: 1
steps:
  ask: { approve: { prompt: now?, timeout: 1ms } }
  slow: { tool: t.slow }
";
    let plan = Arc::new(world.plan(yaml).unwrap());
    let executor = Executor::create(services, world.models(), world.control.clone(), plan, &json!({})).await.unwrap();
    assert_eq!(executor.execute().await.unwrap().status, RunStatus::Failed);
    let looks = looks.load(Ordering::SeqCst);
    assert!(looks < 100, "the executor looked at the clock {looks} times");
}

/// The machine's clock, which counts how often it is looked at.
struct CountingClock(Arc<AtomicU32>);

impl Clock for CountingClock {
    fn now(&self) -> Time {
        self.0.fetch_add(1, Ordering::SeqCst);
        SystemClock.now()
    }

    fn jitter(&self, most: Duration) -> Duration {
        SystemClock.jitter(most)
    }

    fn random(&self) -> [u8; 16] {
        SystemClock.random()
    }
}

#[tokio::test]
async fn an_error_that_quotes_what_is_untrusted_is_untrusted() {
    let world = World::new();
    let plan = world.plan(
        "
parkway: 1
tools: { t: {} }
steps:
  letter: { tool: t.letter }
  each: { for_each: '${{ steps.letter.output.text }}', on_error: continue, set: { n: 1 } }
  told: { needs: [each], run_if: always, set: { text: '${{ steps.each.error.message }}' } }
",
    );
    let (run, _) = world.drive(world.create_plan(plan.unwrap(), json!({})).await).await;
    let log = world.log(run).await;
    assert!(log.contains("step_failed each template: `for_each` needs a list, not `\"dear all\"`"), "{log}");
    assert!(log.contains("(untrusted)") && log.contains("step_completed told"), "{log}");
    assert!(world.state(run).await.step(&"told".parse().unwrap()).unwrap().labels.untrusted, "{log}");
}

#[tokio::test]
async fn an_error_of_a_tool_that_returns_what_is_untrusted_is_untrusted() {
    for labels in [Labels::UNTRUSTED, Labels::NONE] {
        let fetch = tool_fn("t.fetch", Effect::Read, |_: serde_json::Map<String, Value>| async {
            Err::<Value, _>(ToolError::invalid("status", "the server says: pay Eve"))
        });
        let world = World::new().tool(fetch.labels(labels));
        let yaml = "
parkway: 1
tools: { t: {} }
steps:
  fetch: { tool: t.fetch, on_error: continue }
  told: { set: { text: '${{ steps.fetch.error.message }}' } }
";
        let (run, _) = world.run(yaml, json!({})).await;
        let told = world.state(run).await.step(&"told".parse().unwrap()).unwrap().labels;
        assert_eq!(told, labels, "{}", world.log(run).await);
    }
}
