//! What a goal's model may call: tools that are there and granted, each family as the tools that it has, and workflows with plans
//! of their own.

use std::collections::BTreeSet;

use super::Checker;
use crate::tool::{Effect, ToolSpec};
use crate::workflow::definition::{GoalDef, OfferDef};
use crate::workflow::diagnostic::{Diagnostic, did_you_mean};
use crate::workflow::graph::{NodeIndex, Verb};
use crate::workflow::tree::At;

impl<'a> Checker<'a, '_> {
    /// Freezes what a goal's model may call into the plan.
    pub(super) fn check_goal(&mut self, index: NodeIndex, def: &'a GoalDef, frame: usize) {
        let mut tools: Vec<String> = Vec::new();
        for offer in &def.tools {
            let names = match offer {
                OfferDef::Tool(name) => vec![name.clone()],
                OfferDef::Family(family) => self.tools_of(family, frame),
                OfferDef::Workflow(_) => Vec::new(),
            };
            for name in names {
                let Some(spec) = self.freeze_tool(&name, frame) else { continue };
                let granted = self.check_granted(spec, name.place, frame);
                if !tools.contains(&name.value) {
                    tools.push(name.value);
                }
                // One word about a family is enough.
                if !granted {
                    break;
                }
            }
        }
        let own_runs: Vec<_> = def.tools.iter().filter_map(|offer| self.check_delegate(offer, &tools, frame)).collect();
        let Verb::Goal(goal) = &mut self.compiled.graph.nodes[index.0 as usize].verb else { return };
        goal.tools = tools;
        for (name, plan) in own_runs {
            if let Some(delegate) = goal.workflows.get_mut(&name) {
                delegate.workflow.own_run = plan.map(Box::new);
            }
        }
    }

    /// The tools of a family, by name: where nothing is granted to it, those that need no grant, if there are any.
    fn tools_of(&mut self, family: &At<String>, frame: usize) -> Vec<At<String>> {
        let specs = self.requirements.tools.iter().map(|tool| tool.spec());
        let specs: Vec<_> = specs.filter(|spec| spec.family() == family.value).collect();
        let granted = self.compiled.frames[frame].top.tools.get(&family.value).is_some();
        let free = |spec: &&&ToolSpec| granted || spec.effect == Effect::Pure;
        let mut names: BTreeSet<_> = specs.iter().filter(free).map(|spec| &spec.name).collect();
        if names.is_empty() {
            names = specs.iter().map(|spec| &spec.name).collect();
        }
        if names.is_empty() {
            let families: BTreeSet<_> = self.requirements.tools.iter().map(|tool| tool.spec().family()).collect();
            let mut diagnostic =
                Diagnostic::new("unknown-family", family.place, format!("no tools are called `{}.…`", family.value));
            diagnostic.help = did_you_mean(&family.value, families.into_iter().collect::<Vec<_>>());
            self.compiled.problem(frame, diagnostic);
        }
        names.into_iter().map(|name| At::new(name.clone(), family.place)).collect()
    }

    /// A workflow that is called as a tool, under its name, with its plan.
    fn check_delegate(
        &mut self,
        offer: &'a OfferDef,
        tools: &[String],
        frame: usize,
    ) -> Option<(String, Option<crate::workflow::Plan>)> {
        let OfferDef::Workflow(delegate) = offer else { return None };
        let child = delegate.sub.child.as_ref()?;
        let name = delegate.known_as();
        if tools.contains(&name) {
            let message = format!("a tool is called `{name}`, too");
            let help = "give the workflow another `name`";
            self.compiled.problem(frame, Diagnostic::new("duplicate-id", offer.place(), message).help(help));
        }
        self.check_wider(child, frame);
        Some((name, self.plan_own_run(child, offer.place(), frame)))
    }
}
