//! What must be true of each disk that a power loss may leave.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use parkway_core::clock::SystemClock;
use parkway_core::id::{RunId, Seq};
use parkway_core::log::{Commitment, Event, EventKind};
use parkway_core::store::{Log, MessageId, Queue, RunFilter};
use parkway_store::{SqliteStore, upkeep};

use crate::disk::Image;
use crate::record::Mark;
use crate::recording::{Recording, log, roots};
use crate::scene::{Effects, Worker};

/// What was promised before the power failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    committed: BTreeMap<RunId, Seq>,
    sent: BTreeSet<(RunId, MessageId)>,
    effects: Effects,
}

impl Promises {
    /// Takes in one more.
    pub(crate) fn take(&mut self, mark: &Mark) {
        match mark {
            Mark::Opened => {}
            Mark::Committed(run, seq) => {
                let last = self.committed.entry(*run).or_insert(*seq);
                *last = (*last).max(*seq);
            }
            Mark::Sent(run, message) => drop(self.sent.insert((*run, *message))),
            Mark::Consuming(run, message) => drop(self.sent.remove(&(*run, *message))),
            Mark::Effect { run, step, attempt } => drop(self.effects.insert((*run, step.clone(), *attempt))),
        }
    }
}

/// What is wrong with a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something that was acknowledged is not there.
    Lost(String),
    /// Something else.
    Broken(String),
}

/// What was found on a disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// How many events.
    pub events: usize,
    /// What else there is that decides how runs go on.
    pub rest: String,
}

fn broken(e: impl std::fmt::Display) -> Fault {
    Fault::Broken(e.to_string())
}

/// Looks at an image that is written to `path`, and goes on with its runs to their end if `is_new` says so of what is
/// found.
pub(crate) async fn judge(
    image: &Image,
    path: &Path,
    recording: &Recording,
    promises: &Promises,
    is_new: impl FnOnce(&Found) -> bool,
) -> Result<bool, Fault> {
    image.write(path).map_err(broken)?;
    let store = SqliteStore::open(path, Arc::new(SystemClock)).await.map_err(|e| broken(format!("open: {e}")))?;
    let found = look(&store, recording, promises).await;
    check_store(path).await?;
    let found = found?;
    let resumes = is_new(&found);
    if resumes {
        resume(store, recording, promises).await?;
        check_store(path).await?;
    } else {
        store.close().await.map_err(broken)?;
    }
    Ok(resumes)
}

/// What `parkway store check` finds: SQLite's own checks, each event, each text, the states of the runs, messages.
async fn check_store(path: &Path) -> Result<(), Fault> {
    let checked = upkeep::check(path, upkeep::Depth::Full).await.map_err(|e| broken(format!("check: {e}")))?;
    if checked.is_sound() { Ok(()) } else { Err(broken(format!("check: {:?}", checked.problems))) }
}

async fn look(store: &SqliteStore, recording: &Recording, promises: &Promises) -> Result<Found, Fault> {
    let found = log(store).await.map_err(broken)?;
    let is_prefix = found.len() <= recording.log.len() && found == recording.log[..found.len()];
    if !is_prefix {
        return Err(broken(format!("the {} events on disk are no prefix of those that were recorded", found.len())));
    }
    let events = found.iter().map(|bytes| Event::from_bytes(bytes)).collect::<Result<Vec<_>, _>>().map_err(broken)?;
    check_payloads(store, &found).await?;
    let mut started = BTreeSet::new();
    let mut heads: BTreeMap<RunId, Seq> = BTreeMap::new();
    for event in &events {
        heads.insert(event.run, event.seq);
        if let EventKind::StepStarted { key, attempt, .. } = &event.kind {
            started.insert((event.run, key.to_string(), *attempt));
        }
    }
    let mut rest = String::new();
    let mut inboxes = BTreeSet::new();
    for summary in store.runs(&RunFilter::default()).await.map_err(broken)? {
        let run = summary.run;
        let head = heads.get(&run).copied().unwrap_or_default();
        if summary.head != head {
            return Err(broken(format!("run {run} says that it is at event {}, its log ends at {head}", summary.head)));
        }
        let inbox = store.inbox(run).await.map_err(broken)?;
        inboxes.extend(inbox.iter().map(|received| (run, received.id)));
        let ids: Vec<u64> = inbox.iter().map(|received| received.id.0).collect();
        rest.push_str(&format!("{run} {:?} {} {ids:?}\n", summary.status, summary.held));
    }
    if found.len() < recording.older {
        return Err(Fault::Lost(format!("{} events were there before, and {} are", recording.older, found.len())));
    }
    for (run, seq) in &promises.committed {
        let head = heads.get(run).copied().unwrap_or_default();
        if head < *seq {
            return Err(Fault::Lost(format!("run {run} was acknowledged up to event {seq}, and ends at {head}")));
        }
    }
    if let Some((run, message)) = promises.sent.difference(&inboxes).next() {
        return Err(Fault::Lost(format!("message {} to run {run} was acknowledged, and is not there", message.0)));
    }
    if let Some((run, step, attempt)) = promises.effects.difference(&started).next() {
        return Err(Fault::Lost(format!("attempt {attempt} at {step} of run {run} had an effect, and no start")));
    }
    Ok(Found { events: found.len(), rest })
}

async fn check_payloads(store: &SqliteStore, events: &[Vec<u8>]) -> Result<(), Fault> {
    let mut wanted: Vec<Commitment> = Vec::new();
    for bytes in events {
        let text = std::str::from_utf8(bytes).map_err(broken)?;
        // The hash of the plan looks like a commitment, and is none.
        let text = text.split("\"plan_hash\":").enumerate();
        let parts = text.flat_map(|(i, part)| part.split('"').skip(if i == 0 { 0 } else { 2 }));
        wanted.extend(parts.filter_map(|part| part.parse::<Commitment>().ok()));
    }
    let found = store.payloads(&wanted).await.map_err(broken)?;
    match wanted.iter().zip(&found).find(|(_, found)| found.is_none()) {
        None => Ok(()),
        Some((wanted, _)) => Err(broken(format!("the payload {wanted:?} of an event is missing"))),
    }
}

async fn resume(store: SqliteStore, recording: &Recording, promises: &Promises) -> Result<(), Fault> {
    let store = Arc::new(store);
    let worker = Worker::new("after", store.clone(), None);
    for run in roots(&store).await.map_err(broken)? {
        worker.go_on(run, &promises.effects).await.map_err(broken)?;
        for run in worker.family(run).await.map_err(broken)? {
            let end = worker.end(run).await.map_err(broken)?;
            if Some(&end) != recording.ends.get(&run) {
                let expected = recording.ends.get(&run);
                return Err(broken(format!("run {run} ends as {end:#?}\nand not as {expected:#?}")));
            }
        }
    }
    store.close().await.map_err(broken)
}
