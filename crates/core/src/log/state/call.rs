//! Workflows that run within their caller's run: which of them are around a step, and what each has used of its limits.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RunState;
use crate::id::Time;
use crate::log::Budget;
use crate::log::step::StepIndex;
use crate::workflow::{SubWorkflow, Verb};

/// What the steps of a called workflow have used together.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Used {
    /// Spent or set aside.
    pub(crate) budget: Budget,
    running: u32,
    since: Time,
    active: Duration,
}

impl Used {
    /// For how long some of its steps have been running.
    pub(crate) fn active(&self, now: Time) -> Duration {
        self.active + if self.running > 0 { now.since(self.since) } else { Duration::ZERO }
    }
}

impl RunState {
    /// The workflow whose steps are this step's members.
    pub(crate) fn called(&self, index: StepIndex) -> Option<&SubWorkflow> {
        let step = &self.steps[index.0];
        match &self.plan.graph.node(step.node).verb {
            Verb::Workflow(workflow) if !step.members.is_empty() => Some(workflow),
            _ => None,
        }
    }

    /// The called workflows around a scope, innermost first: the step that calls, what it calls, what that has used.
    pub(crate) fn calls_around(
        &self,
        scope: Option<StepIndex>,
    ) -> impl Iterator<Item = (StepIndex, &SubWorkflow, Used)> {
        let around = std::iter::successors(scope, |at| self.steps[at.0].parent);
        around.filter_map(|at| {
            let used = self.used.get(&at).copied().unwrap_or_default();
            self.called(at).map(|workflow| (at, workflow, used))
        })
    }

    /// Counts from now on what the steps inside use, if the workflow limits it.
    pub(super) fn count_inside(&mut self, index: StepIndex) {
        if self.called(index).is_some_and(|workflow| !workflow.limits.is_none()) {
            self.used.insert(index, Used::default());
        }
    }

    /// Changes what the workflows around a step have used.
    pub(super) fn use_around(&mut self, index: StepIndex, change: impl Fn(&mut Used)) {
        if self.used.is_empty() {
            return;
        }
        let mut at = self.steps[index.0].parent;
        while let Some(here) = at {
            if let Some(used) = self.used.get_mut(&here) {
                change(used);
            }
            at = self.steps[here.0].parent;
        }
    }

    /// A leaf begins or ceases to run: `wall` counts the time with any running.
    pub(super) fn run_around(&mut self, index: StepIndex, starts: bool, at: Time) {
        self.use_around(index, |used| {
            if starts {
                if used.running == 0 {
                    used.since = at;
                }
                used.running += 1;
            } else {
                used.running = used.running.saturating_sub(1);
                if used.running == 0 {
                    used.active += at.since(used.since);
                }
            }
        });
    }

    /// The process that held the run is gone, and with it everything that ran.
    pub(super) fn interrupt_used(&mut self) {
        let at = self.updated;
        for used in self.used.values_mut().filter(|used| used.running > 0) {
            used.running = 0;
            used.active += at.since(used.since);
        }
    }
}
