//! `text.match`: where a pattern matches in a text, and what its groups hold.

use std::collections::BTreeMap;

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::effort::Effort;
use super::pattern::{Places, group_names, pattern};
use crate::builtin::Builtin;

/// The most matches that one call gives.
const MOST: usize = 10_000;
/// The most bytes that their groups have together. Groups inside one another repeat the text.
const GROUPS: usize = 64 << 20;

/// Finds what a pattern matches.
pub(crate) struct Match;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The text to look in.
    text: String,
    /// A regular expression, as Rust's `regex` has them: `(?<year>\d{4})-(\d\d)`; `(?i)` in front folds case, `(?m)` lets
    /// `^` and `$` match at lines. No look-around, no back-references.
    pattern: String,
    /// How many matches are given at most; 10000 at the highest.
    #[serde(default = "some")]
    #[schemars(range(min = 1, max = 10_000))]
    limit: usize,
}

fn some() -> usize {
    100
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The matches, in the order of the text; they do not overlap.
    matches: Vec<Matched>,
    /// Whether there are more than `limit`.
    more: bool,
}

/// A match.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Matched {
    /// What was matched.
    text: String,
    /// How many characters stand before it.
    start: usize,
    /// How many characters stand before its end.
    end: usize,
    /// The line in which it begins, from 1.
    line: usize,
    /// What each group matched, by its name, else by its number from 1; null where it took no part.
    groups: BTreeMap<String, Option<String>>,
}

impl Builtin for Match {
    const NAME: &'static str = "text.match";
    const DESCRIPTION: &'static str = "Finds all matches of a regular expression in a text, with their places and what \
         each group matched. Use it to take numbers, dates or codes out of a text.";
    const EFFECT: Effect = Effect::Pure;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, _context: &ToolContext) -> Result<Output, ToolError> {
        if input.limit == 0 || input.limit > MOST {
            let message = format!("`limit` is {}; it goes from 1 to {MOST}", input.limit);
            return Err(ToolError::invalid("limit", message));
        }
        let pattern = pattern(&input.pattern)?;
        let names = group_names(&pattern);
        let mut places = Places::new(&input.text);
        let mut found = pattern.captures_iter(&input.text);
        let mut effort = Effort::new(&input.pattern, &input.text);
        let (mut matches, mut from, mut bytes) = (Vec::new(), 0, 0);
        for captures in found.by_ref().take(input.limit) {
            let Some(whole) = captures.get(0) else { continue };
            effort.searched(from)?;
            from = whole.end();
            bytes += captures.iter().skip(1).flatten().map(|group| group.len()).sum::<usize>();
            if bytes > GROUPS {
                let message = format!("the groups have more than {GROUPS} bytes (64 MiB) together; use fewer of them");
                return Err(ToolError::invalid("too_large", message));
            }
            let (start, line) = places.at(whole.start());
            let (end, _) = places.at(whole.end());
            let groups = names.iter().zip(captures.iter()).skip(1);
            let groups = groups.map(|(name, group)| (name.clone(), group.map(|group| group.as_str().to_owned())));
            matches.push(Matched { text: whole.as_str().to_owned(), start, end, line, groups: groups.collect() });
        }
        Ok(Output { matches, more: found.next().is_some() })
    }
}
