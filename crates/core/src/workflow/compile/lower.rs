//! From steps to nodes.

use std::time::Duration;

use serde_json::Value;

use super::{Compiled, Frame, MAX_STEPS, Origin, suggest};
use crate::id::is_step_id;
use crate::workflow::definition::{ChatDef, Child, ForEachDef, RetryDef, StepDef, SubDef, VerbDef, WaitDef};
use crate::workflow::diagnostic::{Diagnostic, Place};
use crate::workflow::graph::{Chat, ForEach, Message, Node, NodeIndex, OnError, Repeat, SubWorkflow, Text, Verb, Wait};
use crate::workflow::retry::Retry;
use crate::workflow::tree::{At, Entries};

/// Names that an item may not have: those of roots and functions, and the words of expressions.
const TAKEN: [&str; 21] = [
    "inputs", "steps", "env", "secrets", "run", "index", "previous", "loop", "dict", "get", "range", "and", "else",
    "false", "if", "in", "is", "none", "not", "or", "true",
];

impl<'a> Compiled<'a> {
    pub(super) fn add_steps(
        &mut self,
        steps: &'a Entries<StepDef>,
        parent: Option<NodeIndex>,
        frame: usize,
    ) -> Vec<NodeIndex> {
        steps.iter().filter_map(|(id, step)| self.add_step(id, step, parent, frame)).collect()
    }

    fn add_step(
        &mut self,
        id: &'a At<String>,
        step: &'a StepDef,
        parent: Option<NodeIndex>,
        frame: usize,
    ) -> Option<NodeIndex> {
        if self.graph.nodes.len() >= MAX_STEPS {
            if self.graph.nodes.len() == MAX_STEPS && !self.problems.iter().any(|p| p.code == "too-many-steps") {
                self.problem(frame, too_many_steps(id.place));
            }
            return None;
        }
        self.check_id(id, parent, frame);
        let index = NodeIndex(u32::try_from(self.graph.nodes.len()).unwrap_or(u32::MAX));
        self.names.entry(parent).or_default().insert(&id.value, index);
        let defaults = &self.frames[frame].top.defaults;
        let calls = matches!(step.verb, Some(VerbDef::Tool { .. } | VerbDef::Chat(_)));
        let retry = step.retry.as_ref().or(defaults.retry.as_ref().filter(|_| calls));
        let retry = retry.map(|retry| retry_of(&retry.value));
        let timeout = step.timeout.as_ref().or(defaults.timeout.as_ref().filter(|_| calls));
        let timeout_ms = match (timeout, &step.verb) {
            (Some(timeout), _) => Some(millis(timeout.value)),
            (None, Some(VerbDef::Tool { .. })) => Some(120_000),
            (None, Some(VerbDef::Chat(_))) => Some(600_000),
            (None, _) => None,
        };
        let for_each = step.for_each.as_ref().map(|for_each| self.for_each(for_each, frame));
        let repeat = step.repeat.as_ref().map(|repeat| Repeat {
            until: repeat.value.until.to_value(),
            max: repeat.value.max.value,
            delay_ms: repeat.value.delay.as_ref().map_or(0, |delay| millis(delay.value)),
        });
        // The place is taken before the members are added, so that a group stands before them.
        self.graph.nodes.push(Node {
            id: id.value.clone(),
            description: step.description.clone(),
            parent,
            verb: Verb::Set { values: Value::Null },
            after: Vec::new(),
            run_if: step.run_if.as_ref().map(|run_if| run_if.value).unwrap_or_default(),
            condition: step.condition.as_ref().map(super::Tree::to_value),
            for_each,
            repeat,
            retry,
            timeout_ms,
            on_error: step.on_error.as_ref().map(|on_error| on_error.value).unwrap_or_default(),
        });
        self.origins.push(Origin { step, place: id.place, frame });
        let verb = step.verb.as_ref().and_then(|verb| self.verb(verb, index, frame));
        self.check_beside(step, frame);
        if let Some(verb) = verb {
            self.graph.nodes[index.0 as usize].verb = verb;
        }
        Some(index)
    }

