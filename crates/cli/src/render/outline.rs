//! What the plan says about the steps before they start.

use std::collections::HashSet;

use parkway::Plan;
use parkway::definition::{Graph, NodeIndex, Verb};
use parkway::id::StepKey;

use super::words::clean;

/// A workflow's steps, as far as they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The workflow's name.
    pub workflow: String,
    /// Its steps, in the order of the file.
    pub steps: Vec<OutlineStep>,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutlineStep {
    /// Its id among its siblings.
    pub id: String,
    /// `tool`, `chat`, `approve`, `steps` …
    pub verb: String,
    /// What the verb is about: the tool's or the model's name; may be empty.
    pub detail: String,
    /// Whether it runs once for each item of a list.
    pub fans_out: bool,
    /// The most rounds that it has, if it is repeated.
    pub rounds: Option<u32>,
    /// Whether it is a workflow with a run of its own.
    pub own_run: bool,
    /// Whether it only writes a plan, of which nothing is done.
    pub drafts: bool,
    /// The steps of a group.
    pub children: Vec<OutlineStep>,
}

impl From<&Plan> for Outline {
    fn from(plan: &Plan) -> Self {
        Outline { workflow: plan.workflow.clone(), steps: members(&plan.graph, None) }
    }
}

fn members(graph: &Graph, group: Option<NodeIndex>) -> Vec<OutlineStep> {
    let step = |index: &NodeIndex| {
        let node = graph.node(*index);
        let detail = match &node.verb {
            Verb::Tool { name, .. } => name.clone(),
            Verb::Chat(chat) => chat.model.clone(),
            Verb::Goal(goal) => goal.model.clone(),
            Verb::Workflow(workflow) => workflow.path.clone(),
            _ => String::new(),
        };
        OutlineStep {
            id: node.id.clone(),
            verb: node.verb.name().into(),
            detail,
            fans_out: node.for_each.is_some(),
            rounds: node.repeat.as_ref().map(|repeat| repeat.max),
            own_run: matches!(&node.verb, Verb::Workflow(workflow) if workflow.own_run.is_some()),
            drafts: matches!(&node.verb, Verb::Goal(goal) if goal.plan.as_ref().is_some_and(|plan| plan.draft_only)),
            children: members(graph, Some(*index)),
        }
    };
    graph.members(group).iter().map(step).collect()
}

impl Outline {
    /// What the plan says about a step.
    pub(crate) fn find(&self, key: &StepKey) -> Option<&OutlineStep> {
        let mut steps = &self.steps;
        let mut found = None;
        for segment in key.path() {
            let step = steps.iter().find(|step| step.id == segment.id)?;
            (steps, found) = (&step.children, Some(step));
        }
        found
    }

    /// The names, with those of the groups around them, of the steps that have runs of their own.
    pub(super) fn own_runs(&self) -> HashSet<String> {
        fn collect(names: &mut HashSet<String>, steps: &[OutlineStep], group: &str) {
            for step in steps {
                let name = format!("{group}{}", step.id);
                collect(names, &step.children, &format!("{name}."));
                if step.own_run {
                    names.insert(name);
                }
            }
        }
        let mut names = HashSet::new();
        collect(&mut names, &self.steps, "");
        names
    }

    /// The outline with nothing in it that could steer a terminal.
    pub(super) fn cleaned(self) -> Self {
        Outline { workflow: clean(&self.workflow), steps: self.steps.into_iter().map(OutlineStep::cleaned).collect() }
    }
}

impl OutlineStep {
    fn cleaned(self) -> Self {
        OutlineStep {
            id: clean(&self.id),
            verb: clean(&self.verb),
            detail: clean(&self.detail),
            fans_out: self.fans_out,
            rounds: self.rounds,
            own_run: self.own_run,
            drafts: self.drafts,
            children: self.children.into_iter().map(OutlineStep::cleaned).collect(),
        }
    }

    /// Verb and detail, as they stand beside the id. The name of a tool says that it is one.
    pub(crate) fn label(&self) -> String {
        match (self.verb.as_str(), self.detail.as_str()) {
            ("tool", detail) if !detail.is_empty() => detail.into(),
            ("steps", "") if self.fans_out => "for each".into(),
            ("steps", "") if self.rounds.is_some() => "repeat".into(),
            (verb, "") => verb.into(),
            (verb, detail) => format!("{verb} {detail}"),
        }
    }
}
