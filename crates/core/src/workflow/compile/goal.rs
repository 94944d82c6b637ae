//! From what `agent` and `plan` say to goals.

use std::collections::BTreeMap;

use super::Compiled;
use super::lower::described;
use crate::id::is_step_id;
use crate::workflow::definition::{DelegateDef, GoalDef, OfferDef, SchemaDef};
use crate::workflow::diagnostic::{Diagnostic, Place};
use crate::workflow::graph::{Delegate, Goal, Planning, Text};

/// Turns of an agent, where the file names no number.
const AGENT_TURNS: u32 = 12;
/// Turns of the agent that follows a plan which cannot be mended.
const TURNS_AFTER_PLAN: u32 = 8;
const AGENT_TOKENS: u32 = 1024;
/// A line of a plan is short.
const PLAN_TOKENS: u32 = 512;

impl<'a> Compiled<'a> {
    /// A goal; families of tools stand in it as they are written, until the tools at hand are known.
    pub(super) fn goal(&mut self, def: &'a GoalDef, place: Place, frame: usize) -> Goal {
        let what = if def.plan.is_some() { "plan" } else { "agent" };
        let (turns, tokens) = match def.plan {
            Some(_) => (TURNS_AFTER_PLAN, PLAN_TOKENS),
            None => (AGENT_TURNS, AGENT_TOKENS),
        };
        let max_tokens = def.max_tokens.as_ref().or(self.frames[frame].top.defaults.max_tokens.as_ref());
        Goal {
            model: self.model(def.model.as_ref(), what, place, frame),
            goal: Text { text: def.goal.text().to_owned(), file: def.goal.file.clone() },
            tools: def.tools.iter().filter_map(OfferDef::written).collect(),
            workflows: self.delegates(def, frame),
            schema: def.output.as_ref().map(SchemaDef::schema),
            max_turns: def.max_turns.unwrap_or(turns),
            plan: def.plan.as_ref().map(|plan| Planning {
                max_steps: plan.max_steps.unwrap_or(24),
                max_replans: plan.max_replans.unwrap_or(2),
                approve: plan.approve,
                draft_only: plan.draft,
                examples: plan.examples.clone(),
            }),
            temperature_milli: self.temperature_milli(def.temperature.as_ref(), frame),
            max_tokens: max_tokens.map_or(tokens, |count| u32::try_from(count.value).unwrap_or(u32::MAX)),
            seed: def.seed,
        }
    }

    /// The workflows that a model may call, without their plans.
    fn delegates(&mut self, def: &'a GoalDef, frame: usize) -> BTreeMap<String, Delegate> {
        let mut delegates = BTreeMap::new();
        for offer in &def.tools {
            let OfferDef::Workflow(delegate) = offer else { continue };
            let Some(child) = &delegate.sub.child else { continue };
            let place = delegate.name.as_ref().map_or(delegate.sub.path.place, |name| name.place);
            let name = delegate.known_as();
            if !is_step_id(&name) {
                let message = format!("`{name}` cannot name a workflow that is called as a tool");
                let help = "give it a `name`: [a-z][a-z0-9_]*";
                self.problem(frame, Diagnostic::new("bad-id", place, message).help(help));
            }
            let description = delegate.description.clone().or_else(|| child.top.description.clone());
            if description.is_none() {
                let message = format!("`{}` does not say what it is for, and the model must know", child.file);
                let help = "give its file a `description`, or write one here";
                self.problem(frame, Diagnostic::new("no-description", place, message).help(help));
            }
            let workflow = described(&delegate.sub, child);
            let one = Delegate { description: description.unwrap_or_default(), workflow };
            if delegates.insert(name.clone(), one).is_some() {
                let message = format!("two workflows are called `{name}`");
                let help = "give one of them another `name`";
                self.problem(frame, Diagnostic::new("duplicate-id", place, message).help(help));
            }
        }
        delegates
    }
}

impl OfferDef {
    /// A tool, or a family of them, as a file says it.
    fn written(&self) -> Option<String> {
        match self {
            OfferDef::Tool(name) => Some(name.value.clone()),
            OfferDef::Family(family) => Some(format!("{}.*", family.value)),
            OfferDef::Workflow(_) => None,
        }
    }
}

impl DelegateDef {
    /// What the model knows it under: `weekly_report` for `with/weekly-report.yaml`, where no name is written.
    pub(crate) fn known_as(&self) -> String {
        if let Some(name) = &self.name {
            return name.value.clone();
        }
        let path = &self.sub.path.value;
        let file = path.rsplit('/').next().unwrap_or(path);
        let stem = file.split('.').next().unwrap_or(file).to_ascii_lowercase();
        let id: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if is_step_id(&id) { id } else { format!("workflow_{id}") }
    }
}
