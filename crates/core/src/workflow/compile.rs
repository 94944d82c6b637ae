//! From a definition to a graph: ids, verbs and references are resolved, and everything wrong is collected.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::Value;

use super::definition::{ChatDef, Definition, Entries, Spanned, StepDef, TextDef, place_of};
use super::diagnostic::{Diagnostic, Diagnostics, Place, did_you_mean, pinpoint};
use super::field;
use super::graph::{Chat, ForEach, Graph, Message, Node, NodeIndex, OnError, OnItemError, RunIf, Text, Verb};
use super::retry::Retry;
use super::template::{Reference, Template};
use crate::id::is_step_id;
use crate::model::Role;

const ROOTS: [&str; 4] = ["inputs", "steps", "run", "index"];
const STEP_FIELDS: [&str; 6] = ["status", "output", "error", "attempts", "items", "confidence"];
const RUN_FIELDS: [&str; 2] = ["id", "started_at"];

/// The graph of a definition, with the place of each node, and all that is wrong with it.
pub(super) fn compile(definition: &Definition) -> (Graph, Vec<Place>, Vec<Diagnostic>) {
    let mut compiler = Compiler {
        definition,
        graph: Graph::default(),
        places: Vec::new(),
        problems: Vec::new(),
        sources: Vec::new(),
        lines: definition.source.lines().collect(),
        names: HashMap::new(),
    };
    let roots = compiler.add_steps(&definition.top.steps.0, None);
    compiler.graph.roots = roots;
    if compiler.graph.roots.is_empty() {
        compiler.problem(Diagnostic::new("no-steps", None, "the workflow has no steps"));
    }
    compiler.check_inputs();
    compiler.link();
    compiler.check_cycles();
    compiler.check_ends();
    (compiler.graph, compiler.places, compiler.problems)
}

impl Definition {
    /// Its graph as far as it can be made, and all that is wrong with it before tools and policy are looked at. For
    /// pictures: only a checked plan can run.
    pub fn graph(&self) -> (Graph, Diagnostics) {
        let (graph, _, problems) = compile(self);
        (graph, self.diagnostics(problems))
    }
}

struct Compiler<'a> {
    definition: &'a Definition,
    graph: Graph,
    places: Vec<Place>,
    problems: Vec<Diagnostic>,
    sources: Vec<&'a StepDef>,
    lines: Vec<&'a str>,
    /// The members of each group by their ids; of the top level for `None`.
    names: HashMap<Option<NodeIndex>, HashMap<&'a str, NodeIndex>>,
}

/// A template of a step, and where its names are looked up.
struct Site<'a> {
    template: Template<'a>,
    place: Place,
    scope: Scope,
    /// Whether an output that may be missing must be tested here.
    guarded: bool,
    /// Whether the template stands in a file of its own.
    elsewhere: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Beside the step: its siblings, then what encloses it.
    Beside,
    /// Beside the step, with the item of its own fan-out.
    Item,
    /// Inside the group: its members first.
    Inside,
}

impl<'a> Compiler<'a> {
    fn named(&self, group: Option<NodeIndex>, id: &str) -> Option<NodeIndex> {
        self.names.get(&group)?.get(id).copied()
    }

    fn problem(&mut self, diagnostic: Diagnostic) {
        self.problems.push(diagnostic);
    }

    fn add_steps(&mut self, steps: &'a Entries<StepDef>, parent: Option<NodeIndex>) -> Vec<NodeIndex> {
        steps.iter().map(|(id, step)| self.add_step(id, step, parent)).collect()
    }

