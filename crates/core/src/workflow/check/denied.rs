//! Calls that policy forbids whatever their arguments are.

use crate::policy::{Rule, Verdict};
use crate::workflow::compile::{Frame, Origin};
use crate::workflow::definition::VerbDef;
use crate::workflow::diagnostic::{Diagnostic, Severity};
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
        let place = match &origin.step.verb {
            Some(VerbDef::Tool { name, .. }) => name.place,
            Some(VerbDef::Workflow(sub)) => sub.path.place,
            _ => origin.place,
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
        let own = calls.of(index).filter(denied);
        found.extend(own.map(|call| Forbidden { index, inside: Vec::new(), sure, call }));
    }
    found
}

/// Whether a step has no condition of its own or around it: one may be false just where the rule applies.
fn is_sure(plan: &Plan, index: NodeIndex) -> bool {
    let around = std::iter::successors(Some(index), |index| plan.graph.node(*index).parent);
    around.map(|index| plan.graph.node(index)).all(|node| node.condition.is_none() && node.run_if != RunIf::Failed)
}
