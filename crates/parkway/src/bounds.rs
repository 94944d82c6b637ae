//! Whether what a plan is granted lies within the site's bounds.

use std::collections::{BTreeMap, BTreeSet};

use parkway_core::tool::{Reach, Toolbox};
use parkway_core::workflow::{Plan, Verb};
use serde_json::Value;

use crate::settings::Settings;

/// The families that are granted what lies outside the bounds, and what is wrong.
pub(crate) fn overstepped(settings: &Settings, tools: &Toolbox, plan: &Plan) -> Vec<(String, String)> {
    let mut wrong = BTreeSet::new();
    for (family, grants) in granted(plan).into_iter().flatten() {
        for tool in tools.iter().filter(|tool| tool.spec().family() == family) {
            // What is wrong with the grants themselves the check has told.
            let Reach { paths, hosts, private, .. } = tool.reach(grants).unwrap_or_default();
            let paths = paths.iter().filter_map(|path| settings.path_out_of_bounds(path));
            let hosts = hosts.iter().filter_map(|host| settings.host_out_of_bounds(host, private));
            wrong.extend(paths.chain(hosts).map(|why| (family.clone(), why)));
        }
    }
    wrong.into_iter().collect()
}

/// The grants of the plan and of the workflows within it. What they want beyond their callers' the check compares as texts; where
/// a link leads is seen here.
fn granted(plan: &Plan) -> Vec<&BTreeMap<String, Value>> {
    let mut all = vec![&plan.grants];
    for (_, node) in plan.graph.iter() {
        match &node.verb {
            Verb::Workflow(workflow) => all.push(&workflow.grants),
            Verb::Goal(goal) => all.extend(goal.workflows.values().map(|delegate| &delegate.workflow.grants)),
            _ => {}
        }
        all.extend(node.verb.own_runs().flat_map(granted));
    }
    all
}