    fn check_id(&mut self, id: &At<String>, parent: Option<NodeIndex>, frame: usize) {
        if !is_step_id(&id.value) {
            let message = format!("`{}` cannot name a step", id.value);
            let help = "ids are lower-case: [a-z][a-z0-9_]*";
            self.problem(frame, Diagnostic::new("bad-id", id.place, message).help(help));
        }
        // A workflow within another one does not see its ids.
        let outermost = self.frames[frame].node;
        let mut enclosing = parent;
        while let Some(group) = enclosing.filter(|group| Some(*group) != outermost) {
            if self.graph.node(group).id == id.value {
                let message = format!("`{}` is the id of a group that encloses this step", id.value);
                self.problem(frame, Diagnostic::new("duplicate-id", id.place, message).help("rename one of them"));
            }
            enclosing = self.graph.node(group).parent;
        }
    }

    /// What cannot stand beside a verb.
    fn check_beside(&mut self, step: &StepDef, frame: usize) {
        let Some(verb) = &step.verb else { return };
        let name = verb.name();
        if let Some(retry) = step.retry.as_ref().filter(|_| !matches!(verb, VerbDef::Tool { .. } | VerbDef::Chat(_))) {
            let message = format!("`retry` cannot stand beside `{name}`");
            let help = match verb {
                VerbDef::Goal(_) => "its calls are tried again by themselves, and a plan is mended: `max_replans`",
                _ => "write it beside the steps that call something",
            };
            self.problem(frame, Diagnostic::new("bad-retry", retry.place, message).help(help));
        }
        let own = match verb {
            VerbDef::Approve(_) | VerbDef::Input(_) => Some(format!("write it inside `{name}`")),
            VerbDef::Wait(_) => Some("a duration is a limit itself; a signal's stands inside `wait`".to_owned()),
            VerbDef::Set(_) => Some("remove it: nothing is waited for".to_owned()),
            _ => None,
        };
        if let (Some(timeout), Some(help)) = (&step.timeout, own) {
            let message = format!("`timeout` cannot stand beside `{name}`");
            self.problem(frame, Diagnostic::new("bad-timeout", timeout.place, message).help(help));
        }
        if let (Some(on_error), VerbDef::Approve(_)) = (&step.on_error, verb)
            && on_error.value == OnError::Continue
        {
            let message = "`on_error: continue` on an `approve` would turn silence into consent";
            let help = "remove it, and give what follows a `run_if`";
            self.problem(frame, Diagnostic::new("approve-continue", on_error.place, message).help(help));
        }
    }

    fn for_each(&mut self, def: &ForEachDef, frame: usize) -> ForEach {
        let item = def.item.as_ref().map_or("item", |name| name.value.as_str());
        if let Some(name) = def.item.as_ref().filter(|_| !is_step_id(item) || TAKEN.contains(&item)) {
            let message = format!("an item cannot be called `{item}`");
            let help = "take another name: [a-z][a-z0-9_]*, no root, function or word of expressions";
            self.problem(frame, Diagnostic::new("bad-id", name.place, message).help(help));
        }
        let max_parallel = def.max_parallel.as_ref().or(self.frames[frame].top.defaults.max_parallel.as_ref());
        ForEach {
            list: def.list.to_value(),
            item: item.to_owned(),
            key: def.key.as_ref().and_then(|key| key.as_text()).map(str::to_owned),
            max_parallel: max_parallel.map_or(8, |max| max.value.max(1)),
            on_item_error: def.on_item_error,
        }
    }

