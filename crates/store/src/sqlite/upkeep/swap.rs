//! Putting one database in the place of another. At each moment the name leads to the old one or to the new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parkway_core::store::StoreError;
use sqlx::{ConnectOptions, Connection};

use super::copy::{failed, refused, sync_folder};
use super::seal::wipe;
use super::source::{beside, options};
use crate::sqlite::error::{from_sqlx, is_busy};
use crate::sqlite::lock::{LockFile, is_at};
use crate::sqlite::open::named;
use crate::sqlite::owner;

/// What is done to a database that nobody has open.
pub(super) struct Swap {
    /// The database, behind links.
    pub(super) at: PathBuf,
    /// Where the new one is made.
    pub(super) new: PathBuf,
    alone: Option<LockFile>,
}

/// The moments after which a swap can be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The old file has a second name.
    Kept,
    /// Its write-ahead log is away.
    Bare,
    /// The new file has its place.
    Placed,
}

impl Swap {
    /// Takes the database at `path`, and clears away what an interrupted swap has left. Refused while another process has it.
    pub(super) fn begin(path: &Path) -> Result<Self, StoreError> {
        let at = owner::place(path);
        let lock = owner::presence(&at);
        let Some(alone) = LockFile::alone(&lock).map_err(|e| failed("be locked", &lock, &e))? else {
            return Err(in_use(&at, "another process has it open"));
        };
        let new = beside(&at, ".new");
        // It may be what a sealed backup was opened into.
        wipe(&new)?;
        tidy(&at).map_err(|e| failed("be replaced", &at, &e))?;
        Ok(Swap { at, new, alone: Some(alone) })
    }

