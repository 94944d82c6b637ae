//! A backup: a copy under a name of its own, which it gets when it is whole, on disk and checked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parkway_core::store::StoreError;

use super::copy::{copy, discard, failed, prove, refused, sync_folder};
use super::report::Checked;
use super::seal::BackupId;
use super::source::{Source, beside, size};
use crate::sqlite::lock::LockFile;
use crate::sqlite::open::check_place;

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// How large it is.
    pub bytes: u64,
    /// What the check of it has looked at.
    pub checked: Checked,
    /// The id of a sealed one, which its key is named after.
    pub sealed: Option<BackupId>,
}

/// Copies the store at `path` to the new file `to`, while others use it. The copy is the store as it is at one moment, in one
/// file; it is checked before it gets its name.
///
/// # Errors
///
/// `to` is there already; there is no room for it; the store is damaged, of a newer version, or no store.
pub async fn backup(path: &Path, to: &Path) -> Result<Backup, StoreError> {
    let place = Place::take(to)?;
    let mut source = Source::open(path, false).await?;
    let (copied, name) = (copy(&mut source, &place.partial).await, source.name.clone());
    source.close().await?;
    copied?;
    let checked = prove(&place.partial, &name).await?;
    place.publish()?;
    Ok(Backup { bytes: size(&place.to), checked, sealed: None })
}

/// A name that nobody has, and the file that is to get it.
pub(super) struct Place {
    pub(super) to: PathBuf,
    pub(super) partial: PathBuf,
    _lock: LockFile,
}

impl Place {
    /// Takes a name, and clears away what an interrupted backup has left there.
    pub(super) fn take(to: &Path) -> Result<Self, StoreError> {
        // A name that SQLite could take for an address begins with no folder.
        let to = std::path::absolute(to).map_err(|e| failed("be written", to, &e))?;
        check_place(&to)?;
        let partial = beside(&to, ".partial");
        let lock = beside(&to, ".partial.lock");
        let Some(lock) = LockFile::alone(&lock).map_err(|e| failed("be written", &lock, &e))? else {
            return Err(refused(format!("another process is making the backup `{}`; wait for it", to.display())));
        };
        discard(&partial)?;
        if to.symlink_metadata().is_ok() {
            return Err(taken(&to));
        }
        Ok(Place { to, partial, _lock: lock })
    }

    /// Gives the copy its name, which nobody has taken meanwhile.
    pub(super) fn publish(&self) -> Result<(), StoreError> {
        let (partial, to) = (&self.partial, &self.to);
        match fs::hard_link(partial, to) {
            Ok(()) => discard(partial)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                discard(partial)?;
                return Err(taken(to));
            }
            // A file system without second names.
            Err(_) => fs::rename(partial, to).map_err(|e| failed("be written", to, &e))?,
        }
        sync_folder(to).map_err(|e| failed("be written", to, &e))
    }
}

fn taken(to: &Path) -> StoreError {
    refused(format!("`{}` is there already, and is not written over; name another file, or remove it", to.display()))
}