    fn verb(&mut self, verb: &'a VerbDef, index: NodeIndex, frame: usize) -> Option<Verb> {
        Some(match verb {
            VerbDef::Tool { name, with } => {
                Verb::Tool { name: name.value.clone(), with: Value::Object(with.value.to_value()) }
            }
            VerbDef::Chat(chat) => Verb::Chat(self.chat(&chat.value, chat.place, frame)),
            VerbDef::Goal(goal) => Verb::Goal(Box::new(self.goal(&goal.value, goal.place, frame))),
            VerbDef::Set(values) => Verb::Set { values: Value::Object(values.value.to_value()) },
            VerbDef::Approve(approve) => Verb::Approve {
                prompt: approve.value.prompt.as_text().unwrap_or_default().to_owned(),
                timeout_ms: approve.value.timeout.as_ref().map(|timeout| millis(timeout.value)),
                show: approve.value.show.as_ref().map(super::Tree::to_value),
            },
            VerbDef::Input(input) => Verb::Input {
                prompt: input.value.prompt.as_text().unwrap_or_default().to_owned(),
                form: input.value.form.schema(),
                filled: input.value.form.filled().map(|(name, tree)| (name.to_owned(), tree.to_value())).collect(),
                timeout_ms: input.value.timeout.as_ref().map(|timeout| millis(timeout.value)),
            },
            VerbDef::Wait(wait) => Verb::Wait(match &wait.value {
                WaitDef::For(duration) => Wait::For(millis(*duration)),
                WaitDef::Until(time) => Wait::Until(time.as_text().unwrap_or_default().to_owned()),
                WaitDef::Signal { name, timeout } => Wait::Signal {
                    name: name.as_text().unwrap_or_default().to_owned(),
                    timeout_ms: timeout.as_ref().map(|timeout| millis(timeout.value)),
                },
            }),
            VerbDef::Steps { steps, result } => {
                let members = self.add_steps(steps, Some(index), frame);
                if steps.is_empty() {
                    let place = self.origin(index).place;
                    self.problem(frame, Diagnostic::new("no-steps", place, "this group has no steps"));
                }
                Verb::Steps { members, result: result.as_ref().map(super::Tree::to_value) }
            }
            VerbDef::Workflow(sub) => self.sub_workflow(sub, index)?,
        })
    }

    fn sub_workflow(&mut self, sub: &'a SubDef, index: NodeIndex) -> Option<Verb> {
        let child = sub.child.as_ref()?;
        let top = &child.top;
        let mut workflow = described(sub, child);
        // One that is a run of its own has a plan of its own.
        if !sub.own_run {
            let frame = self.frames.len();
            self.frames.push(Frame { top, file: Some(&child.file), node: Some(index) });
            if top.steps.is_empty() {
                self.problem(frame, Diagnostic::new("no-steps", None, "the workflow has no steps"));
            }
            workflow.members = self.add_steps(&top.steps, Some(index), frame);
        }
        Some(Verb::Workflow(Box::new(workflow)))
    }

    fn chat(&mut self, chat: &'a ChatDef, place: Place, frame: usize) -> Chat {
        let max_tokens = chat.max_tokens.as_ref().or(self.frames[frame].top.defaults.max_tokens.as_ref());
        Chat {
            model: self.model(chat.model.as_ref(), "chat", place, frame),
            messages: chat
                .messages
                .iter()
                .map(|message| Message {
                    role: message.role,
                    content: Text { text: message.text.text().to_owned(), file: message.text.file.clone() },
                })
                .collect(),
            adapter: chat.adapter.as_ref().map(|adapter| adapter.value.clone()),
            tools: chat.tools.iter().map(|tool| tool.value.clone()).collect(),
            schema: chat.output.as_ref().map(crate::workflow::definition::SchemaDef::schema),
            temperature_milli: self.temperature_milli(chat.temperature.as_ref(), frame),
            max_tokens: max_tokens.map_or(512, |count| u32::try_from(count.value).unwrap_or(u32::MAX)),
            seed: chat.seed,
        }
    }

