//! From `agent` and `plan` in a file to goals in a plan.

use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::workflow::{Definition, Goal, Plan, Requirements, Verb};
use serde_json::json;

use crate::check::World;

/// A workflow around one step.
fn workflow(step: &str) -> String {
    format!(
        "parkway: 1\nmodels: {{ main: {{ gguf: {{ name: smollm2-135m-instruct }} }} }}\ntools: {{ t: {{}} }}\n\
         inputs: {{ place: {{ type: string }} }}\nsteps:\n  find:\n    {step}\n"
    )
}

fn read(path: &str) -> Result<String, String> {
    match path {
        "count.yaml" => Ok("parkway: 1\ndescription: Counts words.\ninputs: { text: { type: string } }\n\
             steps: { echo: { tool: t.echo, with: { value: '${{ inputs.text }}' } } }\n\
             outputs: { words: '${{ steps.echo.output }}' }\n"
            .into()),
        "plans.jsonl" => Ok("{\"goal\": \"echo\", \"lines\": [{\"done\": true}]}\n\n".into()),
        _ => Err("no such file".into()),
    }
}

fn plan(source: &str) -> Plan {
    let definition = Definition::parse("goal.yaml", source, read).unwrap_or_else(|problems| panic!("{problems}"));
    let world = World::new();
    let requirements = Requirements::new(&world.tools, DefaultPolicy.fingerprint());
    Plan::check(&definition, &requirements).unwrap_or_else(|problems| panic!("{problems}"))
}

fn goal(step: &str) -> Goal {
    match &plan(&workflow(step)).graph.nodes[0].verb {
        Verb::Goal(goal) => (**goal).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_goal_is_frozen_with_what_the_file_leaves_unsaid() {
    let agent = goal("agent: { model: main, goal: \"look in ${{ inputs.place }}\" }");
    assert_eq!((agent.max_turns, agent.max_tokens, agent.temperature_milli), (12, 1024, 0));
    assert_eq!((agent.goal.text.as_str(), agent.plan.is_some()), ("look in ${{ inputs.place }}", false));
    let plan = goal("plan: { model: main, goal: look, tools: [t.echo], examples: { file: plans.jsonl } }");
    assert_eq!((plan.max_turns, plan.max_tokens), (8, 512));
    let planning = plan.plan.unwrap();
    assert_eq!(
        (planning.max_steps, planning.max_replans, planning.approve, planning.draft_only),
        (24, 2, false, false)
    );
    assert_eq!(planning.examples[0].lines, [json!({"done": true})]);
}

#[test]
fn a_family_is_the_tools_that_it_has_when_the_plan_is_frozen() {
    let source = workflow("agent: { model: main, goal: look, tools: [t.letter, t.*] }");
    let plan = plan(&source);
    let Verb::Goal(goal) = &plan.graph.nodes[0].verb else { panic!("no goal") };
    assert_eq!(goal.tools, ["t.letter", "t.echo", "t.fail"]);
    assert_eq!(plan.tools.keys().collect::<Vec<_>>(), ["t.echo", "t.fail", "t.letter"]);
}

#[test]
fn a_workflow_that_a_model_calls_has_a_plan_of_its_own() {
    let goal = goal("agent: { model: main, goal: look, tools: [{ workflow: count.yaml, name: words }] }");
    let delegate = &goal.workflows["words"];
    assert_eq!(delegate.description, "Counts words.");
    assert_eq!(delegate.workflow.with, json!({}));
    assert!(delegate.workflow.own_run.is_some());
}

#[test]
fn an_answer_of_a_form_is_known_by_its_fields() {
    let source = workflow("agent: { model: main, goal: look, output: { n: { type: integer } } }");
    let good = format!("{source}outputs: {{ n: '${{{{ steps.find.output.n }}}}' }}\n");
    plan(&good);
    let bad = format!("{source}outputs: {{ n: '${{{{ steps.find.output.m }}}}' }}\n");
    let definition = Definition::parse("goal.yaml", &bad, read).unwrap();
    let world = World::new();
    let problems = Plan::check(&definition, &Requirements::new(&world.tools, "p")).unwrap_err();
    assert!(problems.to_string().contains("`m`"), "{problems}");
}

#[test]
fn a_goal_is_written_back_with_all_that_it_says() {
    for step in [
        "agent: { model: main, goal: look, tools: [t.letter, { workflow: count.yaml, name: words }], max_turns: 3, \
         output: { n: { type: integer } }, temperature: 0.5, max_tokens: 99, seed: 7 }",
        "plan: { model: main, goal: look, tools: [t.*], max_turns: 3, max_steps: 5, max_replans: 0, approve: true, \
         draft: true, examples: [{ goal: echo, lines: [{ id: s1, tool: t.echo, args: { value: 1 } }, { done: true }] }] }",
    ] {
        let source = workflow(step);
        let first = plan(&source);
        assert_eq!(plan(&first.to_yaml()), first, "{}", first.to_yaml());
        let definition = Definition::parse("goal.yaml", &source, read).unwrap();
        let again = Definition::parse("goal.yaml", &definition.to_yaml(), read).unwrap();
        assert_eq!(again.graph().0, definition.graph().0, "{}", definition.to_yaml());
    }
}

#[test]
fn a_tool_that_policy_forbids_is_told_before_a_model_asks_for_it() {
    let step = "agent: { model: main, goal: look, tools: [t.letter, t.*] }";
    let source = workflow(step).replace("steps:\n", "policy: [{ match: { tool: t.letter }, verdict: deny }]\nsteps:\n");
    let definition = Definition::parse("goal.yaml", &source, read).unwrap();
    let world = World::new();
    let mut requirements = Requirements::new(&world.tools, DefaultPolicy.fingerprint());
    requirements.rules = Some(&DefaultPolicy);
    let problems = Plan::check(&definition, &requirements).unwrap_err();
    assert!(problems.list.iter().any(|one| one.code == "denied" && one.is_error()), "{problems}");
}
