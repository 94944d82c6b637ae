//! The six defects of LLMCompiler's published code, each as a test that would fail on it.

use std::collections::BTreeMap;
use std::time::Duration;

use parkway_core::id::Time;
use parkway_core::log::{EventKind, RunStatus};
use parkway_core::model::ModelError;
use parkway_core::testing::ScriptedModel;
use parkway_core::tool::Effect;
use serde_json::{Value, json};

use super::plans::{PLAN, line};
use super::{shop, turn_of, turns, workflow};
use crate::check::{Acting, World};

fn find(id: &str, name: Value) -> Value {
    line(id, "shop.find", json!({ "name": name }))
}

/// When each step began and ended.
async fn times(world: &World, run: parkway_core::id::RunId) -> BTreeMap<String, (Option<Time>, Option<Time>)> {
    let mut times: BTreeMap<String, (Option<Time>, Option<Time>)> = BTreeMap::new();
    for event in world.events(run).await {
        let Some(key) = event.kind.key() else { continue };
        let entry = times.entry(key.last().unwrap().id.clone()).or_default();
        match event.kind {
            EventKind::StepStarted { .. } => entry.0 = Some(event.at),
            EventKind::StepCompleted { .. } | EventKind::StepFailed { .. } => entry.1 = Some(event.at),
            _ => {}
        }
    }
    times
}

/// 1. `aschedule` waits for the planner's next line before it looks at what has become ready.
#[tokio::test(start_paused = true)]
async fn a_step_that_became_ready_does_not_wait_for_the_planners_next_line() {
    let (world, _) = shop(Duration::from_secs(1));
    let answers = turns(&[
        ("line_1", find("s1", json!("pen"))),
        ("line_2", find("s2", json!({"$ref": "s1.name"}))),
        ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s2.price"}}})),
    ]);
    let world = world.model(answers.delay(Duration::from_secs(10)));
    let (run, ended) = world.run(&workflow(PLAN), json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    let times = times(&world, run).await;
    // Both have ended while the third line was being written.
    assert!(times["s2"].1 < times["line_3"].1, "{times:?}");
    assert!(times["s1"].1 < times["line_2"].1, "{times:?}");
}

/// 2. A tool that raises never says that it has ended, so that what waits for it polls for ever.
#[tokio::test(start_paused = true)]
async fn a_tool_that_panics_or_fails_does_not_hang_the_plan() {
    let (world, _) = shop(Duration::ZERO);
    let world = world
        .tool(Acting::new("shop.crash", Effect::Read, |_: Value, _| async { panic!("the tool is broken") }))
        .model(turns(&[
            ("line_1", line("s1", "shop.crash", json!({}))),
            ("line_2", line("s2", "shop.send", json!({"price": {"$ref": "s1.price"}}))),
            ("line_3", line("s3", "shop.broken", json!({"name": "x"}))),
            ("line_4", json!({"done": true})),
            ("line_5", json!({"done": true})),
            ("answer", json!({"sources": [], "answer": {"total": 0}})),
        ]));
    let (run, ended) = world.run(&workflow(PLAN), json!({})).await;
    let log = world.log(run).await;
    // It ends, and says what failed to whom it may concern: the planner.
    assert_ne!(ended.status, RunStatus::Running, "{log}");
    assert!(log.contains("step_failed goal.s1 panic") && log.contains("step_skipped goal.s2"), "{log}");
    assert!(log.contains("the tool is broken"), "{log}");
}

/// 3. `$1` is replaced in the text of the arguments by the text of the observation.
#[tokio::test(start_paused = true)]
async fn a_reference_keeps_its_type_and_what_a_tool_returns_is_never_read_as_one() {
    let (world, calls) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("line_1", find("s1", json!("$1 ${{ steps.s1.output }} {\"$ref\":\"s1\"}"))),
        ("line_2", line("s2", "shop.send", json!({"text": {"$ref": "s1.name"}, "price": {"$ref": "s1.price"}}))),
        ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s1.price"}}})),
    ]));
    let (run, ended) = world.run(&workflow(PLAN), json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    let calls = calls.lock().unwrap();
    let sent = &calls.last().unwrap()["args"];
    assert_eq!(sent["text"], "$1 ${{ steps.s1.output }} {\"$ref\":\"s1\"}");
    assert!(sent["price"].is_i64(), "{sent}");
}

