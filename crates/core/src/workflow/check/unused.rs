//! What a file declares and nobody uses, what hides something else, and numbers that are not read as they are written.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::tool::Toolbox;
use crate::workflow::compile::Compiled;
use crate::workflow::definition::{ChatDef, InputsDef, OfferDef, StepDef, SubDef, VerbDef};
use crate::workflow::diagnostic::{Diagnostic, Place};
use crate::workflow::graph::NodeIndex;
use crate::workflow::tree::{At, Tree};

/// The roots that templates name, each with what follows it: `inputs`, `letters`.
pub(super) type Named = BTreeSet<(String, Option<String>)>;

/// What is doubtful in each workflow; `named` are the names that the templates of each use.
pub(super) fn check(compiled: &Compiled<'_>, named: &[Named], tools: &Toolbox) -> Vec<(usize, Diagnostic)> {
    let mut found = Vec::new();
    let frames = compiled.frames.len();
    let mut used = vec![Used::default(); frames];
    for origin in &compiled.origins {
        if let Some(verb) = &origin.step.verb {
            used[origin.frame].verb(verb, compiled.frames[origin.frame].top.defaults.model.as_ref());
        }
    }
    for (frame, (used, named)) in used.iter().zip(named).enumerate() {
        let mut warn = |code, place: Place, message: String, help: &str| {
            found.push((frame, Diagnostic::warning(code, place, message).help(help)));
        };
        let top = compiled.frames[frame].top;
        let names = |root: &str, name: &str| {
            named.contains(&(root.to_owned(), Some(name.to_owned()))) || named.contains(&(root.to_owned(), None))
        };
        if let InputsDef::Fields(inputs) = &top.inputs {
            for (name, _) in inputs.iter().filter(|(name, _)| !names("inputs", &name.value)) {
                let message = format!("the input `{}` is not used", name.value);
                warn("unused-input", name.place, message, "use it as `${{ inputs.NAME }}`, or remove it");
            }
        }
        for name in top.env.iter().filter(|name| !names("env", &name.value) && !used.env.contains(&*name.value)) {
            let message = format!("the environment variable `{}` is declared and not used", name.value);
            warn("unused-env", name.place, message, "remove it: a workflow sees no more than it needs");
        }
        let keys = top.models.iter().filter_map(|(_, model)| model.openai.as_ref()?.key.as_deref());
        let keys: BTreeSet<_> = keys.chain(used.secrets.iter().copied()).collect();
        for name in top.secrets.iter().filter(|name| !names("secrets", &name.value) && !keys.contains(&*name.value)) {
            let message = format!("the secret `{}` is declared and not used", name.value);
            warn("unused-secret", name.place, message, "remove it: a workflow sees no more than it needs");
        }
        for (name, _) in top.models.iter().filter(|(name, _)| !used.models.contains(&*name.value)) {
            let message = format!("the model `{}` is declared and not used", name.value);
            warn("unused-model", name.place, message, "name it as the `model` of a chat, or remove it");
        }
        let known = |family: &str| tools.iter().any(|tool| tool.spec().family() == family);
        for (family, _) in top.tools.iter().filter(|(family, _)| known(&family.value)) {
            if !used.families.contains(&*family.value) {
                let message = format!("no step calls a tool of `{}`", family.value);
                warn("unused-grant", family.place, message, "remove it: a workflow is granted no more than it needs");
            }
        }
        top.outputs.iter().flat_map(|outputs| outputs.value.iter()).for_each(|(_, tree)| {
            odd(tree, &Value::Null, frame, &mut found);
        });
    }
    for (i, origin) in compiled.origins.iter().enumerate() {
        let index = NodeIndex(u32::try_from(i).unwrap_or(u32::MAX));
        found.extend(hidden(compiled, index, origin.step).map(|diagnostic| (origin.frame, diagnostic)));
        odd_numbers(origin.step, tools, origin.frame, &mut found);
    }
    found
}

/// What the steps of one workflow use.
#[derive(Clone, Default)]
struct Used<'a> {
    families: BTreeSet<&'a str>,
    models: BTreeSet<&'a str>,
    env: BTreeSet<&'a str>,
    secrets: BTreeSet<&'a str>,
}

