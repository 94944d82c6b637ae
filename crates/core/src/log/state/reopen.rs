//! A run that ended badly goes on. What completed stays; what failed and was not handled, was cancelled, or was skipped for
//! either is as if it had not begun, but for its arguments, its key, and the number of its attempts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::RunState;
use crate::id::{Seq, Time};
use crate::log::ready::Work;
use crate::log::step::{Step, StepIndex, StepStatus};
use crate::log::{Event, RunStatus, SkipReason, Verdict};
use crate::workflow::OnItemError;

/// That the run was reopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reopened {
    /// The event.
    pub(crate) seq: Seq,
    /// The event by which the run was reopened whose step this run is made for.
    pub(crate) parent: Option<Seq>,
}

impl RunState {
    /// How the run was last reopened.
    pub(crate) fn reopened(&self) -> Option<Reopened> {
        self.reopened
    }

    /// When the run was created or, after that, last reopened.
    pub(crate) fn opened(&self) -> Time {
        self.opened
    }

    pub(super) fn reopen(&mut self, event: &Event, parent: Option<Seq>) -> Result<(), String> {
        match self.status {
            RunStatus::Failed | RunStatus::Cancelled => {}
            RunStatus::Completed => return Err("the run has completed".into()),
            _ => return Err("the run has not ended".into()),
        }
        self.reopened = Some(Reopened { seq: event.seq, parent });
        self.opened = event.at;
        self.status = RunStatus::Running;
        (self.finish, self.failure) = (None, None);
        (self.stop, self.groups_over) = (super::stop::Stop::default(), 0);
        self.listeners.clear();
        self.children.clear();
        let roots = self.roots.clone();
        self.open = self.reopen_among(&roots, event.seq, false);
        self.open_ready(&roots);
        if self.open == 0 {
            self.ready.push(Work::Finish);
        }
        self.begin_deadline();
        Ok(())
    }

    /// Resets those of these steps that are done again. `moved` where something is done again on which all of them depend.
    /// How many have not ended then.
    fn reopen_among(&mut self, members: &[StepIndex], seq: Seq, moved: bool) -> usize {
        let mut again: BTreeSet<_> = members.iter().copied().filter(|member| self.is_undone(*member)).collect();
        let mut queue: Vec<_> = again.iter().copied().collect();
        // What was skipped may not be any more, once something has changed that it looked at.
        if moved {
            queue.extend(members.iter().copied().filter(|member| self.is_skipped(*member) && again.insert(*member)));
        }
        while let Some(index) = queue.pop() {
            let dependents = self.dependents(index);
            queue.extend(dependents.into_iter().filter(|other| self.is_skipped(*other) && again.insert(*other)));
        }
        for index in &again {
            let moved = moved || self.dependencies(*index).iter().any(|dependency| again.contains(dependency));
            self.reset(*index, seq, moved);
        }
        for index in &again {
            let open = |dependency: &StepIndex| !self.steps[dependency.0].status.ended();
            self.steps[index.0].waits_for = self.dependencies(*index).into_iter().filter(open).count();
        }
        members.iter().filter(|member| !self.steps[member.0].status.ended()).count()
    }

    fn is_skipped(&self, index: StepIndex) -> bool {
        self.steps[index.0].status == StepStatus::Skipped
    }

    /// Whether what a step was to do was not done, and nothing has made up for it.
    fn is_undone(&self, index: StepIndex) -> bool {
        let step = &self.steps[index.0];
        let observed = step.parent.is_some_and(|host| self.steps[host.0].growth.is_some());
        match step.status {
            _ if self.is_last_word(index) => true,
            StepStatus::Failed if observed => RunState::ends_goal(step.error.as_ref()),
            StepStatus::Failed => !self.handles_itself(index),
            StepStatus::Cancelled | StepStatus::Pending => true,
            StepStatus::Skipped => matches!(
                step.skipped,
                Some(SkipReason::RunFailed | SkipReason::RunCancelled | SkipReason::TimedOut { .. })
            ),
            _ => false,
        }
    }

    /// Whether an item is done again: a failure that was collected is not undone, but for that of a used-up budget.
    fn is_item_undone(&self, item: StepIndex, collects: bool) -> bool {
        let step = &self.steps[item.0];
        let by_budget = step.error.as_ref().is_some_and(|error| error.code == "budget");
        match step.status {
            StepStatus::Failed => !collects || by_budget,
            status => status != StepStatus::Completed,
        }
    }

