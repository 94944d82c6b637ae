//! A plan as waves: steps of one wave wait only for earlier ones.

use std::fmt::Write as _;

use parkway::definition::{
    CallOutlook, Delegate, Goal, Node, NodeIndex, OnError, OnItemError, RunIf, StepOutlook, Verb, Wait,
};
use parkway::policy::Verdict;
use parkway::{Outlook, Plan};

use super::words::{clean, width};
use super::{Symbols, cut};

/// The most columns of a goal.
const GOAL: usize = 60;

/// The plan's steps, in waves, groups with their members below them.
pub(crate) fn waves(plan: &Plan, outlook: Option<&Outlook>) -> Vec<String> {
    let mut lines = Vec::new();
    group(plan, outlook, None, 1, &mut lines);
    lines
}

fn group(plan: &Plan, outlook: Option<&Outlook>, parent: Option<NodeIndex>, depth: usize, lines: &mut Vec<String>) {
    let graph = &plan.graph;
    let waves = graph.waves(parent);
    let column = waves.iter().flatten().map(|index| width(&graph.node(*index).id)).max().unwrap_or(0);
    let numbers = waves.len().to_string().len();
    for (number, wave) in (1..).zip(&waves) {
        for (place, index) in wave.iter().enumerate() {
            let node = graph.node(*index);
            let number = if place == 0 { number.to_string() } else { String::new() };
            let pad = " ".repeat(column.saturating_sub(width(&node.id)));
            let known = outlook.and_then(|outlook| outlook.steps.get(index.0 as usize));
            let notes = notes(plan, node, known);
            let gap = if notes.is_empty() { "" } else { "  " };
            let indent = "  ".repeat(depth);
            lines.push(format!("{indent}{number:>numbers$}  {}{pad}  {}{gap}{notes}", node.id, what(node)));
            if let Verb::Goal(asked) = &node.verb {
                lines.extend(
                    goal(plan, asked, known)
                        .into_iter()
                        .map(|line| format!("{indent}{:numbers$}  {:column$}  {line}", "", "")),
                );
            }
            group(plan, outlook, Some(*index), depth + 1, lines);
        }
    }
}

fn what(node: &Node) -> String {
    match &node.verb {
        Verb::Tool { name, .. } => clean(name),
        Verb::Chat(chat) => format!("chat {}", clean(&chat.model)),
        Verb::Goal(goal) => format!("{} {}", node.verb.name(), clean(&goal.model)),
        Verb::Steps { .. } if node.for_each.is_some() => "for each".into(),
        Verb::Steps { .. } if node.repeat.is_some() => "repeat".into(),
        Verb::Workflow(workflow) => format!("workflow {}", clean(&workflow.path)),
        verb => verb.name().into(),
    }
}

/// What a model is to reach, and what it may call for that.
fn goal(plan: &Plan, goal: &Goal, known: Option<&StepOutlook>) -> Vec<String> {
    let call = |name: &str| known.and_then(|known| known.goal.as_ref()?.calls.iter().find(|call| call.tool == name));
    let tool = |name: &String| {
        let effect = plan.tools.get(name).map(|tool| tool.effect.as_str());
        let notes: Vec<_> = effect.into_iter().chain(call(name).and_then(policy)).collect();
        format!("may call {}  {}", clean(name), notes.join(", "))
    };
    let workflow = |(name, delegate): (&String, &Delegate)| {
        format!("may call {}  workflow {} in a run of its own", clean(name), clean(&delegate.workflow.path))
    };
    let what = format!("goal: {}", cut(&clean(&goal.goal.text), GOAL, Symbols::from_env()));
    let calls = goal.tools.iter().map(tool).chain(goal.workflows.iter().map(workflow));
    std::iter::once(what).chain(calls).collect()
}

