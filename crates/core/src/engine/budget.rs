//! Whether a call may still be paid for: out of the run's budget, and out of that of each called workflow around it.

use std::time::Duration;

use crate::id::Time;
use crate::log::{Budget, RunState, StepIndex};
use crate::workflow::Limits;

/// Why a call inside `scope` does not start; `None` if it may.
pub(crate) fn exceeded(state: &RunState, scope: Option<StepIndex>, share: Budget, now: Time) -> Option<String> {
    let limits = &state.plan().limits;
    over(limits, state.committed(), state.active(now), share, "the workflow").or_else(|| {
        state.calls_around(scope).find_map(|(_, workflow, used)| {
            let place = format!("`{}`", workflow.path);
            over(&workflow.limits, used.budget, used.active(now), share, &place)
        })
    })
}

fn over(limits: &Limits, used: Budget, active: Duration, share: Budget, place: &str) -> Option<String> {
    let check = |what: &str, limit: Option<u64>, used: u64, more: u64| {
        let limit = limit?;
        let left = limit.saturating_sub(used);
        (more > left).then(|| {
            format!("the call needs {more} {what}, and {left} of the budget's {limit} are left; raise `budget: {{ … }}` in {place}")
        })
    };
    check("tokens", limits.tokens, used.tokens, share.tokens)
        .or_else(|| check("tool calls", limits.tool_calls, used.tool_calls, share.tool_calls))
        .or_else(|| {
            let limit = limits.wall_ms?;
            let used = active.as_millis();
            (used >= u128::from(limit))
                .then(|| format!("steps have been running for {used} ms, and the budget's `wall` is {limit} ms"))
        })
}

/// The share of a workflow with a run of its own, of what is counted around it: what it may use by its own budget, else
/// all that is left.
pub(crate) fn share(state: &RunState, scope: Option<StepIndex>, own: &Limits) -> Budget {
    let of_kind = |limit: fn(&Limits) -> Option<u64>, amount: fn(Budget) -> u64| {
        let left = |limits: &Limits, used: Budget| limit(limits).map(|limit| limit.saturating_sub(amount(used)));
        let around = state.calls_around(scope).filter_map(|(_, workflow, used)| left(&workflow.limits, used.budget));
        let left = left(&state.plan().limits, state.committed()).into_iter().chain(around).min();
        left.map_or(0, |left| limit(own).unwrap_or(left))
    };
    let tokens = of_kind(|limits| limits.tokens, |budget| budget.tokens);
    Budget::new(tokens, of_kind(|limits| limits.tool_calls, |budget| budget.tool_calls))
}

/// Whether calls inside `scope` are counted: some budget around them limits what `pick` gives.
pub(crate) fn counts(state: &RunState, scope: Option<StepIndex>, pick: fn(&Limits) -> Option<u64>) -> bool {
    pick(&state.plan().limits).is_some()
        || state.calls_around(scope).any(|(_, workflow, _)| pick(&workflow.limits).is_some())
}

/// How long a call inside `scope` may take before a `wall` budget is used up.
pub(crate) fn wall_left(state: &RunState, scope: Option<StepIndex>, now: Time) -> Option<Duration> {
    let left = |limits: &Limits, active: Duration| {
        limits.wall_ms.map(|limit| Duration::from_millis(limit).saturating_sub(active))
    };
    let around = state.calls_around(scope).filter_map(|(_, workflow, used)| left(&workflow.limits, used.active(now)));
    left(&state.plan().limits, state.active(now)).into_iter().chain(around).min()
}
