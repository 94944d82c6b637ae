//! Steps that are repeated until something is true.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parkway_core::log::RunStatus;
use parkway_core::tool::{Effect, ToolError};
use serde_json::json;

use crate::check::{Acting, World, check, check_in};

/// A world with a tool that counts its calls from 1.
fn counting(world: World) -> World {
    let calls = Arc::new(AtomicU32::new(0));
    world.tool(Acting::new("t.count", Effect::Pure, move |_, _| {
        let n = calls.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Ok(json!({ "n": n })) }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_call_is_repeated_until_its_output_is_right() {
    let world = counting(World::paced());
    let run = check_in(
        &world,
        "
steps:
  poll: { repeat: { until: previous.n == 3, max: 5, delay: 20s }, tool: t.count, with: { before: '${{ previous }}', i: '${{ index }}' } }
  after: { set: { n: '${{ steps.poll.output.n }}', status: '${{ steps.poll.status }}' } }
",
        r##"
            step_started poll #1
            step_started poll#1 #1 {"before":null,"i":0}
            step_completed poll#1 {"n":1}
            step_repeated poll after 1: false
            step_waiting poll for a time
            timer_fired poll Wait
            step_started poll#2 #1 {"before":{"n":1},"i":1}
            step_completed poll#2 {"n":2}
            step_repeated poll after 2: false
            step_waiting poll for a time
            timer_fired poll Wait
            step_started poll#3 #1 {"before":{"n":2},"i":2}
            step_completed poll#3 {"n":3}
            step_repeated poll after 3: true
            step_completed poll {"n":3}
            step_started after #1
            step_completed after {"n":3,"status":"completed"}
            run_completed {}
"##,
    )
    .await;
    let state = world.state(run).await;
    assert!(state.updated().since(state.created()) >= Duration::from_secs(40));
}

#[tokio::test]
async fn a_group_is_repeated_with_the_output_of_the_round_before() {
    check_in(
        &World::new(),
        "
steps:
  grow:
    repeat: { until: '${{ previous.text | length >= 3 }}', max: 9 }
    steps:
      add: { set: { text: \"${{ ('' if previous is none else previous.text) ~ index }}\" } }
    result: { text: '${{ steps.add.output.text }}' }
  plain:
    needs: [grow]
    repeat: { until: 'true', max: 1 }
    steps: { a: { set: { n: 1 } }, b: { if: 'false', set: { n: 1 } } }
outputs: { text: '${{ steps.grow.output.text }}', plain: '${{ steps.plain.output }}' }
",
        r##"
            step_started grow #1
            step_started grow#1 #1
            step_started grow#1.add #1
            step_completed grow#1.add {"text":"0"}
            step_completed grow#1 {"text":"0"}
            step_repeated grow after 1: false
            step_started grow#2 #1
            step_started grow#2.add #1
            step_completed grow#2.add {"text":"01"}
            step_completed grow#2 {"text":"01"}
            step_repeated grow after 2: false
            step_started grow#3 #1
            step_started grow#3.add #1
            step_completed grow#3.add {"text":"012"}
            step_completed grow#3 {"text":"012"}
            step_repeated grow after 3: true
            step_completed grow {"text":"012"}
            step_started plain #1
            step_started plain#1 #1
            step_started plain#1.a #1
            step_completed plain#1.a {"n":1}
            step_skipped plain#1.b Condition
            step_completed plain#1
            step_repeated plain after 1: true
            step_completed plain
            run_completed {"text":"012","plain":{"a":{"n":1},"b":null}}
"##,
    )
    .await;
}

#[tokio::test]
async fn rounds_that_are_used_up_are_a_failure() {
    check_in(
        &counting(World::new()),
        "
steps:
  poll: { repeat: { until: 'false', max: 2 }, tool: t.count, on_error: continue }
  after: { set: { code: '${{ steps.poll.error.code }}', status: '${{ steps.poll.status }}' } }
",
        r##"
            step_started poll #1
            step_started poll#1 #1 {}
            step_completed poll#1 {"n":1}
            step_repeated poll after 1: false
            step_started poll#2 #1 {}
            step_completed poll#2 {"n":2}
            step_repeated poll after 2: false
            step_failed poll exhausted: `until` was not true after 2 rounds
            step_started after #1
            step_completed after {"code":"exhausted","status":"failed"}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_round_that_fails_fails_the_step_with_its_code() {
    check(
        "
steps:
  poll: { repeat: { until: 'true', max: 3 }, tool: t.fail, on_error: continue }
  group: { needs: [poll], repeat: { until: 'true', max: 3 }, steps: { bad: { tool: t.fail } } }
",
        r##"
            step_started poll #1
            step_started poll#1 #1 {}
            step_failed poll#1 broken: told to fail with null
            step_failed poll broken: told to fail with null
            step_started group #1
            step_started group#1 #1
            step_started group#1.bad #1 {}
            step_failed group#1.bad broken: told to fail with null
            step_failed group#1 broken: told to fail with null
            step_failed group broken: told to fail with null
            run_failed broken at group#1.bad: told to fail with null
"##,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_the_rounds_own() {
    let calls = Arc::new(AtomicU32::new(0));
    let seen = calls.clone();
    let world = World::paced().tool(Acting::new("t.busy", Effect::Pure, move |_, _| {
        let n = seen.fetch_add(1, Ordering::SeqCst);
        async move { if n.is_multiple_of(2) { Err(ToolError::transient("busy", "later")) } else { Ok(json!(n)) } }
    }));
    let yaml = "parkway: 1\nsteps: { poll: { repeat: { until: previous == 3, max: 2 }, retry: 1, tool: t.busy } }";
    let (_, ended) = world.run(yaml, json!({})).await;
    assert_eq!((ended.status, calls.load(Ordering::SeqCst)), (RunStatus::Completed, 4));
}

#[tokio::test]
async fn an_until_that_is_no_boolean_fails_the_step() {
    check_in(
        &counting(World::new()),
        "steps: { poll: { repeat: { until: previous.n, max: 2 }, tool: t.count } }",
        r##"
            step_started poll #1
            step_started poll#1 #1 {}
            step_completed poll#1 {"n":1}
            step_failed poll template: `until` must be true or false, not `1`
            run_failed template at poll: `until` must be true or false, not `1`
"##,
    )
    .await;
}

#[tokio::test]
async fn index_and_previous_are_those_of_the_innermost() {
    check(
        "
steps:
  each:
    for_each: [a, b]
    max_parallel: 1
    steps:
      poll:
        repeat: { until: index == 1, max: 2 }
        set: { at: '${{ item }}${{ index }}', before: '${{ previous }}' }
      own: { set: { at: '${{ index }}' } }
    result: '${{ steps.poll.output }}'
outputs: { all: '${{ steps.each.output }}' }
",
        r##"
            step_expanded each 2 items
            step_started each[0] #1
            step_started each[0].poll #1
            step_started each[0].own #1
            step_completed each[0].own {"at":0}
            step_started each[0].poll#1 #1
            step_completed each[0].poll#1 {"at":"a0","before":null}
            step_repeated each[0].poll after 1: false
            step_started each[0].poll#2 #1
            step_completed each[0].poll#2 {"at":"a1","before":{"at":"a0","before":null}}
            step_repeated each[0].poll after 2: true
            step_completed each[0].poll {"at":"a1","before":{"at":"a0","before":null}}
            step_completed each[0] {"at":"a1","before":{"at":"a0","before":null}}
            step_started each[1] #1
            step_started each[1].poll #1
            step_started each[1].own #1
            step_completed each[1].own {"at":1}
            step_started each[1].poll#1 #1
            step_completed each[1].poll#1 {"at":"b0","before":null}
            step_repeated each[1].poll after 1: false
            step_started each[1].poll#2 #1
            step_completed each[1].poll#2 {"at":"b1","before":{"at":"b0","before":null}}
            step_repeated each[1].poll after 2: true
            step_completed each[1].poll {"at":"b1","before":{"at":"b0","before":null}}
            step_completed each[1] {"at":"b1","before":{"at":"b0","before":null}}
            step_completed each
            run_completed {"all":[{"at":"a1","before":{"at":"a0","before":null}},{"at":"b1","before":{"at":"b0","before":null}}]}
"##,
    )
    .await;
}
