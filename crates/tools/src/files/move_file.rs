//! `files.move`: one file under another name.

use std::io::{self, ErrorKind, Read};

use cap_std::fs::{File, Metadata};
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rename::rename_new;
use super::replace::create_beside;
use super::roots::{Access, Place, Roots, is_folder, sync_folder};
use super::same::{has_one_name, same_file, same_place};
use crate::builtin::Builtin;

/// Moves a file.
pub(crate) struct MoveFile {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `inbox/a.txt`. Its folder is granted for writing.
    from: String,
    /// Its new path, from the project root: `done/a.txt`. That folder is granted for writing, too.
    to: String,
    /// Whether a file that is there is replaced.
    #[serde(default)]
    replace: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// Where the file was.
    from: String,
    /// Where it is.
    to: String,
    /// Whether this call has moved it; not if an earlier attempt had.
    moved: bool,
}

impl Builtin for MoveFile {
    const NAME: &'static str = "files.move";
    const DESCRIPTION: &'static str = "Moves or renames a file, in one step. Folders on the way are created. A file that \
         is at the new path is only replaced if `replace` says so.";
    const EFFECT: Effect = Effect::Idempotent;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let from = self.roots.locate(&input.from, Access::Write, context)?;
        let to = self.roots.locate(&input.to, Access::Write, context)?;
        let again = context.attempt > 1;
        let moved = match look(&from)? {
            None => false,
            Some(found) if !found.is_file() => {
                let message = format!("`{}` is a link, device, pipe or socket; only files are moved", from.path);
                return Err(ToolError::invalid("not_a_file", message));
            }
            Some(found) => {
                let to = self.roots.writable(&input.to, context)?;
                carry(&from, &found, &to, input.replace, again)?
            }
        };
        if !moved {
            check_moved(&from, &to, again)?;
        }
        // The new name first: a power cut between the two leaves both.
        to.sync()?;
        from.sync()?;
        Ok(Output { from: from.path, to: to.path, moved })
    }
}

/// What is at the place, if it is no folder.
fn look(place: &Place) -> Result<Option<Metadata>, ToolError> {
    match place.dir.symlink_metadata(&place.inside) {
        Ok(found) if found.is_dir() => Err(is_folder(&place.path)),
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(place.error("move", &e)),
    }
}

/// Moves the file; false if it is gone by now.
fn carry(from: &Place, found: &Metadata, to: &Place, replace: bool, again: bool) -> Result<bool, ToolError> {
    let failed = |e: io::Error| match e.kind() {
        ErrorKind::AlreadyExists => exists(to),
        _ => to.error("move a file to", &e),
    };
    if same_place(from, to).map_err(failed)? {
        let message = format!("`{}` and `{}` are the same file; name another one in `to`", from.path, to.path);
        return Err(ToolError::invalid("invalid", message));
    }
    if let Some(there) = look(to)? {
        let one = same_file(found, &there);
        if one && has_one_name(found) {
            return rename(from, to, true).map(|()| true).map_err(failed);
        }
        // An earlier attempt has ended between a copy and the removal of what it was made of.
        let copied = again && cfg!(unix) && there.is_file() && same_content(from, to).map_err(failed)?;
        // Renaming one name of a file to another one of it would do nothing.
        if copied || (replace && one) {
            return remove(from);
        }
        if !replace {
            return Err(exists(to));
        }
        if there.is_file() && there.permissions().readonly() {
            let message = format!("`{}` is marked read-only; make it writable, or name another file", to.path);
            return Err(ToolError::invalid("permission", message));
        }
    }
    match rename(from, to, replace) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::CrossesDevices => {
            copy(from, to, replace).map_err(failed)?;
            remove(from)
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(failed(e)),
    }
}

fn rename(from: &Place, to: &Place, replace: bool) -> io::Result<()> {
    if replace { from.dir.rename(&from.inside, &to.dir, &to.inside) } else { rename_new(from, to) }
}

