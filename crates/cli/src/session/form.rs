//! A form that a step wants filled, asked field by field.

use parkway::definition::fill_form;
use parkway::id::StepKey;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::render::{Symbols, clean, harmless, wrap};

/// The most lines of a prompt.
const PROMPT: usize = 20;
/// What a form without fields is asked as: one JSON object.
const WHOLE: &str = "values";

/// A form, and how far it is filled.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) step: StepKey,
    prompt: String,
    schema: Value,
    values: Map<String, Value>,
    at: usize,
    problem: Option<String>,
}

impl Form {
    pub(crate) fn new(step: StepKey, prompt: String, schema: Value) -> Self {
        Form { step, prompt, schema, values: Map::new(), at: 0, problem: None }
    }

    /// The form with what stands in its fields already as their defaults.
    pub(crate) fn filled(mut self, values: &Value) -> Self {
        for (name, value) in values.as_object().into_iter().flatten() {
            let field = self.schema.get_mut("properties").and_then(|fields| fields.get_mut(name));
            if let Some(Value::Object(field)) = field {
                field.insert("default".into(), value.clone());
            }
        }
        self
    }

    fn fields(&self) -> Vec<(&str, &Value)> {
        let properties = self.schema.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten().map(|(name, field)| (name.as_str(), field)).collect()
    }

    fn required(&self, name: &str) -> bool {
        let required = self.schema.get("required").and_then(Value::as_array);
        required.into_iter().flatten().any(|known| known.as_str() == Some(name))
    }

    /// What the person reads before the next field; the last line is the place where an answer is typed.
    pub(crate) fn lines(&self, columns: usize, symbols: Symbols) -> Vec<String> {
        let mut lines = Vec::new();
        if self.at == 0 {
            lines.extend([String::new(), format!("? {}", self.step)]);
            let prompt = wrap(&clean(&self.prompt), columns.saturating_sub(2), PROMPT, symbols);
            lines.extend(prompt.into_iter().map(|line| format!("  {line}")));
        }
        lines.extend(self.problem.as_ref().map(|problem| format!("  ! {}", clean(problem))));
        let fields = self.fields();
        let Some((name, field)) = fields.get(self.at) else {
            lines.push(format!("  {WHOLE}, as a JSON object: "));
            return lines;
        };
        lines.push(format!("  {}: ", described(name, field, self.required(name))));
        lines
    }

    /// Every field with what may be said in it.
    pub(crate) fn outline(&self) -> Vec<String> {
        self.fields().iter().map(|(name, field)| described(name, field, self.required(name))).collect()
    }

    /// Takes a typed line for the field that was asked; the values once all are there.
    pub(crate) fn hear(&mut self, line: &str) -> Option<Value> {
        self.problem = None;
        let fields = self.fields();
        let count = fields.len();
        let taken = match fields.get(self.at) {
            Some((name, field)) => self.field(name, field, line.trim()),
            None => serde_json::from_str::<Map<String, Value>>(line.trim())
                .map(|values| values.into_iter().collect())
                .map_err(|e| format!("it is no JSON object: {e}")),
        };
        match taken {
            Ok(taken) => {
                self.values.extend(taken);
                self.at += 1;
            }
            Err(problem) => {
                self.problem = Some(problem);
                return None;
            }
        }
        if self.at < count {
            return None;
        }
        match fill_form(&self.schema, self.values.clone()) {
            // Defaults are filled in where the answer is taken.
            Ok(_) => Some(Value::Object(std::mem::take(&mut self.values))),
            Err(problems) => {
                self.problem = Some(problems.join("; "));
                self.values.clear();
                self.at = 0;
                None
            }
        }
    }

    /// One field's value, if it says one.
    fn field(&self, name: &str, field: &Value, text: &str) -> Result<Vec<(String, Value)>, String> {
        if text.is_empty() {
            let may_lack = field.get("default").is_some() || !self.required(name);
            return if may_lack { Ok(Vec::new()) } else { Err(format!("`{name}` needs a value")) };
        }
        let value = typed(text, Some(field)).ok_or_else(|| format!("`{text}` is no {}", kind_of(field)))?;
        let alone = json!({ "type": "object", "properties": { name: field }, "required": [name] });
        fill_form(&alone, Map::from_iter([(name.to_owned(), value.clone())])).map_err(|wrong| wrong.join("; "))?;
        Ok(vec![(name.to_owned(), value)])
    }

