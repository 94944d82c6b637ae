//! `parkway store check | backup | restore | shred | vacuum`.

mod shred;

use std::path::Path;

use parkway::upkeep::{self, Checked, Depth, Extent, Keys};
use serde_json::{Value, json};

use crate::args::{Global, StoreArgs, StoreCommand};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, now, say};
use crate::project::Project;
use crate::render::local;

/// Keeps the store well.
pub(crate) async fn store(global: &Global, args: StoreArgs, out: &mut Out) -> Result<Exit, Failure> {
    let project = Project::find(global)?;
    match args.command {
        StoreCommand::Check { file, keys, quick, json } => {
            let path = match &file {
                Some(file) => file,
                None => there(&project)?,
            };
            let depth = if quick { Depth::Quick } else { Depth::Full };
            let checked = match keys {
                Some(keys) => {
                    project.make_folder()?;
                    upkeep::check_sealed(named(&project)?, path, &Keys::at(keys), depth).await
                }
                None => upkeep::check(path, depth).await,
            };
            let checked = checked.map_err(failure)?;
            tell(path, &checked, json, out)
        }
        StoreCommand::Backup { file, seal } => {
            let path = there(&project)?;
            let made = match &seal {
                Some(keys) => upkeep::backup_sealed(path, &file, &Keys::at(keys), now()).await,
                None => upkeep::backup(path, &file).await,
            };
            let made = made.map_err(failure)?;
            out.text(&format!("{}: {}", file.display(), bytes(made.bytes)))?;
            out.text(&format!("  it is sound: {}", counted(&made.checked)))?;
            if let (Some(id), Some(keys)) = (made.sealed, seal) {
                let keys = keys.display();
                out.text(&format!(
                    "  it is sealed: its id is {id}, and its key is in {keys}; without the key nobody reads it"
                ))?;
            }
            Ok(Exit::Done)
        }
        StoreCommand::Restore { file, keys } => {
            let path = named(&project)?;
            project.make_folder()?;
            let done = match keys {
                Some(keys) => upkeep::restore_sealed(path, &file, &Keys::at(keys), now()).await,
                None => upkeep::restore(path, &file, now()).await,
            };
            let done = done.map_err(failure)?;
            out.text(&format!("{} is now as it was at the backup: {}", shown(path), extent(&done.now)))?;
            if let Some(kept) = done.kept {
                let before = done.before.map_or_else(|| "it cannot be read".to_owned(), |before| extent(&before));
                out.text(&format!("  what it was is in {}: {before}", shown(&kept)))?;
            }
            out.line(
                "  what its open runs did after the backup they do again when they are resumed: parkway runs --open",
            )?;
            Ok(Exit::Done)
        }
        StoreCommand::Shred { what, keys, note, of_any_store, dry_run } => {
            let keys = Keys::at(keys);
            let keys = if of_any_store { keys.of_any_store() } else { keys };
            shred::shred(&project, &what, &keys, &note, dry_run, out).await
        }
        StoreCommand::Vacuum => {
            let path = there(&project)?;
            let done = upkeep::vacuum(path).await.map_err(failure)?;
            let (before, after) = (bytes(done.before), bytes(done.after));
            out.text(&format!("{}: {before} before, {after} now", shown(path)))?;
            Ok(Exit::Done)
        }
    }
}

/// Tells of plain copies beside the store, which have what was erased or shredded.
pub(crate) fn tell_of_copies(project: &Project) {
    let copies = project.file().map(upkeep::copies_beside).unwrap_or_default();
    if !copies.is_empty() {
        say("  plain copies lie beside the store, and have what they had; remove those that nobody needs:");
        copies.iter().for_each(|copy| say(&format!("    {}", shown(copy))));
    }
}

/// A path as it is said here: from the working directory, where it is below that.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let behind = here.as_ref().and_then(|here| here.canonicalize().ok());
    let below = [here, behind].into_iter().flatten().find_map(|here| path.strip_prefix(here).ok());
    below.unwrap_or(path).display().to_string()
}

