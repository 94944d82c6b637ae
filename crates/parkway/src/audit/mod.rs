//! What proves the log of a store: heads that are signed, exports that an auditor checks without Parkway, and the check of the store
//! itself.
//!
//! All events of a store, over all its runs, are the leaves of one tree (RFC 6962). A head says how many there are, and the one hash that
//! stands for them; signed, it is a note that anybody can check who has the key's public half. Who has kept a head can tell later
//! whether the log still begins with what it stood for.
//!
//! ```
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! use parkway::audit::{Extent, SigningKey};
//! use parkway::{Parkway, Workflow, inputs};
//!
//! let parkway = Parkway::builder().store("sqlite::memory:").build().await?;
//! let source = "parkway: 1\nsteps:\n  one: { set: { n: 1 } }\n";
//! parkway.start(Workflow::from_source("one.yaml", source)?, inputs! {}).await?.output::<serde_json::Value>().await?;
//!
//! let audit = parkway.audit();
//! let key = SigningKey::generate(&audit.origin().await?)?;
//! let head = audit.sign(&key).await?;
//! assert!(head.starts_with(&audit.origin().await?));
//! let mut export = Vec::new();
//! audit.export(&mut export, Extent::Whole).await?;
//! let trust = parkway::audit::Trust { keys: vec![key.public()], heads: Vec::new() };
//! assert!(parkway::audit::verify_export(export.as_slice(), &trust).is_ok());
//! assert!(audit.verify(&trust).await?.is_ok());
//! # Ok::<_, parkway::Error>(())
//! # }).unwrap();
//! ```

#[cfg(feature = "anchors")]
mod anchor;
mod check;
mod class;
mod contains;
mod erase;
mod export;
mod family;
mod hold;
mod keeping;
mod key;
mod replay;
mod rotate;
#[cfg(feature = "sqlite")]
mod shred;
mod trail;

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parkway_core::audit::{SignedHead, TreeHead, hashes};
pub use parkway_core::engine::Holds;
use parkway_core::engine::Services;
use parkway_core::log::proof::Span;
use parkway_core::store::Store;
pub use parkway_verify::{Doubt, Head, Heads, Key, Report, Trust, verify as verify_export};

#[cfg(feature = "anchors")]
pub use self::anchor::Anchor;
#[cfg(feature = "anchors")]
pub(crate) use self::anchor::address;
pub use self::class::Class;
pub use self::erase::{Erase, Erased, Found};
pub use self::export::{Exported, Extent};
pub use self::key::SigningKey;
pub use self::replay::{Difference, Excerpt, Outcome, Replay, Replayed, Replaying};
pub use self::trail::TRAIL;
use crate::error::Error;

/// The log of a store, to be proven. Made by [`Parkway::audit`](crate::Parkway::audit).
#[derive(Clone)]
pub struct AuditLog {
    store: Arc<dyn Store>,
    services: Services,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}

impl AuditLog {
    pub(crate) fn new(services: Services) -> Self {
        AuditLog { store: services.store.clone(), services }
    }

    /// The name of the log in its heads: `parkway/` and an id that no other log has. Copies of a store are the same log.
    pub async fn origin(&self) -> Result<String, Error> {
        Ok(format!("parkway/{}", self.store.audit().log_id().await?))
    }

    /// Signs the log as it is on disk now, keeps the head in the store, and gives it as a note. Where nothing has happened since the
    /// newest head, it is that one, with this key's signature beside those that it has.
    ///
    /// # Errors
    ///
    /// The key is that of another log, or has [given way](AuditLog::rotate) to another; the log does not begin with what the key has
    /// signed last; nothing has happened yet; or the store fails.
    pub async fn sign(&self, key: &SigningKey) -> Result<String, Error> {
        self.is_of_this_log(key).await?;
        let signed = self.signed_by(&key.public()).await?;
        self.sign_behind(key, signed).await
    }

    /// Signs the log by a key that did not give way within its first `known` events.
    async fn sign_behind(&self, key: &SigningKey, known: u64) -> Result<String, Error> {
        let audit = self.store.audit();
        // Before it is asked whether the key gave way: nothing that comes in between is signed.
        let head = audit.tree().await?;
        if let Some(other) = self.successor(&key.public(), known).await? {
            return Err(rotate::gave_way(&key.public(), &other));
        }
        if head.size == 0 {
            return Err(Error::Audit("nothing has happened yet that could be signed".into()));
        }
        let text = text_of(&self.origin().await?, head);
        let mut note = key.sign(&text);
        if let Some(newest) = audit.newest_head().await?.filter(|newest| newest.head == head) {
            match newest.note.parse::<Head>() {
                Ok(known) if known.note.is_signed_by(&key.public()) == Ok(true) => return Ok(newest.note),
                // What cannot be read, or was signed otherwise, is no evidence, and gives way.
                Ok(known) if known.note.text() == text => note = format!("{}{}", newest.note, signature_of(&note)),
                _ => {}
            }
        }
        audit.keep_head(&SignedHead { head, note: note.clone() }).await?;
        Ok(note)
    }

    /// Of how many events the newest head is, where this key has signed it; else 0. When it did, it had not given way within them, and by
    /// their hashes the log still begins with them: so nobody has put anything there since, and they need not be read again.
    async fn signed_by(&self, key: &Key) -> Result<u64, Error> {
        let audit = self.store.audit();
        let newest = audit.newest_head().await?.and_then(|newest| newest.note.parse::<Head>().ok());
        let Some(head) = newest.filter(|head| head.note.is_signed_by(key) == Ok(true)) else { return Ok(0) };
        if self.begins_with(&head).await? {
            return Ok(head.size);
        }
        Err(Error::Audit(format!(
            "the key {key} has signed {} events that the log does not begin with: it was changed, or its end was cut off; \
             `parkway audit verify` says more",
            head.size
        )))
    }

    /// Whether the log is the one that a head is of, and begins with what it stands for, by its hashes: these are held against the events
    /// by [`AuditLog::verify`].
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn begins_with(&self, head: &Head) -> Result<bool, Error> {
        let audit = self.store.audit();
        if head.origin != self.origin().await? || head.size > audit.tree().await?.size {
            return Ok(false);
        }
        if head.size == 0 {
            return Ok(true);
        }
        let root = hashes(audit, &[Span { first: 0, end: head.size }]).await?.pop();
        Ok(root.is_some_and(|root| *root.as_bytes() == head.root))
    }

    async fn is_of_this_log(&self, key: &SigningKey) -> Result<(), Error> {
        let (origin, name) = (self.origin().await?, key.name());
        if name == origin {
            return Ok(());
        }
        let message = format!("the key is that of the log {name}, and this is {origin}; each log has a key of its own");
        Err(Error::Audit(message))
    }

    /// The newest head that was signed, as a note.
    pub async fn newest_head(&self) -> Result<Option<String>, Error> {
        Ok(self.store.audit().newest_head().await?.map(|head| head.note))
    }
}

/// The id in the name of a log, which names its files; none, if it cannot name one.
fn id_of(origin: &str) -> Option<&str> {
    origin.rsplit('/').next().filter(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// What is signed of a head (C2SP `tlog-checkpoint`).
fn text_of(origin: &str, head: TreeHead) -> String {
    format!("{origin}\n{}\n{}\n", head.size, BASE64_STANDARD.encode(head.root.as_bytes()))
}

/// The line of a note that one key has signed.
fn signature_of(note: &str) -> String {
    note.lines().next_back().map(|line| format!("{line}\n")).unwrap_or_default()
}
