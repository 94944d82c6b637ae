//! `files.read_json`: the value of one JSON file.

use parkway_core::label::Labels;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{Flaw, parse};
use super::read::Document;
use super::roots::Roots;
use crate::builtin::Builtin;

/// Reads a JSON file.
pub(crate) struct ReadJson {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `data/orders.json`.
    path: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The value that the file holds: of any kind.
    value: Value,
    /// The file's path from the project root.
    path: String,
    /// Its size in bytes.
    bytes: u64,
}

impl Builtin for ReadJson {
    const NAME: &'static str = "files.read_json";
    const DESCRIPTION: &'static str = "Reads a JSON file (UTF-8, at most 1 MiB) and returns the value that it holds.";
    const EFFECT: Effect = Effect::Read;
    const LABELS: Labels = Labels::UNTRUSTED;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let document = Document::read(&self.roots, &input.path, context)?;
        let value = parse(&document.text).map_err(|Flaw { line, column, what }| {
            document.malformed(line, &format!("this is no JSON at column {column}: {what}; correct it there"))
        })?;
        Ok(Output { value, path: document.path, bytes: document.bytes })
    }
}
