//! The folder of a pull in progress, under a lock that dies with the process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A folder beside the model files that one pull works in. Dropping it removes it; one that a kill left behind is
/// removed by the next pull of the same file.
#[derive(Debug)]
pub(super) struct Part {
    folder: PathBuf,
    _lock: File,
}

impl Part {
    /// Waits until no other process pulls `file` into `models`, and makes an empty folder.
    pub(super) fn begin(models: &Path, file: &str, waiting: &mut dyn FnMut()) -> io::Result<Self> {
        fs::create_dir_all(models)?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(models.join(format!(".{file}.lock")))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                lock.lock()?;
            }
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        let prefix = format!(".{file}.part-");
        for entry in fs::read_dir(models)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        // The number keeps a package installer that outlived its killed parent from writing into the next pull.
        let folder = models.join(format!("{prefix}{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next pull.
        let _left = fs::remove_dir_all(&self.folder);
    }
}
