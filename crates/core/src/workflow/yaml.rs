//! From YAML text to a tree of values with their places. The only place that knows YAML.

mod saying;
#[cfg(test)]
mod suite;

use std::collections::HashMap;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use serde_saphyr::{Location, Spanned, Tagged};

use super::diagnostic::{Diagnostic, Place};
use super::tree::{At, Kind, Tree};
use saying::in_our_words;

/// The most bytes that a file may have.
const MAX_BYTES: usize = 4 << 20;
/// How deep its values may nest.
const MAX_DEPTH: usize = 64;
/// The deserializer takes up to 50 KB of stack for each level, more than the threads of tests and executors have.
const STACK: usize = 16 << 20;
/// How many values it may have, those that aliases repeat counted each time.
const MAX_NODES: usize = 200_000;

/// How many values aliases may repeat together.
const MAX_REPLAYED: usize = 20_000;

/// The tree of a file, with all that is wrong in it as YAML; `None` where nothing can be made of it.
pub(super) fn parse(source: &str) -> (Option<Tree>, Vec<Diagnostic>) {
    if let Some(problem) = unreadable(source) {
        return (None, vec![problem]);
    }
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || parse_here(source));
        thread.map(std::thread::ScopedJoinHandle::join)
    });
    match parsed {
        Ok(Ok(parsed)) => parsed,
        _ => (None, vec![Diagnostic::new("yaml", None, "the file could not be read for lack of memory")]),
    }
}

fn parse_here(source: &str) -> (Option<Tree>, Vec<Diagnostic>) {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        ignore_binary_tag_for_string: true,
        // These are looked for in the tree, where all of them can be told at once.
        merge_keys: serde_saphyr::MergeKeyPolicy::AsOrdinary,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH, max_nodes: MAX_NODES },
    };
    match serde_saphyr::from_str_with_options::<Raw>(source, options) {
        Ok(raw) => {
            let mut making = Making { source, problems: Vec::new() };
            let tree = making.tree(raw, false);
            (Some(tree), making.problems)
        }
        Err(error) => {
            let place = error.location().map(place_of);
            (None, vec![in_our_words(source, place, &error.to_string())])
        }
    }
}

/// What must not even be tried.
fn unreadable(source: &str) -> Option<Diagnostic> {
    if source.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, and a workflow has at most {MAX_BYTES}", source.len());
        return Some(Diagnostic::new("too-large", None, message).help("move data out of the workflow, into inputs"));
    }
    if source.trim_start_matches('\u{feff}').trim().is_empty() {
        let message = "the file is empty";
        return Some(Diagnostic::new("yaml", None, message).help("a workflow begins with `parkway: 1`"));
    }
    let (mut line, mut column) = (1, 1);
    for c in source.chars() {
        if c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}') {
            let message =
                format!("the character U+{:04X} cannot stand in a workflow: this may be no text file", c as u32);
            let help = match c {
                // Between the letters of UTF-16.
                '\0' => "remove it; if the file is in another encoding, save it as UTF-8",
                _ => "remove it, or write \"\\x…\" in quotes",
            };
            return Some(Diagnostic::new("not-text", Place { line, column }, message).help(help));
        }
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    None
}

/// What the deserializer gives: values with places and tags.
#[derive(Deserialize)]
#[serde(transparent)]
struct Raw(Spanned<Tagged<Content>>);

enum Content {
    Null,
    Bool(bool),
    Number(Number),
    NoNumber,
    Text(String),
    List(Vec<Raw>),
    Map(Vec<(Raw, Raw)>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Number::from_f64(value).map_or(Content::NoNumber, Content::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Content::Map(entries))
    }
}

/// Makes the tree, and collects what YAML allows and the format does not.
struct Making<'a> {
    source: &'a str,
    problems: Vec<Diagnostic>,
}