    fn add_step(&mut self, id: &'a Spanned<String>, step: &'a StepDef, parent: Option<NodeIndex>) -> NodeIndex {
        let place = place_of(id.referenced);
        if !is_step_id(&id.value) {
            let message = format!("`{}` cannot name a step", id.value);
            self.problem(Diagnostic::new("bad-id", place, message).help("ids are lower-case: [a-z][a-z0-9_]*"));
        }
        let mut enclosing = parent;
        while let Some(group) = enclosing {
            if self.graph.node(group).id == id.value {
                let message = format!("`{}` is the id of a group that encloses this step", id.value);
                self.problem(Diagnostic::new("duplicate-id", place, message).help("rename one of them"));
            }
            enclosing = self.graph.node(group).parent;
        }
        let index = NodeIndex(u32::try_from(self.graph.nodes.len()).unwrap_or(u32::MAX));
        self.names.entry(parent).or_default().insert(&id.value, index);
        // The place is taken before the members are added, so that a group stands before them.
        let node = Node {
            id: id.value.clone(),
            description: step.description.clone(),
            parent,
            verb: Verb::Steps { members: Vec::new(), result: None },
            after: Vec::new(),
            run_if: self.run_if(step),
            condition: step.condition.as_ref().map(|condition| condition.value.clone()),
            for_each: self.for_each(step, place),
            repeat: None,
            retry: None,
            timeout_ms: None,
            on_error: self.on_error(step),
        };
        self.graph.nodes.push(node);
        self.places.push(place);
        self.sources.push(step);
        let verb = self.verb(step, index, place);
        let retry = self.retry(step, &verb, place);
        let timeout_ms = match (&step.timeout, &verb) {
            (Some(timeout), _) => Some(millis(timeout.0)),
            (None, Verb::Tool { .. }) => Some(120_000),
            (None, Verb::Chat(_)) => Some(600_000),
            (None, _) => None,
        };
        if let (Some(_), Verb::Approve { .. } | Verb::Set { .. } | Verb::Steps { .. }) = (&step.timeout, &verb) {
            let message = format!("`timeout` beside `{}` is not known", verb.name());
            let help = if verb.name() == "approve" {
                "write it inside `approve`"
            } else {
                "write it beside the steps that call something"
            };
            self.problem(Diagnostic::new("bad-timeout", place, message).help(help));
        }
        let node = &mut self.graph.nodes[index.0 as usize];
        (node.verb, node.retry, node.timeout_ms) = (verb, retry, timeout_ms);
        index
    }

    fn verb(&mut self, step: &'a StepDef, index: NodeIndex, place: Place) -> Verb {
        let present = [
            ("tool", step.tool.is_some()),
            ("chat", step.chat.is_some()),
            ("set", step.set.is_some()),
            ("approve", step.approve.is_some()),
            ("steps", step.steps.is_some()),
        ];
        let verbs: Vec<_> = present.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
        match verbs.as_slice() {
            [_] => {}
            [] => {
                let message = "this step does nothing";
                self.problem(
                    Diagnostic::new("no-verb", place, message).help("give it one of tool, chat, set, approve, steps"),
                );
            }
            many => {
                let message = format!("a step does one thing, this one has {}", many.join(" and "));
                self.problem(Diagnostic::new("many-verbs", place, message).help("make two steps of it"));
            }
        }
        if let (Some(with), None) = (&step.with, &step.tool) {
            let message = "`with` belongs to `tool`";
            self.problem(Diagnostic::new("stray-key", place_of(with.referenced), message));
        }
        if let (Some(result), None) = (&step.result, &step.steps) {
            let message = "`result` belongs to `steps`";
            self.problem(Diagnostic::new("stray-key", place_of(result.referenced), message));
        }
        if let Some(tool) = &step.tool {
            let with = step.with.as_ref().map(|with| with.value.clone()).unwrap_or_default();
            Verb::Tool { name: tool.value.clone(), with: Value::Object(with) }
        } else if let Some(chat) = &step.chat {
            Verb::Chat(self.chat(chat))
        } else if let Some(values) = &step.set {
            Verb::Set { values: Value::Object(values.value.clone()) }
        } else if let Some(approve) = &step.approve {
            if step.on_error.as_ref().is_some_and(|on_error| on_error.value == "continue") {
                let message = "`on_error: continue` on an `approve` would turn silence into consent";
                self.problem(
                    Diagnostic::new("approve-continue", place, message)
                        .help("remove it, and give what follows a `run_if`"),
                );
            }
            let timeout_ms = approve.value.timeout.map(|timeout| millis(timeout.0));
            let show = approve.value.show.as_ref().map(|show| show.value.clone());
            Verb::Approve { prompt: approve.value.prompt.value.clone(), timeout_ms, show }
        } else if let Some(steps) = &step.steps {
            let members = self.add_steps(&steps.0, Some(index));
            if members.is_empty() {
                self.problem(Diagnostic::new("no-steps", place, "this group has no steps"));
            }
            Verb::Steps { members, result: step.result.as_ref().map(|result| result.value.clone()) }
        } else {
            Verb::Set { values: Value::Null }
        }
    }

