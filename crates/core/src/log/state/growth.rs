//! A step that pursues a goal: its members come into being while it runs. What its model is asked next stands in `engine/goal`; here is
//! which of its members may start, and when it is to be looked at.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RunState, Settlement};
use crate::log::ready::Work;
use crate::log::step::{Step, StepError, StepIndex, StepStatus};
use crate::log::{Commitment, Does, Planned};
use crate::workflow::{ForEach, Node, NodeIndex, OnItemError, Plan, Retry, Turn, Verb};

/// How far a step is that pursues a goal.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Growth {
    /// The members' places by their ids.
    names: HashMap<String, usize>,
    /// The newest member that decides how it goes on: a line, an agent's turn, an answer, a person's word about the plan.
    pub(crate) turn: Option<StepIndex>,
    /// Whether what that member gave was acted on.
    pub(crate) taken: bool,
    /// Whether the plan is whole, as far as it was written.
    whole: bool,
    /// Whether the plan was given up.
    pub(crate) given_up: bool,
    /// Members that failed since the newest line of a patch was asked for.
    pub(crate) failures: Vec<StepIndex>,
    /// The newest patch.
    pub(crate) patch: u32,
}

/// Members that came into being by one event, and where their texts are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grown {
    pub(crate) texts: Commitment,
    /// The first of their nodes.
    pub(crate) first: NodeIndex,
    pub(crate) count: usize,
    /// Whether the nodes have their texts.
    pub(crate) whole: bool,
}

impl RunState {
    /// Takes in the members that a step has from now on.
    pub(super) fn extend(&mut self, index: StepIndex, nodes: &[Planned], texts: Commitment) -> Result<(), String> {
        let Some(mut growth) = self.steps[index.0].growth.take() else {
            return Err("it has not begun to pursue a goal".into());
        };
        let first = NodeIndex(u32::try_from(self.plan.graph.nodes.len()).unwrap_or(u32::MAX));
        growth.taken = true;
        for planned in nodes {
            let member = self.grow(index, planned, &growth.names)?;
            growth.names.insert(planned.id.clone(), self.steps[index.0].members.len() - 1);
            match &planned.does {
                Does::Turn { turn: Turn::Decide { .. } } | Does::Tool { .. } | Does::Workflow { .. } => continue,
                Does::Turn { turn: Turn::Line { patch } } if *patch > growth.patch => {
                    growth.patch = *patch;
                    growth.whole = false;
                    growth.failures.clear();
                }
                // An agent acts at once: the policy says what it may.
                Does::Turn { turn: Turn::Act { .. } } => growth.whole = true,
                Does::Turn { .. } | Does::Approve => {}
            }
            (growth.turn, growth.taken) = (Some(member), false);
        }
        self.steps[index.0].growth = Some(growth);
        self.grown.push(Grown { texts, first, count: nodes.len(), whole: false });
        Ok(())
    }

    /// One more node, and the member that it is.
    fn grow(
        &mut self,
        host: StepIndex,
        planned: &Planned,
        names: &HashMap<String, usize>,
    ) -> Result<StepIndex, String> {
        let parent = self.steps[host.0].node;
        let Verb::Goal(goal) = &self.plan.graph.node(parent).verb else {
            return Err("only a step that pursues a goal gets members".into());
        };
        if names.contains_key(&planned.id) {
            return Err(format!("it has a member `{}` already", planned.id));
        }
        let only_drafts = goal.plan.as_ref().is_some_and(|plan| plan.draft_only);
        if only_drafts && !matches!(planned.does, Does::Turn { turn: Turn::Line { .. } }) {
            return Err("a plan that is only drafted does nothing".into());
        }
        let verb = match &planned.does {
            Does::Turn { turn } => Verb::Turn(turn.clone()),
            Does::Tool { name, .. } if goal.tools.contains(name) => {
                Verb::Tool { name: name.clone(), with: Value::Null }
            }
            Does::Tool { name, .. } => return Err(format!("the goal calls no tool `{name}`")),
            Does::Workflow { name } => match goal.workflows.get(name) {
                Some(delegate) => Verb::Workflow(Box::new(delegate.workflow.clone())),
                None => return Err(format!("the goal calls no workflow `{name}`")),
            },
            Does::Approve => Verb::Approve { prompt: String::new(), timeout_ms: None, show: None },
        };
        let members = &self.steps[host.0].members;
        let place = members.len();
        let mut after = Vec::new();
        for id in &planned.after {
            let earlier = names.get(id).and_then(|place| members.get(*place));
            after.push(*earlier.ok_or_else(|| format!("it has no member `{id}`"))?);
        }
        let waits_for = after.iter().filter(|earlier| !self.steps[earlier.0].status.ended()).count();
        let node = Node {
            after: after.iter().map(|earlier| self.steps[earlier.0].node).collect(),
            for_each: planned.max_parallel.map(|max_parallel| ForEach {
                list: Value::Null,
                item: "item".into(),
                key: None,
                max_parallel,
                on_item_error: OnItemError::Fail,
            }),
            ..Node::new(&planned.id, Some(parent), verb)
        };
        let index = NodeIndex(u32::try_from(self.plan.graph.nodes.len()).unwrap_or(u32::MAX));
        Arc::make_mut(&mut self.shape).add(index, &node, place);
        Arc::make_mut(&mut self.plan).graph.nodes.push(node);
        let key = self.steps[host.0].key.child(&planned.id);
        let member = self.add(Step::new(key, index, Some(host), waits_for));
        let step = &mut self.steps[host.0];
        step.members.push(member);
        step.open += 1;
        if waits_for == 0 {
            self.ready.push(Work::Open(member));
        }
        Ok(member)
    }

