//! Checks a compiled workflow against the tools, models and policy at hand, and freezes it into a plan.

mod denied;
mod fit;
mod layout;
mod limits;
mod meaning;
pub(super) mod models;
mod reach;
mod types;
mod unused;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub(crate) use fit::fits;

use super::compile::{Compiled, MAX_STEPS, compile_top, names, too_many_steps};
use super::definition::{Child, SubDef, VerbDef};
use super::diagnostic::{Diagnostic, Place, did_you_mean};
use super::graph::{NodeIndex, Verb};
use super::inputs::{defaults_of, is_closed, refers};
use super::narrow;
use super::plan::{FrozenTool, PLAN_VERSION, Plan, Requirements, spec_hash};
use super::retry::Retry;
use super::template::{Template, Type};
use super::tree::{At, Entries, Tree};
use crate::tool::{Effect, ToolSpec};

/// The plan of a compiled workflow called `name`, and all that is wrong or doubtful.
pub(super) fn check(name: String, compiled: Compiled<'_>, requirements: &Requirements<'_>) -> (Plan, Vec<Diagnostic>) {
    let (plan, problems, _) = check_known(name, compiled, requirements, &mut OwnRuns::new());
    (plan, problems)
}

/// The workflows that run as runs of their own, by their files: one file may be used many times, at many levels.
type OwnRuns = BTreeMap<String, OwnRun>;

/// A workflow that runs as a run of its own.
struct OwnRun {
    plan: Plan,
    /// How many steps it has, with those of all plans in it.
    steps: usize,
    /// The type of what it gives its caller.
    outputs: Type,
}

fn check_known(
    name: String,
    compiled: Compiled<'_>,
    requirements: &Requirements<'_>,
    own_runs: &mut OwnRuns,
) -> (Plan, Vec<Diagnostic>, Type) {
    let steps = compiled.graph.nodes.len();
    let mut checker = Checker { requirements, compiled, tools: BTreeMap::new(), own_runs, steps };
    for i in 0..checker.compiled.graph.nodes.len() {
        checker.check_node(NodeIndex(u32::try_from(i).unwrap_or(u32::MAX)));
    }
    for frame in 0..checker.compiled.frames.len() {
        checker.check_grants(frame);
        checker.check_policy(frame);
    }
    let own = |file: &str| checker.own_runs.get(file).map(|own| own.outputs.clone());
    let types::Known { mut found, named, skipped, outputs } = types::check(&checker.compiled, requirements.tools, &own);
    found.extend(models::check(&checker.compiled, requirements));
    found.extend(layout::check(&checker.compiled));
    found.extend(limits::check(&checker.compiled, &skipped));
    found.extend(reach::check(&checker.compiled));
    found.extend(unused::check(&checker.compiled, &named, requirements.tools));
    for (frame, diagnostic) in found {
        checker.compiled.problem(frame, diagnostic);
    }
    let Checker { compiled, tools, .. } = checker;
    let models = compiled.models();
    let Compiled { graph, frames, mut problems, origins, .. } = compiled;
    let top = frames[0].top;
    let mut plan = Plan {
        version: PLAN_VERSION,
        workflow: name,
        inputs: top.inputs.schema(),
        graph,
        models,
        tools,
        grants: top.tools.to_value().into_iter().collect(),
        env: names(&top.env),
        secrets: names(&top.secrets),
        rules: top.policy.iter().map(|rule| rule.value.clone()).collect(),
        policy: requirements.policy.clone(),
        settings: requirements.settings,
        limits: top.limits(),
        outputs: Value::Object(top.outputs.as_ref().map(|outputs| outputs.value.to_value()).unwrap_or_default()),
        ensure: top.ensure.iter().filter_map(|tree| tree.as_text().map(str::to_owned)).collect(),
    };
    narrow::narrow(&mut plan);
    problems.extend(denied::check(&plan, requirements, &origins, &frames));
    (plan, problems, outputs)
}

struct Checker<'a, 'c> {
    requirements: &'a Requirements<'a>,
    compiled: Compiled<'a>,
    tools: BTreeMap<String, FrozenTool>,
    own_runs: &'c mut OwnRuns,
    /// The steps of the workflow, with those of the plans in it.
    steps: usize,
}

