//! The granted folders, and the way from a path in an argument to a place inside one of them.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};
use parkway_core::tool::{Reach, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::replace::sweep;
use crate::granted::granted;

/// How similar a name must be to be offered in place of one that does not exist.
const SIMILAR: f64 = 0.5;
/// How many names of a folder are compared for that.
const COMPARED: usize = 10_000;

/// The project that paths are relative to.
#[derive(Clone)]
pub(crate) struct Roots {
    project: PathBuf,
    /// Folders that this process has swept, as seen from the project root.
    swept: Arc<Mutex<HashSet<String>>>,
}

/// What a call wants with a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Look into the folder that it names.
    List,
    /// Read the file that it names.
    Read,
    /// Write the file that it names.
    Write,
}

/// Which folders the `files` tools may use, relative to the project root.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Grants {
    /// Folders to read from, with everything in them.
    #[serde(default)]
    read: Vec<String>,
    /// Folders to write to, with everything in them. One that does not exist is created.
    #[serde(default)]
    write: Vec<String>,
}

/// A place inside a granted folder. Whether something is there is not known yet.
pub(super) struct Place {
    /// The granted folder.
    pub(super) dir: Dir,
    /// The way from there; `.` for the folder itself.
    pub(super) inside: PathBuf,
    /// The same place as seen from the project root, for outputs and messages.
    pub(super) path: String,
}

impl Roots {
    pub(super) fn new(project: PathBuf) -> Self {
        Roots { project, swept: Arc::default() }
    }

    /// The place that `path` names, for writing a file. The folders on the way to it are created.
    pub(super) fn writable(&self, path: &str, context: &ToolContext) -> Result<Place, ToolError> {
        let place = self.locate(path, Access::Write, context)?;
        if place.inside == Path::new(".") {
            return Err(is_folder(&place.path));
        }
        if let Some(parent) = place.inside.parent() {
            create_folders(&place.dir, parent).map_err(|e| place.error("create the folder of", &e))?;
            self.sweep(&place);
        }
        Ok(place)
    }

    /// Removes what killed processes left in the folder of the place, once for each folder.
    pub(super) fn sweep(&self, place: &Place) {
        let folder = Path::new(&place.path).parent().map_or_else(|| ".".into(), shown);
        if self.swept.lock().is_ok_and(|mut swept| swept.insert(folder)) {
            sweep(&place.dir, place.folder());
        }
    }

    /// The place that `path` names, in a folder that is granted for this access. A granted folder to write to is
    /// created.
    pub(super) fn locate(&self, path: &str, access: Access, context: &ToolContext) -> Result<Place, ToolError> {
        let grants = Grants::read_from(&context.grants)?;
        let wanted = normal(path).map_err(|why| {
            ToolError::invalid(
                "denied",
                format!("path `{path}` {why}; name it from the project root, as in `data/a.txt`"),
            )
        })?;
        let granted = grants.folders(access)?;
        // The widest of the folders that hold the path: what a narrower one allows, it allows too.
        let folder = granted.into_iter().filter(|folder| folder == Path::new(".") || wanted.starts_with(folder));
        let Some(folder) = folder.min_by_key(|folder| depth(folder)) else {
            return Err(grants.denied(&wanted, access));
        };
        let dir = self.open(&folder, access)?;
        let inside =
            if folder == Path::new(".") { wanted.as_path() } else { wanted.strip_prefix(&folder).unwrap_or(&wanted) };
        let inside = if inside.as_os_str().is_empty() { PathBuf::from(".") } else { inside.to_path_buf() };
        Ok(Place { dir, inside, path: shown(&wanted) })
    }

    /// The place that `path` names, in a folder that is granted for reading and in one that is granted for writing. The
    /// narrower of the two is opened through the wider, so that no link leads to where only one of them is.
    pub(super) fn changeable(&self, path: &str, context: &ToolContext) -> Result<Place, ToolError> {
        let read = self.locate(path, Access::Read, context)?;
        let write = self.locate(path, Access::Write, context)?;
        let (wide, narrow) = if depth(&read.inside) < depth(&write.inside) { (write, read) } else { (read, write) };
        let between = depth(&wide.inside) - depth(&narrow.inside);
        if between == 0 {
            return Ok(narrow);
        }
        let folder: PathBuf = wide.inside.components().take(between).collect();
        let dir = wide.dir.open_dir(folder).map_err(|e| wide.error("open", &e))?;
        Ok(Place { dir, ..narrow })
    }

