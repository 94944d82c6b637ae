//! What an older engine wrote can be read, and means the same. The texts under `older/` are as the engine of that version
//! wrote them.

use std::sync::Arc;

use parkway_core::log::{Event, EventError, LOG_VERSION, RunState, RunStatus};
use parkway_core::workflow::{PLAN_VERSION, Plan};

/// Replays a log, and tells what became of its steps.
fn read(version: u32, plan: &str, log: &str) -> (RunState, String) {
    let plan = Plan::from_value(serde_json::from_str(plan).unwrap()).unwrap();
    assert_eq!(plan.version, PLAN_VERSION);
    let events: Vec<Event> = log.lines().map(|line| Event::from_bytes(line.as_bytes()).unwrap()).collect();
    for (event, line) in events.iter().zip(log.lines()) {
        assert_eq!(event.v, version);
        // What is hashed is what was written.
        assert_eq!(String::from_utf8(event.to_bytes().unwrap()).unwrap(), line);
    }
    let state = RunState::replay(events[0].run, Arc::new(plan), &events).unwrap();
    assert_eq!(state.status(), RunStatus::Completed);
    let told: Vec<_> =
        state.steps().iter().map(|step| format!("{} {} #{}", step.key, step.status.as_str(), step.attempt)).collect();
    let told = told.join(", ");
    (state, told)
}

#[test]
fn a_run_of_the_second_version_is_read_to_its_end_and_so_is_the_run_of_its_step() {
    let (state, told) = read(2, include_str!("older/plan-2.json"), include_str!("older/log-2.jsonl"));
    assert_eq!(
        told,
        "pause completed #0, poll completed #1, go completed #0, form completed #0, ask completed #0, sub completed #3, \
         send completed #1, each completed #0, slow failed #1, slow.long cancelled #0, poll#1 completed #1, \
         poll#2 completed #1, each[0] completed #1, each[0].one completed #1, each[0].two completed #0, \
         each[1] completed #1, each[1].one completed #1, each[1].two skipped #0"
    );
    assert_eq!(state.committed().tool_calls, 3);
    let (own, told) = read(2, include_str!("older/plan-2-own.json"), include_str!("older/log-2-own.jsonl"));
    assert_eq!(told, "confirm completed #0");
    assert_eq!(own.run(), state.run().child(&"sub".parse().unwrap()));
    assert_eq!(own.parent().unwrap().run, state.run());
}

#[test]
fn a_run_of_the_third_version_that_was_reopened_and_its_fork_are_read_to_their_ends() {
    let plan = include_str!("older/plan-3.json");
    let (state, told) = read(3, plan, include_str!("older/log-3.jsonl"));
    assert_eq!(
        told,
        "list completed #1, each completed #0, late completed #2, ask completed #0, write completed #1, \
         each[0] completed #1, each[1] completed #1"
    );
    let (fork, told) = read(3, plan, include_str!("older/log-3-fork.jsonl"));
    assert_eq!(
        told,
        "list completed #1, each completed #0, late completed #1, ask completed #0, write completed #1, \
         each[0] completed #1, each[1] completed #1"
    );
    assert_eq!(fork.forked().unwrap().from, state.run());
}

#[test]
fn a_log_of_the_next_version_is_refused() {
    let line = include_str!("older/log-2.jsonl").lines().next().unwrap();
    let newer = line.replace(r#""v":2}"#, &format!(r#""v":{}}}"#, LOG_VERSION + 1));
    assert_eq!(Event::from_bytes(newer.as_bytes()), Err(EventError::Newer { found: LOG_VERSION + 1 }));
}

#[test]
fn a_run_of_the_first_version_is_read_to_its_end() {
    let (state, told) = read(1, include_str!("older/plan-1.json"), include_str!("older/log-1.jsonl"));
    assert_eq!(
        told,
        "first completed #1, each completed #0, say completed #1, form failed #1, skipped skipped #0, \
         confirm completed #0, last completed #1, each[0] completed #1, each[0].read completed #1, \
         each[0].fail skipped #0, each[1] completed #1, each[1].read completed #1, each[1].fail failed #1"
    );
    assert_eq!(state.committed().tool_calls, 4);
}
