//! How long plans take, by a clock that only they move: what can run at once does, also while the planner still writes.

use std::time::Duration;

use parkway_core::log::RunStatus;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plans::{PLAN, line};
use super::{shop, turns, workflow};

const READ: Duration = Duration::from_secs(20);
const TURN: Duration = Duration::from_secs(1);

async fn time_of(answers: &[(&str, Value)], verb: &str) -> Duration {
    let (world, _) = shop(READ);
    let world = world.model(turns(answers).delay(TURN));
    let started = Instant::now();
    let (run, ended) = world.run(&workflow(verb), json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn independent_reads_take_the_time_of_the_longest_while_the_planner_still_writes() {
    const K: usize = 6;
    let names: Vec<String> = (1..=K + 1).map(|number| format!("line_{number}")).collect();
    let mut lines: Vec<(&str, Value)> = (1..=K)
        .map(|number| {
            let args = json!({"name": "x".repeat(number)});
            (names[number - 1].as_str(), line(&format!("s{number}"), "shop.find", args))
        })
        .collect();
    lines.push((names[K].as_str(), json!({"done": true, "answer": {"total": {"$ref": "s1.price"}}})));
    let planned = time_of(&lines, PLAN).await;
    let turns: Vec<String> = (1..=K + 1).map(|number| format!("turn_{number}")).collect();
    let mut acts: Vec<(&str, Value)> = (1..=K)
        .map(|number| {
            let call = json!({"tool": "shop.find", "args": {"name": "x".repeat(number)}});
            (turns[number - 1].as_str(), json!({"why": "next", "calls": [call]}))
        })
        .collect();
    acts.push((turns[K].as_str(), json!({"sources": ["turn_1_1"], "answer": {"total": 101}})));
    let verb = "    agent: { model: main, goal: What?, tools: [\"shop.*\"], output: { total: { type: integer } } }";
    let in_turn = time_of(&acts, verb).await;
    println!(
        "{K} reads of {READ:?}, {TURN:?} a turn: planned {planned:?}, by an agent that asks for one after the other {in_turn:?}"
    );
    // The last read begins when its line is written; the closing line is written beside it.
    let (k, slack) = (u32::try_from(K).unwrap(), Duration::from_millis(1_500));
    assert!(planned <= TURN * k + READ + slack, "{planned:?}");
    assert!(in_turn >= (TURN + READ) * k, "{in_turn:?}");
}