    fn chat(&mut self, chat: &Spanned<ChatDef>) -> Chat {
        let place = place_of(chat.referenced);
        let chat = &chat.value;
        let declared = &self.definition.top.models;
        if !declared.iter().any(|(name, _)| name.value == chat.model.value) {
            let message = format!("no model is called `{}`", chat.model.value);
            let help = did_you_mean(
                &chat.model.value,
                declared.iter().map(|(name, _)| name.value.as_str()).collect::<Vec<_>>(),
            )
            .unwrap_or_else(|| "declare it under `models:`".into());
            self.problem(Diagnostic::new("unknown-model", place_of(chat.model.referenced), message).help(help));
        }
        let schema = match (&chat.output, &chat.output_schema) {
            (Some(_), Some(_)) => {
                let message = "`output` and `output_schema` say the same thing twice";
                self.problem(Diagnostic::new("many-schemas", place, message).help("keep one of them"));
                None
            }
            (Some(fields), None) => Some(field::object_schema(fields)),
            (None, Some(schema)) => Some(schema.value.clone()),
            (None, None) => None,
        };
        if let Some(Err(error)) = schema.as_ref().map(jsonschema::validator_for) {
            let message = format!("the schema of the answer is wrong: {error}");
            self.problem(Diagnostic::new("bad-schema", place, message));
        }
        let Some(user) = &chat.prompt else {
            self.problem(Diagnostic::new("no-prompt", place, "this chat asks nothing").help("give it a `prompt`"));
            return Chat {
                model: chat.model.value.clone(),
                messages: Vec::new(),
                adapter: None,
                tools: Vec::new(),
                schema,
                temperature_milli: 0,
                max_tokens: 0,
                seed: None,
            };
        };
        let temperature = chat.temperature.unwrap_or(0.0);
        if !(0.0..=10.0).contains(&temperature) {
            let message = format!("a temperature of {temperature} makes no sense");
            self.problem(Diagnostic::new("bad-temperature", place, message).help("take a number from 0 to 2"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be from 0 to 10")]
        let temperature_milli = (temperature * 1000.0).round() as u32;
        Chat {
            model: chat.model.value.clone(),
            messages: {
                let system = chat.system.iter().map(|text| (Role::System, &text.value));
                let all = system.chain([(Role::User, &user.value)]);
                all.map(|(role, text)| Message { role, content: self.text(text) }).collect()
            },
            adapter: None,
            tools: Vec::new(),
            schema,
            temperature_milli,
            max_tokens: chat.max_tokens.map_or(512, |count| u32::try_from(count.0).unwrap_or(u32::MAX)),
            seed: chat.seed,
        }
    }

    fn text(&self, text: &TextDef) -> Text {
        match text {
            TextDef::Inline(text) => Text { text: text.clone(), file: None },
            TextDef::File(path) => {
                Text { text: self.definition.texts.get(path).cloned().unwrap_or_default(), file: Some(path.clone()) }
            }
        }
    }

    fn retry(&mut self, step: &StepDef, verb: &Verb, place: Place) -> Option<Retry> {
        let def = step.retry.as_ref()?;
        if !matches!(verb, Verb::Tool { .. } | Verb::Chat(_)) {
            let message = format!("`retry` beside `{}` is not known", verb.name());
            self.problem(
                Diagnostic::new("bad-retry", place, message).help("write it beside the steps that call something"),
            );
        }
        let parts = &def.0;
        let mut retry = Retry::times(parts.max);
        retry.on.clone_from(&parts.on);
        if let Some(initial) = parts.initial {
            retry.initial_ms = millis(initial.0);
        }
        if let Some(limit) = parts.limit {
            retry.limit_ms = millis(limit.0);
        }
        if let Some(factor) = parts.factor {
            if !(1.0..=100.0).contains(&factor) {
                let message = format!("a `factor` of {factor} makes no sense");
                self.problem(Diagnostic::new("bad-retry", place, message).help("take a number from 1 to 100"));
            } else {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked to be from 1 to 100"
                )]
                {
                    retry.factor_percent = (factor * 100.0).round() as u32;
                }
            }
        }
        Some(retry)
    }

    fn run_if(&mut self, step: &StepDef) -> RunIf {
        let names = [
            ("completed", RunIf::Completed),
            ("failed", RunIf::Failed),
            ("not_rejected", RunIf::NotRejected),
            ("always", RunIf::Always),
        ];
        // `completed` is the meaning of no `run_if`; the format has no word for it.
        self.one_of("run_if", step.run_if.as_ref(), &names[1..]).unwrap_or_default()
    }

    fn on_error(&mut self, step: &StepDef) -> OnError {
        let names = [("fail", OnError::Fail), ("continue", OnError::Continue)];
        self.one_of("on_error", step.on_error.as_ref(), &names).unwrap_or_default()
    }

    fn one_of<T: Copy>(&mut self, key: &str, value: Option<&Spanned<String>>, names: &[(&str, T)]) -> Option<T> {
        let value = value?;
        let found = names.iter().find(|(name, _)| *name == value.value).map(|(_, found)| *found);
        if found.is_none() {
            let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            let message = format!("`{}` is no value of `{key}`", value.value);
            let help = did_you_mean(&value.value, known).unwrap_or_default();
            self.problem(Diagnostic::new("bad-value", place_of(value.referenced), message).help(help));
        }
        found
    }

    fn for_each(&mut self, step: &StepDef, place: Place) -> Option<ForEach> {
        let Some(list) = &step.for_each else {
            let stray = [
                ("as", step.item_name.is_some()),
                ("key", step.key.is_some()),
                ("max_parallel", step.max_parallel.is_some()),
                ("on_item_error", step.on_item_error.is_some()),
            ];
            for (key, _) in stray.iter().filter(|(_, there)| *there) {
                self.problem(Diagnostic::new("stray-key", place, format!("`{key}` belongs to `for_each`")));
            }
            return None;
        };
        let item = step.item_name.as_ref().map_or("item", |name| name.value.as_str());
        if !is_step_id(item) || ROOTS.contains(&item) || ["env", "secrets", "previous", "loop"].contains(&item) {
            let message = format!("an item cannot be called `{item}`");
            self.problem(
                Diagnostic::new("bad-id", place, message)
                    .help("take another name: [a-z][a-z0-9_]*, not one of the roots"),
            );
        }
        let max_parallel = step.max_parallel.as_ref().map_or(8, |max| max.value);
        if max_parallel == 0 {
            self.problem(
                Diagnostic::new("bad-value", place, "`max_parallel: 0` would never start an item")
                    .help("take 1 or more"),
            );
        }
        let names = [("fail", OnItemError::Fail), ("collect", OnItemError::Collect)];
        Some(ForEach {
            list: list.value.clone(),
            item: item.to_owned(),
            key: step.key.as_ref().map(|key| key.value.clone()),
            max_parallel,
            on_item_error: self.one_of("on_item_error", step.on_item_error.as_ref(), &names).unwrap_or_default(),
        })
    }

    /// Patterns that are none, and defaults that do not fit.
    fn check_inputs(&mut self) {
        for (name, input) in self.definition.top.inputs.iter() {
            let (place, schema) = (place_of(name.referenced), input.schema());
            let validator = match jsonschema::validator_for(&schema) {
                Ok(validator) => validator,
                Err(error) => {
                    let message = format!("the input `{}` is wrong: {error}", name.value);
                    self.problem(Diagnostic::new("bad-schema", place, message));
                    continue;
                }
            };
            if let Some(Err(error)) = input.default.as_ref().map(|default| validator.validate(default)) {
                let message = format!("the default of `{}` does not fit: {error}", name.value);
                self.problem(Diagnostic::new("bad-default", place, message));
            }
        }
    }

    /// Where a reference stands: at a place or after it.
    fn find(&self, place: Place, reference: &Reference) -> Place {
        let mut words = vec![reference.root.as_str()];
        words.extend(reference.path.iter().map(String::as_str));
        while !words.is_empty() {
            let found = pinpoint(&self.lines, place, &words.join("."));
            if found != place {
                return found;
            }
            words.pop();
        }
        place
    }

    /// Finds what each step waits for: its `needs`, and the steps that its templates name.
    fn link(&mut self) {
        for i in 0..self.graph.nodes.len() {
            let index = NodeIndex(u32::try_from(i).unwrap_or(u32::MAX));
            let step = self.sources[i];
            for need in &step.needs {
                let group = self.graph.nodes[i].parent;
                match self.named(group, &need.value) {
                    Some(other) if other != index => self.wait(index, other),
                    Some(_) => {
                        let message = format!("`{}` cannot wait for itself", need.value);
                        self.problem(Diagnostic::new("cycle", place_of(need.referenced), message));
                    }
                    None => {
                        let siblings: Vec<_> =
                            self.graph.members(group).iter().map(|m| self.graph.node(*m).id.clone()).collect();
                        let message = format!("no step beside this one is called `{}`", need.value);
                        let mut diagnostic = Diagnostic::new("unknown-step", place_of(need.referenced), message);
                        diagnostic.help =
                            did_you_mean(&need.value, siblings.iter().map(String::as_str).collect::<Vec<_>>());
                        self.problem(diagnostic);
                    }
                }
            }
            for site in self.sites(i) {
                self.link_site(index, &site);
            }
        }
    }

    /// All templates of a step. The definition outlives the compiler, so that they may borrow from it.
    fn sites(&self, i: usize) -> Vec<Site<'a>> {
        let step = self.sources[i];
        let mut sites = Vec::new();
        let guarded = step.run_if.is_some();
        let fans_out = step.for_each.is_some();
        let body = if fans_out { Scope::Item } else { Scope::Beside };
        let mut add = |template, place, scope, guarded| {
            sites.push(Site { template, place, scope, guarded, elsewhere: false });
        };
        if let Some(condition) = &step.condition {
            add(expression_or_value(&condition.value), place_of(condition.referenced), Scope::Beside, guarded);
        }
        if let Some(list) = &step.for_each {
            add(expression_or_value(&list.value), place_of(list.referenced), Scope::Beside, guarded);
        }
        if let Some(key) = &step.key {
            add(Template::Expression(&key.value), place_of(key.referenced), Scope::Item, guarded);
        }
        if let Some(with) = &step.with {
            for value in with.value.values().flat_map(leaves) {
                add(Template::Value(value), place_of(with.referenced), body, guarded);
            }
        }
        if let Some(values) = &step.set {
            for value in values.value.values().flat_map(leaves) {
                add(Template::Value(value), place_of(values.referenced), body, guarded);
            }
        }
        if let Some(approve) = &step.approve {
            add(Template::Text(&approve.value.prompt.value), place_of(approve.value.prompt.referenced), body, guarded);
            if let Some(show) = &approve.value.show {
                add(Template::Value(&show.value), place_of(show.referenced), body, guarded);
            }
        }
        if let Some(result) = &step.result {
            for value in leaves(&result.value) {
                add(Template::Value(value), place_of(result.referenced), Scope::Inside, true);
            }
        }
        if let Some(chat) = &step.chat {
            for text in chat.value.prompt.iter().chain(&chat.value.system) {
                let (text, elsewhere) = match &text.value {
                    TextDef::Inline(inline) => (inline.as_str(), false),
                    TextDef::File(path) => (self.definition.texts.get(path).map_or("", String::as_str), true),
                };
                sites.push(Site {
                    template: Template::Text(text),
                    place: place_of(chat.referenced),
                    scope: body,
                    guarded,
                    elsewhere,
                });
            }
        }
        sites
    }

