//! A part of a JSON Schema, by its place in the whole: references in it lead into the whole.

use serde_json::{Map, Value, json};

use crate::schema::{check, check_depth, move_references};
use crate::workflow::Type;

/// How many references are followed one after the other.
const HOPS: usize = 16;
/// Keys that say nothing about which values are allowed.
const REMARKS: [&str; 12] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
];

/// A part of a schema.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    pub(super) root: &'a Value,
    pub(super) at: &'a Value,
    /// Where in the whole: a JSON pointer.
    pub(super) pointer: String,
}

impl<'a> Part<'a> {
    /// The whole.
    pub(super) fn whole(root: &'a Value) -> Self {
        Part { root, at: root, pointer: String::new() }
    }

    /// The part that this one's keys lead to.
    pub(super) fn child(&self, keys: &[&str]) -> Option<Part<'a>> {
        let mut at = self.at;
        let mut pointer = self.pointer.clone();
        for key in keys {
            at = match at {
                Value::Array(list) => list.get(key.parse::<usize>().ok()?)?,
                other => other.get(key)?,
            };
            pointer.push('/');
            pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        }
        Some(Part { root: self.root, at, pointer })
    }

    /// The parts in the list under this key.
    pub(super) fn options(&self, key: &str) -> Vec<Part<'a>> {
        let count = self.at.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        (0..count).filter_map(|i| self.child(&[key, &i.to_string()])).collect()
    }

    /// What it refers to, if it does nothing else.
    pub(super) fn target(&self) -> Option<Part<'a>> {
        let target = self.at.get("$ref")?.as_str()?.strip_prefix('#')?;
        let alone = self.says().all(|(key, _)| key == "$ref");
        alone.then(|| Some(Part { root: self.root, at: self.root.pointer(target)?, pointer: target.to_owned() }))?
    }

    /// The part that references lead to in the end.
    pub(super) fn resolved(&self) -> Part<'a> {
        let mut part = self.clone();
        for _ in 0..HOPS {
            match part.target() {
                Some(next) => part = next,
                None => break,
            }
        }
        part
    }

    /// The keys that say which values are allowed.
    pub(super) fn says(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let map = self.at.as_object();
        map.into_iter().flatten().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| !REMARKS.contains(key))
    }

    /// The fields that it names.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'a str, Part<'a>)> + use<'a> {
        let names = self.at.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let part = self.clone();
        names.filter_map(move |name| Some((name.as_str(), part.child(&["properties", name])?)))
    }

    /// The names of the fields that must be there.
    pub(super) fn required(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.at.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Whether a value of this kind (`object`, `array`) may be what it describes.
    pub(super) fn may_be(&self, kind: &str) -> bool {
        match self.at.get("type") {
            Some(Value::String(name)) => name == kind,
            Some(Value::Array(names)) => names.iter().any(|name| name == kind),
            _ => !["const", "enum"].iter().any(|key| self.at.get(key).is_some()),
        }
    }

    /// The type that it describes.
    pub(super) fn kind(&self) -> Type {
        Type::of_part(self.root, self.at)
    }

    /// Checks a value without references.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        if self.pointer.is_empty() {
            return check(self.root, value);
        }
        let (mut root, mut part) = (self.root.clone(), self.at.clone());
        move_references(&mut root, "#/$defs/whole");
        move_references(&mut part, "#/$defs/whole");
        check_depth(value)?;
        check(&json!({ "$defs": { "whole": root }, "allOf": [part] }), value)
    }
}
