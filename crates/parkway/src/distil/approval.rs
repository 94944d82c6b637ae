//! Where a plan was approved, its file asks as well, before anything is changed.

use std::collections::BTreeSet;

use parkway_core::workflow::{RunIf, Verb, literal};

use super::file::Step;
use super::skipped::skippable;

/// The step that asks.
pub(super) const CONFIRM: &str = "confirm";

/// Puts a question before the steps that change something, when all is known that does not wait for one of them. Gives the steps
/// whose arguments are shown then: the answer covers these calls.
pub(super) fn ask_first(steps: &mut Vec<Step>) -> BTreeSet<String> {
    let Some(first) = steps.iter().position(|step| step.changes) else { return BTreeSet::new() };
    let mut late = BTreeSet::new();
    for step in steps.iter() {
        if step.changes || !step.needs().is_disjoint(&late) {
            late.insert(step.node.id.clone());
        }
    }
    let known: BTreeSet<_> = steps.iter().map(|step| step.node.id.clone()).filter(|id| !late.contains(id)).collect();
    let changing = || steps.iter().filter(|step| step.changes);
    let named = changing().map(|step| match &step.node.verb {
        Verb::Tool { name, .. } => format!("{} {name}", step.node.id),
        _ => step.node.id.clone(),
    });
    let prompt =
        literal(&format!("Carry out this plan? It changes something by {}.", named.collect::<Vec<_>>().join(", ")));
    let shown = changing().filter(|step| step.node.for_each.is_none() && step.needs().is_subset(&known));
    let shown = shown.map(|step| step.node.id.clone()).collect();
    let mut confirm = Step::new(CONFIRM, Verb::Approve { prompt, timeout_ms: None, show: None });
    if !known.is_disjoint(&skippable(steps)) {
        confirm.node.run_if = RunIf::NotRejected;
    }
    // It stands where the first of them stood: what it waits for stands before it, or is moved there.
    confirm.after = known.clone();
    for step in steps.iter_mut().filter(|step| step.changes) {
        step.after.insert(CONFIRM.into());
    }
    let rest = steps.split_off(first);
    let (before, after): (Vec<_>, Vec<_>) = rest.into_iter().partition(|step| known.contains(&step.node.id));
    steps.extend(before.into_iter().chain([confirm]).chain(after));
    shown
}
