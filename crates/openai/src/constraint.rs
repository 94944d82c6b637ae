//! Constraints in the forms that servers take, and a check of what servers make of them.

use parkway_core::model::{Constraint, ModelError};
use regex::Regex;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::Server;
use crate::server::Dialect;

/// A constraint, as it is sent and held against the answer.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// The fields of the request.
    pub(crate) fields: Map<String, Value>,
    /// SHA-256 (hex) of them.
    pub(crate) hash: String,
    check: Check,
}

/// What the answer is held against here. A JSON value is held against its schema by the engine.
#[derive(Clone, Debug)]
enum Check {
    Elsewhere,
    Choice(Vec<String>),
    Regex(Regex),
}

impl Form {
    /// The form that the server takes; an error where it takes none.
    pub(crate) fn of(constraint: &Constraint, dialect: Dialect) -> Result<Form, ModelError> {
        if !dialect.constraints().contains(&constraint.kind()) {
            let known = match dialect.constraints().as_slice() {
                [] => "nothing".to_owned(),
                kinds => kinds.iter().map(|kind| format!("{kind:?}")).collect::<Vec<_>>().join(", "),
            };
            let message = format!(
                "a server of the kind `{}` is not known to enforce {:?}; it enforces {known}",
                dialect.server,
                constraint.kind()
            );
            return Err(ModelError::Unsupported(message));
        }
        let (fields, check) = match constraint {
            Constraint::JsonSchema(schema) => (json_schema(schema, dialect)?, Check::Elsewhere),
            Constraint::Choice(choices) if choices.is_empty() => {
                return Err(ModelError::Unsupported("a choice among no texts has no answer".into()));
            }
            Constraint::Choice(choices) => (choice(choices, dialect), Check::Choice(choices.clone())),
            Constraint::Regex(pattern) => {
                let whole = Regex::new(&format!(r"\A(?:{pattern})\z"));
                let whole =
                    whole.map_err(|error| ModelError::Unsupported(format!("not a regular expression: {error}")))?;
                (regex(pattern, dialect), Check::Regex(whole))
            }
            other => {
                let message = format!("no server is known to enforce {:?}", other.kind());
                return Err(ModelError::Unsupported(message));
            }
        };
        let Value::Object(fields) = fields else { return Err(ModelError::Unsupported("no form".into())) };
        let hash = hex::encode(Sha256::digest(Value::Object(fields.clone()).to_string()));
        Ok(Form { fields, hash, check })
    }

    /// What is wrong with a whole answer, as far as it is looked at here.
    pub(crate) fn breach(&self, answer: &str) -> Option<String> {
        match &self.check {
            Check::Elsewhere => None,
            Check::Choice(choices) if choices.iter().any(|choice| choice == answer) => None,
            Check::Regex(pattern) if pattern.is_match(answer) => None,
            Check::Choice(_) => Some("the answer is none of the texts that it could choose from".into()),
            Check::Regex(_) => Some("the answer does not match the regular expression".into()),
        }
    }
}

fn json_schema(schema: &Value, dialect: Dialect) -> Result<Value, ModelError> {
    if dialect.server == Server::OpenAi
        && let Some(gap) = not_strict(schema, "", true)
    {
        let message = format!(
            "OpenAI enforces schemas of its strict form alone, and in this one {gap}; change the form of the answer, or load the model as `Server::Other`, so that answers are checked and asked for again"
        );
        return Err(ModelError::Unsupported(message));
    }
    let format = json!({ "name": "answer", "strict": true, "schema": schema });
    Ok(json!({ "response_format": { "type": "json_schema", "json_schema": format } }))
}

fn choice(choices: &[String], dialect: Dialect) -> Value {
    match dialect.server {
        Server::LlamaServer => json!({ "grammar": grammar(choices) }),
        Server::SgLang => json!({ "ebnf": grammar(choices) }),
        _ if dialect.guided => json!({ "guided_choice": choices }),
        _ => json!({ "structured_outputs": { "choice": choices } }),
    }
}

