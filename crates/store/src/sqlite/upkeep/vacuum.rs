//! Giving back the room that deleted rows have left.

use std::path::Path;

use parkway_core::store::StoreError;

use super::copy::{copy, prove};
use super::source::{Source, size, wal};
use super::swap::Swap;

/// What was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vacuumed {
    /// The bytes of the file and its write-ahead log before.
    pub before: u64,
    /// The bytes after.
    pub after: u64,
}

/// Writes the store at `path` anew without what deleted rows have left, checks that, and puts it in the place of the old file.
/// Until then it needs as much room again as the store has.
///
/// # Errors
///
/// Another process has the store open; there is no room; the store is damaged, of a newer version, or no store.
pub async fn vacuum(path: &Path) -> Result<Vacuumed, StoreError> {
    // Asked first, so that nothing is made beside a file that is no store.
    Source::open(path, true).await?.close().await?;
    let swap = Swap::begin(path)?;
    let before = size(&swap.at) + size(&wal(&swap.at));
    swap.settle().await?;
    let mut source = Source::open(&swap.at, false).await?;
    let (copied, name) = (copy(&mut source, &swap.new).await, source.name.clone());
    source.close().await?;
    copied?;
    prove(&swap.new, &name).await?;
    swap.replace(None)?;
    Ok(Vacuumed { before, after: size(&swap.at) })
}
