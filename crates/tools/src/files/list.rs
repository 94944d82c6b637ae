//! `files.list`: which files are in a folder.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::roots::{Access, Place, Roots, shown};
use crate::builtin::Builtin;

/// The most files that one call lists.
const MOST: usize = 10_000;

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
        let mut files = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            walk(&place, &folder, &pattern, &mut folders, &mut files)?;
            if files.len() > MOST || folders.len() > MOST {
                return Err(ToolError::invalid(
                    "too_many",
                    format!(
                        "`{}` holds more than {MOST} files or folders; name a folder in it, or a narrower `glob`",
                        place.path
                    ),
                ));
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Output { files })
    }
}

/// Which files are wanted.
struct Pattern {
    files: GlobMatcher,
    deep: bool,
    hidden: bool,
}

impl Pattern {
    fn new(glob: &str) -> Result<Self, ToolError> {
        let files = GlobBuilder::new(glob).literal_separator(true).build().map_err(|e| {
            let message = format!("glob `{glob}` cannot be read: {}; write it like `*.txt` or `**/*.txt`", e.kind());
            ToolError::invalid("invalid", message)
        })?;
        let last = glob.rsplit('/').next().unwrap_or(glob);
        Ok(Pattern {
            files: files.compile_matcher(),
            deep: glob.contains('/') || glob == "**",
            hidden: last.starts_with('.'),
        })
    }
}

/// Adds the wanted files of one folder, and the folders in it that are still to be walked.
fn walk(
    place: &Place,
    folder: &Path,
    pattern: &Pattern,
    folders: &mut Vec<PathBuf>,
    files: &mut Vec<Listed>,
) -> Result<(), ToolError> {
    let failed = |e: std::io::Error| place.error("list", &e);
    for entry in place.dir.read_dir(place.inside.join(folder)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let below = folder.join(&name);
        let hidden = name.to_string_lossy().starts_with('.') && !pattern.hidden;
        let kind = entry.file_type().map_err(failed)?;
        // A symbolic link to a folder is not followed: it may lead in a circle.
        if kind.is_dir() {
            if pattern.deep && !hidden {
                folders.push(below);
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
        files.push(Listed { path: shown(&Path::new(&place.path).join(&below)), name: name.into(), size: found.len() });
        if files.len() > MOST {
            break;
        }
    }
    Ok(())
}
