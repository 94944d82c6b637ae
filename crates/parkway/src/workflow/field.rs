//! A field of inputs, of a form, or of a model's answer.

use serde_json::{Map, Value, json};

use super::builder::enter;

/// A field: its type, and what a value of it must be. Required, unless it is optional or has a default.
#[derive(Clone, Debug)]
#[must_use]
pub struct Field(Map<String, Value>);

impl Field {
    fn of(kind: &str) -> Self {
        Field(Map::from_iter([("type".to_owned(), json!(kind))]))
    }

    /// A text.
    pub fn string() -> Self {
        Field::of("string")
    }

    /// A whole number.
    pub fn integer() -> Self {
        Field::of("integer")
    }

    /// A number.
    pub fn number() -> Self {
        Field::of("number")
    }

    /// True or false.
    pub fn boolean() -> Self {
        Field::of("boolean")
    }

    /// A list.
    pub fn array(items: Field) -> Self {
        Field::of("array").with("items", items)
    }

    /// An object; its fields follow with [`Field::field`].
    pub fn object() -> Self {
        Field::of("object").with("fields", json!({}))
    }

    /// Adds a field of an object; one of the same name is replaced.
    pub fn field(mut self, name: impl Into<String>, field: Field) -> Self {
        enter(&mut self.0, "fields", name.into(), field.into(), &mut Vec::new());
        self
    }

    /// Says what it is, to people and models.
    pub fn description(self, text: impl Into<String>) -> Self {
        self.with("description", text.into())
    }

    /// Allows these values only.
    pub fn one_of<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        self.with("enum", values)
    }

    /// A regular expression that the whole text must match.
    pub fn pattern(self, pattern: impl Into<String>) -> Self {
        self.with("pattern", pattern.into())
    }

    /// The least number, or number of items or characters.
    pub fn min(self, min: impl Into<Value>) -> Self {
        self.with("min", min)
    }

    /// The greatest number, or number of items or characters.
    pub fn max(self, max: impl Into<Value>) -> Self {
        self.with("max", max)
    }

    /// The most characters.
    pub fn max_length(self, most: u64) -> Self {
        self.with("max_length", most)
    }

    /// The format of a text, as JSON Schema names them: `date`, `email`.
    pub fn format(self, format: impl Into<String>) -> Self {
        self.with("format", format.into())
    }

    /// What it is where it is not given.
    pub fn default(self, value: impl Into<Value>) -> Self {
        self.with("default", value)
    }

    /// It may be missing.
    pub fn optional(self) -> Self {
        self.with("optional", true)
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }
}

impl From<Field> for Value {
    fn from(field: Field) -> Value {
        Value::Object(field.0)
    }
}
