//! Goals within what stands around steps: fan-outs, rounds, timeouts, budgets, cancels, retries, forks, other workflows, many tools.

use std::sync::Arc;
use std::time::Duration;

use parkway_core::embedder::{Embedder, EmbedderInfo, Embeddings};
use parkway_core::log::{EventKind, RunStatus};
use parkway_core::model::ModelError;
use parkway_core::testing::ScriptedModel;
use parkway_core::tool::Effect;
use parkway_core::workflow::{Definition, Plan, Requirements};
use serde_json::{Value, json};

use super::plans::{PLAN, line};
use super::{shop, turn_of, turns, workflow};
use crate::check::{Acting, World};

fn find(name: &str) -> Value {
    json!({ "tool": "shop.find", "args": { "name": name } })
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_fan_out_pursues_its_own_goal() {
    let (world, calls) = shop(Duration::ZERO);
    let model = ScriptedModel::new().script(|request| {
        let key = request.step.as_ref().unwrap().to_string();
        let name = if key.contains("[0]") { "pen" } else { "chair" };
        Ok(match turn_of(request).as_str() {
            "line_1" => line("s1", "shop.find", json!({ "name": name })),
            _ => json!({"done": true, "answer": {"total": {"$ref": "s1.price"}}}),
        }
        .to_string())
    });
    let world = world.model(model);
    let yaml = workflow(&format!("    for_each: [pen, chair]\n    max_parallel: 2\n{PLAN}"));
    let (run, ended) = world.run(&yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(world.outputs(run).await, json!({"answer": [{"total": 103}, {"total": 105}]}));
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_goal_that_is_repeated_begins_anew_each_round() {
    let (world, calls) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("turn_1", json!({"why": "price", "calls": [find("pen")]})),
        ("turn_2", json!({"sources": ["turn_1_1"], "answer": "103"})),
    ]));
    let yaml = workflow(
        "    repeat: { until: index == 1, max: 3 }\n    agent: { model: main, goal: the price, tools: [\"shop.*\"] }",
    );
    let (run, ended) = world.run(&yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_stops_all_that_a_goal_does() {
    let (world, _) = shop(Duration::from_secs(300));
    let world = world.model(turns(&[
        ("line_1", line("s1", "shop.find", json!({"name": "pen"}))),
        ("line_2", line("s2", "shop.send", json!({"price": {"$ref": "s1.price"}}))),
        ("line_3", json!({"done": true})),
    ]));
    let (run, ended) = world.run(&workflow(&format!("    timeout: 5s\n{PLAN}")), json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_failed goal timeout") && log.contains("step_cancelled goal.s1"), "{log}");
    assert!(log.contains("step_skipped goal.s2"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_elsewhere_ends_what_waits_for_the_plan_to_be_whole() {
    let (world, calls) = shop(Duration::ZERO);
    let answers = turns(&[
        ("line_1", line("s1", "shop.send", json!({"price": 1}))),
        ("line_2", line("s2", "shop.find", json!({"name": "pen"}))),
    ]);
    let world = world.model(answers.delay(Duration::from_secs(2)));
    let yaml = workflow(PLAN)
        .replace("steps:\n", "steps:\n  other:\n    tool: t.late\n")
        .replace("tools:\n", "tools:\n  t: {}\n");
    let world = world.tool(Acting::new("t.late", Effect::Read, |_: Value, _| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Err(parkway_core::tool::ToolError::invalid("late", "too late"))
    }));
    let (run, ended) = world.run(&yaml, json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_skipped goal.s1") && log.contains("step_cancelled goal"), "{log}");
    assert!(calls.lock().unwrap().iter().all(|call| call["tool"] != "shop.send"));
}

#[tokio::test(start_paused = true)]
async fn a_used_up_budget_ends_the_goal_and_nothing_handles_it() {
    let (world, _) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("turn_1", json!({"why": "all", "calls": [find("pen"), find("lamp"), find("chair")]})),
        ("turn_2", json!({"give_up": "no"})),
    ]));
    let yaml = workflow("    agent: { model: main, goal: prices, tools: [\"shop.*\"] }")
        .replace("steps:\n", "budget: { tool_calls: 2 }\nsteps:\n");
    let (run, ended) = world.run(&yaml, json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_failed goal budget"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_asks_for_the_last_word_again_and_keeps_what_was_done() {
    let (world, calls) = shop(Duration::ZERO);
    let bad = [
        ("turn_1", json!({"why": "price", "calls": [find("pen")]})),
        ("turn_2", json!({"sources": ["turn_1_1"], "answer": "999"})),
    ];
    let world = world.model(turns(&bad));
    let (run, ended) =
        world.run(&workflow("    agent: { model: main, goal: the price, tools: [\"shop.*\"] }"), json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed, "{}", world.log(run).await);
    let better = world.model(turns(&[("turn_2", json!({"sources": ["turn_1_1"], "answer": "103"}))]));
    let ended = better.retry(run).await.unwrap();
    let log = better.log(run).await;
    assert_eq!(ended.status, RunStatus::Completed, "{log}");
    assert_eq!(calls.lock().unwrap().len(), 1, "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_fork_keeps_a_reached_goal_and_does_a_named_one_anew() {
    let (world, calls) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("turn_1", json!({"why": "price", "calls": [find("pen")]})),
        ("turn_2", json!({"sources": ["turn_1_1"], "answer": "103"})),
    ]));
    let yaml = workflow("    agent: { model: main, goal: the price, tools: [\"shop.*\"] }")
        .replace("outputs:", "  after: { set: { said: \"${{ steps.goal.output }}\" } }\noutputs:");
    let (run, _) = world.run(&yaml, json!({})).await;
    let (kept, ended) = world.fork(run, "after").await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(kept).await);
    assert_eq!(world.outputs(kept).await, json!({"answer": "103"}));
    assert_eq!(calls.lock().unwrap().len(), 1);
    let (anew, ended) = world.fork(run, "goal").await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(anew).await);
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_is_called_as_a_tool_and_runs_as_a_run_of_its_own() {
    let (world, calls) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("turn_1", json!({"why": "ask", "calls": [{"tool": "price", "args": {"what": "pen"}}]})),
        ("turn_2", json!({"sources": ["turn_1_1"], "answer": "It costs 103."})),
    ]));
    let main = workflow("    agent: { model: main, goal: the price, tools: [{ workflow: price.yaml }] }");
    let child = "parkway: 1\nname: price\ndescription: Finds a price.\ntools: { shop: {} }\ninputs: { what: { type: string } }\nsteps:\n  find: { tool: shop.find, with: { name: \"${{ inputs.what }}\" } }\noutputs: { price: \"${{ steps.find.output.price }}\" }\n";
    let definition = Definition::parse("main.yaml", &main, |_| Ok(child.to_owned())).unwrap();
    let policy = parkway_core::policy::Policy::fingerprint(&parkway_core::policy::DefaultPolicy);
    let plan = Plan::check(&definition, &Requirements::new(&world.tools, policy)).unwrap_or_else(|p| panic!("{p}"));
    let (run, ended) = world.drive(world.create_plan(plan, json!({})).await).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Completed, "{log}");
    assert_eq!(calls.lock().unwrap().len(), 1);
    let runs = parkway_core::store::Log::runs(&*world.store, &parkway_core::store::RunFilter::default()).await.unwrap();
    assert_eq!(runs.len(), 2, "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_long_history_loses_its_oldest_results_with_words_and_the_beginning_stays() {
    let (world, _) = shop(Duration::ZERO);
    let world = world.tool(Acting::new("shop.long", Effect::Read, |input: Value, _| async move {
        Ok(json!({ "n": input["n"], "text": "word ".repeat(700) }))
    }));
    let model = ScriptedModel::new().script(|request| {
        let turn = turn_of(request);
        let number: u32 = turn.trim_start_matches("turn_").parse().unwrap();
        Ok(match number {
            12 => json!({"give_up": "enough"}),
            _ => json!({"why": "more", "calls": [{"tool": "shop.long", "args": {"n": number}}]}),
        }
        .to_string())
    });
    let world = world.model(model);
    let (run, ended) =
        world.run(&workflow("    agent: { model: main, goal: look, tools: [\"shop.*\"] }"), json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Failed, "{log}");
    assert!(log.contains("gave_up"), "{log}");
    let requests = world.model.requests();
    let words = |r: &parkway_core::model::ChatRequest| {
        r.messages.iter().map(|m| m.content.split_whitespace().count()).sum::<usize>()
    };
    assert!(requests.iter().all(|r| words(r) + 1024 <= 8_192));
    let shortened = requests.last().unwrap();
    assert!(shortened.messages.iter().any(|m| m.content.contains("was left out to make room")));
    assert_eq!(shortened.messages[..2], requests[0].messages[..2]);
    // Much is left out at once: most turns only add to the one before.
    let grows = requests.windows(2).filter(|two| two[1].messages.starts_with(&two[0].messages)).count();
    assert!(grows >= 8, "{grows}");
}

