//! The key that signs the log, trusted, and given up for another; and the heads that are known from elsewhere.

use std::io;
use std::path::{Path, PathBuf};

use parkway::audit::{Anchor, AuditLog, Heads, SigningKey, Trust};
use parkway::log::Channel;
use parkway::memory::Author;

use crate::args::KeyArgs;
use crate::failure::Failure;
use crate::out::say;
use crate::render::counted;
use crate::session::person;
use crate::signing::{NEXT, goes_on, place, remember, signed_last};

/// Has a new key take the place of the one that signs. Killed at any point and begun again, it goes on with the same new key: that lies
/// beside the other until the log has taken note of it.
pub(super) async fn rotate(
    log: &AuditLog,
    args: &KeyArgs,
    note: &str,
    anchors: &[Anchor],
) -> Result<(String, SigningKey), Failure> {
    let (path, origin) = place(log, args.sign_with.as_deref()).await?;
    if !path.exists() {
        return Err(Failure::invalid(format!("there is no key in {}", path.display()))
            .help("`parkway audit head` makes the log's first key; `--sign-with FILE` names the one that signs"));
    }
    let from = SigningKey::open(&path, &origin)?;
    goes_on(log, &path, anchors).await?;
    let beside = path.with_extension(NEXT);
    let to = SigningKey::open(&beside, &origin)?;
    let head = log.rotate(&Author::new(person(), Channel::Command), &from, &to, note).await?;
    let failed = |e: io::Error| {
        let (beside, path) = (beside.display(), path.display());
        Failure::failed(format!("the log has a new key, and {beside} cannot be put in the place of {path}: {e}"))
            .help("begin once more: it goes on from here")
    };
    remember(&path, &head)?;
    SigningKey::replace(&path, &beside).map_err(failed)?;
    Ok((head, to))
}

/// What is known of a log from elsewhere.
#[derive(Default)]
pub(super) struct Known {
    pub(super) trust: Trust,
    /// What was not looked at.
    pub(super) open: Vec<String>,
    /// Why a place where heads are kept shows nothing of a log that was signed.
    pub(super) doubt: Option<String>,
}

impl Known {
    /// Keys and heads that count: those that are named, the key that signs here, if there is one, with what it has signed last, and the
    /// heads in the places that the settings name.
    pub(super) async fn of(
        log: &AuditLog,
        heads: &[PathBuf],
        keys: &[String],
        anchors: &[Anchor],
    ) -> Result<Self, Failure> {
        let mut known = Known::default();
        for file in heads {
            let read = Heads::read(file).map_err(Failure::invalid)?;
            known.take(file, read);
        }
        for key in keys {
            known.trust.keys.push(key.parse().map_err(|why: String| Failure::invalid(why))?);
        }
        let (origin, mut beside) = (log.origin().await?, None);
        if let Some(path) = SigningKey::place(&origin).filter(|path| path.exists()) {
            known.trust.keys.push(SigningKey::open(&path, &origin)?.public());
            beside = signed_last(&path)?;
        }
        let signed = log.newest_head().await?.is_some();
        for anchor in anchors {
            match anchor.file(&origin)? {
                Some(file) => known.look(&file, &origin, signed),
                None => known.open.push(format!("the heads at {anchor}")),
            }
        }
        if let Some((file, mut last)) = beside {
            last.heads.retain(|head| !known.trust.heads.contains(head));
            known.take(&file, last);
        }
        Ok(known)
    }

    /// Takes the heads of a log in a place that the settings name. Where it was signed, there is one.
    fn look(&mut self, file: &Path, origin: &str, signed: bool) {
        let read = Heads::read(file).map(|mut read| {
            // Several logs may share a file.
            read.heads.retain(|head| head.origin == origin);
            read
        });
        let why = match read {
            Ok(read) if !read.heads.is_empty() => {
                say(&format!(
                    "{} of {} that the settings name",
                    counted(read.heads.len() as u64, "head"),
                    file.display()
                ));
                return self.take(file, read);
            }
            Ok(_) => format!("no head of this log is in {}", file.display()),
            Err(why) => why,
        };
        if !signed {
            self.open.push(format!("{why}; nothing was signed yet"));
        } else if self.doubt.is_none() {
            self.doubt = Some(format!(
                "the settings keep heads there, and the log was signed, but {why}: it was moved or changed, is not mounted, or \
                 `parkway audit head` has not kept one there yet"
            ));
        }
    }

    fn take(&mut self, file: &Path, read: Heads) {
        self.trust.heads.extend(read.heads);
        let cut = read
            .cut
            .iter()
            .map(|line| format!("{}, line {line}: a head that was not written to its end", file.display()));
        self.open.extend(cut);
    }
}