    /// The name of the model that is asked, which must be one of the workflow's.
    pub(super) fn model(&mut self, own: Option<&'a At<String>>, what: &str, place: Place, frame: usize) -> String {
        let top = self.frames[frame].top;
        let model = own.or(top.defaults.model.as_ref());
        match model {
            None => {
                let help = "name one of `models:` here, or under `defaults:`";
                let message = format!("this {what} has no `model`");
                self.problem(frame, Diagnostic::new("missing-key", place, message).help(help));
            }
            Some(model) if top.models.get(&model.value).is_none() => {
                let message = format!("no model is called `{}`", model.value);
                let help = suggest(&model.value, &top.models.names());
                let help = help.unwrap_or_else(|| "declare it under `models:`".into());
                self.problem(frame, Diagnostic::new("unknown-model", model.place, message).help(help));
            }
            Some(_) => {}
        }
        model.map(|model| model.value.clone()).unwrap_or_default()
    }

    pub(super) fn temperature_milli(&mut self, own: Option<&'a At<f64>>, frame: usize) -> u32 {
        let Some(temperature) = own.or(self.frames[frame].top.defaults.temperature.as_ref()) else { return 0 };
        if !(0.0..=10.0).contains(&temperature.value) {
            let message = format!("a temperature of {} makes no sense", temperature.value);
            let help = "take a number from 0 to 2";
            self.problem(frame, Diagnostic::new("bad-temperature", temperature.place, message).help(help));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to be from 0 to 10")]
        {
            (temperature.value.clamp(0.0, 10.0) * 1000.0).round() as u32
        }
    }
}

/// The workflow that a step names, without its members.
pub(super) fn described(sub: &SubDef, child: &Child) -> SubWorkflow {
    let top = &child.top;
    let inputs = top.inputs.schema();
    let with = sub.with.value.iter().map(|(name, tree)| {
        let schema = inputs.get("properties").and_then(|properties| properties.get(&name.value));
        (name.value.clone(), tree.value_for(schema.unwrap_or(&Value::Null)))
    });
    SubWorkflow {
        path: sub.path.value.clone(),
        hash: child.hash,
        with: Value::Object(with.collect()),
        inputs: inputs.clone(),
        members: Vec::new(),
        outputs: Value::Object(top.outputs.as_ref().map(|outputs| outputs.value.to_value()).unwrap_or_default()),
        ensure: top.ensure.iter().filter_map(|tree| tree.as_text().map(str::to_owned)).collect(),
        grants: top.tools.to_value().into_iter().collect(),
        env: names(&top.env),
        secrets: names(&top.secrets),
        rules: top.policy.iter().map(|rule| rule.value.clone()).collect(),
        limits: top.limits(),
        own_run: None,
    }
}

impl VerbDef {
    /// The key that names it in a file.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            VerbDef::Tool { .. } => "tool",
            VerbDef::Chat(_) => "chat",
            VerbDef::Goal(goal) if goal.value.plan.is_some() => "plan",
            VerbDef::Goal(_) => "agent",
            VerbDef::Workflow(_) => "workflow",
            VerbDef::Steps { .. } => "steps",
            VerbDef::Approve(_) => "approve",
            VerbDef::Input(_) => "input",
            VerbDef::Wait(_) => "wait",
            VerbDef::Set(_) => "set",
        }
    }
}

/// A workflow of more than [`MAX_STEPS`] steps.
pub(crate) fn too_many_steps(place: Place) -> Diagnostic {
    let message = format!("the workflow has more than {MAX_STEPS} steps, its sub-workflows counted in");
    Diagnostic::new("too-many-steps", place, message).help("use `for_each` over data in place of steps")
}

fn retry_of(def: &RetryDef) -> Retry {
    let mut retry = Retry::times(def.max);
    retry.on.clone_from(&def.on);
    if let Some(initial) = &def.initial {
        retry.initial_ms = millis(initial.value);
    }
    if let Some(limit) = &def.limit {
        retry.limit_ms = millis(limit.value);
    }
    if let Some(factor) = &def.factor {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "read as from 1 to 100")]
        {
            retry.factor_percent = (factor.value * 100.0).round() as u32;
        }
    }
    retry
}

pub(crate) fn names(names: &[At<String>]) -> Vec<String> {
    names.iter().map(|name| name.value.clone()).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
