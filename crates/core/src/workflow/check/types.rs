//! The types of values before a run: each step's output, found by walking the steps in the order in which they run, and
//! what the templates that use them must mean. Where nothing is known, nothing is said.

use std::collections::HashMap;

use super::fit::misfit;
use super::unused::Named;
use crate::tool::{ToolSpec, Toolbox};
use crate::workflow::compile::{Compiled, Scope, Site, leaves, said};
use crate::workflow::definition::{InputsDef, SchemaDef, StepDef, VerbDef};
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::graph::{NodeIndex, OnError, OnItemError, RunIf};
use crate::workflow::template::{Field, Fields, Inspected, Reference, Type};
use crate::workflow::tree::{Entries, Kind, Tree};

/// How many parts a type may have: outputs that hold each other twice would grow without end.
const PARTS: usize = 2_000;
/// How deep a type may nest, for the same reason.
const LEVELS: usize = 24;

/// Walks the steps of a workflow, and knows what it has seen.
pub(super) struct Types<'c, 'a> {
    compiled: &'c Compiled<'a>,
    tools: &'c Toolbox,
    /// What a workflow gives that runs as a run of its own, by its file.
    own_run: &'c dyn Fn(&str) -> Option<Type>,
    /// By step: its sites, but for the ends of a workflow that it is.
    of_step: Vec<Vec<Site<'a>>>,
    /// By workflow: the sites at its ends.
    of_frame: Vec<Vec<Site<'a>>>,
    /// The workflows that run within this one, by the steps that they are.
    frames: HashMap<NodeIndex, usize>,
    inputs: Vec<Type>,
    /// By step: what others see of its output.
    outputs: Vec<Option<Type>>,
    /// By step: what one item or one round gives.
    bodies: Vec<Option<Type>>,
    /// By step: an item of its list.
    items: Vec<Option<Type>>,
    by_tool: HashMap<&'a str, Type>,
    /// By step: whether it may be skipped.
    skipped: Vec<bool>,
    /// By the scalar's address: what a template gives.
    scalars: HashMap<*const Tree, Type>,
    found: Vec<(usize, Diagnostic)>,
    named: Vec<Named>,
}

/// What is known when all steps were walked.
pub(super) struct Known {
    /// What is wrong, each with the workflow in whose file it stands.
    pub(super) found: Vec<(usize, Diagnostic)>,
    /// By workflow: the names that its templates use.
    pub(super) named: Vec<Named>,
    /// By step: whether it may be skipped.
    pub(super) skipped: Vec<bool>,
    /// What the workflow gives.
    pub(super) outputs: Type,
}

/// What is known of the values of a workflow.
pub(super) fn check<'a>(compiled: &Compiled<'a>, tools: &Toolbox, own_run: &dyn Fn(&str) -> Option<Type>) -> Known {
    let steps = compiled.graph.nodes.len();
    let (mut of_step, mut of_frame) = (vec![Vec::new(); steps], vec![Vec::new(); compiled.frames.len()]);
    for site in compiled.sites() {
        match site.node {
            Some(node) if !site.end => of_step[node.0 as usize].push(site),
            _ => of_frame[site.frame].push(site),
        }
    }
    let frames = compiled.frames.iter().enumerate().filter_map(|(i, frame)| Some((frame.node?, i))).collect();
    let inputs = compiled.frames.iter().map(|frame| inputs_type(&frame.top.inputs)).collect();
    let mut types = Types {
        compiled,
        tools,
        own_run,
        of_step,
        of_frame,
        frames,
        inputs,
        outputs: vec![None; steps],
        bodies: vec![None; steps],
        items: vec![None; steps],
        skipped: vec![false; steps],
        by_tool: HashMap::new(),
        scalars: HashMap::new(),
        found: Vec::new(),
        named: vec![Named::new(); compiled.frames.len()],
    };
    types.walk(None);
    types.ends(0);
    let outputs = compiled.frames[0].top.outputs.as_ref();
    let outputs = outputs.map_or(Type::Any, |outputs| bounded(types.entries_type(&outputs.value).widened()));
    Known { found: types.found, named: types.named, skipped: types.skipped, outputs }
}