    /// The values of `NAME=VALUE` texts over those of an object, as the form takes them; or all that is wrong.
    pub(crate) fn fill(&self, given: &[String], mut values: Map<String, Value>) -> Result<Value, Failure> {
        for given in given {
            let Some((name, text)) = given.split_once('=') else {
                return Err(Failure::invalid(format!("`--set {given}` has no value")).help("write `--set NAME=VALUE`"));
            };
            let field = self.schema.get("properties").and_then(|fields| fields.get(name));
            let value = typed(text, field).ok_or_else(|| {
                let kind = field.map(kind_of).unwrap_or_default();
                Failure::invalid(format!("the field `{name}` is of the type `{kind}`, and `{text}` is no JSON for it"))
            })?;
            values.insert(name.to_owned(), value);
        }
        fill_form(&self.schema, values.clone()).map_err(|problems| {
            Failure::invalid(format!("the values do not fit the form: {}", problems.join("; ")))
                .help(format!("its fields: {}", self.outline().join("; ")))
        })?;
        Ok(Value::Object(values))
    }
}

/// A text by the type that a schema wants: text for a `string` or for what is not known, else JSON; `None` if it is none.
pub(crate) fn typed(text: &str, schema: Option<&Value>) -> Option<Value> {
    match schema.map_or("string", kind_of) {
        "string" => Some(Value::String(text.to_owned())),
        "boolean" => match text.to_lowercase().as_str() {
            "true" | "yes" | "y" => Some(Value::Bool(true)),
            "false" | "no" | "n" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => serde_json::from_str(text).ok(),
    }
}

fn kind_of(schema: &Value) -> &str {
    schema.get("type").and_then(Value::as_str).unwrap_or("string")
}

/// `total (number, at least 0) [3]`.
fn described(name: &str, field: &Value, required: bool) -> String {
    let mut parts = vec![kind_of(field).to_owned()];
    if let Some(values) = field.get("enum").and_then(Value::as_array) {
        let values: Vec<_> =
            values.iter().map(|value| value.as_str().map_or(value.to_string(), str::to_owned)).collect();
        parts.push(format!("one of {}", values.join(", ")));
    }
    for (key, words) in [("minimum", "at least"), ("maximum", "at most"), ("maxLength", "characters at most")] {
        parts.extend(field.get(key).map(|limit| format!("{words} {limit}")));
    }
    let default = field.get("default").map(|default| format!(" [{default}]"));
    if !required && default.is_none() {
        parts.push("may be left out".into());
    }
    let about = field.get("description").and_then(Value::as_str).map(|about| format!(" {}", clean(about)));
    let (about, default) = (about.unwrap_or_default(), default.unwrap_or_default());
    harmless(&format!("{name}{about} ({}){default}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let schema = json!({
            "type": "object",
            "properties": {
                "total": { "type": "integer", "minimum": 1, "description": "what is \u{1b}[31mdue" },
                "currency": { "type": "string", "enum": ["EUR", "USD"], "default": "EUR" },
                "paid": { "type": "boolean" },
                "note": { "type": "string" },
            },
            "required": ["total", "paid"],
            "additionalProperties": false,
        });
        Form::new("edit".parse().unwrap(), "Is this right?".into(), schema)
    }

    #[test]
    fn a_field_is_asked_again_until_it_fits() {
        let mut form = form();
        let mut told = Vec::new();
        for line in ["", "many", "0", "12", "GBP", "USD", "perhaps", "yes"] {
            told.extend(form.lines(60, Symbols::Ascii).into_iter().skip_while(String::is_empty));
            assert_eq!(form.hear(line), None, "{line}");
            told.push(format!("> {line}"));
        }
        told.extend(form.lines(60, Symbols::Ascii));
        assert!(!told.iter().any(|line| line.contains('\u{1b}')));
        insta::assert_snapshot!(told.join("\n"));
        assert_eq!(form.hear("\n"), Some(json!({ "total": 12, "currency": "USD", "paid": true })));
    }

    #[test]
    fn what_an_expression_gives_stands_in_its_field() {
        let mut form = form().filled(&json!({ "total": 12, "note": "as \u{1b}[2Jsent" }));
        assert_eq!(form.outline()[0], "total what is  [31mdue (integer, at least 1) [12]");
        assert!(form.outline()[3].contains("as \\u001b[2Jsent"), "{:?}", form.outline());
        let heard: Vec<_> = ["", "", "y", "other"].iter().map(|line| form.hear(line)).collect();
        assert_eq!(heard[3], Some(json!({ "paid": true, "note": "other" })));
    }

    #[test]
    fn defaults_are_taken_by_an_empty_line() {
        let mut form = form();
        let heard: Vec<_> = ["3", "", "n", "late"].iter().map(|line| form.hear(line)).collect();
        assert_eq!(heard[3], Some(json!({ "total": 3, "paid": false, "note": "late" })));
    }
}
