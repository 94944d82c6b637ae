//! The order in which things were done, kept where something was changed: a file says what waits for what, and an agent's turns came one
//! after the other.

use std::collections::{BTreeMap, BTreeSet};

use parkway_core::workflow::RunIf;

use super::file::Step;
use super::skipped::skippable;

/// Lets each step wait for those of earlier stretches that changed something, and one that changes something for all of them.
pub(super) fn keep_order(steps: &mut [Step]) {
    let skippable = skippable(steps);
    let before: Vec<_> = steps.iter().map(|step| (step.node.id.clone(), step.stretch, step.changes)).collect();
    let mut behind: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (place, step) in steps.iter_mut().enumerate() {
        let mut known = BTreeSet::new();
        let wait = |id: &String, known: &mut BTreeSet<String>| {
            known.extend(behind.get(id).into_iter().flatten().cloned().chain([id.clone()]));
        };
        let own = step.needs();
        own.iter().for_each(|id| wait(id, &mut known));
        let earlier = before.iter().take(place).rev();
        for (id, ..) in earlier.filter(|(_, stretch, changes)| *stretch < step.stretch && (step.changes || *changes)) {
            // What it waits for by another one needs no word.
            if known.contains(id) {
                continue;
            }
            step.after.insert(id.clone());
            wait(id, &mut known);
            // That an earlier one was skipped is no reason to skip this one.
            if skippable.contains(id) && own.is_disjoint(&skippable) {
                step.node.run_if = RunIf::NotRejected;
            }
        }
        behind.insert(step.node.id.clone(), known);
    }
}
