//! Memories as events: those that steps write, and those that people and programs do.

use crate::clock::Clock;
use crate::engine::recorder::Draft;
use crate::id::{MemoryId, StepKey};
use crate::label::Labels;
use crate::log::{Actor, Commitment, EventKind, PayloadError};
use crate::memory::NewMemory;

/// Adds a memory to what is recorded together. `labels` are those of what wrote it.
pub(super) fn remember(
    draft: &mut Draft,
    clock: &dyn Clock,
    (by, key): (&Actor, Option<&StepKey>),
    memory: &NewMemory,
    labels: Labels,
) -> Result<(), PayloadError> {
    let content = draft.payload(clock, &memory.content)?;
    let NewMemory { id, kind, from, until, expires, pinned, .. } = *memory;
    let kind = EventKind::MemoryWritten {
        key: key.cloned(),
        id,
        content,
        kind,
        from,
        until,
        expires,
        pinned,
        labels: memory.labels.union(labels),
        supersedes: memory.supersedes.clone(),
        contradicts: memory.contradicts.clone(),
    };
    draft.event_by(by.clone(), kind);
    Ok(())
}

/// Adds that a memory is forgotten.
pub(super) fn forget(
    draft: &mut Draft,
    clock: &dyn Clock,
    (by, key): (&Actor, Option<&StepKey>),
    (id, content): (MemoryId, Commitment),
    note: Option<&str>,
) -> Result<(), PayloadError> {
    let note = note.map(|note| draft.payload(clock, note)).transpose()?;
    draft.event_by(by.clone(), EventKind::MemoryForgotten { key: key.cloned(), id, content, note });
    Ok(())
}
