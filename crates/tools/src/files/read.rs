//! Whole files as text: what every tool that reads a document begins with.

use std::io::Read;

use cap_std::fs::File;
use parkway_core::tool::{ToolContext, ToolError};

use super::roots::{Access, Place, Roots, is_folder};

/// The largest file that is read, in bytes: far more than a model's context holds.
pub(super) const MOST: u64 = 1 << 20;

/// A file's text.
pub(super) struct Document {
    /// What stands in the file, without a byte order mark.
    pub(super) text: String,
    /// Its path from the project root.
    pub(super) path: String,
    /// Its size in bytes.
    pub(super) bytes: u64,
}

impl Document {
    pub(super) fn read(roots: &Roots, path: &str, context: &ToolContext) -> Result<Self, ToolError> {
        let place = roots.locate(path, Access::Read, context)?;
        let text = text_of(&place, open(&place)?)?;
        let bytes = text.len() as u64;
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Ok(Document { text, path: place.path, bytes })
    }

    /// The error for a file that is not of the form that it is read as.
    pub(super) fn malformed(&self, line: usize, what: &str) -> ToolError {
        ToolError::invalid("malformed", format!("`{}`, line {line}: {what}", self.path))
    }
}

/// Opens the file at the place, and nothing that is no file.
pub(super) fn open(place: &Place) -> Result<File, ToolError> {
    let path = &place.path;
    let failed = |e: std::io::Error| place.error("read", &e);
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let found = place.dir.metadata(&place.inside).map_err(failed)?;
    if found.is_dir() {
        return Err(is_folder(path));
    }
    if !found.is_file() {
        return Err(ToolError::invalid(
            "not_a_file",
            format!("`{path}` is a device, pipe or socket; only files are read"),
        ));
    }
    place.dir.open(&place.inside).map_err(failed)
}

/// What stands in an open file, with its byte order mark.
pub(super) fn text_of(place: &Place, file: impl Read) -> Result<String, ToolError> {
    let path = &place.path;
    let mut bytes = Vec::new();
    // The file may grow meanwhile, so its size is a limit of the reading, too.
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(|e| place.error("read", &e))?;
    if bytes.len() as u64 > MOST {
        let size = place.dir.metadata(&place.inside).map_or(0, |found| found.len()).max(MOST + 1);
        return Err(ToolError::invalid(
            "too_large",
            format!("`{path}` has {size} bytes and at most {MOST} (1 MiB) are read; split it into smaller files"),
        ));
    }
    String::from_utf8(bytes).map_err(|e| not_utf8(path, e.as_bytes(), e.utf8_error().valid_up_to()))
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
