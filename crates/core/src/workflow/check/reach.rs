//! Steps that never run.

use std::collections::HashMap;

use crate::workflow::compile::Compiled;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::graph::{NodeIndex, RunIf};
use crate::workflow::tree::{Kind, Tree};

/// Steps whose condition is never true, each with how many others wait for it to complete.
pub(super) fn check(compiled: &Compiled<'_>) -> Vec<(usize, Diagnostic)> {
    let mut waiting: HashMap<NodeIndex, Vec<NodeIndex>> = HashMap::new();
    for (index, node) in compiled.graph.iter().filter(|(_, node)| node.run_if == RunIf::Completed) {
        node.after.iter().for_each(|after| waiting.entry(*after).or_default().push(index));
    }
    let mut found = Vec::new();
    for (index, node) in compiled.graph.iter() {
        let origin = compiled.origin(index);
        let (place, why, help) = match (&origin.step.condition, &origin.step.run_if) {
            (Some(condition), _) if is_false(condition) => {
                (condition.place, "its `if` is never true", "remove the step, or mend the condition")
            }
            (_, Some(run_if)) if run_if.value == RunIf::Failed && node.after.is_empty() => {
                let help = "name the steps whose failure it is about, under `needs`";
                (run_if.place, "it waits for the failure of a step and depends on none", help)
            }
            _ => continue,
        };
        let others = dependents(index, &waiting);
        let more = match others {
            0 => String::new(),
            1 => ", nor does the step that depends on it".to_owned(),
            n => format!(", nor do the {n} steps that depend on it"),
        };
        let message = format!("`{}` never runs{more}: {why}", node.id);
        found.push((origin.frame, Diagnostic::warning("never-runs", place, message).help(help)));
    }
    found
}

/// How many steps do not run where this one does not.
fn dependents(index: NodeIndex, waiting: &HashMap<NodeIndex, Vec<NodeIndex>>) -> usize {
    let mut seen = std::collections::BTreeSet::new();
    let mut open = vec![index];
    while let Some(at) = open.pop() {
        let after = waiting.get(&at).into_iter().flatten();
        open.extend(after.copied().filter(|next| seen.insert(*next)));
    }
    seen.len()
}

fn is_false(condition: &Tree) -> bool {
    match &condition.kind {
        Kind::Bool(value) => !value,
        Kind::Text(text) => {
            let text = text.trim();
            let inner = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(text);
            matches!(inner.trim(), "false" | "False" | "not true")
        }
        _ => false,
    }
}
