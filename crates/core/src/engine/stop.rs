//! Times that stop something: a group's timeout, the run's deadline, the end of a grace time.

use std::time::Duration;

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::step::{Failure, words};
use crate::id::StepKey;
use crate::log::{EventKind, Timer};

impl Executor {
    /// Records that a time has come.
    pub(super) async fn fire(&mut self, key: Option<StepKey>, timer: Timer) -> Result<(), ExecutorError> {
        self.say(EventKind::TimerFired { key, timer }).await
    }

    /// Records that a group took longer than its `timeout`, or a called workflow than its `deadline`, now that nothing
    /// inside it runs.
    pub(super) async fn time_out(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let limit = self.state.index_of(&key).and_then(|index| self.state.time_limit(index));
        let (limit, deadline) = limit.unwrap_or_default();
        let limit = words(limit);
        let failure = if deadline {
            Failure::new("deadline", format!("the workflow took longer than its `deadline` of {limit}"))
        } else {
            Failure::new("timeout", format!("its steps took longer than {limit} together"))
        };
        self.fail(key, &failure).await
    }

    /// Records that the run took longer than its `deadline`.
    pub(super) async fn miss_deadline(&mut self) -> Result<(), ExecutorError> {
        let limit = self.state.plan().limits.deadline_ms.unwrap_or_default();
        let message = format!("the run took longer than its `deadline` of {}", words(Duration::from_millis(limit)));
        self.fail_run("deadline", &message).await
    }
}
