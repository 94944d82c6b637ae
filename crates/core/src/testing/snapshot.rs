//! What snapshots hold, for tests of the state of runs.

use std::sync::Arc;

use crate::log::RunState;
use crate::workflow::Plan;

/// The state of a run as a snapshot holds it: equal bytes are equal states.
pub fn frozen(state: &RunState) -> Result<Vec<u8>, String> {
    state.freeze()
}

/// The state that these bytes are of; why there is none in words.
pub fn thawed(plan: Arc<Plan>, bytes: &[u8]) -> Result<RunState, String> {
    RunState::thaw(plan, bytes)
}
