//! `files.move`: one file under another name.

use std::io::{self, ErrorKind};

use cap_std::fs::{File, Metadata};
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::marker::{Ended, Identity, Intent, Marker};
use super::rename::rename_new;
use super::replace::{Mode, create_beside};
use super::roots::{Access, Names, Place, Roots, is_folder};
use super::same::{has_one_name, same_file, same_place};
use crate::builtin::Builtin;

/// Moves a file.
pub(crate) struct MoveFile {
    pub(super) roots: Roots,
    pub(super) ended: Ended,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `inbox/a.txt`. Its folder is granted for reading and for writing.
    from: String,
    /// Its new path, from the project root: `done/a.txt`. That folder is granted for writing.
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
        // Whoever may read the new path reads what was at the old one: a grant to write alone is not enough.
        let from = self.roots.changeable(&input.from, context)?;
        let to = self.roots.locate(&input.to, Access::Write, context)?;
        let marker = Marker::new(&from, &to, &context.key)?;
        // The first attempt of a step takes nothing for its own work.
        let again = context.attempt > 1;
        let done = if again { finish(&from, &to, &marker)? } else { None };
        let done = match (done, look(&from)?) {
            (Some(moved), _) => Some(moved),
            // Another attempt may have moved it between the two looks.
            (None, None) if again => finish(&from, &to, &marker)?,
            (None, None) => None,
            (None, Some(found)) if !found.is_file() => {
                let message = format!("`{}` is a link, device, pipe or socket; only files are moved", from.path);
                return Err(ToolError::invalid("not_a_file", message));
            }
            (None, Some(found)) => {
                let to = self.roots.writable(&input.to, context)?;
                match carry(&from, &found, &to, input.replace, &marker)? {
                    // An attempt that was given up may still be at it.
                    false if again => finish(&from, &to, &marker)?,
                    moved => moved.then_some(true),
                }
            }
        };
        let Some(moved) = done else { return Err(gone(&from, &to)?) };
        self.ended.keep(marker, &context.cancel);
        // The new name first: a power cut between the two leaves both.
        for place in [&to, &from] {
            let done = Names::open(&place.dir, place.folder()).and_then(|names| names.sync());
            done.map_err(|e| place.error_afterwards("move", &e))?;
        }
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

/// Ends what an earlier attempt has begun, if what is at the new path is what it has put there. Says whether something was
/// left to be done.
fn finish(from: &Place, to: &Place, marker: &Marker) -> Result<Option<bool>, ToolError> {
    let (Some(Intent { file, copy }), Some(there)) = (marker.read(), Identity::at(to)) else { return Ok(None) };
    let here = Identity::at(from);
    if Some(there) == copy {
        if here != Some(file) {
            return Ok(Some(false));
        }
        return remove(from, file).map(|()| Some(true));
    }
    // The same file at both is one under two names, which was not moved yet.
    Ok((there == file && here != Some(file)).then_some(false))
}

/// Moves the file; false if it is gone by now.
fn carry(from: &Place, found: &Metadata, to: &Place, replace: bool, marker: &Marker) -> Result<bool, ToolError> {
    let file = Identity::of(found);
    if same_place(from, to).map_err(|e| failed(to, &e))? {
        let message = format!("`{}` and `{}` are the same file; name another one in `to`", from.path, to.path);
        return Err(ToolError::invalid("invalid", message));
    }
    // What keeps names from being put on disk is to come up before they change.
    from.names()?;
    to.names()?;
    if let Some(there) = look(to)? {
        let one = same_file(found, &there);
        if one && has_one_name(found) {
            // Or another attempt has moved it since it was looked at.
            return match rename(from, to, true) {
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
                renamed => renamed.map(|()| true).map_err(|e| failed(to, &e)),
            };
        }
        if !replace {
            return Err(exists(to));
        }
        // Renaming one name of a file to another one of it would do nothing.
        if one {
            return remove(from, file).map(|()| true);
        }
        if there.is_file() && there.permissions().readonly() {
            let message = format!("`{}` is marked read-only; make it writable, or name another file", to.path);
            return Err(ToolError::invalid("permission", message));
        }
    }
    marker.write(&Intent { file, copy: None })?;
    let moved = match rename(from, to, replace) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::CrossesDevices => {
            copy(from, to, replace, marker).and_then(|file| remove(from, file)).map(|()| true)
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(failed(to, &e)),
    };
    if moved.as_ref().is_err_and(|error| error.not_done) {
        marker.remove();
    }
    moved
}

fn failed(to: &Place, error: &io::Error) -> ToolError {
    match error.kind() {
        ErrorKind::AlreadyExists => exists(to),
        _ => to.error("move a file to", error),
    }
}

fn rename(from: &Place, to: &Place, replace: bool) -> io::Result<()> {
    if replace { from.dir.rename(&from.inside, &to.dir, &to.inside) } else { rename_new(from, to) }
}

/// Removes what has been moved. Another file that somebody has put there since, or has gone on writing, stays.
fn remove(from: &Place, file: Identity) -> Result<(), ToolError> {
    if Identity::at(from) != Some(file) {
        return Ok(());
    }
    match from.dir.remove_file(&from.inside) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(from.error_afterwards("remove", &e)),
        _ => Ok(()),
    }
}

