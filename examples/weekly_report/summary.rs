//! What a run did, counted from its events.

use std::fmt;

use parkway::log::EventKind;

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    events: usize,
    completed: usize,
    failed: usize,
    answers: usize,
    tokens: u32,
}

impl Summary {
    /// Counts one event.
    pub(crate) fn add(&mut self, event: &EventKind) {
        self.events += 1;
        match event {
            EventKind::StepCompleted { .. } => self.completed += 1,
            EventKind::StepFailed { .. } => self.failed += 1,
            EventKind::ModelCalled { call, .. } => {
                self.answers += 1;
                self.tokens += call.usage.output_tokens;
            }
            _ => {}
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { events, completed, failed, answers, tokens } = self;
        write!(f, "{events} events: {completed} steps completed, {failed} failed; {answers} answers, {tokens} tokens")
    }
}
