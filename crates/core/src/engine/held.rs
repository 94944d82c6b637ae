//! Holds: nothing of a run is erased as long as one is in place, nor of the runs that its steps have for themselves.

use std::collections::BTreeMap;

use super::outside::happened_since;
use crate::id::{RunId, Seq, Time};
use crate::log::{Event, EventKind};
use crate::store::{Log, RunFilter, RunSummary, StoreError};

/// The holds that are in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holds {
    /// Since when nothing at all may be erased.
    pub all: Option<Time>,
    /// The runs of which nothing may be erased, since when.
    pub runs: BTreeMap<RunId, Time>,
    /// How far the log was read.
    seen: Seq,
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

    /// Takes in what was placed and lifted since they were read. Gives whether that was anything.
    pub async fn renew(&mut self, log: &dyn Log) -> Result<bool, StoreError> {
        let mut changed = false;
        for (_, event) in happened_since(log, &["hold_placed", "hold_lifted"], &mut self.seen).await? {
            self.take(&event);
            changed = true;
        }
        Ok(changed)
    }

    /// Whether nothing of a run may be erased; of this run and the runs that it is a part of: [`line_of`].
    pub fn cover(&self, line: &[RunSummary]) -> bool {
        self.all.is_some() || line.iter().any(|run| self.runs.contains_key(&run.run))
    }
}

/// The holds that are in place, by what the log says.
pub async fn holds(log: &dyn Log) -> Result<Holds, StoreError> {
    let mut holds = Holds::default();
    holds.renew(log).await?;
    Ok(holds)
}

/// A run, and the runs that it is a part of, from the inside out. Empty, if there is no such run.
pub async fn line_of(log: &dyn Log, run: RunId) -> Result<Vec<RunSummary>, StoreError> {
    let (mut line, mut next) = (Vec::<RunSummary>::new(), Some(run));
    while let Some(run) = next.filter(|next| line.iter().all(|run| run.run != *next)) {
        let filter = RunFilter { run: Some(run), ..RunFilter::default() };
        let found = log.runs(&filter).await?.pop();
        next = found.as_ref().and_then(|found| found.parent);
        line.extend(found);
    }
    Ok(line)
}
