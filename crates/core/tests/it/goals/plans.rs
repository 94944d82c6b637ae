//! Plans that are written while they run: lines become steps, failures become patches, and nothing changes before the plan is whole.

use std::time::Duration;

use parkway_core::log::{EventKind, RunStatus};
use serde_json::{Value, json};

use super::{log_of, shop, turns, workflow};

pub(super) const PLAN: &str = "    plan: { model: main, goal: What do a pen and a lamp cost?, tools: [\"shop.*\"], max_replans: 1, output: { total: { type: integer } } }";

pub(super) fn line(id: &str, tool: &str, args: Value) -> Value {
    json!({"id": id, "tool": tool, "args": args, "why": "for a test"})
}

fn find(id: &str, name: &str) -> Value {
    line(id, "shop.find", json!({ "name": name }))
}

#[tokio::test(start_paused = true)]
async fn lines_become_steps_with_typed_references_and_the_answer_is_made_of_them() {
    let (log, status, calls) = log_of(
        &[
            ("line_1", find("s1", "pen")),
            ("line_2", line("s2", "shop.send", json!({"text": "dear ${{ all }}", "price": {"$ref": "s1.price"}}))),
            ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s1.price"}}})),
        ],
        PLAN,
    )
    .await;
    assert_eq!(status, RunStatus::Completed, "{log}");
    let last = calls.last().unwrap();
    assert_eq!(*last, json!({"tool": "shop.send", "args": {"text": "dear ${{ all }}", "price": 103}}));
    assert!(log.ends_with("run_completed {\"answer\":{\"total\":103}}"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_before_the_plan_is_whole() {
    let (log, status, _) = log_of(
        &[
            ("line_1", line("s1", "shop.send", json!({"price": 1}))),
            ("line_2", find("s2", "pen")),
            ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s2.price"}}})),
        ],
        PLAN,
    )
    .await;
    assert_eq!(status, RunStatus::Completed, "{log}");
    let place = |what: &str| log.find(what).unwrap_or_else(|| panic!("no {what} in\n{log}"));
    assert!(place("step_started goal.s2") < place("plan_closed goal"), "{log}");
    assert!(place("plan_closed goal") < place("step_started goal.s1"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_mended_by_a_patch_that_takes_the_place_of_what_failed() {
    let (log, status, calls) = log_of(
        &[
            ("line_1", line("s1", "shop.broken", json!({"name": "pen"}))),
            ("line_2", line("s2", "shop.send", json!({"price": {"$ref": "s1.price"}}))),
            ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s1.price"}}})),
            (
                "line_4",
                json!({"id": "s3", "tool": "shop.find", "args": {"name": "pen"}, "replaces": "s1", "why": "open"}),
            ),
            ("line_5", json!({"done": true, "answer": {"total": {"$ref": "s3.price"}}})),
        ],
        PLAN,
    )
    .await;
    assert_eq!(status, RunStatus::Completed, "{log}");
    // What waited for the failed step was done after the one in its place.
    assert!(log.contains("step_completed goal.s4"), "{log}");
    assert_eq!(calls.last().unwrap(), &json!({"tool": "shop.send", "args": {"price": 103}}));
}

#[tokio::test(start_paused = true)]
async fn when_patches_are_used_up_an_agent_goes_on_and_then_says_what_was_tried() {
    let broken = |id: &str| line(id, "shop.broken", json!({"name": "pen"}));
    let (log, status, _) = log_of(
        &[
            ("line_1", broken("s1")),
            ("line_2", json!({"done": true})),
            ("line_3", broken("s2")),
            ("line_4", json!({"done": true})),
            ("turn_1", json!({"give_up": "the shop is closed"})),
        ],
        PLAN,
    )
    .await;
    assert_eq!(status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_failed goal gave_up: "), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_fans_out_over_a_list_and_skips_what_does_not_hold() {
    let (log, status, calls) = log_of(
        &[
            ("line_1", line("s1", "shop.list", json!({}))),
            ("line_2", json!({"id": "s2", "tool": "shop.find", "for_each": {"$ref": "s1.names"}, "args": {"name": {"$ref": "item"}}, "why": "each"})),
            ("line_3", json!({"id": "s3", "tool": "shop.send", "if": {"left": {"$ref": "s2[0].price"}, "is": ">", "right": 1000}, "args": {"price": 1}, "why": "dear"})),
            ("line_4", json!({"done": true, "answer": {"total": {"$ref": "s2[1].price"}}})),
        ],
        PLAN,
    )
    .await;
    assert_eq!(status, RunStatus::Completed, "{log}");
    assert_eq!(calls.len(), 4, "{log}");
    assert!(log.contains("step_skipped goal.s3"), "{log}");
    assert!(log.ends_with("{\"answer\":{\"total\":104}}"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn arguments_that_were_left_open_are_decided_when_the_inputs_are_known() {
    let (log, status, calls) = log_of(
        &[
            ("line_1", line("s1", "shop.list", json!({}))),
            ("line_2", json!({"id": "s2", "tool": "shop.find", "late": "the cheapest of the names", "uses": ["s1"], "why": "later"})),
            ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s2.price"}}})),
            ("s2_args", json!({"name": "lamp"})),
        ],
        PLAN,
    )
    .await;
    assert_eq!(status, RunStatus::Completed, "{log}");
    assert_eq!(calls.last().unwrap(), &json!({"tool": "shop.find", "args": {"name": "lamp"}}));
}

#[tokio::test(start_paused = true)]
async fn a_person_approves_the_plan_before_anything_changes() {
    let (world, calls) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("line_1", find("s1", "pen")),
        ("line_2", line("s2", "shop.send", json!({"price": {"$ref": "s1.price"}}))),
        ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s1.price"}}})),
    ]));
    let yaml = workflow(&PLAN.replace("max_replans: 1", "approve: true"));
    let (run, ended) = world.run(&yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting, "{}", world.log(run).await);
    assert_eq!(calls.lock().unwrap().len(), 1);
    let state = world.state(run).await;
    let asked = state.asking().next().unwrap();
    // The whole plan is shown, not only its beginning.
    let shown = world.payload(asked.approval.as_ref().unwrap().shown).await;
    assert_eq!(shown["show"][1]["args"], json!({"price": {"$ref": "s1.price"}}), "{shown}");
    let asked = asked.key.to_string();
    world.answer(run, &asked, true).await;
    let ended = world.resume(run).await.unwrap();
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Completed, "{log}");
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_cannot_stand_is_asked_again_with_the_reason() {
    let (world, _) = shop(Duration::ZERO);
    // A model that cannot be held to a form, and writes what the form does not allow.
    let world = world.model(
        turns(&[
            ("line_1", find("s1", "pen")),
            ("line_2", line("s2", "shop.send", json!({"price": {"$ref": "s1.price"}}))),
            ("line_3", json!({"done": true, "answer": {"total": {"$ref": "s1.price"}}})),
        ])
        .enforces([]),
    );
    let (run, ended) = world.run(&workflow(PLAN), json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert!(world.model.requests().iter().all(|request| request.constraint.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_plans_the_same_again_has_closed_its_plan() {
    let (log, status, calls) = log_of(
        &[
            ("line_1", find("s1", "pen")),
            ("line_2", find("s2", "pen")),
            ("answer", json!({"sources": ["s1"], "answer": {"total": 103}})),
        ],
        PLAN,
    )
    .await;
    assert_eq!(status, RunStatus::Completed, "{log}");
    assert_eq!(calls.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_a_draft_runs_nothing() {
    let (log, status, calls) = log_of(
        &[("line_1", find("s1", "pen")), ("line_2", json!({"done": true}))],
        &PLAN.replace("max_replans: 1", "draft: true"),
    )
    .await;
    assert_eq!(status, RunStatus::Completed, "{log}");
    assert!(calls.is_empty());
    assert!(log.ends_with("{\"done\":true}]}}"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_only_drafted_calls_nothing_even_if_it_cannot_be_written() {
    let bad = line("s9", "shop.send", json!({"price": 1}));
    let (log, status, calls) = log_of(
        &[
            ("line_1", bad.clone()),
            ("line_2", bad.clone()),
            ("line_3", bad),
            ("turn_1", json!({"why": "send", "calls": [{"tool": "shop.send", "args": {"price": 1}}]})),
        ],
        &PLAN.replace("max_replans: 1", "draft: true"),
    )
    .await;
    assert_eq!(status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_failed goal gave_up: the model wrote no plan"), "{log}");
    assert!(calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_acts_unasked_where_the_plan_that_was_to_be_approved_was_given_up() {
    let (world, calls) = shop(Duration::ZERO);
    let bad = line("s9", "shop.send", json!({"price": 1}));
    let world = world.model(turns(&[
        ("line_1", bad.clone()),
        ("line_2", bad.clone()),
        ("line_3", bad),
        ("turn_1", json!({"why": "send", "calls": [{"tool": "shop.send", "args": {"price": 1}}]})),
    ]));
    let (run, ended) = world.run(&workflow(&PLAN.replace("max_replans: 1", "approve: true")), json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Failed, "{log}");
    assert!(calls.lock().unwrap().is_empty(), "{log}");
    assert!(!world.model.requests().last().unwrap().messages[0].content.contains("shop.send"));
}

/// Cut after any event, the run goes on from its log: the same steps, the same calls, the same end.
#[tokio::test(start_paused = true)]
async fn an_interrupted_planner_goes_on_from_its_lines() {
    let answers = [
        ("line_1", find("s1", "pen")),
        ("line_2", line("s2", "shop.broken", json!({"name": "x"}))),
        ("line_3", line("s3", "shop.send", json!({"price": {"$ref": "s2.price"}}))),
        ("line_4", json!({"done": true})),
        ("line_5", json!({"id": "s4", "tool": "shop.find", "args": {"name": "lamp"}, "replaces": "s2", "why": "open"})),
        ("line_6", json!({"done": true})),
        ("answer", json!({"sources": ["s1", "s4"], "answer": {"total": 103}})),
    ];
    let (world, _) = shop(Duration::ZERO);
    let world = world.model(turns(&answers));
    let (run, ended) = world.run(&workflow(PLAN), json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    let events = world.events(run).await;
    let whole = world.outputs(run).await;
    for cut in 2..events.len() {
        let (cut_world, calls) = shop(Duration::ZERO);
        let cut_world = cut_world.model(turns(&answers));
        crate::recovery::plant(&world, &cut_world, run, &events[..cut]).await;
        let ended = cut_world.resume(run).await.unwrap();
        let log = cut_world.log(run).await;
        assert_eq!(ended.status, RunStatus::Completed, "cut after {cut}:\n{log}");
        assert_eq!(cut_world.outputs(run).await, whole, "cut after {cut}:\n{log}");
        let done = events[..cut]
            .iter()
            .filter(|event| matches!(&event.kind, EventKind::StepCompleted { key, .. } if key.to_string() == "goal.s5"))
            .count();
        let sent = calls.lock().unwrap().iter().filter(|call| call["tool"] == "shop.send").count();
        assert_eq!(done + sent, 1, "cut after {cut}:\n{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_believed_although_nothing_came_of_any_call() {
    let broken = |id: &str| line(id, "shop.broken", json!({"name": "pen"}));
    let lines = [
        ("line_1", broken("s1")),
        ("line_2", json!({"done": true})),
        ("line_3", json!({"done": true})),
        ("answer", json!({"sources": [], "answer": "skipped"})),
        ("turn_1", json!({"sources": [], "answer": "skipped"})),
    ];
    let text = "    plan: { model: main, goal: What does a pen cost?, tools: [\"shop.*\"], max_replans: 1 }";
    for verb in [text.to_owned(), text.replace("max_replans: 1", "max_replans: 0")] {
        let (log, status, _) = log_of(&lines, &verb).await;
        assert_eq!(status, RunStatus::Failed, "{log}");
        assert!(!log.contains("step_completed goal \"skipped\""), "{log}");
    }
}
