//! The place in a plan that a fork begins at.

use crate::id::{RunId, StepKey};
use crate::workflow::{Graph, NodeIndex, Plan, Verb};

/// The nodes on the way to a step: the groups around it, outermost first, and the step. An error says where to fork instead.
pub(super) fn way(plan: &Plan, run: RunId, text: &str) -> Result<Vec<NodeIndex>, String> {
    let fork = |step: &str| format!("parkway fork {run} --from {step}");
    let graph = &plan.graph;
    // The name of an item may hold dots, and everything behind it belongs to the item.
    let (plain, part) = match text.find(['[', '#']) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let ids: Vec<_> = plain.split('.').collect();
    let mut way: Vec<NodeIndex> = Vec::new();
    for id in &ids {
        let around = way.last().copied();
        match graph.members(around).iter().copied().find(|node| graph.node(*node).id == *id) {
            Some(found) => way.push(found),
            None => {
                if let Some(own) = around.filter(|around| has_run(graph, *around)) {
                    let own = key(graph, own);
                    let child = run.child(&own);
                    return Err(format!(
                        "`{own}` has a run of its own: fork from it as a whole: {}; or fork its run: parkway fork {child} --from STEP",
                        fork(&own.to_string())
                    ));
                }
                way = found_inside(graph, &ids, text, &fork)?;
                break;
            }
        }
    }
    let parted = way.iter().position(|node| {
        let node = graph.node(*node);
        node.for_each.is_some() || node.repeat.is_some()
    });
    if let Some(at) = parted.filter(|at| *at + 1 < way.len() || !part.is_empty()) {
        let whole = key(graph, way[at]);
        let node = graph.node(way[at]);
        let parts = if node.repeat.is_some() { "rounds" } else { "items" };
        return Err(format!(
            "`{text}` is inside `{whole}`, whose {parts} are done anew together; fork from that: {}",
            fork(&whole.to_string())
        ));
    }
    if !part.is_empty() {
        return Err(format!("`{plain}` has no items and no rounds; fork from it: {}", fork(plain)));
    }
    Ok(way)
}

/// The only step inside of something that has this id.
fn found_inside(
    graph: &Graph,
    ids: &[&str],
    text: &str,
    fork: &dyn Fn(&str) -> String,
) -> Result<Vec<NodeIndex>, String> {
    let fits = |node: &NodeIndex| matches!(ids, [id] if graph.node(*node).id == *id);
    let found: Vec<_> = graph.iter().map(|(index, _)| index).filter(fits).collect();
    match found.as_slice() {
        [node] => Ok(path(graph, *node)),
        [] => {
            let ids: Vec<_> = graph.roots.iter().take(12).map(|node| format!("`{}`", graph.node(*node).id)).collect();
            Err(format!("the workflow has no step `{text}`; it has {}", ids.join(", ")))
        }
        [first, ..] => {
            let keys: Vec<_> = found.iter().map(|node| format!("`{}`", key(graph, *node))).collect();
            let one = fork(&key(graph, *first).to_string());
            Err(format!("several steps are called `{text}`: {}; name one: {one}", keys.join(", ")))
        }
    }
}

fn has_run(graph: &Graph, node: NodeIndex) -> bool {
    matches!(&graph.node(node).verb, Verb::Workflow(workflow) if workflow.own_run.is_some())
}

fn path(graph: &Graph, node: NodeIndex) -> Vec<NodeIndex> {
    let mut path: Vec<_> = std::iter::successors(Some(node), |node| graph.node(*node).parent).collect();
    path.reverse();
    path
}

fn key(graph: &Graph, node: NodeIndex) -> StepKey {
    let mut ids = path(graph, node).into_iter().map(|node| &graph.node(node).id);
    let first = ids.next().map_or_else(|| StepKey::root(""), |id| StepKey::root(id));
    ids.fold(first, |key, id| key.child(id))
}
