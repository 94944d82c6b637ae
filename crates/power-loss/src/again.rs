//! A second loss of power, while what a first one has left is opened and its runs are gone on with.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::chance::Chance;
use crate::disk::{Fate, Image};
use crate::judge::{Fault, Promises, broken, judge, resume};
use crate::moment::Moments;
use crate::record::Record;
use crate::recording::{Recording, Waits, log, open};
use crate::table;
use crate::vfs;
use crate::witness::Witness;

/// What came of one disk on which the power failed again.
#[derive(Debug, Default)]
pub(crate) struct Again {
    /// Moments at which it did.
    pub(crate) moments: u64,
    /// The disks that this could leave: the operation, what became of what was not synced, and what the judge says.
    pub(crate) judged: Vec<(usize, Fate, Result<(), Fault>)>,
}

/// Goes on with what a first loss has left, under record, and lets the power fail again at so many of the moments meanwhile.
/// Writes the disks to `folder`.
pub(crate) async fn lose_again(
    image: &Image,
    folder: &Path,
    recording: &Recording,
    promises: &Promises,
    moments: usize,
    chance: &mut Chance,
) -> Result<Again, Fault> {
    let second = record(image, &folder.join("first"), recording, promises).await?;
    let mut again = Again::default();
    let (mut seen, mut contents) = (HashSet::new(), BTreeSet::new());
    let all = Moments::new(&second, promises.clone()).count();
    let chosen: HashSet<usize> = (0..moments).map(|_| 1 + chance.below(all)).collect();
    let mut going = Moments::new(&second, promises.clone());
    let mut number = 0;
    while let Some(op) = going.next() {
        number += 1;
        if !chosen.contains(&number) {
            continue;
        }
        again.moments += 1;
        for fate in Fate::ALL {
            let image = going.disk.fail(fate, chance);
            if !seen.insert(image.number(&going.promises)) {
                continue;
            }
            let path = folder.join(format!("{op}-{fate:?}"));
            std::fs::create_dir(&path).map_err(broken)?;
            let judged =
                judge(&image, &path.join("runs.db"), &second, &going.promises, |found| contents.insert(found.clone()))
                    .await;
            std::fs::remove_dir_all(&path).map_err(broken)?;
            again.judged.push((op, fate, judged.map(drop)));
        }
    }
    Ok(again)
}

/// Opens what a loss has left and goes on with its runs to their ends, under record.
async fn record(image: &Image, folder: &Path, first: &Recording, promises: &Promises) -> Result<Recording, Fault> {
    std::fs::create_dir(folder).map_err(broken)?;
    let path = folder.canonicalize().map_err(broken)?.join("runs.db");
    image.write(&path).map_err(broken)?;
    let record = Record::begin(&path);
    let played = play(&path, &record, first, promises).await;
    let (before, ops) = record.end();
    let (older, log, rows) = played?;
    std::fs::remove_dir_all(folder).map_err(broken)?;
    let (ends, waits) = (first.ends.clone(), Waits::default());
    Ok(Recording { pragmas: first.pragmas, before, ops, log, older, ends, rows, waits })
}

async fn play(
    path: &Path,
    record: &Arc<Record>,
    first: &Recording,
    promises: &Promises,
) -> Result<(usize, Vec<Vec<u8>>, usize), Fault> {
    let store = open(path, first.pragmas, record).await.map_err(broken)?;
    let older = log(&store).await.map_err(broken)?.len();
    table::make(path, Some(vfs::NAME)).await.map_err(broken)?;
    let store = Arc::new(Witness { store, record: record.clone() });
    resume(store.clone(), Some(record), first, promises).await?;
    let log = log(&store.store).await.map_err(broken)?;
    let rows = table::rows(path).await.map_err(broken)?.len();
    store.store.close().await.map_err(broken)?;
    Ok((older, log, rows))
}
