//! References to what earlier steps give: how they are written, and where they stand in a value.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The root of a reference to the item of a fan-out.
pub(super) const ITEM: &str = "item";
/// The one key of a reference in a line.
pub(super) const REF: &str = "$ref";

/// A place in what an earlier step gives: `s1.files[0].path`, or in the item of a fan-out: `item.path`. In a line it stands as
/// `{"$ref": "s1.files[0].path"}`, wherever a value may stand. A name that a dot cannot precede stands in brackets and
/// quotes: `s1['a.b']`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// The step's id, or `item`.
    pub root: String,
    /// The way from its output: names and places in lists.
    pub path: Vec<Key>,
}

/// One step of the way into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// A place in a list, from 0.
    At(u32),
    /// A field of an object.
    Name(String),
}

impl Reference {
    /// The whole of what a step gives, or of the item.
    pub(super) fn to(root: &str) -> Reference {
        Reference { root: root.to_owned(), path: Vec::new() }
    }

    /// One step further on.
    pub(super) fn then(&self, key: Key) -> Reference {
        let mut path = self.path.clone();
        path.push(key);
        Reference { root: self.root.clone(), path }
    }

    /// The reference that a text is: `s1.files[0].path`.
    pub fn parse(text: &str) -> Option<Reference> {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (root, mut rest) = text.split_at(end);
        if root.is_empty() || !plain(root) {
            return None;
        }
        let mut path = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let (name, after) = after.split_at(end);
                if !plain(name) {
                    return None;
                }
                path.push(Key::Name(name.to_owned()));
                rest = after;
            } else if let Some(after) = rest.strip_prefix("['") {
                let (name, after) = quoted(after)?;
                path.push(Key::Name(name));
                rest = after.strip_prefix(']')?;
            } else {
                let (number, after) = rest.strip_prefix('[')?.split_once(']')?;
                if !number.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                path.push(Key::At(number.parse().ok()?));
                rest = after;
            }
        }
        Some(Reference { root: root.to_owned(), path })
    }

    /// The reference that a value is, if it is one: an error where it looks like one and cannot be read.
    pub(super) fn of(value: &Value) -> Option<Result<Reference, ()>> {
        let map = value.as_object()?;
        let target = map.get(REF)?;
        let alone = target.as_str().filter(|_| map.len() == 1);
        Some(alone.and_then(Reference::parse).ok_or(()))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        self.path.iter().try_for_each(|key| match key {
            Key::At(at) => write!(f, "[{at}]"),
            Key::Name(name) if plain(name) => write!(f, ".{name}"),
            Key::Name(name) => write!(f, "['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")),
        })
    }
}

/// Whether a name may follow a dot.
fn plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// A name up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (_, '\\') => name.push(chars.next()?.1),
            (at, '\'') => return Some((name, &text[at + 1..])),
            (_, c) => name.push(c),
        }
    }
}

/// Whether there is a reference somewhere in a value, or what looks like one.
pub(super) fn holds_reference(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key(REF) || map.values().any(holds_reference),
        Value::Array(list) => list.iter().any(holds_reference),
        _ => false,
    }
}

/// Looks at each reference in a value.
pub(super) fn each_reference(value: &Value, see: &mut dyn FnMut(Reference)) {
    match (Reference::of(value), value) {
        (Some(found), _) => found.into_iter().for_each(see),
        (None, Value::Object(map)) => map.values().for_each(|value| each_reference(value, see)),
        (None, Value::Array(list)) => list.iter().for_each(|value| each_reference(value, see)),
        _ => {}
    }
}

/// Gives the roots of references in a value their new names.
pub(super) fn rename(value: &mut Value, names: &BTreeMap<String, String>) {
    match (Reference::of(value), value) {
        (Some(Ok(found)), value) => {
            if let Some(name) = names.get(&found.root) {
                let renamed = Reference { root: name.clone(), path: found.path };
                *value = Value::Object([(REF.to_owned(), renamed.to_string().into())].into_iter().collect());
            }
        }
        (_, Value::Object(map)) => map.values_mut().for_each(|value| rename(value, names)),
        (_, Value::Array(list)) => list.iter_mut().for_each(|value| rename(value, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_is_written() {
        for text in ["s1", "s1.files", "s12.files[0].path", "item", "item['a.b'].c", r"s1['it\'s'][3]", "s1.max-size"] {
            assert_eq!(Reference::parse(text).map(|found| found.to_string()).as_deref(), Some(text));
        }
        for text in ["", "s1.", "s1..a", "s1[", "s1[x]", "s1[-1]", "s1['a]", "s1 .a", "${{ s1 }}", ".a", "s1.files[*]"]
        {
            assert_eq!(Reference::parse(text), None, "{text}");
        }
    }
}
