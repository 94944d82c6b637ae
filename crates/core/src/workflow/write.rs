//! A workflow written as a file: everything of a plan that a file can say, in its normal form. Prompts that came from files
//! stand in it as texts, and what `defaults` said stands at each step. Values in the shape of a file are read by the same
//! reader as files.

mod asking;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::compile::{compile, expression_or_value};
use super::definition::{Definition, ModelSpec};
use super::diagnostic::Diagnostics;
use super::field::short_form;
use super::graph::{Graph, Node, NodeIndex, OnError, OnItemError, RunIf, SubWorkflow, Verb, Wait};
use super::plan::{Limits, Plan};
use super::retry::Retry;
use super::template::Template;
use super::unit::write_duration;
use crate::policy::Rule;

impl Plan {
    /// The plan as a workflow file. Reading and checking it again makes the same graph, but for the names of the files that
    /// prompts came from; hashes of tools, policy and settings are not a file's to say. Paths of other workflows stay as
    /// they are: they are relative to where the file stood.
    pub fn to_yaml(&self) -> String {
        let file = File {
            name: &self.workflow,
            description: None,
            inputs: &self.inputs,
            env: json!(self.env),
            secrets: json!(self.secrets),
            models: &self.models,
            grants: json!(self.grants),
            rules: &self.rules,
            limits: &self.limits,
            graph: &self.graph,
            outputs: self.outputs.clone(),
            ensure: json!(self.ensure),
        };
        file.to_yaml()
    }
}

impl Definition {
    /// The definition as a file of its own, in the normal form of [`Plan::to_yaml`]. It need not check.
    pub fn to_yaml(&self) -> String {
        let compiled = compile(self);
        let top = &self.top;
        let rules: Vec<_> = top.policy.iter().map(|rule| rule.value.clone()).collect();
        let file = File {
            name: &self.name(),
            description: self.description(),
            inputs: &top.inputs.schema(),
            env: top.env.iter().map(|name| name.value.as_str()).collect(),
            secrets: top.secrets.iter().map(|name| name.value.as_str()).collect(),
            models: &self.models(),
            grants: Value::Object(top.tools.to_value()),
            rules: &rules,
            limits: &top.limits(),
            graph: &compiled.graph,
            outputs: top.outputs.as_ref().map_or(Value::Null, |outputs| Value::Object(outputs.value.to_value())),
            ensure: top.ensure.iter().map(super::tree::Tree::to_value).collect(),
        };
        file.to_yaml()
    }

    /// Reads a workflow from a value in the shape of a file; `read` is as for [`Definition::parse`]. `name` is what messages
    /// call it; they quote the lines of the file that the value would be.
    pub fn from_value(
        name: &str,
        value: &Value,
        read: impl FnMut(&str) -> Result<String, String>,
    ) -> Result<Definition, Diagnostics> {
        Definition::parse(name, &yaml(value), read)
    }
}

/// All that a file says at its top.
struct File<'a> {
    name: &'a str,
    description: Option<&'a str>,
    inputs: &'a Value,
    env: Value,
    secrets: Value,
    models: &'a BTreeMap<String, ModelSpec>,
    grants: Value,
    rules: &'a [Rule],
    limits: &'a Limits,
    graph: &'a Graph,
    outputs: Value,
    ensure: Value,
}

impl File<'_> {
    fn to_yaml(&self) -> String {
        let mut top = Map::new();
        let mut put = |key: &str, value: Value| {
            let empty = match &value {
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                Value::Null => true,
                _ => false,
            };
            if !empty {
                top.insert(key.into(), value);
            }
        };
        put("parkway", json!(1));
        put("name", json!(self.name));
        put("description", json!(self.description));
        let (key, inputs) = schema(self.inputs, "inputs", "input_schema");
        put(key, inputs);
        put("env", self.env.clone());
        put("secrets", self.secrets.clone());
        put("models", self.models.iter().map(|(name, spec)| (name.clone(), model(spec))).collect());
        put("tools", self.grants.clone());
        put("policy", json!(self.rules));
        put("budget", budget(self.limits));
        put("deadline", self.limits.deadline_ms.map_or(Value::Null, |ms| json!(write_duration(ms))));
        put("steps", Writer { graph: self.graph, implied: implied(self.graph) }.steps(&self.graph.roots));
        put("outputs", self.outputs.clone());
        put("ensure", self.ensure.clone());
        yaml(&Value::Object(top))
    }
}

fn model(spec: &ModelSpec) -> Value {
    let mut value = json!(spec);
    // A file names the secret, so that nobody takes it for the key itself.
    if let Some(key) = value.pointer_mut("/openai/key") {
        *key = json!(format!("${{{{ secrets.{} }}}}", key.as_str().unwrap_or_default()));
    }
    value
}

