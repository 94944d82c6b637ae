//! Which models a plan needs: those that its steps ask, and those whose tokens its tools count.

use std::collections::BTreeSet;

use parkway_core::tool::Toolbox;
use parkway_core::workflow::{Node, Plan, RunIf, Verb};
use serde_json::Value;

/// What the schema of an argument says that is the name of a model of the workflow.
const NAMES_A_MODEL: &str = "x-model";

/// The names of the models that the plan's steps need, and those of the runs that they have for themselves.
pub(crate) fn asked(plan: &Plan, tools: &Toolbox) -> BTreeSet<String> {
    plan.graph.iter().flat_map(|(_, node)| by(&node.verb, plan, tools)).collect()
}

/// Of these models, those that may still be needed after a cancel.
pub(crate) fn asked_at_the_end(plan: &Plan, tools: &Toolbox) -> BTreeSet<String> {
    let runs_always = |node: &Node| {
        let around = std::iter::successors(Some(node), |node| node.parent.map(|parent| plan.graph.node(parent)));
        around.into_iter().any(|node| node.run_if == RunIf::Always)
    };
    let models = |node: &Node| match &node.verb {
        verb if runs_always(node) => by(verb, plan, tools),
        // The cancel reaches its runs, too.
        verb => verb.own_runs().flat_map(|plan| asked_at_the_end(plan, tools)).collect(),
    };
    plan.graph.iter().flat_map(|(_, node)| models(node)).collect()
}

/// The models that a step needs.
fn by(verb: &Verb, plan: &Plan, tools: &Toolbox) -> BTreeSet<String> {
    let own = match verb {
        Verb::Chat(chat) => BTreeSet::from([chat.model.clone()]),
        Verb::Tool { name, with } => {
            name_models(name, tools).flat_map(|argument| models_of(&with[argument], plan)).collect()
        }
        Verb::Goal(goal) => {
            // The arguments of its calls are written when it runs.
            let any = goal.tools.iter().any(|tool| name_models(tool, tools).next().is_some());
            let any = plan.models.keys().filter(|_| any).cloned();
            std::iter::once(goal.model.clone()).chain(any).collect()
        }
        _ => BTreeSet::new(),
    };
    own.into_iter().chain(verb.own_runs().flat_map(|plan| asked(plan, tools))).collect()
}

/// The arguments of a tool that are names of models.
fn name_models<'t>(tool: &str, tools: &'t Toolbox) -> impl Iterator<Item = &'t String> {
    let schema = tools.get(tool).map(|tool| &tool.spec().input_schema["properties"]);
    let named = schema.and_then(Value::as_object).into_iter().flatten();
    named.filter(|(_, schema)| schema[NAMES_A_MODEL] == true).map(|(argument, _)| argument)
}

/// The models that an argument may name: the one, or any of the plan where that is only known when the step runs.
fn models_of(argument: &Value, plan: &Plan) -> Vec<String> {
    match argument.as_str() {
        Some(name) if !name.contains("${{") && !name.contains("{%") => vec![name.to_owned()],
        Some(_) => plan.models.keys().cloned().collect(),
        None => Vec::new(),
    }
}
