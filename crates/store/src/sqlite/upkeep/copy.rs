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
    let cannot = |e: io::Error| failed("be written", to, &e);
    let Some(text) = to.to_str() else {
        return Err(refused(format!("`{}` is no name in UTF-8, which SQLite needs; name another file", to.display())));
    };
    discard(to)?;
    // Made here, so that nobody may read it who may not read the original.
    let file = OpenOptions::new().write(true).create_new(true).open(to).map_err(cannot)?;
    fs::metadata(&source.path).and_then(|found| file.set_permissions(found.permissions())).map_err(cannot)?;
    let copied = sqlx::query("VACUUM INTO $1").bind(text.to_owned()).execute(&mut source.connection).await;
    if let Err(e) = copied {
        let room = size(&source.path).div_ceil(1 << 20);
        let error = match code(&e) {
            Some(13) => StoreError::Full(format!(
                "the copy `{}` of {} needs up to {room} MiB; free that much, or name a file on another disk",
                to.display(),
                source.name
            )),
            Some(10) => refused(format!(
                "{} cannot be copied to `{}`: {e}; look at both disks (df, dmesg)",
                source.name,
                to.display()
            )),
            _ => source.told(&e),
        };
        discard(to)?;
        return Err(error);
    }
    file.sync_all().and_then(|()| sync_folder(to)).map_err(cannot)
}

/// That the copy is sound; else it goes, and the error says what is wrong.
pub(super) async fn prove(copy: &Path, of: &str) -> Result<Checked, StoreError> {
    let checked = check(copy, Depth::Full).await;
    let error = match checked {
        Ok(checked) if checked.is_sound() => return Ok(checked),
        Ok(checked) => {
            let first = checked.problems.first().map(ToString::to_string).unwrap_or_default();
            let n = checked.found;
            StoreError::Corrupt(format!(
                "{of} has {n} problems, and nothing was done; `parkway store check` names them: {first}"
            ))
        }
        Err(e) => e,
    };
    discard(copy)?;
    Err(error)
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
