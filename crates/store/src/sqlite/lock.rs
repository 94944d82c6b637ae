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
            let file = open(path)?;
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

/// The file at `path`, which is made where there is none, with its folder. Whoever leaves last removes that, too: between any two looks.
pub(super) fn open(path: &Path) -> io::Result<File> {
    loop {
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        let opened = made.and_then(|()| OpenOptions::new().create(true).truncate(false).write(true).open(path));
        match opened {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            // The folder was there when it was to be made, and not when it was looked at, unless something else has its name.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && !path.parent().is_some_and(is_no_folder) => {}
            opened => return opened,
        }
    }
}

/// Whether something is there that is no folder, and is not behind a link.
fn is_no_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok() && fs::metadata(path).map_or(true, |found| !found.is_dir())
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
    fn a_folder_that_somebody_removes_meanwhile_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.owners").join("a.lock");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        // Whoever leaves looks for a moment whether it is the last.
                        drop(LockFile::shared(&path).unwrap());
                        let _ = fs::remove_dir(path.parent().unwrap());
                    }
                });
            }
        });
        // What is no folder is none by waiting.
        fs::write(path.parent().unwrap(), "").unwrap();
        assert_eq!(LockFile::shared(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

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
