//! What policy may say of a tool call before its arguments are known. An argument without a template is known; and values
//! that come from nowhere but the person who starts the run have no label.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{CallOutlook, Surroundings};
use crate::label::Labels;
use crate::policy::{Foresight, PolicyRequest, Rule, Rules, Unknown};
use crate::tool::ToolSpec;
use crate::workflow::compile::expression_or_value;
use crate::workflow::graph::{NodeIndex, Verb};
use crate::workflow::plan::Plan;
use crate::workflow::template::{Reference, Template};

const ANY: Labels = Labels { untrusted: true, secret: true };

/// The calls of a plan.
pub(in crate::workflow) struct Calls<'a> {
    plan: &'a Plan,
    around: &'a Surroundings<'a>,
    /// The rules of its workflow, and of those that it calls, by the steps that call them.
    rules: BTreeMap<Option<NodeIndex>, Rules>,
    /// Its own rules and those of its callers.
    own: Vec<Rule>,
    /// Whether a step of another run calls it: its inputs may have labels.
    called: bool,
}

impl<'a> Calls<'a> {
    /// The calls of `plan`; `callers` are the rules of the workflows whose runs its run stands in.
    pub(in crate::workflow) fn new(
        plan: &'a Plan,
        around: &'a Surroundings<'a>,
        callers: &[Rule],
        called: bool,
    ) -> Self {
        let inner = plan.graph.iter().filter_map(|(index, node)| match &node.verb {
            Verb::Workflow(workflow) if !workflow.rules.is_empty() => {
                Some((Some(index), Rules::new(&format!("{}.file", node.id), &workflow.rules)))
            }
            _ => None,
        });
        let own: Vec<_> = callers.iter().chain(&plan.rules).cloned().collect();
        let rules = std::iter::once((None, Rules::new("file", &own))).chain(inner).collect();
        Calls { plan, around, rules, own, called }
    }

    /// The call that a step makes; `None` of a step that calls no tool, or one that is not at hand.
    pub(in crate::workflow) fn of(&self, index: NodeIndex) -> Option<CallOutlook> {
        let graph = &self.plan.graph;
        let node = graph.node(index);
        let Verb::Tool { name, with } = &node.verb else { return None };
        let spec = self.around.tools.get(name)?.spec();
        let mut known = Map::new();
        let (mut unknown, mut labels) = (Unknown::default(), Labels::NONE);
        let mut secrets = BTreeSet::new();
        let condition = node.condition.as_ref().map(expression_or_value);
        let args = with.as_object().into_iter().flatten();
        let templates = args.map(|(name, value)| (Some((name, value)), Template::Value(value)));
        for (argument, template) in templates.chain(condition.map(|condition| (None, condition))) {
            let named = template.references().unwrap_or_default();
            if let Some((name, value)) = argument {
                let text = value.to_string();
                if named.is_empty() && !text.contains("${{") && !text.contains("{%") {
                    known.insert(name.clone(), value.clone());
                } else {
                    unknown.args.insert(name.clone());
                }
            }
            for reference in named {
                match reference.root.as_str() {
                    "secrets" => {
                        labels = labels.union(Labels::SECRET);
                        secrets.extend(reference.path.first().cloned());
                    }
                    _ if self.may_be_labelled(index, &reference) => unknown.labels = ANY,
                    _ => {}
                }
            }
        }
        let granted = self.grants(index).contains_key(spec.family());
        let known = Value::Object(known);
        let policy = self.foresee(index, &PolicyRequest::new(spec, &known, labels, granted), &unknown);
        let approves = |after: &&NodeIndex| matches!(graph.node(**after).verb, Verb::Approve { .. });
        let approved_by = node.after.iter().find(approves).map(|after| graph.node(*after).id.clone());
        let secrets = secrets.into_iter().collect();
        Some(CallOutlook { tool: name.clone(), effect: spec.effect, policy, approved_by, secrets })
    }

    /// The calls that a goal's model may ask for, in the order of its tools; what it writes may have any label.
    pub(in crate::workflow) fn of_goal(&self, index: NodeIndex) -> Vec<CallOutlook> {
        let Verb::Goal(goal) = &self.plan.graph.node(index).verb else { return Vec::new() };
        let specs = goal.tools.iter().filter_map(|name| Some(self.around.tools.get(name)?.spec()));
        let call = |spec: &ToolSpec| {
            let arguments = spec.input_schema.get("properties").and_then(Value::as_object);
            let args = arguments.into_iter().flatten().map(|(name, _)| name.clone()).collect();
            let granted = self.grants(index).contains_key(spec.family());
            let none = Value::Object(Map::new());
            let request = PolicyRequest::new(spec, &none, Labels::NONE, granted);
            let policy = self.foresee(index, &request, &Unknown { args, labels: ANY });
            let (tool, effect) = (spec.name.clone(), spec.effect);
            CallOutlook { tool, effect, policy, approved_by: None, secrets: Vec::new() }
        };
        specs.map(call).collect()
    }

    /// The rules that apply to the run that a step has for itself.
    pub(in crate::workflow) fn rules_for_run_of(&self, index: NodeIndex) -> Vec<Rule> {
        let inner = self.callers(index).filter_map(|caller| match &self.plan.graph.node(caller).verb {
            Verb::Workflow(workflow) => Some(&workflow.rules),
            _ => None,
        });
        self.own.iter().chain(inner.flatten()).cloned().collect()
    }

    fn foresee(&self, index: NodeIndex, request: &PolicyRequest<'_>, unknown: &Unknown) -> Foresight {
        let policy = self.around.policy.foresee(request, unknown);
        let rules = self.callers(index).map(Some).chain([None]).filter_map(|caller| self.rules.get(&caller));
        rules.fold(policy, |before, rules| rules.foresee(before, request, unknown))
    }

    /// The steps that call the workflows which a step stands in, innermost first.
    fn callers(&self, index: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        let graph = &self.plan.graph;
        let around = std::iter::successors(graph.node(index).parent, |index| graph.node(*index).parent);
        around.filter(|index| matches!(graph.node(*index).verb, Verb::Workflow(_)))
    }

    fn grants(&self, index: NodeIndex) -> &BTreeMap<String, Value> {
        match self.callers(index).next().map(|caller| &self.plan.graph.node(caller).verb) {
            Some(Verb::Workflow(workflow)) => &workflow.grants,
            _ => &self.plan.grants,
        }
    }

    fn may_be_labelled(&self, index: NodeIndex, reference: &Reference) -> bool {
        match reference.root.as_str() {
            "env" | "run" | "index" => false,
            "inputs" => self.called || self.callers(index).next().is_some(),
            _ => true,
        }
    }
}