fn notes(plan: &Plan, node: &Node, known: Option<&StepOutlook>) -> String {
    let mut notes = Vec::new();
    let call = known.and_then(|known| known.call.as_ref());
    match &node.verb {
        Verb::Tool { name, .. } => {
            notes.extend(plan.tools.get(name).map(|tool| tool.effect.as_str().to_owned()));
            notes.extend(call.and_then(policy).map(str::to_owned));
        }
        Verb::Chat(chat) => notes.push(format!("at most {} tokens", chat.max_tokens)),
        Verb::Goal(goal) => {
            notes.extend(known.and_then(|known| known.goal.as_ref()).map(|goal| format!("up to {} turns", goal.turns)));
            if let Some(planning) = &goal.plan {
                notes.push(format!("at most {} steps", planning.max_steps));
                notes.extend(planning.draft_only.then(|| "only drafts".to_owned()));
                notes.extend(planning.approve.then(|| "a person approves the plan".to_owned()));
            }
        }
        Verb::Approve { timeout_ms, .. } => {
            notes.push(format!("asks a person{}", within(*timeout_ms)));
        }
        Verb::Input { timeout_ms, .. } => notes.push(format!("asks a person for values{}", within(*timeout_ms))),
        Verb::Wait(Wait::For(ms)) => notes.push(format!("for {}", span(*ms))),
        Verb::Wait(Wait::Until(time)) => notes.push(format!("until {}", clean(time))),
        Verb::Wait(Wait::Signal { name, timeout_ms }) => {
            notes.push(format!("for the signal {}{}", clean(name), within(*timeout_ms)));
        }
        Verb::Workflow(workflow) if workflow.own_run.is_some() => notes.push("in a run of its own".into()),
        // Others say all by their names.
        _ => {}
    }
    if let Some(repeat) = &node.repeat {
        let delay = if repeat.delay_ms > 0 { format!(", {} between", span(repeat.delay_ms)) } else { String::new() };
        notes.push(format!("at most {} rounds{delay}", repeat.max));
    }
    if let Some(for_each) = &node.for_each {
        let mut note = if matches!(node.verb, Verb::Steps { .. }) { String::new() } else { "for each, ".into() };
        let _ = write!(note, "{} at once", for_each.max_parallel);
        notes.push(note);
        if for_each.on_item_error == OnItemError::Collect {
            notes.push("goes on after failed items".into());
        }
    }
    if node.condition.is_some() {
        notes.push("may be skipped".into());
    }
    match node.run_if {
        RunIf::Completed => {}
        RunIf::Failed => notes.push("only after a failure".into()),
        RunIf::NotRejected => notes.push("unless rejected".into()),
        RunIf::Always => notes.push("always".into()),
    }
    if node.on_error == OnError::Continue {
        notes.push("goes on after a failure".into());
    }
    notes.extend(node.retry.as_ref().filter(|retry| retry.max > 0).map(|retry| match retry.max {
        1 => "1 retry".into(),
        max => format!("{max} retries"),
    }));
    notes.join(", ")
}

fn within(millis: Option<u64>) -> String {
    millis.map(|millis| format!(" within {}", span(millis))).unwrap_or_default()
}

/// What policy says of a call, where that is more than yes.
fn policy(call: &CallOutlook) -> Option<&'static str> {
    match (call.policy.mildest.verdict, call.policy.strictest.verdict) {
        (Verdict::Deny, _) => Some("forbidden"),
        (Verdict::Ask, Verdict::Deny) => Some("asks, may be forbidden"),
        (Verdict::Allow, Verdict::Deny) => Some("may be forbidden"),
        (Verdict::Ask, _) if call.approved_by.is_some() => Some("approved before"),
        (Verdict::Ask, _) => Some("asks"),
        (_, Verdict::Ask) => Some("may ask"),
        _ => None,
    }
}

/// A duration as an author writes it: `24h`.
pub(crate) fn span(millis: u64) -> String {
    // A single day is written in hours.
    for (unit, least, name) in [(86_400_000, 2, "d"), (3_600_000, 1, "h"), (60_000, 1, "m"), (1_000, 1, "s")] {
        if millis >= least * unit && millis.is_multiple_of(unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    format!("{millis}ms")
}
