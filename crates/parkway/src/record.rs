//! All that is known of a run: its plan, its events, and the state that they make.

use std::sync::Arc;

use parkway_core::id::RunId;
use parkway_core::log::{Event, RunState};
use parkway_core::workflow::Plan;

use crate::error::Error;

/// All that is known of a run, but for the texts that its events point to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record {
    /// The plan that it was created with.
    pub plan: Arc<Plan>,
    /// Its events, oldest first.
    pub events: Vec<Event>,
    /// The state that they make. Its plan also has the steps that came into being while the run went on.
    pub state: RunState,
}

impl Record {
    pub(crate) fn new(run: RunId, plan: Plan, events: Vec<Event>) -> Result<Self, Error> {
        let plan = Arc::new(plan);
        let state = RunState::replay(run, plan.clone(), &events).map_err(parkway_core::engine::ExecutorError::from)?;
        Ok(Record { plan, events, state })
    }
}
