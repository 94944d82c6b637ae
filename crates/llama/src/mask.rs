//! Words that stand for texts from outside while a template renders, so that nothing in these texts can become markup.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher};

use parkway_core::model::Role;
use serde_json::{Map, Value};

use crate::template::Piece;

/// Objects and arrays inside each other in what a tool takes.
const NESTING: usize = 64;
/// Words of JSON Schema that templates ask for; there is no harm in them, whatever else they are a part of.
const SCHEMA: [&str; 18] = [
    "type",
    "properties",
    "required",
    "description",
    "name",
    "enum",
    "items",
    "default",
    "title",
    "format",
    "anyOf",
    "object",
    "array",
    "string",
    "integer",
    "number",
    "boolean",
    "null",
];

/// The words of one rendering.
pub(crate) struct Words {
    start: String,
    texts: Vec<(String, Option<Role>)>,
}

impl Words {
    pub(crate) fn new() -> Self {
        // The standard library seeds its hash maps from the system's randomness, which is all that is needed here.
        let random = || std::hash::RandomState::new().build_hasher().finish();
        Words { start: format!("pw{:016x}{:016x}n", random(), random()), texts: Vec::new() }
    }

    /// What every word starts with.
    pub(crate) fn start(&self) -> &str {
        &self.start
    }

    /// A word for what a message says; a rendering without it is none.
    pub(crate) fn of_message(&mut self, text: &str, role: Role) -> String {
        self.word(text, Some(role))
    }

    /// A word for what a message says beside calls, which a rendering may leave out.
    pub(crate) fn beside_calls(&mut self, text: &str) -> String {
        self.word(text, None)
    }

    fn word(&mut self, text: &str, role: Option<Role>) -> String {
        self.texts.push((text.to_owned(), role));
        format!("{}{}z", self.start, self.texts.len() - 1)
    }

    /// Cuts a rendering at its words.
    pub(crate) fn cut(&self, rendered: &str) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut seen = vec![false; self.texts.len()];
        let mut parts = rendered.split(self.start.as_str());
        let mut markup = parts.next().unwrap_or_default();
        let changed = || "the chat template changes the text of messages".to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_digit()).ok_or("the chat template cuts messages short")?;
            let (index, rest) = part.split_at(end);
            let index: usize = index.parse().map_err(|_| changed())?;
            let (text, _) = self.texts.get(index).ok_or_else(changed)?;
            push(&mut pieces, Piece::Markup(markup.to_owned()));
            if let Some(rest) = rest.strip_prefix('z') {
                push(&mut pieces, Piece::Text(text.clone()));
                markup = rest;
            } else if let Some(rest) = rest.strip_prefix('j') {
                let quoted = Value::from(text.as_str()).to_string();
                push(&mut pieces, Piece::Text(quoted[1..quoted.len() - 1].to_owned()));
                markup = rest;
            } else {
                return Err(changed());
            }
            seen[index] = true;
        }
        push(&mut pieces, Piece::Markup(markup.to_owned()));
        for ((text, role), seen) in self.texts.iter().zip(seen) {
            if let Some(role) = role.filter(|_| !seen && !text.is_empty()) {
                return Err(format!("the chat template leaves out a {} message", role.as_str()));
            }
        }
        Ok(pieces)
    }
}

/// Says of the words in a text, which start so, that they stand within strings of JSON.
pub(crate) fn within_json(text: &str, start: &str) -> String {
    let mut parts = text.split(start);
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        made.push_str(start);
        made.push_str(&part.replacen('z', "j", 1));
    }
    made
}

fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    if !matches!(&piece, Piece::Markup(text) | Piece::Text(text) if text.is_empty()) {
        pieces.push(piece);
    }
}

/// Texts that must come of the template alone: those of control tokens, and of others that it uses as markup.
///
/// Templates look into what tools are called and take, so words stand only for what is such a text, or may be a part of one
/// that the template or the next value completes: `<` + `tool_call` + `>`.
#[derive(Debug, Default)]
pub(crate) struct Mask {
    texts: Vec<String>,
    beginnings: HashSet<String>,
    ends: HashSet<String>,
    longest: usize,
}

impl Mask {
    pub(crate) fn new(texts: Vec<String>) -> Self {
        let cuts = |text: &str| text.char_indices().map(|(at, _)| at).skip(1).collect::<Vec<_>>();
        let of = |part: &dyn Fn(&str, usize) -> String| {
            texts.iter().flat_map(|text| cuts(text).into_iter().map(|at| part(text, at))).collect::<HashSet<_>>()
        };
        let beginnings = of(&|text, at| text[..at].to_owned());
        let ends = of(&|text, at| text[at..].to_owned());
        let longest = texts.iter().map(String::len).max().unwrap_or_default();
        Mask { texts, beginnings, ends, longest }
    }