/// 4. Arguments are never checked, and an unknown tool kills the whole plan.
#[tokio::test(start_paused = true)]
async fn a_line_with_an_unknown_tool_or_wrong_arguments_is_refused_alone_and_asked_again() {
    let (world, calls) = shop(Duration::ZERO);
    let bad = [line("s2", "shop.steal", json!({"name": "lamp"})), line("s2", "shop.find", json!({"name": 7}))];
    let answers = [
        ("line_1", find("s1", json!("pen"))),
        ("line_2", bad[0].clone()),
        ("line_3", bad[1].clone()),
        ("line_4", find("s2", json!("lamp"))),
        ("line_5", json!({"done": true, "answer": {"total": {"$ref": "s2.price"}}})),
    ];
    // It says that it holds its answers to the form, and does not.
    let world = world.model(turns(&answers));
    let (run, ended) = world.run(&workflow(PLAN), json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Completed, "{log}");
    assert_eq!(calls.lock().unwrap().len(), 2, "{log}");
}

/// 5. A line that its parser does not match is lost without a trace.
#[tokio::test(start_paused = true)]
async fn a_line_that_is_no_line_is_told_and_never_passed_over() {
    let (world, calls) = shop(Duration::ZERO);
    let model = ScriptedModel::new().enforces([]).script(|request| match turn_of(request).as_str() {
        "line_1" => Ok(find("s1", json!("pen")).to_string()),
        // As in a prompt of LLMCompiler's: the bracket is missing.
        "line_2" => Ok("2. shop.find(\"lamp\"".into()),
        "turn_1" => Ok(json!({"give_up": "I cannot write lines"}).to_string()),
        turn => Err(ModelError::Backend { message: format!("no {turn}"), retryable: false }),
    });
    let world = world.model(model);
    let (run, ended) = world.run(&workflow(PLAN), json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_failed goal.line_2 invalid_answer") && log.contains("it is no JSON"), "{log}");
    assert!(log.contains("gave_up"), "{log}");
    assert_eq!(calls.lock().unwrap().len(), 1);
}

/// 6. All shipped configurations replan at most once, and no benchmark ever does.
#[tokio::test(start_paused = true)]
async fn a_plan_is_mended_as_often_as_it_may_be() {
    let (world, calls) = shop(Duration::ZERO);
    let broken = |id: &str| line(id, "shop.broken", json!({"name": "pen"}));
    let mut again = broken("s2");
    again["replaces"] = json!("s1");
    let mut third = find("s3", json!("pen"));
    third["replaces"] = json!("s2");
    let world = world.model(turns(&[
        ("line_1", broken("s1")),
        ("line_2", json!({"done": true})),
        ("line_3", again),
        ("line_4", json!({"done": true})),
        ("line_5", third),
        ("line_6", json!({"done": true, "answer": {"total": {"$ref": "s3.price"}}})),
    ]));
    let (run, ended) = world.run(&workflow(&PLAN.replace("max_replans: 1", "max_replans: 2")), json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Completed, "{log}");
    assert_eq!(calls.lock().unwrap().len(), 3, "{log}");
    assert!(log.ends_with("{\"answer\":{\"total\":103}}"), "{log}");
    let patches = world.model.requests();
    // Each patch was told what happened.
    let told = patches.iter().filter(|r| r.messages.last().unwrap().content.contains("the shop is closed")).count();
    assert!(told >= 2, "{told}");
}
