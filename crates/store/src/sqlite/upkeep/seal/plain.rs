//! The plain copy that a sealed backup is made of, or opened into. It lies where the store lies, which is as plain, and only as long as it is
//! needed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use parkway_core::store::StoreError;

use crate::sqlite::lock::LockFile;
use crate::sqlite::owner;
use crate::sqlite::upkeep::copy::{discard, failed, refused, sync_folder};
use crate::sqlite::upkeep::source::beside;

/// A plain copy beside a store, which nobody else makes meanwhile. It goes with this.
pub(super) struct Plain {
    pub(super) path: PathBuf,
    _lock: LockFile,
}

impl Plain {
    /// The place for it, which is free: what an interrupted one has left goes.
    pub(super) fn begin(store: &Path) -> Result<Self, StoreError> {
        let path = beside(&owner::place(store), ".sealing");
        let lock = beside(&path, ".lock");
        let Some(lock) = LockFile::alone(&lock).map_err(|e| failed("be written", &lock, &e))? else {
            let store = store.display();
            return Err(refused(format!(
                "another process makes or checks a sealed backup beside `{store}`; wait for it"
            )));
        };
        let plain = Plain { path, _lock: lock };
        wipe(&plain.path)?;
        Ok(plain)
    }

    /// Takes it away.
    pub(super) fn end(self) -> Result<(), StoreError> {
        wipe(&self.path)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // Whoever wants to know whether it is gone calls `end`; the next one clears it away.
        let _ = wipe(&self.path);
    }
}

/// Makes a file that only its owner may read.
pub(super) fn create(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|e| failed("be written", path, &e))
}

/// Writes over what is in a file, if it is there, and removes it and what SQLite has beside it.
pub(in crate::sqlite::upkeep) fn wipe(path: &Path) -> Result<(), StoreError> {
    match overwrite(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("be written over", path, &e)),
        _ => {}
    }
    discard(path)?;
    sync_folder(path).map_err(|e| failed("be removed", path, &e))
}

/// Writes zeros over all of a file, to the disk.
pub(super) fn overwrite(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is a link, or no file"));
    }
    let mut file = OpenOptions::new().write(true).open(path)?;
    let mut left = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let zeros = vec![0; 1 << 16];
    while left > 0 {
        let part = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    file.sync_all()
}
