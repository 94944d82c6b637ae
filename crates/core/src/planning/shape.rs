//! The form of one value in a line: its own schema, or a reference to what fits it. Every value of such a form passes the check of
//! the line, so it may allow less than the schema does, and never more.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::part::Part;
use super::reach::{Place, suits};
use super::reference::REF;
use crate::schema::move_references;
use crate::workflow::Type;

/// Keys of an object's schema whose parts may be written with references.
const OBJECT: [&str; 4] = ["type", "properties", "required", "additionalProperties"];
/// Formats of texts that models can be held to.
const FORMATS: [&str; 9] = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "uuid", "uri"];
/// Names in objects of which nothing is known: none of them makes a reference of it.
const NAMES: &str = "^[A-Za-z][A-Za-z0-9_ .-]{0,63}$";
/// The most characters of a text that a planner writes out, where the schema sets no limit: a model that has lost the thread writes on
/// and on. Longer texts are for steps to give.
const TEXT: u32 = 300;
/// The same where there are many: the whole line is to come to its end.
const SHORT: u32 = 80;
/// The largest number that a planner writes out, where the schema sets no limit, and the smallest part of one: digits have no end either.
const NUMBER: i64 = 999_999_999_999_999;
const FRACTION: f64 = 0.000_001;
/// Fields of an object that may be as long as one alone.
const FEW: u32 = 3;
/// The most elements of a list that a planner writes out, where the schema sets no limit.
const ITEMS: u64 = 16;
/// The most fields of an object, and elements of a list, of which nothing is known.
const LOOSE: u64 = 8;
/// Shorter schemas are written where they stand.
const SHARED: usize = 48;

/// Writes forms, and keeps what several share.
pub(super) struct Shapes<'a> {
    /// What stands under `$defs`, by name.
    pub(super) defs: Map<String, Value>,
    /// Names of what is shared, by its text.
    known: BTreeMap<String, String>,
    /// Names of what references lead to in schemas: by schema, by what an item is, by place.
    targets: BTreeMap<(String, usize, String), String>,
    /// The places that may be referred to.
    places: &'a [Place],
    /// The places in an item, and a number for it; none outside a fan-out.
    item: (usize, &'a [Place]),
    /// The name of the schema that is being written, for references in it.
    of: String,
    /// The most characters of a text where the schema sets no limit.
    text: u32,
}

impl<'a> Shapes<'a> {
    pub(super) fn new(places: &'a [Place]) -> Self {
        let (defs, known, targets) = (Map::new(), BTreeMap::new(), BTreeMap::new());
        Shapes { defs, known, targets, places, item: (0, &[]), of: String::new(), text: TEXT }
    }

    /// From here on inside a fan-out over such items, or outside one.
    pub(super) fn with_item(&mut self, number: usize, item: &'a [Place]) {
        self.item = (number, item);
    }

    /// From here on in this schema, whose references are kept under its name.
    pub(super) fn within(&mut self, name: &str) {
        name.clone_into(&mut self.of);
    }

    /// Writes what is inside with texts of at most so many characters; none becomes shorter than is worth a text.
    fn shorter<T>(&mut self, most: u32, write: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.text;
        self.text = most.max(SHORT).min(before);
        let written = write(self);
        self.text = before;
        written
    }

    /// A schema by its name, where it is long.
    pub(super) fn shared(&mut self, schema: Value) -> Value {
        let text = schema.to_string();
        if text.len() < SHARED {
            return schema;
        }
        let next = format!("d{}", self.known.len());
        let name = self.known.entry(text).or_insert(next).clone();
        self.defs.entry(name.clone()).or_insert(schema);
        lead(&name)
    }

    /// A reference to one of these places; none if there are none.
    pub(super) fn one_of(&mut self, mut texts: Vec<String>) -> Option<Value> {
        let mut seen = std::collections::BTreeSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        (!texts.is_empty()).then(|| {
            let schema = json!({
                "type": "object",
                "properties": { REF: { "enum": texts } },
                "required": [REF],
                "additionalProperties": false,
            });
            self.shared(schema)
        })
    }

    /// References to what is of a kind.
    pub(super) fn references(&mut self, is: &dyn Fn(&Type) -> bool) -> Option<Value> {
        let fit = self.places.iter().filter(|place| is(&place.kind)).map(|place| place.at.to_string());
        let texts = fit.collect();
        self.one_of(texts)
    }

