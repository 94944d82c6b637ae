//! Looking at the state of a run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{Forked, RunState};
use crate::id::{EffectKey, RunId, Seq, StepKey, Time};
use crate::label::Labels;
use crate::log::step::{Step, StepIndex};
use crate::log::{Budget, Commitment, FailureReason, Finish, Parent, RunStatus};
use crate::model::Usage;
use crate::tool::Effect;
use crate::workflow::{Plan, Verb};

impl RunState {
    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// When the run was created.
    pub fn created(&self) -> Time {
        self.created
    }

    /// When the newest event was recorded.
    pub fn updated(&self) -> Time {
        self.updated
    }

    /// The newest event.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// The owner count of the newest event.
    pub(crate) fn fence(&self) -> crate::id::Fence {
        self.fence
    }

    /// Where the run stands.
    pub fn status(&self) -> RunStatus {
        self.status
    }

    /// How it ended.
    pub fn finish(&self) -> Option<&Finish> {
        self.finish.as_ref()
    }

    /// The values of its inputs.
    pub fn inputs(&self) -> Option<Commitment> {
        self.inputs
    }

    /// Labels of its inputs together.
    pub(crate) fn input_labels(&self) -> Labels {
        self.input_labels
    }

    /// The values of its environment variables.
    pub fn env(&self) -> Option<Commitment> {
        self.env
    }

    /// The step of another run that it is made for.
    pub fn parent(&self) -> Option<&Parent> {
        self.parent.as_ref()
    }

    /// Where it was forked from.
    pub fn forked(&self) -> Option<&Forked> {
        self.forked.as_ref()
    }

    /// All steps that have come into being, in that order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step with this key.
    pub fn step(&self, key: &StepKey) -> Option<&Step> {
        self.index.get(key).map(|index| &self.steps[index.0])
    }

    /// The effect of what a step calls, as its plan says. A tool that the plan does not know may do anything.
    pub(crate) fn effect_of(&self, index: StepIndex) -> Effect {
        match &self.plan.graph.node(self.at(index).node).verb {
            Verb::Tool { name, .. } => self.plan.tools.get(name).map_or(Effect::AtMostOnce, |tool| tool.effect),
            // A model turn looks at the world and leaves it as it is.
            _ => Effect::Read,
        }
    }

    /// The key of the effect of a step's call: the same over attempts, until a person says that it is to be made again.
    pub fn effect_key(&self, key: &StepKey) -> Option<EffectKey> {
        Some(EffectKey::new(self.run, key, self.step(key)?.redo))
    }

