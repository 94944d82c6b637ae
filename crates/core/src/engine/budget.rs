//! Whether a call may still be paid for.

use crate::id::Time;
use crate::log::{Budget, RunState};

/// Why a call does not start; `None` if it may.
pub(crate) fn exceeded(state: &RunState, share: Budget, now: Time) -> Option<String> {
    let limits = &state.plan().limits;
    let committed = state.committed();
    let check = |what: &str, limit: Option<u64>, used: u64, more: u64| {
        let limit = limit?;
        let left = limit.saturating_sub(used);
        (more > left).then(|| {
            format!("the call needs {more} {what}, and {left} of the budget's {limit} are left; raise `budget: {{ … }}` in the workflow")
        })
    };
    check("tokens", limits.tokens, committed.tokens, share.tokens)
        .or_else(|| check("tool calls", limits.tool_calls, committed.tool_calls, share.tool_calls))
        .or_else(|| {
            let limit = limits.wall_ms?;
            let used = state.active(now).as_millis();
            (used >= u128::from(limit))
                .then(|| format!("steps have been running for {used} ms, and the budget's `wall` is {limit} ms"))
        })
}

/// How long a call may take before the `wall` budget is used up.
pub(crate) fn wall_left(state: &RunState, now: Time) -> Option<std::time::Duration> {
    let limit = std::time::Duration::from_millis(state.plan().limits.wall_ms?);
    Some(limit.saturating_sub(state.active(now)))
}
