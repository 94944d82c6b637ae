//! A plan: a graph that was checked against the tools, models and policy at hand, frozen with their hashes. It is data in
//! our own form; editing the workflow's file cannot break a run in flight.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check::check;
use super::compile::compile;
use super::definition::{Definition, ModelSpec};
use super::diagnostic::Diagnostics;
use super::graph::{Graph, NodeIndex, Verb};
use super::inputs::{Inputs, fill_inputs};
use crate::id::Digest;
use crate::label::Labels;
use crate::model::SharedModel;
use crate::policy::{Policy, Rule};
use crate::schema::{self, check_depth};
use crate::tool::{Effect, ToolSpec, Toolbox};

/// The version of plans written here. Older ones are read, newer ones are refused.
pub const PLAN_VERSION: u32 = 2;

/// A checked, frozen workflow: what a run is created with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The version of this form.
    pub version: u32,
    /// The workflow's name.
    pub workflow: String,
    /// JSON Schema of the inputs: an object.
    pub inputs: Value,
    /// The steps.
    pub graph: Graph,
    /// Where each model comes from, by its name in the workflow.
    pub models: BTreeMap<String, ModelSpec>,
    /// The tools that the steps call, as they were when the plan was checked.
    pub tools: BTreeMap<String, FrozenTool>,
    /// What is granted to each family of tools.
    pub grants: BTreeMap<String, Value>,
    /// Names of environment variables that templates may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Names of secrets that templates may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The workflow's own rules, which only tighten the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// What the policy was when the plan was checked.
    pub policy: String,
    /// SHA-256 of the site settings that applied when the plan was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Digest>,
    /// What a run may use.
    pub limits: Limits,
    /// The workflow's outputs, with templates at the leaves.
    pub outputs: Value,
    /// Expressions that must be true when all steps have ended.
    pub ensure: Vec<String>,
}

/// A tool as it was when a plan was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FrozenTool {
    /// Its effect.
    pub effect: Effect,
    /// SHA-256 of its whole spec.
    pub hash: Digest,
    /// Labels of everything that it returns, and of the words of its errors.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// What a run may use; no limit where absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Prompt and output tokens of all model calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Calls of tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<u64>,
    /// Time with steps running, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    /// What priced model calls may cost, in millionths of the currency unit of the models' prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money_micro: Option<u64>,
    /// All time from the run's creation, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Limits::default()
    }
}

/// What a plan is checked against.
#[derive(Clone)]
#[non_exhaustive]
pub struct Requirements<'a> {
    /// The tools at hand.
    pub tools: &'a Toolbox,
    /// The policy's fingerprint.
    pub policy: String,
    /// The policy itself, where a call that it forbids whatever its arguments are is to be an error.
    pub rules: Option<&'a dyn Policy>,
    /// SHA-256 of the site settings that apply.
    pub settings: Option<Digest>,
    /// Models that are at hand already, by their names in workflows: what they can do is checked, and prompts are counted by
    /// their tokenizers. Others are taken at the workflow's word.
    pub models: BTreeMap<String, SharedModel>,
}

impl fmt::Debug for Requirements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<_> = self.models.keys().collect();
        let mut debug = f.debug_struct("Requirements");
        debug.field("tools", &self.tools).field("policy", &self.policy).field("settings", &self.settings);
        debug.field("models", &models).finish()
    }
}

impl<'a> Requirements<'a> {
    /// Requirements of these tools and a policy with this fingerprint.
    pub fn new(tools: &'a Toolbox, policy: impl Into<String>) -> Self {
        Requirements { tools, policy: policy.into(), rules: None, settings: None, models: BTreeMap::new() }
    }
}

impl Plan {
    /// Checks a definition against what is at hand. All that is wrong is told at once.
    pub fn check(definition: &Definition, requirements: &Requirements<'_>) -> Result<Plan, Diagnostics> {
        let (plan, problems) = Plan::check_all(definition, requirements);
        plan.ok_or(problems)
    }

    /// The same, with what is doubtful in a workflow that can be run.
    pub fn check_all(definition: &Definition, requirements: &Requirements<'_>) -> (Option<Plan>, Diagnostics) {
        let (plan, mut problems) = check(definition.name(), compile(definition), requirements);
        let plan = problems.iter().all(|problem| !problem.is_error()).then_some(plan);
        problems.extend(definition.warnings.iter().cloned());
        (plan, definition.diagnostics(problems))
    }

    /// The plan in a payload. A newer version than [`PLAN_VERSION`] is refused before its form is looked at.
    pub fn from_value(value: Value) -> Result<Plan, String> {
        match value.get("version").and_then(Value::as_u64) {
            Some(version) if version > u64::from(PLAN_VERSION) => Err(format!(
                "it has version {version}, and this parkway reads up to {PLAN_VERSION}; use the newer parkway that wrote it"
            )),
            Some(1) => serde_json::from_value(upcast(value)).map_err(|e| e.to_string()),
            _ => serde_json::from_value(value).map_err(|e| e.to_string()),
        }
    }

    /// SHA-256 of the whole plan, in canonical JSON.
    pub fn hash(&self) -> Digest {
        // A plan has only string keys and finite numbers, so that it always has a canonical form.
        let bytes = serde_json_canonicalizer::to_vec(self).unwrap_or_default();
        Digest::of(&[b"parkway-plan-1\0", &bytes])
    }