    /// Takes what the write-ahead log holds into the file. A program that has the file open without being Parkway is found
    /// here.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        if !self.at.exists() {
            return Ok(());
        }
        let name = format!("`{}`", self.at.display());
        let settled = async {
            let mut connection = options(&self.at).connect().await?;
            sqlx::query("PRAGMA journal_mode = DELETE").execute(&mut connection).await?;
            connection.close().await
        };
        match settled.await {
            Ok(()) => Ok(()),
            Err(e) if is_busy(&e) => Err(in_use(&self.at, "another program has it open")),
            Err(e) => Err(named(from_sqlx(&e), &name)),
        }
    }

    /// Gives the new file the old one's place. The old one stays under the name `keep`, with what is beside it.
    pub(super) fn replace(&self, keep: Option<&Path>) -> Result<(), StoreError> {
        let replaced = replace(&self.at, &self.new, keep, &mut |_| Ok(()));
        replaced.map_err(|e| failed("be replaced", &self.at, &e))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        drop(self.alone.take());
        // Only an empty folder goes.
        if let Some(folder) = owner::presence(&self.at).parent() {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn in_use(at: &Path, who: &str) -> StoreError {
    refused(format!("`{}` is in use: {who}; stop it, or wait until it is done, and try again", at.display()))
}

fn replace(
    at: &Path,
    new: &Path,
    keep: Option<&Path>,
    passed: &mut dyn FnMut(Moment) -> io::Result<()>,
) -> io::Result<()> {
    if at.exists() {
        same_owner(at, new);
        if let Some(keep) = keep {
            for ending in ["", "-wal", "-shm"] {
                second_name(&beside(at, ending), &beside(keep, ending))?;
            }
            sync_folder(at)?;
            passed(Moment::Kept)?;
        }
    }
    // A log that is left from the old file would be taken for one of the new.
    for ending in ["-wal", "-shm"] {
        match fs::remove_file(beside(at, ending)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    sync_folder(at)?;
    passed(Moment::Bare)?;
    fs::rename(new, at)?;
    sync_folder(at)?;
    passed(Moment::Placed)
}

/// Gives a file a second name; a copy, where file systems know no second names. A file that is not there needs none.
fn second_name(file: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(file, name) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
        Err(_) => fs::copy(file, name).and_then(|_| fs::File::open(name)?.sync_all()),
        Ok(()) => Ok(()),
    }
}

/// Takes second names away that a swap has made which went no further, and gives a write-ahead log its name back.
fn tidy(at: &Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (at.parent(), at.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let Ok(file) = fs::File::open(at) else { return Ok(()) };
    let beginning = format!("{name}{KEPT}");
    for entry in fs::read_dir(folder)? {
        let entry = entry?.path();
        let kept = entry.file_name().and_then(|name| name.to_str());
        let is_kept = kept.is_some_and(|kept| kept.starts_with(&beginning) && !kept.ends_with("-wal"));
        if !(is_kept && cfg!(unix) && is_at(&file, &entry)) {
            continue;
        }
        for ending in ["-wal", "-shm"] {
            let (log, own) = (beside(&entry, ending), beside(at, ending));
            if log.exists() && !own.exists() {
                fs::rename(log, own)?;
            } else if log.exists() {
                fs::remove_file(log)?;
            }
        }
        fs::remove_file(entry)?;
    }
    sync_folder(at)
}

/// What stands between the name of a database and the time at which it was replaced.
pub(super) const KEPT: &str = ".replaced-";

/// Gives the new file the old one's owner, for whoever does this for somebody else. Only the system's own user can.
#[cfg(unix)]
fn same_owner(at: &Path, new: &Path) {
    use std::os::unix::fs::MetadataExt;
    if let Ok(found) = fs::metadata(at) {
        let _ = std::os::unix::fs::chown(new, Some(found.uid()), Some(found.gid()));
        let _ = fs::set_permissions(new, found.permissions());
    }
}

#[cfg(not(unix))]
fn same_owner(_at: &Path, _new: &Path) {}

#[cfg(test)]
mod tests {
    use super::super::copy::discard;
    use super::*;

    #[cfg(unix)]
    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[cfg(unix)]
    #[test]
    fn a_swap_that_is_cut_off_leaves_neither_the_old_nor_the_new() {
        for (moment, text) in [(Moment::Kept, "old"), (Moment::Bare, "old"), (Moment::Placed, "new")] {
            let folder = tempfile::tempdir().unwrap();
            let at = folder.path().join("runs.db");
            let (new, keep) = (beside(&at, ".new"), beside(&at, ".replaced-x"));
            fs::write(&at, "old").unwrap();
            fs::write(beside(&at, "-wal"), "old log").unwrap();
            fs::write(&new, "new").unwrap();
            let mut cut = |passed| if passed == moment { Err(io::Error::other("cut off")) } else { Ok(()) };
            replace(&at, &new, Some(&keep), &mut cut).unwrap_err();
            assert_eq!(fs::read_to_string(&at).unwrap(), text, "after {moment:?}");
            discard(&new).unwrap();
            tidy(&at).unwrap();
            assert_eq!(fs::read_to_string(&at).unwrap(), text);
            let log = if text == "old" { &at } else { &keep };
            assert_eq!(fs::read_to_string(beside(log, "-wal")).unwrap(), "old log", "after {moment:?}");
            let expected: &[&str] = match text {
                "old" => &["runs.db", "runs.db-wal"],
                _ => &["runs.db", "runs.db.replaced-x", "runs.db.replaced-x-wal"],
            };
            assert_eq!(names(folder.path()), expected);
        }
    }

    #[test]
    fn a_file_that_was_kept_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("runs.db");
        let (new, keep) = (beside(&at, ".new"), beside(&at, ".replaced-x"));
        for path in [&at, &new, &keep] {
            fs::write(path, path.display().to_string()).unwrap();
        }
        replace(&at, &new, Some(&keep), &mut |_| Ok(())).unwrap_err();
        assert_eq!(fs::read_to_string(&keep).unwrap(), keep.display().to_string());
        assert_eq!(fs::read_to_string(&at).unwrap(), at.display().to_string());
    }
}
