//! The short form of a schema (`order: { type: string, max_length: 60 }`) and its JSON Schema.

use serde_json::{Map, Number, Value, json};

use super::diagnostic::{Diagnostic, Place};
use super::reading::{Files, Reader, truth_word};
use super::tree::{At, Entries, Kind as Shape, Tree};

/// One field of `inputs`, of a form, or of a chat's `output`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    pub(crate) description: Option<String>,
    pub(crate) values: Option<Vec<Value>>,
    pub(crate) pattern: Option<At<String>>,
    pub(crate) min: Option<Number>,
    pub(crate) max: Option<Number>,
    pub(crate) max_length: Option<u64>,
    pub(crate) format: Option<String>,
    pub(crate) default: Option<At<Value>>,
    /// A default that is a template: what a form shows in the field.
    pub(crate) filled: Option<Tree>,
    pub(crate) optional: bool,
    pub(crate) items: Option<Box<Field>>,
    pub(crate) fields: Option<Entries<Field>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
}

const KINDS: [(&str, Kind); 6] = [
    ("string", Kind::String),
    ("integer", Kind::Integer),
    ("number", Kind::Number),
    ("boolean", Kind::Boolean),
    ("array", Kind::Array),
    ("object", Kind::Object),
];

impl Kind {
    fn as_str(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("string", |(name, _)| name)
    }
}

/// Reads the fields under `inputs`, `output` and `fields`.
pub(super) fn read_fields(reader: &mut Reader<'_, '_>, tree: &Tree) -> Entries<Field> {
    reader.entries(tree, |reader, name, tree| read_field(reader, Some(name), tree))
}

