//! The folder of keys: a small file for each backup, named after it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parkway_core::store::StoreError;
use zeroize::Zeroizing;

use super::BackupId;
use super::key::Key;
use super::open::Sealed;
use super::plain::{create, overwrite, wipe};
use crate::sqlite::open::folder_of;
use crate::sqlite::upkeep::copy::{failed, refused, sync_folder};

/// A folder with the keys of sealed backups. It is to be kept where the backups are not.
///
/// A key is destroyed in two steps, so that whoever writes down that it was never says so too early: [`destroy`](Keys::destroy) leaves a file of
/// zeros under its name, and [`clear_away`](Keys::clear_away) removes that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    folder: PathBuf,
    /// Whether keys of other stores may be destroyed, too.
    any: bool,
}

/// What a key's file is called behind the id of the backup.
const ENDING: &str = ".key";

impl Keys {
    /// The keys in this folder. It is made, for its owner alone, when the first key is kept.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Keys { folder: folder.into(), any: false }
    }

    /// The same keys, of which those of other stores may be destroyed as well, and those that do not say of which store they are.
    #[must_use]
    pub fn of_any_store(self) -> Self {
        Keys { any: true, ..self }
    }

    /// The backups that have keys here, the oldest first; also those whose keys were destroyed and not cleared away.
    ///
    /// # Errors
    ///
    /// There is no such folder, or it cannot be read.
    pub fn list(&self) -> Result<Vec<BackupId>, StoreError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(|e| self.unreadable(&e))? {
            let name = entry.map_err(|e| self.unreadable(&e))?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(ENDING));
            found.extend(id.and_then(|id| id.parse::<BackupId>().ok()));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Which backup the file is, whose key is here. It is not taken at its word: its key must open it.
    ///
    /// # Errors
    ///
    /// The file is no sealed backup, its key is not here or was destroyed, or its header was changed.
    pub fn backup_in(&self, file: &Path) -> Result<BackupId, StoreError> {
        Ok(Sealed::open(file, self)?.id)
    }

    /// Whether the key of a backup may be destroyed on behalf of the store with this log: it is that store's, or it is to be
    /// [any](Keys::of_any_store) store's. What was destroyed is nobody's any more.
    ///
    /// # Errors
    ///
    /// It is another store's, or does not say whose it is; there is no such key, or it cannot be read.
    pub fn belongs(&self, backup: BackupId, log: &str) -> Result<(), StoreError> {
        let path = self.path(backup);
        let text = match self.read(backup) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(self.missing(backup)),
            Err(e) => return Err(failed("be read", &path, &e)),
        };
        let Some(text) = text.filter(|_| !self.any) else { return Ok(()) };
        let found = Key::log_in(&text);
        if found == Some(log) {
            return Ok(());
        }
        let whose = match found {
            Some(log) => format!("is of another store, whose log is parkway/{log}"),
            None => "does not say of which store it is".to_owned(),
        };
        Err(refused(format!(
            "the key `{}` {whose}: what is held there is not known here; shred it with that store (`--store`), or all the same (`--of-any-store`)",
            path.display()
        )))
    }

    /// Destroys the key of a backup: writes over it, to the disk. No copy of the backup can be read any more, wherever it is; only another
    /// copy of the key could change that.
    ///
    /// # Errors
    ///
    /// There is no such key here, or it cannot be written over.
    pub fn destroy(&self, backup: BackupId) -> Result<(), StoreError> {
        let path = self.path(backup);
        match overwrite(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(self.missing(backup)),
            Err(e) => Err(failed("be written over", &path, &e)),
            Ok(()) => Ok(()),
        }
    }

    /// Removes what is left of the key of a backup that was destroyed.
    ///
    /// # Errors
    ///
    /// It is a key still, or cannot be removed.
    pub fn clear_away(&self, backup: BackupId) -> Result<(), StoreError> {
        let path = self.path(backup);
        match self.read(backup) {
            Ok(Some(_)) => Err(refused(format!("`{}` is a key that was not destroyed", path.display()))),
            Ok(None) => wipe(&path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(failed("be read", &path, &e)),
        }
    }

    /// Keeps the key of a new backup, on disk when this returns.
    pub(super) fn keep(&self, backup: BackupId, key: &Key, log: Option<&str>) -> Result<(), StoreError> {
        self.make_folder()?;
        let (path, text) = (self.path(backup), key.to_text(backup, log)?);
        let mut file = create(&path)?;
        let kept = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| sync_folder(&path));
        kept.map_err(|e| {
            // A part of a key is none.
            let _ = wipe(&path);
            failed("be written", &path, &e)
        })
    }

    /// Takes back the key of a backup that did not come to be.
    pub(super) fn take_back(&self, backup: BackupId) -> Result<(), StoreError> {
        wipe(&self.path(backup))
    }

    /// The key of a backup.
    pub(super) fn key(&self, backup: BackupId) -> Result<Key, StoreError> {
        let path = self.path(backup);
        let text = match self.read(backup) {
            Ok(Some(text)) => text,
            Ok(None) => {
                let folder = self.folder.display();
                return Err(refused(format!(
                    "the backup {backup} cannot be read any more: its key in `{folder}` was destroyed (shredded)"
                )));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::read_dir(&self.folder).map_err(|e| self.unreadable(&e))?;
                return Err(self.missing(backup));
            }
            Err(e) => return Err(failed("be read", &path, &e)),
        };
        Key::from_text(&text).ok_or_else(|| refused(format!("`{}` is no key, or was changed", path.display())))
    }

    /// That no key may lie in the folder of what it opens.
    pub(super) fn apart_from(&self, backup: &Path) -> Result<(), StoreError> {
        let behind = |folder: &Path| fs::canonicalize(folder).ok();
        if behind(&self.folder).is_some_and(|keys| Some(keys) == behind(folder_of(backup))) {
            let folder = self.folder.display();
            return Err(refused(format!(
                "the keys in `{folder}` would lie beside the backup; keep them elsewhere: who copies the one copies the other"
            )));
        }
        Ok(())
    }

    fn path(&self, backup: BackupId) -> PathBuf {
        self.folder.join(format!("{backup}{ENDING}"))
    }

    /// What is in a key's file; none if it was written over.
    fn read(&self, backup: BackupId) -> io::Result<Option<Zeroizing<String>>> {
        let bytes = Zeroizing::new(fs::read(self.path(backup))?);
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        Ok(Some(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())))
    }

    fn make_folder(&self) -> Result<(), StoreError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(false);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&self.folder) {
            Err(_) if self.folder.is_dir() => Ok(()),
            Err(e) => Err(failed("be made", &self.folder, &e)),
            Ok(()) => sync_folder(&self.folder).map_err(|e| failed("be made", &self.folder, &e)),
        }
    }

    fn missing(&self, backup: BackupId) -> StoreError {
        let folder = self.folder.display();
        refused(format!(
            "there is no key of the backup {backup} in `{folder}`: it was shredded, or is kept in another folder (--keys)"
        ))
    }

    fn unreadable(&self, error: &io::Error) -> StoreError {
        failed("be read", &self.folder, error)
    }
}
