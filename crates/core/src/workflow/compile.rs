//! From a definition to a graph: steps are lowered to nodes, references are linked, and everything wrong is collected.

mod goal;
mod link;
mod lower;
mod site;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::definition::{Definition, ModelSpec, StepDef, Top};
use super::diagnostic::{Diagnostic, Diagnostics, Place, did_you_mean};
use super::graph::{Graph, NodeIndex};
use super::template::Template;
use super::tree::{Entries, Kind, Tree};

pub(super) use link::said;
pub(super) use lower::{names, too_many_steps};
pub(super) use site::{Scope, Site};

/// The most steps that a workflow may have, those of its sub-workflows counted each time they are used.
pub(super) const MAX_STEPS: usize = 20_000;

/// How many names are compared with those that are not known, in all.
const MAX_COMPARISONS: usize = 200_000;

/// A definition that was lowered and linked, with all that is wrong with it so far.
pub(super) struct Compiled<'a> {
    pub(super) graph: Graph,
    /// By node: what it was made of.
    pub(super) origins: Vec<Origin<'a>>,
    /// The workflows in it: the top one first, then those that run within it.
    pub(super) frames: Vec<Frame<'a>>,
    pub(super) problems: Vec<Diagnostic>,
    /// The members of each group by their ids; of the top level for `None`.
    names: HashMap<Option<NodeIndex>, HashMap<&'a str, NodeIndex>>,
    /// How many names may still be compared with one that is not known: many mistakes in a large file take their time.
    comparisons: usize,
}

/// What a node was made of.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) step: &'a StepDef,
    /// Where its id stands.
    pub(super) place: Place,
    /// The workflow that it stands in.
    pub(super) frame: usize,
}

/// One workflow: the top one, or one that runs within it as a step.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) top: &'a Top,
    /// Its file, relative to the top one's folder; `None` for the top one.
    pub(super) file: Option<&'a str>,
    /// The step that it is.
    pub(super) node: Option<NodeIndex>,
}

/// The graph of a definition.
pub(super) fn compile(definition: &Definition) -> Compiled<'_> {
    compile_top(&definition.top, None)
}

impl Definition {
    /// Its graph as far as it can be made, and all that is wrong with it before tools and policy are looked at. For
    /// pictures: only a checked plan can run.
    pub fn graph(&self) -> (Graph, Diagnostics) {
        let Compiled { graph, problems, .. } = compile(self);
        (graph, self.diagnostics(problems))
    }
}

/// The graph of a workflow, or of one that a step runs as a run of its own.
pub(super) fn compile_top<'a>(top: &'a Top, file: Option<&'a str>) -> Compiled<'a> {
    let mut compiled = Compiled {
        graph: Graph::default(),
        origins: Vec::new(),
        frames: vec![Frame { top, file, node: None }],
        problems: Vec::new(),
        names: HashMap::new(),
        comparisons: MAX_COMPARISONS,
    };
    compiled.graph.roots = compiled.add_steps(&top.steps, None, 0);
    if top.steps.is_empty() {
        compiled.problem(0, Diagnostic::new("no-steps", None, "the workflow has no steps"));
    }
    compiled.link();
    compiled.check_cycles();
    compiled
}

impl<'a> Compiled<'a> {
    /// The member of a group that has this id.
    pub(super) fn named(&self, group: Option<NodeIndex>, id: &str) -> Option<NodeIndex> {
        self.names.get(&group)?.get(id).copied()
    }

    /// Notes a problem in the file of a workflow.
    pub(super) fn problem(&mut self, frame: usize, mut diagnostic: Diagnostic) {
        if diagnostic.file.is_none() {
            diagnostic.file = self.frames[frame].file.map(str::to_owned);
        }
        self.problems.push(diagnostic);
    }

    pub(super) fn origin(&self, index: NodeIndex) -> Origin<'a> {
        self.origins[index.0 as usize]
    }

    /// The models of all workflows in it, by name: a caller's stands before that of what it calls.
    pub(super) fn models(&self) -> BTreeMap<String, ModelSpec> {
        let mut models = BTreeMap::new();
        for (name, model) in self.frames.iter().flat_map(|frame| frame.top.models.iter()) {
            models.entry(name.value.clone()).or_insert_with(|| model.clone());
        }
        models
    }

    fn check_cycles(&mut self) {
        let groups: Vec<_> = std::iter::once(None)
            .chain(self.graph.iter().filter(|(_, node)| node.verb.has_members()).map(|(index, _)| Some(index)))
            .collect();
        for group in groups {
            if let Some(ids) = self.graph.cycle(group) {
                let first = ids.first().and_then(|id| self.named(group, id));
                let (place, frame) = first.map_or((None, 0), |index| {
                    let origin = self.origin(index);
                    (Some(origin.place), origin.frame)
                });
                let message = format!("these steps wait for each other: {}", ids.join(" → "));
                let help = "remove one of the references, or one of the `needs`";
                self.problem(frame, Diagnostic::new("cycle", place, message).help(help));
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

/// The scalars of nested YAML: each is a template of its own.
pub(super) fn leaves(tree: &Tree) -> Vec<&Tree> {
    let mut found = Vec::new();
    tree.each_leaf(&Value::Null, &mut |leaf, _| found.push(leaf));
    found
}

pub(super) fn leaves_of(entries: &Entries<Tree>) -> Vec<&Tree> {
    entries.iter().flat_map(|(_, tree)| leaves(tree)).collect()
}

/// The nearest of the names that an entry of the file could mean.
pub(super) fn suggest(name: &str, known: &[&str]) -> Option<String> {
    did_you_mean(name, known.iter().copied())
}

/// Whether a tree is a text.
pub(super) fn is_text(tree: &Tree) -> bool {
    matches!(tree.kind, Kind::Text(_))
}
