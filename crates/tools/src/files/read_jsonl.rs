//! `files.read_jsonl`: the values of a file that has one in each line.

use parkway_core::label::Labels;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{Flaw, parse};
use super::read::Document;
use super::roots::Roots;
use crate::builtin::Builtin;

/// The most values that one call returns.
const MOST: usize = 10_000;

/// Reads a JSON Lines file.
pub(crate) struct ReadJsonl {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `data/events.jsonl`.
    path: String,
    /// How many values are read at most; 10,000 without it, and never more. Lines beyond are not looked at.
    #[schemars(range(max = 10_000))]
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The values, in the order of their lines.
    items: Vec<Value>,
    /// The file's path from the project root.
    path: String,
    /// Whether there are more lines than were read.
    more: bool,
}

impl Builtin for ReadJsonl {
    const NAME: &'static str = "files.read_jsonl";
    const DESCRIPTION: &'static str = "Reads a JSON Lines file (UTF-8, at most 1 MiB), which has a JSON value in each \
         line, and returns the list of the values. Empty lines are skipped.";
    const EFFECT: Effect = Effect::Read;
    const LABELS: Labels = Labels::UNTRUSTED;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let limit = input.limit.unwrap_or(MOST);
        if limit > MOST {
            let message = format!("`limit` is {limit} and at most {MOST} values are read; give a smaller one");
            return Err(ToolError::invalid("invalid", message));
        }
        let document = Document::read(&self.roots, &input.path, context)?;
        let (mut items, mut more) = (Vec::new(), false);
        for (i, line) in document.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            if items.len() == limit {
                more = true;
                break;
            }
            items.push(parse(line).map_err(|Flaw { column, what, .. }| {
                let what = format!("this is no JSON at column {column}: {what}; write one value in each line");
                document.malformed(i + 1, &what)
            })?);
        }
        Ok(Output { items, path: document.path, more })
    }
}
