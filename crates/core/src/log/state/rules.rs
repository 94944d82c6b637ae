//! What follows from the state for one step: whether it may run, whether a fan-out goes on, how a group ends.

use super::RunState;
use crate::log::SkipReason;
use crate::log::ready::Work;
use crate::log::step::{Rounds, StepError, StepIndex, StepStatus};
use crate::workflow::{OnItemError, RunIf};

/// How a step may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Run,
    Skip(SkipReason),
}

/// How a group or a fan-out ends when its members have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    Complete,
    Fail(StepError),
    /// It took longer than its `timeout`.
    TimedOut,
    /// No round was the last within `max`.
    Exhausted,
    Cancel,
}

impl RunState {
    /// Whether a step whose dependencies have ended may run.
    pub(crate) fn gate(&self, index: StepIndex) -> Gate {
        let node = self.plan.graph.node(self.steps[index.0].node);
        if let Some(reason) = self.barred(index) {
            return Gate::Skip(reason);
        }
        // A person's no, or a used-up budget, ends a goal with all that has not started for it.
        let host = self.steps[index.0].parent.map(|host| &self.steps[host.0]);
        if host.is_some_and(|host| host.growth.is_some() && host.first_failure.is_some()) {
            return Gate::Skip(SkipReason::RunFailed);
        }
        let dependencies = self.dependencies(index);
        let completed = |dependency: &StepIndex| {
            let status = self.steps[dependency.0].status;
            status == StepStatus::Completed || (status == StepStatus::Failed && self.handles_itself(*dependency))
        };
        let holds = match node.run_if {
            RunIf::Completed => {
                return match dependencies.iter().find(|dependency| !completed(dependency)) {
                    Some(missing) => {
                        let id = self.plan.graph.node(self.steps[missing.0].node).id.clone();
                        Gate::Skip(SkipReason::Dependency { id })
                    }
                    None => Gate::Run,
                };
            }
            RunIf::Failed => {
                dependencies.iter().any(|d| self.steps[d.0].status == StepStatus::Failed && !self.handles_itself(*d))
            }
            RunIf::NotRejected => {
                dependencies.iter().all(|d| completed(d) || self.steps[d.0].status == StepStatus::Skipped)
            }
            RunIf::Always => true,
        };
        if holds { Gate::Run } else { Gate::Skip(SkipReason::RunIf) }
    }

    /// Whether a fan-out starts no more items.
    pub(crate) fn fan_stopped(&self, index: StepIndex) -> bool {
        let step = &self.steps[index.0];
        let node = self.plan.graph.node(step.node);
        let Some((fan, for_each)) = step.fan.as_ref().zip(node.for_each.as_ref()) else { return true };
        (fan.failed.is_some() && for_each.on_item_error == OnItemError::Fail) || self.barred(index).is_some()
    }

    /// Whether a fan-out whose items have ended starts no more of them.
    pub(crate) fn fan_ended(&self, index: StepIndex) -> bool {
        self.steps[index.0].fan.as_ref().is_some_and(|fan| {
            let begun = u32::try_from(fan.items.len()).unwrap_or(u32::MAX);
            fan.ended == begun && (begun == fan.total || self.fan_stopped(index))
        })
    }

    /// The next item that a fan-out may start now.
    pub(crate) fn next_item(&self, index: StepIndex) -> Option<u32> {
        let step = &self.steps[index.0];
        let (fan, for_each) = step.fan.as_ref().zip(self.plan.graph.node(step.node).for_each.as_ref())?;
        let begun = u32::try_from(fan.items.len()).unwrap_or(u32::MAX);
        if fan.active >= for_each.max_parallel || self.fan_stopped(index) {
            return None;
        }
        fan.again.first().copied().or_else(|| (begun < fan.total).then_some(begun))
    }

    /// The next item that was to be done again, of a fan-out that starts no more.
    pub(crate) fn item_to_drop(&self, index: StepIndex) -> Option<u32> {
        let fan = self.steps[index.0].fan.as_ref()?;
        fan.again.first().copied().filter(|_| self.fan_stopped(index))
    }

