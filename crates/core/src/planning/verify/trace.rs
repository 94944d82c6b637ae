//! Looking for what an answer says in what the run knows: one pass over the sources, whatever they are long and however much is said.

use std::collections::HashMap;
use std::hash::Hash;

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::{Map, Value};

use super::date::{self, Date};
use super::deed::parts;
use super::number::{self, Decimal};
use super::plain::{fold, plain};

/// Something that can stand in a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trace {
    /// Folded words, which begin and end where words do.
    Phrase(String),
    /// A number, there or derived.
    Number(Decimal),
    /// A day or a month.
    Date(Date),
    /// A word that is all of a text, or a part of the name of a field that is not empty or false: `sent` in `{"sent_at": "…"}`.
    Term(String),
    /// A word that is all of a text: the name of an author.
    Whole(String),
}

/// What is looked for, and whether it was seen.
#[derive(Default)]
pub(super) struct Traces {
    phrases: HashMap<String, usize>,
    automaton: Option<AhoCorasick>,
    seen: Vec<bool>,
    numbers: HashMap<Decimal, bool>,
    dates: HashMap<Date, bool>,
    terms: HashMap<String, bool>,
    wholes: HashMap<String, bool>,
}

/// Texts longer than this are no terms.
const TERM: usize = 32;

impl Traces {
    /// None if there is too much to look for.
    pub(super) fn new<'a>(wanted: impl Iterator<Item = &'a Trace>) -> Option<Traces> {
        let mut traces = Traces::default();
        let mut patterns = Vec::new();
        for trace in wanted {
            match trace {
                Trace::Phrase(text) if text.is_empty() || traces.phrases.contains_key(text) => {}
                Trace::Phrase(text) => {
                    traces.phrases.insert(text.clone(), patterns.len());
                    patterns.push(text.as_str());
                }
                Trace::Number(number) => _ = traces.numbers.insert(number.clone(), false),
                Trace::Date(date) => _ = traces.dates.insert(*date, false),
                Trace::Term(term) => _ = traces.terms.insert(term.clone(), false),
                Trace::Whole(word) => _ = traces.wholes.insert(word.clone(), false),
            }
        }
        if !patterns.is_empty() {
            traces.seen = vec![false; patterns.len()];
            traces.automaton = Some(AhoCorasick::builder().match_kind(MatchKind::Standard).build(patterns).ok()?);
        }
        Some(traces)
    }

    pub(super) fn has(&self, trace: &Trace) -> bool {
        match trace {
            Trace::Phrase(text) => self.phrases.get(text).is_some_and(|at| self.seen[*at]),
            Trace::Number(number) => self.numbers.get(number).copied().unwrap_or(false),
            Trace::Date(date) => self.dates.get(date).copied().unwrap_or(false),
            Trace::Term(term) => self.terms.get(term).copied().unwrap_or(false),
            Trace::Whole(word) => self.wholes.get(word).copied().unwrap_or(false),
        }
    }

    /// Looks at a result: at its texts, the names of its fields and its numbers, and at what may be derived from them.
    pub(super) fn look(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(value) => self.text(if *value { "true" } else { "false" }),
            Value::Number(number) => self.number(Decimal::of(number)),
            Value::String(text) => {
                self.text(text);
                self.term(text);
                self.whole(text);
            }
            Value::Array(items) => {
                self.number(Decimal::count(items.len()));
                self.totals(items);
                items.iter().for_each(|item| self.look(item));
            }
            Value::Object(fields) => {
                self.number(Decimal::count(fields.len()));
                for (name, value) in fields {
                    self.text(name);
                    let empty = matches!(value, Value::Null | Value::Bool(false)) || value.as_str() == Some("");
                    if !empty && !self.terms.is_empty() {
                        parts(name).iter().for_each(|part| self.term(part));
                    }
                    self.look(value);
                }
            }
        }
    }

    /// Looks at a text.
    pub(super) fn text(&mut self, text: &str) {
        let plain = plain(text);
        if let Some(automaton) = &self.automaton {
            let folded = fold(&plain);
            for found in automaton.find_overlapping_iter(&folded) {
                let seen = &mut self.seen[found.pattern().as_usize()];
                *seen = *seen || stands_alone(&folded, found.start(), found.end());
            }
        }
        if !self.numbers.is_empty() {
            number::each(&plain, &mut |number| self.number(Some(number)));
        }
        if !self.dates.is_empty() {
            for date in date::dates(&plain).flat_map(|(_, readings)| readings) {
                date.parts().iter().for_each(|part| mark(&mut self.dates, part));
            }
        }
    }

    fn number(&mut self, number: Option<Decimal>) {
        let Some(number) = number.filter(|_| !self.numbers.is_empty()) else { return };
        mark(&mut self.numbers, &number);
        mark(&mut self.numbers, &number.size());
    }

    fn whole(&mut self, text: &str) {
        if text.len() <= TERM && !self.wholes.is_empty() {
            mark(&mut self.wholes, &fold(&plain(text)));
        }
    }

    fn term(&mut self, text: &str) {
        if text.len() <= TERM && !self.terms.is_empty() {
            mark(&mut self.terms, &fold(&plain(text)));
        }
    }

    /// The sum of a list of numbers. Of a list of objects, for each field: the sum, where all that have it have a number there; how many
    /// have it; and how many have the same text or the same yes or no there.
    fn totals(&mut self, items: &[Value]) {
        if self.numbers.is_empty() {
            return;
        }
        self.number(sum(items.iter()));
        let mut fields: HashMap<&str, Vec<&Value>> = HashMap::new();
        for (name, value) in items.iter().filter_map(Value::as_object).flat_map(Map::iter) {
            fields.entry(name).or_default().push(value);
        }
        for values in fields.into_values() {
            self.number(sum(values.iter().copied()));
            self.number(Decimal::count(values.iter().filter(|value| !value.is_null()).count()));
            let mut alike: HashMap<&str, usize> = HashMap::new();
            for value in values {
                let group = match value {
                    Value::Bool(true) => "true",
                    Value::Bool(false) => "false",
                    Value::String(text) => text.as_str(),
                    _ => continue,
                };
                *alike.entry(group).or_default() += 1;
            }
            alike.into_values().for_each(|count| self.number(Decimal::count(count)));
        }
    }
}

