//! `parkway audit head | verify | replay | prove | export | erase | hold | lift | rotate`.

mod keys;
mod replay;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use parkway::Parkway;
use parkway::audit::{Anchor, AuditLog, Class, Doubt, Erase, Erased, Exported, Extent, Report};
use parkway::id::{RunId, Seq, Time};
use parkway::log::Channel;
use parkway::memory::Author;
use parkway::upkeep::{self, Checked, Depth};
use serde_json::json;

use self::keys::{Known, rotate};
use crate::args::{AuditArgs, AuditCommand, EraseArgs, Global, PlaceArgs};
use crate::command::store::tell_of_copies;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, now, say};
use crate::project::Project;
use crate::render::{counted, memories};
use crate::session::person;
use crate::signing::{keep, sign};

/// Proves the log of the store.
pub(crate) async fn audit(global: &Global, args: AuditArgs, out: &mut Out) -> Result<Exit, Failure> {
    let project = Project::find(global)?;
    let parkway = project.need().await?;
    let log = parkway.audit();
    match args.command {
        AuditCommand::Head { key, places } => {
            let anchors = anchors(&project, &places)?;
            let (note, key) = sign(&log, key.sign_with.as_deref(), &anchors).await?;
            out.text(note.trim_end())?;
            out.flush()?;
            say(&format!("the key that checks it:  {}", key.public()));
            keep_all(&note, &anchors).await?;
            if anchors.is_empty() {
                say(
                    "keep it where the store is not: who can change the store can then no longer change the past unseen",
                );
            }
            Ok(Exit::Done)
        }
        AuditCommand::Verify { head, keys, json } => {
            let path =
                project.file().ok_or_else(|| Failure::invalid(format!("{} is kept in no file", project.store)))?;
            let known = Known::of(&log, &head, &keys, &project.settings.anchors()).await?;
            let mut checked =
                upkeep::check(path, Depth::Full).await.map_err(|error| Failure::from(parkway::Error::from(error)))?;
            // A store that cannot be read is a doubt as well, beside what was found before.
            let mut found =
                log.verify(&known.trust).await.unwrap_or_else(|error| Err(Doubt { line: 0, what: error.to_string() }));
            if let (Ok(_), Some(what)) = (&found, known.doubt) {
                found = Err(Doubt { line: 0, what });
            }
            checked.unchecked.extend(known.open);
            if let Ok(report) = &mut found {
                // They are looked at with the store.
                report.payloads = checked.counts.texts;
            }
            let holds = checked.is_sound() && found.is_ok();
            if json {
                out.pretty(&value(&checked, &found))?;
            } else {
                tell(&checked, &found, out)?;
            }
            Ok(if holds { Exit::Done } else { Exit::Failed })
        }
        AuditCommand::Replay { run, anyway, json } => replay::replay(&parkway, &run, anyway, json, out).await,
        AuditCommand::Prove { run, event, key } => {
            let run = parkway.find_run(&run).await?.run;
            sign(&log, key.sign_with.as_deref(), &project.settings.anchors()).await?;
            let mut lines = Vec::new();
            log.export(&mut lines, Extent::Event(run, Seq(event))).await?;
            out.text(String::from_utf8_lossy(&lines).trim_end())?;
            Ok(Exit::Done)
        }
        AuditCommand::Erase { what, only, note, dry_run, json } => {
            let what = wanted(&parkway, what, &only).await?;
            let mut done = Erased::default();
            if dry_run {
                done.found = log.erasable(&what).await?;
            } else {
                done = log.erase(&Author::new(person(), Channel::Command), &what, &note).await?;
            }
            if json {
                out.pretty(&erased_value(&done, dry_run))?;
            } else {
                tell_erased(&done, dry_run, out)?;
            }
            if !dry_run && !done.found.is_empty() {
                tell_of_copies(&project);
            }
            Ok(Exit::Done)
        }
        AuditCommand::Hold { run, note } => {
            let run = named(&parkway, run.as_deref()).await?;
            log.hold(&Author::new(person(), Channel::Command), run, &note).await?;
            let what = run.map_or_else(|| "anything".to_owned(), |run| format!("run {run}"));
            out.text(&format!("nothing of {what} may be erased until the hold is lifted"))?;
            Ok(Exit::Done)
        }
        AuditCommand::Lift { run, note } => {
            let run = named(&parkway, run.as_deref()).await?;
            log.lift(&Author::new(person(), Channel::Command), run, &note).await?;
            let what = run.map_or_else(|| "everything".to_owned(), |run| format!("run {run}"));
            out.text(&format!("the hold of {what} is lifted"))?;
            Ok(Exit::Done)
        }
        AuditCommand::Rotate { key, note } => {
            let anchors = project.settings.anchors();
            let (head, key) = rotate(&log, &key, &note, &anchors).await?;
            out.text(head.trim_end())?;
            out.flush()?;
            say(&format!("the key that checks it now:  {}", key.public()));
            say(
                "tell it to whoever checks this log; the one before is gone, and what it signs from now on does not count",
            );
            keep_all(&head, &anchors).await?;
            Ok(Exit::Done)
        }
        AuditCommand::Export { file, run: Some(run), form: Some(_), .. } => {
            let run = parkway.find_run(&run).await?.run;
            let records = log.trail(&parkway.record(run).await?).await?;
            let mut lines = Vec::new();
            records.iter().for_each(|record| lines.extend(format!("{record}\n").into_bytes()));
            if file == Path::new("-") {
                out.text(String::from_utf8_lossy(&lines).trim_end())?;
            } else {
                File::create_new(&file)
                    .and_then(|mut made| made.write_all(&lines).and_then(|()| made.sync_all()))
                    .map_err(|e| unwritten(&file, &e))?;
            }
            say(&format!(
                "{} of an agent audit trail; no signature is in them",
                counted(records.len() as u64, "record")
            ));
            Ok(Exit::Done)
        }
        AuditCommand::Export { file, run, key, .. } => {
            let extent = match run {
                Some(run) => Extent::Run(parkway.find_run(&run).await?.run),
                None => Extent::Whole,
            };
            let (_, key) = sign(&log, key.sign_with.as_deref(), &project.settings.anchors()).await?;
            let done = export(&log, &file, extent).await?;
            let (events, texts, heads) =
                (counted(done.events, "event"), counted(done.texts, "text"), counted(done.heads, "head"));
            say(&format!("{events}, {texts}, {heads}; to check them without Parkway:"));
            let shown = if file == Path::new("-") { "FILE".to_owned() } else { file.display().to_string() };
            say(&format!("  parkway-verify {shown} --key {}", key.public()));
            Ok(Exit::Done)
        }
    }
}

