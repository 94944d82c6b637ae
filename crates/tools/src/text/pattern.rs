//! Regular expressions that authors and models write: a search is linear in time, a pattern bounded in size, with errors that show the place.

use parkway_core::tool::ToolError;
use regex::{Error, Regex, RegexBuilder};

/// The most memory that a pattern takes when it is compiled, in bytes.
const COMPILED: usize = 1 << 20;

/// The most groups that a pattern has. A search takes memory for each of them times each state of the pattern.
const GROUPS: usize = 100;

/// Reads a pattern.
pub(crate) fn pattern(written: &str) -> Result<Regex, ToolError> {
    let failed = |message| ToolError::invalid("pattern", message);
    let read = RegexBuilder::new(written).size_limit(COMPILED).dfa_size_limit(COMPILED).build();
    let read = read.map_err(|error| match error {
        Error::CompiledTooBig(_) => failed(format!(
            "pattern `{}` is too large when its repetitions are written out; repeat less, as `\\d+` instead of \
             `\\d{{1,10000}}`",
            short(written)
        )),
        // The last line says what is wrong, those before it show where.
        Error::Syntax(shown) => {
            let why = shown.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let place = shown.lines().find_map(|line| line.find('^').filter(|_| line.trim_start().starts_with('^')));
            // The pattern is shown with four spaces before it.
            let place = place.filter(|_| !written.contains('\n')).map(|at| format!(" at character {}", at - 3));
            failed(format!(
                "pattern `{}` cannot be read{}: {why}; there are no look-around and no back-references here, and a \
                 character with a meaning of its own takes a `\\` before it",
                short(written),
                place.unwrap_or_default()
            ))
        }
        other => failed(format!("pattern `{}` cannot be used: {other}; write it in another way", short(written))),
    })?;
    // The whole match counts as a group there.
    if read.captures_len() > GROUPS + 1 {
        let message = format!(
            "pattern `{}` has more than {GROUPS} groups; write `(?:…)` where a group need not be told",
            short(written)
        );
        return Err(failed(message));
    }
    Ok(read)
}

/// The names of the groups, the whole match first; the number of one that has none.
pub(super) fn group_names(pattern: &Regex) -> Vec<String> {
    let named = |(number, name): (usize, Option<&str>)| name.map_or_else(|| number.to_string(), str::to_owned);
    (0..).zip(pattern.capture_names()).map(named).collect()
}

/// The beginning of a pattern, for messages.
fn short(written: &str) -> String {
    const MOST: usize = 80;
    match written.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &written[..end]),
        None => written.into(),
    }
}

/// Counts characters and lines of a text from front to back.
pub(crate) struct Places<'t> {
    text: &'t str,
    byte: usize,
    characters: usize,
    line: usize,
}

impl<'t> Places<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Places { text, byte: 0, characters: 0, line: 1 }
    }

    /// How many characters stand before a byte, and in which line it is, from 1. Bytes are asked for in rising order.
    pub(crate) fn at(&mut self, byte: usize) -> (usize, usize) {
        let passed = self.text.get(self.byte..byte).unwrap_or_default();
        self.characters += passed.chars().count();
        self.line += passed.matches('\n').count();
        self.byte = self.byte.max(byte);
        (self.characters, self.line)
    }
}
