//! A plan: a graph that was checked against the tools, models and policy at hand, frozen with their hashes. It is data in
//! our own form; editing the workflow's file cannot break a run in flight.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::check;
use super::compile::compile;
use super::definition::{Definition, ModelSpec};
use super::diagnostic::{Diagnostics, did_you_mean};
use super::graph::Graph;
use crate::id::Digest;
use crate::policy::Rule;
use crate::tool::{Effect, ToolSpec, Toolbox};

/// The version of plans written here. Older ones are read, newer ones are refused.
pub const PLAN_VERSION: u32 = 1;

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

/// What a plan is checked against.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Requirements<'a> {
    /// The tools at hand.
    pub tools: &'a Toolbox,
    /// The policy's fingerprint.
    pub policy: String,
}

impl<'a> Requirements<'a> {
    /// Requirements of these tools and a policy with this fingerprint.
    pub fn new(tools: &'a Toolbox, policy: impl Into<String>) -> Self {
        Requirements { tools, policy: policy.into() }
    }
}

/// Values for a workflow's inputs.
pub type Inputs = Map<String, Value>;

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
    pub fn fill_inputs(&self, mut values: Inputs) -> Result<Value, Vec<String>> {
        let properties = self.inputs.get("properties").and_then(Value::as_object);
        let names: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let mut problems = Vec::new();
        for name in values.keys().filter(|name| !names.contains(&name.as_str())) {
            let help = did_you_mean(name, names.iter().copied()).unwrap_or_else(|| "the workflow has no inputs".into());
            problems.push(format!("no input is called `{name}`; {help}"));
        }
        for (name, schema) in properties.into_iter().flatten() {
            if let (false, Some(default)) = (values.contains_key(name), schema.get("default")) {
                values.insert(name.clone(), default.clone());
            }
        }
        let required = self.inputs.get("required").and_then(Value::as_array);
        let required: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
        for name in &required {
            if !values.contains_key(*name) {
                problems.push(format!("the input `{name}` is missing; give it with `--input {name}=…`"));
            }
        }
        let optional = |name: &str, schema: &Value| !required.contains(&name) && schema.get("default").is_none();
        if let (Some(properties), true) = (properties, problems.is_empty()) {
            for (name, schema) in properties {
                // An optional input that is not given is null, so that a workflow can ask for it.
                let value = values.entry(name.clone()).or_insert(Value::Null);
                if value.is_null() && optional(name, schema) {
                    continue;
                }
                if let Err(error) = crate::schema::check(schema, value) {
                    problems.push(format!("the input `{name}` is wrong: {error}"));
                }
            }
        }
        if problems.is_empty() { Ok(Value::Object(values)) } else { Err(problems) }
    }

    /// The tools that are not what they were when the plan was checked, each with what differs.
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
        changed
    }
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

    #[test]
    fn a_plan_of_a_newer_engine_is_refused_with_words() {
        let error = Plan::from_value(json!({"version": 2, "stranger": true})).unwrap_err();
        assert!(error.contains("newer parkway"), "{error}");
        assert!(Plan::from_value(Value::Null).is_err());
    }
}
