//! The short form of a schema (`order: { type: string, max_length: 60 }`) and its JSON Schema.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::definition::Entries;

/// One field of `inputs` or of a chat's `output`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default, rename = "enum")]
    pub(crate) values: Option<Vec<Value>>,
    #[serde(default)]
    pub(crate) pattern: Option<String>,
    #[serde(default)]
    pub(crate) min: Option<serde_json::Number>,
    #[serde(default)]
    pub(crate) max: Option<serde_json::Number>,
    #[serde(default)]
    pub(crate) max_length: Option<u64>,
    #[serde(default)]
    pub(crate) format: Option<String>,
    #[serde(default)]
    pub(crate) default: Option<Value>,
    #[serde(default)]
    pub(crate) optional: bool,
    #[serde(default)]
    pub(crate) items: Option<Box<Field>>,
    #[serde(default)]
    pub(crate) fields: Option<Entries<Field>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Array => "array",
            Kind::Object => "object",
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
        put("pattern", self.pattern.as_ref().map(|pattern| json!(format!("^(?:{pattern})$"))));
        let (low, high) = match self.kind {
            Kind::Array => ("minItems", "maxItems"),
            Kind::String => ("minLength", "maxLength"),
            _ => ("minimum", "maximum"),
        };
        put(low, self.min.as_ref().map(|n| json!(n)));
        put(high, self.max.as_ref().map(|n| json!(n)));
        put("maxLength", self.max_length.map(|n| json!(n)));
        put("format", self.format.as_ref().map(|text| json!(text)));
        put("default", self.default.clone());
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
        .filter(|(_, field)| !field.optional && field.default.is_none())
        .map(|(name, _)| name.value.clone())
        .collect();
    parts.insert("properties".into(), Value::Object(properties));
    parts.insert("required".into(), json!(required));
    parts.insert("additionalProperties".into(), json!(false));
    parts
}

/// The short form of an object's schema; `None` for a schema that no fields make.
pub(crate) fn fields_of(schema: &Value) -> Option<Map<String, Value>> {
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
