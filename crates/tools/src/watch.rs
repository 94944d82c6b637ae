//! When work on a thread has to stop: at the step's deadline, when the run is cancelled, or when nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parkway_core::id::Time;
use parkway_core::tool::{Cancel, ToolContext, ToolError};

use crate::builtin::broken;

/// How long work may take where the step has no `timeout`.
const USUAL: Duration = Duration::from_secs(60);

/// Tells work whether to stop.
#[derive(Clone)]
pub(crate) struct Watch {
    time: Duration,
    until: Instant,
    cancel: Cancel,
    /// Nobody waits any more.
    left: Arc<AtomicBool>,
}

impl Watch {
    pub(crate) fn new(context: &ToolContext) -> Self {
        let left = |deadline: Time| deadline.since(context.now);
        let time = context.deadline.map_or(USUAL, left);
        let now = Instant::now();
        let until = now.checked_add(time).unwrap_or(now + USUAL);
        Watch { time, until, cancel: context.cancel.clone(), left: Arc::default() }
    }

    /// How long it may still take.
    pub(crate) fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) || self.cancel.is_cancelled() || self.remaining().is_zero()
    }

    /// The error of work that was stopped. Nothing that it changed stays.
    pub(crate) fn stopped(&self) -> ToolError {
        if self.left.load(Ordering::Relaxed) || self.cancel.is_cancelled() {
            return ToolError::invalid("cancelled", "the call was stopped, and has no effect");
        }
        let message = format!(
            "the call was stopped after {:?}, and has no effect; narrow it, or raise the step's `timeout`",
            self.time
        );
        ToolError::invalid("timeout", message)
    }
}

/// Raises the flag when the call is dropped.
struct Leaving(Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does work that blocks. If the call is dropped, the work is told to stop.
pub(crate) async fn watched<T: Send + 'static>(
    context: &ToolContext,
    work: impl FnOnce(&Watch) -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    let watch = Watch::new(context);
    let _leaving = Leaving(watch.left.clone());
    let work = tokio::task::spawn_blocking(move || work(&watch));
    work.await.map_err(|error| broken(format!("work on a thread did not end: {error}")))?
}
