//! A file that heads are only ever appended to, by several processes, each of which may be killed while it writes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::key::sync;

/// How many bytes at the end are looked at for a head that is there already: some hundred heads, of several logs maybe.
const TAIL: u64 = 64 * 1024;
/// How long to wait before a lock is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Writes a head behind the others, unless it is one of the last. Gives whether it was written.
pub(super) async fn keep(file: &Path, note: &str, until: Instant) -> Result<bool, String> {
    let failed = |why: String| format!("the head cannot be written there: {why}");
    let (path, note) = (file.to_owned(), note.to_owned());
    let opened = open(&path).map_err(|e| failed(hint(&path, &e)))?;
    let lock = lock(opened, until).await.map_err(failed)?;
    let written = tokio::task::spawn_blocking(move || write(lock, &path, &note)).await;
    written.map_err(|e| e.to_string()).and_then(|done| done.map_err(|e| e.to_string())).map_err(failed)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

fn hint(path: &Path, error: &io::Error) -> String {
    if path.is_dir() {
        return "it is a folder; with a slash at its end, each log has a file of its own in it".into();
    }
    let folder = path.parent().filter(|folder| error.kind() == ErrorKind::NotFound && !folder.exists());
    folder.map_or_else(|| error.to_string(), |folder| format!("there is no folder {}", folder.display()))
}

/// Waits until nobody else holds the file. It is held until it is closed.
pub(super) async fn lock(file: File, until: Instant) -> Result<File, String> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
            Err(TryLockError::WouldBlock) => return Err("another process holds it, and did not end in time".into()),
            // A file system without locks: each head is one write at the end all the same.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(format!("it cannot be locked: {e}")),
        }
    }
}

fn write(mut file: File, path: &Path, note: &str) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    file.read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    let begins_line = |at: usize| at == 0 || tail.as_bytes().get(at - 1) == Some(&b'\n');
    let known = tail.match_indices(note).any(|(at, _)| begins_line(at));
    if !known {
        file.write_all(format!("{}{note}", gap(&tail)).as_bytes())?;
    }
    // Also one that somebody wrote who was killed before it was on disk.
    file.sync_all()?;
    if length == 0 {
        sync(path.parent())?;
    }
    Ok(!known)
}

/// What stands between the end of a file and the next head: an empty line, where the last head was not written to its end, so that a reader
/// takes them for two.
fn gap(tail: &str) -> &'static str {
    let last = tail.lines().next_back().unwrap_or_default();
    match tail.ends_with('\n') {
        _ if tail.is_empty() => "",
        false => "\n\n",
        true if last.is_empty() || last.starts_with("\u{2014} ") => "",
        true => "\n",
    }
}