    /// Why such an item is not done again.
    pub(crate) fn dropped(&self, index: StepIndex) -> SkipReason {
        let id = || self.plan.graph.node(self.steps[index.0].node).id.clone();
        self.barred(index).unwrap_or_else(|| SkipReason::Dependency { id: id() })
    }

    /// Whether work that was noted still follows from the state.
    pub(crate) fn stands(&self, work: Work) -> bool {
        let step = |index: StepIndex| &self.steps[index.0];
        match work {
            Work::Open(index) => step(index).status == StepStatus::Pending && !self.is_held(index),
            Work::Item(index) => step(index).status == StepStatus::Pending,
            Work::Grow(index) => self.grows(index),
            Work::Begin(index) => step(index).retry_at.is_some(),
            Work::Answer(index) => step(index).is_answered(),
            Work::Items(index) => {
                step(index).status == StepStatus::Running
                    && (self.fan_ended(index) || self.next_item(index).is_some() || self.item_to_drop(index).is_some())
            }
            Work::Settle(index) => step(index).status == StepStatus::Running,
            Work::Recover(index) => step(index).status == StepStatus::Running && !step(index).live,
            Work::Expire(index) => step(index).asks(),
            Work::Drop(index) => step(index).status == StepStatus::Waiting,
            Work::Cancel(index) => matches!(step(index).status, StepStatus::Running | StepStatus::Waiting),
            Work::Wake(index) => step(index).status == StepStatus::Waiting,
            Work::Look(index) => self.waits_for_run(index).is_some(),
            Work::Moved(index) => step(index).is_moved(),
            Work::Judge(index) => step(index).status == StepStatus::Running && self.round_to_judge(index).is_some(),
            Work::Pause(index) | Work::Round(index) => {
                step(index).status == StepStatus::Running && self.next_round(index).is_some()
            }
            Work::TimeUp(_) | Work::Deadline | Work::Grace(_) => self.stop_stands(work),
            Work::Finish => true,
        }
    }

    /// How a group or fan-out whose members have ended ends itself.
    pub(crate) fn settlement(&self, index: StepIndex) -> Settlement {
        let step = &self.steps[index.0];
        let node = self.plan.graph.node(step.node);
        let stopped = |member: &StepIndex| {
            let member = &self.steps[member.0];
            let by_run = matches!(
                member.skipped,
                Some(SkipReason::RunFailed | SkipReason::RunCancelled | SkipReason::TimedOut { .. })
            );
            member.status == StepStatus::Cancelled || by_run
        };
        if step.overtime.is_some_and(|over| !over.had_failed) {
            return Settlement::TimedOut;
        }
        if let Some(rounds) = &step.rounds {
            return self.settlement_of_rounds(index, rounds);
        }
        let (failed, missing, members) = match (&step.fan, &node.for_each) {
            (Some(fan), Some(for_each)) => {
                let failed = match for_each.on_item_error {
                    OnItemError::Fail => fan.failed.as_ref().map(|(_, error)| error),
                    // A budget that is used up is handled by nothing.
                    OnItemError::Collect => {
                        let mut errors = fan.items.iter().filter_map(|item| self.steps[item.0].error.as_ref());
                        errors.find(|error| error.code == "budget")
                    }
                };
                (failed, fan.items.len() < fan.total as usize, &fan.items)
            }
            _ => (step.first_failure.as_ref(), false, &step.members),
        };
        match failed {
            Some(error) => Settlement::Fail(error.clone()),
            None if missing || members.iter().any(stopped) => Settlement::Cancel,
            None => Settlement::Complete,
        }
    }

    fn settlement_of_rounds(&self, index: StepIndex, rounds: &Rounds) -> Settlement {
        let Some(newest) = rounds.begun.last().map(|round| &self.steps[round.0]) else {
            // No round is allowed, or none was begun in time.
            return if self.next_round(index).is_none() { Settlement::Exhausted } else { Settlement::Cancel };
        };
        match (newest.status, rounds.done) {
            (StepStatus::Completed, Some(true)) => Settlement::Complete,
            (StepStatus::Completed, Some(false)) if newest.round() >= Some(self.most_rounds(index)) => {
                Settlement::Exhausted
            }
            (StepStatus::Failed, _) => newest.error.clone().map_or(Settlement::Cancel, Settlement::Fail),
            _ => Settlement::Cancel,
        }
    }
}