fn regex(pattern: &str, dialect: Dialect) -> Value {
    match dialect.server {
        Server::SgLang => json!({ "regex": pattern }),
        _ if dialect.guided => json!({ "guided_regex": pattern }),
        _ => json!({ "structured_outputs": { "regex": pattern } }),
    }
}

/// GBNF for one of these texts.
fn grammar(choices: &[String]) -> String {
    let literal = |text: &String| {
        let mut literal = String::from('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => literal.extend(['\\', c]),
                '\n' => literal.push_str("\\n"),
                '\r' => literal.push_str("\\r"),
                '\t' => literal.push_str("\\t"),
                c if c.is_ascii_control() => literal.push_str(&format!("\\x{:02X}", u32::from(c))),
                c => literal.push(c),
            }
        }
        literal.push('"');
        literal
    };
    format!("root ::= {}", choices.iter().map(literal).collect::<Vec<_>>().join(" | "))
}

/// Why a schema is none of OpenAI's strict form, if it is none.
fn not_strict(schema: &Value, at: &str, top: bool) -> Option<String> {
    let place = if at.is_empty() { "at the top" } else { at };
    let Some(map) = schema.as_object() else { return Some(format!("anything is allowed {place}")) };
    if top && map.get("type").and_then(Value::as_str) != Some("object") {
        return Some("the top is no object".into());
    }
    for word in
        ["oneOf", "allOf", "not", "if", "patternProperties", "dependentRequired", "dependentSchemas", "prefixItems"]
    {
        if map.contains_key(word) {
            return Some(format!("`{word}` stands {place}"));
        }
    }
    let properties = map.get("properties").and_then(Value::as_object);
    let is_object = properties.is_some()
        || match map.get("type") {
            Some(Value::String(kind)) => kind == "object",
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
            _ => false,
        };
    if is_object {
        if map.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Some(format!("additional properties are allowed {place}"));
        }
        let required: Vec<_> = map.get("required").and_then(Value::as_array).into_iter().flatten().collect();
        let optional = properties.and_then(|all| all.keys().find(|name| !required.iter().any(|known| *known == *name)));
        if let Some(name) = optional {
            return Some(format!("`{name}` may be left out {place}"));
        }
    }
    let below = |word: &str| map.get(word).and_then(Value::as_object).into_iter().flatten();
    let named = ["properties", "$defs"]
        .into_iter()
        .flat_map(|word| below(word).map(move |(name, schema)| (word, name, schema)));
    let list = map.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let one =
        map.get("items").into_iter().chain(list).find_map(|schema| not_strict(schema, &format!("{at}/items"), false));
    one.or_else(|| {
        named.into_iter().find_map(|(word, name, schema)| not_strict(schema, &format!("{at}/{word}/{name}"), false))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_choice_cannot_leave_their_quotes() {
        let choices = ["a\"b\\", "c\nd\u{1}", "é"].map(str::to_owned);
        assert_eq!(grammar(&choices), r#"root ::= "a\"b\\" | "c\nd\x01" | "é""#);
    }

    #[test]
    fn what_openai_would_not_enforce_is_told_before_it_is_sent() {
        let strict = json!({
            "type": "object", "additionalProperties": false, "required": ["a"],
            "properties": { "a": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/b" }] } },
            "$defs": { "b": { "type": "object", "properties": {}, "additionalProperties": false } },
        });
        assert_eq!(not_strict(&strict, "", true), None);
        let check = |pointer: &str, value: Value, expect: &str| {
            let mut schema = strict.clone();
            *schema.pointer_mut(pointer).unwrap() = value;
            assert_eq!(not_strict(&schema, "", true).unwrap(), expect);
        };
        check("/type", json!("array"), "the top is no object");
        check("/required", json!([]), "`a` may be left out at the top");
        check("/additionalProperties", json!(true), "additional properties are allowed at the top");
        check("/properties/a", json!({ "oneOf": [] }), "`oneOf` stands /properties/a");
        check("/$defs/b/additionalProperties", json!({}), "additional properties are allowed /$defs/b");
        check("/properties/a", json!({ "type": "array", "items": true }), "anything is allowed /properties/a/items");
    }
}
