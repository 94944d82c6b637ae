//! What a run's events say of it by themselves: that much is held against what listings show also where the plan is gone, without which no state
//! can be told.

use parkway_core::id::{RunId, Time};
use parkway_core::log::{Event, EventKind, RunStatus};

use super::report::Checked;

/// What the events say so far.
#[derive(Default)]
pub(super) struct Bare {
    updated: Option<Time>,
    /// How the run has ended, if it was not reopened since.
    ended: Option<RunStatus>,
    parent: Option<String>,
}

impl Bare {
    pub(super) fn take(&mut self, event: &Event) {
        self.updated = Some(event.at);
        match &event.kind {
            EventKind::RunCreated { parent, .. } => {
                self.parent = parent.as_ref().map(|parent| parent.run.to_string());
            }
            EventKind::RunReopened { .. } => self.ended = None,
            EventKind::RunCompleted { .. } => self.ended = Some(RunStatus::Completed),
            EventKind::RunFailed { .. } => self.ended = Some(RunStatus::Failed),
            EventKind::RunCancelled => self.ended = Some(RunStatus::Cancelled),
            _ => {}
        }
    }

    /// Tells what listings show otherwise: the status, when the newest event was recorded, and what the run is a part of.
    pub(super) fn compare(&self, run: RunId, listed: (RunStatus, i64, Option<&str>), checked: &mut Checked) {
        let (status, at, parent) = listed;
        // A run without events was looked at before.
        let Some(updated) = self.updated else { return };
        if self.ended.map_or(status.ended(), |ended| ended != status) {
            let (listed, ended) = (status.as_str(), self.ended.map_or("has not ended", |ended| ended.as_str()));
            let said = if self.ended.is_some() { "is " } else { "" };
            checked.tell(Some(run), None, format!("it is listed as {listed}, and {said}{ended} by its log"));
        }
        if updated.micros() != at {
            let what = format!("its newest event was recorded at {updated}, and another time is listed");
            checked.tell(Some(run), None, what);
        }
        if self.parent.as_deref() != parent {
            checked.tell(Some(run), None, other_parent(parent, self.parent.as_deref()));
        }
    }
}

/// That a run is listed as a part of another than its log says.
pub(super) fn other_parent(listed: Option<&str>, said: Option<&str>) -> String {
    let (listed, said) = (listed.unwrap_or("none"), said.unwrap_or("none"));
    format!("it is listed as a part of {listed}; by its log that is {said}")
}
