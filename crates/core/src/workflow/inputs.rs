//! The values of a workflow's inputs: from a person or a program, or from the workflow that calls it.

use serde_json::{Map, Value};

use super::diagnostic::did_you_mean;

/// Values for a workflow's inputs.
pub type Inputs = Map<String, Value>;

/// The inputs with their defaults filled in, and null for optional ones that are not given; or all that is wrong with them.
/// `way_out` says how a missing one is given.
pub(crate) fn fill_inputs(
    schema: &Value,
    mut values: Inputs,
    way_out: impl Fn(&str) -> String,
) -> Result<Value, Vec<String>> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let names: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let mut problems = Vec::new();
    for name in values.keys().filter(|name| !names.contains(&name.as_str())) {
        let help = did_you_mean(name, names.iter().copied()).unwrap_or_else(|| "the workflow has no inputs".into());
        problems.push(format!("no input is called `{name}`; {help}"));
    }
    for (name, schema) in properties.into_iter().flatten() {
        if let (false, Some(default)) = (values.contains_key(name), schema.get("default")) {
            values.insert(name.clone(), default.clone());
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    let required: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
    for name in &required {
        if !values.contains_key(*name) {
            problems.push(format!("the input `{name}` is missing; {}", way_out(name)));
        }
    }
    let optional = |name: &str, schema: &Value| !required.contains(&name) && schema.get("default").is_none();
    if let (Some(properties), true) = (properties, problems.is_empty()) {
        for (name, schema) in properties {
            // An optional input that is not given is null, so that a workflow can ask for it.
            let value = values.entry(name.clone()).or_insert(Value::Null);
            if value.is_null() && optional(name, schema) {
                continue;
            }
            if let Err(error) = crate::schema::check(schema, value) {
                problems.push(format!("the input `{name}` is wrong: {error}"));
            }
        }
    }
    if problems.is_empty() { Ok(Value::Object(values)) } else { Err(problems) }
}
