//! Holds: nothing of a run may be erased as long as one is in place.

use std::collections::BTreeMap;

use parkway_core::engine::{Author, Outside, record_outside};
use parkway_core::id::{RunId, Seq, Time};
use parkway_core::log::EventKind;
use parkway_core::store::StoreError;

use super::AuditLog;
use crate::error::Error;

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
    /// Whether nothing of a run may be erased.
    pub fn cover(&self, run: RunId) -> bool {
        self.all.is_some() || self.runs.contains_key(&run)
    }
}

impl AuditLog {
    /// The holds that are in place, by what the log says.
    pub async fn holds(&self) -> Result<Holds, Error> {
        let events = match self.store.events(RunId::SYSTEM, Seq(0)).await {
            Err(StoreError::NoRun(_)) => Vec::new(),
            events => events?,
        };
        let mut holds = Holds::default();
        for event in events {
            match event.kind {
                EventKind::HoldPlaced { run: Some(run), .. } => drop(holds.runs.entry(run).or_insert(event.at)),
                EventKind::HoldPlaced { run: None, .. } => drop(holds.all.get_or_insert(event.at)),
                EventKind::HoldLifted { run: Some(run), .. } => drop(holds.runs.remove(&run)),
                EventKind::HoldLifted { run: None, .. } => holds.all = None,
                _ => {}
            }
        }
        Ok(holds)
    }

    /// Has nothing of a run be erased until [`lift`](AuditLog::lift); nothing at all, where no run is named.
    pub async fn hold(&self, by: &Author, run: Option<RunId>, note: &str) -> Result<(), Error> {
        Ok(record_outside(&self.services, by, &[Outside::PlaceHold { run, note: note.into() }]).await?)
    }

    /// Ends a hold of the run, or of everything. A hold of everything covers runs whose own holds were lifted.
    ///
    /// # Errors
    ///
    /// There is no such hold, or the store fails.
    pub async fn lift(&self, by: &Author, run: Option<RunId>, note: &str) -> Result<(), Error> {
        let holds = self.holds().await?;
        let placed = run.map_or(holds.all.is_some(), |run| holds.runs.contains_key(&run));
        if !placed {
            let what = run.map_or_else(|| "everything".to_owned(), |run| format!("run {run}"));
            return Err(Error::Audit(format!("no hold of {what} is in place")));
        }
        Ok(record_outside(&self.services, by, &[Outside::LiftHold { run, note: note.into() }]).await?)
    }
}