fn read_field(reader: &mut Reader<'_, '_>, name: Option<&At<String>>, tree: &Tree) -> Option<Field> {
    if let Shape::Text(text) = &tree.kind
        && KINDS.iter().any(|(kind, _)| kind == text)
    {
        let named = name.map_or(String::new(), |name| format!("{}: ", name.value));
        let message = format!("expected a map (a field), found the text `{text}`");
        let help = format!("write `{named}{{ type: {text} }}`");
        reader.problem(Diagnostic::new("bad-value", tree.place, message).help(help));
        return None;
    }
    let mut keys = reader.keys(tree, "a field")?;
    let kind = keys.required(reader, "type").and_then(|tree| reader.word(tree, &KINDS));
    let description = keys.get(reader, "description").and_then(|tree| reader.text(tree)).map(|text| text.value);
    let values = keys.get(reader, "enum");
    let pattern = keys.get(reader, "pattern").and_then(|tree| reader.text(tree));
    let min = keys.get(reader, "min").and_then(|tree| number(reader, tree));
    let max = keys.get(reader, "max").and_then(|tree| number(reader, tree));
    let max_length = keys.get(reader, "max_length").and_then(|tree| reader.count(tree)).map(|count| count.value);
    let format = keys.get(reader, "format").and_then(|tree| reader.text(tree)).map(|text| text.value);
    let default = keys.any("default");
    let optional = keys.get(reader, "optional").and_then(|tree| reader.flag(tree)).unwrap_or(false);
    let items = keys.get(reader, "items").and_then(|tree| read_field(reader, None, tree)).map(Box::new);
    let fields = keys.get(reader, "fields").map(|tree| read_fields(reader, tree));
    let kind_of = |kind: Kind| Value::Object(Map::from_iter([("type".to_owned(), json!(kind.as_str()))]));
    let of_kind = kind.as_ref().map_or(Value::Null, |kind| kind_of(kind.value));
    let values = values.map(|tree| reader.list(tree, |_, item| Some(item.value_for(&of_kind))));
    let only: [(&'static str, &[Kind]); 6] = [
        ("items", &[Kind::Array]),
        ("fields", &[Kind::Object]),
        ("pattern", &[Kind::String]),
        ("max_length", &[Kind::String]),
        ("format", &[Kind::String]),
        ("enum", &[Kind::String, Kind::Integer, Kind::Number, Kind::Boolean]),
    ];
    for (key, kinds) in only {
        if let (Some(kind), Some(at)) = (kind.as_ref(), keys.key(key))
            && !kinds.contains(&kind.value)
        {
            let names: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
            let message = format!("`{key}` belongs to a field of type {}", names.join(" or "));
            reader.problem(Diagnostic::new("stray-key", at.place, message));
        }
    }
    if let (Some(kind), Some(at)) = (kind.as_ref(), keys.key("min").or(keys.key("max")))
        && matches!(kind.value, Kind::Boolean | Kind::Object)
    {
        let message = format!("`{}` belongs to a number, a string or an array", at.value);
        reader.problem(Diagnostic::new("stray-key", at.place, message));
    }
    if kind.as_ref().is_some_and(|kind| kind.value == Kind::Array) && items.is_none() && !keys.has("items") {
        let message = "an array says what its `items` are";
        reader
            .problem(Diagnostic::new("missing-key", keys.place, message).help("for example `items: { type: string }`"));
    }
    keys.finish(reader);
    let mut field = Field {
        kind: kind?.value,
        description,
        values,
        pattern,
        min,
        max,
        max_length,
        format,
        default: None,
        filled: default.filter(|tree| tree.as_text().is_some_and(|text| text.contains("${{"))).cloned(),
        optional,
        items,
        fields,
    };
    if let Some(tree) = default.filter(|_| field.filled.is_none()) {
        field.default = Some(At::new(tree.value_for(&field.schema()), tree.place));
    }
    check(reader, tree.place, &field);
    Some(field)
}

fn number(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<Number> {
    match &tree.kind {
        Shape::Number(number) => Some(number.clone()),
        _ => {
            reader.number(tree);
            None
        }
    }
}

/// Patterns that are none, defaults and bounds that do not fit.
fn check(reader: &mut Reader<'_, '_>, place: Place, field: &Field) {
    if let Some(pattern) = &field.pattern
        && let Err(error) = regex::Regex::new(&pattern.value)
    {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let message = format!("the pattern cannot be read: {why}");
        return reader.problem(Diagnostic::new("bad-pattern", pattern.place, message));
    }
    if let (Some(min), Some(max)) =
        (field.min.as_ref().and_then(Number::as_f64), field.max.as_ref().and_then(Number::as_f64))
        && min > max
    {
        let message = format!("`min` is more than `max`: nothing fits between {min} and {max}");
        reader.problem(Diagnostic::new("bad-bounds", place, message));
    }
    let schema = field.schema();
    match jsonschema::validator_for(&schema) {
        Err(error) => {
            reader.problem(Diagnostic::new("bad-schema", place, format!("the field cannot be used: {error}")))
        }
        Ok(validator) => {
            if let Some(default) = &field.default
                && let Err(error) = validator.validate(&default.value)
            {
                let message = format!("the default does not fit: {error}");
                let mut problem = Diagnostic::new("bad-default", default.place, message);
                problem.help = default.value.as_str().filter(|_| field.kind == Kind::Boolean).and_then(truth_word);
                reader.problem(problem);
            }
        }
    }
}

impl Field {
    /// The field as JSON Schema.
    pub(crate) fn schema(&self) -> Value {
        let mut schema = Map::new();
        schema.insert("type".into(), json!(self.kind.as_str()));
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                schema.insert(key.into(), value);
            }
        };
        put("description", self.description.as_ref().map(|text| json!(text)));
        put("enum", self.values.as_ref().map(|values| json!(values)));
        // FORMAT: a pattern matches the whole value; JSON Schema's matches anywhere.
        put("pattern", self.pattern.as_ref().map(|pattern| json!(format!("^(?:{})$", pattern.value))));
        let (low, high) = match self.kind {
            Kind::Array => ("minItems", "maxItems"),
            Kind::String => ("minLength", "maxLength"),
            _ => ("minimum", "maximum"),
        };
        put(low, self.min.as_ref().map(|n| json!(n)));
        put(high, self.max.as_ref().map(|n| json!(n)));
        put("maxLength", self.max_length.map(|n| json!(n)));
        put("format", self.format.as_ref().map(|text| json!(text)));
        put("default", self.default.as_ref().map(|default| default.value.clone()));
        put("items", self.items.as_ref().map(|items| items.schema()));
        if let Some(fields) = &self.fields {
            schema.extend(object_parts(fields));
        }
        Value::Object(schema)
    }
}