    /// The steps that wait for a person's approval; [`RunState::questions`] gives those that wait for a form too.
    pub fn asking(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.asks())
    }

    /// What was used of the budget, what is set aside by running steps counted in.
    pub fn committed(&self) -> Budget {
        self.spent.plus(self.reserved)
    }

    /// Model calls, and their tokens together.
    pub fn usage(&self) -> (u32, Usage) {
        (self.model_calls, self.usage)
    }

    /// For how long steps have been running.
    pub(crate) fn active(&self, now: Time) -> Duration {
        self.active + if self.running > 0 { now.since(self.active_since) } else { Duration::ZERO }
    }

    /// The first failure that nothing handles.
    pub fn failure(&self) -> Option<&FailureReason> {
        self.failure.as_ref()
    }

    /// Whether the run is being cancelled.
    pub fn cancelling(&self) -> bool {
        self.stop.cancelling
    }

    /// The earliest timer.
    pub fn wake(&self) -> Option<Time> {
        self.ready.next_timer()
    }

    pub(crate) fn at(&self, index: StepIndex) -> &Step {
        &self.steps[index.0]
    }

    pub(crate) fn index_of(&self, key: &StepKey) -> Option<StepIndex> {
        self.index.get(key).copied()
    }

    /// The step `id` as seen from inside the scope of `parent`: among its members, then further out.
    pub(crate) fn resolve(&self, parent: Option<StepIndex>, id: &str) -> Option<StepIndex> {
        let mut scope = parent;
        loop {
            // A fan-out shares its node with its items, and has no members itself.
            let members = scope.map_or(&self.roots, |scope| &self.steps[scope.0].members);
            let names = self.shape.names.get(&scope.map(|scope| self.steps[scope.0].node));
            let found = names.and_then(|names| names.get(id)).and_then(|place| members.get(*place)).copied();
            match (found.or_else(|| self.member(scope?, id)), scope) {
                (Some(found), _) => return Some(found),
                (None, None) => return None,
                // A workflow within this one does not see its caller's steps.
                (None, Some(step)) if self.called(step).is_some() => return None,
                (None, Some(step)) => scope = self.steps[step.0].parent,
            }
        }
    }

    /// The steps beside this one that it waited for.
    pub(crate) fn dependencies(&self, index: StepIndex) -> Vec<StepIndex> {
        let step = &self.steps[index.0];
        let siblings = step.parent.map_or(&self.roots, |parent| &self.steps[parent.0].members);
        let after = &self.plan.graph.node(step.node).after;
        after.iter().filter_map(|node| siblings.get(self.shape.position[node.0 as usize])).copied().collect()
    }

    /// The steps beside this one that wait for it.
    pub(crate) fn dependents(&self, index: StepIndex) -> Vec<StepIndex> {
        let step = &self.steps[index.0];
        let siblings = step.parent.map_or(&self.roots, |parent| &self.steps[parent.0].members);
        let dependents = &self.shape.dependents[step.node.0 as usize];
        dependents.iter().filter_map(|node| siblings.get(self.shape.position[node.0 as usize])).copied().collect()
    }

    /// The members of a group; the steps of the top level for `None`.
    pub(crate) fn members(&self, group: Option<StepIndex>) -> &[StepIndex] {
        group.map_or(&self.roots, |group| &self.steps[group.0].members)
    }

    /// The members of a group so that each stands behind those that it waits for.
    pub(crate) fn in_order(&self, members: &[StepIndex]) -> Vec<StepIndex> {
        let mut waits: BTreeMap<_, _> =
            members.iter().map(|member| (*member, self.dependencies(*member).len())).collect();
        let mut free: VecDeque<_> = members.iter().copied().filter(|member| waits.get(member) == Some(&0)).collect();
        let mut order = Vec::with_capacity(members.len());
        while let Some(member) = free.pop_front() {
            order.push(member);
            for dependent in self.dependents(member) {
                if let Some(left) = waits.get_mut(&dependent) {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        free.push_back(dependent);
                    }
                }
            }
        }
        order
    }

    /// Whether a step calls, asks or computes something itself: no group, no fan-out, nothing that has rounds.
    pub(crate) fn is_leaf(&self, index: StepIndex) -> bool {
        let step = &self.steps[index.0];
        let node = self.plan.graph.node(step.node);
        let fans_out = node.for_each.is_some() && step.item().is_none();
        !fans_out && self.repeat(index).is_none() && !node.verb.has_members()
    }

    /// Whether a step, or a group around it, is for the time after a failure.
    pub(crate) fn runs_after_failure(&self, index: StepIndex) -> bool {
        self.shape.after_failure[self.steps[index.0].node.0 as usize]
    }

    /// Whether a step, or a group around it, is for the time after a cancel.
    pub(crate) fn runs_after_cancel(&self, index: StepIndex) -> bool {
        self.shape.after_cancel[self.steps[index.0].node.0 as usize]
    }

    /// Whether some step waits for more than a word about a call in doubt.
    pub(crate) fn waits(&self) -> bool {
        self.waiting > 0
    }

    /// The next time at which something is to be stopped.
    pub(crate) fn alarm(&self) -> Option<Time> {
        self.ready.next_alarm()
    }

    /// When the run's deadline is.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.plan.limits.deadline_ms.map(|limit| self.opened.after(Duration::from_millis(limit)))
    }

    /// Whether the run's deadline has passed.
    pub(crate) fn overdue(&self) -> bool {
        self.stop.overdue
    }
}
