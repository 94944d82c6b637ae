//! What an older engine wrote can be read, and means the same. The texts under `older/` are as the engine of that version
//! wrote them.

use std::sync::Arc;

use parkway_core::log::{Event, LOG_VERSION, RunState, RunStatus};
use parkway_core::workflow::{PLAN_VERSION, Plan};

const PLAN: &str = include_str!("older/plan-1.json");
const LOG: &str = include_str!("older/log-1.jsonl");

#[test]
fn a_run_of_the_first_version_is_read_to_its_end() {
    let plan = Plan::from_value(serde_json::from_str(PLAN).unwrap()).unwrap();
    assert_eq!(plan.version, PLAN_VERSION);
    let events: Vec<Event> = LOG.lines().map(|line| Event::from_bytes(line.as_bytes()).unwrap()).collect();
    for (event, line) in events.iter().zip(LOG.lines()) {
        assert!(event.v < LOG_VERSION);
        // What is hashed is what was written.
        assert_eq!(String::from_utf8(event.to_bytes().unwrap()).unwrap(), line);
    }
    let state = RunState::replay(events[0].run, Arc::new(plan), &events).unwrap();
    assert_eq!(state.status(), RunStatus::Completed);
    let told: Vec<_> =
        state.steps().iter().map(|step| format!("{} {} #{}", step.key, step.status.as_str(), step.attempt)).collect();
    assert_eq!(
        told.join(", "),
        "first completed #1, each completed #0, say completed #1, form failed #1, skipped skipped #0, \
         confirm completed #0, last completed #1, each[0] completed #1, each[0].read completed #1, \
         each[0].fail skipped #0, each[1] completed #1, each[1].read completed #1, each[1].fail failed #1"
    );
    assert_eq!(state.committed().tool_calls, 4);
}
