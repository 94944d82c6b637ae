//! The log is signed, and its head brought to the places where heads are kept: by a command, and after each run if the settings say so.

use std::path::{Path, PathBuf};

use parkway::Parkway;
use parkway::audit::{Anchor, AuditLog, SigningKey};

use crate::failure::Failure;
use crate::next::Next;
use crate::out::say;

/// How the file of the key ends that is about to take the other's place.
pub(crate) const NEXT: &str = "next";

/// Signs the log as it is, by the key that is named or the user's own for it.
pub(crate) async fn sign(log: &AuditLog, with: Option<&Path>) -> Result<(String, SigningKey), Failure> {
    let (path, origin) = place(log, with).await?;
    let new = !path.exists();
    let key = SigningKey::open(&path, &origin)?;
    if new {
        say(&format!("a new key for this log is in {}; whoever has it can sign for you", path.display()));
    }
    let signed = log.sign(&key).await.map_err(|error| match path.with_extension(NEXT).exists() {
        true => Failure::from(error).help("`parkway audit rotate` was interrupted: begin it once more"),
        false => error.into(),
    });
    Ok((signed?, key))
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
        let (head, _) = sign(&parkway.audit(), None).await?;
        keep(&head, &settings.anchors()).await
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
