//! Shapes of graphs: what waits for what, groups, fan-outs, and what flows through them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parkway_core::id::StepKey;
use parkway_core::log::{RunStatus, StepStatus};
use parkway_core::tool::Effect;
use serde_json::{Value, json};

use crate::check::{Acting, World, check};

#[tokio::test]
async fn a_chain_passes_values_on_in_their_types() {
    check(
        r#"
steps:
  a: { set: { n: 2, list: [1, 2], text: "x" } }
  b: { tool: t.echo, with: { value: "${{ steps.a.output.list }}" } }
  c: { set: { sum: "${{ steps.a.output.n + 1 }}", said: "${{ steps.b.output }} ${{ steps.a.output.text }}" } }
outputs: { sum: "${{ steps.c.output.sum }}", said: "${{ steps.c.output.said }}" }
"#,
        r##"
            step_started a #1
            step_completed a {"n":2,"list":[1,2],"text":"x"}
            step_started b #1 {"value":[1,2]}
            step_completed b [1,2]
            step_started c #1
            step_completed c {"sum":3,"said":"[1,2] x"}
            run_completed {"sum":3,"said":"[1,2] x"}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_diamond_ends_once() {
    check(
        r#"
steps:
  top: { set: { n: 1 } }
  left: { set: { n: "${{ steps.top.output.n + 1 }}" } }
  right: { set: { n: "${{ steps.top.output.n + 2 }}" } }
  bottom: { set: { n: "${{ steps.left.output.n * steps.right.output.n }}" } }
"#,
        r##"
            step_started top #1
            step_completed top {"n":1}
            step_started left #1
            step_completed left {"n":2}
            step_started right #1
            step_completed right {"n":3}
            step_started bottom #1
            step_completed bottom {"n":6}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_group_without_a_result_gives_its_members_by_id_and_null_for_skipped() {
    check(
        r#"
steps:
  outer: { set: { n: 5 } }
  group:
    steps:
      a: { set: { n: "${{ steps.outer.output.n }}" } }
      b: { if: "steps.a.output.n > 9", set: { n: 0 } }
  after: { set: { all: "${{ steps.group.output }}" } }
"#,
        r##"
            step_started outer #1
            step_completed outer {"n":5}
            step_started group #1
            step_started group.a #1
            step_completed group.a {"n":5}
            step_skipped group.b Condition
            step_completed group
            step_started after #1
            step_completed after {"all":{"a":{"n":5},"b":null}}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_group_with_a_result_gives_that() {
    check(
        r#"
steps:
  group:
    steps:
      a: { set: { n: 1 } }
      b: { needs: [a], set: { n: 2 } }
    result: "${{ [steps.a.output.n, steps.b.output.n] }}"
  after: { tool: t.echo, with: { value: "${{ steps.group.output }}" } }
"#,
        r##"
            step_started group #1
            step_started group.a #1
            step_completed group.a {"n":1}
            step_started group.b #1
            step_completed group.b {"n":2}
            step_completed group [1,2]
            step_started after #1 {"value":[1,2]}
            step_completed after [1,2]
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn an_empty_list_completes_with_an_empty_list() {
    check(
        r#"
steps:
  each: { for_each: [], set: { n: "${{ item }}" } }
  after: { set: { all: "${{ steps.each.output }}", items: "${{ steps.each.items }}" } }
"#,
        r##"
            step_expanded each 0 items
            step_completed each
            step_started after #1
            step_completed after {"all":[],"items":[]}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn items_keep_their_order_and_their_names() {
    check(
        r#"
steps:
  each:
    for_each: [{ id: "x" }, { id: "y" }]
    as: thing
    key: thing.id
    max_parallel: 1
    set: { n: "${{ index }}-${{ thing.id }}" }
  after: { set: { items: "${{ steps.each.items }}" } }
"#,
        r##"
            step_expanded each 2 items
            step_started each[0] #1
            step_completed each[0] {"n":"0-x"}
            step_started each[1] #1
            step_completed each[1] {"n":"1-y"}
            step_completed each
            step_started after #1
            step_completed after {"items":[{"index":0,"key":"x","item":{"id":"x"},"status":"completed","output":{"n":"0-x"},"error":null},{"index":1,"key":"y","item":{"id":"y"},"status":"completed","output":{"n":"1-y"},"error":null}]}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn two_items_of_one_name_are_an_error() {
    check(
        "steps:\n  each: { for_each: [1, 1], key: item, set: { n: 1 } }",
        r##"
            step_failed each template: two items have the `key` `1`
            run_failed template at each: two items have the `key` `1`
"##,
    )
    .await;
}

#[tokio::test]
async fn a_key_that_is_no_text_is_an_error() {
    check(
        "steps:\n  v: { tool: t.echo, with: { value: [[1]] } }\n  each: { for_each: steps.v.output, key: item, set: { n: 1 } }",
        r##"
            step_started v #1 {"value":[[1]]}
            step_completed v [[1]]
            step_failed each template: the `key` of item 0 must be a text, not `[1]`
            run_failed template at each: the `key` of item 0 must be a text, not `[1]`
"##,
    )
    .await;
}

#[tokio::test]
async fn a_for_each_over_no_list_is_an_error() {
    check(
        "steps:\n  v: { tool: t.echo, with: { value: abc } }\n  each: { for_each: steps.v.output, set: { n: 1 } }",
        r##"
            step_started v #1 {"value":"abc"}
            step_completed v "abc"
            step_failed each template: `for_each` needs a list, not `"abc"`
            run_failed template at each: `for_each` needs a list, not `"abc"`
"##,
    )
    .await;
}

#[tokio::test]
async fn nested_fan_outs_see_the_items_around_them() {
    check(
        r#"
steps:
  base: { set: { n: 100 } }
  outer:
    for_each: [[1, 2], [3]]
    as: row
    max_parallel: 1
    steps:
      first: { set: { n: "${{ row | length }}" } }
      inner:
        for_each: ${{ row }}
        max_parallel: 1
        steps:
          sum: { set: { n: "${{ steps.base.output.n + steps.first.output.n * 10 + item + index }}" } }
        result: ${{ steps.sum.output.n }}
    result: ${{ steps.inner.output }}
outputs: { all: "${{ steps.outer.output }}" }
"#,
        r##"
            step_started base #1
            step_completed base {"n":100}
            step_expanded outer 2 items
            step_started outer[0] #1
            step_started outer[0].first #1
            step_completed outer[0].first {"n":2}
            step_expanded outer[0].inner 2 items
            step_started outer[0].inner[0] #1
            step_started outer[0].inner[0].sum #1
            step_completed outer[0].inner[0].sum {"n":121}
            step_completed outer[0].inner[0] 121
            step_started outer[0].inner[1] #1
            step_started outer[0].inner[1].sum #1
            step_completed outer[0].inner[1].sum {"n":123}
            step_completed outer[0].inner[1] 123
            step_completed outer[0].inner
            step_completed outer[0] [121,123]
            step_started outer[1] #1
            step_started outer[1].first #1
            step_completed outer[1].first {"n":1}
            step_expanded outer[1].inner 1 items
            step_started outer[1].inner[0] #1
            step_started outer[1].inner[0].sum #1
            step_completed outer[1].inner[0].sum {"n":113}
            step_completed outer[1].inner[0] 113
            step_completed outer[1].inner
            step_completed outer[1] [113]
            step_completed outer
            run_completed {"all":[[121,123],[113]]}
"##,
    )
    .await;
}

/// A world in which `t.work` counts how many of its calls are under way at once.
fn counting() -> (World, Arc<AtomicUsize>) {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    let work = Acting::new("t.work", Effect::Pure, move |input: Value, _| {
        let (now, most) = (now.clone(), most.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(input)
        }
    });
    (World::new().tool(work), seen)
}

#[tokio::test]
async fn items_of_a_tool_run_at_once_but_never_more_than_max_parallel() {
    let (world, most) = counting();
    let yaml = "
parkway: 1
steps:
  each: { for_each: '${{ range(20) | list }}', max_parallel: 3, tool: t.work, with: { n: '${{ item }}' } }
outputs: { all: '${{ steps.each.output }}' }
";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(most.load(Ordering::SeqCst), 3);
    let expected: Vec<_> = (0..20).map(|n| json!({ "n": n })).collect();
    assert_eq!(world.outputs(run).await, json!({ "all": expected }));
}

#[tokio::test]
async fn items_of_a_group_run_at_once_but_never_more_than_max_parallel() {
    let (world, most) = counting();
    let yaml = "
parkway: 1
steps:
  each:
    for_each: '${{ range(12) | list }}'
    max_parallel: 4
    steps:
      a: { tool: t.work, with: { n: '${{ item }}' } }
      b: { tool: t.work, with: { n: '${{ steps.a.output.n }}' } }
    result: ${{ steps.b.output.n }}
outputs: { all: '${{ steps.each.output }}' }
";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(most.load(Ordering::SeqCst), 4);
    assert_eq!(world.outputs(run).await, json!({ "all": (0..12).collect::<Vec<_>>() }));
}

#[tokio::test]
async fn steps_that_wait_for_nothing_run_at_once() {
    let (world, most) = counting();
    let yaml = "
parkway: 1
steps:
  a: { tool: t.work }
  b: { tool: t.work }
  c: { tool: t.work, needs: [a, b] }
";
    let (_, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed);
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn untrusted_text_stays_untrusted_through_everything() {
    let world = World::new();
    let yaml = r#"
parkway: 1
models: { main: { gguf: { name: x } } }
tools: { t: {} }
steps:
  letter: { tool: t.letter }
  clean: { set: { n: 1 } }
  made: { set: { text: "${{ steps.letter.output.text }}" } }
  called: { tool: t.echo, with: { value: "${{ steps.made.output.text }}" } }
  asked: { chat: { model: main, prompt: "${{ steps.called.output }}" } }
  group:
    steps: { inner: { set: { text: "${{ steps.asked.output }}" } } }
  each: { for_each: "${{ [steps.group.output.inner.text] }}", set: { x: "${{ item }}" } }
  unnamed: { for_each: "${{ [steps.letter.output.text] }}", steps: { own: { set: { x: 1 } } }, result: 1 }
  branch: { if: "steps.letter.output.text != ''", set: { n: 1 } }
  called_behind_if: { if: "steps.letter.output.text != ''", tool: t.echo }
  group_behind_if: { if: "steps.letter.output.text != ''", steps: { own: { set: { x: 1 } } } }
  each_behind_if: { if: "steps.letter.output.text != ''", for_each: [1], set: { x: 1 } }
"#;
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    let state = world.state(run).await;
    let untrusted = |key: &str| state.step(&key.parse::<StepKey>().unwrap()).unwrap().labels.untrusted;
    for key in [
        "letter",
        "made",
        "called",
        "asked",
        "group",
        "group.inner",
        "each",
        "each[0]",
        "unnamed",
        "branch",
        "called_behind_if",
        "group_behind_if",
        "each_behind_if",
    ] {
        assert!(untrusted(key), "{key} has lost its label");
    }
    for key in ["clean", "unnamed[0].own"] {
        assert!(!untrusted(key), "{key} has a label that it does not deserve");
    }
}

#[tokio::test]
async fn inputs_have_defaults_and_wrong_ones_are_told_all_at_once() {
    let world = World::new();
    let yaml = r#"
parkway: 1
inputs:
  n: { type: integer, default: 3, max: 9 }
  name: { type: string, pattern: "[a-z]+" }
  rest: { type: array, items: { type: string }, optional: true }
steps: { a: { set: { n: "${{ inputs.n }}", name: "${{ inputs.name }}" } } }
outputs: { a: "${{ steps.a.output }}" }
"#;
    let (run, _) = world.run(yaml, json!({ "name": "ada" })).await;
    assert_eq!(world.outputs(run).await, json!({ "a": { "n": 3, "name": "ada" } }));
    let plan = world.plan(yaml).unwrap();
    let wrong = |inputs: Value| plan.fill_inputs(inputs.as_object().cloned().unwrap()).unwrap_err().join("\n");
    assert_eq!(
        wrong(json!({ "nam": 1 })),
        "no input is called `nam`; did you mean `name`?\nthe input `name` is missing; give it with `--input name=…`"
    );
    assert_eq!(
        wrong(json!({ "n": 10, "name": "Ada1", "rest": [1] })),
        "the input `n` is wrong: 10 is greater than the maximum of 9\n\
         the input `name` is wrong: \"Ada1\" does not match \"^(?:[a-z]+)$\"\n\
         the input `rest` is wrong: at `/0`: 1 is not of type \"string\""
    );
}

#[tokio::test]
async fn an_optional_input_that_is_not_given_is_null_and_not_undefined() {
    let world = World::new();
    let yaml = r#"
parkway: 1
inputs: { note: { type: string, optional: true } }
steps: { a: { if: "inputs.note is none", set: { note: "${{ inputs.note }}" } } }
outputs: { a: "${{ steps.a.output if steps.a.status == 'completed' else 'skipped' }}" }
"#;
    for (inputs, expected) in [
        (json!({}), json!({ "note": null })),
        (json!({ "note": null }), json!({ "note": null })),
        (json!({ "note": "x" }), json!("skipped")),
    ] {
        let (run, _) = world.run(yaml, inputs).await;
        assert_eq!(world.outputs(run).await["a"], expected);
    }
}

#[tokio::test]
async fn a_false_ensure_fails_the_run() {
    check(
        "steps: { a: { set: { n: 0 } } }\nensure: [ 'steps.a.output.n == 0', 'steps.a.output.n > 0' ]",
        r##"
            step_started a #1
            step_completed a {"n":0}
            run_failed ensure: `ensure` does not hold: steps.a.output.n > 0
"##,
    )
    .await;
}

#[tokio::test]
async fn an_ensure_in_error_is_not_a_false_one() {
    check("steps: { a: { tool: t.echo, with: { value: { n: x } } } }\nensure: [ 'steps.a.output.m > 0' ]", r##"
            step_started a #1 {"value":{"n":"x"}}
            step_completed a {"n":"x"}
            run_failed ensure_error: `ensure` could not be checked: `output` has no field `m`; it has n, in `steps.a.output.m > 0`
"##).await;
    check(
        "steps: { a: { tool: t.echo, with: { value: { n: x } } } }\nensure: [ 'steps.a.output.n' ]",
        r##"
            step_started a #1 {"value":{"n":"x"}}
            step_completed a {"n":"x"}
            run_failed ensure_error: `ensure` must be true or false, not `"x"`: steps.a.output.n
"##,
    )
    .await;
}

#[tokio::test]
async fn outputs_without_a_value_fail_the_run() {
    check(
        "steps: { a: { tool: t.echo, with: { value: { n: x } } } }\noutputs: { m: '${{ steps.a.output.m }}' }",
        r##"
            step_started a #1 {"value":{"n":"x"}}
            step_completed a {"n":"x"}
            run_failed outputs: the outputs have no value: `output` has no field `m`; it has n, in `steps.a.output.m`
"##,
    )
    .await;
}

#[tokio::test]
async fn a_chain_of_many_steps_takes_time_in_proportion() {
    let mut yaml = "parkway: 1\nsteps:\n  s0: { set: { n: 0 } }\n".to_owned();
    for i in 1..5_000 {
        yaml.push_str(&format!("  s{i}: {{ set: {{ n: \"${{{{ steps.s{}.output.n + 1 }}}}\" }} }}\n", i - 1));
    }
    yaml.push_str("outputs: { n: '${{ steps.s4999.output.n }}' }\n");
    let world = World::new();
    let start = std::time::Instant::now();
    let (run, _) = world.run(&yaml, json!({})).await;
    assert_eq!(world.outputs(run).await, json!({ "n": 4_999 }));
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_fan_out_of_many_items_takes_time_in_proportion() {
    let yaml = "
parkway: 1
steps:
  first: { for_each: '${{ range(5000) | list }}', key: item, set: { n: '${{ item }}' } }
  second: { for_each: '${{ range(5000) | list }}', max_parallel: 64, tool: t.echo, with: { value: '${{ steps.first.output[item].n }}' } }
outputs: { n: '${{ steps.second.output | length }}' }
";
    let world = World::new();
    let start = std::time::Instant::now();
    let (run, ended) = world.run(yaml, json!({})).await;
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!(ended.status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({ "n": 5_000 }));
    assert!(world.state(run).await.steps().iter().all(|step| step.status == StepStatus::Completed));
}