/// Finds near what has the same first letter.
struct Letters(EmbedderInfo);

#[async_trait::async_trait]
impl Embedder for Letters {
    fn info(&self) -> &EmbedderInfo {
        &self.0
    }

    async fn embed(&self, texts: &[String]) -> Result<Embeddings, ModelError> {
        let vector = |text: &String| if text.contains('7') { vec![1.0, 0.0] } else { vec![0.0, 1.0] };
        Ok(Embeddings::normalized(texts.iter().map(vector).collect(), 1))
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_tools_the_prompt_lists_those_that_fit_the_goal() {
    let mut world = World::paced();
    for number in 0..300 {
        let mut tool = Acting::new(&format!("many.tool_{number}"), Effect::Read, |_: Value, _| async { Ok(json!({})) });
        tool.spec.description = format!("Reads the meter number {number} of a house.");
        world = world.tool(tool);
    }
    let world = world.model(turns(&[("turn_1", json!({"give_up": "no"}))]));
    let yaml = workflow("    agent: { model: main, goal: read the meter number 177, tools: [\"many.*\"] }")
        .replace("shop: {}", "many: {}");
    let (run, _) = world.run(&yaml, json!({})).await;
    let listed = |events: &[parkway_core::log::Event]| {
        events
            .iter()
            .find_map(|event| match &event.kind {
                EventKind::StepStarted { key, args: Some(args), .. } if key.to_string() == "goal" => Some(*args),
                _ => None,
            })
            .unwrap()
    };
    let args = world.payload(listed(&world.events(run).await)).await;
    let tools = args["tools"].as_array().unwrap().clone();
    let tools = &tools[..];
    assert!(tools.len() == 24 && tools.contains(&json!("many.tool_177")), "{args}");
    // With an embedder, those of the wider choice whose meaning is near.
    let plan = world.plan(&yaml).unwrap();
    let mut services = world.services();
    services.tool_search = Some(Arc::new(Letters(EmbedderInfo::default())));
    let inputs = plan.fill_inputs(serde_json::Map::new()).unwrap();
    let executor = parkway_core::engine::Executor::create(
        services,
        world.models(),
        world.control.clone(),
        Arc::new(plan),
        &inputs,
    )
    .await
    .unwrap();
    let (run, _) = world.drive(executor).await;
    let args = world.payload(listed(&world.events(run).await)).await;
    let sevens = |tools: &[Value]| tools.iter().filter(|name| name.as_str().unwrap().contains('7')).count();
    let (by_words, by_meaning) = (sevens(tools), sevens(args["tools"].as_array().unwrap()));
    assert!(by_meaning > by_words, "{by_meaning}, {by_words}: {args}");
}