    /// A value of which no text can become markup. An error where it nests too deep.
    pub(crate) fn data(&self, value: &Value, words: &mut Words) -> Result<Value, String> {
        self.value(value, words, NESTING).ok_or_else(|| format!("what a tool takes nests deeper than {NESTING} levels"))
    }

    fn value(&self, value: &Value, words: &mut Words, depth: usize) -> Option<Value> {
        Some(match value {
            Value::String(text) => self.text(text, words).into(),
            Value::Array(values) => {
                let depth = depth.checked_sub(1)?;
                values.iter().map(|value| self.value(value, words, depth)).collect::<Option<Vec<_>>>()?.into()
            }
            Value::Object(members) => {
                let depth = depth.checked_sub(1)?;
                let mut made = Map::new();
                for (key, value) in members {
                    made.insert(self.text(key, words), self.value(value, words, depth)?);
                }
                made.into()
            }
            other => other.clone(),
        })
    }

    /// A text that cannot become markup.
    pub(crate) fn text(&self, text: &str, words: &mut Words) -> String {
        if SCHEMA.contains(&text) {
            return text.to_owned();
        }
        let (mut made, mut rest) = (String::new(), text);
        let first = |text: &str| {
            let found = self.texts.iter().filter_map(|guarded| Some((text.find(guarded)?, guarded)));
            found.min_by_key(|(at, guarded)| (*at, std::cmp::Reverse(guarded.len())))
        };
        while let Some((at, guarded)) = first(rest) {
            made.push_str(&self.part(&rest[..at], words));
            made.push_str(&words.word(guarded, None));
            rest = &rest[at + guarded.len()..];
        }
        made + &self.part(rest, words)
    }

    /// The same for a text that holds none of them as a whole.
    fn part(&self, text: &str, words: &mut Words) -> String {
        if text.is_empty() || (text.len() < self.longest && self.texts.iter().any(|guarded| guarded.contains(text))) {
            return if text.is_empty() { String::new() } else { words.word(text, None) };
        }
        let cuts = || text.char_indices().map(|(at, _)| at).chain([text.len()]);
        let begins = cuts().filter(|&at| at < self.longest && self.ends.contains(&text[..at])).max().unwrap_or(0);
        let left = |at: &usize| text.len() - at < self.longest && self.beginnings.contains(&text[*at..]);
        let ends = cuts().filter(left).min().unwrap_or(text.len());
        if begins >= ends {
            return words.word(text, None);
        }
        let mut made = String::new();
        for (part, masked) in [(&text[..begins], true), (&text[begins..ends], false), (&text[ends..], true)] {
            match masked && !part.is_empty() {
                true => made.push_str(&words.word(part, None)),
                false => made.push_str(part),
            }
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What of a text is left to the template, words as `_`.
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let mask = Mask::new(["<|im_end|>", "<tool_call>", "</s>"].map(str::to_owned).to_vec());
        let mut words = Words::new();
        let masked = mask.text(text, &mut words);
        let shown: String = words
            .cut(&masked)
            .unwrap()
            .into_iter()
            .map(|piece| match piece {
                Piece::Markup(text) => text,
                Piece::Text(_) => "_".into(),
            })
            .collect();
        assert_eq!(shown, expect);
        let joined: String = words
            .cut(&masked)
            .unwrap()
            .into_iter()
            .map(|piece| match piece {
                Piece::Markup(text) | Piece::Text(text) => text,
            })
            .collect();
        assert_eq!(joined, text);
    }

    #[test]
    fn nothing_in_a_text_can_become_or_complete_a_guarded_one() {
        check("Reads a file.", "Reads a file.");
        check("x<|im_end|>b</s>", "x_b_");
        // `a` is a part of `<tool_call>`, which others may complete.
        check("a<|im_end|>b", "__b");
        check("<|im_<|im_end|>end|>", "___");
        check("the end <|im_", "the end _");
        check("end|> of it", "_ of it");
        check("tool_call", "_");
        check("a < b", "a < b");
        check("", "");
        check("string", "string");
    }

    #[test]
    fn keys_and_deep_values_are_masked_too() {
        let mask = Mask::new(vec!["</s>".into()]);
        let mut words = Words::new();
        let masked = mask.data(&json!({"a</s>": ["b", {"c": "</s>"}]}), &mut words).unwrap().to_string();
        assert!(!masked.contains("</s>"), "{masked}");
        assert_eq!(words.cut(&masked).unwrap().len(), 5);
        let mut deep = json!(1);
        (0..100).for_each(|_| deep = json!([deep.take()]));
        assert!(mask.data(&deep, &mut words).is_err());
    }

    #[test]
    fn a_text_within_json_is_written_as_json() {
        let mut words = Words::new();
        let word = words.of_message("a\"b\nz", Role::Tool);
        let json = within_json(&format!("\"{word}\""), words.start());
        let pieces = words.cut(&json).unwrap();
        assert_eq!(pieces[1], Piece::Text("a\\\"b\\nz".into()));
    }
}
