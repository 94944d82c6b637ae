//! Budgets, deadlines and retries that cannot hold.

use std::time::Duration;

use crate::workflow::compile::Compiled;
use crate::workflow::definition::{RetryDef, StepDef, VerbDef, WaitDef};
use crate::workflow::diagnostic::{Diagnostic, Place};
use crate::workflow::graph::{NodeIndex, Verb};

/// What is doubtful about limits.
pub(super) fn check(compiled: &Compiled<'_>, skipped: &[bool]) -> Vec<(usize, Diagnostic)> {
    let mut found = Vec::new();
    for (frame, of) in compiled.frames.iter().enumerate() {
        let defaults = of.top.defaults.retry.iter();
        found.extend(defaults.filter_map(|retry| odd_retry(&retry.value, retry.place)).map(|one| (frame, one)));
    }
    for (index, _) in compiled.graph.iter() {
        let origin = compiled.origin(index);
        let retry = origin.step.retry.as_ref();
        found.extend(
            retry.and_then(|retry| odd_retry(&retry.value, retry.place)).map(|diagnostic| (origin.frame, diagnostic)),
        );
        found.extend(too_late(compiled, index).map(|diagnostic| (origin.frame, diagnostic)));
    }
    found.extend(budget(compiled, skipped).into_iter().map(|diagnostic| (0, diagnostic)));
    found
}

fn odd_retry(retry: &RetryDef, place: Place) -> Option<Diagnostic> {
    let (initial, limit) = (retry.initial.as_ref()?, retry.limit.as_ref()?);
    (initial.value > limit.value).then(|| {
        let message = "`initial` is longer than `limit`: no delay is ever as long";
        Diagnostic::warning("odd-retry", place, message).help("`limit` is the longest delay, `initial` the first")
    })
}

/// A wait that is longer than what surrounds it may take.
fn too_late(compiled: &Compiled<'_>, index: NodeIndex) -> Option<Diagnostic> {
    let origin = compiled.origin(index);
    let (place, own, key) = own_limit(origin.step)?;
    let top = compiled.frames[origin.frame].top;
    let mut limits: Vec<(u128, String)> =
        top.deadline.iter().map(|deadline| (deadline.value.as_millis(), "the `deadline`".to_owned())).collect();
    let mut around = compiled.graph.node(index).parent;
    while let Some(group) = around {
        let node = compiled.graph.node(group);
        limits.extend(node.timeout_ms.map(|ms| (u128::from(ms), format!("the `timeout` of `{}`", node.id))));
        around = node.parent;
    }
    let (_, name) = limits.into_iter().filter(|(limit, _)| *limit < own.as_millis()).min()?;
    let message = format!("{key} is longer than {name}, which ends it before");
    Some(Diagnostic::warning("short-deadline", place, message).help("shorten this, or lengthen what surrounds it"))
}

/// How long a step may take by its own words.
fn own_limit(step: &StepDef) -> Option<(Place, Duration, &'static str)> {
    let inner = match &step.verb {
        Some(VerbDef::Wait(wait)) => match &wait.value {
            WaitDef::For(duration) => return Some((wait.place, *duration, "this wait")),
            WaitDef::Signal { timeout, .. } => timeout.as_ref(),
            WaitDef::Until(_) => None,
        },
        Some(VerbDef::Approve(approve)) => approve.value.timeout.as_ref(),
        Some(VerbDef::Input(input)) => input.value.timeout.as_ref(),
        _ => None,
    };
    let limit = inner.or(step.timeout.as_ref())?;
    Some((limit.place, limit.value, "this `timeout`"))
}

/// Calls that happen once each and do not fit into the budget together.
fn budget(compiled: &Compiled<'_>, skipped: &[bool]) -> Vec<Diagnostic> {
    let budget = &compiled.frames[0].top.budget;
    let mut found = Vec::new();
    let (mut tokens, mut calls) = (0_u64, 0_u64);
    for (_, node) in compiled.graph.iter().filter(|(index, _)| happens_once(compiled, *index, skipped)) {
        match &node.verb {
            Verb::Chat(chat) => tokens += u64::from(chat.max_tokens),
            // It has one turn at least.
            Verb::Goal(goal) => tokens += u64::from(goal.max_tokens),
            Verb::Tool { .. } => calls += 1,
            _ => {}
        }
    }
    let help = "raise it, or ask for less; a call that cannot reserve its share does not start, and the run fails";
    if let Some(limit) = budget.tokens.as_ref().filter(|limit| tokens > limit.value) {
        let message = format!(
            "the answers alone may take {tokens} tokens (`max_tokens` of each step that surely asks a model once), and the budget has {}",
            limit.value
        );
        found.push(Diagnostic::warning("small-budget", limit.place, message).help(help));
    }
    if let Some(limit) = budget.tool_calls.as_ref().filter(|limit| calls > limit.value) {
        let message = format!("{calls} steps call tools once each, and the budget has {} calls", limit.value);
        found.push(Diagnostic::warning("small-budget", limit.place, message).help(help));
    }
    found
}

/// Whether a step runs, and once.
fn happens_once(compiled: &Compiled<'_>, index: NodeIndex, skipped: &[bool]) -> bool {
    let mut at = Some(index);
    while let Some(step) = at {
        let node = compiled.graph.node(step);
        if node.for_each.is_some() || node.repeat.is_some() || skipped[step.0 as usize] {
            return false;
        }
        at = node.parent;
    }
    true
}