    fn open(&self, folder: &Path, access: Access) -> Result<Dir, ToolError> {
        let project = Dir::open_ambient_dir(&self.project, ambient_authority()).map_err(|e| {
            ToolError::invalid(
                "not_found",
                format!("the project root cannot be opened: {e}; run from a folder that exists"),
            )
        })?;
        let created = if access == Access::Write { create_folders(&project, folder) } else { Ok(()) };
        created.and_then(|()| project.open_dir(folder)).map_err(|e| {
            let folder = shown(folder);
            match e.kind() {
                ErrorKind::NotFound => ToolError::invalid(
                    "not_found",
                    format!("the granted folder `{folder}` does not exist; create it, or correct `tools.files`"),
                ),
                ErrorKind::NotADirectory | ErrorKind::AlreadyExists => ToolError::invalid(
                    "not_a_folder",
                    format!("`{folder}` is granted to `files` but is not a folder; grant the folder that holds it"),
                ),
                _ if left_the_folder(&e) => ToolError::invalid(
                    "denied",
                    format!("the granted folder `{folder}` leads out of the project by a link; grant a folder in it"),
                ),
                _ => failed("open the granted folder", &folder, &e),
            }
        })
    }
}

/// The folders that are granted to a family, from the project root.
pub(crate) fn folders(family: &str, granted: &[String]) -> Result<Vec<PathBuf>, ToolError> {
    let folder = |text: &String| {
        normal(text).map_err(|why| {
            let message = format!("`tools.{family}` grants `{text}`, which {why}; name a folder from the project root");
            ToolError::invalid("invalid_grants", message)
        })
    };
    granted.iter().map(folder).collect()
}

/// The folders that the grants name.
pub(super) fn reach(grants: &Value) -> Result<Reach, ToolError> {
    let grants = Grants::read_from(grants)?;
    let mut reach = Reach::default();
    for access in [Access::Read, Access::Write] {
        reach.paths.extend(grants.folders(access)?.iter().map(|folder| shown(folder)));
    }
    Ok(reach)
}

impl Grants {
    fn read_from(grants: &Value) -> Result<Self, ToolError> {
        granted(grants, |error| {
            format!("`tools.files` is malformed: {error}; write it like `files: {{ read: [data], write: [out] }}`")
        })
    }

    fn folders(&self, access: Access) -> Result<Vec<PathBuf>, ToolError> {
        let granted = match access {
            Access::List | Access::Read => &self.read,
            Access::Write => &self.write,
        };
        folders("files", granted)
    }

    fn denied(&self, wanted: &Path, access: Access) -> ToolError {
        let to_add = match access {
            Access::List => shown(wanted),
            Access::Read | Access::Write => wanted.parent().map_or_else(|| ".".into(), shown),
        };
        let (mut read, mut write) = (self.read.clone(), self.write.clone());
        let (doing, granted) = match access {
            Access::List | Access::Read => ("reading", &mut read),
            Access::Write => ("writing", &mut write),
        };
        let so_far = if granted.is_empty() { "none is".into() } else { format!("granted: {}", listed(granted)) };
        granted.push(to_add);
        let named = [("read", read), ("write", write)];
        let named = named.iter().filter(|(_, folders)| !folders.is_empty());
        let line = named.map(|(name, folders)| format!("{name}: [{}]", listed(folders))).collect::<Vec<_>>().join(", ");
        let message = format!(
            "`{}` is in no folder that is granted for {doing} ({so_far}); to allow it, write under `tools`: \
             `files: {{ {line} }}`",
            shown(wanted)
        );
        ToolError::invalid("denied", message)
    }
}

