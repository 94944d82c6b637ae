//! Lock files: the operating system's lock on a file ends with its process, however that ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A lock on a file that is there for nothing else. The last one that holds it removes the file.
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
    path: PathBuf,
    alone: bool,
}

impl LockFile {
    /// The lock together with others who share it; `None` while somebody holds it alone.
    pub(super) fn shared(path: &Path) -> io::Result<Option<Self>> {
        LockFile::take(path, false)
    }

    /// The lock alone; `None` while anybody else has it.
    pub(super) fn alone(path: &Path) -> io::Result<Option<Self>> {
        LockFile::take(path, true)
    }

    fn take(path: &Path, alone: bool) -> io::Result<Option<Self>> {
        // Whoever leaves last removes the file: a lock on one that is gone by now protects nobody.
        loop {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = match OpenOptions::new().create(true).truncate(false).write(true).open(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            match if alone { file.try_lock() } else { file.try_lock_shared() } {
                Ok(()) if is_at(&file, path) => return Ok(Some(LockFile { file, path: path.to_owned(), alone })),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // While the lock is held alone nobody can have come to share it.
        let last = self.alone || (self.file.unlock().is_ok() && self.file.try_lock().is_ok());
        if last && is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the open file is still the one at `path`.
#[cfg(unix)]
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Whether the open file is still the one at `path`: elsewhere a file that is open cannot be removed.
#[cfg(not(unix))]
pub(super) fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_held_alone_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("a.lock");
        let (one, two) = (LockFile::shared(&path).unwrap().unwrap(), LockFile::shared(&path).unwrap().unwrap());
        assert!(LockFile::alone(&path).unwrap().is_none());
        drop(one);
        assert!(LockFile::alone(&path).unwrap().is_none());
        drop(two);
        assert!(!path.exists());
        let alone = LockFile::alone(&path).unwrap().unwrap();
        assert!(LockFile::shared(&path).unwrap().is_none() && LockFile::alone(&path).unwrap().is_none());
        drop(alone);
        assert!(!path.exists());
        assert!(LockFile::shared(&path).unwrap().is_some());
    }
}