/// Keeps a head in these places, and says what was done.
async fn keep_all(head: &str, anchors: &[Anchor]) -> Result<(), Failure> {
    let kept = keep(head, anchors).await;
    let kept = kept.map_err(|failure| failure.help("mend that, and sign once more: `parkway audit head`"))?;
    kept.iter().for_each(|done| say(done));
    Ok(())
}

async fn named(parkway: &Parkway, run: Option<&str>) -> Result<Option<RunId>, Failure> {
    Ok(match run {
        Some(run) => Some(parkway.find_run(run).await?.run),
        None => None,
    })
}

async fn wanted(parkway: &Parkway, args: EraseArgs, only: &[String]) -> Result<Erase, Failure> {
    let run = named(parkway, args.run.as_deref()).await?;
    let before = args.older_than.map(|days| {
        let age = i64::from(days).saturating_mul(86_400_000_000);
        Time::from_micros(now().micros().saturating_sub(age))
    });
    let mut what = match (&args.text, run, before) {
        (Some(text), ..) => Erase::text(text),
        (None, Some(run), _) => Erase::run(run),
        (None, None, before) => Erase::before(before.unwrap_or_default()),
    };
    (what.run, what.before) = (run, before);
    if !only.is_empty() {
        what.classes.clear();
        for name in only {
            let class = Class::from_name(name).ok_or_else(|| {
                let all: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
                Failure::invalid(format!("`{name}` is no class of texts"))
                    .help(format!("the classes: {}", all.join(", ")))
            })?;
            what.classes.insert(class);
        }
    }
    Ok(what)
}

fn tell_erased(done: &Erased, dry_run: bool, out: &mut Out) -> Result<(), Failure> {
    let found = &done.found;
    let would = if dry_run { "would be erased" } else { "erased" };
    let texts = counted(found.len() as u64, "text");
    let runs = counted(found.texts.len() as u64, "run");
    let classes: Vec<String> =
        found.classes.iter().map(|(class, count)| format!("{} {count}", class.as_str())).collect();
    let classes = if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
    out.text(&format!("{texts} of {runs} {would}{classes}"))?;
    if !found.memories.is_empty() {
        let memories = memories(found.memories.len() as u64);
        out.text(&format!("{memories} {}", if dry_run { "would be forgotten" } else { "forgotten" }))?;
    }
    for run in &found.open {
        out.text(&format!("run {run} has not ended, and keeps its texts"))?;
    }
    for run in &found.held {
        out.text(&format!("run {run} is held, and keeps its texts"))?;
    }
    if !dry_run && !done.purged && !found.is_empty() {
        say("  another process reads the store: the bytes leave its file when that ends");
    }
    if !dry_run && !found.is_empty() {
        say("  backups and exports that were made before have them still; make a sealed backup, and shred older ones:");
        say("    parkway store backup FILE --seal KEYS");
        say("    parkway store shred --before TIME --keys KEYS --note WHY");
    }
    Ok(())
}

