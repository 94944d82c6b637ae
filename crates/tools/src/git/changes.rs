//! What differs between two trees. Texts are compared as they are stored: no attribute of the repository has a say.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use gix::bstr::{BString, ByteSlice as _};
use gix::diff::tree::State;
use gix::diff::tree::recorder::Change;
use gix::objs::TreeRefIter;
use gix::objs::tree::EntryMode;
use gix::{ObjectId, Repository, Tree};
use parkway_core::tool::ToolError;
use schemars::JsonSchema;
use serde::Serialize;
use similar::{Algorithm, ChangeTag, TextDiff};

use super::bounded::Bounded;
use super::grants::Folder;
use super::open::broken;
use crate::watch::Watch;

/// The most files that are told.
const MOST_FILES: usize = 1_000;
/// The largest file that is compared, in bytes.
const LARGEST: u64 = 1 << 20;
/// The most bytes of diffs.
const MOST_BYTES: usize = 1 << 20;
/// How long two files are compared before a rougher diff of them is taken.
const PATIENCE: Duration = Duration::from_secs(1);

/// What became of a file.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Added,
    Removed,
    Changed,
    /// Its path is another one, and its content the same.
    Renamed,
}

/// Why a file has no diff.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LeftOut {
    /// It is no text.
    Binary,
    /// It has more than 1 MiB, or the diffs before it have used up the room.
    Large,
    /// It is another repository, of which the id of a commit is kept.
    Submodule,
}

/// A file that differs.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct File {
    /// Its path in the repository.
    path: String,
    /// Its path before, if it was renamed; else null.
    old_path: Option<String>,
    /// What became of it.
    status: Status,
    /// How many lines were added; null without a diff.
    added: Option<usize>,
    /// How many lines were removed; null without a diff.
    removed: Option<usize>,
    /// The diff, in the unified form; null if it is left out.
    diff: Option<String>,
    /// Why the diff is left out; null if it is not.
    left_out: Option<LeftOut>,
}

/// The files that differ, sorted by path.
pub(super) struct Changes {
    pub(super) files: Vec<File>,
    /// Whether there are more of them.
    pub(super) more: bool,
}

/// One side of a change.
type Side = Option<(EntryMode, ObjectId)>;

/// The difference between two trees, of the files at or below `path` alone, with so many lines around each change.
pub(super) fn changes(
    repository: &Repository,
    folder: &Folder,
    (from, to): (&Tree<'_>, &Tree<'_>),
    path: Option<&str>,
    context: usize,
    watch: &Watch,
) -> Result<Changes, ToolError> {
    let mut bounded = Bounded::new(watch);
    let [from, to] = [from, to].map(|tree| TreeRefIter::from_bytes(&tree.data, repository.object_hash()));
    let differ = gix::diff::tree(from, to, State::default(), &repository.objects, &mut bounded);
    if watch.is_over() {
        return Err(watch.stopped());
    }
    let Some(found) = bounded.changes() else {
        let message =
            "the commits differ in more files than can be compared; take commits that are closer to each other";
        return Err(ToolError::invalid("too_many", message));
    };
    differ.map_err(|error| broken(error, folder))?;
    let mut found: Vec<_> = found.into_iter().map(sides).collect();
    found.retain(|(file, old, new)| {
        let is_file = [old, new].into_iter().flatten().all(|(mode, _)| !mode.is_tree());
        is_file && path.is_none_or(|path| below(file, path))
    });
    let mut files = renamed(&mut found);
    let mut bytes = 0;
    let more = found.len() + files.len() > MOST_FILES;
    found.sort_by(|a, b| a.0.cmp(&b.0));
    files.truncate(MOST_FILES);
    for (path, old, new) in found.into_iter().take(MOST_FILES - files.len()) {
        if watch.is_over() {
            return Err(watch.stopped());
        }
        let file = compared(repository, &path, (old, new), context, MOST_BYTES.saturating_sub(bytes))
            .map_err(|error| broken(error, folder))?;
        bytes += file.diff.as_ref().map_or(0, String::len);
        files.push(file);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Changes { files, more })
}

fn sides(change: Change) -> (BString, Side, Side) {
    match change {
        Change::Addition { entry_mode, oid, path, .. } => (path, None, Some((entry_mode, oid))),
        Change::Deletion { entry_mode, oid, path, .. } => (path, Some((entry_mode, oid)), None),
        Change::Modification { previous_entry_mode, previous_oid, entry_mode, oid, path } => {
            (path, Some((previous_entry_mode, previous_oid)), Some((entry_mode, oid)))
        }
    }
}

fn below(file: &BString, path: &str) -> bool {
    let path = path.trim_end_matches('/').as_bytes();
    file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Takes out pairs of files that went away and came with the same content.
fn renamed(found: &mut Vec<(BString, Side, Side)>) -> Vec<File> {
    let mut gone: HashMap<ObjectId, Vec<BString>> = HashMap::new();
    for (path, old, new) in found.iter() {
        if let (Some((mode, id)), None) = (old, new)
            && mode.is_blob()
        {
            gone.entry(*id).or_default().push(path.clone());
        }
    }
    let mut files = Vec::new();
    let mut old_paths = HashSet::new();
    found.retain(|(path, old, new)| {
        let (None, Some((mode, id))) = (old, new) else { return true };
        let Some(old_path) = gone.get_mut(id).filter(|_| mode.is_blob()).and_then(Vec::pop) else { return true };
        files.push(File {
            path: path.to_str_lossy().into_owned(),
            old_path: Some(old_path.to_str_lossy().into_owned()),
            status: Status::Renamed,
            added: Some(0),
            removed: Some(0),
            diff: Some(String::new()),
            left_out: None,
        });
        old_paths.insert(old_path);
        false
    });
    found.retain(|(path, _, new)| new.is_some() || !old_paths.contains(path));
    files
}

fn compared(
    repository: &Repository,
    path: &BString,
    (old, new): (Side, Side),
    context: usize,
    room: usize,
) -> Result<File, gix::Error> {
    let status = match (&old, &new) {
        (None, _) => Status::Added,
        (_, None) => Status::Removed,
        _ => Status::Changed,
    };
    let path = path.to_str_lossy().into_owned();
    let without = |left_out| File {
        path: path.clone(),
        old_path: None,
        status,
        added: None,
        removed: None,
        diff: None,
        left_out: Some(left_out),
    };
    let mut texts = Vec::with_capacity(2);
    for side in [old, new] {
        let Some((mode, id)) = side else {
            texts.push(String::new());
            continue;
        };
        if mode.is_commit() {
            return Ok(without(LeftOut::Submodule));
        }
        // Its size is asked for before it is unpacked.
        if repository.find_header(id)?.size() > LARGEST {
            return Ok(without(LeftOut::Large));
        }
        let content = repository.find_object(id)?.detach().data;
        match String::from_utf8(content) {
            Ok(text) if !text.contains('\0') => texts.push(text),
            _ => return Ok(without(LeftOut::Binary)),
        }
    }
    let mut config = TextDiff::configure();
    let diff = config.algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(&texts[0], &texts[1]);
    let count = |tag: ChangeTag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    let before = if old.is_some() { format!("a/{path}") } else { "/dev/null".into() };
    let after = if new.is_some() { format!("b/{path}") } else { "/dev/null".into() };
    let text = diff.unified_diff().context_radius(context).header(&before, &after).to_string();
    if text.len() > room {
        return Ok(without(LeftOut::Large));
    }
    let (added, removed) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
    let (added, removed) = (Some(added), Some(removed));
    Ok(File { path, old_path: None, status, added, removed, diff: Some(text), left_out: None })
}
