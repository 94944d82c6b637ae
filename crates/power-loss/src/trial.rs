//! All power losses of a recording, judged and counted.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::again::{Again, lose_again};
use crate::chance::Chance;
use crate::disk::{Disk, Fate};
use crate::judge::{Fault, Found, Promises, broken, judge};
use crate::moment::Moments;
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
    /// Of the disks whose runs are gone on with, the power fails on each of so many a second time meanwhile.
    pub again_every: u64,
    /// At how many moments of these.
    pub again: usize,
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
    /// Those on which the power failed a second time meanwhile.
    pub again: u64,
    /// At how many moments it did.
    pub again_moments: u64,
    /// The disks that this left.
    pub again_images: Row,
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
    /// All disks.
    pub fn total(&self) -> Row {
        let mut total = self.again_images;
        for row in self.images.values() {
            total.images += row.images;
            total.lost += row.lost;
            total.broken += row.broken;
        }
        total
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
        resumed: Arc::default(),
        tally: Tally::default(),
        seen: HashSet::new(),
        number: 0,
    };
    let mut moments = Moments::new(&recording, Promises::default());
    while let Some(op) = moments.next() {
        trial.tally.moments += 1;
        if trial.tally.moments.is_multiple_of(scope.every) {
            trial.fail(op, &moments.disk, &moments.promises, folder).await;
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
    going: JoinSet<Judged>,
    /// How often each content was found.
    found: Arc<Mutex<BTreeMap<Found, u64>>>,
    /// How many disks had their runs gone on with.
    resumed: Arc<AtomicU64>,
    tally: Tally,
    seen: HashSet<u64>,
    number: u64,
}

/// What came of one disk.
struct Judged {
    op: usize,
    fate: Fate,
    /// Whether its runs were gone on with.
    resumed: Result<bool, Fault>,
    /// What came of a second loss, if there was one.
    again: Option<Result<Again, Fault>>,
}

impl Trial {
    async fn fail(&mut self, op: usize, disk: &Disk, promises: &Promises, folder: &Path) {
        let promises = Arc::new(promises.clone());
        for fate in Fate::ALL {
            let seeds = if fate.is_random() { self.scope.seeds } else { 1 };
            for seed in 0..if disk.is_dirty() { seeds } else { 1 } {
                let mut chance = Chance::new((op as u64) << 8 | seed);
                let image = disk.fail(fate, &mut chance);
                if !self.seen.insert(image.number(&promises)) {
                    continue;
                }
                if self.going.len() >= self.scope.jobs {
                    self.take_one().await;
                }
                self.number += 1;
                let folder = folder.join(self.number.to_string());
                let (recording, promises, found) = (self.recording.clone(), promises.clone(), self.found.clone());
                let (scope, resumed) = (self.scope, self.resumed.clone());
                self.going.spawn(async move {
                    let is_new = |content: &Found| {
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        let times = found.entry(content.clone()).or_default();
                        *times += 1;
                        (*times - 1).is_multiple_of(scope.resume_every)
                    };
                    let judged = match std::fs::create_dir(&folder) {
                        Ok(()) => judge(&image, &folder.join("runs.db"), &recording, &promises, is_new).await,
                        Err(e) => Err(broken(e)),
                    };
                    let mut again = None;
                    let nth = if judged == Ok(true) { resumed.fetch_add(1, Ordering::Relaxed) } else { 0 };
                    // The first of them have next to nothing on them.
                    if judged == Ok(true) && nth % scope.again_every == scope.again_every / 2 {
                        let second = lose_again(&image, &folder, &recording, &promises, scope.again, &mut chance);
                        again = Some(second.await);
                    }
                    let _ = std::fs::remove_dir_all(&folder);
                    Judged { op, fate, resumed: judged, again }
                });
            }
        }
    }

    async fn take_one(&mut self) -> bool {
        let Some(done) = self.going.join_next().await else { return false };
        let judged = done.unwrap_or_else(|e| Judged { op: 0, fate: Fate::Kept, resumed: Err(broken(e)), again: None });
        let Judged { op, fate, resumed, again } = judged;
        self.tally.resumed += u64::from(resumed == Ok(true));
        let place = format!("after operation {op}, {}", fate.title());
        let row = self.tally.images.entry(fate).or_default();
        row.count(resumed, &place, &mut self.tally.first_loss, &mut self.tally.first_break);
        match again {
            None => {}
            Some(Ok(again)) => {
                self.tally.again += 1;
                self.tally.again_moments += again.moments;
                for (op, fate, judged) in again.judged {
                    let place = format!("{place}, and again after operation {op} of what followed, {}", fate.title());
                    let Tally { again_images, first_loss, first_break, .. } = &mut self.tally;
                    again_images.count(judged, &place, first_loss, first_break);
                }
            }
            Some(Err(fault)) => {
                let place = format!("{place}, gone on with under record");
                let Tally { again_images, first_loss, first_break, .. } = &mut self.tally;
                again_images.count::<()>(Err(fault), &place, first_loss, first_break);
            }
        }
        true
    }
}

impl Row {
    /// Takes in what was found on one more disk.
    fn count<T>(
        &mut self,
        judged: Result<T, Fault>,
        place: &str,
        first_loss: &mut Option<String>,
        first_break: &mut Option<String>,
    ) {
        self.images += 1;
        match judged {
            Ok(_) => {}
            Err(Fault::Lost(what)) => {
                self.lost += 1;
                first_loss.get_or_insert_with(|| format!("{place}: {what}"));
            }
            Err(Fault::Broken(what)) => {
                self.broken += 1;
                first_break.get_or_insert_with(|| format!("{place}: {what}"));
            }
        }
    }
}