/// The store's file.
fn named(project: &Project) -> Result<&Path, Failure> {
    project.file().ok_or_else(|| Failure::invalid(format!("{} is kept in no file", project.store)))
}

/// The store's file, which is there.
fn there(project: &Project) -> Result<&Path, Failure> {
    let path = named(project)?;
    if path.exists() {
        return Ok(path);
    }
    let message = format!("there are no runs yet: there is no store at {}", project.store);
    Err(Failure::invalid(message).help("name a file, or another store with `--store`"))
}

fn failure(error: parkway::store::StoreError) -> Failure {
    parkway::Error::from(error).into()
}

fn tell(path: &Path, checked: &Checked, as_json: bool, out: &mut Out) -> Result<Exit, Failure> {
    let exit = if checked.is_sound() { Exit::Done } else { Exit::Failed };
    if as_json {
        out.pretty(&value(path, checked))?;
        return Ok(exit);
    }
    for problem in &checked.problems {
        out.text(&format!("problem: {problem}"))?;
    }
    let (file, log) = (bytes(checked.file_bytes), bytes(checked.wal_bytes));
    out.text(&format!("{}: {file}, write-ahead log {log}, version {}", shown(path), checked.schema))?;
    out.text(&format!("  looked at: {}", counted(checked)))?;
    for what in &checked.unchecked {
        out.text(&format!("  not looked at: {what}"))?;
    }
    match checked.found {
        0 => out.line("it is sound")?,
        1 => out.line("1 problem")?,
        n => out.line(&format!("{n} problems"))?,
    }
    if !checked.is_sound() {
        say("  keep a copy of the file as it is; put a backup in its place with: parkway store restore FILE");
    }
    Ok(exit)
}

fn counted(checked: &Checked) -> String {
    let counts = &checked.counts;
    let runs = format!("{} ({} folded)", number(counts.runs, "run"), counts.folded);
    let texts = format!("{} of {}", number(counts.texts, "text"), bytes(counts.text_bytes));
    let parts = [
        runs,
        number(counts.events, "event"),
        number(counts.references, "reference"),
        texts,
        number(counts.blobs, "blob"),
        number(counts.messages, "message"),
        format!("{} in the outbox", counts.outbox),
    ];
    let mut parts = Vec::from(parts);
    if counts.memories > 0 {
        parts.push(crate::render::memories(counts.memories));
    }
    if counts.erased > 0 {
        parts.push(format!("{} erased", number(counts.erased, "text")));
    }
    parts.join(", ")
}

fn extent(extent: &Extent) -> String {
    let newest = extent.newest.map(|newest| format!(", the newest of {}", local(newest))).unwrap_or_default();
    format!("{}, {}{newest}", number(extent.runs, "run"), number(extent.events, "event"))
}

fn number(n: u64, of: &str) -> String {
    if n == 1 { format!("1 {of}") } else { format!("{n} {of}s") }
}

/// `96 KiB`, `3.1 MiB`.
fn bytes(bytes: u64) -> String {
    if bytes < 1 << 20 {
        return format!("{} KiB", bytes.div_ceil(1 << 10));
    }
    let tenths = (bytes * 10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

fn value(path: &Path, checked: &Checked) -> Value {
    let counts = &checked.counts;
    let problem = |problem: &upkeep::Problem| {
        json!({
            "run": problem.run.map(|run| run.to_string()),
            "event": problem.event.map(|event| event.0),
            "what": problem.what,
        })
    };
    json!({
        "file": path.display().to_string(),
        "sound": checked.is_sound(),
        "schema": checked.schema,
        "file_bytes": checked.file_bytes,
        "wal_bytes": checked.wal_bytes,
        "looked_at": {
            "runs": counts.runs,
            "folded": counts.folded,
            "events": counts.events,
            "references": counts.references,
            "texts": counts.texts,
            "text_bytes": counts.text_bytes,
            "blobs": counts.blobs,
            "messages": counts.messages,
            "outbox": counts.outbox,
        },
        "found": checked.found,
        "problems": checked.problems.iter().map(problem).collect::<Vec<_>>(),
        "not_looked_at": checked.unchecked,
    })
}