    /// The plan is whole: what changes something may start.
    pub(super) fn close_plan(&mut self, index: StepIndex, given_up: bool) -> Result<(), String> {
        let growth = self.steps[index.0].growth.as_mut().ok_or("it pursues no goal")?;
        (growth.whole, growth.taken, growth.given_up) = (true, true, given_up);
        growth.failures.clear();
        self.open_held(index);
        self.ready.push(Work::Grow(index));
        Ok(())
    }

    /// Members that waited for the plan to be whole, or that the end of the run ends.
    pub(super) fn open_held(&mut self, index: StepIndex) {
        for member in self.steps[index.0].members.clone() {
            let step = &self.steps[member.0];
            if step.status == StepStatus::Pending && step.waits_for == 0 {
                self.ready.push(Work::Open(member));
            }
        }
    }

    /// A member has ended.
    pub(super) fn member_ended(&mut self, host: StepIndex, member: StepIndex) {
        let step = &self.steps[member.0];
        let failed = step.status == StepStatus::Failed && !RunState::ends_goal(step.error.as_ref());
        let planned =
            matches!(&self.plan.graph.node(self.steps[host.0].node).verb, Verb::Goal(goal) if goal.plan.is_some());
        let growth = self.steps[host.0].growth.as_mut().filter(|growth| planned && growth.plans());
        if let Some(growth) = growth.filter(|growth| failed && growth.turn != Some(member)) {
            // What is still to change something waits until the plan is mended.
            growth.failures.push(member);
        }
        // What ends the goal ends what has not started.
        if self.steps[host.0].first_failure.is_some() {
            self.open_held(host);
        }
        self.ready.push(Work::Grow(host));
    }

    /// Whether a member may not start yet, since it changes something and the plan is not whole.
    pub(super) fn is_held(&self, index: StepIndex) -> bool {
        let step = &self.steps[index.0];
        let Some(host) = step.parent.map(|host| &self.steps[host.0]) else { return false };
        let Some(growth) = host.growth.as_ref().filter(|_| host.first_failure.is_none()) else { return false };
        let changes = match &self.plan.graph.node(step.node).verb {
            Verb::Tool { .. } => self.effect_of(index).changes(),
            Verb::Workflow(workflow) => workflow.changes(),
            _ => false,
        };
        changes && !growth.is_whole() && !step.is_part() && self.barred(index).is_none()
    }

    /// Whether a step that pursues a goal is to be looked at.
    pub(super) fn grows(&self, index: StepIndex) -> bool {
        let step = &self.steps[index.0];
        let Some(growth) = step.growth.as_ref().filter(|_| step.status == StepStatus::Running) else { return false };
        let asks = growth.turn.is_some_and(|turn| !self.steps[turn.0].status.ended());
        // Work that leads to nothing would keep a run from being said to wait.
        let due = growth.turn.is_none() || !growth.taken || !growth.failures.is_empty();
        step.open == 0 || (due && !asks && step.first_failure.is_none() && self.barred(index).is_none())
    }

    /// How a step ends that pursues a goal and must not go on; nothing while it may.
    pub(crate) fn end_of_growth(&self, index: StepIndex) -> Option<Settlement> {
        let step = &self.steps[index.0];
        if step.open > 0 {
            return None;
        }
        let stopped = |member: &StepIndex| self.steps[member.0].status == StepStatus::Cancelled;
        if step.overtime.is_some_and(|over| !over.had_failed) {
            Some(Settlement::TimedOut)
        } else if let Some(error) = &step.first_failure {
            Some(Settlement::Fail(error.clone()))
        } else if self.barred(index).is_some() || step.members.iter().any(stopped) {
            Some(Settlement::Cancel)
        } else {
            None
        }
    }

    /// Whether a failure ends the step that pursues a goal around it: a person's no, and a budget that is used up.
    pub(super) fn ends_goal(error: Option<&StepError>) -> bool {
        error.is_some_and(|error| matches!(error.code.as_str(), "budget" | "rejected"))
    }

