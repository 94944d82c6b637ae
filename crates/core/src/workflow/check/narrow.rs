//! A workflow that another one calls may use no more than its caller may.

use serde_json::Value;

use crate::workflow::compile::Compiled;
use crate::workflow::definition::{SubDef, Top, VerbDef};
use crate::workflow::diagnostic::Diagnostic;

/// Where a called workflow asks for more than its caller has.
pub(super) fn check(compiled: &Compiled<'_>) -> Vec<(usize, Diagnostic)> {
    let mut found = Vec::new();
    for origin in &compiled.origins {
        if let Some(VerbDef::Workflow(sub)) = &origin.step.verb {
            let caller = compiled.frames[origin.frame].top;
            found.extend(wider(caller, sub).into_iter().map(|diagnostic| (origin.frame, diagnostic)));
        }
    }
    found
}

fn wider(caller: &Top, sub: &SubDef) -> Vec<Diagnostic> {
    let Some(child) = &sub.child else { return Vec::new() };
    let (path, top, place) = (&sub.path.value, &child.top, sub.path.place);
    let mut found = Vec::new();
    for (family, grant) in top.tools.iter() {
        let family = &family.value;
        let own = caller.tools.get(family);
        if own.is_none_or(|own| !within(&grant.to_value(), &own.to_value())) {
            let message = match own {
                None => format!("`{path}` is granted `{family}`, and its caller is not"),
                Some(_) => format!("`{path}` is granted more of `{family}` than its caller"),
            };
            let help = format!(
                "grant it under `tools` of this file too, or less in `{path}`: a caller's grants bound those of what it calls"
            );
            found.push(Diagnostic::new("wider-grant", place, message).help(help));
        }
    }
    for (root, names, own) in [("env", &top.env, &caller.env), ("secrets", &top.secrets, &caller.secrets)] {
        for name in names.iter().filter(|name| own.iter().all(|own| own.value != name.value)) {
            let name = &name.value;
            let message = format!("`{path}` declares `{name}` under `{root}`, and its caller does not");
            let help = format!("add it here too: `{root}: [{name}]` at the top of the file");
            found.push(Diagnostic::new("undeclared", place, message).help(help));
        }
    }
    let (inner, outer) = (top.limits(), caller.limits());
    let limits = [
        ("budget.tokens", inner.tokens, outer.tokens),
        ("budget.tool_calls", inner.tool_calls, outer.tool_calls),
        ("budget.money", inner.money_micro, outer.money_micro),
        ("budget.wall", inner.wall_ms, outer.wall_ms),
        ("deadline", inner.deadline_ms, outer.deadline_ms),
    ];
    for (key, inner, outer) in limits {
        if let (Some(inner), Some(outer)) = (inner, outer)
            && inner > outer
        {
            let message = format!("`{key}` of `{path}` is more than its caller has");
            let help = "a called workflow's limits only narrow those of its caller: lower it there, or raise it here";
            found.push(Diagnostic::new("wider-limit", place, message).help(help));
        }
    }
    found
}

/// Whether a grant gives no more than another: less of a map, parts of a list, folders below folders.
fn within(inner: &Value, outer: &Value) -> bool {
    match (inner, outer) {
        (Value::Object(inner), Value::Object(outer)) => {
            inner.iter().all(|(key, value)| outer.get(key).is_some_and(|other| within(value, other)))
        }
        (Value::Array(inner), Value::Array(outer)) => {
            inner.iter().all(|value| outer.iter().any(|other| within(value, other)))
        }
        (Value::String(inner), Value::String(outer)) => inner == outer || below(inner, outer),
        (Value::Number(inner), Value::Number(outer)) => inner.as_f64() <= outer.as_f64(),
        (Value::Bool(inner), Value::Bool(outer)) => !inner || *outer,
        _ => inner == outer,
    }
}

/// Whether one path leads into the folder of another.
fn below(inner: &str, outer: &str) -> bool {
    let parts = |path: &str| {
        let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned);
        (path.starts_with('/'), parts.collect::<Vec<_>>())
    };
    let ((inner_absolute, inner), (outer_absolute, outer)) = (parts(inner), parts(outer));
    let climbs = |parts: &[String]| parts.iter().any(|part| part == "..");
    inner_absolute == outer_absolute && !climbs(&inner) && !climbs(&outer) && inner.starts_with(&outer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(inner: Value, outer: Value, expected: bool) {
        assert_eq!(within(&inner, &outer), expected, "{inner} in {outer}");
    }

    #[test]
    fn a_grant_is_not_widened_by_a_detour() {
        let outer = || json!({"read": ["data", "./more/"], "most": 5, "links": false});
        check(json!({}), outer(), true);
        check(json!({"read": ["data/a", "more"], "most": 5}), outer(), true);
        check(json!({"read": ["data/../secret"]}), outer(), false);
        check(json!({"read": ["database"]}), outer(), false);
        check(json!({"read": ["/data"]}), outer(), false);
        check(json!({"write": ["data"]}), outer(), false);
        check(json!({"most": 6}), outer(), false);
        check(json!({"links": true}), outer(), false);
        check(json!({"read": ["x"]}), json!({"read": ["."]}), true);
        check(json!({"read": ["../x"]}), json!({"read": ["."]}), false);
        check(json!({"read": "data"}), json!({"read": ["data"]}), false);
        check(json!({"read": []}), json!({}), false);
    }
}