/// The JSON Schema of an object with these fields, all required but the optional ones and those with a default.
pub(crate) fn object_schema(fields: &Entries<Field>) -> Value {
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    schema.extend(object_parts(fields));
    Value::Object(schema)
}

fn object_parts(fields: &Entries<Field>) -> Map<String, Value> {
    let mut parts = Map::new();
    let properties: Map<_, _> = fields.iter().map(|(name, field)| (name.value.clone(), field.schema())).collect();
    let required: Vec<_> = fields
        .iter()
        .filter(|(_, field)| !field.optional && field.default.is_none() && field.filled.is_none())
        .map(|(name, _)| name.value.clone())
        .collect();
    parts.insert("properties".into(), Value::Object(properties));
    parts.insert("required".into(), json!(required));
    parts.insert("additionalProperties".into(), json!(false));
    parts
}

/// Says of each default that is a template that it stands where none is evaluated; `top` is whether those of the fields
/// themselves do too.
pub(super) fn refuse_filled(reader: &mut Reader<'_, '_>, fields: &Entries<Field>, top: bool) {
    for (_, field) in fields.iter() {
        if let Some(tree) = field.filled.as_ref().filter(|_| top) {
            let message = "a default is a value, and this is an expression";
            let help = "only the fields of a form, under `input`, may begin with what an expression gives";
            reader.problem(Diagnostic::new("bad-default", tree.place, message).help(help));
        }
        let mut inner = field;
        while let Some(items) = &inner.items {
            inner = items;
        }
        if let Some(fields) = &inner.fields {
            refuse_filled(reader, fields, true);
        }
    }
}

/// The short form of an object's schema; `None` for a schema that no fields make.
pub(super) fn short_form(schema: &Value) -> Option<Map<String, Value>> {
    let fields = fields_of(schema)?;
    // A schema says more ways to mean the same, and more, than fields do: what counts is whether they are read as it.
    let mut read = |_: &str| Err(String::new());
    let mut files = Files::new(&mut read);
    let mut reader = Reader::new(&mut files, &[]);
    let entries = read_fields(&mut reader, &Tree::of_value(&Value::Object(fields.clone())));
    (reader.problems.is_empty() && object_schema(&entries) == *schema).then_some(fields)
}

fn fields_of(schema: &Value) -> Option<Map<String, Value>> {
    let required: Vec<_> = schema.get("required")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let mut fields = Map::new();
    for (name, property) in schema.get("properties")?.as_object()? {
        let mut field = field_of(property)?;
        if !required.contains(&name.as_str()) && property.get("default").is_none() {
            field.insert("optional".into(), json!(true));
        }
        fields.insert(name.clone(), Value::Object(field));
    }
    Some(fields)
}

fn field_of(schema: &Value) -> Option<Map<String, Value>> {
    let mut field = Map::new();
    for (key, value) in schema.as_object()? {
        let (key, value) = match key.as_str() {
            "type" | "description" | "enum" | "format" | "default" => (key.as_str(), value.clone()),
            "pattern" => ("pattern", json!(value.as_str()?.strip_prefix("^(?:")?.strip_suffix(")$")?)),
            "minimum" | "minItems" | "minLength" => ("min", value.clone()),
            "maximum" | "maxItems" => ("max", value.clone()),
            "maxLength" => ("max_length", value.clone()),
            "items" => ("items", Value::Object(field_of(value)?)),
            "properties" => ("fields", Value::Object(fields_of(schema)?)),
            "required" | "additionalProperties" => continue,
            _ => return None,
        };
        field.insert(key.into(), value);
    }
    Some(field)
}
