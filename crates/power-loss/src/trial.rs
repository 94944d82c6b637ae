//! All power losses of a recording, judged and counted.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::chance::Chance;
use crate::disk::{Disk, Fate};
use crate::judge::{Fault, Found, Promises, judge};
use crate::record::Op;
use crate::recording::Recording;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Of the moments at which the power may fail, each of so many.
    pub every: u64,
    /// How many disks chance makes for a moment, of each kind.
    pub seeds: u64,
    /// Of the disks that hold the same as another one, the runs of each of so many are gone on with, too.
    pub resume_every: u64,
    /// How many are judged at once.
    pub jobs: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Disks, by what became of what was not synced.
    pub images: BTreeMap<Fate, Row>,
    /// Moments at which the power failed.
    pub moments: u64,
    /// Disks whose runs were gone on with.
    pub resumed: u64,
    /// Different contents that were found.
    pub contents: u64,
    /// The first loss.
    pub first_loss: Option<String>,
    /// What else was wrong first.
    pub first_break: Option<String>,
}

/// How many disks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row {
    /// All.
    pub images: u64,
    /// Those on which something acknowledged was missing.
    pub lost: u64,
    /// Those with anything else wrong.
    pub broken: u64,
}

impl Tally {
    /// Disks on which something acknowledged was missing.
    pub fn losses(&self) -> u64 {
        self.images.values().map(|row| row.lost).sum()
    }

    /// Disks with anything else wrong.
    pub fn broken(&self) -> u64 {
        self.images.values().map(|row| row.broken).sum()
    }

    /// Disks.
    pub fn total(&self) -> u64 {
        self.images.values().map(|row| row.images).sum()
    }
}

/// Lets the power fail, and judges each disk that this could leave, each once for what had been promised. Writes them to
/// `folder`.
pub async fn try_all(recording: Arc<Recording>, scope: Scope, folder: &Path) -> Tally {
    let mut trial = Trial {
        recording: recording.clone(),
        scope,
        going: JoinSet::new(),
        found: Arc::default(),
        tally: Tally::default(),
        seen: HashSet::new(),
        number: 0,
    };
    let mut disk = Disk::new(recording.before.clone());
    let mut promises = Promises::default();
    for (op, what) in recording.ops.iter().enumerate() {
        if let Op::Mark(mark) = what {
            promises.take(mark);
        }
        disk.take(what);
        // The power fails before the next operation, and so after all promises until then.
        if matches!(recording.ops.get(op + 1), Some(Op::Mark(_))) {
            continue;
        }
        trial.tally.moments += 1;
        if trial.tally.moments.is_multiple_of(scope.every) {
            trial.fail(op, &disk, &promises, folder).await;
        }
    }
    while trial.take_one().await {}
    let found = trial.found.lock().unwrap_or_else(PoisonError::into_inner);
    trial.tally.contents = found.len() as u64;
    trial.tally
}

struct Trial {
    recording: Arc<Recording>,
    scope: Scope,
    going: JoinSet<(Fate, usize, Result<bool, Fault>)>,
    /// How often each content was found.
    found: Arc<Mutex<BTreeMap<Found, u64>>>,
    tally: Tally,
    seen: HashSet<u64>,
    number: u64,
}

impl Trial {
    async fn fail(&mut self, op: usize, disk: &Disk, promises: &Promises, folder: &Path) {
        let promises = Arc::new(promises.clone());
        for fate in Fate::ALL {
            let seeds = if fate.is_random() { self.scope.seeds } else { 1 };
            for seed in 0..if disk.is_dirty() { seeds } else { 1 } {
                let image = disk.fail(fate, &mut Chance::new((op as u64) << 8 | seed));
                if !self.seen.insert(image.number(&promises)) {
                    continue;
                }
                if self.going.len() >= self.scope.jobs {
                    self.take_one().await;
                }
                self.number += 1;
                let folder = folder.join(self.number.to_string());
                let (recording, promises, found) = (self.recording.clone(), promises.clone(), self.found.clone());
                let every = self.scope.resume_every;
                self.going.spawn(async move {
                    let is_new = |content: &Found| {
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        let times = found.entry(content.clone()).or_default();
                        *times += 1;
                        (*times - 1).is_multiple_of(every)
                    };
                    let judged = match std::fs::create_dir(&folder) {
                        Ok(()) => judge(&image, &folder.join("runs.db"), &recording, &promises, is_new).await,
                        Err(e) => Err(Fault::Broken(e.to_string())),
                    };
                    let _ = std::fs::remove_dir_all(&folder);
                    (fate, op, judged)
                });
            }
        }
    }

    async fn take_one(&mut self) -> bool {
        let Some(done) = self.going.join_next().await else { return false };
        let (fate, op, judged) = match done {
            Ok(done) => done,
            Err(e) => (Fate::Kept, 0, Err(Fault::Broken(e.to_string()))),
        };
        let row = self.tally.images.entry(fate).or_default();
        row.images += 1;
        let say = |what: String| format!("after operation {op}, {}: {what}", fate.title());
        match judged {
            Ok(resumed) => self.tally.resumed += u64::from(resumed),
            Err(Fault::Lost(what)) => {
                row.lost += 1;
                self.tally.first_loss.get_or_insert_with(|| say(what));
            }
            Err(Fault::Broken(what)) => {
                row.broken += 1;
                self.tally.first_break.get_or_insert_with(|| say(what));
            }
        }
        true
    }
}
