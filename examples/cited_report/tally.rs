//! Counts the events of a run, as a program's metrics would.

use std::fmt;

use parkway::log::EventKind;
use parkway_examples::plain;

/// What happened in a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    steps: usize,
    failed: usize,
    answers: usize,
    read: u64,
    cached: u64,
    written: u64,
}

impl Tally {
    /// Counts an event, and says of some what a person may want to know at once.
    pub(crate) fn count(&mut self, kind: &EventKind) -> Option<String> {
        match kind {
            EventKind::StepExpanded { key, items, .. } => return Some(format!("{key}: {items} items")),
            EventKind::StepCompleted { .. } => self.steps += 1,
            EventKind::StepFailed { key, code, .. } => {
                self.failed += 1;
                return Some(format!("{key} failed: {}", plain(code)));
            }
            EventKind::ModelCalled { call, .. } => {
                self.answers += 1;
                self.read += u64::from(call.usage.prompt_tokens);
                self.cached += u64::from(call.usage.cached_tokens);
                self.written += u64::from(call.usage.output_tokens);
            }
            _ => {}
        }
        None
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { steps, failed, answers, read, cached, written } = self;
        write!(f, "{steps} steps completed, {failed} failed; {answers} answers of the model, ")?;
        write!(f, "{read} tokens read ({cached} of them cached), {written} written")
    }
}
