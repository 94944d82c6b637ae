//! A workflow within another one may use less than its caller, and never more.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde_json::{Map, Value};

use super::definition::{ModelSpec, Top};
use super::diagnostic::{Diagnostic, Place};
use super::graph::{SubWorkflow, Verb};
use super::plan::Plan;

/// What a grant to a family of tools leaves of its caller's; or what it wants beyond it. Lists of what may be used shrink,
/// paths go deeper, numbers get smaller; a limit that is not named stays the caller's.
pub(super) fn narrowed(caller: &Value, own: &Value) -> Result<Value, String> {
    match (caller, own) {
        (Value::Object(caller), Value::Object(own)) => {
            let mut left = Map::new();
            for (name, value) in own {
                let Some(limit) = caller.get(name) else { return Err(format!("`{name}`")) };
                let value = narrowed(limit, value).map_err(|wider| format!("`{name}`: {wider}"))?;
                left.insert(name.clone(), value);
            }
            for (name, limit) in caller {
                if !left.contains_key(name) && matches!(limit, Value::Number(_) | Value::Bool(_) | Value::String(_)) {
                    left.insert(name.clone(), limit.clone());
                }
            }
            Ok(Value::Object(left))
        }
        (Value::Array(caller), Value::Array(own)) => {
            let wider = own.iter().find(|item| !caller.iter().any(|limit| narrowed(limit, item).is_ok()));
            wider.map_or_else(|| Ok(Value::Array(own.clone())), |item| Err(item.to_string()))
        }
        (Value::String(limit), Value::String(path)) if lies_in(limit, path) => Ok(own.clone()),
        (Value::Number(limit), Value::Number(number)) if number.as_f64() <= limit.as_f64() => Ok(own.clone()),
        (Value::Bool(_), Value::Bool(false)) => Ok(own.clone()),
        _ if caller == own => Ok(own.clone()),
        _ => Err(own.to_string()),
    }
}

/// Whether a path is a folder or lies in it. One that climbs lies nowhere, and an address is no path: what is behind its `?` may
/// change what it means.
fn lies_in(folder: &str, path: &str) -> bool {
    if [folder, path].iter().any(|text| text.contains("://") || text.contains('?')) {
        return folder == path;
    }
    let parts = |text| {
        let parts = Path::new(text).components().filter(|part| *part != Component::CurDir);
        parts.map(|part| (part != Component::ParentDir).then_some(part)).collect::<Option<Vec<_>>>()
    };
    // `.` has no parts, and is the beginning of any path: a folder of the project is none of the whole machine.
    let alike = Path::new(folder).has_root() == Path::new(path).has_root();
    folder == path || alike && parts(folder).zip(parts(path)).is_some_and(|(folder, path)| path.starts_with(&folder))
}

/// What a workflow wants beyond what its caller has. The places are those of its own file.
pub(super) fn wider(caller: &Top, own: &Top) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut tell = |place: Place, message: String| {
        let help = "a workflow within another one may only use less: widen it in the caller, or ask for less here";
        found.push(Diagnostic::new("wider-than-caller", place, message).help(help));
    };
    for (family, grant) in own.tools.iter() {
        let granted = caller.tools.get(&family.value).map(|grant| grant.to_value());
        match granted.map(|granted| narrowed(&granted, &grant.to_value())) {
            None => {
                tell(family.place, format!("the caller grants nothing to `{}`", family.value));
            }
            Some(Err(wider)) => {
                tell(grant.place, format!("the caller does not grant as much to `{}`: {wider}", family.value));
            }
            Some(Ok(_)) => {}
        }
    }
    for (key, callers, own) in [("env", &caller.env, &own.env), ("secrets", &caller.secrets, &own.secrets)] {
        for name in own.iter().filter(|name| !callers.iter().any(|known| known.value == name.value)) {
            tell(name.place, format!("the caller does not declare `{}` under `{key}`", name.value));
        }
    }
    let counts = [
        ("budget.tokens", &caller.budget.tokens, &own.budget.tokens),
        ("budget.tool_calls", &caller.budget.tool_calls, &own.budget.tool_calls),
        ("budget.money", &caller.budget.money, &own.budget.money),
    ];
    for (key, limit, own) in counts {
        if let Some((limit, own)) = limit.as_ref().zip(own.as_ref()).filter(|(limit, own)| own.value > limit.value) {
            tell(own.place, format!("`{key}` is {}, and the caller's is {}", own.value, limit.value));
        }
    }
    let spans = [("budget.wall", &caller.budget.wall, &own.budget.wall), ("deadline", &caller.deadline, &own.deadline)];
    for (key, limit, own) in spans {
        if let Some((limit, own)) = limit.as_ref().zip(own.as_ref()).filter(|(limit, own)| own.value > limit.value) {
            tell(own.place, format!("`{key}` is {:?}, and the caller's is {:?}", own.value, limit.value));
        }
    }
    found
}

