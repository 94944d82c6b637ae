//! What each step waits for: its `needs`, and the steps that its templates name.

use std::collections::{BTreeMap, BTreeSet};

use super::{Compiled, Scope, Site, suggest};
use crate::workflow::definition::InputsDef;
use crate::workflow::diagnostic::{Diagnostic, Place};
use crate::workflow::graph::NodeIndex;
use crate::workflow::template::{Problem, Reference, Use, foreign_root};
use crate::workflow::tree::At;

const STEP_FIELDS: [&str; 6] = ["status", "output", "error", "attempts", "items", "confidence"];
const RUN_FIELDS: [&str; 2] = ["id", "started_at"];

/// What a reference to a step leads to.
enum Found {
    /// A member of the step that the template belongs to.
    Inside(NodeIndex),
    /// A step beside the second one, which is the template's own or one around it.
    Beside(NodeIndex, NodeIndex),
}

impl<'a> Compiled<'a> {
    pub(super) fn link(&mut self) {
        for i in 0..self.graph.nodes.len() {
            let index = NodeIndex(u32::try_from(i).unwrap_or(u32::MAX));
            for need in &self.origin(index).step.needs {
                self.link_need(index, need);
            }
        }
        for site in self.sites() {
            self.link_site(&site);
        }
    }

    fn link_need(&mut self, index: NodeIndex, need: &At<String>) {
        let frame = self.origin(index).frame;
        let group = self.graph.node(index).parent;
        match self.named(group, &need.value) {
            Some(other) if other != index => self.wait(index, other),
            Some(_) => {
                let message = format!("`{}` cannot wait for itself", need.value);
                self.problem(frame, Diagnostic::new("cycle", need.place, message));
            }
            None => {
                let message = format!("no step beside this one is called `{}`", need.value);
                let mut diagnostic = Diagnostic::new("unknown-step", need.place, message);
                diagnostic.help = self.suggest_step(&need.value, &[group], Some(index));
                self.problem(frame, diagnostic);
            }
        }
    }

    fn ids(&self, group: Option<NodeIndex>) -> Vec<&str> {
        self.graph.members(group).iter().map(|member| self.graph.node(*member).id.as_str()).collect()
    }

    fn site_problem(&mut self, site: &Site<'_>, mut diagnostic: Diagnostic) {
        diagnostic.file = site.file.map(str::to_owned);
        self.problem(site.frame, diagnostic);
    }

    fn link_site(&mut self, site: &Site<'a>) {
        let inspected = site.template().inspect(&mut |_| None);
        for problem in inspected.problems {
            // Told with the steps that there are.
            if problem.code != "dynamic-step" {
                self.site_problem(site, said(site, problem));
            }
        }
        // Each is told once, where it is not tested if there is such a place.
        let mut uses: BTreeMap<&Reference, &Use> = BTreeMap::new();
        for one in &inspected.uses {
            let known = uses.entry(&one.reference).or_insert(one);
            if known.tested && !one.tested {
                *known = one;
            }
        }
        for one in uses.values() {
            match one.reference.root.as_str() {
                "steps" => self.link_step(site, one),
                _ => self.check_root(site, site.locate_span(one.span), &one.reference),
            }
        }
    }

    fn link_step(&mut self, site: &Site<'_>, one: &Use) {
        let (place, reference) = (site.locate_span(one.span), &one.reference);
        let Some(id) = reference.path.first() else {
            let message = "`steps` as a whole cannot be used, since the order of steps must be known before they run";
            let diagnostic = Diagnostic::new("dynamic-step", place, message).help("write `steps.ID.output`");
            return self.site_problem(site, diagnostic);
        };
        self.check_step_field(site, place, reference);
        match self.resolve(site, id) {
            Some(Found::Inside(_)) => {}
            Some(Found::Beside(found, from)) if found == from => {
                let message = if Some(from) == site.node {
                    "a step cannot use its own output"
                } else {
                    "a step cannot use the output of a group that encloses it"
                };
                let mut diagnostic = Diagnostic::new("cycle", place, message);
                if self.loop_names(site).contains("previous") {
                    diagnostic.help = Some("what the last round gave is `previous`".to_owned());
                }
                self.site_problem(site, diagnostic);
            }
            Some(Found::Beside(found, from)) => {
                self.wait(from, found);
            }
            None => {
                let mut diagnostic = Diagnostic::new("unknown-step", place, format!("no step is called `{id}` here"));
                let groups: Vec<_> = self.scopes(site).into_iter().map(|(group, _)| group).collect();
                diagnostic.help = self.suggest_step(id, &groups, site.node);
                self.site_problem(site, diagnostic);
            }
        }
    }

    /// The groups in which a template looks for a step, innermost first, each with the step that it is a member of that
    /// group by. What runs within a workflow does not see its caller.
    fn scopes(&self, site: &Site<'_>) -> Vec<(Option<NodeIndex>, Option<NodeIndex>)> {
        let outermost = self.frames[site.frame].node;
        let mut scopes = Vec::new();
        let mut at = site.node;
        if site.scope == Scope::Inside {
            scopes.push((site.node, None));
        }
        while let Some(step) = at.filter(|step| Some(*step) != outermost) {
            let group = self.graph.node(step).parent;
            scopes.push((group, Some(step)));
            at = group;
        }
        scopes
    }

    fn resolve(&self, site: &Site<'_>, id: &str) -> Option<Found> {
        self.scopes(site).into_iter().find_map(|(group, from)| {
            let found = self.named(group, id)?;
            Some(from.map_or(Found::Inside(found), |from| Found::Beside(found, from)))
        })
    }

