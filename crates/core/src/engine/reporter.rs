//! Telling watchers what happens: events once they are on disk, and passing notices that no log keeps.

use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast;

use crate::id::StepKey;
use crate::log::Event;

/// Notices that a watcher may lag behind before it loses the oldest.
const CAPACITY: usize = 4_096;

/// Something to tell a watcher.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// An event is on disk.
    Event(Arc<Event>),
    /// A model writes; a slow watcher may lose some of these.
    Delta {
        /// The step that asked.
        step: StepKey,
        /// More of the answer.
        text: String,
    },
    /// A model reads its prompt.
    Prefill {
        /// The step that asked.
        step: StepKey,
        /// Tokens read so far.
        done: u32,
        /// All of them.
        total: u32,
    },
    /// What somebody said to a step was not taken: a form that is filled wrongly, an output that cannot be.
    Refused {
        /// The step.
        step: StepKey,
        /// Why.
        message: String,
    },
}

/// The sending end. The room for notices is made for the first watcher: most of many runs have none.
#[derive(Clone, Debug)]
pub struct Reporter {
    sender: Arc<OnceLock<broadcast::Sender<Notice>>>,
}

impl Reporter {
    /// A reporter that nobody watches yet.
    pub fn new() -> Self {
        Reporter { sender: Arc::default() }
    }

    /// Watches from now on.
    pub fn watch(&self) -> Watcher {
        Watcher { receiver: self.sender.get_or_init(|| broadcast::Sender::new(CAPACITY)).subscribe() }
    }

    pub(crate) fn tell(&self, notice: Notice) {
        if let Some(sender) = self.sender.get() {
            // It is no error that nobody watches any more.
            let _ = sender.send(notice);
        }
    }
}

impl Default for Reporter {
    fn default() -> Self {
        Reporter::new()
    }
}

/// The receiving end: it never slows a run down.
#[derive(Debug)]
pub struct Watcher {
    receiver: broadcast::Receiver<Notice>,
}

/// What a watcher gets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Watched {
    /// A notice.
    Notice(Notice),
    /// Notices were lost, for the watcher was too slow: read the log from the last event seen.
    Lagged,
    /// The run's executor has ended.
    Closed,
}

impl Watcher {
    /// The next notice.
    pub async fn next(&mut self) -> Watched {
        match self.receiver.recv().await {
            Ok(notice) => Watched::Notice(notice),
            Err(broadcast::error::RecvError::Lagged(_)) => Watched::Lagged,
            Err(broadcast::error::RecvError::Closed) => Watched::Closed,
        }
    }
}
