//! How goals end, and go on, when something comes between: times, a person's word, retries, labels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parkway_core::log::RunStatus;
use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::tool::Effect;
use parkway_core::workflow::{Definition, Plan, Requirements};
use serde_json::{Value, json};

use super::plans::{PLAN, line};
use super::{shop, turns, workflow};
use crate::check::{Acting, World};

const AGENT: &str = "    agent: { model: main, goal: the price, tools: [\"shop.*\"] }";

fn find(name: &str) -> Value {
    json!({ "tool": "shop.find", "args": { "name": name } })
}

/// A world with a tool that takes long at its first call.
fn slow_once(world: World) -> World {
    let count = Arc::new(AtomicUsize::new(0));
    world.tool(Acting::new("shop.slow", Effect::Read, move |_: Value, _| {
        let count = count.clone();
        async move {
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                tokio::time::sleep(Duration::from_secs(100)).await;
            }
            Ok(json!({ "price": 103 }))
        }
    }))
}

fn with_rule(yaml: &str, rule: &str) -> String {
    yaml.replace("steps:", &format!("policy:\n  - {{ match: {{ {rule}\nsteps:"))
}

#[tokio::test(start_paused = true)]
async fn a_retry_calls_planned_steps_with_their_arguments_and_conditions() {
    let (world, calls) = shop(Duration::ZERO);
    let dear = json!({"left": {"$ref": "s1.price"}, "is": ">", "right": 1000});
    let world = slow_once(world).model(turns(&[
        ("line_1", line("s1", "shop.slow", json!({}))),
        ("line_2", line("s2", "shop.send", json!({"price": {"$ref": "s1.price"}}))),
        ("line_3", json!({"id": "s3", "tool": "shop.list", "if": dear, "args": {}, "why": "dear"})),
        ("line_4", json!({"done": true, "answer": {"total": {"$ref": "s1.price"}}})),
    ]));
    let (run, ended) = world.run(&workflow(&format!("    timeout: 5s\n{PLAN}")), json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    let ended = world.retry(run).await.unwrap();
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(*calls.lock().unwrap(), [json!({"tool": "shop.send", "args": {"price": 103}})]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_an_agent_makes_its_call_again_and_asks_no_turn_twice() {
    let (world, _) = shop(Duration::ZERO);
    let world = slow_once(world).model(turns(&[
        ("turn_1", json!({"why": "x", "calls": [{"tool": "shop.slow", "args": {}}]})),
        ("turn_2", json!({"sources": ["turn_1_1"], "answer": "103"})),
    ]));
    let (run, ended) = world.run(&workflow(&format!("    timeout: 5s\n{AGENT}")), json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    let ended = world.retry(run).await.unwrap();
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
}

#[tokio::test(start_paused = true)]
async fn a_plan_whose_time_is_over_while_it_waits_for_approval_ends() {
    let (world, _) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("line_1", line("s1", "shop.find", json!({"name": "pen"}))),
        ("line_2", line("s2", "shop.send", json!({"price": {"$ref": "s1.price"}}))),
        ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s1.price"}}})),
    ]));
    let yaml = workflow(&format!("    timeout: 50s\n{}", PLAN.replace("max_replans: 1", "approve: true")));
    let (run, ended) = world.run(&yaml, json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_failed goal timeout"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_arguments_has_the_labels_of_the_turn_that_asked_for_it() {
    let (world, calls) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("turn_1", json!({"why": "price", "calls": [find("pen")]})),
        ("turn_2", json!({"why": "list", "calls": [{"tool": "shop.list", "args": {}}]})),
        ("turn_3", json!({"sources": ["turn_1_1"], "answer": "103"})),
    ]));
    let yaml = with_rule(&workflow(AGENT), "tool: shop.list, labels: [untrusted] }, verdict: deny }");
    let (run, _) = world.run(&yaml, json!({})).await;
    let log = world.log(run).await;
    assert!(log.contains("step_failed goal.turn_2_1 denied"), "{log}");
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_labels_of_a_planned_literal_do_not_depend_on_how_fast_tools_are() {
    for delay in [0, 30] {
        let (world, calls) = shop(Duration::from_secs(delay));
        let answers = turns(&[
            ("line_1", line("s1", "shop.find", json!({"name": "pen"}))),
            ("line_2", line("s2", "shop.send", json!({"price": 7}))),
            ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s1.price"}}})),
        ]);
        let world = world.model(answers.delay(Duration::from_secs(5)));
        let yaml = with_rule(&workflow(PLAN), "tool: shop.send, labels: [untrusted] }, verdict: deny }");
        let (run, ended) = world.run(&yaml, json!({})).await;
        assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
        assert_eq!(calls.lock().unwrap().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_no_ends_one_goal_of_a_collecting_fan_out_and_not_the_run() {
    let (world, calls) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("line_1", line("s1", "shop.send", json!({"price": 1}))),
        ("line_2", json!({"id": "s2", "tool": "shop.send", "args": {"price": 2}, "after": ["s1"], "why": "two"})),
        ("line_3", json!({"done": true})),
    ]));
    let yaml = workflow(&format!("    for_each: [pen]\n    on_item_error: collect\n{PLAN}"));
    let (run, ended) = world.run(&with_rule(&yaml, "tool: shop.send }, verdict: ask }"), json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    let asked = world.state(run).await.asking().next().map(|step| step.key.to_string()).unwrap();
    world.answer(run, &asked, false).await;
    let ended = world.resume(run).await.unwrap();
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert!(calls.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_is_called_as_a_tool_has_its_own_time() {
    let (world, _) = shop(Duration::from_secs(100));
    let world = world.model(turns(&[
        ("turn_1", json!({"why": "ask", "calls": [{"tool": "price", "args": {"what": "pen"}}]})),
        ("turn_2", json!({"sources": ["turn_1_1"], "answer": "103"})),
    ]));
    let main = workflow("    agent: { model: main, goal: the price, tools: [{ workflow: price.yaml }] }");
    let child = "parkway: 1\nname: price\ndescription: Finds a price.\ntools: { shop: {} }\ninputs: { what: { type: string } }\n\
        steps:\n  find: { tool: shop.find, with: { name: \"${{ inputs.what }}\" } }\n  two: { tool: shop.find, with: { name: \"${{ steps.find.output.name }}\" } }\n\
        outputs: { price: \"${{ steps.two.output.price }}\" }\n";
    let definition = Definition::parse("main.yaml", &main, |_| Ok(child.to_owned())).unwrap();
    let plan = Plan::check(&definition, &Requirements::new(&world.tools, DefaultPolicy.fingerprint())).unwrap();
    let (run, ended) = world.drive(world.create_plan(plan, json!({})).await).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_a_no_asks_again_and_keeps_the_plan() {
    let (world, calls) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("line_1", line("s1", "shop.send", json!({"price": 1}))),
        ("line_2", line("s2", "shop.find", json!({"name": "pen"}))),
        ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s2.price"}}})),
    ]));
    let yaml = workflow(&PLAN.replace("max_replans: 1", "max_replans: 0"));
    let (run, _) = world.run(&with_rule(&yaml, "tool: shop.send }, verdict: ask }"), json!({})).await;
    world.answer(run, "goal.s1", false).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Failed);
    assert_eq!(world.retry(run).await.unwrap().status, RunStatus::Waiting, "{}", world.log(run).await);
    world.answer(run, "goal.s1", true).await;
    let ended = world.resume(run).await.unwrap();
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_call_said_may_be_told() {
    let (world, _) = shop(Duration::ZERO);
    let broken = json!({"tool": "shop.broken", "args": {"name": "Z-99"}});
    let answer = "The pen costs 103; of the other the tool said \"the shop is closed\".";
    let world = world.model(turns(&[
        ("turn_1", json!({"why": "x", "calls": [find("pen"), broken]})),
        ("turn_2", json!({"sources": ["turn_1_1", "turn_1_2"], "answer": answer})),
    ]));
    let (run, ended) = world.run(&workflow(AGENT), json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
}

#[tokio::test(start_paused = true)]
async fn what_fails_while_a_person_looks_at_the_plan_is_mended_and_asked_about_again() {
    let (world, calls) = shop(Duration::from_secs(1));
    let world = world.model(turns(&[
        ("line_1", line("s1", "shop.broken", json!({"name": "pen"}))),
        ("line_2", line("s2", "shop.send", json!({"price": {"$ref": "s1.price"}}))),
        ("line_3", json!({"done": true})),
        ("line_4", json!({"id": "s3", "tool": "shop.find", "args": {"name": "pen"}, "replaces": "s1", "why": "open"})),
        ("line_5", json!({"done": true, "answer": {"total": {"$ref": "s3.price"}}})),
    ]));
    let yaml = workflow(&PLAN.replace("max_replans: 1", "max_replans: 1, approve: true"));
    let (run, mut ended) = world.run(&yaml, json!({})).await;
    for _ in 0..2 {
        assert_eq!(ended.status, RunStatus::Waiting, "{}", world.log(run).await);
        let asked = world.state(run).await.asking().next().map(|step| step.key.to_string()).unwrap();
        world.answer(run, &asked, true).await;
        ended = world.resume(run).await.unwrap();
    }
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert!(calls.lock().unwrap().iter().any(|call| call["tool"] == "shop.send"));
}
