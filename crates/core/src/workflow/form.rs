//! Values for the fields of a form: defaults filled in, all that is wrong told at once.

use serde_json::{Map, Value};

use super::diagnostic::did_you_mean;
use super::inputs::fill_defaults;
use crate::schema;

/// The values with the defaults of a form's JSON Schema (an object) filled in, and null for optional fields that are not
/// given; or all that is wrong with them.
pub fn fill_form(form: &Value, mut values: Map<String, Value>) -> Result<Value, Vec<String>> {
    let Some(properties) = form.get("properties").and_then(Value::as_object) else {
        // A form that lists no fields says in other ways what it wants.
        let values = Value::Object(values);
        return schema::check(form, &values).map(|()| values).map_err(|error| vec![error]);
    };
    let required = form.get("required").and_then(Value::as_array);
    let required: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
    let mut problems = Vec::new();
    for name in values.keys().filter(|name| !properties.contains_key(*name)) {
        let near = did_you_mean(name, properties.keys().map(String::as_str)).map(|help| format!("; {help}"));
        problems.push(format!("no field is called `{name}`{}", near.unwrap_or_default()));
    }
    fill_defaults(form, &mut values);
    let mut absent = Vec::new();
    for (name, field) in properties {
        match (values.get(name), field.get("default")) {
            (None, None) if required.contains(&name.as_str()) => {
                problems.push(format!("the field `{name}` is missing"));
            }
            // That an optional field is not filled may be said with null too.
            (None | Some(Value::Null), None) if !required.contains(&name.as_str()) => {
                values.shift_remove(name);
                absent.push(name.clone());
            }
            _ => {}
        }
    }
    if problems.is_empty() {
        // A field's schema may point into the whole one, which is why the whole is checked.
        let given = Value::Object(values.clone());
        problems.extend(schema::check(form, &given).err());
    }
    values.extend(absent.into_iter().map(|name| (name, Value::Null)));
    if problems.is_empty() { Ok(Value::Object(values)) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(values: Value, expected: Result<Value, &[&str]>) {
        let form = json!({
            "type": "object",
            "properties": {
                "amount": {"type": "integer", "minimum": 1},
                "currency": {"type": "string", "default": "EUR"},
                "note": {"type": "string"},
            },
            "required": ["amount"],
            "additionalProperties": false,
        });
        let filled = fill_form(&form, values.as_object().cloned().unwrap());
        assert_eq!(filled, expected.map_err(|problems| problems.iter().map(|p| (*p).to_owned()).collect()));
    }

    #[test]
    fn what_is_not_filled_has_its_default_or_is_null() {
        check(json!({"amount": 3}), Ok(json!({"amount": 3, "currency": "EUR", "note": null})));
        check(json!({"amount": 3, "note": null}), Ok(json!({"amount": 3, "currency": "EUR", "note": null})));
    }

    #[test]
    fn wrong_values_are_told_in_words() {
        check(json!({"amount": 0}), Err(&["at `/amount`: 0 is less than the minimum of 1"]));
        check(
            json!({"amuont": 3}),
            Err(&["no field is called `amuont`; did you mean `amount`?", "the field `amount` is missing"]),
        );
    }
}
