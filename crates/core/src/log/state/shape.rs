//! What a plan's graph says, turned round for quick look-ups.

use std::collections::HashMap;

use crate::workflow::{Graph, Node, NodeIndex, RunIf};

/// What the plan's graph says, turned round for quick look-ups.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The nodes beside it that wait for each node.
    pub(super) dependents: Vec<Vec<NodeIndex>>,
    /// The place of each node among the members of its group.
    pub(super) position: Vec<usize>,
    /// The places of a group's members by their ids; of the top level for `None`.
    pub(super) names: HashMap<Option<NodeIndex>, HashMap<String, usize>>,
    /// Whether each node, or a group around it, still runs when the run has failed.
    pub(super) after_failure: Vec<bool>,
    /// Whether each node, or a group around it, still runs when the run is being cancelled.
    pub(super) after_cancel: Vec<bool>,
}

impl Shape {
    pub(super) fn of(graph: &Graph) -> Self {
        let size = graph.nodes.len();
        let mut shape = Shape {
            dependents: vec![Vec::new(); size],
            position: vec![0; size],
            names: HashMap::new(),
            after_failure: Vec::with_capacity(size),
            after_cancel: Vec::with_capacity(size),
        };
        // A group stands before its members.
        for (index, node) in graph.iter() {
            for after in &node.after {
                shape.dependents[after.0 as usize].push(index);
            }
            let around = |flags: &[bool]| node.parent.is_some_and(|parent| flags[parent.0 as usize]);
            let after_failure = node.run_if.runs_after_failure() || around(&shape.after_failure);
            let after_cancel = node.run_if == RunIf::Always || around(&shape.after_cancel);
            shape.after_failure.push(after_failure);
            shape.after_cancel.push(after_cancel);
        }
        let groups = graph.iter().filter(|(_, node)| node.verb.has_members());
        for group in std::iter::once(None).chain(groups.map(|(index, _)| Some(index))) {
            let mut names = HashMap::new();
            for (place, member) in graph.members(group).iter().enumerate() {
                shape.position[member.0 as usize] = place;
                names.insert(graph.node(*member).id.clone(), place);
            }
            shape.names.insert(group, names);
        }
        shape
    }

    /// One more node, at that place among the members of its group.
    pub(super) fn add(&mut self, index: NodeIndex, node: &Node, place: usize) {
        for after in &node.after {
            self.dependents[after.0 as usize].push(index);
        }
        self.dependents.push(Vec::new());
        self.position.push(place);
        let around = |flags: &[bool]| node.parent.is_some_and(|parent| flags[parent.0 as usize]);
        let (after_failure, after_cancel) = (around(&self.after_failure), around(&self.after_cancel));
        self.after_failure.push(after_failure);
        self.after_cancel.push(after_cancel);
    }
}
