//! The values of a workflow's inputs: from a person or a program, or from the workflow that calls it.

use std::collections::BTreeSet;

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
    let closed = is_closed(schema) || names.is_empty();
    for name in values.keys().filter(|name| closed && !names.contains(&name.as_str())) {
        let help = did_you_mean(name, names.iter().copied()).unwrap_or_else(|| "the workflow has no inputs".into());
        problems.push(format!("no input is called `{name}`; {help}"));
    }
    fill_defaults(schema, &mut values);
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
            // A part that points elsewhere is checked with the whole.
            if refers(schema) {
                continue;
            }
            if let Err(error) = crate::schema::check(schema, value) {
                problems.push(format!("the input `{name}` is wrong: {error}"));
            }
        }
    }
    if problems.is_empty() {
        let absent = |name: &String, value: &Value| value.is_null() && !required.contains(&name.as_str());
        let given = values.iter().filter(|(name, value)| !absent(name, value));
        let given = Value::Object(given.map(|(name, value)| (name.clone(), value.clone())).collect());
        problems
            .extend(crate::schema::check(schema, &given).err().map(|error| format!("the inputs are wrong: {error}")));
    }
    if problems.is_empty() { Ok(Value::Object(values)) } else { Err(problems) }
}

/// Gives the fields that are not there their defaults, those of objects and lists within as well.
pub(super) fn fill_defaults(schema: &Value, values: &mut Map<String, Value>) {
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let (false, Some(default)) = (values.contains_key(name), field.get("default")) {
            values.insert(name.clone(), default.clone());
        }
        if let Some(value) = values.get_mut(name) {
            fill_within(field, value);
        }
    }
}

fn fill_within(schema: &Value, value: &mut Value) {
    match (value, schema.get("items")) {
        (Value::Object(fields), _) => fill_defaults(schema, fields),
        (Value::Array(items), Some(schema)) => items.iter_mut().for_each(|item| fill_within(schema, item)),
        _ => {}
    }
}

/// Whether an object has no other fields than those that its schema lists. One that lists some and says nothing about
/// others has none, since a slip of the pen would pass.
pub(super) fn is_closed(schema: &Value) -> bool {
    let has = |key: &&str| schema.get(key).is_some();
    let lists = schema.get("properties").and_then(Value::as_object).is_some_and(|properties| !properties.is_empty());
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => !has(&"patternProperties"),
        Some(_) => false,
        None => lists && !MORE.iter().any(has),
    }
}

/// What in a schema may speak of other fields than those under `properties`.
const MORE: [&str; 9] =
    ["patternProperties", "$ref", "allOf", "anyOf", "oneOf", "then", "else", "dependentSchemas", "dependencies"];

/// The names of the fields that have a default.
pub(super) fn defaults_of(schema: &Value) -> BTreeSet<String> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties.filter(|(_, schema)| schema.get("default").is_some()).map(|(name, _)| name.clone()).collect()
}

/// Whether a schema points to another place.
pub(super) fn refers(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            ["$ref", "$dynamicRef", "$recursiveRef"].iter().any(|key| map.contains_key(*key))
                || map.values().any(refers)
        }
        Value::Array(list) => list.iter().any(refers),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_within_has_its_default_and_one_that_was_given_is_kept() {
        let item = json!({ "type": "object", "properties": { "ask": { "type": "string" }, "most": { "type": "integer", "default": 3 } } });
        let schema = json!({ "type": "object", "properties": {
            "list": { "type": "array", "items": item.clone() },
            "one": { "type": "object", "properties": { "deep": item }, "default": { "deep": {} } },
        }});
        let Value::Object(given) = json!({ "list": [{ "ask": "a" }, { "ask": "b", "most": 1 }, "no object"] }) else {
            unreachable!()
        };
        let mut values = given;
        fill_defaults(&schema, &mut values);
        let filled = json!({
            "list": [{ "ask": "a", "most": 3 }, { "ask": "b", "most": 1 }, "no object"],
            "one": { "deep": { "most": 3 } },
        });
        assert_eq!(Value::Object(values), filled);
    }
}