impl Place {
    /// The folder that it is in, from the granted one.
    pub(super) fn folder(&self) -> &Path {
        self.inside.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Opens its folder, to put the names in it on disk when they have changed. Whatever keeps that from being done is to
    /// come up before.
    pub(super) fn names(&self) -> Result<Names, ToolError> {
        Names::open(&self.dir, self.folder()).map_err(|e| self.error("open the folder of", &e))
    }

    /// What an error means at this place that came after something was done.
    pub(super) fn error_afterwards(&self, doing: &str, error: &io::Error) -> ToolError {
        ToolError { not_done: false, ..self.error(doing, error) }
    }

    /// What an error of the file system at this place means for the caller.
    pub(super) fn error(&self, doing: &str, error: &io::Error) -> ToolError {
        let path = &self.path;
        match error.kind() {
            ErrorKind::NotFound => {
                let hint = match self.nearest() {
                    Some(name) => format!("the nearest name is `{name}`"),
                    None => "look at the folder above it with `files.list`".into(),
                };
                ToolError::invalid("not_found", format!("there is no `{path}`; {hint}"))
            }
            ErrorKind::IsADirectory => is_folder(path),
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => ToolError::invalid(
                "not_a_folder",
                format!("cannot {doing} `{path}`: a part of its path is a file, not a folder"),
            ),
            _ if left_the_folder(error) => ToolError::invalid(
                "denied",
                format!("`{path}` leads out of the granted folder by a link; grant the folder that it leads to"),
            ),
            _ => failed(doing, path, error),
        }
    }

    /// An existing path like this one: the first part that is missing, replaced by the name most like it.
    fn nearest(&self) -> Option<String> {
        let mut parent = PathBuf::from(".");
        for part in self.inside.components() {
            let next = parent.join(part);
            if self.dir.metadata(&next).is_ok() {
                parent = next;
                continue;
            }
            let wanted = part.as_os_str().to_str()?;
            let names =
                self.dir.read_dir(&parent).ok()?.take(COMPARED).filter_map(|e| e.ok()?.file_name().into_string().ok());
            let likeness = |name: &String| strsim::normalized_damerau_levenshtein(wanted, name);
            let best = names
                .map(|n| (likeness(&n), n))
                .filter(|(likeness, _)| *likeness >= SIMILAR)
                .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)))?;
            let before = self.inside.components().count()
                - parent.components().filter(|c| matches!(c, Component::Normal(_))).count();
            let outer = Path::new(&self.path).ancestors().nth(before)?;
            return Some(shown(&outer.join(best.1)));
        }
        None
    }
}

/// The path without `.` and doubled separators; an error says why it cannot be inside the project.
pub(crate) fn normal(path: &str) -> Result<PathBuf, &'static str> {
    if path.is_empty() {
        return Err("is empty");
    }
    if path.contains('\0') {
        return Err("holds a zero byte");
    }
    let mut normal = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => normal.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("goes up with `..`"),
            Component::RootDir | Component::Prefix(_) => return Err("is absolute"),
        }
    }
    Ok(if normal.as_os_str().is_empty() { PathBuf::from(".") } else { normal })
}

/// The path with `/`, as arguments have it.
pub(crate) fn shown(path: &Path) -> String {
    let names = path.components().filter(|c| matches!(c, Component::Normal(_)));
    let parts = names.map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    if parts.is_empty() { ".".into() } else { parts }
}

fn depth(folder: &Path) -> usize {
    folder.components().filter(|c| matches!(c, Component::Normal(_))).count()
}

/// The folders as they stand in a YAML list.
fn listed(folders: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let item = |folder: &String| {
        let quoted = folder.starts_with('-') || !folder.chars().all(plain);
        if quoted { Value::from(folder.as_str()).to_string() } else { folder.clone() }
    };
    folders.iter().map(item).collect::<Vec<_>>().join(", ")
}

/// Creates the folder and those on the way to it, each one durable in the one that holds it.
fn create_folders(dir: &Dir, folder: &Path) -> io::Result<()> {
    let mut made = PathBuf::from(".");
    for part in folder.components().filter(|c| matches!(c, Component::Normal(_))) {
        let parent = made.clone();
        made.push(part);
        match dir.create_dir(&made) {
            Ok(()) => Names::open(dir, &parent)?.sync()?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                if !dir.metadata(&made)?.is_dir() {
                    return Err(ErrorKind::NotADirectory.into());
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The names in a folder.
pub(super) struct Names {
    /// Elsewhere a folder cannot be opened as a file, and the file system keeps names by itself.
    folder: Option<File>,
}

impl Names {
    pub(super) fn open(dir: &Dir, folder: &Path) -> io::Result<Self> {
        Ok(Names { folder: if cfg!(unix) { Some(dir.open(folder)?) } else { None } })
    }

    /// Puts them on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.folder.as_ref().map_or(Ok(()), File::sync_all)
    }
}

/// cap-std's own refusal, as opposed to the operating system's, has no number.
fn left_the_folder(error: &io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

pub(super) fn is_folder(path: &str) -> ToolError {
    ToolError::invalid("is_folder", format!("`{path}` is a folder; name a file in it"))
}

fn failed(doing: &str, path: &str, error: &io::Error) -> ToolError {
    let message = format!("cannot {doing} `{path}`: {error}");
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            ToolError::invalid("permission", format!("{message}; check the owner and mode of the file and its folder"))
        }
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => ToolError::invalid("invalid", message),
        _ => ToolError::transient("io", message),
    }
}
