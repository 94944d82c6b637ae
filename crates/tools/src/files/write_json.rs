//! `files.write_json`: one file with a value.

use parkway_core::id::Digest;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::replace::replace;
use super::roots::Roots;
use crate::builtin::Builtin;

/// Writes a JSON file.
pub(crate) struct WriteJson {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `out/orders.json`. One that exists is replaced.
    path: String,
    /// What the file is to hold: a value of any kind.
    value: Value,
    /// Whether it is written over several lines with two spaces for each level, and not in one line.
    #[serde(default = "pretty")]
    pretty: bool,
}

fn pretty() -> bool {
    true
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

impl Builtin for WriteJson {
    const NAME: &'static str = "files.write_json";
    const DESCRIPTION: &'static str = "Writes a value to a JSON file, replacing what was there, in one step. Folders on \
         the way are created.";
    const EFFECT: Effect = Effect::Idempotent;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let written =
            if input.pretty { serde_json::to_vec_pretty(&input.value) } else { serde_json::to_vec(&input.value) };
        let mut bytes = written
            .map_err(|e| ToolError::invalid("invalid", format!("`value` cannot be written as JSON: {e}; change it")))?;
        bytes.push(b'\n');
        let place = self.roots.writable(&input.path, context)?;
        replace(&place, &bytes)?;
        Ok(Output { path: place.path, bytes: bytes.len() as u64, sha256: Digest::of(&[&bytes]).to_string() })
    }
}
