//! Workflows within workflows.

use std::time::Duration;

use parkway_core::id::RunId;
use parkway_core::log::StepStatus;
use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::tool::{Effect, ToolError};
use parkway_core::workflow::{Definition, Plan, Requirements, SubWorkflow, Verb};
use serde_json::{Value, json};

use crate::check::{Acting, World, compare};

const HEAD: &str = "parkway: 1\nname: test\ntools: { t: {} }\nmodels: { main: {} }\n";

/// A plan whose step `sub`, written as a `set` of what is handed over, calls a workflow; as a run of its own or not.
pub(crate) fn calling(world: &World, caller: &str, child: &str, own_run: bool) -> Plan {
    let (before, sub) = caller.split_once("sub: {").expect("a step `sub`");
    let call = if own_run { "workflow: child.yaml, own_run: true, with:" } else { "workflow: child.yaml, with:" };
    let caller = format!("{before}sub: {{{}", sub.replacen("set:", call, 1));
    files(world, &[("main.yaml", &caller), ("child.yaml", child)]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The workflow that the step `sub` calls.
pub(crate) fn called(plan: &mut Plan) -> &mut SubWorkflow {
    let sub = plan.graph.nodes.iter_mut().find(|node| node.id == "sub").unwrap();
    let Verb::Workflow(workflow) = &mut sub.verb else { panic!("no workflow") };
    workflow
}

async fn run(world: &World, plan: Plan) -> RunId {
    let (run, ended) = world.drive(world.create_plan(plan, json!({})).await).await;
    assert_eq!(world.state(run).await.status(), ended.status);
    run
}

/// Runs a caller with one workflow called at the step `sub`, and compares the log.
async fn check(caller: &str, child: &str, log: &str) {
    let world = World::new();
    let plan = calling(&world, caller, child, false);
    compare(&world, run(&world, plan).await, log).await;
}

#[tokio::test]
async fn a_called_workflow_runs_under_its_step_and_gives_its_outputs() {
    check(
        "
steps:
  first: { set: { n: 3 } }
  sub: { set: { n: '${{ steps.first.output.n }}' } }
  last: { set: { got: '${{ steps.sub.output.twice }}' } }
outputs: { got: '${{ steps.last.output.got }}' }",
        "
inputs: { n: { type: integer }, more: { type: string, default: x }, none: { type: string, optional: true } }
steps:
  double: { tool: t.echo, with: { value: '${{ inputs.n * 2 }}' } }
  told: { set: { text: '${{ inputs.more }} ${{ steps.double.output }} ${{ inputs.none }}' } }
outputs: { twice: '${{ steps.double.output }}' }
ensure: [ 'steps.double.output == 6' ]",
        r#"
        step_started first #1
        step_completed first {"n":3}
        step_started sub #1 {"n":3,"more":"x","none":null}
        step_started sub.double #1 {"value":6}
        step_completed sub.double 6
        step_started sub.told #1
        step_completed sub.told {"text":"x 6 null"}
        step_completed sub {"twice":6}
        step_started last #1
        step_completed last {"got":6}
        run_completed {"got":6}
        "#,
    )
    .await;
}

#[tokio::test]
async fn wrong_inputs_fail_the_step_at_the_edge() {
    let child = "
inputs: { n: { type: integer } }
steps: { one: { set: { n: '${{ inputs.n }}' } } }";
    let caller = "
steps:
  a: { tool: t.echo, with: { value: three } }
  sub: { set: { n: '${{ steps.a.output }}' } }";
    let world = World::new();
    // The checker refuses the last two; a plan of another engine may hold them.
    for (with, said) in [
        (json!({"n": "${{ steps.a.output }}"}), "the input `n` is wrong: \"three\" is not of type \"integer\""),
        (json!({"n": 1, "other": 1}), "no input is called `other`; known here: `n`"),
        (json!({}), "the input `n` is missing; give it under `with: { n: … }`"),
    ] {
        let mut plan = calling(&world, caller, child, false);
        called(&mut plan).with = with;
        let run = run(&world, plan).await;
        let log = world.log(run).await;
        let expected = format!("step_failed sub invalid: the inputs do not fit `child.yaml`: {said}");
        assert!(log.contains(&expected), "{log}");
    }
}

#[tokio::test]
async fn a_false_ensure_and_one_in_error_fail_the_step_each_with_its_code() {
    for (ensure, code) in [("steps.one.output > 5", "ensure"), ("steps.one.output", "ensure_error")] {
        let world = World::new();
        let child = format!("steps: {{ one: {{ tool: t.echo, with: {{ value: 1 }} }} }}\nensure: [ '{ensure}' ]");
        let caller = "steps: { sub: { on_error: continue, set: {} } }
outputs: { code: '${{ steps.sub.error.code }}', status: '${{ steps.sub.status }}' }";
        let plan = calling(&world, caller, &child, false);
        let run = run(&world, plan).await;
        assert_eq!(world.outputs(run).await, json!({"code": code, "status": "failed"}));
    }
}

#[tokio::test]
async fn a_failure_inside_fails_the_step_with_its_code() {
    check(
        "
steps:
  sub: { set: {} }
  after: { run_if: failed, needs: [sub], set: { code: '${{ steps.sub.error.code }}' } }",
        "
steps:
  bad: { tool: t.fail, with: { value: 1 } }
  next: { needs: [bad], set: { n: 1 } }",
        r#"
        step_started sub #1 {}
        step_started sub.bad #1 {"value":1}
        step_failed sub.bad broken: told to fail with 1
        step_skipped sub.next RunFailed
        step_failed sub broken: told to fail with 1
        step_started after #1
        step_completed after {"code":"broken"}
        run_failed broken at sub.bad: told to fail with 1
        "#,
    )
    .await;
}

/// What the checker refuses is not there at run time either.
#[tokio::test]
async fn a_called_workflow_sees_nothing_of_its_caller() {
    for expression in ["steps.first.output.n", "item", "index", "inputs.folder"] {
        let world = World::new();
        let caller = "inputs: { folder: { type: string, default: here } }
steps:
  first: { set: { n: 3 } }
  sub: { needs: [first], for_each: [1], set: {} }";
        let mut plan = calling(&world, caller, "steps: { one: { set: { n: 1 } } }", false);
        let one = plan.graph.nodes.iter_mut().find(|node| node.id == "one").unwrap();
        one.verb = Verb::Set { values: json!({"n": format!("${{{{ {expression} }}}}")}) };
        let run = run(&world, plan).await;
        let state = world.state(run).await;
        let step = state.step(&"sub[0].one".parse().unwrap()).unwrap();
        assert_eq!(step.status, StepStatus::Failed, "{expression}");
        assert_eq!(step.error.as_ref().unwrap().code, "template", "{expression}");
    }
}

#[tokio::test]
async fn workflows_nest_and_fan_out_each_with_its_own_inputs() {
    let world = World::new();
    let inner = "
inputs: { text: { type: string } }
steps: { one: { set: { text: '<${{ inputs.text }}>' } } }
outputs: { text: '${{ steps.one.output.text }}' }";
    let middle = "
inputs: { words: { type: array, items: { type: string } } }
steps:
  one: { for_each: '${{ inputs.words }}', as: word, workflow: inner.yaml, with: { text: '${{ index }}${{ word }}' } }
outputs: { all: '${{ steps.one.output }}' }";
    let outer = "
steps:
  sub: { for_each: [[a, b], [c]], workflow: middle.yaml, with: { words: '${{ item }}' } }
outputs: { all: '${{ steps.sub.output }}' }";
    let plan = files(&world, &[("main.yaml", outer), ("middle.yaml", middle), ("inner.yaml", inner)]).unwrap();
    let run = run(&world, plan).await;
    let expected = json!({"all": [{"all": [{"text": "<0a>"}, {"text": "<1b>"}]}, {"all": [{"text": "<0c>"}]}]});
    assert_eq!(world.outputs(run).await, expected);
    let state = world.state(run).await;
    assert!(state.step(&"sub[1].one[0].one".parse().unwrap()).is_some());
}

#[tokio::test]
async fn a_called_workflow_spends_its_own_budget_and_the_runs() {
    let tool = || Acting::new("t.read", Effect::Read, |_, _| async { Ok(json!(1)) });
    let world = World::new().tool(tool());
    let child = "
budget: { tool_calls: 2 }
steps: { one: { for_each: [1, 2, 3], max_parallel: 1, tool: t.read, with: {} } }";
    let caller = "
budget: { tool_calls: 9 }
steps: { other: { tool: t.read, with: {} }, sub: { on_error: continue, needs: [other], set: {} } }";
    let run = run(&world, calling(&world, caller, child, false)).await;
    let log = world.log(run).await;
    let end = log.lines().last().unwrap();
    assert_eq!(
        end,
        "run_failed budget at sub.one[2]: the call needs 1 tool calls, and 0 of the budget's 2 are left; raise `budget: { … }` in `child.yaml`"
    );
    assert_eq!(world.state(run).await.committed().tool_calls, 3);
}

#[tokio::test]
async fn a_called_workflow_has_its_own_grants() {
    let shown = Acting::new("t.grants", Effect::Read, |_, context: parkway_core::tool::ToolContext| async move {
        Ok::<Value, ToolError>(context.grants)
    });
    let world = World::new().tool(shown);
    let child = "steps: { see: { tool: t.grants, with: {} } }\noutputs: { seen: '${{ steps.see.output }}' }";
    let caller = "
steps: { see: { tool: t.grants, with: {} }, sub: { set: {} } }
outputs: { caller: '${{ steps.see.output }}', child: '${{ steps.sub.output.seen }}' }";
    let mut plan = calling(&world, caller, child, false);
    plan.grants.insert("t".into(), json!({"read": ["in"]}));
    called(&mut plan).grants.insert("t".into(), json!({"read": ["in/letters"]}));
    let run_id = run(&world, plan.clone()).await;
    let expected = json!({"caller": {"read": ["in"]}, "child": {"read": ["in/letters"]}});
    assert_eq!(world.outputs(run_id).await, expected);
    // What the child is not granted it cannot call, whatever its caller may.
    called(&mut plan).grants.clear();
    let run_id = run(&world, plan).await;
    assert!(world.log(run_id).await.contains("run_failed denied at sub.see"));
}

#[tokio::test]
async fn labels_flow_through_a_called_workflow() {
    check(
        "
steps:
  letter: { tool: t.letter, with: {} }
  sub: { set: { text: '${{ steps.letter.output.text }}' } }",
        "
inputs: { text: { type: string } }
steps:
  seen: { set: { text: '${{ inputs.text }}' } }
  own: { set: { n: 1 } }
outputs: { text: '${{ steps.seen.output.text }}' }",
        r#"
        step_started letter #1 {} by default.read
        step_completed letter {"text":"dear all"} (untrusted)
        step_started sub #1 {"text":"dear all"}
        step_started sub.seen #1
        step_completed sub.seen {"text":"dear all"} (untrusted)
        step_started sub.own #1
        step_completed sub.own {"n":1}
        step_completed sub {"text":"dear all"} (untrusted)
        run_completed {}
        "#,
    )
    .await;
}

/// A workflow whose files are given by name; the first one is the caller.
fn files(world: &World, files: &[(&str, &str)]) -> Result<Plan, String> {
    let text = |name: &str| files.iter().find(|(file, _)| *file == name).map(|(_, text)| format!("{HEAD}{text}"));
    let read = |name: &str| text(name).ok_or_else(|| "it is not there".to_owned());
    let definition =
        Definition::parse(files[0].0, &read(files[0].0)?, read).map_err(|problems| problems.to_string())?;
    let requirements = Requirements::new(&world.tools, DefaultPolicy.fingerprint());
    Plan::check(&definition, &requirements).map_err(|problems| problems.to_string())
}

const PART: &str = "
inputs: { n: { type: integer }, more: { type: string, default: x } }
steps: { one: { set: { n: '${{ inputs.n + 1 }}' } } }
outputs: { n: '${{ steps.one.output.n }}' }";

#[tokio::test]
async fn a_workflow_in_a_file_runs_the_same_within_a_run_and_as_one_of_its_own() {
    let main = "
steps:
  within: { workflow: part.yaml, with: { n: 1 } }
  alone: { workflow: part.yaml, own_run: true, with: { n: '${{ steps.within.output.n }}' } }
  each: { for_each: [1, 2], workflow: part.yaml, with: { n: '${{ item }}' } }
outputs: { n: '${{ steps.alone.output.n }}', each: '${{ steps.each.output }}' }";
    let world = World::new();
    let plan = files(&world, &[("main.yaml", main), ("part.yaml", PART)]).unwrap();
    let run = run(&world, plan).await;
    assert_eq!(world.outputs(run).await, json!({"n": 3, "each": [{"n": 2}, {"n": 3}]}));
    let shape = |log: String| -> Vec<_> {
        let lines = log.lines().filter(|line| line.contains("one ")).map(str::to_owned);
        lines.map(|line| line.replace("within.", "").replace(['2', '3'], "N")).collect()
    };
    let alone = world.log(run.child(&"alone".parse().unwrap())).await;
    let within: Vec<_> = shape(world.log(run).await).into_iter().take(2).collect();
    assert_eq!(shape(alone), within);
}

#[tokio::test]
async fn a_deadline_of_a_workflow_within_a_run_bounds_its_step() {
    let world = World::new().tool(Acting::new("t.hang", Effect::Read, |_, _| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(json!(1))
    }));
    let part = "deadline: 200ms\nsteps: { hang: { tool: t.hang } }";
    let main = "steps: { sub: { timeout: 10s, workflow: part.yaml } }";
    let run = run(&world, files(&world, &[("main.yaml", main), ("part.yaml", part)]).unwrap()).await;
    let log = world.log(run).await;
    assert!(log.contains("step_failed sub deadline: the workflow took longer than its `deadline` of 200ms"), "{log}");
}

#[test]
fn a_part_that_wants_more_than_its_caller_is_refused_in_its_own_file() {
    let world = World::new();
    let main = "
env: [REGION]
budget: { tool_calls: 5, wall: 1m }
deadline: 1h
steps: { sub: { workflow: part.yaml } }";
    for (part, place, said) in [
        ("env: [REGION, ZONE]", "part.yaml:5:15", "does not declare `ZONE` under `env`"),
        ("secrets: [TOKEN]", "part.yaml:5:11", "does not declare `TOKEN` under `secrets`"),
        ("budget: { tool_calls: 6 }", "part.yaml:5:23", "`budget.tool_calls` is 6, and the caller's is 5"),
        ("budget: { wall: 2m }", "part.yaml:5:17", "`budget.wall` is 120s, and the caller's is 60s"),
        ("deadline: 2h", "part.yaml:5:11", "`deadline` is"),
    ] {
        for own_run in ["", ", own_run: true"] {
            let main = main.replace("part.yaml", &format!("part.yaml{own_run}"));
            let part = format!("{part}\nsteps: {{ one: {{ set: {{ n: 1 }} }} }}");
            let problems = files(&world, &[("main.yaml", &main), ("part.yaml", &part)]).unwrap_err();
            let told = problems.contains("wider-than-caller") && problems.contains(place) && problems.contains(said);
            assert!(told, "{problems}");
        }
    }
}
