//! Types of values, as far as they can be known before a run: from JSON Schema, through operators and filters, to the words
//! of a message. Where nothing is known, a value is `Any`, and nothing is said against it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// How deep schemas are followed, through references too.
const LEVELS: usize = 24;
/// How many parts of a schema are read: one that refers to itself more than once has no end.
const PARTS: usize = 5_000;

/// What else in a schema may speak of an object's fields.
const MORE: [&str; 6] = ["patternProperties", "if", "then", "else", "dependentSchemas", "dependencies"];

/// The type of a value. Its parts are shared: an output may be large, and named by many.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    /// Nothing is known.
    Any,
    Null,
    Bool,
    Integer,
    Number,
    /// A text; one of these, if there are any.
    Text(Option<Vec<String>>),
    List(Arc<Type>),
    Object(Arc<Fields>),
    /// One of several, none of them `Any` or a union.
    Union(Vec<Type>),
}

/// The fields of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fields {
    pub(crate) known: BTreeMap<String, Field>,
    /// The type of fields that are not known; `None` if there are no others.
    pub(crate) rest: Option<Box<Type>>,
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) kind: Type,
    /// Whether it is always there.
    pub(crate) required: bool,
}

impl Type {
    /// Any text.
    pub(crate) const TEXT: Type = Type::Text(None);

    /// An object with exactly these fields, all of them always there.
    pub(crate) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Type)>) -> Type {
        let field = |(name, kind): (&str, Type)| (name.to_owned(), Field { kind, required: true });
        Type::with_fields(Fields { known: fields.into_iter().map(field).collect(), rest: None })
    }

    /// An object of which nothing is known.
    pub(crate) fn open() -> Type {
        Type::Object(Arc::new(Fields { known: BTreeMap::new(), rest: Some(Box::new(Type::Any)) }))
    }

    /// An object with these fields.
    pub(crate) fn with_fields(fields: Fields) -> Type {
        Type::Object(Arc::new(fields))
    }

    /// A list.
    pub(crate) fn list(of: Type) -> Type {
        Type::List(Arc::new(of))
    }

    /// One of the texts.
    pub(crate) fn one_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Type {
        Type::Text(Some(texts.into_iter().map(str::to_owned).collect()))
    }

    /// This or null.
    pub(crate) fn or_null(self) -> Type {
        Type::union([self, Type::Null])
    }

    /// One of several.
    pub(crate) fn union(types: impl IntoIterator<Item = Type>) -> Type {
        let mut all: Vec<Type> = Vec::new();
        for kind in types {
            match kind {
                Type::Any => return Type::Any,
                Type::Union(more) => more.into_iter().for_each(|kind| add(&mut all, kind)),
                kind => add(&mut all, kind),
            }
        }
        match all.len() {
            0 => Type::Any,
            1 => all.swap_remove(0),
            _ => Type::Union(all),
        }
    }

    /// The type of a value that is known.
    pub(crate) fn of_value(value: &Value) -> Type {
        match value {
            Value::Null => Type::Null,
            Value::Bool(_) => Type::Bool,
            Value::Number(number) if number.is_f64() => Type::Number,
            Value::Number(_) => Type::Integer,
            Value::String(text) => Type::one_of([text.as_str()]),
            Value::Array(list) if list.is_empty() => Type::list(Type::Any),
            Value::Array(list) => Type::list(Type::union(list.iter().map(Type::of_value))),
            Value::Object(map) => Type::object(map.iter().map(|(name, value)| (name.as_str(), Type::of_value(value)))),
        }
    }

    /// The type that a JSON Schema describes. An object whose schema names fields has no others, unless the schema says
    /// something about others: a name that stands in no schema is a slip more often than a wish.
    pub(crate) fn of_schema(schema: &Value) -> Type {
        Type::of_part(schema, schema)
    }

    /// The type that a part of a JSON Schema describes, whose references lead into the whole.
    pub(crate) fn of_part(root: &Value, part: &Value) -> Type {
        Reader { root, left: PARTS }.schema(part, LEVELS)
    }

    /// With any text in place of those that are written out: what an author may still change.
    pub(crate) fn widened(&self) -> Type {
        match self {
            Type::Text(_) => Type::TEXT,
            Type::List(of) => Type::list(of.widened()),
            Type::Object(fields) => {
                let field = |(name, field): (&String, &Field)| {
                    (name.clone(), Field { kind: field.kind.widened(), required: field.required })
                };
                let rest = fields.rest.as_ref().map(|rest| Box::new(rest.widened()));
                Type::with_fields(Fields { known: fields.known.iter().map(field).collect(), rest })
            }
            Type::Union(all) => Type::union(all.iter().map(Type::widened)),
            other => other.clone(),
        }
    }

    /// What it may be, one by one.
    pub(crate) fn members(&self) -> &[Type] {
        match self {
            Type::Union(all) => all,
            one => std::slice::from_ref(one),
        }
    }

    /// Without null.
    pub(crate) fn without_null(&self) -> Type {
        match self {
            Type::Union(all) => Type::union(all.iter().filter(|kind| **kind != Type::Null).cloned()),
            one => one.clone(),
        }
    }

    /// The elements of a list.
    pub(crate) fn element(&self) -> Type {
        let element = |kind: &Type| match kind {
            Type::List(of) => Some((**of).clone()),
            Type::Text(_) => Some(Type::TEXT),
            // An object gives its names.
            Type::Object(_) => Some(Type::TEXT),
            Type::Null => None,
            _ => Some(Type::Any),
        };
        Type::union(self.members().iter().filter_map(element))
    }

    /// Whether it is a number for sure, or null.
    pub(super) fn is_numeric(&self) -> bool {
        self.members().iter().all(|kind| matches!(kind, Type::Integer | Type::Number))
    }
}