impl<'a> Types<'_, 'a> {
    fn walk(&mut self, group: Option<NodeIndex>) {
        let waves = self.compiled.graph.waves(group);
        // Steps that wait for each other have no order, and then their outputs no types.
        let order = if waves.is_empty() { self.compiled.graph.members(group).to_vec() } else { waves.concat() };
        order.into_iter().for_each(|index| self.step(index));
    }

    fn step(&mut self, index: NodeIndex) {
        let at = index.0 as usize;
        let step = self.step_of(index);
        let node = self.compiled.graph.node(index);
        self.skipped[at] = match node.run_if {
            RunIf::Failed => true,
            _ if node.condition.is_some() => true,
            RunIf::Completed => node.after.iter().any(|after| self.skipped[after.0 as usize]),
            RunIf::NotRejected | RunIf::Always => false,
        };
        let sites = std::mem::take(&mut self.of_step[at]);
        self.written_out(index, step);
        let until = step.repeat.as_ref().map(|repeat| &repeat.value.until);
        let is_until = |site: &Site<'_>| until.is_some_and(|until| std::ptr::eq(until, site.tree));
        let is_first = |site: &Site<'_>| matches!(site.key, "if" | "for_each");
        sites.iter().filter(|site| is_first(site)).for_each(|site| self.site(site));
        if let Some(for_each) = &step.for_each {
            let list = self.tree_type(&for_each.list);
            let lists = list.members().iter().filter(|kind| !matches!(kind, Type::Text(_) | Type::Object(_)));
            self.items[at] = Some(Type::union(lists.cloned()).element());
        }
        let is_own = |site: &Site<'_>| !is_first(site) && site.scope != Scope::Inside && !is_until(site);
        sites.iter().filter(|site| is_own(site)).for_each(|site| self.site(site));
        if self.compiled.graph.node(index).verb.has_members() {
            self.walk(Some(index));
        }
        sites.iter().filter(|site| site.scope == Scope::Inside).for_each(|site| self.site(site));
        if let Some(frame) = self.frames.get(&index).copied() {
            self.ends(frame);
        }
        let body = bounded(self.body(index, step));
        self.bodies[at] = Some(body.clone());
        sites.iter().filter(|site| is_until(site)).for_each(|site| self.site(site));
        let mut output = body;
        if let Some(for_each) = &node.for_each {
            let element = if for_each.on_item_error == OnItemError::Collect { output.or_null() } else { output };
            output = Type::list(element);
        }
        if self.may_be_missing(index) {
            output = output.or_null();
        }
        self.outputs[at] = Some(output);
        self.arguments(index, step);
    }

    /// The tool of a step.
    pub(super) fn tool_of(&self, index: NodeIndex) -> Option<&ToolSpec> {
        match &self.step_of(index).verb {
            Some(VerbDef::Tool { name, .. }) => self.tools.get(&name.value).map(|tool| tool.spec()),
            _ => None,
        }
    }

    /// Whether a step may be skipped, or fail and count as completed.
    pub(super) fn may_be_missing(&self, index: NodeIndex) -> bool {
        self.skipped[index.0 as usize] || self.compiled.graph.node(index).on_error == OnError::Continue
    }

    pub(super) fn step_named(&self, site: &Site<'a>, id: &str) -> Option<NodeIndex> {
        self.compiled.step_named(site, id)
    }

    fn ends(&mut self, frame: usize) {
        for ensure in &self.compiled.frames[frame].top.ensure {
            self.truth(frame, ensure, "ensure");
        }
        std::mem::take(&mut self.of_frame[frame]).iter().for_each(|site| self.site(site));
    }

    /// Looks at one template.
    fn site(&mut self, site: &Site<'a>) {
        let Inspected { uses, result, problems } =
            site.template().inspect(&mut |reference| self.known(site, reference));
        for problem in problems.into_iter().filter(|problem| problem.code != "dynamic-step") {
            self.site_problem(site, said(site, problem));
        }
        for one in uses.iter().filter(|one| one.reference.root == "secrets") {
            self.secret(site, site.locate_span(one.span), one.bare);
        }
        for one in uses.iter().filter(|one| one.reference.root == "steps") {
            self.withheld(site, site.locate_span(one.span), &one.reference);
        }
        self.guards(site, &uses);
        let names = uses.into_iter().map(|one| one.reference).filter(|reference| reference.root != "steps");
        let names = names.map(|reference| (reference.root, reference.path.into_iter().next()));
        self.named[site.frame].extend(names);
        self.result(site, &result);
        self.scalars.insert(std::ptr::from_ref(site.tree), result);
    }

    pub(super) fn site_problem(&mut self, site: &Site<'_>, mut diagnostic: Diagnostic) {
        diagnostic.file = site.file.map(str::to_owned);
        self.tell(site.frame, diagnostic);
    }

    pub(super) fn tell(&mut self, frame: usize, diagnostic: Diagnostic) {
        self.found.push((frame, diagnostic));
    }

    pub(super) fn step_of(&self, index: NodeIndex) -> &'a StepDef {
        self.compiled.origin(index).step
    }

    pub(super) fn frame_of(&self, index: NodeIndex) -> usize {
        self.compiled.origin(index).frame
    }

    /// What is known of a root, or of a step.
    fn known(&self, site: &Site<'a>, reference: &Reference) -> Option<Type> {
        match reference.root.as_str() {
            "steps" => {
                let index = self.compiled.step_named(site, reference.path.first()?)?;
                Some(self.seen(index))
            }
            "inputs" => self.inputs.get(site.frame).cloned(),
            "env" | "secrets" => {
                Some(Type::with_fields(Fields { known: Default::default(), rest: Some(Box::new(Type::TEXT)) }))
            }
            "run" => Some(opened(Type::object([("id", Type::TEXT), ("started_at", Type::TEXT)]))),
            name => self.loop_value(site, name),
        }
    }

    /// An item, `index` or `previous`.
    fn loop_value(&self, site: &Site<'a>, name: &str) -> Option<Type> {
        let outermost = self.compiled.frames[site.frame].node;
        let mut at = site.node;
        if site.scope == Scope::Beside {
            at = at.and_then(|node| self.compiled.graph.node(node).parent);
        }
        while let Some(step) = at.filter(|step| Some(*step) != outermost) {
            let node = self.compiled.graph.node(step);
            let loops = node.for_each.is_some() || node.repeat.is_some();
            match name {
                "index" if loops => return Some(Type::Integer),
                // In the first round it is null; in `until` it is the round's own output.
                "previous" if node.repeat.is_some() => {
                    return Some(self.bodies[step.0 as usize].clone().unwrap_or(Type::Any));
                }
                _ => {}
            }
            if node.for_each.as_ref().is_some_and(|for_each| for_each.item == name) {
                return Some(self.items[step.0 as usize].clone().unwrap_or(Type::Any));
            }
            at = node.parent;
        }
        None
    }

    /// `steps.x`. Fields that a step does not have are told elsewhere.
    fn seen(&self, index: NodeIndex) -> Type {
        let output = self.outputs[index.0 as usize].clone().unwrap_or(Type::Any);
        let status = Type::one_of(["completed", "failed", "skipped", "cancelled", "in_doubt"]);
        let error = Type::object([("code", Type::TEXT), ("message", Type::TEXT)]).or_null();
        let mut fields = vec![
            ("status", status.clone()),
            ("output", output),
            ("error", error.clone()),
            ("attempts", Type::Integer),
            ("confidence", Type::Number.or_null()),
        ];
        if self.compiled.graph.node(index).for_each.is_some() {
            let of = |known: &[Option<Type>]| known[index.0 as usize].clone().unwrap_or(Type::Any);
            let item = Type::object([
                ("index", Type::Integer),
                ("key", Type::Any),
                ("item", of(&self.items)),
                ("status", status),
                ("output", of(&self.bodies).or_null()),
                ("error", error),
            ]);
            fields.push(("items", Type::list(item)));
        }
        opened(Type::object(fields))
    }

    /// What one run of a step gives.
    fn body(&mut self, index: NodeIndex, step: &'a StepDef) -> Type {
        match &step.verb {
            Some(VerbDef::Tool { name, .. }) => {
                let tools = self.tools;
                let of_tool = || tools.get(&name.value).map(|tool| Type::of_schema(&tool.spec().output_schema));
                self.by_tool.entry(&name.value).or_insert_with(|| of_tool().unwrap_or(Type::Any)).clone()
            }
            Some(VerbDef::Chat(chat)) => match &chat.value.output {
                _ if !chat.value.tools.is_empty() => {
                    let names = chat.value.tools.iter().map(|tool| tool.value.as_str());
                    let call = Type::object([("tool", Type::one_of(names)), ("args", Type::open())]);
                    Type::object([("text", Type::TEXT), ("calls", Type::list(call))])
                }
                Some(schema) => Type::of_schema(&schema.schema()),
                None => Type::TEXT,
            },
            Some(VerbDef::Goal(goal)) => match (&goal.value.plan, &goal.value.output) {
                // What is only planned gives its lines.
                (Some(plan), _) if plan.draft => Type::Any,
                (_, Some(schema)) => Type::of_schema(&schema.schema()),
                (_, None) => Type::TEXT,
            },
            Some(VerbDef::Set(values)) => self.entries_type(&values.value).widened(),
            Some(VerbDef::Approve(_)) => {
                let note = Type::TEXT.or_null();
                Type::object([("by", Type::TEXT), ("via", Type::TEXT), ("at", Type::TEXT), ("note", note)])
            }
            Some(VerbDef::Input(input)) => with_nulls(Type::of_schema(&input.value.form.schema())),
            // What a signal brings is known to who sends it.
            Some(VerbDef::Wait(_)) => Type::Any,
            Some(VerbDef::Workflow(sub)) => {
                let Some(child) = &sub.child else { return Type::Any };
                if sub.own_run {
                    return (self.own_run)(&child.file).unwrap_or(Type::Any);
                }
                let Some(outputs) = &child.top.outputs else { return Type::Any };
                self.entries_type(&outputs.value).widened()
            }
            Some(VerbDef::Steps { result: Some(result), .. }) => self.tree_type(result).widened(),
            Some(VerbDef::Steps { .. }) => {
                let graph = &self.compiled.graph;
                let member = |member: &NodeIndex| {
                    let output = self.outputs[member.0 as usize].clone().unwrap_or(Type::Any);
                    (graph.node(*member).id.as_str(), output)
                };
                Type::object(graph.members(Some(index)).iter().map(member))
            }
            None => Type::Any,
        }
    }

    fn entries_type(&self, entries: &Entries<Tree>) -> Type {
        Type::object(entries.iter().map(|(name, tree)| (name.value.as_str(), self.tree_type(tree))))
    }

    /// The type of nested YAML whose templates were looked at.
    pub(super) fn tree_type(&self, tree: &Tree) -> Type {
        match &tree.kind {
            Kind::Text(text) => {
                let known = self.scalars.get(&std::ptr::from_ref(tree)).cloned();
                known.unwrap_or_else(|| Type::one_of([text.as_str()]))
            }
            Kind::List(list) if list.is_empty() => Type::list(Type::Any),
            Kind::List(list) => Type::list(Type::union(list.iter().map(|item| self.tree_type(item)))),
            Kind::Map(map) => Type::object(map.iter().map(|(name, tree)| (name.value.as_str(), self.tree_type(tree)))),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => Type::of_value(&tree.to_value()),
        }
    }

    /// What the fields of a form begin with, by expressions.
    fn defaults(&mut self, frame: usize, form: &SchemaDef) {
        let Type::Object(wanted) = Type::of_schema(&form.schema()) else { return };
        for (name, tree) in form.filled() {
            let Some(field) = wanted.known.get(name) else { continue };
            if let Some(found) = misfit(tree, &field.kind, &|tree| self.tree_type(tree)) {
                let message = format!(
                    "the default of `{name}` must be {}, and this is {}",
                    found.wanted.short(),
                    found.given.short()
                );
                let mut diagnostic = Diagnostic::new("wrong-type", found.tree.place, message);
                diagnostic.help = found.way_out();
                self.found.push((frame, diagnostic));
            }
        }
    }

    /// What a step hands to a tool or a workflow, or into a form.
    fn arguments(&mut self, index: NodeIndex, step: &'a StepDef) {
        let frame = self.frame_of(index);
        if let Some(VerbDef::Input(input)) = &step.verb {
            return self.defaults(frame, &input.value.form);
        }
        let (what, with, schema) = match &step.verb {
            Some(VerbDef::Tool { name, with }) => {
                let Some(tool) = self.tools.get(&name.value) else { return };
                (&name.value, with, tool.spec().input_schema.clone())
            }
            Some(VerbDef::Workflow(sub)) => {
                let Some(child) = &sub.child else { return };
                (&sub.path.value, &sub.with, child.top.inputs.schema())
            }
            _ => return,
        };
        let Type::Object(wanted) = Type::of_schema(&schema) else { return };
        for (name, tree) in with.value.iter() {
            // What is known before the run was held against the schema itself.
            let made = leaves(tree).into_iter().any(|leaf| self.scalars.contains_key(&std::ptr::from_ref(leaf)));
            let Some(field) = wanted.known.get(&name.value).filter(|_| made) else { continue };
            if let Some(found) = misfit(tree, &field.kind, &|tree| self.tree_type(tree)) {
                let argument = &name.value;
                let message = format!(
                    "the argument `{argument}` of `{what}` must be {}, and this is {}",
                    found.wanted.short(),
                    found.given.short()
                );
                let mut diagnostic = Diagnostic::new("wrong-type", found.tree.place, message);
                diagnostic.help = found.way_out();
                self.found.push((frame, diagnostic));
            }
        }
    }
}

