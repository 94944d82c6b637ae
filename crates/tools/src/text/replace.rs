//! `text.replace`: a text with each match replaced.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use regex::{Captures, Regex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pattern::pattern;
use crate::builtin::Builtin;

/// The longest text that comes of it, in bytes.
const MOST: usize = 16 << 20;

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
            (Some(literal), None) => {
                let pattern = pattern(&regex::escape(literal))?;
                replace(&input.text, &pattern, limit, |_, text| text.push_str(&input.with))
            }
            (None, Some(written)) => {
                let pattern = pattern(written)?;
                known_groups(&input.with, &pattern)?;
                replace(&input.text, &pattern, limit, |captures, text| captures.expand(&input.with, text))
            }
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

fn replace(
    text: &str,
    pattern: &Regex,
    limit: usize,
    put: impl Fn(&Captures, &mut String),
) -> Result<Output, ToolError> {
    let (mut made, mut from, mut replaced) = (String::new(), 0, 0);
    for captures in pattern.captures_iter(text).take(limit) {
        let Some(whole) = captures.get(0) else { continue };
        made.push_str(&text[from..whole.start()]);
        put(&captures, &mut made);
        (from, replaced) = (whole.end(), replaced + 1);
        if made.len() > MOST {
            break;
        }
    }
    made.push_str(&text[from..]);
    if made.len() > MOST {
        let message = format!("the text would grow to more than {MOST} bytes (16 MiB); replace in a part of it");
        return Err(ToolError::invalid("too_large", message));
    }
    Ok(Output { text: made, replaced })
}

/// A group that the pattern does not have would be replaced by nothing, unseen.
fn known_groups(with: &str, pattern: &Regex) -> Result<(), ToolError> {
    let names: Vec<String> = (0_usize..)
        .zip(pattern.capture_names())
        .map(|(number, name)| name.map_or_else(|| number.to_string(), str::to_owned))
        .collect();
    let mut rest = with;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let braced = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')).map(|(name, _)| name);
        let bare = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        let name = braced.unwrap_or(bare);
        let number = name.parse::<usize>().is_ok_and(|number| number < names.len());
        if !name.is_empty() && !number && !names.iter().any(|known| known == name) {
            let message = format!(
                "`with` names the group `{name}`, which the pattern does not have; it has {}. A letter after a group needs \
                 braces, as in `${{1}}st`, and a dollar is `$$`",
                names.join(", ")
            );
            return Err(ToolError::invalid("group", message));
        }
    }
    Ok(())
}
