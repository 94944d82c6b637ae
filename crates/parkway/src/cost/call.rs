//! What the log of one run tells of its steps and of the calls of models in it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parkway_core::id::{RunId, Segment, StepKey, Time};
use parkway_core::log::{Energy, Event, EventKind, Parent, RunStatus};
use parkway_core::model::Usage;
use parkway_core::store::RunSummary;

/// One answer of a model.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) key: StepKey,
    attempt: u32,
    /// The model's name in the workflow.
    pub(super) model: String,
    /// What the model calls itself.
    pub(super) name: String,
    device: String,
    pub(super) usage: Usage,
    pub(super) took: Duration,
    pub(super) energy: Option<Energy>,
    pub(super) ended: Time,
}

impl Call {
    /// The server that answered; none for a model of this machine.
    pub(super) fn server(&self) -> Option<&str> {
        let (_, place) = self.device.split_once(" at ")?;
        (place.starts_with("http://") || place.starts_with("https://")).then_some(place)
    }

    pub(super) fn began(&self) -> Time {
        let took = i64::try_from(self.took.as_micros()).unwrap_or(i64::MAX);
        Time::from_micros(self.ended.micros().saturating_sub(took))
    }
}

/// What became of a step.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) key: StepKey,
    /// How often it was begun.
    pub(super) attempts: u32,
    /// How many of these failed.
    pub(super) failed: u32,
    /// For how long it was at work.
    pub(super) took: Duration,
    /// Whether other steps are inside of it.
    pub(super) group: bool,
    began: Option<Time>,
}

/// A run as its log tells it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) run: RunId,
    pub(super) workflow: String,
    pub(super) tenant: String,
    pub(super) status: RunStatus,
    pub(super) created: Time,
    pub(super) parent: Option<Parent>,
    /// In the order in which they came into being.
    pub(super) traces: Vec<Trace>,
    pub(super) calls: Vec<Call>,
    places: HashMap<StepKey, usize>,
}

impl Told {
    pub(super) fn of(summary: &RunSummary, events: &[Event]) -> Told {
        let mut told = Told {
            run: summary.run,
            workflow: summary.workflow.clone(),
            tenant: summary.tenant.clone(),
            status: summary.status,
            created: summary.created,
            parent: None,
            traces: Vec::new(),
            calls: Vec::new(),
            places: HashMap::new(),
        };
        let mut events = events.iter();
        while let Some(event) = events.next() {
            match &event.kind {
                EventKind::RunCreated { parent, .. } => told.parent.clone_from(parent),
                // What follows tells again what came of steps in another run, which has paid for them.
                EventKind::RunForked { copied, .. } => {
                    let copied = usize::try_from(*copied).unwrap_or(usize::MAX);
                    events.by_ref().take(copied).for_each(drop);
                }
                _ => told.take(event),
            }
        }
        told.untangle();
        told.mark_groups();
        told
    }

    fn take(&mut self, event: &Event) {
        match &event.kind {
            EventKind::StepStarted { key, .. } => {
                let trace = self.trace(key);
                trace.attempts += 1;
                trace.began = Some(event.at);
            }
            EventKind::StepFailed { key, attempt, .. } => self.end(key, event.at, *attempt > 0),
            EventKind::StepRetried { key, .. } => self.end(key, event.at, true),
            EventKind::StepCompleted { key, .. }
            | EventKind::StepCancelled { key, .. }
            | EventKind::StepInDoubt { key, .. }
            | EventKind::StepWaiting { key, .. }
            | EventKind::ApprovalRequested { key, .. } => self.end(key, event.at, false),
            EventKind::ModelCalled { key, attempt, call, .. } => {
                self.trace(key);
                self.calls.push(Call {
                    key: key.clone(),
                    attempt: *attempt,
                    model: call.model.clone(),
                    name: call.name.clone(),
                    device: call.device.clone(),
                    usage: call.usage,
                    took: Duration::from_millis(call.took_ms.into()),
                    energy: call.energy.clone(),
                    ended: event.at,
                });
            }
            _ => {}
        }
    }

    fn trace(&mut self, key: &StepKey) -> &mut Trace {
        let place = *self.places.entry(key.clone()).or_insert_with(|| {
            self.traces.push(Trace {
                key: key.clone(),
                attempts: 0,
                failed: 0,
                took: Duration::ZERO,
                group: false,
                began: None,
            });
            self.traces.len() - 1
        });
        &mut self.traces[place]
    }

    fn end(&mut self, key: &StepKey, at: Time, failed: bool) {
        let trace = self.trace(key);
        trace.failed += u32::from(failed);
        if let Some(began) = trace.began.take() {
            trace.took += at.since(began);
        }
    }

    /// Steps around others, steps that fan out, and steps that have rounds.
    fn mark_groups(&mut self) {
        let mut around: HashSet<Vec<Segment>> = HashSet::new();
        for trace in &self.traces {
            let path = trace.key.path();
            for depth in 1..=path.len() {
                let mut outer = path[..depth].to_vec();
                if depth < path.len() {
                    around.insert(outer.clone());
                }
                if let Some(last) = outer.last_mut() {
                    let round = std::mem::take(&mut last.iteration) > 0;
                    let item = last.item.is_some();
                    // A round of an item: the item has rounds.
                    if round {
                        around.insert(outer.clone());
                    }
                    if item && let Some(last) = outer.last_mut() {
                        last.item = None;
                        around.insert(outer);
                    }
                }
            }
        }
        for trace in &mut self.traces {
            trace.group = around.contains(trace.key.path());
        }
    }

    /// All answers of an attempt are recorded when it has ended: each but the last ended when the next one was asked for.
    fn untangle(&mut self) {
        for next in (1..self.calls.len()).rev() {
            let (before, after) = self.calls.split_at_mut(next);
            let (Some(earlier), Some(later)) = (before.last_mut(), after.first()) else { continue };
            if (&earlier.key, earlier.attempt) == (&later.key, later.attempt) {
                earlier.ended = earlier.ended.min(later.began());
            }
        }
    }
}