impl<'a> Checker<'a, '_> {
    fn check_node(&mut self, index: NodeIndex) {
        let origin = self.compiled.origin(index);
        let Some(verb) = &origin.step.verb else { return };
        let frame = origin.frame;
        let may_repeat = match verb {
            VerbDef::Tool { name, with } => {
                let effect = self.check_tool(name, with, frame);
                let schema = self.requirements.tools.get(&name.value).map(|tool| tool.spec().input_schema.clone());
                // Where the tool's schema says string, the source text of a scalar is the argument.
                let value = argument_values(&with.value, &schema.unwrap_or(Value::Null));
                self.compiled.graph.nodes[index.0 as usize].verb = Verb::Tool { name: name.value.clone(), with: value };
                matches!(effect, Some(Effect::Pure | Effect::Read))
            }
            VerbDef::Chat(chat) => {
                for tool in &chat.value.tools {
                    self.freeze_tool(tool, frame);
                }
                true
            }
            VerbDef::Workflow(sub) => {
                self.check_sub_workflow(index, sub, frame);
                false
            }
            _ => false,
        };
        let node = &mut self.compiled.graph.nodes[index.0 as usize];
        if may_repeat && node.retry.is_none() {
            node.retry = Some(Retry::times(2));
        }
    }

    /// The spec of a tool that a step names, which becomes part of the plan.
    fn freeze_tool(&mut self, name: &At<String>, frame: usize) -> Option<&'a ToolSpec> {
        let tools = self.requirements.tools;
        let Some(tool) = tools.get(&name.value) else {
            let message = format!("no tool is called `{}`", name.value);
            let mut diagnostic = Diagnostic::new("unknown-tool", name.place, message);
            let known: Vec<_> = tools.iter().map(|tool| tool.spec().name.as_str()).collect();
            diagnostic.help = did_you_mean(&name.value, known);
            self.compiled.problem(frame, diagnostic);
            return None;
        };
        let spec = tool.spec();
        self.tools
            .insert(name.value.clone(), FrozenTool { effect: spec.effect, hash: spec_hash(spec), labels: spec.labels });
        Some(spec)
    }

    fn check_tool(&mut self, name: &At<String>, with: &At<Entries<Tree>>, frame: usize) -> Option<Effect> {
        let spec = self.freeze_tool(name, frame)?;
        let family = spec.family();
        let granted = self.compiled.frames[frame].top.tools.get(family).is_some();
        if spec.effect != Effect::Pure && !granted {
            let message = format!(
                "`{}` has the effect `{}`, and nothing is granted to `{family}`",
                spec.name,
                spec.effect.as_str()
            );
            let help = format!("say what it may use: `tools: {{ {family}: {{ … }} }}`");
            self.compiled.problem(frame, Diagnostic::new("not-granted", name.place, message).help(help));
        }
        let what = format!("`{}`", spec.name);
        self.check_arguments(&what, &spec.input_schema, with, name.place, frame);
        Some(spec.effect)
    }

    /// Names that `what` does not know, names that are missing, and values that are known before the run.
    fn check_arguments(&mut self, what: &str, schema: &Value, with: &At<Entries<Tree>>, place: Place, frame: usize) {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let closed = is_closed(schema);
        for (name, tree) in with.value.iter() {
            match properties.get(&name.value) {
                Some(schema) => self.check_argument(what, &name.value, schema, tree, frame),
                None if closed => {
                    let message = format!("{what} has no argument `{}`", name.value);
                    let mut diagnostic = Diagnostic::new("unknown-argument", name.place, message);
                    diagnostic.help =
                        did_you_mean(&name.value, properties.keys().map(String::as_str).collect::<Vec<_>>());
                    self.compiled.problem(frame, diagnostic);
                }
                None => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if with.value.get(name).is_none() {
                let message = format!("{what} needs the argument `{name}`");
                let help = format!("add it under `with: {{ {name}: … }}`");
                self.compiled.problem(frame, Diagnostic::new("missing-argument", place, message).help(help));
            }
        }
    }

    fn check_argument(&mut self, what: &str, name: &str, schema: &Value, tree: &Tree, frame: usize) {
        let value = tree.value_for(schema);
        let constant = Template::Value(&value).references().is_ok_and(|r| r.is_empty()) && !has_marks(&value);
        // A `$ref` points into the whole schema, which a part of it does not hold.
        if !constant || refers(schema) {
            return;
        }
        if let Err(error) = crate::schema::check(schema, &value) {
            let message = format!("the argument `{name}` of {what} is wrong: {error}");
            self.compiled.problem(frame, Diagnostic::new("bad-argument", tree.place, message));
        }
    }

    fn check_sub_workflow(&mut self, index: NodeIndex, sub: &'a SubDef, frame: usize) {
        let Some(child) = &sub.child else { return };
        let what = format!("`{}`", sub.path.value);
        let mut schema = child.top.inputs.schema();
        let defaults = defaults_of(&schema);
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name.as_str().is_none_or(|name| !defaults.contains(name)));
        }
        self.check_arguments(&what, &schema, &sub.with, sub.path.place, frame);
        let wider = narrow::wider(self.compiled.frames[frame].top, &child.top);
        self.compiled.problems.extend(wider.into_iter().map(|diagnostic| diagnostic.in_file(&child.file)));
        if sub.own_run {
            self.plan_own_run(index, child, sub.path.place, frame);
        }
    }

    /// The plan of a workflow that runs as a run of its own.
    fn plan_own_run(&mut self, index: NodeIndex, child: &'a Child, place: Place, frame: usize) {
        if !self.own_runs.contains_key(&child.file) {
            let known = self.new_own_run(child);
            self.own_runs.insert(child.file.clone(), known);
        }
        let Some(OwnRun { plan, steps, .. }) = self.own_runs.get(&child.file) else { return };
        let before = self.steps;
        self.steps = before.saturating_add(*steps);
        if self.steps > MAX_STEPS {
            // Told once; a plan in a plan is a copy, and there could be more of them than fit into memory.
            if before <= MAX_STEPS {
                self.compiled.problem(frame, too_many_steps(place));
            }
        } else if let Verb::Workflow(sub) = &mut self.compiled.graph.nodes[index.0 as usize].verb {
            sub.own_run = Some(Box::new(plan.clone()));
        }
    }

    fn new_own_run(&mut self, child: &'a Child) -> OwnRun {
        let name = child.top.name.clone().unwrap_or_else(|| {
            let name = child.file.rsplit('/').next().unwrap_or(&child.file);
            name.split('.').next().unwrap_or(name).to_owned()
        });
        let compiled = compile_top(&child.top, Some(&child.file));
        // What policy says of its calls is told at the step: there the rules of all callers are known.
        let requirements = Requirements { rules: None, ..self.requirements.clone() };
        let (plan, problems, outputs) = check_known(name, compiled, &requirements, self.own_runs);
        self.compiled.problems.extend(problems);
        let steps = plan.steps();
        OwnRun { plan, steps, outputs }
    }

    /// Patterns, labels and examples of the file's rules.
    fn check_policy(&mut self, frame: usize) {
        for (index, rule) in self.compiled.frames[frame].top.policy.iter().enumerate() {
            for problem in rule.value.problems() {
                let message = format!("the rule `policy[{index}]`: {problem}");
                self.compiled.problem(frame, Diagnostic::new("bad-rule", rule.place, message));
            }
        }
    }

    fn check_grants(&mut self, frame: usize) {
        let tools = self.requirements.tools;
        let families: BTreeSet<_> = tools.iter().map(|tool| tool.spec().family()).collect();
        for (family, grants) in self.compiled.frames[frame].top.tools.iter() {
            let grants = grants.to_value();
            let mut of_family = tools.iter().filter(|tool| tool.spec().family() == family.value);
            if let Some(wrong) = of_family.find_map(|tool| tool.reach(&grants).err()) {
                self.compiled.problem(frame, Diagnostic::new("bad-grant", family.place, wrong.message));
            }
            if !families.contains(family.value.as_str()) {
                let message = format!("no tools are called `{}.…`", family.value);
                let mut diagnostic = Diagnostic::new("unknown-family", family.place, message);
                diagnostic.help = did_you_mean(&family.value, families.iter().copied().collect::<Vec<_>>());
                self.compiled.problem(frame, diagnostic);
            }
        }
    }
}

fn argument_values(with: &Entries<Tree>, schema: &Value) -> Value {
    let properties = schema.get("properties");
    let of = |name: &str| properties.and_then(|properties| properties.get(name)).unwrap_or(&Value::Null);
    Value::Object(with.iter().map(|(name, tree)| (name.value.clone(), tree.value_for(of(&name.value)))).collect())
}

fn has_marks(value: &Value) -> bool {
    let text = value.to_string();
    text.contains("${{") || text.contains("{%")
}