/// A value as YAML, as this crate writes files.
pub fn yaml(value: &Value) -> String {
    let options = serde_saphyr::ser_options! {
        compact_list_indent: false,
        // A folded text is not always read as it was.
        folded_wrap_chars: usize::MAX,
    };
    let mut text = String::new();
    match serde_saphyr::to_fmt_writer_with_options(&mut text, value, options) {
        Ok(()) => text,
        // JSON is YAML, too.
        Err(_) => format!("{value:#}\n"),
    }
}

/// A schema in its short form under `short`, where that says it all, else as it is under `long`.
fn schema<'k>(schema: &Value, short: &'k str, long: &'k str) -> (&'k str, Value) {
    short_form(schema).map_or_else(|| (long, schema.clone()), |fields| (short, Value::Object(fields)))
}

fn budget(limits: &Limits) -> Value {
    let mut budget = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            budget.insert(key.into(), value);
        }
    };
    put("tokens", limits.tokens.map(|n| json!(n)));
    put("tool_calls", limits.tool_calls.map(|n| json!(n)));
    put("money", limits.money_micro.map(|micro| json!(micro as f64 / 1e6)));
    put("wall", limits.wall_ms.map(|ms| json!(write_duration(ms))));
    Value::Object(budget)
}

struct Writer<'a> {
    graph: &'a Graph,
    /// What a step waits for since its templates name it: no need to say it again.
    implied: BTreeSet<(NodeIndex, NodeIndex)>,
}

impl Writer<'_> {
    fn steps(&self, members: &[NodeIndex]) -> Value {
        let step = |index: &NodeIndex| (self.graph.node(*index).id.clone(), Value::Object(self.step(*index)));
        Value::Object(members.iter().map(step).collect())
    }

    fn step(&self, index: NodeIndex) -> Map<String, Value> {
        let node = self.graph.node(index);
        let mut step = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                step.insert(key.into(), value);
            }
        };
        put("description", node.description.as_ref().map(|text| json!(text)));
        let needs = node.after.iter().filter(|after| !self.implied.contains(&(index, **after)));
        let needs: Vec<_> = needs.map(|after| json!(self.graph.node(*after).id)).collect();
        put("needs", (!needs.is_empty()).then_some(Value::Array(needs)));
        put("if", node.condition.clone());
        let run_if = match node.run_if {
            RunIf::Completed => None,
            RunIf::Failed => Some("failed"),
            RunIf::NotRejected => Some("not_rejected"),
            RunIf::Always => Some("always"),
        };
        put("run_if", run_if.map(|run_if| json!(run_if)));
        if let Some(for_each) = &node.for_each {
            put("for_each", Some(for_each.list.clone()));
            put("as", Some(json!(for_each.item)));
            put("key", for_each.key.as_ref().map(|key| json!(key)));
            put("max_parallel", Some(json!(for_each.max_parallel)));
            put("on_item_error", (for_each.on_item_error == OnItemError::Collect).then(|| json!("collect")));
        }
        put(
            "repeat",
            node.repeat.as_ref().map(|repeat| {
                let mut parts =
                    Map::from_iter([("until".into(), repeat.until.clone()), ("max".into(), json!(repeat.max))]);
                if repeat.delay_ms > 0 {
                    parts.insert("delay".into(), json!(write_duration(repeat.delay_ms)));
                }
                Value::Object(parts)
            }),
        );
        for (key, value) in self.verb(node) {
            put(key, Some(value));
        }
        put("retry", node.retry.as_ref().map(retry));
        let usual = match &node.verb {
            Verb::Tool { .. } => Some(120_000),
            Verb::Chat(_) => Some(600_000),
            _ => None,
        };
        put("timeout", node.timeout_ms.filter(|ms| Some(*ms) != usual).map(|ms| json!(write_duration(ms))));
        put("on_error", (node.on_error == OnError::Continue).then(|| json!("continue")));
        step
    }

    fn verb(&self, node: &Node) -> Vec<(&'static str, Value)> {
        let object = |parts: Vec<(&str, Option<Value>)>| {
            let parts = parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
            Value::Object(parts.collect())
        };
        let timeout = |ms: &Option<u64>| ms.map(|ms| json!(write_duration(ms)));
        match &node.verb {
            Verb::Tool { name, with } => vec![("tool", json!(name)), ("with", with.clone())],
            Verb::Chat(asked) => vec![("chat", object(asking::chat(asked)))],
            Verb::Set { values } => vec![("set", values.clone())],
            Verb::Approve { prompt, timeout_ms, show } => {
                let parts =
                    vec![("prompt", Some(json!(prompt))), ("timeout", timeout(timeout_ms)), ("show", show.clone())];
                vec![("approve", object(parts))]
            }
            Verb::Input { prompt, form, filled, timeout_ms } => {
                let (key, mut form) = schema(form, "output", "output_schema");
                for (name, template) in filled {
                    if let Some(field) = form.get_mut(name).and_then(Value::as_object_mut) {
                        field.shift_remove("optional");
                        field.insert("default".into(), template.clone());
                    }
                }
                let prompt = ("prompt", Some(json!(prompt)));
                vec![("input", object(vec![prompt, (key, Some(form)), ("timeout", timeout(timeout_ms))]))]
            }
            Verb::Wait(Wait::For(ms)) => vec![("wait", json!(write_duration(*ms)))],
            Verb::Wait(Wait::Until(time)) => vec![("wait", json!({ "until": time }))],
            Verb::Wait(Wait::Signal { name, timeout_ms }) => {
                vec![("wait", object(vec![("signal", Some(json!(name))), ("timeout", timeout(timeout_ms))]))]
            }
            Verb::Workflow(workflow) => sub_workflow(workflow),
            Verb::Goal(asked) => vec![(node.verb.name(), object(asking::goal(asked)))],
            // Only runs have turns.
            Verb::Turn(_) => Vec::new(),
            Verb::Steps { members, result } => {
                let steps = ("steps", self.steps(members));
                std::iter::once(steps).chain(result.clone().map(|result| ("result", result))).collect()
            }
        }
    }
}