    fn reset(&mut self, index: StepIndex, seq: Seq, moved: bool) {
        self.reset_rounds(index, seq, moved);
        self.reset_items(index, seq, moved);
        let members = self.steps[index.0].members.clone();
        let open = self.reopen_among(&members, seq, moved);
        let asks = |growth: &super::Growth| growth.turn.is_some_and(|turn| !self.steps[turn.0].status.ended());
        let again = self.steps[index.0].growth.as_ref().is_some_and(asks);
        let step = &mut self.steps[index.0];
        if let Some(growth) = step.growth.as_mut().filter(|_| again) {
            growth.taken = false;
        }
        // A last word that nothing supports is asked for with another seed.
        if step.status == StepStatus::Completed {
            step.failures += 1;
        }
        step.open = open;
        step.first_failure = None;
        if step.status == StepStatus::Failed && step.attempt > 0 {
            step.failures += 1;
        }
        step.forgiven = step.failures;
        step.reopened = Some(seq);
        step.interruptions = 0;
        step.status = StepStatus::Pending;
        step.labels = crate::label::Labels::NONE;
        (step.output, step.error, step.skipped, step.confidence) = (None, None, None, None);
        (step.waiting, step.resolution, step.retry_at) = (None, None, None);
        (step.time_up, step.overtime, step.told) = (None, None, false);
        (step.started, step.ended, step.asking) = (None, None, 0);
        // Somebody who said no, or nothing, is asked again.
        let approved = |answer: &crate::log::Answer| answer.verdict == Verdict::Approved;
        step.approval = step.approval.take().filter(|asked| asked.answer.as_ref().is_some_and(approved));
    }

    fn reset_rounds(&mut self, index: StepIndex, seq: Seq, moved: bool) {
        let Some(rounds) = &self.steps[index.0].rounds else { return };
        let begun = u32::try_from(rounds.begun.len()).unwrap_or(u32::MAX);
        let used_up = rounds.done == Some(false) && begun >= self.most_rounds(index);
        let newest = rounds.begun.last().copied().filter(|newest| self.is_item_undone(*newest, false));
        if let Some(newest) = newest {
            self.reset(newest, seq, moved);
        }
        if let Some(rounds) = self.steps[index.0].rounds.as_mut().filter(|_| used_up) {
            rounds.before = begun;
        }
    }

    fn reset_items(&mut self, index: StepIndex, seq: Seq, moved: bool) {
        let Some(fan) = &self.steps[index.0].fan else { return };
        let items = fan.items.clone();
        let for_each = self.plan.graph.node(self.steps[index.0].node).for_each.as_ref();
        let collects = for_each.is_some_and(|for_each| for_each.on_item_error == OnItemError::Collect);
        let mut again = BTreeSet::new();
        let mut failed = None;
        for item in items {
            if self.is_item_undone(item, collects) {
                again.extend(self.steps[item.0].item());
                self.reset(item, seq, moved);
            } else if let (None, Step { status: StepStatus::Failed, error: Some(error), .. }) =
                (&failed, &self.steps[item.0])
            {
                failed = self.steps[item.0].item().map(|item| (item, error.clone()));
            }
        }
        if let Some(fan) = self.steps[index.0].fan.as_mut() {
            let begun = u32::try_from(fan.items.len()).unwrap_or(u32::MAX);
            fan.ended = begun.saturating_sub(u32::try_from(again.len()).unwrap_or(u32::MAX));
            (fan.active, fan.failed, fan.again) = (0, failed, again);
        }
    }

    /// A group that was reset goes on with its members.
    pub(super) fn open_again(&mut self, index: StepIndex) {
        let members = self.steps[index.0].members.clone();
        self.open_ready(&members);
        if self.steps[index.0].open == 0 {
            self.ready.push(Work::Settle(index));
        }
    }

    fn open_ready(&mut self, members: &[StepIndex]) {
        for member in members {
            let step = &self.steps[member.0];
            if step.status == StepStatus::Pending && step.waits_for == 0 {
                self.ready.push(Work::Open(*member));
            }
        }
    }

    /// A step that is repeated, and was reset, goes on with its rounds.
    pub(super) fn begin_rounds_again(&mut self, index: StepIndex) {
        let newest = self.steps[index.0].rounds.as_ref().and_then(|rounds| rounds.begun.last().copied());
        match newest.filter(|newest| self.steps[newest.0].status == StepStatus::Pending) {
            Some(newest) => self.ready.push(Work::Item(newest)),
            None if self.round_to_judge(index).is_some() => self.ready.push(Work::Judge(index)),
            None => self.go_on_with_rounds(index),
        }
    }

    /// The first event about an item since it was reset: it takes a place among those that run.
    pub(super) fn take_item_up(&mut self, index: StepIndex) {
        let step = &self.steps[index.0];
        let Some((host, item)) = step.parent.zip(step.item()) else { return };
        if let Some(fan) = self.steps[host.0].fan.as_mut()
            && fan.again.remove(&item)
        {
            fan.active += 1;
            self.go_on_with_fan(host);
        }
    }
}