fn add(all: &mut Vec<Type>, kind: Type) {
    match (kind, all.iter_mut().find(|known| matches!(known, Type::Text(_)))) {
        (Type::Text(None), Some(known)) => *known = Type::TEXT,
        (Type::Text(Some(_)), Some(Type::Text(None))) => {}
        (Type::Text(Some(more)), Some(Type::Text(Some(texts)))) => {
            more.into_iter().for_each(|text| {
                if !texts.contains(&text) {
                    texts.push(text)
                }
            });
        }
        (kind, _) => {
            if !all.contains(&kind) {
                all.push(kind);
            }
        }
    }
}

struct Reader<'a> {
    root: &'a Value,
    left: usize,
}

impl Reader<'_> {
    fn schema(&mut self, schema: &Value, levels: usize) -> Type {
        let (Some(levels), Some(left)) = (levels.checked_sub(1), self.left.checked_sub(1)) else { return Type::Any };
        self.left = left;
        let Value::Object(map) = schema else { return Type::Any };
        // Schemas beside one another all count at once: what that leaves is not worked out.
        let whole = ["$ref", "anyOf", "oneOf", "allOf", "properties", "items"];
        let several = whole.iter().filter(|key| map.contains_key(**key)).count() > 1;
        if several && whole[..4].iter().any(|key| map.contains_key(*key)) {
            return Type::Any;
        }
        if let Some(target) = map.get("$ref") {
            let pointer = target.as_str().and_then(|target| target.strip_prefix('#'));
            return pointer.and_then(|at| self.root.pointer(at)).map_or(Type::Any, |found| self.schema(found, levels));
        }
        if let Some(value) = map.get("const") {
            return Type::of_value(value);
        }
        if let Some(Value::Array(values)) = map.get("enum") {
            return Type::union(values.iter().map(Type::of_value));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(Value::Array(options)) = map.get(key) {
                return Type::union(options.iter().map(|option| self.schema(option, levels)));
            }
        }
        if let Some(Value::Array(all)) = map.get("allOf") {
            return match all.as_slice() {
                [one] => self.schema(one, levels),
                _ => Type::Any,
            };
        }
        match map.get("type") {
            Some(Value::String(name)) => self.named(name, schema, levels),
            Some(Value::Array(names)) => {
                Type::union(names.iter().filter_map(Value::as_str).map(|name| self.named(name, schema, levels)))
            }
            _ if map.contains_key("properties") => self.named("object", schema, levels),
            _ if map.contains_key("items") => self.named("array", schema, levels),
            _ => Type::Any,
        }
    }

    fn named(&mut self, name: &str, schema: &Value, levels: usize) -> Type {
        match name {
            "null" => Type::Null,
            "boolean" => Type::Bool,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "string" => Type::TEXT,
            "array" => {
                let items = schema.get("items").filter(|_| schema.get("prefixItems").is_none());
                Type::list(items.map_or(Type::Any, |items| self.schema(items, levels)))
            }
            "object" => self.object(schema, levels),
            _ => Type::Any,
        }
    }

    fn object(&mut self, schema: &Value, levels: usize) -> Type {
        let required = schema.get("required").and_then(Value::as_array);
        let required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        let properties = schema.get("properties").and_then(Value::as_object);
        let field = |(name, schema): (&String, &Value)| {
            (name.clone(), Field { kind: self.schema(schema, levels), required: required(name) })
        };
        let known: BTreeMap<_, _> = properties.into_iter().flatten().map(field).collect();
        let more = MORE.iter().any(|key| schema.get(key).is_some());
        let rest = match schema.get("additionalProperties") {
            _ if more => Some(Type::Any),
            Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(Type::Any),
            Some(others) => Some(self.schema(others, levels)),
            None => properties.is_none_or(serde_json::Map::is_empty).then_some(Type::Any),
        };
        Type::with_fields(Fields { known, rest: rest.map(Box::new) })
    }
}

