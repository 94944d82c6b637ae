//! Agents: calls by turns, an answer that is held against what they gave, and words where it ends otherwise.

use std::time::Duration;

use parkway_core::log::RunStatus;
use serde_json::{Value, json};

use super::{log_of, shop, turns, workflow};

const AGENT: &str =
    "    agent: { model: main, goal: What do a pen and a lamp cost?, tools: [\"shop.*\"], max_turns: 6 }";

fn find(name: &str) -> Value {
    json!({ "tool": "shop.find", "args": { "name": name } })
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_turn_run_at_once_and_the_answer_names_them() {
    let started = tokio::time::Instant::now();
    let (log, status, calls) = log_of(
        &[
            ("turn_1", json!({"why": "both prices", "calls": [find("pen"), find("lamp")]})),
            ("turn_2", json!({"sources": ["turn_1_1", "turn_1_2"], "answer": "A pen costs 103, a lamp 104."})),
        ],
        AGENT,
    )
    .await;
    assert_eq!(status, RunStatus::Completed, "{log}");
    assert_eq!(calls.len(), 2);
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    assert!(log.contains("A pen costs 103, a lamp 104."), "{log}");
    // What came from outside stays marked in what was made of it.
    assert!(log.contains("step_completed goal \"A pen costs 103, a lamp 104.\" (untrusted)"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_no_result_shows_fails_the_run() {
    let (log, status, _) = log_of(
        &[
            ("turn_1", json!({"why": "price", "calls": [find("pen")]})),
            ("turn_2", json!({"sources": ["turn_1_1"], "answer": "A pen costs 999."})),
        ],
        AGENT,
    )
    .await;
    assert_eq!(status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_failed goal unverified: ") && log.contains("999"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_claimed_write_without_the_tools_record_fails_the_run() {
    let (log, status, _) = log_of(
        &[
            ("turn_1", json!({"why": "price", "calls": [find("pen")]})),
            ("turn_2", json!({"sources": ["turn_1_1"], "answer": "The letter was sent."})),
        ],
        AGENT,
    )
    .await;
    assert_eq!(status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_failed goal unverified: ") && log.contains("The letter was sent"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn the_same_call_again_and_again_is_ended_with_words() {
    let again = json!({"why": "once more", "calls": [find("pen")]});
    let (log, status, calls) = log_of(
        &[("turn_1", again.clone()), ("turn_2", again.clone()), ("turn_3", again.clone()), ("turn_4", again)],
        AGENT,
    )
    .await;
    assert_eq!(status, RunStatus::Failed, "{log}");
    assert_eq!(calls.len(), 3);
    assert!(log.contains("no_progress: `shop.find` was called 3 times with the same arguments"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_told_to_the_model_and_not_the_end() {
    let (log, status, _) = log_of(
        &[
            ("turn_1", json!({"why": "try", "calls": [{"tool": "shop.broken", "args": {"name": "pen"}}]})),
            ("turn_2", json!({"why": "another way", "calls": [find("pen")]})),
            ("turn_3", json!({"sources": ["turn_2_1"], "answer": "103"})),
        ],
        AGENT,
    )
    .await;
    assert_eq!(status, RunStatus::Completed, "{log}");
    assert!(log.contains("the shop is closed"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn the_last_turn_can_only_answer_or_give_up() {
    let (world, _) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("turn_1", json!({"why": "price", "calls": [find("pen")]})),
        ("turn_2", json!({"give_up": "nothing tells what a lamp costs"})),
    ]));
    let verb = AGENT.replace("max_turns: 6", "max_turns: 2");
    let (run, ended) = world.run(&workflow(&verb), json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Failed, "{log}");
    assert!(log.contains("gave_up: the model gave up: nothing tells what a lamp costs; tried: 2 turns"), "{log}");
    let requests = world.model.requests();
    let form = |place: usize| serde_json::to_string(&requests[place].constraint).unwrap();
    assert!(form(0).contains("calls") && !form(1).contains("\"calls\""), "{}", form(1));
    // The second prompt begins with the first one, so that it is read once.
    assert_eq!(requests[0].messages[..], requests[1].messages[..requests[0].messages.len()]);
}

#[tokio::test(start_paused = true)]
async fn a_persons_no_ends_the_goal() {
    let (world, calls) = shop(Duration::ZERO);
    let world = world.model(turns(&[(
        "turn_1",
        json!({"why": "send", "calls": [{"tool": "shop.send", "args": {"price": 1}}, find("pen")]}),
    )]));
    let yaml = workflow(AGENT).replace("steps:", "policy:\n  - { match: { tool: shop.send }, verdict: ask }\nsteps:");
    let (run, ended) = world.run(&yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting, "{}", world.log(run).await);
    world.answer(run, "goal.turn_1_1", false).await;
    let ended = world.resume(run).await.unwrap();
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_failed goal rejected"), "{log}");
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_an_untrusted_result_made_the_model_say_stays_untrusted() {
    let (world, calls) = shop(Duration::ZERO);
    let world = world.model(turns(&[
        ("turn_1", json!({"why": "price", "calls": [find("pen")]})),
        ("turn_2", json!({"why": "send", "calls": [{"tool": "shop.send", "args": {"price": 103}}]})),
        ("turn_3", json!({"sources": ["turn_2_1"], "answer": "m-77"})),
    ]));
    let policy = "policy:\n  - { match: { tool: shop.send, labels: [untrusted] }, verdict: deny }\nsteps:";
    let (run, ended) = world.run(&workflow(AGENT).replace("steps:", policy), json!({})).await;
    let log = world.log(run).await;
    assert_eq!(ended.status, RunStatus::Failed, "{log}");
    assert!(log.contains("step_failed goal.turn_2_1 denied"), "{log}");
    assert_eq!(calls.lock().unwrap().len(), 1);
}
