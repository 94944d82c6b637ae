//! A copy of a database as it is at one moment, whoever writes to it meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use parkway_core::store::StoreError;

use super::check::check;
use super::report::{Checked, Depth};
use super::source::{Source, beside, size};
use crate::sqlite::error::{code, from_io};
use crate::sqlite::open::folder_of;

/// Writes a copy to `to`, in place of what an interrupted one has left there, and brings it to the disk.
///
/// It is one file without a write-ahead log, and without the room that deleted rows have left.
pub(super) async fn copy(source: &mut Source, to: &Path) -> Result<(), StoreError> {
    discard(to)?;
    // Made here, so that nobody may read it who may not read the original.
    create_like(&source.path, to)?;
    let filled = fill(source, to, "free that much, or name a file on another disk").await;
    filled.or_else(|e| discard(to).and(Err(e)))
}

/// Makes a file that may be read by who may read `like`.
pub(super) fn create_like(like: &Path, to: &Path) -> Result<File, StoreError> {
    let cannot = |e: io::Error| failed("be written", to, &e);
    let file = OpenOptions::new().write(true).create_new(true).open(to).map_err(cannot)?;
    fs::metadata(like).and_then(|found| file.set_permissions(found.permissions())).map_err(cannot)?;
    Ok(file)
}

/// Writes a copy to the empty file `to`, and brings it to the disk. `way_out` is for who has no room.
pub(super) async fn fill(source: &mut Source, to: &Path, way_out: &str) -> Result<(), StoreError> {
    let Some(text) = to.to_str() else {
        return Err(refused(format!("`{}` is no name in UTF-8, which SQLite needs; name another file", to.display())));
    };
    let copied = sqlx::query("VACUUM INTO $1").bind(text.to_owned()).execute(&mut source.connection).await;
    if let Err(e) = copied {
        let room = size(&source.path).div_ceil(1 << 20);
        return Err(match code(&e) {
            Some(13) => StoreError::Full(format!(
                "the copy `{}` of {} needs up to {room} MiB; {way_out}",
                to.display(),
                source.name
            )),
            Some(10) => refused(format!(
                "{} cannot be copied to `{}`: {e}; look at both disks (df, dmesg)",
                source.name,
                to.display()
            )),
            _ => source.told(&e),
        });
    }
    let synced =
        OpenOptions::new().write(true).open(to).and_then(|file| file.sync_all()).and_then(|()| sync_folder(to));
    synced.map_err(|e| failed("be written", to, &e))
}

/// That the copy is sound; else it goes, and the error says what is wrong.
pub(super) async fn prove(copy: &Path, of: &str) -> Result<Checked, StoreError> {
    judge(copy, of).await.or_else(|e| discard(copy).and(Err(e)))
}

/// That the copy is sound; else the error says what is wrong.
pub(super) async fn judge(copy: &Path, of: &str) -> Result<Checked, StoreError> {
    let checked = check(copy, Depth::Full).await?;
    if checked.is_sound() {
        return Ok(checked);
    }
    let first = checked.problems.first().map(ToString::to_string).unwrap_or_default();
    let n = checked.found;
    Err(StoreError::Corrupt(format!(
        "{of} has {n} problems, and nothing was done; `parkway store check` names them: {first}"
    )))
}

/// Removes a copy that nobody needs, and what SQLite has beside it.
pub(super) fn discard(copy: &Path) -> Result<(), StoreError> {
    for path in [copy.to_owned(), beside(copy, "-journal"), beside(copy, "-wal"), beside(copy, "-shm")] {
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("be removed", &path, &e)),
            _ => {}
        }
    }
    Ok(())
}

/// Brings the names in the file's folder to the disk.
#[cfg(unix)]
pub(super) fn sync_folder(of: &Path) -> io::Result<()> {
    File::open(folder_of(of))?.sync_all()
}

/// Brings the names in the file's folder to the disk: elsewhere the file system does so by itself.
#[cfg(not(unix))]
pub(super) fn sync_folder(_of: &Path) -> io::Result<()> {
    Ok(())
}

/// What an operation on a file came to.
pub(super) fn failed(what: &str, path: &Path, error: &io::Error) -> StoreError {
    from_io(error, &format!("`{}` cannot {what}", path.display()))
}

pub(super) fn refused(message: String) -> StoreError {
    StoreError::Backend { message, retryable: false }
}
