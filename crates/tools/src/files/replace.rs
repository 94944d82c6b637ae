//! Atomic writes: a reader, and a crash, sees the old file or the new one, never a part.

use std::fs::TryLockError;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::{Dir, File, OpenOptions};
use parkway_core::tool::ToolError;

use super::marker;
use super::roots::{Place, is_folder};

/// Puts a file with these bytes at the place, in one step, and returns when it is on disk. The mode of a file that it
/// replaces is kept; a symbolic link is replaced itself, not what it leads to.
pub(super) fn replace(place: &Place, bytes: &[u8]) -> Result<(), ToolError> {
    let folder = place.folder();
    let old = match place.dir.symlink_metadata(&place.inside) {
        Ok(old) if old.is_dir() => return Err(is_folder(&place.path)),
        Ok(old) if old.is_file() && old.permissions().readonly() => {
            let message = format!("`{}` is marked read-only; make it writable, or write to another file", place.path);
            return Err(ToolError::invalid("permission", message));
        }
        Ok(old) if old.is_file() => Some(old.permissions()),
        Ok(_) => None,
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(place.error("write", &e)),
    };
    let names = place.names()?;
    let mode = if old.is_some() { Mode::Private } else { Mode::Usual };
    let written = create_beside(&place.dir, folder, mode).and_then(|(temporary, mut file)| {
        let done = file
            .write_all(bytes)
            .and_then(|()| old.map_or(Ok(()), |mode| file.set_permissions(mode)))
            .and_then(|()| file.sync_all())
            .and_then(|()| place.dir.rename(&temporary, &place.dir, &place.inside));
        if done.is_err() {
            // The error that matters is the one in hand.
            let _ = place.dir.remove_file(&temporary);
        }
        done
    });
    written.map_err(|e| place.error("write", &e))?;
    names.sync().map_err(|e| place.error_afterwards("write", &e))
}

/// What the names of files that are being written begin and end with.
const PREFIX: &str = ".parkway-";
const SUFFIX: &str = ".tmp";

/// Removes what processes that were killed in the middle of a write left in the folder. A process that lives holds a
/// lock on its file. Whatever cannot be looked at stays: it is in nobody's way.
pub(super) fn sweep(dir: &Dir, folder: &Path) {
    let Ok(entries) = dir.read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        // Asked before it is opened: opening a pipe would wait for its other end.
        let Some(name) = name.to_str() else { continue };
        let forgotten = || marker::is_marker(name) && entry.metadata().is_ok_and(|found| marker::is_forgotten(&found));
        if !(is_temporary(name) || forgotten()) || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let path = folder.join(name);
        if let Ok(file) = dir.open(&path)
            && lock(&file).is_ok_and(|held| held)
        {
            // Gone already, or not ours to remove.
            let _ = dir.remove_file(&path);
        }
    }
}

fn is_temporary(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let middle = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    middle.and_then(|middle| middle.split_once('-')).is_some_and(|(process, count)| number(process) && number(count))
}

/// Takes the lock on a file, which lasts as long as the file is open; false if somebody else has it.
pub(super) fn lock(file: &File) -> io::Result<bool> {
    // A second handle on the same open file: it shares the lock.
    match file.try_clone()?.into_std().try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Who may read a file while it is written.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    /// Those who may read any new file.
    Usual,
    /// Nobody else: it gets the mode of another file when it is whole.
    Private,
}

impl Mode {
    #[cfg(unix)]
    fn options(self) -> OpenOptions {
        use cap_std::fs::OpenOptionsExt;
        let mut options = OpenOptions::new();
        if let Mode::Private = self {
            options.mode(0o600);
        }
        options
    }

    /// Not known here.
    #[cfg(not(unix))]
    fn options(self) -> OpenOptions {
        OpenOptions::new()
    }
}

/// A new file in the folder, under a hidden name that nobody else has, and locked.
pub(super) fn create_beside(dir: &Dir, folder: &Path, mode: Mode) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let name = format!("{PREFIX}{}-{}{SUFFIX}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = folder.join(name);
        match dir.open_with(&path, mode.options().write(true).create_new(true)) {
            Ok(file) => {
                // Where a file system knows no locks nobody gets one, and nothing is swept.
                let swept = lock(&file).is_ok_and(|held| !held) || dir.symlink_metadata(&path).is_err();
                if !swept {
                    return Ok((path, file));
                }
            }
            // Left by a process that was killed and had the same number.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
}
