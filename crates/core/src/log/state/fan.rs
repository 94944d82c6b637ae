//! The items of a fan-out: which begin, which leave their place to others while they wait, and what their ends come to.

use super::RunState;
use crate::id::StepKey;
use crate::log::ready::Work;
use crate::log::step::{Step, StepIndex, StepStatus};

impl RunState {
    pub(super) fn begin_item(&mut self, key: &StepKey, item: u32) -> Result<StepIndex, String> {
        let unknown = || format!("there is no step `{key}`");
        let fan_index = *self.index.get(&key.fan_out()).ok_or_else(unknown)?;
        let node = self.steps[fan_index.0].node;
        let next = StepIndex(self.steps.len());
        let fan = self.steps[fan_index.0].fan.as_mut().ok_or_else(unknown)?;
        if item >= fan.total || item as usize != fan.items.len() {
            return Err(format!("`{key}` does not follow item {} of {}", fan.items.len(), fan.total));
        }
        fan.items.push(next);
        fan.active += 1;
        let index = self.add(Step::new(key.clone(), node, Some(fan_index), 0));
        self.ready.push(Work::Item(index));
        self.go_on_with_fan(fan_index);
        Ok(index)
    }

    /// Counts the steps that wait for the outside, in each item around them: such an item leaves its place to another.
    pub(super) fn count_asking(&mut self, index: StepIndex, asks: bool) {
        if let (false, Some(expires)) = (asks, self.steps[index.0].approval.as_ref().and_then(|asked| asked.expires)) {
            self.ready.forget(expires, Work::Expire(index));
        }
        let mut at = Some(index);
        while let Some(here) = at {
            at = self.steps[here.0].parent;
            if self.steps[here.0].item().is_none() {
                continue;
            }
            let step = &mut self.steps[here.0];
            let before = step.asking;
            step.asking = if asks { before + 1 } else { before.saturating_sub(1) };
            let after = step.asking;
            let Some(fan_index) = at else { continue };
            if let Some(fan) = self.steps[fan_index.0].fan.as_mut() {
                match (before, after) {
                    (0, 1) => fan.active = fan.active.saturating_sub(1),
                    (1, 0) => fan.active += 1,
                    _ => {}
                }
            }
            self.go_on_with_fan(fan_index);
        }
    }

    /// An item has ended.
    pub(super) fn end_item(&mut self, fan_index: StepIndex, index: StepIndex) {
        let error = self.steps[index.0].error.clone().filter(|_| self.steps[index.0].status == StepStatus::Failed);
        let item = self.steps[index.0].item().unwrap_or(0);
        let asking = self.steps[index.0].asking;
        if let Some(fan) = self.steps[fan_index.0].fan.as_mut() {
            fan.ended += 1;
            if asking == 0 {
                fan.active = fan.active.saturating_sub(1);
            }
            if let Some(error) = error
                && fan.failed.as_ref().is_none_or(|(first, _)| item < *first)
            {
                fan.failed = Some((item, error));
            }
        }
        self.go_on_with_fan(fan_index);
    }

    pub(super) fn go_on_with_fan(&mut self, index: StepIndex) {
        if self.steps[index.0].status == StepStatus::Running {
            self.ready.push(Work::Items(index));
        }
    }
}
