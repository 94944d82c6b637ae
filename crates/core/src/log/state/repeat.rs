//! The rounds of a `repeat`: each is a step of its own that shares its node with the step that is repeated.

use super::RunState;
use crate::id::StepKey;
use crate::log::ready::Work;
use crate::log::step::{Rounds, Step, StepIndex, StepStatus};
use crate::workflow::Repeat;

impl RunState {
    /// How a step is repeated, if it is the step that is repeated, and no round of it.
    pub(crate) fn repeat(&self, index: StepIndex) -> Option<&Repeat> {
        let step = &self.steps[index.0];
        self.plan.graph.node(step.node).repeat.as_ref().filter(|_| !step.is_part())
    }

    /// The step that is repeated has started.
    pub(super) fn begin_rounds(&mut self, index: StepIndex) {
        if self.steps[index.0].rounds.is_some() {
            return self.begin_rounds_again(index);
        }
        self.steps[index.0].rounds = Some(Rounds::default());
        self.ready.push(if self.next_round(index).is_some() { Work::Round(index) } else { Work::Settle(index) });
    }

    /// How many rounds there may be by now.
    pub(crate) fn most_rounds(&self, index: StepIndex) -> u32 {
        let before = self.steps[index.0].rounds.as_ref().map_or(0, |rounds| rounds.before);
        self.repeat(index).map_or(0, |repeat| repeat.max.saturating_add(before))
    }

    /// A round comes into being with the first event about it.
    pub(super) fn begin_round(&mut self, key: &StepKey, number: u32) -> Result<StepIndex, String> {
        let unknown = || format!("there is no step `{key}`");
        let host = *self.index.get(&key.repeated()).ok_or_else(unknown)?;
        if self.next_round(host) != Some(number) || self.steps[host.0].status != StepStatus::Running {
            return Err(format!("`{key}` is not the next round"));
        }
        let delay = self.repeat(host).map_or(0, |repeat| repeat.delay_ms);
        if number > 1 && delay > 0 && self.steps[host.0].waiting.is_none() {
            return Err(format!("the delay before `{key}` is not over"));
        }
        let next = StepIndex(self.steps.len());
        let rounds = self.steps[host.0].rounds.as_mut().ok_or_else(unknown)?;
        rounds.begun.push(next);
        rounds.done = None;
        self.steps[host.0].waiting = None;
        let node = self.steps[host.0].node;
        let index = self.add(Step::new(key.clone(), node, Some(host), 0));
        self.ready.push(Work::Item(index));
        Ok(index)
    }

    /// The round that may follow now, from 1.
    pub(crate) fn next_round(&self, index: StepIndex) -> Option<u32> {
        let rounds = self.steps[index.0].rounds.as_ref().filter(|_| self.repeat(index).is_some())?;
        let begun = u32::try_from(rounds.begun.len()).unwrap_or(u32::MAX);
        let may_follow = begun == 0 || rounds.done == Some(false);
        (may_follow && begun < self.most_rounds(index)).then_some(begun + 1)
    }

    /// The newest round that has completed and was not judged.
    pub(crate) fn round_to_judge(&self, index: StepIndex) -> Option<StepIndex> {
        let rounds = self.steps[index.0].rounds.as_ref().filter(|rounds| rounds.done.is_none())?;
        rounds.begun.last().copied().filter(|round| self.steps[round.0].status == StepStatus::Completed)
    }

    /// `until` was evaluated after a round.
    pub(super) fn judge(&mut self, index: StepIndex, number: u32, done: bool) -> Result<(), String> {
        let newest = self.round_to_judge(index).and_then(|round| self.steps[round.0].round());
        if newest != Some(number) {
            return Err(format!("round {number} is not the one that has completed"));
        }
        if let Some(rounds) = self.steps[index.0].rounds.as_mut() {
            rounds.done = Some(done);
        }
        self.go_on_with_rounds(index);
        Ok(())
    }

    pub(super) fn go_on_with_rounds(&mut self, index: StepIndex) {
        let delay = self.repeat(index).map_or(0, |repeat| repeat.delay_ms);
        self.ready.push(match self.next_round(index) {
            None => Work::Settle(index),
            Some(2..) if delay > 0 => Work::Pause(index),
            Some(_) => Work::Round(index),
        });
    }

    /// A round has ended.
    pub(super) fn end_round(&mut self, host: StepIndex) {
        let judged = self.round_to_judge(host).is_some();
        self.ready.push(if judged { Work::Judge(host) } else { Work::Settle(host) });
    }
}