    /// The step that a template means by an id.
    pub(crate) fn step_named(&self, site: &Site<'_>, id: &str) -> Option<NodeIndex> {
        self.resolve(site, id).map(|found| match found {
            Found::Inside(index) | Found::Beside(index, _) => index,
        })
    }

    /// The step of these groups that may be meant, which is not `own`.
    fn suggest_step(&mut self, id: &str, groups: &[Option<NodeIndex>], own: Option<NodeIndex>) -> Option<String> {
        let count: usize = groups.iter().map(|group| self.graph.members(*group).len()).sum();
        self.comparisons = self.comparisons.checked_sub(count)?;
        let own = own.map(|node| self.graph.node(node).id.as_str());
        let ids = groups.iter().flat_map(|group| self.ids(*group)).filter(|id| Some(*id) != own);
        suggest(id, &ids.collect::<Vec<_>>())
    }

    fn check_step_field(&mut self, site: &Site<'_>, place: Place, reference: &Reference) {
        let Some(field) = reference.path.get(1) else { return };
        if !STEP_FIELDS.contains(&field.as_str()) {
            let id = &reference.path[0];
            let message = format!("a step has no field `{field}`");
            let help = format!("did you mean `steps.{id}.output.{field}`? a step has {}", STEP_FIELDS.join(", "));
            self.site_problem(site, Diagnostic::new("unknown-field", place, message).help(help));
        }
    }

    /// Checks a root other than `steps`.
    fn check_root(&mut self, site: &Site<'_>, place: Place, reference: &Reference) {
        let top = self.frames[site.frame].top;
        let first = reference.path.first();
        match reference.root.as_str() {
            "inputs" => {
                let (Some(name), InputsDef::Fields(inputs)) = (first, &top.inputs) else { return };
                if inputs.get(name).is_none() {
                    let mut diagnostic =
                        Diagnostic::new("unknown-input", place, format!("no input is called `{name}`"));
                    diagnostic.help = suggest(name, &inputs.names());
                    self.site_problem(site, diagnostic);
                }
            }
            "run" => {
                if let Some(field) = first.filter(|field| !RUN_FIELDS.contains(&field.as_str())) {
                    let message = format!("`run` has no field `{field}`");
                    let diagnostic = Diagnostic::new("unknown-field", place, message).help("it has id, started_at");
                    self.site_problem(site, diagnostic);
                }
            }
            root @ ("env" | "secrets") => {
                let declared = if root == "env" { &top.env } else { &top.secrets };
                let names: Vec<_> = declared.iter().map(|name| name.value.as_str()).collect();
                let Some(name) = first else {
                    let message = format!("`{root}` as a whole cannot be used");
                    let diagnostic = Diagnostic::new("undeclared", place, message).help(format!("write `{root}.NAME`"));
                    return self.site_problem(site, diagnostic);
                };
                if !names.contains(&name.as_str()) {
                    let message = format!("`{name}` is not declared under `{root}`");
                    let help = suggest(name, &names).filter(|_| !names.is_empty());
                    let help = help.unwrap_or_else(|| format!("write `{root}: [{name}]` at the top of the file"));
                    self.site_problem(site, Diagnostic::new("undeclared", place, message).help(help));
                }
            }
            root => self.check_name(site, place, root),
        }
    }

    /// Checks the name of an item, `index` or `previous`.
    fn check_name(&mut self, site: &Site<'_>, place: Place, root: &str) {
        let names = self.loop_names(site);
        if names.contains(root) {
            return;
        }
        let help = match root {
            "index" => Some("`index` exists only inside a `for_each` or a `repeat`".to_owned()),
            "previous" => Some("`previous` exists only inside a `repeat`".to_owned()),
            _ => {
                let roots = ["inputs", "steps", "env", "secrets", "run"];
                let known: Vec<_> = roots.into_iter().chain(names.iter().map(String::as_str)).collect();
                foreign_root(root).map(str::to_owned).or_else(|| suggest(root, &known))
            }
        };
        let mut diagnostic = Diagnostic::new("unknown-root", place, format!("nothing is called `{root}` here"));
        diagnostic.help = help;
        self.site_problem(site, diagnostic);
    }

    /// What the loops around a template name: items, `index`, `previous`.
    pub(super) fn loop_names(&self, site: &Site<'_>) -> BTreeSet<String> {
        let outermost = self.frames[site.frame].node;
        let mut names = BTreeSet::new();
        let mut at = site.node;
        if site.scope == Scope::Beside {
            at = at.and_then(|node| self.graph.node(node).parent);
        }
        while let Some(step) = at.filter(|step| Some(*step) != outermost) {
            let node = self.graph.node(step);
            if let Some(for_each) = &node.for_each {
                names.extend([for_each.item.clone(), "index".to_owned()]);
            }
            if node.repeat.is_some() {
                names.extend(["previous".to_owned(), "index".to_owned()]);
            }
            at = node.parent;
        }
        names
    }

    fn wait(&mut self, index: NodeIndex, other: NodeIndex) {
        let after = &mut self.graph.nodes[index.0 as usize].after;
        if let Err(place) = after.binary_search(&other) {
            after.insert(place, other);
        }
    }
}

/// What is wrong with a template, where it stands in its file.
pub(crate) fn said(site: &Site<'_>, problem: Problem) -> Diagnostic {
    let place = site.locate_span(problem.span);
    let mut diagnostic = match problem.warning {
        true => Diagnostic::warning(problem.code, place, problem.message),
        false => Diagnostic::new(problem.code, place, problem.message),
    };
    diagnostic.help = problem.help;
    diagnostic
}
