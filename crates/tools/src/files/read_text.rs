//! `files.read_text`: the text of one file.

use std::io::Read;

use parkway_core::label::Labels;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::roots::{Access, Roots, is_folder};
use crate::builtin::Builtin;

/// The largest file that is read, in bytes: far more than a model's context holds.
const MOST: u64 = 1 << 20;

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
        let place = self.roots.locate(&input.path, Access::Read, context)?;
        let path = place.path.clone();
        let failed = |e: std::io::Error| place.error("read", &e);
        // Looked at before it is opened: opening a pipe would wait for its other end.
        let found = place.dir.metadata(&place.inside).map_err(failed)?;
        if found.is_dir() {
            return Err(is_folder(&path));
        }
        if !found.is_file() {
            return Err(ToolError::invalid(
                "not_a_file",
                format!("`{path}` is a device, pipe or socket; only files are read"),
            ));
        }
        let mut bytes = Vec::new();
        // The file may grow meanwhile, so its size is a limit of the reading, too.
        place.dir.open(&place.inside).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes)).map_err(failed)?;
        let size = found.len().max(bytes.len() as u64);
        if size > MOST {
            return Err(ToolError::invalid(
                "too_large",
                format!("`{path}` has {size} bytes and at most {MOST} (1 MiB) are read; split it into smaller files"),
            ));
        }
        let text = String::from_utf8(bytes).map_err(|e| not_utf8(&path, e.as_bytes(), e.utf8_error().valid_up_to()))?;
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Ok(Output { text, path, bytes: size })
    }
}

fn not_utf8(path: &str, bytes: &[u8], offset: usize) -> ToolError {
    let looks = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => " (it looks like UTF-16)",
        bytes if bytes.contains(&0) => " (it looks like a binary file)",
        _ => "",
    };
    let byte = bytes.get(offset).copied().unwrap_or_default();
    ToolError::invalid(
        "encoding",
        format!(
            "`{path}` is not UTF-8{looks}: byte {offset} is {byte:#04x}; convert it, for example with `iconv -t UTF-8`"
        ),
    )
}