impl Making<'_> {
    fn tree(&mut self, raw: Raw, in_flow_map: bool) -> Tree {
        let Raw(Spanned { value: Tagged(content, tag), referenced, defined }) = raw;
        let place = place_of(referenced);
        let written = self.written(defined).to_owned();
        if let Some(tag) = tag {
            let (tag, place) = self.tag_before(defined).unwrap_or_else(|| (tag.to_string(), place));
            let message = format!("tags (`{}`) are no part of the format", shown(&tag));
            let help = "remove it; put quotes around what is to be a text";
            self.problems.push(Diagnostic::new("yaml-tag", place, message).help(help));
        }
        let kind = match content {
            Content::Null => {
                if in_flow_map && written.is_empty() {
                    let message = "a key without a value in braces";
                    let help = "write `{ key: value }`; a list stands in brackets: `[a, b]`";
                    self.problems.push(Diagnostic::new("implicit-null", place, message).help(help));
                }
                Kind::Null
            }
            Content::Bool(value) => Kind::Bool(value),
            Content::Number(number) => Kind::Number(whole(&written).unwrap_or(number)),
            Content::NoNumber => {
                let message = format!("`{written}` is no number that JSON has");
                self.problems.push(Diagnostic::new("bad-number", place, message).help("put quotes around a text"));
                Kind::Null
            }
            Content::Text(text) => {
                let end = range(defined).map_or(0, |range| range.end);
                self.check_marks(&text, &written, place, end);
                Kind::Text(text)
            }
            Content::List(list) => Kind::List(list.into_iter().map(|item| self.tree(item, false)).collect()),
            Content::Map(entries) => self.map(entries, written == "{"),
        };
        let is_scalar = !matches!(kind, Kind::List(_) | Kind::Map(_));
        Tree { place, kind, written: if is_scalar { written.into() } else { Box::default() } }
    }

    fn map(&mut self, entries: Vec<(Raw, Raw)>, flow: bool) -> Kind {
        let mut seen: HashMap<String, Place> = HashMap::new();
        let mut map = Vec::with_capacity(entries.len());
        let mut merged = Vec::new();
        for (key, value) in entries {
            let key = self.tree(key, false);
            let value = self.tree(value, flow);
            let Some(text) = key.as_text().map(str::to_owned) else {
                let message = format!("a key is a text, this one is {}", key.what());
                let help = "put quotes around it";
                self.problems.push(Diagnostic::new("bad-key", key.place, message).help(help));
                continue;
            };
            if text == "<<" {
                let message = "merge keys (`<<`) are no part of the format";
                self.problems.push(Diagnostic::new("merge-key", key.place, message).help("write the keys out"));
                // What was meant is read on, so that nothing is told as missing.
                merged.push(value);
                continue;
            }
            if text.contains("${{") {
                let message = "an expression cannot stand in a key: it would not be evaluated";
                let help = "expressions stand in values; keys that are not known before the run are made in one: \"${{ {name: value} }}\"";
                self.problems.push(Diagnostic::new("bad-key", key.place, message).help(help));
                continue;
            }
            if let Some(first) = seen.get(&text) {
                let message = format!("the key `{}` stands here twice", shown(&text));
                let help = format!("the other one is on line {}; rename or remove one of them", first.line);
                self.problems.push(Diagnostic::new("duplicate-key", key.place, message).help(help));
                continue;
            }
            seen.insert(text.clone(), key.place);
            map.push((At::new(text, key.place), value));
        }
        for tree in merged {
            if let Kind::Map(entries) = tree.kind {
                map.extend(entries.into_iter().filter(|(key, _)| !seen.contains_key(&key.value)));
            }
        }
        Kind::Map(map)
    }

    /// An expression that YAML has cut short.
    fn check_marks(&mut self, text: &str, written: &str, place: Place, end: usize) {
        let opened = text.replace("$${{", "");
        let Some(open) = opened.rfind("${{") else { return };
        if opened[open..].contains("}}") || written.starts_with(['"', '\'']) {
            return;
        }
        if self.rest_of_line(end).trim_start().starts_with('#') {
            let message = "a `${{` is not closed: in YAML, ` #` begins a comment";
            let help = "quote the whole value: \"${{ … }}\"";
            self.problems.push(Diagnostic::new("unclosed", place, message).help(help));
        }
    }

    fn written(&self, location: Location) -> &str {
        range(location).and_then(|range| self.source.get(range)).unwrap_or_default()
    }

    fn rest_of_line(&self, from: usize) -> &str {
        self.source.get(from..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }

    /// The tag that was written before a value, and where.
    fn tag_before(&self, value: Location) -> Option<(String, Place)> {
        let before = self.source.get(..range(value)?.start)?;
        let start = before.rfind('!')?;
        let start = before[..start].rfind(|c: char| c.is_whitespace()).map_or(0, |space| space + 1);
        // A block's tag stands on a line before it: no farther than that.
        let lines = before[start..].matches('\n').count();
        if lines > 2 {
            return None;
        }
        let tag = before[start..].split_whitespace().next()?.trim_start_matches(['[', '{', ',']).to_owned();
        let line = u32::try_from(value.line()).ok()?.checked_sub(u32::try_from(lines).ok()?)?;
        let column = before[..start].rsplit('\n').next()?.chars().count() + 1;
        Some((tag, Place { line, column: u32::try_from(column).ok()? }))
    }
}

/// The bytes of the source that a value stands in.
fn range(location: Location) -> Option<std::ops::Range<usize>> {
    let span = location.span();
    let from = span.byte_offset().and_then(|at| usize::try_from(at).ok())?;
    let length = span.byte_len().and_then(|length| usize::try_from(length).ok())?;
    Some(from..from.checked_add(length)?)
}

/// The integer that was written with leading zeros, which the parser takes for a fraction.
fn whole(written: &str) -> Option<Number> {
    let digits = written.strip_prefix(['+', '-']).unwrap_or(written);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let positive = digits.parse::<u64>().ok();
    if written.starts_with('-') { written.parse::<i64>().ok().map(Number::from) } else { positive.map(Number::from) }
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

fn place_of(location: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Place { line: number(location.line()), column: number(location.column()) }
}
