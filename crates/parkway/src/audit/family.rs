//! A run, and the runs that its steps had for themselves.

use std::collections::HashSet;

use parkway_core::id::RunId;
use parkway_core::store::RunSummary;

/// Of these runs, `run` and those that belong to it.
pub(super) fn family(runs: &[RunSummary], run: RunId) -> HashSet<RunId> {
    let mut family = HashSet::from([run]);
    // A run that a step has for itself is younger, or as old, and may have such runs itself.
    while let Some(child) = runs
        .iter()
        .find(|found| !family.contains(&found.run) && found.parent.is_some_and(|parent| family.contains(&parent)))
    {
        family.insert(child.run);
    }
    family
}
