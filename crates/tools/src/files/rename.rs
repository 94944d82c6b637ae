//! Renaming a file to a name that nobody has, in one step.

use std::io::{self, ErrorKind};

use super::roots::Place;

/// Renames; `AlreadyExists` if something has the name.
pub(super) fn rename_new(from: &Place, to: &Place) -> io::Result<()> {
    if rename_exclusive(from, to)? {
        return Ok(());
    }
    // The next best: nothing is known that has the name.
    if to.dir.symlink_metadata(&to.inside).is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    from.dir.rename(&from.inside, &to.dir, &to.inside)
}

/// Lets the system find out whether the name is free; false where it cannot.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_exclusive(from: &Place, to: &Place) -> io::Result<bool> {
    use rustix::fs::{RenameFlags, renameat_with};
    use rustix::io::Errno;

    let (Some(old), Some(new)) = (from.inside.file_name(), to.inside.file_name()) else {
        return Err(ErrorKind::IsADirectory.into());
    };
    // The system call follows links out of a folder, so that it gets names and no paths.
    let folders = (from.dir.open_dir(from.folder())?, to.dir.open_dir(to.folder())?);
    match renameat_with(&folders.0, old, &folders.1, new, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Not known here.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_exclusive(_: &Place, _: &Place) -> io::Result<bool> {
    Ok(false)
}