fn remove(from: &Place) -> Result<bool, ToolError> {
    match from.dir.remove_file(&from.inside) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(from.error("remove", &e)),
        _ => Ok(true),
    }
}

/// Puts a copy at the other place, in one step, and returns when it is on disk: what a move to another file system begins
/// with.
fn copy(from: &Place, to: &Place, replace: bool) -> io::Result<()> {
    let mut source = from.dir.open(&from.inside)?;
    let (temporary, file) = create_beside(&to.dir, to.folder())?;
    let beside = Place { dir: to.dir.try_clone()?, inside: temporary, path: to.path.clone() };
    let done = fill(&mut source, file).and_then(|()| rename(&beside, to, replace));
    if done.is_err() {
        // The error that matters is the one in hand.
        let _ = beside.dir.remove_file(&beside.inside);
    }
    done.and_then(|()| sync_folder(&to.dir, to.folder()))
}

/// Copies content, mode and time of the last change.
fn fill(source: &mut File, mut file: File) -> io::Result<()> {
    io::copy(source, &mut file)?;
    let found = source.metadata()?;
    file.set_permissions(found.permissions())?;
    let changed = found.modified()?.into_std();
    file.sync_all()?;
    file.into_std().set_modified(changed)
}

/// Whether both files hold the same bytes.
fn same_content(one: &Place, other: &Place) -> io::Result<bool> {
    let (one, other) = (one.dir.open(&one.inside)?, other.dir.open(&other.inside)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (io::BufReader::new(one).bytes(), io::BufReader::new(other).bytes());
    loop {
        match (one.next().transpose()?, other.next().transpose()?) {
            (None, None) => return Ok(true),
            (a, b) if a != b => return Ok(false),
            _ => {}
        }
    }
}

/// What a call may conclude that finds no file to move. The first attempt of a step takes nothing for its own work. Where
/// it found nothing at the new path either, or ended without an outcome, what a later attempt finds there is taken for
/// what was moved.
fn check_moved(from: &Place, to: &Place, again: bool) -> Result<(), ToolError> {
    match look(to)? {
        Some(there) if there.is_file() && again => Ok(()),
        Some(_) => {
            let message = format!(
                "there is no `{}`, and there is something at `{}`: it may have been moved before; look at what is there",
                from.path, to.path
            );
            Err(ToolError::invalid("gone", message))
        }
        None => Err(from.error("move", &ErrorKind::NotFound.into())),
    }
}

fn exists(to: &Place) -> ToolError {
    let message = format!("there is something at `{}`; name another path, or say `replace: true`", to.path);
    ToolError::invalid("exists", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::{Duration, SystemTime};

    use cap_std::ambient_authority;
    use cap_std::fs::Dir;

    #[test]
    fn a_copy_to_another_file_system_is_whole_or_not_there() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let place = |name: &str| {
            let dir = Dir::open_ambient_dir(parent.path(), ambient_authority()).unwrap();
            Place { dir, inside: name.into(), path: name.into() }
        };
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        fs::write(at("a"), "x".repeat(100_000)).unwrap();
        fs::File::options().write(true).open(at("a")).unwrap().set_modified(then).unwrap();
        copy(&place("a"), &place("b"), false).unwrap();
        assert_eq!(fs::read(at("a")).unwrap(), fs::read(at("b")).unwrap());
        assert_eq!(fs::metadata(at("b")).unwrap().modified().unwrap(), then);
        assert!(same_content(&place("a"), &place("b")).unwrap());
        fs::write(at("b"), "y".repeat(100_000)).unwrap();
        assert!(!same_content(&place("a"), &place("b")).unwrap());
        let refused = copy(&place("a"), &place("b"), false).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert!(fs::read_to_string(at("b")).unwrap().starts_with('y'));
        copy(&place("a"), &place("b"), true).unwrap();
        assert!(same_content(&place("a"), &place("b")).unwrap());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2, "a temporary file was left");
    }
}
