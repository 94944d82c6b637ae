//! Steps of a plan as a workflow file, with the models and grants that they need and no others.

use std::collections::BTreeSet;

use parkway_core::model::Role;
use parkway_core::workflow::{Chat, Goal, Graph, Message, Node, NodeIndex, OnError, Plan, RunIf, Text, Verb};
use serde_json::{Value, json};

use super::literals::each_text;
use super::place::{Place, put_in};
use super::skipped::tested;
use crate::error::Error;
use crate::workflow::Workflow;

/// The step that answers where a plan does not say what its answer is made of.
pub(super) const ANSWER: &str = "answer";

/// A step on its way into a file.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) node: Node,
    /// What it waits for.
    pub(super) after: BTreeSet<String>,
    /// Whether it is a call that changes something.
    pub(super) changes: bool,
    /// Which stretch of the way it was planned on: each turn of an agent is one, and each patch of a plan.
    pub(super) stretch: u32,
}

impl Step {
    /// A step that does this, and waits for nothing.
    pub(super) fn new(id: &str, verb: Verb) -> Step {
        let node = Node {
            id: id.into(),
            description: None,
            parent: None,
            verb,
            after: Vec::new(),
            run_if: RunIf::Completed,
            condition: None,
            for_each: None,
            repeat: None,
            retry: None,
            timeout_ms: None,
            on_error: OnError::Fail,
        };
        Step { node, after: BTreeSet::new(), changes: false, stretch: 0 }
    }

    /// A step that asks a model.
    pub(super) fn asking(id: &str, goal: &Goal, prompt: String, schema: Option<Value>) -> Step {
        let message = Message { role: Role::User, content: Text { text: prompt, file: None } };
        let chat = Chat {
            model: goal.model.clone(),
            messages: vec![message],
            adapter: None,
            tools: Vec::new(),
            schema,
            temperature_milli: goal.temperature_milli,
            max_tokens: goal.max_tokens,
            seed: goal.seed,
        };
        Step::new(id, Verb::Chat(chat))
    }

    /// The step that answers: it runs whatever of its sources was skipped.
    pub(super) fn answering(goal: &Goal, words: &str, sources: &[String], skippable: &BTreeSet<String>) -> Step {
        let mut step = Step::asking(ANSWER, goal, question(words, sources, skippable), goal.schema.clone());
        if sources.iter().any(|id| skippable.contains(id)) {
            step.node.run_if = RunIf::NotRejected;
        }
        step
    }

    /// The steps that it waits for.
    pub(super) fn needs(&self) -> BTreeSet<String> {
        let mut needs = self.named();
        needs.extend(self.after.iter().cloned());
        needs
    }

    /// The steps that its templates name.
    pub(super) fn named(&self) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        let node = &self.node;
        let mut note = |text: &str| {
            put_in(text, &mut |place: &Place| {
                named.insert(place.step.clone());
                None
            });
        };
        match &node.verb {
            Verb::Tool { with, .. } => each_text(with, &mut note),
            Verb::Chat(chat) => chat.messages.iter().for_each(|message| note(&message.content.text)),
            _ => {}
        }
        node.condition.iter().for_each(|condition| each_text(condition, &mut note));
        node.for_each.iter().for_each(|each| each_text(&each.list, &mut note));
        named
    }
}

/// What a model is asked: the goal as a template, and what these steps gave.
pub(super) fn question(goal: &str, sources: &[String], skippable: &BTreeSet<String>) -> String {
    let result = |id: &String| {
        let output = format!("${{{{ steps.{id}.output }}}}");
        format!("{id}: {}\n", if skippable.contains(id) { tested(id, &output) } else { output })
    };
    let results: String = sources.iter().map(result).collect();
    format!("{goal}\n\nResults:\n{results}\nAnswer from these results alone.")
}

/// A workflow in the making. What `plan` says of models, grants, rules and limits holds for it, too.
pub(super) struct File<'a> {
    pub(super) plan: &'a Plan,
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) inputs: Value,
    pub(super) steps: Vec<Step>,
    /// The answer, with templates at the leaves.
    pub(super) answer: Value,
}

impl File<'_> {
    pub(super) fn workflow(self) -> Result<Workflow, Error> {
        let mut plan = self.plan.clone();
        plan.workflow = self.name.into();
        plan.inputs = self.inputs;
        plan.outputs = json!({ ANSWER: self.answer });
        (plan.ensure, plan.env) = (Vec::new(), Vec::new());
        let verbs = || self.steps.iter().map(|step| &step.node.verb);
        let families: BTreeSet<_> = verbs()
            .filter_map(|verb| match verb {
                Verb::Tool { name, .. } => name.split('.').next(),
                _ => None,
            })
            .collect();
        let models: BTreeSet<_> =
            verbs().filter_map(|verb| if let Verb::Chat(chat) = verb { Some(&chat.model) } else { None }).collect();
        plan.grants.retain(|family, _| families.contains(family.as_str()));
        plan.models.retain(|name, _| models.contains(name));
        let keys: BTreeSet<_> = plan.models.values().filter_map(|spec| spec.openai.as_ref()?.key.clone()).collect();
        plan.secrets.retain(|secret| keys.contains(secret));
        plan.graph = graph(self.steps);
        // What a plan does not have, a file has: what it is for.
        let about = format!("description: {}\n", json!(self.description));
        let yaml = plan.to_yaml();
        let at = yaml.find("name:").and_then(|at| Some(at + yaml.get(at..)?.find('\n')? + 1)).unwrap_or(0);
        let (head, tail) = yaml.split_at(at);
        Workflow::from_source(&format!("{}.yaml", self.name), &format!("{head}{about}{tail}"))
    }
}

fn graph(steps: Vec<Step>) -> Graph {
    let ids: Vec<_> = steps.iter().map(|step| step.node.id.clone()).collect();
    let index = |at: usize| NodeIndex(u32::try_from(at).unwrap_or(u32::MAX));
    let roots = (0..steps.len()).map(index).collect();
    let place = |id: &String| ids.iter().position(|known| known == id).map(index);
    let node = |step: Step| {
        let after = step.needs().iter().filter_map(place).collect::<BTreeSet<_>>();
        Node { after: after.into_iter().collect(), parent: None, ..step.node }
    };
    Graph { nodes: steps.into_iter().map(node).collect(), roots }
}