/// Puts a copy at the other place, in one step, and returns when it is on disk: what a move to another file system begins
/// with. Says which file it is a copy of.
fn copy(from: &Place, to: &Place, replace: bool, marker: &Marker) -> Result<Identity, ToolError> {
    let unread = |e: io::Error| from.error("move", &e);
    let names = to.names()?;
    let mut source = from.dir.open(&from.inside).map_err(unread)?;
    let file = Identity::of(&source.metadata().map_err(unread)?);
    let (temporary, target) = create_beside(&to.dir, to.folder(), Mode::Private).map_err(|e| failed(to, &e))?;
    let dir = to.dir.try_clone().map_err(|e| failed(to, &e))?;
    let beside = Place { dir, inside: temporary, path: to.path.clone() };
    let put = || {
        // It is open, and so locked, until it has its name.
        let target = fill(&mut source, target).map_err(|e| failed(to, &e))?;
        let copy = Identity::of(&target.metadata().map_err(|e| failed(to, &e))?);
        if Identity::of(&source.metadata().map_err(unread)?) != file {
            let message = format!("`{}` was changed while it was copied; try again when it is whole", from.path);
            return Err(ToolError { not_done: true, ..ToolError::transient("changed", message) });
        }
        marker.write(&Intent { file, copy: Some(copy) })?;
        rename(&beside, to, replace).map_err(|e| failed(to, &e))
    };
    if let Err(error) = put() {
        // The error that matters is the one in hand.
        let _ = beside.dir.remove_file(&beside.inside);
        return Err(error);
    }
    names.sync().map_err(|e| to.error_afterwards("move a file to", &e))?;
    Ok(file)
}

/// Copies content, mode and time of the last change.
fn fill(source: &mut File, mut file: File) -> io::Result<File> {
    io::copy(source, &mut file)?;
    let found = source.metadata()?;
    file.set_permissions(found.permissions())?;
    let changed = found.modified()?.into_std();
    let file = file.into_std();
    file.set_modified(changed)?;
    file.sync_all()?;
    Ok(File::from_std(file))
}

/// Why there is no file to move, and nothing that tells that it has been moved.
fn gone(from: &Place, to: &Place) -> Result<ToolError, ToolError> {
    if look(to)?.is_none() {
        return Ok(from.error("move", &ErrorKind::NotFound.into()));
    }
    let message = format!(
        "there is no `{}`, and there is something at `{}`, of which nothing tells that this step has moved it there; look \
         at it, and if it is that file, put it back and try again",
        from.path, to.path
    );
    Ok(ToolError::invalid("gone", message))
}

fn exists(to: &Place) -> ToolError {
    let message =
        format!("there is something at `{}`; take it away, name another path, or say `replace: true`", to.path);
    ToolError::invalid("exists", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::{Duration, SystemTime};

    use cap_std::ambient_authority;
    use cap_std::fs::Dir;
    use parkway_core::id::{EffectKey, RunId, StepKey, Time};

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
        let key = EffectKey::new(RunId::new(Time::from_micros(0), [0; 16]), &StepKey::root("a"), 0);
        let marker = Marker::new(&place("a"), &place("b"), &key).unwrap();
        let file = copy(&place("a"), &place("b"), false, &marker).unwrap();
        assert_eq!(fs::read(at("a")).unwrap(), fs::read(at("b")).unwrap());
        assert_eq!(fs::metadata(at("b")).unwrap().modified().unwrap(), then);
        // A later attempt ends what was begun, once.
        assert_eq!(finish(&place("a"), &place("b"), &marker), Ok(Some(true)));
        assert!(!at("a").exists());
        assert_eq!(finish(&place("a"), &place("b"), &marker), Ok(Some(false)));
        // What somebody puts there meanwhile stays, also with the same content.
        fs::write(at("a"), "x".repeat(100_000)).unwrap();
        remove(&place("a"), file).unwrap();
        assert_eq!(finish(&place("a"), &place("b"), &marker), Ok(Some(false)));
        assert!(at("a").exists());
        assert_eq!(copy(&place("a"), &place("b"), false, &marker).unwrap_err().code, "exists");
        // That copy did not get its name.
        assert_eq!(finish(&place("a"), &place("b"), &marker), Ok(None));
        fs::write(at("a"), "y").unwrap();
        copy(&place("a"), &place("b"), true, &marker).unwrap();
        assert_eq!(fs::read_to_string(at("b")).unwrap(), "y");
        marker.remove();
        assert_eq!(finish(&place("a"), &place("b"), &marker), Ok(None));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2, "a temporary file was left");
    }
}
