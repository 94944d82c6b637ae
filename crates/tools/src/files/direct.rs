//! A path in the project that no link bends, for libraries that open paths by themselves.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why a path does not lead there directly.
pub(crate) enum Astray {
    /// There is nothing.
    Absent,
    /// A part of it is a link.
    Link,
    Unknown(io::Error),
}

/// The whole path of what is `inside` the project, none of whose parts in the project is a link.
pub(crate) fn direct(project: &Path, inside: &Path) -> Result<PathBuf, Astray> {
    let astray = |error: io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Astray::Absent,
        _ => Astray::Unknown(error),
    };
    let mut path = project.canonicalize().map_err(astray)?;
    for part in inside.components() {
        path.push(part);
        if path.symlink_metadata().map_err(astray)?.is_symlink() {
            return Err(Astray::Link);
        }
    }
    Ok(path)
}