    /// Whether a step is the newest turn of a goal that failed, which is asked again when the run goes on.
    pub(super) fn is_last_word(&self, index: StepIndex) -> bool {
        let Some(host) = self.steps[index.0].parent else { return false };
        let host = &self.steps[host.0];
        // What it asked for has been done, where anything followed of it.
        let of_turn = host.growth.as_ref().is_some_and(|growth| growth.turn == Some(index) && !growth.taken);
        of_turn && host.status == StepStatus::Failed && !RunState::ends_goal(host.error.as_ref())
    }

    /// How far a step is that pursues a goal.
    pub(crate) fn growth(&self, index: StepIndex) -> Option<&Growth> {
        self.steps[index.0].growth.as_ref()
    }

    /// The member of that id.
    pub(crate) fn member(&self, host: StepIndex, id: &str) -> Option<StepIndex> {
        let place = self.steps[host.0].growth.as_ref()?.names.get(id)?;
        self.steps[host.0].members.get(*place).copied()
    }

    /// Whether a step of the run has begun to pursue a goal.
    pub(crate) fn pursues(&self) -> bool {
        self.steps.iter().any(|step| step.growth.is_some())
    }

    /// Where the texts of a node are that came into being while the run went on: the payload, and the place in it.
    pub(crate) fn texts_of(&self, node: NodeIndex) -> Option<(Commitment, usize)> {
        let place = self.grown.partition_point(|grown| grown.first <= node).checked_sub(1)?;
        let grown = self.grown.get(place)?;
        Some((grown.texts, (node.0 - grown.first.0) as usize)).filter(|(_, at)| *at < grown.count)
    }

    /// The payloads that hold what members say that came into being while the run went on, where their nodes do not have it.
    pub fn unread_texts(&self) -> Vec<Commitment> {
        self.without_texts().into_iter().map(|(_, texts)| texts).collect()
    }

    /// Gives those nodes what they say. `read` knows the values of payloads; of one that was erased it gives none.
    pub fn read_texts(&mut self, read: impl Fn(Commitment) -> Option<Value>) -> Result<(), String> {
        for (place, texts) in self.without_texts() {
            let Some(value) = read(texts) else { continue };
            let said = serde_json::from_value(value).map_err(|error| error.to_string())?;
            self.give_texts(place, said)?;
        }
        Ok(())
    }

    /// The place of the newest extension.
    pub(crate) fn newest_extension(&self) -> Option<usize> {
        self.grown.len().checked_sub(1)
    }

    /// The extensions whose nodes lack their texts: the place of each, and the payload.
    pub(crate) fn without_texts(&self) -> Vec<(usize, Commitment)> {
        let lacking = self.grown.iter().enumerate().filter(|(_, grown)| !grown.whole);
        lacking.map(|(place, grown)| (place, grown.texts)).collect()
    }

    /// Gives the nodes of an extension their texts.
    pub(crate) fn give_texts(&mut self, place: usize, said: Vec<Said>) -> Result<(), String> {
        let Some(grown) = self.grown.get_mut(place) else { return Err("there is no such extension".into()) };
        if said.len() != grown.count {
            return Err(format!("{} texts for {} nodes", said.len(), grown.count));
        }
        grown.whole = true;
        let first = grown.first.0 as usize;
        let nodes = &mut Arc::make_mut(&mut self.plan).graph.nodes;
        for (node, said) in nodes.iter_mut().skip(first).zip(said) {
            (node.condition, node.retry, node.timeout_ms) = (said.condition, said.retry, said.timeout_ms);
            if let (Some(for_each), Some(list)) = (node.for_each.as_mut(), said.list) {
                for_each.list = list;
            }
            match &mut node.verb {
                Verb::Tool { with, .. } => *with = said.with,
                Verb::Workflow(workflow) => workflow.with = said.with,
                Verb::Approve { prompt, show, .. } => {
                    *prompt = said.with.as_str().unwrap_or_default().to_owned();
                    *show = said.show;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Growth {
    /// Whether an agent acts: from its beginning, or since the plan could not be mended.
    pub(crate) fn acts(&self) -> bool {
        self.names.contains_key("turn_1")
    }

    /// Whether members that change something may start.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole && self.failures.is_empty()
    }

    /// Whether the plan may still be mended.
    fn plans(&self) -> bool {
        !self.given_up && !self.acts()
    }
}

/// A plan without the nodes that came into being while a run went on: they stand behind all others.
pub(super) fn as_written(mut plan: Arc<Plan>) -> Arc<Plan> {
    let graph = &plan.graph;
    let grew = |node: &Node| node.parent.is_some_and(|parent| matches!(graph.node(parent).verb, Verb::Goal(_)));
    if let Some(first) = graph.nodes.iter().position(grew) {
        Arc::make_mut(&mut plan).graph.nodes.truncate(first);
    }
    plan
}

/// What a member says, beside what the state of the run needs to know of it: in a payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// Arguments with templates; the question of an approval; of the first line of a patch, how the steps stood.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) with: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) list: Option<Value>,
    /// What is shown beside the question of an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) show: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<Retry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
}
