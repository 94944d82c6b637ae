//! The labels of what a step gives to others.

use super::RunState;
use crate::label::Labels;
use crate::log::step::{StepIndex, StepStatus};
use crate::workflow::Verb;

impl RunState {
    /// The labels of what a step gives: its output's, or its members' together; of one that failed, those of what it was
    /// given and those of what its tool returns, for its error may quote either.
    pub(crate) fn labels_of(&self, index: StepIndex) -> Labels {
        let step = &self.steps[index.0];
        if step.status == StepStatus::Completed {
            return step.labels;
        }
        let given = match step.status {
            StepStatus::Failed => step.arg_labels.scrubbed().union(self.tool_labels_of(index)),
            _ => Labels::NONE,
        };
        let list = step.fan.as_ref().map_or(Labels::NONE, |fan| fan.labels);
        let members = step.fan.as_ref().map_or(&step.members, |fan| &fan.items);
        let rounds = step.rounds.iter().flat_map(|rounds| &rounds.begun);
        let own = step.labels.union(given).union(list);
        members.iter().chain(rounds).fold(own, |all, member| all.union(self.labels_of(*member)))
    }

    /// The labels of everything that the step's tool returns.
    fn tool_labels_of(&self, index: StepIndex) -> Labels {
        match &self.plan.graph.node(self.steps[index.0].node).verb {
            Verb::Tool { name, .. } => self.plan.tools.get(name).map_or(Labels::NONE, |tool| tool.labels),
            _ => Labels::NONE,
        }
    }

    /// The labels of all that a step's templates can see: the error of one that failed before it had arguments may quote any
    /// of it.
    pub(super) fn labels_in_reach(&self, index: StepIndex) -> Labels {
        let (mut all, mut at) = (Labels::NONE, index);
        loop {
            let step = &self.steps[at.0];
            for before in self.dependencies(at) {
                all = all.union(self.labels_of(before));
            }
            let Some(parent) = step.parent else { return all.union(self.input_labels) };
            let around = &self.steps[parent.0];
            if let (Some(_), Some(fan)) = (step.item(), &around.fan) {
                all = all.union(fan.labels);
            }
            let previous =
                step.round().and_then(|round| around.rounds.as_ref()?.begun.get((round as usize).checked_sub(2)?));
            all = previous.map_or(all, |previous| all.union(self.labels_of(*previous)));
            if self.called(parent).is_some() {
                // A called workflow sees its inputs, and nothing of its caller.
                return all.union(around.arg_labels);
            }
            at = parent;
        }
    }
}