impl Type {
    /// In a few words: its parts are told only where they tell much and take little.
    pub(crate) fn short(&self) -> String {
        let whole = self.to_string();
        match self {
            _ if whole.chars().count() <= 30 => whole,
            Type::List(_) => "a list".into(),
            Type::Object(_) => "an object".into(),
            Type::Text(_) => "a text".into(),
            Type::Union(all) => {
                let mut kinds: Vec<_> = all.iter().map(Type::short).collect();
                kinds.dedup();
                kinds.join(", or ")
            }
            _ => whole,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any value"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("true or false"),
            Type::Integer => f.write_str("a whole number"),
            Type::Number => f.write_str("a number"),
            Type::Text(Some(texts)) if texts.len() <= 6 => {
                let quoted: Vec<_> = texts.iter().map(|text| format!("'{text}'")).collect();
                f.write_str(&quoted.join(" or "))
            }
            Type::Text(_) => f.write_str("a text"),
            Type::List(of) if **of == Type::Any => f.write_str("a list"),
            Type::List(of) => write!(f, "a list, each of it {of}"),
            Type::Object(fields) if fields.known.is_empty() => f.write_str("an object"),
            Type::Object(fields) => {
                let names: Vec<_> = fields.known.keys().take(8).map(String::as_str).collect();
                let dots = if fields.known.len() > names.len() { ", …" } else { "" };
                write!(f, "an object with {}{dots}", names.join(", "))
            }
            Type::Union(all) => {
                let words: Vec<_> = all.iter().map(Type::to_string).collect();
                f.write_str(&words.join(", or "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_becomes_a_type() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "enum": ["a", "b"]},
                "count": {"type": ["integer", "null"]},
                "rows": {"type": "array", "items": {"$ref": "#/$defs/row"}},
                "free": {"type": "object"},
                "other": {"anyOf": [{"type": "string"}, {"type": "number"}]},
            },
            "required": ["name"],
            "$defs": {"row": {"type": "object", "properties": {"next": {"$ref": "#/$defs/row"}}}},
        });
        let Type::Object(fields) = Type::of_schema(&schema) else { panic!() };
        assert_eq!(fields.rest, None);
        assert!(fields.known["name"].required && !fields.known["count"].required);
        assert_eq!(fields.known["name"].kind, Type::one_of(["a", "b"]));
        assert_eq!(fields.known["count"].kind, Type::Integer.or_null());
        assert_eq!(fields.known["free"].kind, Type::open());
        assert_eq!(fields.known["other"].kind, Type::union([Type::TEXT, Type::Number]));
        assert!(matches!(&fields.known["rows"].kind, Type::List(of) if matches!(**of, Type::Object(_))));
    }

    #[test]
    fn a_schema_that_is_itself_ends() {
        assert_eq!(Type::of_schema(&json!({"$ref": "#"})), Type::Any);
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let fields: serde_json::Map<_, _> =
            names.map(|name| (name.to_owned(), json!({"$ref": "#"}))).into_iter().collect();
        assert!(matches!(Type::of_schema(&json!({"properties": fields})), Type::Object(_)));
    }

    #[test]
    fn schemas_beside_one_another_are_not_taken_for_one_of_them() {
        let fields = |name: &str| json!({"properties": {name: {"type": "string"}}});
        let with = |key: &str, value: Value| {
            let mut schema = fields("a");
            schema[key] = value;
            Type::of_schema(&schema)
        };
        assert_eq!(with("anyOf", json!([fields("b"), fields("c")])), Type::Any);
        assert_eq!(with("allOf", json!([fields("b")])), Type::Any);
        assert_eq!(with("$ref", json!("#/properties/a")), Type::Any);
        for (key, value) in [
            ("then", fields("b")),
            ("dependentSchemas", json!({"a": fields("b")})),
            ("patternProperties", json!({"^x": {"type": "string"}})),
        ] {
            let kind = with(key, value);
            assert!(matches!(&kind, Type::Object(fields) if fields.rest.is_some()), "{key}: {kind:?}");
        }
        let closed = json!({"patternProperties": {"^x": {}}, "properties": {"a": {}}, "additionalProperties": false});
        assert!(matches!(Type::of_schema(&closed), Type::Object(fields) if fields.rest.is_some()));
    }

    #[test]
    fn unions_are_flat_and_without_doubles() {
        let both = Type::union([Type::one_of(["a"]), Type::Union(vec![Type::one_of(["b"]), Type::Null]), Type::Null]);
        assert_eq!(both, Type::Union(vec![Type::one_of(["a", "b"]), Type::Null]));
        assert_eq!(Type::union([Type::Integer, Type::Any]), Type::Any);
    }
}