/// Gives each workflow within a plan what its caller leaves it, and a `deadline` of one that runs within its caller's run
/// the form that bounds a step.
pub(super) fn narrow(plan: &mut Plan) {
    for i in 0..plan.graph.nodes.len() {
        let callers = grants_around(plan, i);
        let node = &mut plan.graph.nodes[i];
        match &mut node.verb {
            Verb::Workflow(workflow) => {
                narrow_called(workflow, &callers, &mut plan.models);
                if workflow.own_run.is_none() {
                    node.timeout_ms = node.timeout_ms.into_iter().chain(workflow.limits.deadline_ms).min();
                }
            }
            Verb::Goal(goal) => {
                for delegate in goal.workflows.values_mut() {
                    narrow_called(&mut delegate.workflow, &callers, &mut plan.models);
                }
            }
            _ => {}
        }
    }
}

fn narrow_called(
    workflow: &mut SubWorkflow,
    callers: &BTreeMap<String, Value>,
    models: &mut BTreeMap<String, ModelSpec>,
) {
    shrink(callers, &mut workflow.grants);
    let Some(child) = &mut workflow.own_run else { return };
    shrink(callers, &mut child.grants);
    // Models bind by name, the caller's first.
    for (name, model) in &mut child.models {
        model.clone_from(models.entry(name.clone()).or_insert_with(|| model.clone()));
    }
    narrow(child);
}

fn shrink(callers: &BTreeMap<String, Value>, own: &mut BTreeMap<String, Value>) {
    own.retain(|family, grant| match callers.get(family).map(|callers| narrowed(callers, grant)) {
        Some(Ok(left)) => {
            *grant = left;
            true
        }
        // It was told already; the plan is not used.
        _ => false,
    });
}

/// The grants of the workflow that a node stands in. A workflow's node stands before its members.
fn grants_around(plan: &Plan, node: usize) -> BTreeMap<String, Value> {
    let mut at = plan.graph.nodes[node].parent;
    while let Some(parent) = at {
        let parent = plan.graph.node(parent);
        if let Verb::Workflow(workflow) = &parent.verb {
            return workflow.grants.clone();
        }
        at = parent.parent;
    }
    plan.grants.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_grant_only_gets_smaller() {
        let caller =
            json!({"read": ["data", "in/letters"], "write": ["out"], "most_bytes": 100, "follow": true, "rate": "5/s"});
        for (own, left) in [
            (
                json!({"read": ["data/2027"]}),
                json!({"read": ["data/2027"], "most_bytes": 100, "follow": true, "rate": "5/s"}),
            ),
            (
                json!({"read": ["./data/"], "most_bytes": 5, "follow": false}),
                json!({"read": ["./data/"], "most_bytes": 5, "follow": false, "rate": "5/s"}),
            ),
            (json!({}), json!({"most_bytes": 100, "follow": true, "rate": "5/s"})),
        ] {
            assert_eq!(narrowed(&caller, &own), Ok(left));
        }
        for own in [
            json!({"read": ["."]}),
            json!({"read": ["in"]}),
            json!({"read": ["data/../secret"]}),
            json!({"read": ["database"]}),
            json!({"read": ["/data"]}),
            json!({"write": ["out", "data"]}),
            json!({"most_bytes": 101}),
            json!({"rate": "50/s"}),
            json!({"read": ["in/letters?x"]}),
            json!({"delete": ["out"]}),
            json!({"read": "data"}),
            json!(true),
        ] {
            assert!(narrowed(&caller, &own).is_err(), "{own}");
        }
    }

    #[test]
    fn an_address_is_the_same_or_another_one() {
        let caller = json!({"at": "postgres://reader@db.example.com/books"});
        assert!(narrowed(&caller, &caller).is_ok());
        let own = json!({"at": "postgres://reader@db.example.com/books/?sslmode=disable"});
        assert!(narrowed(&caller, &own).is_err());
    }

    #[test]
    fn all_of_the_project_is_not_all_of_the_machine() {
        let caller = json!({"read": ["."]});
        assert!(narrowed(&caller, &json!({"read": ["data"]})).is_ok());
        assert!(narrowed(&caller, &json!({"read": ["/etc"]})).is_err());
    }
}
