//! What stops steps from outside: timeouts of groups, the deadline, a cancel, and the time that clean-up has then.

use std::future::pending;
use std::time::Duration;

use parkway_core::id::RunId;
use parkway_core::log::{EventKind, RunStatus, StepStatus};
use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::tool::{Effect, ToolError};
use parkway_core::workflow::{Definition, Plan, Requirements};
use serde_json::{Value, json};

use crate::check::{Acting, World, check_in, compare};

/// A paused world whose tool `t.hang` never ends, and whose tool `t.once` never ends and must not be repeated.
fn hanging() -> World {
    let mut world = World::paced();
    for (name, effect) in [("t.hang", Effect::Pure), ("t.read", Effect::Read), ("t.once", Effect::AtMostOnce)] {
        world = world.tool(Acting::new(name, effect, |_, _| pending::<Result<Value, ToolError>>()));
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_group_that_takes_too_long_is_stopped_as_a_whole() {
    let world = hanging();
    let run = check_in(
        &world,
        "
steps:
  group:
    timeout: 30s
    on_error: continue
    steps:
      call: { tool: t.hang, timeout: 5m }
      wait: { wait: 5h }
      signal: { wait: { signal: go } }
      form: { input: { prompt: p, output: { n: { type: integer } } } }
      ask: { approve: { prompt: go? } }
      each: { for_each: [1, 2, 3], max_parallel: 1, wait: 5h }
      poll: { repeat: { until: 'false', max: 9, delay: 5h }, set: { n: 1 } }
      inner: { steps: { deep: { tool: t.hang, timeout: 5m }, then: { needs: [deep], set: { n: 1 } } } }
      after: { needs: [call], set: { n: 1 } }
      failed: { needs: [call], run_if: failed, set: { n: 1 } }
      clean: { needs: [call], run_if: always, set: { seen: '${{ steps.call.status }}' } }
  told: { set: { status: '${{ steps.group.status }}', code: '${{ steps.group.error.code }}', why: '${{ steps.group.error.message }}' } }
",
        r##"
            step_started group #1
            step_started group.call #1 {}
            step_waiting group.wait for a time
            step_waiting group.signal for signal go
            step_waiting group.form for input: p
            approval_requested group.ask go? {"calls":[],"unknown":[],"show":null}
            step_expanded group.each 3 items
            step_started group.poll #1
            step_started group.inner #1
            step_waiting group.each[0] for a time
            step_started group.poll#1 #1
            step_completed group.poll#1 {"n":1}
            step_started group.inner.deep #1 {}
            step_repeated group.poll after 1: false
            step_waiting group.poll for a time
            timer_fired group Timeout
            step_cancelled group.wait
            step_cancelled group.signal
            step_cancelled group.form
            step_cancelled group.ask
            step_cancelled group.poll
            step_cancelled group.each[0]
            step_cancelled group.each
            step_cancelled group.call
            step_skipped group.after TimedOut { id: "group" }
            step_skipped group.failed TimedOut { id: "group" }
            step_started group.clean #1
            step_completed group.clean {"seen":"cancelled"}
            step_cancelled group.inner.deep
            step_skipped group.inner.then TimedOut { id: "group" }
            step_cancelled group.inner
            step_failed group timeout: its steps took longer than 30s together
            step_started told #1
            step_completed told {"status":"failed","code":"timeout","why":"its steps took longer than 30s together"}
            run_completed {}
"##,
    )
    .await;
    assert_eq!(world.state(run).await.wake(), None);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_beside_a_fan_out_or_a_repeat_bounds_each_item_and_each_round() {
    let world = hanging();
    let yaml = "
parkway: 1
steps:
  each: { for_each: [10s, 40s], as: time, on_item_error: collect, timeout: 30s, max_parallel: 1, steps: { a: { wait: { until: \"${{ '2027-01-01T00:00:10Z' if index == 0 else '2027-01-02T00:00:00Z' }}\" } } } }
  poll: { repeat: { until: index == 4, max: 5 }, timeout: 30s, steps: { a: { wait: 20s } } }
outputs: { each: '${{ steps.each.items | map(attribute=\"status\") | list }}', poll: '${{ steps.poll.status }}' }
";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(world.outputs(run).await, json!({"each": ["completed", "failed"], "poll": "completed"}));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_a_group_survives_the_process() {
    let mut world = hanging();
    let yaml = "parkway: 1\nsteps: { group: { timeout: 1h, steps: { ask: { approve: { prompt: go? } } } } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    tokio::time::advance(Duration::from_secs(3_600)).await;
    world.worker = "two";
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Failed);
    compare(
        &world,
        run,
        r##"
            step_started group #1
            approval_requested group.ask go? {"calls":[],"unknown":[],"show":null}
            run_claimed
            timer_fired group Timeout
            step_cancelled group.ask
            step_failed group timeout: its steps took longer than 1h together
            run_failed timeout at group: its steps took longer than 1h together
"##,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn clean_up_that_does_not_end_is_stopped_after_its_grace_time() {
    let world = hanging();
    let run = check_in(
        &world,
        "
tools: { t: {} }
steps:
  group:
    timeout: 30s
    steps:
      call: { tool: t.hang }
      clean: { needs: [call], run_if: always, tool: t.read, timeout: 1h }
      more: { needs: [clean], run_if: always, set: { n: 1 } }
",
        r##"
            step_started group #1
            step_started group.call #1 {}
            timer_fired group Timeout
            step_cancelled group.call
            step_started group.clean #1 {} by default.read
            timer_fired group Grace
            step_cancelled group.clean
            step_skipped group.more TimedOut { id: "group" }
            step_failed group timeout: its steps took longer than 30s together
            run_failed timeout at group: its steps took longer than 30s together
"##,
    )
    .await;
    let state = world.state(run).await;
    assert_eq!(state.updated().since(state.created()).as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_timeout_is_the_groups() {
    let mut world = hanging();
    world.concurrency = 1;
    let (run, ended) = world
        .run(
            "
parkway: 1
steps:
  group:
    timeout: 30s
    on_error: continue
    steps: { bad: { tool: t.fail }, call: { tool: t.hang } }
outputs: { code: '${{ steps.group.error.code }}' }
",
            json!({}),
        )
        .await;
    assert_eq!(ended.status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"code": "broken"}));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_repeated_is_in_doubt_when_its_group_is_stopped() {
    let mut world = hanging();
    world.control.stay = true;
    let yaml = "
parkway: 1
tools: { t: {} }
steps: { group: { timeout: 2m, steps: { ask: { approve: { prompt: go? } }, send: { needs: [ask], tool: t.once, timeout: 1h } } } }
";
    let executor = world.create(yaml, json!({})).await;
    let run = executor.run();
    let going = tokio::spawn(executor.execute());
    until_asked(&world, run).await;
    world.answer(run, "group.ask", true).await;
    let ended = going.await.unwrap().unwrap();
    assert_eq!(ended.status, RunStatus::Waiting, "{}", world.log(run).await);
    let log = world.log(run).await;
    assert!(
        log.ends_with("timer_fired group Timeout\nstep_in_doubt group.send cancelled: the call was stopped"),
        "{log}"
    );
}

async fn until_asked(world: &World, run: RunId) {
    while world.state(run).await.asking().next().is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_stops_the_run_and_nothing_handles_it() {
    let world = hanging();
    check_in(
        &world,
        "
deadline: 40s
steps:
  group: { on_error: continue, steps: { call: { tool: t.hang }, wait: { wait: 5h } } }
  each: { for_each: [1, 2], on_item_error: collect, wait: 5h }
  call: { tool: t.hang, on_error: continue, timeout: 5m }
  next: { needs: [call], set: { n: 1 } }
  failed: { needs: [call], run_if: failed, set: { n: 1 } }
  clean: { needs: [call], run_if: always, set: { n: 1 } }
",
        r##"
            step_started group #1
            step_expanded each 2 items
            step_started call #1 {}
            step_started group.call #1 {}
            step_waiting group.wait for a time
            step_waiting each[0] for a time
            step_waiting each[1] for a time
            timer_fired Deadline
            step_cancelled group.wait
            step_cancelled each[0]
            step_cancelled each[1]
            step_cancelled each
            step_cancelled call
            step_skipped next RunFailed
            step_skipped failed RunFailed
            step_started clean #1
            step_completed clean {"n":1}
            step_cancelled group.call
            step_cancelled group
            run_failed deadline: the run took longer than its `deadline` of 40s
"##,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_passes_while_nobody_has_the_run() {
    let world = hanging();
    let yaml = "parkway: 1\ndeadline: 1d\nsteps: { ask: { approve: { prompt: go? } } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    assert!(world.state(run).await.wake().is_some());
    tokio::time::advance(Duration::from_secs(86_400)).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Failed);
    assert!(world.log(run).await.ends_with("run_failed deadline: the run took longer than its `deadline` of 24h"));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_counts_by_when_it_is_read_and_not_by_when_it_was_sent() {
    for (hours, status) in [(23, RunStatus::Cancelled), (25, RunStatus::Failed)] {
        let world = hanging();
        let yaml = "parkway: 1\ndeadline: 1d\nsteps: { ask: { approve: { prompt: go? } } }";
        let (run, _) = world.run(yaml, json!({})).await;
        tokio::time::advance(Duration::from_secs(hours * 3_600)).await;
        world.cancel(run).await;
        tokio::time::advance(Duration::from_secs(3 * 3_600)).await;
        assert_eq!(world.resume(run).await.unwrap().status, status, "after {hours} h");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_whatever_waits_and_bounds_what_always_runs() {
    let mut world = hanging();
    world.control.stay = true;
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  wait: { wait: 5h }
  signal: { wait: { signal: go } }
  form: { input: { prompt: p, output: { n: { type: integer } } } }
  poll: { repeat: { until: 'false', max: 9, delay: 5h }, set: { n: 1 } }
  rounds: { repeat: { until: 'false', max: 9 }, tool: t.hang }
  each: { for_each: [1, 2, 3], max_parallel: 2, steps: { in: { wait: 5h }, up: { needs: [in], run_if: always, set: { n: 1 } } } }
  next: { needs: [wait], set: { n: 1 } }
  clean: { needs: [each], run_if: always, steps: { up: { tool: t.read, timeout: 1h } } }
";
    let executor = world.create(yaml, json!({})).await;
    let run = executor.run();
    let going = tokio::spawn(executor.execute());
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.cancel(run).await;
    assert_eq!(going.await.unwrap().unwrap().status, RunStatus::Cancelled);
    let state = world.state(run).await;
    assert_eq!(state.updated().since(state.created()).as_secs(), 35);
    let status = |step: &str| state.step(&step.parse().unwrap()).map(|step| step.status);
    for step in ["wait", "signal", "form", "poll", "rounds", "rounds#1", "each", "each[0]", "each[0].in", "clean.up"] {
        assert_eq!(status(step), Some(StepStatus::Cancelled), "{step}\n{}", world.log(run).await);
    }
    assert_eq!(status("each[1].up"), Some(StepStatus::Completed));
    assert_eq!(status("each[2]"), None);
    assert_eq!(status("next"), Some(StepStatus::Skipped));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_while_nobody_has_the_run_survives() {
    let world = hanging();
    let (run, _) =
        world.run("parkway: 1\nsteps: { a: { wait: 5h }, b: { needs: [a], set: { n: 1 } } }", json!({})).await;
    world.cancel(run).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Cancelled);
    let events = world.events(run).await;
    assert!(events.iter().any(|event| matches!(event.kind, EventKind::StepCancelled { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_called_workflow_is_bounded_by_its_callers_timeout_and_its_own_deadline() {
    for (child, timeout, code) in
        [("deadline: 40s\n", "30s", "timeout"), ("deadline: 20s\n", "30s", "deadline"), ("", "30s", "timeout")]
    {
        let world = hanging();
        let child = format!(
            "parkway: 1\n{child}steps: {{ a: {{ wait: 50s }}, up: {{ needs: [a], run_if: always, set: {{ n: 1 }} }} }}"
        );
        let yaml = format!(
            "parkway: 1\nsteps: {{ sub: {{ workflow: child.yaml, timeout: {timeout}, on_error: continue }}, told: {{ set: {{ code: '${{{{ steps.sub.error.code }}}}' }} }} }}\noutputs: {{ code: '${{{{ steps.told.output.code }}}}' }}"
        );
        let definition = Definition::parse("test.yaml", &yaml, |_| Ok(child.clone())).unwrap();
        let plan = Plan::check(&definition, &Requirements::new(&world.tools, DefaultPolicy.fingerprint())).unwrap();
        let (run, ended) = world.drive(world.create_plan(plan, json!({})).await).await;
        assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
        assert_eq!(world.outputs(run).await, json!({ "code": code }));
        let state = world.state(run).await;
        let status = |step: &str| state.step(&step.parse().unwrap()).map(|step| step.status);
        assert_eq!(status("sub.a"), Some(StepStatus::Cancelled));
        assert_eq!(status("sub.up"), Some(StepStatus::Completed));
    }
}
