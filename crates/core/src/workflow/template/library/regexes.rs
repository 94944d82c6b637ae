//! Filters with patterns. The engine takes time in proportion to pattern and text, so both are limited and paid for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{Environment, Error, ErrorKind, State, Value};
use regex::{Regex, RegexBuilder};

use super::super::MAX_BYTES;
use super::texts::text_of;

/// How large a compiled pattern may be, in bytes.
const PATTERN: usize = 256 << 10;
/// How many patterns are kept.
const KEPT: usize = 64;
/// What compiling a pattern costs.
const COMPILING: u64 = 2_000;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("regex_replace", replace);
    environment.add_filter("regex_match", matches);
    environment.add_test("matching", matches);
    environment.add_filter("regex_find", find);
}

/// A pattern, compiled. Maps and tests use one for each element of a list.
fn compiled(state: &State<'_, '_>, pattern: &str) -> Result<Arc<Regex>, Error> {
    static PATTERNS: Mutex<Option<HashMap<String, Arc<Regex>>>> = Mutex::new(None);
    let known = |kept: &Option<HashMap<String, Arc<Regex>>>| kept.as_ref().and_then(|all| all.get(pattern).cloned());
    if let Some(regex) = known(&PATTERNS.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(regex);
    }
    state.consume_fuel(COMPILING + pattern.len() as u64)?;
    let regex = RegexBuilder::new(pattern).size_limit(PATTERN).dfa_size_limit(PATTERN * 4).nest_limit(50).build();
    let regex = regex.map_err(|error| Error::new(ErrorKind::InvalidOperation, explained(pattern, &error)))?;
    let regex = Arc::new(regex);
    let mut kept = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    let all = kept.get_or_insert_default();
    if all.len() >= KEPT {
        all.clear();
    }
    all.insert(pattern.to_owned(), regex.clone());
    Ok(regex)
}

/// What is wrong with a pattern that stands in a workflow file.
pub(in super::super) fn wrong(pattern: &str) -> Option<String> {
    let regex = RegexBuilder::new(pattern).size_limit(PATTERN).nest_limit(50).build();
    regex.err().map(|error| explained(pattern, &error))
}

fn explained(pattern: &str, error: &regex::Error) -> String {
    let short: String = pattern.chars().take(40).collect();
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    format!("the pattern `{short}` is wrong: {reason}")
}

fn pay(state: &State<'_, '_>, regex: &Regex, text: &str) -> Result<(), Error> {
    let size = 1 + regex.as_str().len() as u64 / 64;
    state.consume_fuel((text.len() as u64).saturating_mul(size) / 4)
}

fn matches(state: &State<'_, '_>, value: &Value, pattern: &str) -> Result<bool, Error> {
    let text = text_of(value, "regex_match")?;
    let regex = compiled(state, pattern)?;
    pay(state, &regex, text)?;
    Ok(regex.is_match(text))
}

fn find(state: &State<'_, '_>, value: &Value, pattern: &str) -> Result<Option<String>, Error> {
    let text = text_of(value, "regex_find")?;
    let regex = compiled(state, pattern)?;
    pay(state, &regex, text)?;
    let found = regex.captures(text).and_then(|groups| groups.get(1).or_else(|| groups.get(0)));
    Ok(found.map(|found| found.as_str().to_owned()))
}

fn replace(state: &State<'_, '_>, value: &Value, pattern: &str, with: &str) -> Result<String, Error> {
    let text = text_of(value, "regex_replace")?;
    let regex = compiled(state, pattern)?;
    pay(state, &regex, text)?;
    let mut out = String::new();
    let mut last = 0;
    for groups in regex.captures_iter(text) {
        let Some(whole) = groups.get(0) else { continue };
        out.push_str(&text[last..whole.start()]);
        groups.expand(with, &mut out);
        last = whole.end();
        // A replacement that repeats its groups can grow without end.
        state.consume_fuel(1)?;
        if out.len() > MAX_BYTES {
            return Err(Error::new(ErrorKind::InvalidOperation, "the text that `regex_replace` makes is too large"));
        }
    }
    out.push_str(&text[last..]);
    Ok(out)
}
