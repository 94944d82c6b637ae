//! Whether a memory that is to be written says anything new, and what it changes.

use super::{Bond, EVER, Memory, MemoryFilter, MemoryKind, NewMemory, Remembered, Span, Superseded};
use crate::id::{MemoryId, Time};
use crate::store::StoreError;

/// What is known of what a memory is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Known {
    /// Nothing, in these words.
    No,
    /// All of it: this memory says it.
    Yes(MemoryId),
    /// The words: a memory that holds in this time has another end or expiry, is not pinned, or does not say what it supersedes or contradicts.
    Otherwise(Span),
}

/// What is known of what a memory is to say, where it is to hold since [`NewMemory::from`]. An end, an expiry and a pin that it does not have
/// do not tell it from a memory that has one. What happened at another time ([`MemoryKind::Episodic`]) is something else.
pub async fn known(memory: &dyn Memory, new: &NewMemory, now: Time) -> Result<Known, StoreError> {
    let mut same = MemoryFilter::of(&new.content.namespace);
    (same.digest, same.holds_from) = (Some(new.content.digest()), Some(new.from));
    let ends = ends(memory, new).await?;
    let mut known = Known::No;
    for memory in memory.list(&same).await? {
        let again = new.kind == MemoryKind::Episodic && memory.from != new.from;
        let expired = memory.expires.is_some_and(|expires| expires <= now);
        let span = memory.span(new.from, EVER).filter(|span| span.has(new.from));
        let Some(span) = span.filter(|_| !again && !expired && memory.kind == new.kind) else { continue };
        let says = new.until.is_none_or(|until| span.until == Some(until))
            && new.expires.is_none_or(|expires| memory.expires == Some(expires))
            && (memory.pinned || !new.pinned)
            && new.contradicts.iter().all(|other| memory.contradicts.contains(other));
        if says && !ends {
            return Ok(Known::Yes(memory.id));
        }
        known = Known::Otherwise(span);
    }
    Ok(known)
}

/// Whether one of those that it names as superseded holds in its time.
async fn ends(memory: &dyn Memory, new: &NewMemory) -> Result<bool, StoreError> {
    for id in &new.supersedes {
        let filter = MemoryFilter { id: Some(*id), ..MemoryFilter::default() };
        let found = memory.list(&filter).await?;
        if found.iter().any(|memory| memory.spans(EVER).iter().any(|span| span.meets(&new.span()))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The memories that hold for a shorter time when this one is written: those that it names, and those that the store has superseded by it since
/// they are about its subject, or say the same in its words.
pub async fn changed(memory: &dyn Memory, new: &NewMemory) -> Result<Vec<MemoryId>, StoreError> {
    let (digest, namespace) = (new.content.digest(), &new.content.namespace);
    let of = MemoryFilter { holds_from: Some(new.from), ..MemoryFilter::of(namespace) };
    let mut filters: Vec<MemoryFilter> =
        new.supersedes.iter().map(|id| MemoryFilter { id: Some(*id), ..MemoryFilter::default() }).collect();
    filters.push(MemoryFilter { digest: Some(digest), ..of.clone() });
    if let Some(subject) = &new.content.subject {
        filters.push(MemoryFilter { subject: Some(subject.clone()), ..of });
    }
    let mut changed: Vec<(u64, MemoryId)> = Vec::new();
    for filter in &filters {
        for mut memory in memory.list(filter).await? {
            let Some(content) = &memory.content else { continue };
            let subject = content.subject.is_some() && content.subject == new.content.subject;
            let about = content.namespace == *namespace && subject;
            let bond = Bond::new(new.kind, new.supersedes.contains(&memory.id), about, content.digest() == digest);
            if shortened(&mut memory, new, bond) {
                changed.push((memory.number, memory.id));
            }
        }
    }
    changed.sort_unstable();
    changed.dedup();
    Ok(changed.into_iter().map(|(_, id)| id).collect())
}

/// Whether a memory holds for a shorter time once the new one is there.
fn shortened(memory: &mut Remembered, new: &NewMemory, bond: Bond) -> bool {
    if new.contradicts.contains(&memory.id) {
        memory.contradicts.push(new.id);
    }
    let before = memory.spans(EVER);
    memory.meet(Superseded::new(new.id, EVER, new.span()), bond);
    memory.spans(EVER) != before
}