    fn link_site(&mut self, index: NodeIndex, site: &Site<'_>) {
        let references = match site.template.references() {
            Ok(references) => references,
            Err(error) => {
                let place = pinpoint(&self.lines, site.place, site.template.first_line());
                return self.problem(template_problem(place, &error.message));
            }
        };
        for reference in &references {
            // The text of a file of its own is not in this one.
            let place = if site.elsewhere { site.place } else { self.find(site.place, reference) };
            match reference.root.as_str() {
                "steps" => self.link_step(index, &Site { place, ..*site }, reference, &references),
                _ => self.check_root(Some((index, site.scope)), place, reference),
            }
        }
    }

    fn link_step(&mut self, index: NodeIndex, site: &Site<'_>, reference: &Reference, all: &BTreeSet<Reference>) {
        let Some(id) = reference.path.first() else {
            let message = "`steps` as a whole cannot be used, since the order of steps must be known before they run";
            return self.problem(Diagnostic::new("dynamic-step", site.place, message).help("write `steps.ID.output`"));
        };
        self.check_step_field(site.place, reference);
        // Look inside the group for `result`, then beside the step, then beside what encloses it.
        let inside = (site.scope == Scope::Inside).then(|| self.named(Some(index), id)).flatten();
        let mut from = index;
        let found = inside.or_else(|| {
            loop {
                if let Some(found) = self.named(self.graph.node(from).parent, id) {
                    return Some(found);
                }
                from = self.graph.node(from).parent?;
            }
        });
        let Some(found) = found else {
            return self.problem(self.unknown_step(Some(index), site.place, id));
        };
        if inside.is_none() {
            if found == from {
                let message = if from == index {
                    "a step cannot use its own output"
                } else {
                    "a step cannot use the output of a group that encloses it"
                };
                return self.problem(Diagnostic::new("cycle", site.place, message));
            }
            self.wait(from, found);
        }
        if site.guarded && reference.path.get(1).is_some_and(|field| field == "output") {
            self.check_guard(site.place, found, id, all);
        }
    }