impl<'a> Used<'a> {
    fn verb(&mut self, verb: &'a VerbDef, model: Option<&'a At<String>>) {
        match verb {
            VerbDef::Tool { name, .. } => {
                self.families.insert(family(&name.value));
            }
            VerbDef::Chat(chat) => {
                let ChatDef { model: own, tools, .. } = &chat.value;
                self.models.extend(own.as_ref().or(model).map(|model| model.value.as_str()));
                self.families.extend(tools.iter().map(|tool| family(&tool.value)));
            }
            VerbDef::Goal(goal) => {
                self.models.extend(goal.value.model.as_ref().or(model).map(|model| model.value.as_str()));
                for offer in &goal.value.tools {
                    match offer {
                        OfferDef::Tool(tool) => drop(self.families.insert(family(&tool.value))),
                        OfferDef::Family(family) => drop(self.families.insert(&family.value)),
                        OfferDef::Workflow(delegate) => self.called(&delegate.sub),
                    }
                }
            }
            VerbDef::Workflow(sub) => self.called(sub),
            _ => {}
        }
    }

    /// What a called workflow declares must be declared here, too.
    fn called(&mut self, sub: &'a SubDef) {
        let Some(child) = &sub.child else { return };
        self.families.extend(child.top.tools.names());
        self.env.extend(child.top.env.iter().map(|name| name.value.as_str()));
        self.secrets.extend(child.top.secrets.iter().map(|name| name.value.as_str()));
    }
}

fn family(tool: &str) -> &str {
    tool.split('.').next().unwrap_or(tool)
}

/// An item that hides the item of a fan-out around it.
fn hidden(compiled: &Compiled<'_>, index: NodeIndex, step: &StepDef) -> Option<Diagnostic> {
    let node = compiled.graph.node(index);
    let name = &node.for_each.as_ref()?.item;
    let outermost = compiled.frames[compiled.origin(index).frame].node;
    let mut around = node.parent;
    while let Some(group) = around.filter(|group| Some(*group) != outermost) {
        let outer = compiled.graph.node(group);
        if outer.for_each.as_ref().is_some_and(|for_each| for_each.item == *name) {
            let for_each = step.for_each.as_ref()?;
            let place = for_each.item.as_ref().map_or(for_each.list.place, |name| name.place);
            let message = format!("`{name}` hides the item of `{}`", outer.id);
            return Some(Diagnostic::warning("shadowed-item", place, message).help("give it another name with `as`"));
        }
        around = outer.parent;
    }
    None
}

fn odd_numbers(step: &StepDef, tools: &Toolbox, frame: usize, found: &mut Vec<(usize, Diagnostic)>) {
    let null = Value::Null;
    let mut under = |entries: &crate::workflow::tree::Entries<Tree>, schema: &Value| {
        let of = |name: &str| schema.get("properties").and_then(|properties| properties.get(name));
        for (name, tree) in entries.iter() {
            odd(tree, of(&name.value).unwrap_or(&null), frame, found);
        }
    };
    match &step.verb {
        Some(VerbDef::Tool { name, with }) => {
            under(&with.value, tools.get(&name.value).map_or(&null, |tool| &tool.spec().input_schema));
        }
        Some(VerbDef::Workflow(sub)) => {
            let schema = sub.child.as_ref().map(|child| child.top.inputs.schema());
            under(&sub.with.value, schema.as_ref().unwrap_or(&null));
        }
        Some(VerbDef::Set(values)) => under(&values.value, &null),
        Some(VerbDef::Approve(approve)) => {
            approve.value.show.iter().for_each(|tree| odd(tree, &null, frame, found));
        }
        Some(VerbDef::Steps { result: Some(result), .. }) => odd(result, &null, frame, found),
        _ => {}
    }
    if let Some(for_each) = &step.for_each {
        odd(&for_each.list, &null, frame, found);
    }
}

/// Numbers that are not read as they are written: `1.10` is 1.1.
fn odd(tree: &Tree, schema: &Value, frame: usize, found: &mut Vec<(usize, Diagnostic)>) {
    tree.each_leaf(schema, &mut |leaf, schema| {
        let value = leaf.value_for(schema);
        if leaf.is_odd() && value.is_number() {
            let message = format!("`{}` is the number {value}", leaf.written);
            let help = format!("write \"{}\" for a text, {value} for the number", leaf.written);
            found.push((frame, Diagnostic::warning("odd-scalar", leaf.place, message).help(help)));
        }
    });
}