/// The type of a workflow's inputs as its templates see them: what is not given is null.
fn inputs_type(inputs: &InputsDef) -> Type {
    let schema = inputs.schema();
    match with_nulls(Type::of_schema(&schema)) {
        // Names that are no input are told elsewhere.
        kind @ Type::Object(_) if matches!(inputs, InputsDef::Fields(_)) => opened(kind),
        kind @ Type::Object(_) => kind,
        _ => Type::open(),
    }
}

/// The fields that may be missing are null, unless they have a default.
fn with_nulls(kind: Type) -> Type {
    match kind {
        Type::Object(fields) => {
            let seen = |field: &Field| {
                let kind = if field.required { field.kind.clone() } else { field.kind.clone().or_null() };
                Field { kind, required: true }
            };
            let known = fields.known.iter().map(|(name, field)| (name.clone(), seen(field))).collect();
            Type::with_fields(Fields { known, rest: fields.rest.clone() })
        }
        other => other,
    }
}

/// An object that may have other fields, too.
fn opened(kind: Type) -> Type {
    match kind {
        Type::Object(fields) => {
            Type::with_fields(Fields { known: fields.known.clone(), rest: Some(Box::new(Type::Any)) })
        }
        other => other,
    }
}

/// The type, or nothing about its deeper parts where it has too many.
fn bounded(kind: Type) -> Type {
    fn parts(kind: &Type, left: &mut usize, levels: usize) -> bool {
        let (Some(rest), Some(levels)) = (left.checked_sub(1), levels.checked_sub(1)) else { return false };
        *left = rest;
        match kind {
            Type::List(of) => parts(of, left, levels),
            Type::Object(fields) => {
                fields.known.values().all(|field| parts(&field.kind, left, levels))
                    && fields.rest.as_ref().is_none_or(|rest| parts(rest, left, levels))
            }
            Type::Union(all) => all.iter().all(|kind| parts(kind, left, levels)),
            _ => true,
        }
    }
    match (parts(&kind, &mut PARTS.clone(), LEVELS), kind) {
        (true, kind) => kind,
        (false, Type::Object(fields)) => {
            let vague = |field: &Field| Field { kind: Type::Any, required: field.required };
            let known = fields.known.iter().map(|(name, field)| (name.clone(), vague(field))).collect();
            Type::with_fields(Fields { known, rest: fields.rest.as_ref().map(|_| Box::new(Type::Any)) })
        }
        (false, _) => Type::Any,
    }
}