    fn unknown_step(&self, index: Option<NodeIndex>, place: Place, id: &str) -> Diagnostic {
        let mut known = Vec::new();
        let mut at = index;
        loop {
            let group = at.and_then(|i| self.graph.node(i).parent);
            known.extend(self.graph.members(group).iter().map(|member| self.graph.node(*member).id.as_str()));
            match group {
                Some(parent) => at = Some(parent),
                None => break,
            }
        }
        let mut diagnostic = Diagnostic::new("unknown-step", place, format!("no step is called `{id}` here"));
        diagnostic.help = did_you_mean(id, known);
        diagnostic
    }

    fn check_step_field(&mut self, place: Place, reference: &Reference) {
        let Some(field) = reference.path.get(1) else { return };
        if !STEP_FIELDS.contains(&field.as_str()) {
            let id = &reference.path[0];
            let message = format!("a step has no field `{field}`");
            let help = format!("did you mean `steps.{id}.output.{field}`? a step has {}", STEP_FIELDS.join(", "));
            self.problem(Diagnostic::new("unknown-field", place, message).help(help));
        }
    }

    /// An output that may be missing must stand in an expression that tests the step's status.
    fn check_guard(&mut self, place: Place, step: NodeIndex, id: &str, all: &BTreeSet<Reference>) {
        let tested =
            all.iter().any(|r| r.root == "steps" && r.path.len() >= 2 && r.path[0] == id && r.path[1] == "status");
        if tested || !self.may_be_missing(step) {
            return;
        }
        let message = format!("`steps.{id}.output` may be missing here, since `{id}` may be skipped or fail");
        let help = format!("test it in the same expression: `… if steps.{id}.status == 'completed' else …`");
        self.problem(Diagnostic::new("maybe-skipped", place, message).help(help));
    }

