//! Opening a repository that may be hostile.

use std::fs;
use std::path::Path;

use gix::bstr::BStr;
use gix::sec::Trust;
use gix::{Commit, ObjectId, Repository};
use parkway_core::tool::ToolError;

use super::grants::Folder;
use crate::files::{normal, shown};

/// What must not lead elsewhere, beside the objects. Other names do not matter for reading those.
const PARTS: [&str; 8] = ["HEAD", "config", "objects", "packed-refs", "refs", "refs/heads", "refs/tags", "shallow"];
/// Files by which a repository uses parts of another one.
const BORROWS: [&str; 3] = ["commondir", "objects/info/alternates", "objects/info/http-alternates"];

/// Opens the repository of a folder: in its `.git`, or, of one without a working tree, in itself.
pub(super) fn open(folder: &Folder) -> Result<Repository, ToolError> {
    let refused = |code: &str, why: &str| ToolError::invalid(code, format!("`{}` {why}", folder.shown));
    let inner = folder.path.join(".git");
    let place = match inner.symlink_metadata() {
        Ok(found) if found.is_dir() => inner,
        Ok(_) => {
            return Err(refused(
                "denied",
                "is a working tree whose `.git` leads elsewhere; name the repository that it belongs to",
            ));
        }
        Err(_) if folder.path.join("HEAD").exists() && folder.path.join("objects").is_dir() => folder.path.clone(),
        Err(_) => return Err(refused("no_repository", "is no git repository; name the folder that holds `.git`")),
    };
    let objects = place.join("objects");
    if PARTS.iter().any(|part| is_link(&place.join(part))) || holds_link(&objects, 1) {
        return Err(refused("denied", "is a repository with a link in its `.git`; copy what the link leads to"));
    }
    if BORROWS.iter().any(|file| place.join(file).symlink_metadata().is_ok()) {
        return Err(refused("denied", "is a repository that uses another one; clone it with `git clone --no-local`"));
    }
    let options = gix::open::Options::isolated().with(Trust::Reduced).open_path_as_is(true);
    let opened =
        options.open(&place).map_err(|error| refused("no_repository", &format!("cannot be opened: {error}")))?;
    Ok(opened.to_thread_local())
}

/// The commit that a name stands for: `main`, `v1.2`, `HEAD~3`, an id or the beginning of one.
pub(super) fn commit<'r>(repository: &'r Repository, name: &str, folder: &Folder) -> Result<Commit<'r>, ToolError> {
    let found = repository
        .rev_parse_single(BStr::new(name))
        .and_then(|id| id.object())
        .and_then(|object| object.peel_to_commit());
    found.map_err(|_| {
        let message = format!(
            "`{name}` is no commit of `{}`; give a branch, a tag, an id, or `HEAD~3`; `git.log` tells what there is",
            folder.shown
        );
        ToolError::invalid("not_found", message)
    })
}

/// The parents of a commit that the repository has: none of the oldest commit of a shallow clone, as git tells it, too.
pub(super) fn parents(commit: &Commit<'_>) -> Result<Vec<ObjectId>, gix::Error> {
    let cut = commit.repo.shallow_commits()?.is_some_and(|cut| cut.contains(&commit.id));
    Ok(if cut { Vec::new() } else { commit.parent_ids().map(gix::Id::detach).collect() })
}

/// A path in the repository, as its trees have it; `None` for all of it.
pub(super) fn inside(path: Option<&str>) -> Result<Option<String>, ToolError> {
    let Some(path) = path else { return Ok(None) };
    let path = normal(path).map_err(|why| {
        let message = format!("`path` is `{path}`, which {why}; name a file or folder from the top of the repository");
        ToolError::invalid("invalid", message)
    })?;
    Ok(Some(shown(&path)).filter(|path| path != "."))
}

/// The error of an object that is missing or damaged.
pub(super) fn broken(error: impl std::fmt::Display, folder: &Folder) -> ToolError {
    let message = format!("the repository `{}` cannot be read: {error}; look with `git fsck`", folder.shown);
    ToolError::invalid("corrupt", message)
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_symlink())
}

/// Whether there is a link in the folder, or in folders in it, so many levels down.
fn holds_link(folder: &Path, levels: usize) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        entry
            .file_type()
            .is_ok_and(|kind| kind.is_symlink() || kind.is_dir() && levels > 0 && holds_link(&entry.path(), levels - 1))
    })
}
