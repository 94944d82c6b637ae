//! Putting a backup in the store's place.

use std::path::{Path, PathBuf};

use parkway_core::id::Time;
use parkway_core::store::StoreError;
use sqlx::{ConnectOptions, Connection};

use super::copy::{copy, judge};
use super::report::Checked;
use super::seal::{Keys, Sealed, unseal, wipe};
use super::source::{Source, beside, options};
use super::swap::{KEPT, Swap};
use crate::sqlite::error::from_sqlx;
use crate::sqlite::open::{check_place, named};

/// How much is in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// Its runs.
    pub runs: u64,
    /// Its events.
    pub events: u64,
    /// When its newest event was recorded.
    pub newest: Option<Time>,
}

/// A backup that was put in the place of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// Where the old file is now, if there was one.
    pub kept: Option<PathBuf>,
    /// What was in the old file, if it could be read.
    pub before: Option<Extent>,
    /// What is in the store now.
    pub now: Extent,
    /// What the check of it has looked at.
    pub checked: Checked,
}

/// Puts the backup `from` in the place of the store at `path`; without a store there it becomes one. The backup is copied and
/// checked first, and stays where it is. The old file is kept beside the new one, under a name with the time `at`. No run of
/// the store is held by anybody afterwards, and the next fences of its runs are higher than any that were given out
/// since the backup. A run that a step makes anew begins with the first fence again.
///
/// # Errors
///
/// Another process has the store open; there is no room; the backup is damaged, of a newer version, or no store.
pub async fn restore(path: &Path, from: &Path, at: Time) -> Result<Restored, StoreError> {
    check_place(path)?;
    // Asked first, so that nothing is made on behalf of a file that is no backup.
    Source::open(from, true).await?.close().await?;
    let swap = Swap::begin(path)?;
    let mut source = Source::open(from, false).await?;
    let (copied, name) = (copy(&mut source, &swap.new).await, source.name.clone());
    source.close().await?;
    copied?;
    put(swap, &name, at).await
}

/// Puts the sealed backup `from` in the place of the store at `path`, as [`restore`] does with a plain one. It is decrypted beside the store.
///
/// # Errors
///
/// It is no sealed backup, its key is not in `keys`, or it is not as it was sealed; as for [`restore`].
pub async fn restore_sealed(path: &Path, from: &Path, keys: &Keys, at: Time) -> Result<Restored, StoreError> {
    check_place(path)?;
    let sealed = Sealed::open(from, keys)?;
    let swap = Swap::begin(path)?;
    let swap = unseal(sealed, swap.new.clone(), swap).await?;
    match Source::open(&swap.new, true).await {
        Ok(source) => source.close().await?,
        Err(e) => return wipe(&swap.new).and(Err(e)),
    }
    put(swap, &format!("`{}`", from.display()), at).await
}

/// Puts the copy that was made in the place of the store.
async fn put(swap: Swap, name: &str, at: Time) -> Result<Restored, StoreError> {
    let ready = async {
        free(&swap.new).await?;
        judge(&swap.new, name).await
    };
    let checked = ready.await.or_else(|e| wipe(&swap.new).and(Err(e)))?;
    let now = extent(&swap.new).await?;
    // A log beside a file that cannot be read would be lost if anybody opened it to write.
    match Source::open(&swap.at, true).await {
        Ok(old) => {
            old.close().await?;
            swap.settle().await?;
        }
        Err(StoreError::Corrupt(_)) => {}
        Err(_) => swap.settle().await?,
    }
    let old = swap.at.exists().then(|| beside(&swap.at, &format!("{KEPT}{}", stamp(at))));
    let before = match &old {
        Some(_) => extent(&swap.at).await.ok(),
        None => None,
    };
    swap.replace(old.as_deref())?;
    Ok(Restored { kept: old, before, now, checked })
}

/// By how much fences are raised: more than any run was claimed since its backup.
const SINCE: i64 = 1 << 20;

/// Ends all leases: whoever held a run when the backup was made does not hold it now. And no fence that was given out since
/// then is given out again, for a worker of that time may still be there, or a system that remembers the newest fence it saw.
async fn free(copy: &Path) -> Result<(), StoreError> {
    let freed = async {
        let mut connection = options(copy).connect().await?;
        sqlx::query("UPDATE parkway_run SET lease_until = 0 WHERE lease_until > 0").execute(&mut connection).await?;
        let raise = sqlx::query("UPDATE parkway_run SET fence = fence + $1").bind(SINCE);
        raise.execute(&mut connection).await?;
        connection.close().await
    };
    freed.await.map_err(|e| named(from_sqlx(&e), &format!("`{}`", copy.display())))
}

async fn extent(path: &Path) -> Result<Extent, StoreError> {
    let mut source = Source::open(path, true).await?;
    let sql = "SELECT (SELECT count(*) FROM parkway_run), (SELECT count(*) FROM parkway_event),
        (SELECT max(updated) FROM parkway_run WHERE head > 0)";
    let read: Result<(i64, i64, Option<i64>), _> = sqlx::query_as(sql).fetch_one(&mut source.connection).await;
    let read = read.map_err(|e| source.told(&e));
    source.close().await?;
    let (runs, events, newest) = read?;
    let number = |found: i64| u64::try_from(found).unwrap_or_default();
    Ok(Extent { runs: number(runs), events: number(events), newest: newest.map(Time::from_micros) })
}

/// A time as a part of a file's name: `20260114T091502.125030Z`.
fn stamp(at: Time) -> String {
    at.to_string().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect()
}
