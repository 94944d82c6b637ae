//! A file's values with their places, and each scalar as it was written.

use serde_json::{Map, Number, Value};

use super::diagnostic::Place;

/// A value of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    /// Where it begins; a block text, where its first line does.
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    /// A scalar as it stands in the file: with its quotes; a block text without its header.
    pub(crate) written: Box<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(At<String>, Tree)>),
}

/// Something that was read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<T> At<T> {
    pub(crate) fn new(value: T, place: Place) -> Self {
        At { value, place }
    }
}

impl Tree {
    /// The text of a whole file.
    pub(crate) fn of_file(text: &str) -> Tree {
        let place = Place { line: 1, column: 1 };
        Tree { place, kind: Kind::Text(text.to_owned()), written: text.into() }
    }

    /// A value that stands in no file.
    pub(crate) fn of_value(value: &Value) -> Tree {
        let place = Place { line: 1, column: 1 };
        let (kind, written) = match value {
            Value::Null => (Kind::Null, String::new()),
            Value::Bool(value) => (Kind::Bool(*value), value.to_string()),
            Value::Number(number) => (Kind::Number(number.clone()), number.to_string()),
            Value::String(text) => (Kind::Text(text.clone()), text.clone()),
            Value::Array(list) => (Kind::List(list.iter().map(Tree::of_value).collect()), String::new()),
            Value::Object(map) => {
                let entry = |(key, value): (&String, &Value)| (At::new(key.clone(), place), Tree::of_value(value));
                (Kind::Map(map.iter().map(entry).collect()), String::new())
            }
        };
        Tree { place, kind, written: written.into() }
    }

    /// What it is, in words.
    pub(crate) fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// The text that it is where a text is meant: a number or a truth value as it was written.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::Bool(_) | Kind::Number(_) => Some(&self.written),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The value as JSON.
    pub(crate) fn to_value(&self) -> Value {
        self.value_for(&Value::Null)
    }

    /// The value as JSON. Where `schema` says string, a scalar is what was written: `1.10`, `012`.
    pub(crate) fn value_for(&self, schema: &Value) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(_) | Kind::Number(_) if says_string(schema) => Value::String((*self.written).to_owned()),
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(list) => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                Value::Array(list.iter().map(|item| item.value_for(items)).collect())
            }
            Kind::Map(map) => {
                let (properties, others) = (schema.get("properties"), schema.get("additionalProperties"));
                let of = |key: &str| properties.and_then(|p| p.get(key)).or(others).unwrap_or(&Value::Null);
                Value::Object(
                    map.iter().map(|(key, item)| (key.value.clone(), item.value_for(of(&key.value)))).collect(),
                )
            }
        }
    }

    /// Whether it is a number that was written in another way than it is read: `1.10` is 1.1, `012` is 12.
    pub(crate) fn is_odd(&self) -> bool {
        matches!(&self.kind, Kind::Number(number) if number.to_string() != *self.written)
    }

    /// Each scalar in it, with the part of `schema` that is about it.
    pub(crate) fn each_leaf<'t>(&'t self, schema: &'t Value, visit: &mut impl FnMut(&'t Tree, &'t Value)) {
        match &self.kind {
            Kind::List(list) => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                list.iter().for_each(|item| item.each_leaf(items, visit));
            }
            Kind::Map(map) => {
                let (properties, others) = (schema.get("properties"), schema.get("additionalProperties"));
                for (key, item) in map {
                    let of = properties.and_then(|p| p.get(&key.value)).or(others);
                    item.each_leaf(of.unwrap_or(&Value::Null), visit);
                }
            }
            _ => visit(self, schema),
        }
    }

    /// Where the character at `line` and `column` (both from 1) of its text stands in the file.
    pub(crate) fn locate(&self, line: u32, column: u32) -> Place {
        let Kind::Text(text) = &self.kind else { return self.place };
        let mut lines = text.split_inclusive('\n');
        let before = lines.by_ref().take(line.saturating_sub(1) as usize).map(str::chars);
        let mut before: Vec<char> = before.flatten().collect();
        before.extend(lines.next().unwrap_or_default().chars().take(column.saturating_sub(1) as usize));
        // How a text is folded, indented or quoted changes white space only: the letters before this one are counted.
        let letters = before.iter().filter(|c| !c.is_whitespace()).count();
        let Place { line, column } = self.place;
        // A block text may begin with a quote that is its own.
        let quoted = !self.written.split_whitespace().eq(text.split_whitespace());
        written_letters(&self.written, quoted).nth(letters).map_or(self.place, |(down, right)| Place {
            line: line + down,
            column: if down == 0 { column + right } else { right + 1 },
        })
    }
}

/// Where the letters of a text as it was written stand: how many lines down, and how many columns from the line's begin.
fn written_letters(written: &str, quoted: bool) -> impl Iterator<Item = (u32, u32)> {
    let quote = written.chars().next().filter(|c| quoted && matches!(c, '"' | '\''));
    let mut chars = written.chars().skip(usize::from(quote.is_some())).peekable();
    let (mut down, mut right) = (0, u32::from(quote.is_some()));
    std::iter::from_fn(move || {
        loop {
            let c = chars.next()?;
            let at = (down, right);
            right += 1;
            let letter = match (c, quote) {
                ('\n', _) => {
                    (down, right) = (down + 1, 0);
                    false
                }
                ('\'', Some('\'')) => {
                    chars.next();
                    right += 1;
                    true
                }
                ('\\', Some('"')) => {
                    let escaped = chars.next()?;
                    right += 1;
                    let digits = match escaped {
                        'x' => 2,
                        'u' => 4,
                        'U' => 8,
                        '\n' => {
                            (down, right) = (down + 1, 0);
                            0
                        }
                        _ => 0,
                    };
                    for _ in 0..digits {
                        chars.next();
                    }
                    right += digits;
                    // Escaped white space is white space in the text.
                    !matches!(escaped, 'n' | 't' | 'r' | 'v' | 'f' | 'N' | '_' | 'L' | 'P' | ' ' | '\t' | '\n')
                }
                (c, _) => !c.is_whitespace(),
            };
            if letter {
                return Some(at);
            }
        }
    })
}

fn says_string(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "string",
        // A string or null is a string where something stands.
        Some(Value::Array(kinds)) => kinds.iter().all(|kind| kind == "string" || kind == "null"),
        _ => false,
    }
}

/// A map in the order of its lines.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entries<T>(pub(crate) Vec<(At<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<T> Entries<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&At<String>, &T)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(key, _)| key.value.as_str()).collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(key, _)| key.value == name).map(|(_, value)| value)
    }
}

impl Entries<Tree> {
    pub(crate) fn to_value(&self) -> Map<String, Value> {
        self.iter().map(|(key, tree)| (key.value.clone(), tree.to_value())).collect()
    }
}
