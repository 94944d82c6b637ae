//! Walks the steps of a plan in the order in which they run.

use std::collections::HashMap;

use super::{Calls, Outlook, StepOutlook, Surroundings, Times, WorstTime, chats, goals, worst};
use crate::policy::{Rule, Verdict};
use crate::workflow::graph::{Node, NodeIndex, OnError, OnItemError, RunIf, Verb};
use crate::workflow::plan::{Limits, Plan};

/// The chain of waiting that takes longest: by time, then by the number of its steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Length {
    worst: WorstTime,
    steps: usize,
}

struct Walk<'a> {
    plan: &'a Plan,
    around: &'a Surroundings<'a>,
    calls: Calls<'a>,
    steps: Vec<Option<StepOutlook>>,
    skipped: Vec<bool>,
    tokens: Times,
    tool_calls: Times,
}

/// What surrounds the steps of one group.
#[derive(Clone, Copy)]
struct Scope<'s> {
    group: Option<NodeIndex>,
    path: &'s str,
    times: Times,
}

pub(super) fn walk(plan: &Plan, around: &Surroundings<'_>, callers: &[Rule], called: bool) -> Outlook {
    let nodes = plan.graph.nodes.len();
    let mut walk = Walk {
        plan,
        around,
        calls: Calls::new(plan, around, callers, called),
        steps: vec![None; nodes],
        skipped: vec![false; nodes],
        tokens: Times::NONE,
        tool_calls: Times::NONE,
    };
    let (worst, chain) = walk.scope(Scope { group: None, path: "", times: Times::exactly(1) });
    let steps: Vec<_> = walk.steps.into_iter().flatten().collect();
    let path = |index: NodeIndex| steps.get(index.0 as usize).map(|step| step.path.clone());
    Outlook {
        longest: chain.into_iter().filter_map(path).collect(),
        worst,
        tokens: walk.tokens,
        tool_calls: walk.tool_calls,
        limits: plan.limits.clone(),
        env: plan.env.clone(),
        secrets: plan.secrets.clone(),
        steps,
    }
}

