//! What stops steps from outside themselves: a cancel, the run's deadline, the timeout of a group around them. Steps with
//! `run_if: always` still run, for a time.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{RunState, Shape};
use crate::id::Time;
use crate::log::ready::Work;
use crate::log::step::{Overtime, StepIndex, StepStatus};
use crate::log::{SkipReason, Timer};
use crate::workflow::{RunIf, Verb};

/// How long steps with `run_if: always` may take after a stop.
const GRACE: Duration = Duration::from_secs(30);

/// What stops the whole run.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stop {
    /// Somebody wants it.
    pub(super) cancelling: bool,
    /// Its deadline has passed.
    pub(super) overdue: bool,
    /// The time of the steps that still run is over too.
    spent: bool,
}

impl RunState {
    /// Why a step may not start now, whatever it depends on.
    pub(crate) fn barred(&self, index: StepIndex) -> Option<SkipReason> {
        if let Some(reason) = self.cut_off(index) {
            return Some(reason);
        }
        (self.failure.is_some() && !self.runs_after_failure(index)).then_some(SkipReason::RunFailed)
    }

    /// Why a step may not even go on.
    pub(crate) fn cut_off(&self, index: StepIndex) -> Option<SkipReason> {
        let stops = self.stopping() && (self.stop.spent || !self.runs_after_cancel(index));
        if stops {
            return Some(if self.stop.cancelling { SkipReason::RunCancelled } else { SkipReason::RunFailed });
        }
        let group = self.group_over(index)?;
        Some(SkipReason::TimedOut { id: self.plan.graph.node(self.steps[group.0].node).id.clone() })
    }

