//! Who is alive. A worker that holds runs holds the operating system's lock on `<database>.owners/<worker>.lock`; the lock
//! ends with its process, however that ends. A worker whose file is gone or can be locked by another is dead.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use parkway_core::id::WorkerId;
use parkway_core::store::StoreError;

use super::lock::{self, LockFile, is_at};
use super::open::folder_of;

/// The file at `path` behind links: processes that name it differently must find the same locks.
pub(super) fn place(path: &Path) -> PathBuf {
    let behind = |path: &Path| fs::canonicalize(path).ok();
    let new = || Some(behind(folder_of(path))?.join(path.file_name()?));
    behind(path).or_else(new).unwrap_or_else(|| path.to_owned())
}

/// The lock that every store on the database holds together with the others, as long as it is open.
pub(super) fn presence(database: &Path) -> PathBuf {
    folder(database).join(OPEN)
}

const OPEN: &str = ".open";

fn folder(database: &Path) -> PathBuf {
    let mut folder = database.as_os_str().to_owned();
    folder.push(".owners");
    folder.into()
}

/// The owners of one database, and which of them this store is.
#[derive(Debug)]
pub(super) struct Owners {
    folder: Option<PathBuf>,
    held: Mutex<HashMap<String, File>>,
    presence: Mutex<Option<LockFile>>,
}

impl Owners {
    /// The owners of the database at `path`.
    pub(super) fn beside(path: &Path) -> Self {
        Owners { folder: Some(folder(&place(path))), held: Mutex::default(), presence: Mutex::default() }
    }

    /// The owners of a database that no other process can see: all of them are alive.
    pub(super) fn here_only() -> Self {
        Owners { folder: None, held: Mutex::default(), presence: Mutex::default() }
    }

    /// Lets everybody know that the database is open, until this store's workers end. Whether it may be: somebody may be about
    /// to put another one in its place.
    pub(super) fn enter(&self) -> io::Result<bool> {
        let Some(folder) = &self.folder else { return Ok(true) };
        match LockFile::shared(&folder.join(OPEN)) {
            Ok(lock) => {
                let entered = lock.is_some();
                *self.presence.lock().unwrap_or_else(PoisonError::into_inner) = lock;
                Ok(entered)
            }
            // Without locks nobody can be kept away, and nobody who asks is told that he is alone.
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(true),
            Err(e) => Err(e),
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `worker` one of this store's, before any run carries its name.
    pub(super) fn hold(&self, worker: &WorkerId) -> Result<(), StoreError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut held = self.held();
        if held.contains_key(worker.as_str()) {
            return Ok(());
        }
        let path = lock_path(folder, worker.as_str());
        let failed = |e: io::Error| StoreError::Backend {
            message: format!("the lock file {} cannot be made: {e}", path.display()),
            retryable: false,
        };
        // Whoever finds a dead owner removes its file, and the last one to leave the folder: a lock on a file that is gone
        // by now protects nobody.
        loop {
            let file = lock::open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => {
                    held.insert(worker.as_str().to_owned(), file);
                    return Ok(());
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let message = format!("another process works as `{worker}`; each needs a name of its own");
                    return Err(StoreError::Backend { message, retryable: false });
                }
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
        }
    }

    /// Whether `owner` can still act on its runs. Removes what a dead one has left.
    pub(super) fn alive(&self, owner: &str) -> bool {
        let Some(folder) = &self.folder else { return true };
        if self.held().contains_key(owner) {
            return true;
        }
        let path = lock_path(folder, owner);
        let file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(e) => return e.kind() != io::ErrorKind::NotFound,
        };
        // Where locks cannot be tested, leases run out by time alone.
        if file.try_lock().is_err() {
            return true;
        }
        // While the lock is held here nobody can have become this owner, so it is the dead one's file that goes.
        if is_at(&file, &path) {
            let _ = fs::remove_file(&path);
        }
        false
    }

    /// Ends this store's workers: their runs are free.
    pub(super) fn give_up(&self) {
        let Some(folder) = &self.folder else { return };
        for (worker, file) in self.held().drain() {
            let _ = fs::remove_file(lock_path(folder, &worker));
            drop(file);
        }
        drop(self.presence.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Only an empty folder goes; others may be using it.
        let _ = fs::remove_dir(folder);
    }
}

impl Drop for Owners {
    fn drop(&mut self) {
        self.give_up();
    }
}

fn lock_path(folder: &Path, worker: &str) -> PathBuf {
    folder.join(format!("{worker}.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_owner_is_taken_for_dead_by_another_store() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (Owners::beside(&folder.path().join("db")), Owners::beside(&folder.path().join("db")));
        let worker = WorkerId::new("w");
        assert!(!a.alive("w") && !b.alive("w"));
        a.hold(&worker).unwrap();
        a.hold(&worker).unwrap();
        assert!(a.alive("w") && b.alive("w"));
        assert!(b.hold(&worker).is_err());
        a.give_up();
        assert!(!b.alive("w"));
        b.hold(&worker).unwrap();
        assert!(a.alive("w"));
    }

    #[test]
    fn what_a_dead_owner_left_stays_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let owners = Owners::beside(&folder.path().join("db"));
        fs::create_dir(folder.path().join("db.owners")).unwrap();
        let path = folder.path().join("db.owners").join("dead.lock");
        fs::write(&path, "").unwrap();
        assert!(!owners.alive("dead"));
        assert!(!path.exists());
    }
}