impl Walk<'_> {
    /// The longest chain of a group, with the chains of groups in their places.
    fn scope(&mut self, scope: Scope<'_>) -> (WorstTime, Vec<NodeIndex>) {
        let plan = self.plan;
        let mut longest: HashMap<NodeIndex, (Length, Option<NodeIndex>)> = HashMap::new();
        let mut inner: HashMap<NodeIndex, Vec<NodeIndex>> = HashMap::new();
        for (wave, members) in (1..).zip(plan.graph.waves(scope.group)) {
            for index in members {
                let (worst, chain) = self.step(index, scope, wave);
                let before = plan.graph.node(index).after.iter();
                let before = before.filter_map(|after| Some((longest.get(after)?.0, *after)));
                // Of equal ones, that which stands first in the file.
                let before = before.max_by_key(|(length, after)| (*length, std::cmp::Reverse(*after)));
                let own = Length { worst, steps: chain.len().max(1) };
                let length = before.map_or(own, |(before, _)| Length {
                    worst: before.worst.then(own.worst),
                    steps: before.steps + own.steps,
                });
                longest.insert(index, (length, before.map(|(_, after)| after)));
                inner.insert(index, chain);
            }
        }
        let last = longest.iter().max_by_key(|(index, (length, _))| (*length, std::cmp::Reverse(**index)));
        let Some((last, (length, _))) = last else { return (WorstTime::NO_TIME, Vec::new()) };
        let mut steps = Vec::new();
        let mut at = Some(*last);
        while let Some(index) = at {
            steps.push(index);
            at = longest.get(&index).and_then(|(_, before)| *before);
        }
        let chain = |index: NodeIndex| inner.remove(&index).filter(|chain| !chain.is_empty()).unwrap_or(vec![index]);
        (length.worst, steps.into_iter().rev().flat_map(chain).collect())
    }

    /// How long a step may take, and the longest chain inside it.
    fn step(&mut self, index: NodeIndex, scope: Scope<'_>, wave: usize) -> (WorstTime, Vec<NodeIndex>) {
        let plan = self.plan;
        let node = plan.graph.node(index);
        let path = if scope.path.is_empty() { node.id.clone() } else { format!("{}.{}", scope.path, node.id) };
        let times = scope.times.by(self.own_times(index, node));
        let mut found = StepOutlook {
            node: index,
            path,
            verb: node.verb.name(),
            wave,
            times,
            worst: WorstTime::NO_TIME,
            call: None,
            chat: None,
            goal: None,
            pause: worst::pause(&node.verb),
            own_run: None,
        };
        let (once, chain) = self.once(index, node, &mut found);
        let mut worst = once;
        if let Some(repeat) = &node.repeat {
            worst = worst::rounds(worst, repeat);
        }
        if let Some(for_each) = &node.for_each {
            worst = worst::items(worst, for_each);
        }
        found.worst = worst;
        self.steps[index.0 as usize] = Some(found);
        (worst, chain)
    }

    /// One item, or one round, of a step.
    fn once(&mut self, index: NodeIndex, node: &Node, found: &mut StepOutlook) -> (WorstTime, Vec<NodeIndex>) {
        let attempts = node.retry.as_ref().map_or(1, |retry| u64::from(retry.max) + 1);
        let times = found.times;
        match &node.verb {
            Verb::Tool { .. } => {
                found.call = self.calls.of(index);
                let tried = Times { least: 1, most: Some(attempts) };
                self.tool_calls = self.tool_calls.and(times.by(tried));
                // Nobody is given a time for an answer to a policy that asks.
                let call = found.call.as_ref().filter(|call| call.approved_by.is_none());
                let asks = call.is_some_and(|call| call.policy.mildest.verdict == Verdict::Ask);
                let asking = if asks { WorstTime::NO_BOUND } else { WorstTime::NO_TIME };
                (asking.then(worst::of_leaf(node)), Vec::new())
            }
            Verb::Chat(chat) => {
                let known = chats::chat(self.plan, self.around, chat);
                self.tokens = self.tokens.and(times.by(chats::tokens(self.around, chat, &known, attempts)));
                found.chat = Some(known);
                (worst::of_leaf(node), Vec::new())
            }
            Verb::Workflow(workflow) if workflow.own_run.is_some() => {
                let Some(child) = workflow.own_run.as_deref() else { return (WorstTime::NO_BOUND, Vec::new()) };
                let outlook = child.outlook_within(self.around, &self.calls.rules_for_run_of(index), true);
                self.tokens = self.tokens.and(times.by(bounded(outlook.tokens, |limits| limits.tokens, child)));
                self.tool_calls = self.tool_calls.and(times.by(bounded(outlook.tool_calls, |l| l.tool_calls, child)));
                let limit = node.timeout_ms.into_iter().chain(child.limits.deadline_ms).min();
                let worst = outlook.worst.within(limit);
                found.own_run = Some(Box::new(outlook));
                (worst, Vec::new())
            }
            Verb::Goal(goal) => {
                let known = goals::goal(self.plan, self.around, &self.calls, index, goal);
                self.tokens = self.tokens.and(times.by(goals::tokens(self.around, goal, &known)));
                self.tool_calls = self.tool_calls.and(times.by(goals::tool_calls(&known)));
                found.goal = Some(Box::new(known));
                (WorstTime::NO_BOUND.within(node.timeout_ms), Vec::new())
            }
            verb if verb.has_members() => {
                // A failure that is handled leaves what would have come after it undone.
                let handled = node.on_error == OnError::Continue
                    || node.for_each.as_ref().is_some_and(|for_each| for_each.on_item_error == OnItemError::Collect);
                let inside = Times { least: if handled { 0 } else { times.least }, ..times };
                let (worst, chain) = self.scope(Scope { group: Some(index), path: &found.path, times: inside });
                (worst.within(node.timeout_ms), chain)
            }
            _ => (worst::of_leaf(node), Vec::new()),
        }
    }

    /// How often a step runs each time that its group does.
    fn own_times(&mut self, index: NodeIndex, node: &Node) -> Times {
        let skipped = match node.run_if {
            RunIf::Failed => true,
            _ if node.condition.is_some() => true,
            RunIf::Completed => node.after.iter().any(|after| self.skipped[after.0 as usize]),
            RunIf::NotRejected | RunIf::Always => false,
        };
        self.skipped[index.0 as usize] = skipped;
        let mut times = Times { least: u64::from(!skipped), most: Some(1) };
        if let Some(for_each) = &node.for_each {
            let length = worst::length(for_each);
            times = times.by(length.map_or(Times { least: 0, most: None }, Times::exactly));
        }
        if let Some(repeat) = &node.repeat {
            times = times.by(Times { least: 1, most: Some(u64::from(repeat.max)) });
        }
        times
    }
}

/// What a run may use, by its own budget where it has one.
fn bounded(times: Times, limit: fn(&Limits) -> Option<u64>, plan: &Plan) -> Times {
    Times { most: times.most.into_iter().chain(limit(&plan.limits)).min(), ..times }
}
