//! How an executor is spoken to from outside the store: a stop, a poke, approvals given in advance.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::id::StepKey;
use crate::log::Channel;
use crate::tool::Cancel;

/// How an executor is spoken to while it works.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Control {
    /// Raise it to stop: what can be repeated is cut off, the rest gets a grace time, and the run can be resumed.
    pub stop: Cancel,
    /// Poke it when there may be something in the inbox, to be quicker than the next look.
    pub poke: Poke,
    /// Whether to stay while the run only waits for a person; otherwise the run is given back.
    pub stay: bool,
    /// Approvals given in advance.
    pub preapprovals: Vec<Preapproval>,
    /// Whether the run is driven by the executor of the run that it is a part of, which sees how it ends.
    pub(crate) for_caller: bool,
}

/// Wakes an executor that looks at its inbox only now and then.
#[derive(Clone, Debug, Default)]
pub struct Poke(Arc<Notify>);

impl Poke {
    /// Makes the executor look now, or as soon as it can.
    pub fn poke(&self) {
        self.0.notify_one();
    }

    pub(super) async fn poked(&self) {
        self.0.notified().await;
    }
}

/// An approval that was given before it was asked for. It counts for the workflow's own `approve` steps only, never for
/// what a policy asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preapproval {
    /// The step's id, or its whole key; every `approve` if absent.
    pub step: Option<String>,
    /// The person's name.
    pub by: String,
    /// How the word came in.
    pub via: Channel,
}

impl Preapproval {
    /// Whether it answers what this step asks.
    pub fn covers(&self, key: &StepKey) -> bool {
        let id = key.last().map_or("", |segment| segment.id.as_str());
        self.step.as_ref().is_none_or(|step| *step == id || *step == key.to_string())
    }
}