    /// The inputs with their defaults filled in, and null for optional ones that are not given; or all that is wrong with
    /// them.
    pub fn fill_inputs(&self, values: Inputs) -> Result<Value, Vec<String>> {
        fill_inputs(&self.inputs, values, |name| format!("give it with `--input {name}=…`"))
    }

    /// The most that its tools, and those of the plans in it, do to the world.
    pub(crate) fn effect(&self) -> Effect {
        let inner = self.graph.nodes.iter().flat_map(|node| node.verb.own_runs()).map(Plan::effect);
        self.tools.values().map(|tool| tool.effect).chain(inner).max().unwrap_or(Effect::Pure)
    }

    /// How many steps it has, those of the plans in it too.
    pub(super) fn steps(&self) -> usize {
        let plans = self.graph.nodes.iter().flat_map(|node| node.verb.own_runs());
        plans.fold(self.graph.nodes.len(), |steps, plan| steps.saturating_add(plan.steps()))
    }

    /// Whether a call that a node makes could have returned this value; if not, a lowercase fragment that names the tool and the
    /// place. A tool that is not among these, or is another one than the plan's, is not asked.
    pub fn check_output(&self, node: NodeIndex, tools: &Toolbox, value: &Value) -> Result<(), String> {
        check_depth(value)?;
        let Verb::Tool { name, .. } = &self.graph.node(node).verb else { return Ok(()) };
        match (tools.get(name), self.tools.get(name)) {
            (Some(tool), Some(frozen)) if spec_hash(tool.spec()) == frozen.hash => {
                schema::check(&tool.spec().output_schema, value)
                    .map_err(|error| format!("`{name}` cannot have returned this: {error}"))
            }
            _ => Ok(()),
        }
    }

    /// The tools that are not what they were when the plan was checked, each with what differs: a run of the plan cannot go on
    /// with these.
    pub fn changed_tools(&self, tools: &Toolbox) -> Vec<String> {
        let mut changed = Vec::new();
        for (name, frozen) in &self.tools {
            match tools.get(name) {
                None => changed.push(format!("the tool `{name}` is not registered")),
                Some(tool) if spec_hash(tool.spec()) != frozen.hash => {
                    changed.push(format!("the tool `{name}` has another description, schema or effect"));
                }
                Some(_) => {}
            }
        }
        for child in self.graph.nodes.iter().flat_map(|node| node.verb.own_runs()) {
            changed.extend(child.changed_tools(tools));
        }
        changed
    }
}

/// A plan of version 1 in today's form: a chat had one prompt, with or without a system text.
fn upcast(mut plan: Value) -> Value {
    let nodes = plan.pointer_mut("/graph/nodes").and_then(Value::as_array_mut);
    for node in nodes.into_iter().flatten() {
        let Some(chat) = node.pointer_mut("/verb/chat").and_then(Value::as_object_mut) else { continue };
        let Some(mut prompt) = chat.remove("prompt") else { continue };
        let mut said = |role: &str| prompt.get_mut(role).map(|text| json!({ "role": role, "content": text.take() }));
        let messages: Vec<Value> = ["system", "user"].into_iter().filter_map(&mut said).collect();
        chat.insert("messages".into(), Value::Array(messages));
    }
    plan["version"] = json!(PLAN_VERSION);
    plan
}

/// SHA-256 of a tool's spec, in canonical JSON.
pub(super) fn spec_hash(spec: &ToolSpec) -> Digest {
    let bytes = serde_json_canonicalizer::to_vec(spec).unwrap_or_default();
    Digest::of(&[b"parkway-tool-1\0", &bytes])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workflow::Verb;

    #[test]
    fn a_plan_of_a_newer_engine_is_refused_with_words() {
        let error = Plan::from_value(json!({"version": PLAN_VERSION + 1, "stranger": true})).unwrap_err();
        assert!(error.contains("newer parkway"), "{error}");
        assert!(Plan::from_value(Value::Null).is_err());
    }

    #[test]
    fn a_plan_of_an_older_engine_can_still_be_read() {
        let text = |text: &str| json!({"text": text});
        let node = |id: &str, prompt: Value| {
            let chat = json!({"model": "main", "prompt": prompt, "temperature_milli": 0, "max_tokens": 9});
            json!({"id": id, "verb": {"chat": chat}})
        };
        let nodes = [
            node("both", json!({"system": text("be brief"), "user": text("hello")})),
            node("one", json!({"user": {"text": "hi", "file": "hi.md"}})),
        ];
        let plan = json!({
            "version": 1, "workflow": "old", "inputs": {"type": "object"},
            "graph": {"nodes": nodes, "roots": [0, 1]},
            "models": {"main": {}}, "tools": {}, "grants": {}, "policy": "default-1", "limits": {},
            "outputs": {}, "ensure": [],
        });
        let plan = Plan::from_value(plan).unwrap();
        assert_eq!(plan.version, PLAN_VERSION);
        let said = |node: usize| match &plan.graph.nodes[node].verb {
            Verb::Chat(chat) => chat
                .messages
                .iter()
                .map(|message| (message.role.as_str(), message.content.text.as_str(), message.content.file.is_some()))
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(said(0), [("system", "be brief", false), ("user", "hello", false)]);
        assert_eq!(said(1), [("user", "hi", true)]);
    }
}
