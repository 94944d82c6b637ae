//! `files.list`: which files are in a folder.

use std::path::{Path, PathBuf};

use globset::{Error, GlobBuilder, GlobSet};
use parkway_core::tool::{Cancel, Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::roots::{Access, Place, Roots, shown};
use crate::builtin::Builtin;

/// The most files that one call lists.
const MOST: usize = 10_000;
/// The most entries of folders that one call looks at.
const MOST_WALKED: usize = 1_000_000;
/// The longest pattern, in bytes: longer than any path.
const LONGEST: usize = 4096;

/// Lists files.
pub(crate) struct List {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The folder, from the project root: `data/letters`.
    folder: String,
    /// Which files, by their path from that folder: `*.txt`, or `**/*.txt` with the folders in it too. All files of the
    /// folder itself without it. Names that begin with a dot are left out unless the last part of the pattern does too.
    glob: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The files, sorted by path.
    files: Vec<Listed>,
}

/// A file.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Listed {
    /// Its path from the project root, as the other `files` tools take it.
    path: String,
    /// The last part of its path.
    name: String,
    /// Its size in bytes.
    size: u64,
}

impl Builtin for List {
    const NAME: &'static str = "files.list";
    const DESCRIPTION: &'static str = "Lists the files in a folder, with path, name and size, sorted by path. Use it \
         to find out what there is before reading.";
    const EFFECT: Effect = Effect::Read;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let pattern = Pattern::new(input.glob.as_deref().unwrap_or("*"))?;
        let place = self.roots.locate(&input.folder, Access::List, context)?;
        let mut walk = Walk::new(&place, &pattern, &context.cancel);
        while let Some(folder) = walk.folders.pop() {
            walk.folder(&folder)?;
        }
        let mut files = walk.files;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Output { files })
    }
}

/// Which files are wanted.
struct Pattern {
    files: GlobSet,
    deep: bool,
    hidden: bool,
}

impl Pattern {
    fn new(glob: &str) -> Result<Self, ToolError> {
        let invalid = |message: String| ToolError::invalid("invalid", message);
        if glob.len() > LONGEST {
            return Err(invalid(format!(
                "`glob` has {} bytes and at most {LONGEST} are read; write it like `*.txt`, and choose among the files \
                 by an expression",
                glob.len()
            )));
        }
        let unreadable = |e: Error| {
            invalid(format!("glob `{glob}` cannot be read: {}; write it like `*.txt` or `**/*.txt`", e.kind()))
        };
        let one = GlobBuilder::new(glob).literal_separator(true).build().map_err(unreadable)?;
        // A set of one, as that says what is wrong where a single matcher panics.
        let files = GlobSet::new([one]).map_err(unreadable)?;
        let last = glob.rsplit('/').next().unwrap_or(glob);
        Ok(Pattern { files, deep: glob.contains('/') || glob == "**", hidden: last.starts_with('.') })
    }
}

/// The way through a folder and those in it.
struct Walk<'a> {
    place: &'a Place,
    pattern: &'a Pattern,
    cancel: &'a Cancel,
    /// How many entries may still be looked at.
    left: usize,
    /// Folders that are still to be walked.
    folders: Vec<PathBuf>,
    files: Vec<Listed>,
}

impl<'a> Walk<'a> {
    fn new(place: &'a Place, pattern: &'a Pattern, cancel: &'a Cancel) -> Self {
        Walk { place, pattern, cancel, left: MOST_WALKED, folders: vec![PathBuf::new()], files: Vec::new() }
    }

    /// Adds the wanted files of one folder, and the folders in it.
    fn folder(&mut self, folder: &Path) -> Result<(), ToolError> {
        let (place, pattern) = (self.place, self.pattern);
        let failed = |e: std::io::Error| place.error("list", &e);
        for entry in place.dir.read_dir(place.inside.join(folder)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            self.step()?;
            let name = entry.file_name();
            let below = folder.join(&name);
            let hidden = name.to_string_lossy().starts_with('.') && !pattern.hidden;
            let kind = entry.file_type().map_err(failed)?;
            // A symbolic link to a folder is not followed: it may lead in a circle.
            if kind.is_dir() {
                if pattern.deep && !hidden {
                    self.folders.push(below);
                    self.bounded(self.folders.len())?;
                }
                continue;
            }
            if hidden || !pattern.files.is_match(&below) {
                continue;
            }
            // A link that leads nowhere or out of the granted folder is none of the files that can be read.
            let Ok(found) = place.dir.metadata(place.inside.join(&below)) else { continue };
            if !found.is_file() {
                continue;
            }
            let Some(name) = name.to_str() else {
                let message = format!("a file in `{}` has a name that is not UTF-8: {name:?}; rename it", place.path);
                return Err(ToolError::invalid("invalid_name", message));
            };
            let path = shown(&Path::new(&place.path).join(&below));
            self.files.push(Listed { path, name: name.into(), size: found.len() });
            self.bounded(self.files.len())?;
        }
        Ok(())
    }

    /// Counts an entry.
    fn step(&mut self) -> Result<(), ToolError> {
        if self.cancel.is_cancelled() {
            return Err(ToolError::invalid("cancelled", "the folder is not listed any more, as the call is ended"));
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            let message = format!(
                "`{}` holds more than {MOST_WALKED} files and folders, wanted or not; name a folder in it",
                self.place.path
            );
            ToolError::invalid("too_many", message)
        })?;
        Ok(())
    }

    fn bounded(&self, count: usize) -> Result<(), ToolError> {
        if count <= MOST {
            return Ok(());
        }
        let message = format!(
            "`{}` holds more than {MOST} files or folders; name a folder in it, or a narrower `glob`",
            self.place.path
        );
        Err(ToolError::invalid("too_many", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use cap_std::ambient_authority;
    use cap_std::fs::Dir;

    #[test]
    fn what_is_not_wanted_is_not_walked_without_end() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(parent.path().join(name), "").unwrap();
        }
        let dir = Dir::open_ambient_dir(parent.path(), ambient_authority()).unwrap();
        let place = Place { dir, inside: ".".into(), path: "data".into() };
        let (pattern, cancel) = (Pattern::new("**/*.none").unwrap(), Cancel::new());
        let walked = |left| Walk { left, ..Walk::new(&place, &pattern, &cancel) }.folder(Path::new(""));
        assert_eq!(walked(3), Ok(()));
        insta::assert_snapshot!(walked(2).unwrap_err(), @"`data` holds more than 1000000 files and folders, wanted or not; name a folder in it");
        cancel.cancel();
        assert_eq!(walked(3).unwrap_err().code, "cancelled");
    }
}