    /// Whether the whole run is being stopped.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.cancelling || self.stop.overdue
    }

    /// How long a group, or a called workflow, may take as a whole, and whether that is the workflow's own `deadline`.
    pub(crate) fn time_limit(&self, index: StepIndex) -> Option<(Duration, bool)> {
        let node = self.plan.graph.node(self.steps[index.0].node);
        let deadline = match &node.verb {
            Verb::Workflow(workflow) => workflow.limits.deadline_ms,
            _ => None,
        };
        // Where both say the same, it is the deadline: a plan writes it down as the step's timeout too.
        let limit = node.timeout_ms.into_iter().chain(deadline).min()?;
        Some((Duration::from_millis(limit), Some(limit) == deadline))
    }

    /// The group around a step whose time is over for it.
    fn group_over(&self, index: StepIndex) -> Option<StepIndex> {
        if self.groups_over == 0 {
            return None;
        }
        let (mut at, mut always) = (index, false);
        loop {
            let step = &self.steps[at.0];
            always |= self.plan.graph.node(step.node).run_if == RunIf::Always;
            at = step.parent?;
            if self.steps[at.0].overtime.is_some_and(|over| over.spent || !always) {
                return Some(at);
            }
        }
    }

    pub(super) fn begin_cancel(&mut self, at: Time) {
        self.stop.cancelling = true;
        self.ready.at(at.after(GRACE), Work::Grace(None));
        self.stop_inside(None);
    }

    /// One of the run's own times has come.
    pub(super) fn run_timer(&mut self, timer: Timer, at: Time) -> Result<(), String> {
        match timer {
            Timer::Deadline if self.stands(Work::Deadline) => {
                self.stop.overdue = true;
                self.ready.at(at.after(GRACE), Work::Grace(None));
            }
            Timer::Grace if self.stands(Work::Grace(None)) => self.stop.spent = true,
            other => return Err(format!("the run waits for no {other:?}")),
        }
        self.stop_inside(None);
        Ok(())
    }

    /// One of a running group's times has come.
    pub(super) fn group_timer(&mut self, index: StepIndex, timer: Timer, at: Time) -> Result<(), String> {
        match timer {
            Timer::Timeout if self.stands(Work::TimeUp(index)) => {
                let step = &mut self.steps[index.0];
                step.overtime = Some(Overtime { spent: false, had_failed: step.first_failure.is_some() });
                self.groups_over += 1;
                self.ready.at(at.after(GRACE), Work::Grace(Some(index)));
            }
            Timer::Grace if self.stands(Work::Grace(Some(index))) => {
                if let Some(over) = self.steps[index.0].overtime.as_mut() {
                    over.spent = true;
                }
            }
            other => return Err(format!("the step waits for no {other:?}")),
        }
        if self.steps[index.0].growth.is_some() {
            self.open_held(index);
        }
        self.stop_inside(Some(index));
        Ok(())
    }

    /// Whether such a time still means something.
    pub(super) fn stop_stands(&self, work: Work) -> bool {
        let running = |index: StepIndex| self.steps[index.0].status == StepStatus::Running;
        match work {
            Work::TimeUp(index) => {
                let step = &self.steps[index.0];
                running(index) && step.time_up.is_some() && step.overtime.is_none() && self.cut_off(index).is_none()
            }
            Work::Deadline => !self.stopping() && self.plan.limits.deadline_ms.is_some(),
            Work::Grace(Some(index)) => running(index) && self.steps[index.0].overtime.is_some_and(|over| !over.spent),
            Work::Grace(None) => self.stopping() && !self.stop.spent,
            _ => false,
        }
    }

    /// Stops what runs or waits in a group, or in the run, and must not go on.
    fn stop_inside(&mut self, scope: Option<StepIndex>) {
        for index in self.open_inside(scope) {
            let step = &self.steps[index.0];
            if step.growth.is_some() && step.status == StepStatus::Running {
                self.open_held(index);
            }
            let step = &self.steps[index.0];
            if step.fan.is_some() && step.status == StepStatus::Running {
                self.ready.push(Work::Items(index));
            } else if self.cut_off(index).is_some() {
                let leaf = self.is_leaf(index) && step.status == StepStatus::Running;
                if leaf || step.status == StepStatus::Waiting {
                    self.ready.push(Work::Cancel(index));
                }
            }
        }
    }

    /// After a failure that nothing handles, steps that wait will not go on, but those that still run.
    pub(super) fn stop_waiting(&mut self) {
        let goes_on: fn(&Shape) -> &[bool] = |shape| &shape.after_failure;
        let shape = self.shape.clone();
        for index in self.open_inside(None) {
            if self.steps[index.0].growth.is_some() && self.steps[index.0].status == StepStatus::Running {
                self.open_held(index);
            }
            let step = &self.steps[index.0];
            if step.status == StepStatus::Waiting && !goes_on(&shape)[step.node.0 as usize] {
                // A step that had rounds already was not skipped.
                let work = if step.rounds.is_some() || self.has_run(index) { Work::Cancel } else { Work::Drop };
                self.ready.push(work(index));
            }
            if step.fan.is_some() && step.status == StepStatus::Running {
                self.ready.push(Work::Items(index));
            }
        }
    }

    /// The steps in a group, or in the run, that have not ended, in the order in which they came into being.
    fn open_inside(&self, scope: Option<StepIndex>) -> Vec<StepIndex> {
        let inside = |index: StepIndex| {
            let step = &self.steps[index.0];
            let items = step.fan.iter().flat_map(|fan| &fan.items);
            let rounds = step.rounds.iter().flat_map(|rounds| &rounds.begun);
            step.members.iter().chain(items).chain(rounds).copied().filter(|i| !self.steps[i.0].status.ended())
        };
        let mut queue: VecDeque<StepIndex> = match scope {
            None => self.roots.iter().copied().filter(|i| !self.steps[i.0].status.ended()).collect(),
            Some(index) => inside(index).collect(),
        };
        let mut found = Vec::new();
        while let Some(index) = queue.pop_front() {
            queue.extend(inside(index));
            found.push(index);
        }
        found.sort_unstable();
        found
    }
}