    /// References to parts of the item that are of a kind.
    fn items(&mut self, is: &dyn Fn(&Type) -> bool) -> Option<Value> {
        let fit = self.item.1.iter().filter(|place| is(&place.kind)).map(|place| place.at.to_string());
        let texts = fit.collect();
        self.one_of(texts)
    }

    /// The arguments of a tool: always an object, with references in it.
    pub(super) fn args(&mut self, part: &Part<'_>) -> Value {
        let part = part.resolved();
        if part.says().all(|(key, _)| OBJECT.contains(&key)) { self.object(&part) } else { self.literal(&part) }
    }

    /// A value of this schema, or a reference to one, or made of both.
    pub(super) fn value(&mut self, part: &Part<'_>) -> Value {
        let wanted = part.kind();
        let literal = self.literal(part);
        let mut options = vec![self.shared(literal)];
        options.extend(self.references(&|kind| suits(kind, &wanted)));
        options.extend(self.items(&|kind| suits(kind, &wanted)));
        if options.len() == 1 { options.swap_remove(0) } else { json!({ "anyOf": options }) }
    }

    /// A value of this schema that is written out, but for references deeper in it.
    fn literal(&mut self, part: &Part<'_>) -> Value {
        if let Some(target) = part.target() {
            return self.target(&target);
        }
        let keys: Vec<_> = part.says().map(|(key, _)| key).collect();
        if part.at.is_boolean() && part.at == &Value::Bool(false) {
            return json!(false);
        }
        if let Some(Value::Array(names)) = part.at.get("type").filter(|_| keys.iter().any(|key| !is_plain(key))) {
            let options = names.iter().map(|name| {
                let mut schema = part.at.clone();
                if let Value::Object(map) = &mut schema {
                    map.insert("type".into(), name.clone());
                }
                schema
            });
            let options: Vec<_> = options.collect();
            return self.each_kind(part, &options);
        }
        match keys.as_slice() {
            [] => self.anything(),
            ["oneOf"] if words(part).is_some() => json!({ "enum": words(part) }),
            ["anyOf"] => {
                let options: Vec<_> = part.options("anyOf").iter().map(|option| self.literal(option)).collect();
                json!({ "anyOf": options })
            }
            keys if part.at.get("type").is_none_or(|name| name == "object")
                && keys.iter().all(|key| OBJECT.contains(key))
                && keys.iter().any(|key| *key != "required") =>
            {
                self.object(part)
            }
            keys if part.at.get("type").is_some_and(|name| name == "array")
                && keys.iter().all(|key| ["type", "items", "minItems", "maxItems"].contains(key)) =>
            {
                let mut schema = self.bare(part);
                let items = self.shorter(SHORT, |shapes| match part.child(&["items"]) {
                    Some(items) => shapes.value(&items),
                    None => shapes.any_value(),
                });
                schema.insert("items".into(), self.shared(items));
                let least = part.at.get("minItems").and_then(Value::as_u64).unwrap_or(0);
                schema.entry("maxItems").or_insert(json!(ITEMS.max(least)));
                Value::Object(schema)
            }
            keys if keys.iter().all(|key| is_plain(key)) => Value::Object(self.bare(part)),
            _ => self.raw(part),
        }
    }

    /// A schema as it says itself, with a bound where it sets none.
    fn bare(&self, part: &Part<'_>) -> Map<String, Value> {
        let mut keys: Map<String, Value> =
            part.says().filter(counts).map(|(key, value)| (key.to_owned(), value.clone())).collect();
        self.bound(&mut keys);
        keys
    }

