//! `files.read_text`: the text of one file.

use parkway_core::label::Labels;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::read::Document;
use super::roots::Roots;
use crate::builtin::Builtin;

/// Reads a text file.
pub(crate) struct ReadText {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `data/letters/a.txt`.
    path: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// What stands in the file, without a byte order mark.
    text: String,
    /// Its path from the project root.
    path: String,
    /// Its size in bytes.
    bytes: u64,
}

impl Builtin for ReadText {
    const NAME: &'static str = "files.read_text";
    const DESCRIPTION: &'static str = "Reads a text file (UTF-8, at most 1 MiB) and returns its whole text.";
    const EFFECT: Effect = Effect::Read;
    const LABELS: Labels = Labels::UNTRUSTED;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let Document { text, path, bytes } = Document::read(&self.roots, &input.path, context)?;
        Ok(Output { text, path, bytes })
    }
}
