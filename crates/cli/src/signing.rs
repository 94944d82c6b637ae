//! The log is signed, and its head brought to the places where heads are kept: by a command, and after each run if the settings say so.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use parkway::Parkway;
use parkway::audit::{Anchor, AuditLog, Heads, SigningKey};

use crate::failure::Failure;
use crate::next::Next;
use crate::out::say;

/// How the file of the key ends that is about to take the other's place.
pub(crate) const NEXT: &str = "next";

/// How the file ends, beside that of the key, of the head that was signed last. Who can change the store alone cannot change it.
const SIGNED: &str = "head";

/// Signs the log as it is, by the key that is named or the user's own for it. Nothing is signed that does not begin with what was signed
/// before: neither with the head beside the key, nor with those in these places.
pub(crate) async fn sign(
    log: &AuditLog,
    with: Option<&Path>,
    anchors: &[Anchor],
) -> Result<(String, SigningKey), Failure> {
    let (path, origin) = place(log, with).await?;
    let new = !path.exists();
    let key = SigningKey::open(&path, &origin)?;
    if new {
        say(&format!("a new key for this log is in {}; whoever has it can sign for you", path.display()));
    }
    goes_on(log, &path, anchors).await?;
    let signed = log.sign(&key).await.map_err(|error| match path.with_extension(NEXT).exists() {
        true => Failure::from(error).help("`parkway audit rotate` was interrupted: begin it once more"),
        false => error.into(),
    });
    let signed = signed?;
    remember(&path, &signed)?;
    Ok((signed, key))
}

/// That the log begins with the head that lies beside this key, and with the newest in each of these places that can be read.
pub(crate) async fn goes_on(log: &AuditLog, key: &Path, anchors: &[Anchor]) -> Result<(), Failure> {
    let origin = log.origin().await?;
    let mut known: Vec<(PathBuf, Heads)> = signed_last(key)?.into_iter().collect();
    for anchor in anchors {
        // What cannot be read is told when the new head is to be kept there.
        let file = anchor.file(&origin).ok().flatten();
        known.extend(file.and_then(|file| Some((file.clone(), Heads::read(&file).ok()?))));
    }
    for (file, heads) in known {
        let newest = heads.heads.into_iter().filter(|head| head.origin == origin).max_by_key(|head| head.size);
        if let Some(head) = newest
            && !log.begins_with(&head).await?
        {
            let (file, size) = (file.display(), head.size);
            return Err(Failure::failed(format!(
                "the log does not begin with the {size} events of the head in {file}, and is not signed: it was changed or cut off, or is \
                 an older copy"
            ))
            .help(format!(
                "`parkway audit verify --head {file}` says more; if an older copy was put in its place on purpose, move {file} away"
            )));
        }
    }
    Ok(())
}

/// The head that was signed last by the key in this file, and where it lies, if it does.
pub(crate) fn signed_last(key: &Path) -> Result<Option<(PathBuf, Heads)>, Failure> {
    let file = key.with_extension(SIGNED);
    if !file.exists() {
        return Ok(None);
    }
    let heads = Heads::read(&file).map_err(|why| {
        Failure::invalid(why)
            .help("it holds the head that was signed last; where that is known from elsewhere, remove it")
    })?;
    Ok(Some((file, heads)))
}

/// Keeps what was signed beside the key, whole or not at all. Where the last one is lost with the power, the one before is there.
pub(crate) fn remember(key: &Path, head: &str) -> Result<(), Failure> {
    let (file, beside) = (key.with_extension(SIGNED), key.with_extension(format!("{SIGNED}.{}", std::process::id())));
    let written = File::create(&beside)
        .and_then(|mut new| new.write_all(head.as_bytes()).and_then(|()| new.sync_all()))
        .and_then(|()| fs::rename(&beside, &file));
    written.map_err(|e| Failure::failed(format!("the log is signed, and {} cannot be written: {e}", file.display())))
}

/// Where the key lies, or is to lie, and the log that it is for.
pub(crate) async fn place(log: &AuditLog, with: Option<&Path>) -> Result<(PathBuf, String), Failure> {
    let origin = log.origin().await?;
    let found = with.map(Path::to_owned).or_else(|| SigningKey::place(&origin));
    let path = found.ok_or_else(|| {
        Failure::invalid("there is no home folder for the key").help("name a file with `--sign-with FILE`")
    })?;
    Ok((path, origin))
}

/// Keeps a head in all of these places at once, and says what was done in each. Those where it is not kept are the error.
pub(crate) async fn keep(head: &str, anchors: &[Anchor]) -> Result<Vec<String>, Failure> {
    let keep = |anchor: &Anchor| {
        let (anchor, head) = (anchor.clone(), head.to_owned());
        tokio::spawn(async move { anchor.keep(&head).await })
    };
    let tasks: Vec<_> = anchors.iter().map(keep).collect();
    let (mut kept, mut failed) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await {
            Ok(Ok(done)) => kept.push(done),
            Ok(Err(error)) => failed.push(error.to_string()),
            Err(error) => failed.push(error.to_string()),
        }
    }
    if failed.is_empty() {
        return Ok(kept);
    }
    kept.iter().for_each(|done| say(done));
    let places = failed.join("\n  ");
    Err(Failure::failed(format!("the log is signed, and its head is in the store, but not in all places:\n  {places}")))
}

/// Signs the log after a run, and keeps its head, where the settings say so. That it fails changes nothing of the run.
pub(crate) async fn after_run(parkway: &Parkway, next: &Next) {
    let settings = parkway.settings().filter(|settings| settings.signs_after_runs());
    // What goes away with the program is not to be proven.
    let Some(settings) = settings.filter(|settings| settings.store().0 != "sqlite::memory:") else { return };
    let done = async {
        let anchors = settings.anchors();
        let (head, _) = sign(&parkway.audit(), None, &anchors).await?;
        keep(&head, &anchors).await
    };
    if let Err(failure) = done.await {
        say(&format!("warning: after the run: {failure}"));
        say(&by_hand(next));
    }
}

/// How the log is signed without a run.
pub(crate) fn by_hand(next: &Next) -> String {
    format!("  by hand:     parkway audit head{}", next.store())
}
