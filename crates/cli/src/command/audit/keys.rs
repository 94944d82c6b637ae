//! The key that signs the log: found, made, trusted, and given up for another.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use parkway::audit::{AuditLog, Head, SigningKey, Trust};
use parkway::log::Channel;
use parkway::memory::Author;

use crate::args::KeyArgs;
use crate::failure::Failure;
use crate::out::say;
use crate::session::person;

/// How the file of the key ends that is about to take the other's place.
const NEXT: &str = "next";

/// Signs the log as it is, by the key that is named or the user's own for it.
pub(super) async fn sign(log: &AuditLog, args: &KeyArgs) -> Result<(String, SigningKey), Failure> {
    let (path, origin) = place(log, args).await?;
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

/// Has a new key take the place of the one that signs. Killed at any point and begun again, it goes on with the same new key: that lies
/// beside the other until the log has taken note of it.
pub(super) async fn rotate(log: &AuditLog, args: &KeyArgs, note: &str) -> Result<(String, SigningKey), Failure> {
    let (path, origin) = place(log, args).await?;
    if !path.exists() {
        return Err(Failure::invalid(format!("there is no key in {}", path.display()))
            .help("`parkway audit head` makes the log's first key; `--sign-with FILE` names the one that signs"));
    }
    let from = SigningKey::open(&path, &origin)?;
    let beside = path.with_extension(NEXT);
    let to = SigningKey::open(&beside, &origin)?;
    let head = log.rotate(&Author::new(person(), Channel::Command), &from, &to, note).await?;
    let failed = |e: io::Error| {
        let (beside, path) = (beside.display(), path.display());
        Failure::failed(format!("the log has a new key, and {beside} cannot be put in the place of {path}: {e}"))
            .help("begin once more: it goes on from here")
    };
    fs::rename(&beside, &path).map_err(failed)?;
    // A folder can be opened, and brought to the disk, on Unix only.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok((head, to))
}

/// Keys and heads that count: those that are named, and the key that signs here, if there is one.
pub(super) async fn trust(log: &AuditLog, heads: &[PathBuf], keys: &[String]) -> Result<Trust, Failure> {
    let mut trust = Trust::default();
    for file in heads {
        let text = fs::read_to_string(file)
            .map_err(|e| Failure::invalid(format!("{} cannot be read: {e}", file.display())))?;
        let read = Head::read_all(&text).map_err(|why| Failure::invalid(format!("{}: {why}", file.display())))?;
        trust.heads.extend(read);
    }
    for key in keys {
        trust.keys.push(key.parse().map_err(|why: String| Failure::invalid(why))?);
    }
    let origin = log.origin().await?;
    if let Some(path) = SigningKey::place(&origin).filter(|path| path.exists()) {
        trust.keys.push(SigningKey::open(&path, &origin)?.public());
    }
    Ok(trust)
}

async fn place(log: &AuditLog, args: &KeyArgs) -> Result<(PathBuf, String), Failure> {
    let origin = log.origin().await?;
    let found = args.sign_with.clone().or_else(|| SigningKey::place(&origin));
    let path = found.ok_or_else(|| {
        Failure::invalid("there is no home folder for the key").help("name a file with `--sign-with FILE`")
    })?;
    Ok((path, origin))
}
