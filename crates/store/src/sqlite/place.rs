//! The files of an open database, looked at from outside: whether they are still where they were, and how long the write-ahead
//! log is. SQLite goes on writing to a file that has lost its name, and what it writes there is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use parkway_core::store::StoreError;

use super::open::named;

/// A file as the system knows it, whatever its name.
type Identity = (u64, u64);

/// The files of an open database.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    log: PathBuf,
    known: Mutex<Known>,
}

/// The files that are written to, as far as they were seen.
#[derive(Debug, Default)]
struct Known {
    file: Option<Identity>,
    log: Option<Identity>,
}

impl Place {
    /// The files of the database at `path`, which is open from now on.
    pub(super) fn new(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let known = Known { file: look(path).map(|(identity, _)| identity), log: None };
        Place { path: path.to_owned(), log: log.into(), known: Mutex::new(known) }
    }

    /// A connection was made: where it is the only one, it has begun a new log.
    pub(super) fn connected(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).log = None;
    }

    /// That the files which were written to are those that the next process finds. Gives the length of the log in bytes.
    pub(super) fn still_there(&self) -> Result<u64, StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is = |found: &Option<(Identity, u64)>, known: &mut Option<Identity>| {
            found.as_ref().is_some_and(|(identity, _)| known.get_or_insert(*identity) == identity)
        };
        // The log is there as long as the database is open anywhere.
        let (file, log) = (look(&self.path), look(&self.log));
        if is(&file, &mut known.file) && is(&log, &mut known.log) {
            return Ok(log.map_or(0, |(_, length)| length));
        }
        let message = format!(
            "`{}` was moved, removed or replaced while it was open, and what is written now would be lost; stop this process, \
             and put the file back with its write-ahead log (or a backup: parkway store restore FILE)",
            self.path.display()
        );
        Err(StoreError::Backend { message, retryable: false })
    }

    /// The length of the write-ahead log in bytes.
    pub(super) fn log_bytes(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |found| found.len())
    }

    /// The error with the file's name in it.
    pub(super) fn named(&self, error: StoreError) -> StoreError {
        named(error, &format!("`{}`", self.path.display()))
    }
}

#[cfg(unix)]
fn look(path: &Path) -> Option<(Identity, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|found| ((found.dev(), found.ino()), found.len()))
}

/// Elsewhere a file that is open cannot be removed.
#[cfg(not(unix))]
fn look(path: &Path) -> Option<(Identity, u64)> {
    fs::metadata(path).ok().map(|found| ((0, 0), found.len()))
}
