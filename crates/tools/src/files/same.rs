//! Whether two names are of one file.

use std::io;

use cap_std::fs::Metadata;

use super::roots::Place;

/// Whether both are of one file, under one name or two.
#[cfg(unix)]
pub(super) fn same_file(one: &Metadata, other: &Metadata) -> bool {
    use cap_std::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Not known here.
#[cfg(not(unix))]
pub(super) fn same_file(_: &Metadata, _: &Metadata) -> bool {
    false
}

/// Whether the file has one name only, so that two that lead to it differ in nothing but what the file system ignores.
#[cfg(unix)]
pub(super) fn has_one_name(file: &Metadata) -> bool {
    use cap_std::fs::MetadataExt;
    file.nlink() == 1
}

/// Not known here.
#[cfg(not(unix))]
pub(super) fn has_one_name(_: &Metadata) -> bool {
    true
}

/// Whether both places are one entry of one folder, which paths through links may hide.
pub(super) fn same_place(one: &Place, other: &Place) -> io::Result<bool> {
    let folders = (one.dir.metadata(one.folder())?, other.dir.metadata(other.folder())?);
    Ok(same_file(&folders.0, &folders.1) && one.inside.file_name() == other.inside.file_name())
}