    /// Whether a step may be skipped, or fail and count as completed.
    fn may_be_missing(&self, step: NodeIndex) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![step]);
        while let Some(step) = open.pop() {
            let node = self.graph.node(step);
            if node.condition.is_some() || node.run_if == RunIf::Failed {
                return true;
            }
            if seen.insert(step) && node.run_if == RunIf::Completed {
                open.extend(&node.after);
            }
        }
        self.graph.node(step).on_error == OnError::Continue
    }

    /// Checks a root other than `steps`. `at` is the step whose template it stands in; `None` at the ends of the file.
    fn check_root(&mut self, at: Option<(NodeIndex, Scope)>, place: Place, reference: &Reference) {
        match reference.root.as_str() {
            "inputs" => {
                let Some(name) = reference.path.first() else { return };
                let inputs = &self.definition.top.inputs;
                if !inputs.iter().any(|(known, _)| known.value == *name) {
                    let mut diagnostic =
                        Diagnostic::new("unknown-input", place, format!("no input is called `{name}`"));
                    diagnostic.help =
                        did_you_mean(name, inputs.iter().map(|(n, _)| n.value.as_str()).collect::<Vec<_>>());
                    self.problem(diagnostic);
                }
            }
            "run" => {
                if let Some(field) = reference.path.first().filter(|field| !RUN_FIELDS.contains(&field.as_str())) {
                    let message = format!("`run` has no field `{field}`");
                    self.problem(Diagnostic::new("unknown-field", place, message).help("it has id, started_at"));
                }
            }
            root => {
                let items = at.map(|(index, scope)| self.items(index, scope)).unwrap_or_default();
                if items.contains(root) || (root == "index" && !items.is_empty()) {
                    return;
                }
                let known: Vec<_> = ROOTS.into_iter().chain(items.iter().map(String::as_str)).collect();
                let mut diagnostic = Diagnostic::new("unknown-root", place, format!("nothing is called `{root}` here"));
                diagnostic.help = if root == "index" {
                    Some("`index` exists only inside a `for_each`".into())
                } else {
                    did_you_mean(root, known)
                };
                self.problem(diagnostic);
            }
        }
    }

    /// The names of items that a template of this step can use.
    fn items(&self, index: NodeIndex, scope: Scope) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut at = if scope == Scope::Beside { self.graph.node(index).parent } else { Some(index) };
        while let Some(step) = at {
            let node = self.graph.node(step);
            names.extend(node.for_each.as_ref().map(|fan| fan.item.clone()));
            at = node.parent;
        }
        names
    }

    fn wait(&mut self, index: NodeIndex, other: NodeIndex) {
        let after = &mut self.graph.nodes[index.0 as usize].after;
        if !after.contains(&other) {
            after.push(other);
            after.sort_unstable();
        }
    }

    fn check_cycles(&mut self) {
        let groups: Vec<_> = std::iter::once(None)
            .chain(self.graph.iter().filter(|(_, n)| matches!(n.verb, Verb::Steps { .. })).map(|(i, _)| Some(i)))
            .collect();
        for group in groups {
            if let Some(ids) = self.graph.cycle(group) {
                let place = ids.first().and_then(|id| self.named(group, id)).map(|index| self.places[index.0 as usize]);
                let message = format!("these steps wait for each other: {}", ids.join(" → "));
                self.problem(
                    Diagnostic::new("cycle", place, message)
                        .help("remove one of the references, or one of the `needs`"),
                );
            }
        }
    }

    /// `outputs` and `ensure` are looked up at top level.
    fn check_ends(&mut self) {
        let definition = self.definition;
        let outputs = definition.top.outputs.as_ref();
        let place = outputs.map(|outputs| place_of(outputs.referenced));
        let mut sites: Vec<_> = outputs
            .into_iter()
            .flat_map(|outputs| outputs.value.values())
            .flat_map(leaves)
            .map(|value| (Template::Value(value), place.unwrap_or(Place { line: 1, column: 1 })))
            .collect();
        sites.extend(definition.top.ensure.iter().map(|e| (Template::Expression(&e.value), place_of(e.referenced))));
        for (template, place) in sites {
            let references = match template.references() {
                Ok(references) => references,
                Err(error) => {
                    let place = pinpoint(&self.lines, place, template.first_line());
                    self.problem(template_problem(place, &error.message));
                    continue;
                }
            };
            for reference in &references {
                let place = self.find(place, reference);
                if reference.root != "steps" {
                    self.check_root(None, place, reference);
                    continue;
                }
                self.check_step_field(place, reference);
                let id = reference.path.first().map_or("", String::as_str);
                match self.named(None, id) {
                    Some(found) if reference.path.get(1).is_some_and(|field| field == "output") => {
                        self.check_guard(place, found, id, &references);
                    }
                    Some(_) => {}
                    None => self.problem(self.unknown_step(None, place, id)),
                }
            }
        }
    }
}

/// A value under `if` or `for_each`: a text is an expression, anything else stands for itself.
pub(crate) fn expression_or_value(value: &Value) -> Template<'_> {
    match value {
        Value::String(text) => Template::Expression(text),
        other => Template::Value(other),
    }
}

/// The leaves of nested YAML: each is an expression of its own.
fn leaves(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(leaves).collect(),
        Value::Object(map) => map.values().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}

fn template_problem(place: Place, message: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new("template", place, message.to_owned());
    let forms: BTreeMap<&str, &str> = [("&&", "and"), ("||", "or"), ("!", "not"), ("?", "A if B else C")].into();
    match forms.iter().find(|(wrong, _)| message.contains(&format!(" {wrong} "))) {
        Some((wrong, right)) => diagnostic.help(format!("write `{right}` in place of `{wrong}`")),
        None => diagnostic,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