    /// Bounds texts and numbers of which a schema of single values sets no limit.
    fn bound(&self, keys: &mut Map<String, Value>) {
        let is = |name: &str| match keys.get("type") {
            Some(Value::String(kind)) => kind == name,
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == name),
            _ => false,
        };
        let (text, whole, fraction) = (is("string"), is("integer"), is("number"));
        let sets = |names: &[&str]| names.iter().any(|name| keys.contains_key(*name));
        if sets(&["enum", "const"]) {
            return;
        }
        let limit = |names: [&str; 2]| names.iter().find_map(|name| keys.get(*name)?.as_f64());
        let (low, high) = (limit(["minimum", "exclusiveMinimum"]), limit(["maximum", "exclusiveMaximum"]));
        let least = keys.get("minLength").and_then(Value::as_u64).unwrap_or_default();
        let mut bounds = Vec::new();
        if text && !sets(&["maxLength", "pattern", "format"]) {
            bounds.push(("maxLength", json!(least.max(self.text.into()))));
        }
        #[expect(clippy::cast_precision_loss, reason = "so large a number is exact")]
        let most = NUMBER as f64;
        if (whole || fraction) && high.is_none() && low.is_none_or(|low| low < most) {
            bounds.push(("maximum", json!(NUMBER)));
        }
        if (whole || fraction) && low.is_none() && high.is_none_or(|high| high > -most) {
            bounds.push(("minimum", json!(-NUMBER)));
        }
        if fraction && !sets(&["multipleOf"]) {
            bounds.push(("multipleOf", json!(FRACTION)));
        }
        keys.extend(bounds.into_iter().map(|(key, value)| (key.to_owned(), value)));
    }

    /// One of several kinds, each with the keys that speak of it.
    fn each_kind(&mut self, part: &Part<'_>, options: &[Value]) -> Value {
        let simple = |schema: &Value| {
            let keys = schema.as_object().into_iter().flat_map(Map::keys);
            match schema["type"].as_str() {
                Some("object" | "array") => false,
                _ => keys.into_iter().all(|key| is_plain(key) || OBJECT.contains(&key.as_str()) || key == "items"),
            }
        };
        let mut found = Vec::new();
        for schema in options {
            if simple(schema) {
                let map = schema.as_object().into_iter().flatten().filter(|(key, _)| is_plain(key));
                let mut keys = map.map(|(key, value)| (key.clone(), value.clone())).collect();
                self.bound(&mut keys);
                found.push(Value::Object(keys));
            } else {
                // A part of the same whole with one kind fewer to be: its own parts keep their places.
                found.push(self.literal(&Part { at: schema, ..part.clone() }));
            }
        }
        json!({ "anyOf": found })
    }

    fn object(&mut self, part: &Part<'_>) -> Value {
        let mut fields = Map::new();
        let many = u32::try_from(part.fields().count()).unwrap_or(u32::MAX).max(FEW);
        self.shorter(self.text.saturating_mul(FEW) / many, |shapes| {
            for (name, child) in part.fields().filter(|(name, _)| *name != REF) {
                let value = shapes.value(&child);
                fields.insert(name.to_owned(), shapes.shared(value));
            }
        });
        let mut schema = Map::from_iter([("type".to_owned(), json!("object"))]);
        let others = part.child(&["additionalProperties"]);
        if fields.is_empty() {
            let others = self.shorter(SHORT, |shapes| match others {
                Some(others) if others.at == &Value::Bool(false) => None,
                Some(others) => Some(shapes.value(&others)),
                None => Some(shapes.any_value()),
            });
            if let Some(others) = others {
                schema.insert("patternProperties".into(), json!({ NAMES: self.shared(others) }));
                let least = part.required().count() as u64;
                schema.insert("maxProperties".into(), json!(LOOSE.max(least)));
            }
        } else {
            schema.insert("properties".into(), Value::Object(fields));
        }
        if part.required().next().is_some() {
            schema.insert("required".into(), part.required().collect());
        }
        schema.insert("additionalProperties".into(), json!(false));
        Value::Object(schema)
    }

    /// What a reference in a schema leads to, once by its name: it may lead to itself.
    fn target(&mut self, target: &Part<'_>) -> Value {
        let key = (self.of.clone(), self.item.0, target.pointer.clone());
        if let Some(name) = self.targets.get(&key) {
            return lead(name);
        }
        let name = format!("t{}", self.targets.len());
        self.targets.insert(key, name.clone());
        let schema = self.literal(target);
        self.defs.insert(name.clone(), schema);
        lead(&name)
    }

    /// A value of which nothing is known, or a reference.
    fn any_value(&mut self) -> Value {
        let anything = self.anything();
        let mut options = vec![self.shared(anything)];
        options.extend(self.references(&|_| true));
        options.extend(self.items(&|_| true));
        if options.len() == 1 { options.swap_remove(0) } else { json!({ "anyOf": options }) }
    }

    /// A value of which nothing is known: as much as a plan can want.
    fn anything(&mut self) -> Value {
        let leaf = |most: u32| {
            json!({
                "type": ["string", "number", "boolean", "null"],
                "maxLength": most, "minimum": -NUMBER, "maximum": NUMBER, "multipleOf": FRACTION,
            })
        };
        let mut options = vec![leaf(SHORT.min(self.text))];
        options.extend(self.references(&|_| true));
        options.extend(self.items(&|_| true));
        let part = self.shared(json!({ "anyOf": options }));
        let list = json!({ "type": "array", "items": part, "maxItems": LOOSE });
        let object = json!({
            "type": "object", "patternProperties": { NAMES: part }, "maxProperties": LOOSE, "additionalProperties": false,
        });
        self.shared(json!({ "anyOf": [leaf(self.text), list, object] }))
    }

    /// A schema as it is, whose references lead into the whole.
    fn raw(&mut self, part: &Part<'_>) -> Value {
        let place = format!("#/$defs/{}", self.of);
        let mut schema = Value::Object(self.bare(part));
        move_references(&mut schema, &place);
        if schema.to_string().contains("$ref") && !self.defs.contains_key(&self.of) {
            let mut whole = part.root.clone();
            move_references(&mut whole, &place);
            self.defs.insert(self.of.clone(), whole);
        }
        schema
    }

    /// What an answer may be that a plan gives: references, in the shape of its schema. None if nothing fits.
    pub(super) fn answer(&mut self, part: &Part<'_>, levels: usize) -> Option<Value> {
        let levels = levels.checked_sub(1)?;
        let wanted = part.kind();
        let part = part.resolved();
        let mut options: Vec<Value> = self.references(&|kind| suits(kind, &wanted)).into_iter().collect();
        let keys: Vec<_> = part.says().map(|(key, _)| key).collect();
        if part.at.get("type").is_some_and(|name| name == "object")
            && keys.iter().all(|key| OBJECT.contains(key))
            && part.fields().next().is_some()
        {
            options.extend(self.answer_object(&part, levels));
        } else if part.at.get("type").is_some_and(|name| name == "array")
            && keys.iter().all(|key| ["type", "items", "minItems", "maxItems"].contains(key))
        {
            let items = part.child(&["items"]).and_then(|items| self.answer(&items, levels));
            if let Some(items) = items {
                let mut schema = self.bare(&part);
                schema.insert("items".into(), self.shared(items));
                options.push(Value::Object(schema));
            }
        } else if part.at.get("const").is_some() && keys.iter().all(|key| is_plain(key)) {
            options.push(Value::Object(self.bare(&part)));
        }
        match options.len() {
            0 => None,
            1 => options.pop(),
            _ => Some(json!({ "anyOf": options })),
        }
    }

    fn answer_object(&mut self, part: &Part<'_>, levels: usize) -> Option<Value> {
        let mut fields = Map::new();
        for (name, child) in part.fields().filter(|(name, _)| *name != REF) {
            if let Some(value) = self.answer(&child, levels) {
                fields.insert(name.to_owned(), self.shared(value));
            }
        }
        part.required().all(|name| fields.contains_key(name)).then(|| {
            json!({
                "type": "object",
                "properties": fields,
                "required": part.required().collect::<Vec<_>>(),
                "additionalProperties": false,
            })
        })
    }
}

