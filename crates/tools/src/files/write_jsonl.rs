//! `files.write_jsonl`: one file with a value in each line.

use parkway_core::id::Digest;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::replace::replace;
use super::roots::Roots;
use crate::builtin::Builtin;

/// Writes a JSON Lines file.
pub(crate) struct WriteJsonl {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `out/events.jsonl`. One that exists is replaced.
    path: String,
    /// The values, one for each line, of any kind.
    items: Vec<Value>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The file's path from the project root.
    path: String,
    /// How many values it has.
    items: u64,
    /// Its size in bytes.
    bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    sha256: String,
}

impl Builtin for WriteJsonl {
    const NAME: &'static str = "files.write_jsonl";
    const DESCRIPTION: &'static str = "Writes a list of values to a JSON Lines file, one in each line, replacing what \
         was there, in one step. Folders on the way are created.";
    const EFFECT: Effect = Effect::Idempotent;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let text: String = input.items.iter().map(|item| format!("{item}\n")).collect();
        let place = self.roots.writable(&input.path, context)?;
        replace(&place, text.as_bytes())?;
        Ok(Output {
            path: place.path,
            items: input.items.len() as u64,
            bytes: text.len() as u64,
            sha256: Digest::of(&[text.as_bytes()]).to_string(),
        })
    }
}
