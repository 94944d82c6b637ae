//! `files.write_text`: one file with a text.

use parkway_core::id::Digest;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::replace::replace;
use super::roots::Roots;
use crate::builtin::Builtin;

/// Writes a text file.
pub(crate) struct WriteText {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `out/report.md`. One that exists is replaced.
    path: String,
    /// What the file is to hold, written as UTF-8.
    text: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The file's path from the project root.
    path: String,
    /// Its size in bytes.
    bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    sha256: String,
}

impl Builtin for WriteText {
    const NAME: &'static str = "files.write_text";
    const DESCRIPTION: &'static str =
        "Writes a text to a file, replacing what was there, in one step. Folders on the way are created.";
    const EFFECT: Effect = Effect::Idempotent;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let place = self.roots.writable(&input.path, context)?;
        let bytes = input.text.as_bytes();
        replace(&place, bytes)?;
        Ok(Output { path: place.path, bytes: bytes.len() as u64, sha256: Digest::of(&[bytes]).to_string() })
    }
}