/// A number that is written out, of which nothing is known.
pub(super) fn number() -> Value {
    json!({ "type": "number", "minimum": -NUMBER, "maximum": NUMBER, "multipleOf": FRACTION })
}

fn lead(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// Whether a key speaks of single values: texts, numbers, words.
fn is_plain(key: &str) -> bool {
    matches!(
        key,
        "type"
            | "enum"
            | "const"
            | "minLength"
            | "maxLength"
            | "pattern"
            | "format"
            | "minimum"
            | "maximum"
            | "exclusiveMinimum"
            | "exclusiveMaximum"
            | "multipleOf"
    )
}

/// Whether this key of a schema says which values are allowed: formats that models cannot be held to do not.
fn counts((key, value): &(&str, &Value)) -> bool {
    *key != "format" || value.as_str().is_some_and(|name| FORMATS.contains(&name))
}

/// The words of a `oneOf` that only lists words, as enumerations with remarks are written.
fn words(part: &Part<'_>) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    for option in part.options("oneOf") {
        for (key, value) in option.says() {
            match (key, value) {
                ("const", value) => all.push(value.clone()),
                ("enum", Value::Array(values)) => all.extend(values.iter().cloned()),
                ("type", _) => {}
                _ => return None,
            }
        }
    }
    let unique = all.iter().enumerate().all(|(i, one)| !all[..i].contains(one));
    (unique && !all.is_empty()).then_some(all)
}