fn erased_value(done: &Erased, dry_run: bool) -> serde_json::Value {
    let found = &done.found;
    let runs = |runs: &[RunId]| runs.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "dry_run": dry_run, "texts": found.len(), "classes": found.classes, "memories": found.memories.len(),
        "runs": found.texts.keys().map(ToString::to_string).collect::<Vec<_>>(),
        "open": runs(&found.open), "held": runs(&found.held), "purged": done.purged,
    })
}

/// The places where a head is kept: those that the settings name, and those of the command.
fn anchors(project: &Project, places: &PlaceArgs) -> Result<Vec<Anchor>, Failure> {
    let mut anchors = project.settings.anchors();
    let posted = places.post.iter().map(|url| Anchor::post(url, None));
    let named = places.append.iter().map(Anchor::append).chain(places.commit.iter().map(Anchor::commit)).map(Ok);
    for anchor in named.chain(posted) {
        let anchor = anchor.map_err(|error| Failure::invalid(error.to_string()))?;
        if !anchors.contains(&anchor) {
            anchors.push(anchor);
        }
    }
    Ok(anchors)
}

async fn export(log: &AuditLog, file: &Path, extent: Extent) -> Result<Exported, Failure> {
    if file == Path::new("-") {
        return Ok(log.export(&mut BufWriter::new(io::stdout()), extent).await?);
    }
    let failed = |e: io::Error| unwritten(file, &e);
    let made = File::create_new(file).map_err(failed)?;
    let done = written(log, made, extent, failed).await;
    if done.is_err() {
        // A part of an export is none.
        let _ = fs::remove_file(file);
    }
    done
}

fn unwritten(file: &Path, error: &io::Error) -> Failure {
    let failure = Failure::failed(format!("{} cannot be written: {error}", file.display()));
    if error.kind() == io::ErrorKind::AlreadyExists { failure.help("name another file") } else { failure }
}

/// Writes an export to a file, on disk when this returns.
async fn written(
    log: &AuditLog,
    file: File,
    extent: Extent,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<Exported, Failure> {
    let mut buffer = BufWriter::new(file);
    let done = log.export(&mut buffer, extent).await?;
    buffer.into_inner().map_err(|e| failed(e.into_error()))?.sync_all().map_err(failed)?;
    Ok(done)
}

type Found = Result<Report, Doubt>;

fn tell(checked: &Checked, found: &Found, out: &mut Out) -> Result<(), Failure> {
    for problem in &checked.problems {
        out.text(&format!("problem: {problem}"))?;
    }
    match found {
        Ok(report) => out.text(report.to_string().trim_end())?,
        Err(doubt) => out.text(&format!("doubt: {doubt}"))?,
    }
    for what in &checked.unchecked {
        out.text(&format!("not looked at: {what}"))?;
    }
    let holds = match (checked.found, found) {
        (0, Ok(_)) => "it is as it was written".to_owned(),
        (0, Err(_)) => "the log is not what was signed, or not what it was".to_owned(),
        (1, _) => "1 problem in the store".to_owned(),
        (n, _) => format!("{n} problems in the store"),
    };
    Ok(out.line(&holds)?)
}

fn value(checked: &Checked, found: &Found) -> serde_json::Value {
    let problems: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
    let (report, doubt) = match found {
        Ok(report) => (Some(report), None),
        Err(doubt) => (None, Some(doubt.to_string())),
    };
    let log = report.map(|report| {
        json!({
            "origin": report.origin, "events": report.events, "runs": report.runs, "texts": report.payloads,
            "signed_events": report.newest.map(|(size, _)| size), "root": report.newest.map(|(_, root)| hex::encode(root)),
            "heads": report.heads, "keys": report.keys, "heads_from_elsewhere": report.pinned, "not_proven": report.open,
        })
    });
    json!({
        "holds": checked.is_sound() && found.is_ok(), "doubt": doubt, "log": log, "problems_found": checked.found,
        "problems": problems, "not_looked_at": checked.unchecked,
    })
}
