//! The payloads of a run that were written or read lately. Each is read from its bytes when somebody first looks at it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::Value as Seen;
use minijinja::value::Serde;
use serde_json::Value;

use crate::id::Seq;
use crate::log::{Commitment, Payload, PayloadError};

/// About how many bytes of payloads are kept in memory, twice: of those used lately, and of those used before.
pub(super) const KEPT: usize = 16 << 20;

/// What is at hand; shared by those who look at it while a template is evaluated.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    recent: HashMap<Commitment, Known>,
    recent_bytes: usize,
    older: HashMap<Commitment, Known>,
    /// The event by which all of `older` was recorded.
    older_until: Seq,
    /// What was looked for and is not here.
    missing: BTreeSet<Commitment>,
}

#[derive(Debug)]
enum Known {
    /// As it was written, and never looked at.
    Unread(Payload),
    Read(Seen, usize),
}

impl Known {
    fn bytes(&self) -> usize {
        match self {
            Known::Unread(payload) => payload.bytes.len(),
            Known::Read(_, bytes) => *bytes,
        }
    }
}

impl Shelf {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, payload: Payload) {
        let commitment = payload.commitment;
        self.held().know(commitment, Known::Unread(payload));
    }

    /// That there is no such payload any more.
    pub(super) fn put_null(&self, commitment: Commitment) {
        self.held().know(commitment, Known::Read(Seen::from(()), 0));
    }

    /// The value of a payload, if it is here.
    pub(super) fn get(&self, commitment: Commitment) -> Result<Option<Seen>, PayloadError> {
        let mut held = self.held();
        if !held.fetch(commitment) {
            return Ok(None);
        }
        let Some(known) = held.recent.get_mut(&commitment) else { return Ok(None) };
        if let Known::Unread(payload) = known {
            let value = Seen::from(Serde(payload.value::<Value>()?));
            *known = Known::Read(value, payload.bytes.len());
        }
        match known {
            Known::Read(value, _) => Ok(Some(value.clone())),
            Known::Unread(_) => Ok(None),
        }
    }

    /// The value of a payload as a template sees it. One that is not here is noted, and null for now.
    pub(super) fn see(&self, commitment: Commitment) -> Seen {
        // What cannot be read is read again by whoever loads what is missing, and told by it.
        match self.get(commitment) {
            Ok(Some(seen)) => seen,
            Ok(None) | Err(_) => {
                self.held().missing.insert(commitment);
                Seen::from(())
            }
        }
    }

    /// Notes those that are not here.
    pub(super) fn want(&self, commitments: impl Iterator<Item = Commitment>) {
        let mut held = self.held();
        for commitment in commitments {
            if !held.recent.contains_key(&commitment) && !held.older.contains_key(&commitment) {
                held.missing.insert(commitment);
            }
        }
    }

    /// What was looked for, and not here, since this was last asked.
    pub(super) fn take_missing(&self) -> BTreeSet<Commitment> {
        std::mem::take(&mut self.held().missing)
    }

    /// Those of them that are not here; the others count as used.
    pub(super) fn lacks(&self, commitments: impl Iterator<Item = Commitment>) -> BTreeSet<Commitment> {
        let mut held = self.held();
        commitments.filter(|commitment| !held.fetch(*commitment)).collect()
    }

    /// Lets go of what was not used for long, now that the run is at `head` and `on_disk` of it can be read again. Whether
    /// anything was let go of.
    pub(super) fn age(&self, head: Seq, on_disk: Seq) -> bool {
        let mut held = self.held();
        let due = held.recent_bytes > KEPT && on_disk >= held.older_until;
        if due {
            held.older = std::mem::take(&mut held.recent);
            (held.recent_bytes, held.older_until) = (0, head);
        }
        due
    }
}

impl Held {
    fn know(&mut self, commitment: Commitment, known: Known) {
        self.recent_bytes = self.recent_bytes.saturating_add(known.bytes());
        self.recent.insert(commitment, known);
    }

    /// Brings a payload among those that were used lately. Whether it is here.
    fn fetch(&mut self, commitment: Commitment) -> bool {
        if self.recent.contains_key(&commitment) {
            return true;
        }
        let Some(known) = self.older.remove(&commitment) else { return false };
        self.know(commitment, known);
        true
    }
}
