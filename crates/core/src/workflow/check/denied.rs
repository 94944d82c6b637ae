//! Calls that policy forbids whatever their arguments are.

use crate::policy::{Rule, Verdict};
use crate::workflow::compile::{Frame, Origin};
use crate::workflow::definition::{GoalDef, OfferDef, VerbDef};
use crate::workflow::diagnostic::{Diagnostic, Place, Severity};
use crate::workflow::graph::{NodeIndex, RunIf, Verb};
use crate::workflow::outlook::{CallOutlook, Calls, Surroundings};
use crate::workflow::plan::{Plan, Requirements};

/// What is forbidden, in the plan and in the runs that its steps have for themselves.
pub(super) fn check(
    plan: &Plan,
    requirements: &Requirements<'_>,
    origins: &[Origin<'_>],
    frames: &[Frame<'_>],
) -> Vec<Diagnostic> {
    let Some(policy) = requirements.rules else { return Vec::new() };
    let around = Surroundings::new(requirements.tools, policy, &requirements.models);
    let tell = |Forbidden { index, inside, sure, call }: Forbidden| {
        let origin = origins[index.0 as usize];
        let (place, sure) = match &origin.step.verb {
            Some(VerbDef::Tool { name, .. }) => (name.place, sure),
            Some(VerbDef::Workflow(sub)) => (sub.path.place, sure),
            Some(VerbDef::Goal(goal)) => offered(&goal.value, &inside, &call.tool)
                .map_or((origin.place, false), |(place, named)| (place, sure && named)),
            _ => (origin.place, sure),
        };
        let whose = if inside.is_empty() { String::new() } else { format!("its step `{}`: ", inside.join(".")) };
        let message = format!("{whose}`{}` cannot be called: {}", call.tool, call.policy.mildest.reason);
        let help =
            "call another tool, or have the rule changed: `parkway config show` says where the site's rules stand";
        let mut diagnostic = Diagnostic::new("denied", place, message).help(help);
        if !sure {
            diagnostic.severity = Severity::Warning;
        }
        diagnostic.file = frames[origin.frame].file.map(str::to_owned);
        diagnostic
    };
    forbidden(plan, &around, &[], false).into_iter().map(tell).collect()
}

/// Where a goal offers what is forbidden, and whether by its name: a family holds also what is not meant.
fn offered(goal: &GoalDef, inside: &[String], tool: &str) -> Option<(Place, bool)> {
    let by = |offer: &OfferDef| match (offer, inside.first()) {
        (OfferDef::Tool(name), None) => name.value == tool,
        (OfferDef::Workflow(delegate), Some(name)) => delegate.known_as() == *name,
        _ => false,
    };
    let of_family = |offer: &OfferDef| matches!(offer, OfferDef::Family(family) if inside.is_empty() && tool.split('.').next() == Some(&family.value));
    let named = goal.tools.iter().find(|offer| by(offer)).map(|offer| (offer.place(), true));
    named.or_else(|| goal.tools.iter().find(|offer| of_family(offer)).map(|offer| (offer.place(), false)))
}

/// A call that no arguments make possible.
struct Forbidden {
    index: NodeIndex,
    /// The ids of the steps inside the run that the step has for itself.
    inside: Vec<String>,
    /// Whether no condition may keep it from being made.
    sure: bool,
    call: CallOutlook,
}

fn forbidden(plan: &Plan, around: &Surroundings<'_>, callers: &[Rule], called: bool) -> Vec<Forbidden> {
    let calls = Calls::new(plan, around, callers, called);
    let mut found = Vec::new();
    for (index, node) in plan.graph.iter() {
        let sure = is_sure(plan, index);
        if let Verb::Goal(goal) = &node.verb {
            for (name, delegate) in &goal.workflows {
                let Some(child) = &delegate.workflow.own_run else { continue };
                let inner = forbidden(child, around, &calls.rules_for_run_of(index), true);
                found.extend(inner.into_iter().map(|mut inner| {
                    inner.inside.splice(0..0, [name.clone(), child.graph.node(inner.index).id.clone()]);
                    Forbidden { index, sure: false, ..inner }
                }));
            }
        }
        if let Verb::Workflow(workflow) = &node.verb
            && let Some(child) = &workflow.own_run
        {
            let inner = forbidden(child, around, &calls.rules_for_run_of(index), true);
            found.extend(inner.into_iter().map(|mut inner| {
                inner.inside.insert(0, child.graph.node(inner.index).id.clone());
                Forbidden { index, sure: sure && inner.sure, ..inner }
            }));
        }
        // That nothing is granted is told as `not-granted`.
        let denied = |call: &CallOutlook| {
            let mildest = &call.policy.mildest;
            mildest.verdict == Verdict::Deny && mildest.rule != "default.grant"
        };
        let own = calls.of(index).into_iter().chain(calls.of_goal(index)).filter(denied);
        found.extend(own.map(|call| Forbidden { index, inside: Vec::new(), sure, call }));
    }
    found
}

/// Whether a step has no condition of its own or around it: one may be false just where the rule applies.
fn is_sure(plan: &Plan, index: NodeIndex) -> bool {
    let around = std::iter::successors(Some(index), |index| plan.graph.node(*index).parent);
    around.map(|index| plan.graph.node(index)).all(|node| node.condition.is_none() && node.run_if != RunIf::Failed)
}
