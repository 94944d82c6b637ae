//! `text.replace`: a text with each match replaced.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::effort::Effort;
use super::pattern::{group_names, pattern};
use crate::builtin::Builtin;

/// The longest text that comes of it, in bytes.
const MOST: usize = 16 << 20;
/// How often `with` names groups at most. One that matched nothing takes time and leaves no trace in the text.
const GROUPS: usize = 100;

/// Replaces what matches.
pub(crate) struct Replace;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The text to change.
    text: String,
    /// What to replace, letter for letter. Give this or `pattern`.
    literal: Option<String>,
    /// A regular expression that matches what to replace, as in `text.match`. Give this or `literal`.
    pattern: Option<String>,
    /// What to put there. Beside `pattern`, `$1` or `${name}` is what a group matched, and `$$` a dollar; beside `literal`,
    /// it is put there as it stands.
    with: String,
    /// How many are replaced at most, from the front; all without it.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The text as it is afterwards.
    text: String,
    /// How many places were replaced.
    replaced: usize,
}

impl Builtin for Replace {
    const NAME: &'static str = "text.replace";
    const DESCRIPTION: &'static str = "Replaces a literal text, or what a regular expression matches, throughout a text, \
         and tells how often. Use it to clean up or rewrite text by rule.";
    const EFFECT: Effect = Effect::Pure;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, _context: &ToolContext) -> Result<Output, ToolError> {
        let limit = input.limit.unwrap_or(usize::MAX);
        match (&input.literal, &input.pattern) {
            (Some(literal), None) if literal.is_empty() => Err(ToolError::invalid(
                "pattern",
                "`literal` is empty, which stands everywhere; to put a text between all characters, use `pattern: \"\"`",
            )),
            (Some(literal), None) => by_literal(&input.text, literal, &input.with, limit),
            (None, Some(written)) => by_pattern(&input.text, written, &input.with, limit),
            (Some(_), Some(_)) => {
                Err(ToolError::invalid("invalid", "`literal` and `pattern` are both given; give one"))
            }
            (None, None) => {
                let message = "nothing says what to replace; give `literal`, or `pattern` for a regular expression";
                Err(ToolError::invalid("invalid", message))
            }
        }
    }
}

fn by_literal(text: &str, literal: &str, with: &str, limit: usize) -> Result<Output, ToolError> {
    let (mut made, mut from) = (Made::default(), 0);
    for (at, found) in text.match_indices(literal).take(limit) {
        made.put(&text[from..at])?;
        made.put(with)?;
        (from, made.replaced) = (at + found.len(), made.replaced + 1);
    }
    made.end(&text[from..])
}

fn by_pattern(text: &str, written: &str, with: &str, limit: usize) -> Result<Output, ToolError> {
    let pattern = pattern(written)?;
    let parts = parts(with, &pattern)?;
    let (mut made, mut from, mut effort) = (Made::default(), 0, Effort::new(written, text));
    for captures in pattern.captures_iter(text).take(limit) {
        let Some(whole) = captures.get(0) else { continue };
        effort.searched(from)?;
        made.put(&text[from..whole.start()])?;
        for part in &parts {
            made.put(match part {
                Part::Text(text) => text,
                Part::Group(number) => captures.get(*number).map_or("", |group| group.as_str()),
            })?;
        }
        (from, made.replaced) = (whole.end(), made.replaced + 1);
    }
    made.end(&text[from..])
}

/// What was made so far.
#[derive(Default)]
struct Made {
    text: String,
    replaced: usize,
}

impl Made {
    fn put(&mut self, part: &str) -> Result<(), ToolError> {
        if self.text.len() + part.len() > MOST {
            let message = format!("the text would grow to more than {MOST} bytes (16 MiB); replace in a part of it");
            return Err(ToolError::invalid("too_large", message));
        }
        self.text.push_str(part);
        Ok(())
    }

    fn end(mut self, rest: &str) -> Result<Output, ToolError> {
        self.put(rest)?;
        Ok(Output { text: self.text, replaced: self.replaced })
    }
}

/// A part of `with`.
enum Part<'w> {
    Text(&'w str),
    Group(usize),
}

/// What `with` is made of. A group that the pattern does not have would be replaced by nothing, unseen.
fn parts<'w>(with: &'w str, pattern: &Regex) -> Result<Vec<Part<'w>>, ToolError> {
    let names = group_names(pattern);
    let (mut parts, mut groups, mut rest) = (Vec::new(), 0, with);
    while let Some(at) = rest.find('$') {
        let (before, dollar) = rest.split_at(at);
        let after = &dollar[1..];
        parts.push(Part::Text(before));
        let braced = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let (name, behind) = braced.unwrap_or_else(|| {
            after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len()))
        });
        if name.is_empty() && braced.is_none() {
            parts.push(Part::Text("$"));
            rest = after.strip_prefix('$').unwrap_or(after);
            continue;
        }
        let number = name.parse().ok().filter(|number| *number < names.len());
        let Some(number) = number.or_else(|| names.iter().position(|known| known == name)) else {
            let message = format!(
                "`with` names the group `{name}`, which the pattern does not have; it has {}. A letter after a group needs \
                 braces, as in `${{1}}st`, and a dollar is `$$`",
                names.join(", ")
            );
            return Err(ToolError::invalid("group", message));
        };
        (groups, rest) = (groups + 1, behind);
        if groups > GROUPS {
            let message = format!("`with` names groups more than {GROUPS} times; replace in several steps");
            return Err(ToolError::invalid("group", message));
        }
        parts.push(Part::Group(number));
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}