fn mark<T: Eq + Hash>(wanted: &mut HashMap<T, bool>, found: &T) {
    if let Some(seen) = wanted.get_mut(found) {
        *seen = true;
    }
}

/// The sum of numbers; also of those in texts, as in the rows of a CSV file. None if one of them is something else.
fn sum<'a>(values: impl Iterator<Item = &'a Value>) -> Option<Decimal> {
    let mut sum = 0i128;
    for value in values {
        let number = match value {
            Value::Number(number) => Decimal::of(number),
            Value::String(text) if text.len() <= TERM => Decimal::parse(text.trim()),
            _ => None,
        };
        sum = sum.checked_add(number?.scaled()?)?;
    }
    Decimal::unscaled(sum)
}

/// Whether what stands there is not a part of a longer word or number.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let joins = |char: char| char.is_lowercase() || char.is_ascii_alphanumeric() || char == '_';
    let edges = |one: char, other: char| joins(one) && joins(other);
    let found = &text[start..end];
    let (mut before, mut after) = (text[..start].chars().rev(), text[end..].chars());
    let (first, last) = (found.chars().next().unwrap_or(' '), found.chars().next_back().unwrap_or(' '));
    let (left, right) = (before.next().unwrap_or(' '), after.next().unwrap_or(' '));
    // `1.2` is no part of `1.2.3`.
    let goes_on = |mark: char, further: Option<char>| {
        matches!(mark, '.' | ',') && further.is_some_and(|further| further.is_ascii_digit())
    };
    let part_of_word = edges(left, first) || edges(last, right);
    let part_of_number = (first.is_ascii_digit() && goes_on(left, before.next()))
        || (last.is_ascii_digit() && goes_on(right, after.next()));
    !part_of_word && !part_of_number
}
