//! Runs that go another way from a step of an earlier run on.

use super::RunState;
use crate::id::{RunId, Seq, StepKey};

/// Where a run was forked from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forked {
    /// The earlier run.
    pub from: RunId,
    /// The newest event of it that was looked at.
    pub at: Seq,
    /// The step from which on steps are done anew.
    pub step: StepKey,
    /// The last event about steps that keep what came of them in the earlier run.
    pub until: Seq,
}

impl RunState {
    pub(super) fn begin_fork(&mut self, forked: Forked) -> Result<(), String> {
        if self.head != Seq(1) {
            return Err("a run is forked as it begins".into());
        }
        self.forked = Some(forked);
        Ok(())
    }
}
