//! Keys that give way to others: the log says so, and both sign it.

use parkway_core::audit::SignedHead;
use parkway_core::engine::{Author, Outside, happened_outside, record_outside};
use parkway_core::log::EventKind;
use parkway_verify::{Head, Key, KeyChain, Rotation};

use super::{AuditLog, SigningKey, signature_of};
use crate::error::Error;

impl AuditLog {
    /// Has a key give way to another: from now on only the other signs heads of this log. Signs the log with the one and then with the other,
    /// and gives the other's head. Who knows either key can follow to the other, by a note in the log that both have signed. Done again with
    /// the same two keys, it goes on where it was interrupted.
    ///
    /// # Errors
    ///
    /// A key is that of another log, both are the same, the earlier one has given way to a third, nothing has happened yet, or the store fails.
    pub async fn rotate(&self, by: &Author, from: &SigningKey, to: &SigningKey, note: &str) -> Result<String, Error> {
        self.is_of_this_log(from).await?;
        self.is_of_this_log(to).await?;
        let (old, new) = (from.public(), to.public());
        if old == new {
            return Err(Error::Audit("both keys are the same".into()));
        }
        // All of it: a key that gave way at any time does not come back.
        let read = self.store.audit().tree().await?.size;
        let known = self.rotations(0).await?;
        if known.iter().any(|(_, known)| known.from == new) {
            return Err(Error::Audit(format!("the key {new} has given way before, and does not come back")));
        }
        let successor = known.into_iter().find(|(_, known)| known.from == old).map(|(_, known)| known.to);
        match successor {
            Some(other) if other != new => return Err(gave_way(&old, &other)),
            Some(_) => {}
            None => {
                // It names a head, so that it holds in this log and behind these events alone.
                let head: Head = self.sign(from).await?.parse().map_err(Error::Audit)?;
                let text = Rotation::text(&head, &old, &new);
                let rotation = format!("{}{}", from.sign(&text), signature_of(&to.sign(&text)));
                let what = Outside::RotateKey { rotation, note: note.into() };
                record_outside(&self.services, by, &[what]).await?;
            }
        }
        self.sign_behind(to, read).await
    }

    /// The key that a key of this log has given way to, if it has done so behind `from` events.
    pub(super) async fn successor(&self, key: &Key, from: u64) -> Result<Option<Key>, Error> {
        let known = self.rotations(from).await?;
        Ok(known.into_iter().find(|(_, known)| known.from == *key).map(|(_, known)| known.to))
    }

    /// The heads that are kept, smallest first, and the keys that count where these are trusted, by what the log says of them.
    pub(super) async fn known(&self, trusted: &[Key]) -> Result<(Vec<SignedHead>, KeyChain), Error> {
        let mut rotations = self.rotations(0).await?;
        loop {
            let kept = self.kept_heads().await?;
            let again = self.rotations(0).await?;
            // Where a key gave way meanwhile, heads are missing that its note names.
            if again.len() > rotations.len() {
                rotations = again;
                continue;
            }
            let mut chain = KeyChain::new(trusted);
            kept.iter().for_each(|kept| chain.met(kept.head.size, *kept.head.root.as_bytes()));
            for (behind, rotation) in rotations {
                chain.rotate(behind, rotation).map_err(|why| Error::Audit(format!("event {behind}: {why}")))?;
            }
            return Ok((kept, chain));
        }
    }

    /// Each key that gave way behind `from` events or more, and behind how many. One that nobody has signed is an error: it was put there.
    async fn rotations(&self, from: u64) -> Result<Vec<(u64, Rotation)>, Error> {
        let origin = self.origin().await?;
        let mut known = Vec::new();
        for (index, event) in happened_outside(&*self.store, &["key_rotated"], from).await? {
            let EventKind::KeyRotated { rotation, .. } = event.kind else { continue };
            let rotation: Rotation = rotation.parse().map_err(|why| Error::Audit(format!("event {index}: {why}")))?;
            if rotation.origin != origin {
                return Err(Error::Audit(format!("event {index}: the keys are those of the log {}", rotation.origin)));
            }
            known.push((index, rotation));
        }
        Ok(known)
    }
}

/// That a key does not sign any more.
pub(super) fn gave_way(key: &Key, to: &Key) -> Error {
    Error::Audit(format!("the key {key} has given way to {to}, which signs this log now"))
}
