//! What turns of a model wrote, put in the place of the references to these turns.

use std::collections::BTreeMap;

use parkway_core::workflow::literal;
use serde_json::{Map, Value};

use super::place::{Place, put_in};

/// What the turns of a model gave, by their ids.
pub(super) type Turns = BTreeMap<String, Value>;

/// A value with templates at its leaves, without references to turns.
pub(super) fn inlined(value: &Value, turns: &Turns) -> Value {
    match value {
        Value::String(text) => match Place::whole(text).filter(|place| turns.contains_key(&place.step)) {
            Some(place) => {
                written(turns.get(&place.step).and_then(|output| place.find(output)).unwrap_or(&Value::Null))
            }
            None => Value::String(text.clone()),
        },
        Value::Array(list) => list.iter().map(|value| inlined(value, turns)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), inlined(value, turns))).collect())
        }
        other => other.clone(),
    }
}

/// An expression, or a list with templates at its leaves, without references to turns.
pub(super) fn inlined_expression(value: &Value, turns: &Turns) -> Value {
    let mut known =
        |place: &Place| turns.get(&place.step).map(|output| place.find(output).cloned().unwrap_or_default());
    match value {
        Value::String(text) => Value::String(put_in(text, &mut known)),
        other => inlined(other, turns),
    }
}

/// The turns that a value refers to.
pub(super) fn turns_in<'t>(value: &Value, turns: &'t Turns, found: &mut Vec<&'t str>) {
    each_text(value, &mut |text| {
        let place = Place::whole(text);
        found.extend(place.and_then(|place| turns.get_key_value(&place.step)).map(|(id, _)| id.as_str()));
    });
}

/// A value as templates that print it.
pub(super) fn written(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(literal(text)),
        Value::Array(list) => list.iter().map(written).collect(),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), written(value))).collect()),
        other => other.clone(),
    }
}

/// A value with `{"$ref": "s1.files"}` in it, as a value with templates.
pub(super) fn referring(value: &Value) -> Value {
    match value {
        Value::Object(map) => match reference(map) {
            Some(template) => Value::String(template),
            None => Value::Object(map.iter().map(|(key, value)| (key.clone(), referring(value))).collect()),
        },
        Value::Array(list) => list.iter().map(referring).collect(),
        other => written(other),
    }
}

fn reference(map: &Map<String, Value>) -> Option<String> {
    let text = map.get("$ref").filter(|_| map.len() == 1)?.as_str()?;
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (step, path) = text.split_at(end);
    Place::whole(&format!("${{{{ steps.{step}.output{path} }}}}")).map(|place| place.template())
}

/// Calls `tell` with each text in a value.
pub(super) fn each_text(value: &Value, tell: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => tell(text),
        Value::Array(list) => list.iter().for_each(|value| each_text(value, tell)),
        Value::Object(map) => map.values().for_each(|value| each_text(value, tell)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_literal_with_marks_stays_a_literal() {
        let turns = Turns::from([("line_1".into(), json!({ "args": { "text": "${{ x }}", "n": 3, "l": ["a"] } }))]);
        let value = json!({
            "text": "${{ steps.line_1.output.args.text }}", "n": "${{ steps.line_1.output.args.n }}",
            "l": "${{ steps.line_1.output.args.l }}", "kept": ["${{ steps.s1.output.a }}"],
        });
        let expected = json!({ "text": "$${{ x }}", "n": 3, "l": ["a"], "kept": ["${{ steps.s1.output.a }}"] });
        assert_eq!(inlined(&value, &turns), expected);
    }

    #[test]
    fn references_of_an_answer_become_templates() {
        let answer = json!({ "a": { "$ref": "s1.files[0]['max-size']" }, "b": "50% of ${{", "c": [{ "$ref": "s2" }] });
        let expected = json!({
            "a": "${{ steps.s1.output.files[0]['max-size'] }}", "b": "50% of $${{", "c": ["${{ steps.s2.output }}"],
        });
        assert_eq!(referring(&answer), expected);
    }
}
