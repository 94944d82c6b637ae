//! Copies of a store that lie beside it, and have what was erased in it since.

use std::fs;
use std::path::{Path, PathBuf};

use super::swap::KEPT;
use crate::sqlite::open::folder_of;
use crate::sqlite::owner;

/// The plain copies beside the store at `path`: files that a restore has replaced, and what a command has left that was killed or is under way. The
/// next such command clears away what is left of its own; the replaced ones stay until somebody removes them.
pub fn copies_beside(path: &Path) -> Vec<PathBuf> {
    let at = owner::place(path);
    let Some(name) = at.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let is_copy = |found: &str| {
        let rest = found.strip_prefix(name);
        let own = rest.is_some_and(|rest| matches!(rest, ".new" | ".sealing") || rest.starts_with(KEPT));
        // What SQLite has beside a copy goes with it, but its log has texts, too.
        (own || found.ends_with(".partial")) && !found.ends_with("-shm")
    };
    let entries = fs::read_dir(folder_of(&at)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_copy)).collect();
    found.sort();
    found
}
