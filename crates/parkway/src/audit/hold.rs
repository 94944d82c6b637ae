//! Holds: nothing of a run may be erased as long as one is in place, nor of the runs that its steps have for themselves.

use parkway_core::engine::{Author, Holds, Outside, holds, record_outside};
use parkway_core::id::RunId;

use super::AuditLog;
use crate::error::Error;

impl AuditLog {
    /// The holds that are in place, by what the log says.
    pub async fn holds(&self) -> Result<Holds, Error> {
        Ok(holds(&*self.store).await?)
    }

    /// Has nothing of a run be erased until [`lift`](AuditLog::lift), nor of the runs that its steps have for themselves; nothing at all, where no run
    /// is named. What is under way spares what it has not come to when this returns.
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
