//! Literals that stand in the goal become inputs: the next time the goal is another one.

use std::collections::BTreeSet;

use parkway_core::workflow::{Verb, literal};
use serde_json::{Map, Value, json};

use super::file::Step;
use super::literals::each_text;
use super::place::is_name;

/// A literal that became an input.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Lifted {
    /// The input's name.
    pub name: String,
    /// Its default: what stood in the goal.
    pub value: Value,
}

/// The inputs that literals became.
pub(super) struct Lift<'g> {
    goal: &'g str,
    pub(super) inputs: Vec<Lifted>,
}

impl<'g> Lift<'g> {
    pub(super) fn new(goal: &'g str) -> Self {
        Lift { goal, inputs: Vec::new() }
    }

    /// The value with an input in the place of each literal that stands in the goal. `key` is what the value is called.
    pub(super) fn of(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(|value| self.of(key, value)),
            Value::Object(map) => map.iter_mut().for_each(|(key, value)| self.of(key, value)),
            leaf => {
                let word = match &*leaf {
                    // A template is none, and a text with marks in it is not worth the trouble.
                    Value::String(text) if literal(text) == *text && text.trim().chars().count() > 1 => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => return,
                };
                if !places(self.goal, &word).is_empty() {
                    *leaf = json!(template(&self.input(key, leaf.clone())));
                }
            }
        }
    }

    /// The name of the input with that default.
    fn input(&mut self, key: &str, value: Value) -> String {
        if let Some(known) = self.inputs.iter().find(|input| input.value == value) {
            return known.name.clone();
        }
        let name: String =
            key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
        let name = name.trim_matches('_');
        let name = if name.is_empty() || !is_name(name) { "value" } else { name };
        let taken: BTreeSet<_> = self.inputs.iter().map(|input| input.name.clone()).collect();
        let free = |name: &String| !taken.contains(name);
        let numbered = (2_u32..).map(|n| format!("{name}_{n}"));
        let name = std::iter::once(name.to_owned()).chain(numbered).find(free).unwrap_or_default();
        self.inputs.push(Lifted { name: name.clone(), value });
        name
    }

    /// Forgets the inputs that none of these steps uses.
    pub(super) fn keep_used_by(&mut self, steps: &[Step]) {
        let mut used = BTreeSet::new();
        for step in steps {
            if let Verb::Tool { with, .. } = &step.node.verb {
                each_text(with, &mut |text| used.extend([text.to_owned()]));
            }
        }
        self.inputs.retain(|input| used.contains(&template(&input.name)));
    }

    /// JSON Schema of the inputs.
    pub(super) fn schema(&self) -> Value {
        let field = |input: &Lifted| {
            let kind = match &input.value {
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                _ => "string",
            };
            (input.name.clone(), json!({ "type": kind, "default": input.value }))
        };
        let fields: Map<_, _> = self.inputs.iter().map(field).collect();
        json!({ "type": "object", "properties": fields, "required": [], "additionalProperties": false })
    }

    /// The goal as a template: the inputs stand where their defaults stood.
    pub(super) fn goal(&self) -> String {
        let word = |input: &Lifted| input.value.as_str().map_or_else(|| input.value.to_string(), str::to_owned);
        let mut found: Vec<_> = self
            .inputs
            .iter()
            .flat_map(|input| {
                let word = word(input);
                places(self.goal, &word).into_iter().map(move |at| (at, word.len(), input.name.as_str()))
            })
            .collect();
        // Where one stands within another, the longer one counts.
        found.sort_by_key(|(at, length, _)| (*at, usize::MAX - length));
        let (mut out, mut end) = (String::new(), 0);
        for (at, length, name) in found {
            if at < end {
                continue;
            }
            out.push_str(&literal(self.goal.get(end..at).unwrap_or_default()));
            out.push_str(&template(name));
            end = at + length;
        }
        out + &literal(self.goal.get(end..).unwrap_or_default())
    }
}

fn template(input: &str) -> String {
    format!("${{{{ inputs.{input} }}}}")
}

/// Where a word stands in a text as a word of its own: not as a part of a longer word, path or number.
fn places(text: &str, word: &str) -> Vec<usize> {
    let part_of = |c: char| c.is_alphanumeric() || ['_', '/', '\\', '-'].contains(&c);
    let alone = |at: usize| {
        let (before, rest) = text.split_at_checked(at)?;
        let mut after = rest.get(word.len()..)?.chars();
        let (first, second) = (after.next(), after.next());
        let mut before = before.chars().rev();
        let (last, last_but_one) = (before.next(), before.next());
        // A full stop ends a sentence, and joins the parts of a number or a name.
        let joins =
            |dot: Option<char>, other: Option<char>| dot == Some('.') && other.is_some_and(char::is_alphanumeric);
        let within = last.is_some_and(part_of) || first.is_some_and(part_of);
        Some(!within && !joins(first, second) && !joins(last, last_but_one))
    };
    if word.is_empty() {
        return Vec::new();
    }
    text.match_indices(word).map(|(at, _)| at).filter(|at| alone(*at) == Some(true)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_path_or_a_number_is_not_lifted() {
        let goal = "Count the lines of docs/a.md, then of docs. Keep 12 of 3.5 or 120.";
        for (word, stands) in [
            ("docs", true),
            ("docs/a.md", true),
            ("a.md", false),
            ("12", true),
            ("5", false),
            ("3.5", true),
            ("lin", false),
        ] {
            assert_eq!(!places(goal, word).is_empty(), stands, "{word}");
        }
    }

    #[test]
    fn a_value_that_is_used_twice_is_one_input() {
        let mut lift = Lift::new("Copy the first 20 lines of data/in.txt to out/in.txt, with 20 at the end.");
        let mut with = json!({ "path": "data/in.txt", "most": 20, "to": { "path": "out/in.txt" }, "again": [20, 7], "x": "${{ 20 }}" });
        lift.of("with", &mut with);
        let expected = json!({
            "path": "${{ inputs.path }}", "most": "${{ inputs.most }}", "to": { "path": "${{ inputs.path_2 }}" },
            "again": ["${{ inputs.most }}", 7], "x": "${{ 20 }}",
        });
        assert_eq!(with, expected);
        assert_eq!(
            lift.goal(),
            "Copy the first ${{ inputs.most }} lines of ${{ inputs.path }} to ${{ inputs.path_2 }}, with ${{ inputs.most }} at the end."
        );
        assert_eq!(lift.schema()["properties"]["most"], json!({ "type": "integer", "default": 20 }));
    }
}
