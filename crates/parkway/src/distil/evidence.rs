//! What an answer rests on.

use std::collections::BTreeSet;

use parkway_core::id::{RunId, StepKey};
use parkway_core::workflow::Verb;

use super::reached::Reached;
use super::{answer, names};
use crate::embed::Parkway;
use crate::error::Error;

/// A step that an answer names as its source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The step.
    pub step: StepKey,
    /// The tool that it called.
    pub tool: String,
    /// How often: once for each item of a fan-out.
    pub calls: usize,
}

/// The steps of a run that the answer to its goal rests on, in the order in which they were planned.
pub async fn evidence(parkway: &Parkway, run: RunId) -> Result<Vec<Evidence>, Error> {
    let reached = Reached::read(parkway, &parkway.record(run).await?).await?;
    let names = names(&reached.calls);
    let (_, sources) = answer(&reached, &names);
    let sources: BTreeSet<_> = sources.into_iter().collect();
    let used = reached.calls.iter().filter(|call| names.get(&call.id).is_some_and(|name| sources.contains(name)));
    let found = used.map(|call| Evidence {
        step: reached.key.child(&call.id),
        tool: match &call.node.verb {
            Verb::Tool { name, .. } => name.clone(),
            verb => verb.name().into(),
        },
        calls: call.made.len(),
    });
    Ok(found.collect())
}
