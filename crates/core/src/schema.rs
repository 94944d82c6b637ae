//! Whether a value is of the form that a JSON Schema says; what is wrong, in few words.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use serde_json::Value;

use crate::tool::ToolSpec;
use crate::workflow::NodeIndex;

/// Values up to this many bytes of JSON are quoted in a message.
const QUOTED: usize = 80;
/// How deep a value may nest. Readers of JSON stop at 128, and a value may stand within others when it is stored.
const LEVELS: usize = 64;

/// A JSON Schema, compiled.
pub(crate) struct Schema {
    validator: jsonschema::Validator,
}

impl Schema {
    /// Compiles a schema, or says what is wrong with it.
    pub(crate) fn new(schema: &Value) -> Result<Schema, String> {
        let validator = jsonschema::validator_for(schema).map_err(|error| format!("the schema is wrong: {error}"))?;
        Ok(Schema { validator })
    }

    /// Checks a value. The message names the place and quotes a short value; a long one would hide what is wrong with it.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        check_depth(value)?;
        let Err(error) = self.validator.validate(value) else { return Ok(()) };
        let path = error.instance_path().to_string();
        let what = match error.instance().to_string().len() {
            0..=QUOTED => error.to_string(),
            _ => error.masked().to_string(),
        };
        Err(if path.is_empty() { what } else { format!("at `{path}`: {what}") })
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

/// Checks a value against a schema that is not needed again.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    Schema::new(schema)?.check(value)
}

/// Points a schema's references to itself at the place where it stands in another one.
pub(crate) fn move_references(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(map) => {
            map.remove("$schema");
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(target) if key == "$ref" && target.starts_with('#') => {
                        *target = format!("{place}{}", &target[1..]);
                    }
                    _ => move_references(value, place),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| move_references(value, place)),
        _ => {}
    }
}

/// Refuses a value that could be stored, and not be read again.
pub(crate) fn check_depth(value: &Value) -> Result<(), String> {
    fn fits(value: &Value, levels: usize) -> bool {
        match (value, levels) {
            (Value::Array(_) | Value::Object(_), 0) => false,
            (Value::Array(list), _) => list.iter().all(|item| fits(item, levels - 1)),
            (Value::Object(map), _) => map.values().all(|item| fits(item, levels - 1)),
            _ => true,
        }
    }
    if fits(value, LEVELS) { Ok(()) } else { Err(format!("the value nests deeper than {LEVELS} levels")) }
}

/// The schemas of a plan's calls, each compiled when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    inputs: HashMap<String, Arc<Schema>>,
    outputs: HashMap<String, Arc<Schema>>,
    forms: HashMap<NodeIndex, Arc<Schema>>,
}

impl Schemas {
    /// What the arguments of a tool must look like, whichever steps call it.
    pub(crate) fn input_of(&mut self, spec: &ToolSpec) -> Result<Arc<Schema>, String> {
        known(&mut self.inputs, spec.name.as_str(), &spec.input_schema)
    }

    /// What the output of a tool must look like.
    pub(crate) fn output_of(&mut self, spec: &ToolSpec) -> Result<Arc<Schema>, String> {
        known(&mut self.outputs, spec.name.as_str(), &spec.output_schema)
    }

    /// What the answer to a step's question must look like.
    pub(crate) fn of_form(&mut self, node: NodeIndex, schema: &Value) -> Result<Arc<Schema>, String> {
        known(&mut self.forms, &node, schema)
    }
}

fn known<K: Eq + Hash + Borrow<Q>, Q: Eq + Hash + ToOwned<Owned = K> + ?Sized>(
    compiled: &mut HashMap<K, Arc<Schema>>,
    of: &Q,
    schema: &Value,
) -> Result<Arc<Schema>, String> {
    if let Some(known) = compiled.get(of) {
        return Ok(known.clone());
    }
    let new = Arc::new(Schema::new(schema)?);
    compiled.insert(of.to_owned(), new.clone());
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_huge_value_does_not_hide_what_is_wrong_with_it() {
        let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
        assert_eq!(check(&schema, &json!({"text": 5})), Err("at `/text`: 5 is not of type \"string\"".into()));
        let long = check(&schema, &json!({"text": vec![1; 1000]})).unwrap_err();
        assert_eq!(long, "at `/text`: value is not of type \"string\"");
    }

    #[test]
    fn a_wrong_schema_is_an_error_and_no_panic() {
        let error = check(&json!({"type": "strin"}), &json!("a")).unwrap_err();
        assert!(error.starts_with("the schema is wrong: "), "{error}");
    }

    #[test]
    fn a_schema_that_is_itself_ends() {
        let _ = check(&json!({"$ref": "#"}), &json!({"a": 1}));
        let _ = check(&json!({"allOf": [{"$ref": "#"}]}), &json!({"a": 1}));
    }
}
