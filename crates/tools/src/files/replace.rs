//! Atomic writes: a reader, and a crash, sees the old file or the new one, never a part.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::{Dir, OpenOptions};
use parkway_core::tool::ToolError;

use super::roots::{Place, is_folder, sync_folder};

/// Puts a file with these bytes at the place, in one step, and returns when it is on disk. The mode of a file that it
/// replaces is kept; a symbolic link is replaced itself, not what it leads to.
pub(super) fn replace(place: &Place, bytes: &[u8]) -> Result<(), ToolError> {
    let folder = place.inside.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
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
    let written = create_beside(&place.dir, folder).and_then(|(temporary, mut file)| {
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
    written.and_then(|()| sync_folder(&place.dir, folder)).map_err(|e| place.error("write", &e))
}

/// A new file in the folder, under a hidden name that nobody else has.
fn create_beside(dir: &Dir, folder: &Path) -> io::Result<(PathBuf, cap_std::fs::File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let name = format!(".parkway-{}-{}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = folder.join(name);
        match dir.open_with(&path, OpenOptions::new().write(true).create_new(true)) {
            Ok(file) => return Ok((path, file)),
            // Left by a process that was killed and had the same number.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
}