fn sub_workflow(workflow: &SubWorkflow) -> Vec<(&'static str, Value)> {
    let mut parts = vec![("workflow", json!(workflow.path)), ("with", workflow.with.clone())];
    // Its plan is made when the definition is checked; before, it is known by its steps being elsewhere.
    if workflow.own_run.is_some() || workflow.members.is_empty() {
        parts.push(("own_run", json!(true)));
    }
    parts
}

fn retry(retry: &Retry) -> Value {
    if *retry == Retry::times(retry.max) {
        return json!(retry.max);
    }
    let mut parts = json!({
        "max": retry.max,
        "initial": write_duration(retry.initial_ms),
        "factor": f64::from(retry.factor_percent) / 100.0,
        "limit": write_duration(retry.limit_ms),
    });
    if !retry.on.is_empty() {
        parts["on"] = json!(retry.on);
    }
    parts
}

/// Which steps wait for which since their own templates, or those of steps inside them, name them.
fn implied(graph: &Graph) -> BTreeSet<(NodeIndex, NodeIndex)> {
    let mut implied = BTreeSet::new();
    for (index, node) in graph.iter() {
        // The steps of another workflow see only each other.
        let enclosing = std::iter::successors(node.parent, |group| graph.node(*group).parent);
        if enclosing.clone().any(|group| matches!(graph.node(group).verb, Verb::Workflow(_))) {
            continue;
        }
        let beside: Vec<_> = beside(node).into_iter().map(|template| (node.parent, template)).collect();
        let inside = match &node.verb {
            Verb::Steps { result: Some(result), .. } => vec![(Some(index), Template::Value(result))],
            _ => Vec::new(),
        };
        for (scope, template) in beside.into_iter().chain(inside) {
            for reference in template.references().unwrap_or_default() {
                let Some(id) = reference.path.first().filter(|_| reference.root == "steps") else { continue };
                let mut scopes =
                    std::iter::successors(Some(scope), |scope| scope.map(|group| graph.node(group).parent));
                let Some(found) = scopes.find_map(|scope| graph.find(scope, id)) else { continue };
                let level = graph.node(found).parent;
                let mut steps = std::iter::successors(Some(index), |step| graph.node(*step).parent);
                if let Some(step) = steps.find(|step| graph.node(*step).parent == level) {
                    implied.insert((step, found));
                }
            }
        }
    }
    implied
}

/// The templates of a step that see what stands beside it.
fn beside(node: &Node) -> Vec<Template<'_>> {
    let mut templates = Vec::new();
    templates.extend(node.condition.as_ref().map(expression_or_value));
    if let Some(for_each) = &node.for_each {
        templates.push(expression_or_value(&for_each.list));
        templates.extend(for_each.key.as_deref().map(Template::Expression));
    }
    templates.extend(node.repeat.as_ref().map(|repeat| expression_or_value(&repeat.until)));
    match &node.verb {
        Verb::Tool { with: value, .. } | Verb::Set { values: value } => templates.push(Template::Value(value)),
        Verb::Workflow(workflow) => templates.push(Template::Value(&workflow.with)),
        Verb::Chat(chat) => templates.extend(chat.messages.iter().map(|message| Template::Text(&message.content.text))),
        Verb::Approve { prompt, show, .. } => {
            templates.push(Template::Text(prompt));
            templates.extend(show.as_ref().map(Template::Value));
        }
        Verb::Input { prompt, filled, .. } => {
            templates.push(Template::Text(prompt));
            templates.extend(filled.values().map(Template::Value));
        }
        Verb::Wait(Wait::Until(text) | Wait::Signal { name: text, .. }) => {
            templates.push(Template::Text(text));
        }
        Verb::Goal(goal) => templates.push(Template::Text(&goal.goal.text)),
        Verb::Wait(Wait::For(_)) | Verb::Steps { .. } | Verb::Turn(_) => {}
    }
    templates
}
