//! Holds: nothing of a run is erased as long as one is in place.

use std::collections::BTreeMap;

use super::outside::happened_outside;
use crate::id::{RunId, Time};
use crate::log::{Event, EventKind};
use crate::store::{Log, StoreError};

/// The holds that are in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holds {
    /// Since when nothing at all may be erased.
    pub all: Option<Time>,
    /// The runs of which nothing may be erased, since when.
    pub runs: BTreeMap<RunId, Time>,
}

impl Holds {
    fn take(&mut self, event: &Event) {
        match event.kind {
            EventKind::HoldPlaced { run: Some(run), .. } => drop(self.runs.entry(run).or_insert(event.at)),
            EventKind::HoldPlaced { run: None, .. } => drop(self.all.get_or_insert(event.at)),
            EventKind::HoldLifted { run: Some(run), .. } => drop(self.runs.remove(&run)),
            EventKind::HoldLifted { run: None, .. } => self.all = None,
            _ => {}
        }
    }

    /// Whether nothing of a run may be erased.
    pub fn cover(&self, run: RunId) -> bool {
        self.all.is_some() || self.runs.contains_key(&run)
    }
}

/// The holds that are in place, by what the log says.
pub async fn holds(log: &dyn Log) -> Result<Holds, StoreError> {
    let mut holds = Holds::default();
    for (_, event) in happened_outside(log, &["hold_placed", "hold_lifted"], 0).await? {
        holds.take(&event);
    }
    Ok(holds)
}
