//! What must be true of each disk that a power loss may leave.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use parkway_core::clock::SystemClock;
use parkway_core::id::{RunId, Seq};
use parkway_core::log::{Commitment, Event, EventKind};
use parkway_core::store::{Log, MessageId, Queue, RunFilter, Store};
use parkway_core::tool::Effect;
use parkway_store::{SqliteStore, upkeep};

use crate::disk::Image;
use crate::record::{Mark, Record};
use crate::recording::{Recording, log, roots};
use crate::scene::{Effects, Worker};
use crate::table;

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

pub(crate) fn broken(e: impl std::fmt::Display) -> Fault {
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
    let found = look(&store, path, recording, promises).await;
    check_store(path).await?;
    let found = found?;
    let resumes = is_new(&found);
    if !resumes {
        store.close().await.map_err(broken)?;
        return Ok(false);
    }
    table::make(path, None).await.map_err(broken)?;
    let store = Arc::new(store);
    resume(store.clone(), None, recording, promises).await?;
    check_writes(&store, path, &events(&log(&*store).await.map_err(broken)?)?).await?;
    store.close().await.map_err(broken)?;
    check_store(path).await?;
    Ok(true)
}

/// What `parkway store check` finds: SQLite's own checks, each event, each text, the states of the runs, messages.
async fn check_store(path: &Path) -> Result<(), Fault> {
    let checked = upkeep::check(path, upkeep::Depth::Full).await.map_err(|e| broken(format!("check: {e}")))?;
    if checked.is_sound() { Ok(()) } else { Err(broken(format!("check: {:?}", checked.problems))) }
}

async fn look(store: &SqliteStore, path: &Path, recording: &Recording, promises: &Promises) -> Result<Found, Fault> {
    let found = log(store).await.map_err(broken)?;
    let is_prefix = found.len() <= recording.log.len() && found == recording.log[..found.len()];
    if !is_prefix {
        return Err(broken(format!("the {} events on disk are no prefix of those that were recorded", found.len())));
    }
    let events = events(&found)?;
    check_payloads(store, &found).await?;
    check_writes(store, path, &events).await?;
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

fn events(log: &[Vec<u8>]) -> Result<Vec<Event>, Fault> {
    log.iter().map(|bytes| Event::from_bytes(bytes)).collect::<Result<_, _>>().map_err(broken)
}

/// What transactional calls asked for is there where their step has completed, once, and nowhere else: a row, and an entry of
/// the outbox.
async fn check_writes(store: &SqliteStore, path: &Path, events: &[Event]) -> Result<(), Fault> {
    let (mut called, mut wanted) = (BTreeSet::new(), Vec::new());
    for event in events {
        match &event.kind {
            EventKind::StepStarted { key, effect: Some(Effect::Transactional), .. } => {
                called.insert((event.run, key));
            }
            EventKind::StepCompleted { key, .. } if called.contains(&(event.run, key)) => {
                wanted.push((event.run.to_string(), key.to_string()));
            }
            _ => {}
        }
    }
    wanted.sort();
    let rows = table::rows(path).await.map_err(broken)?;
    let outbox = store.outbox(u32::MAX >> 1).await.map_err(broken)?;
    let sent = outbox.into_iter().map(|outgoing| serde_json::from_value(outgoing.entry.body));
    let mut sent: Vec<table::Row> = sent.collect::<Result<_, _>>().map_err(broken)?;
    sent.sort();
    for (what, found) in [("rows", rows), ("entries of the outbox", sent)] {
        if found != wanted {
            return Err(broken(format!("the {what} are of {found:?}, and the steps that completed {wanted:?}")));
        }
    }
    Ok(())
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

/// Goes on with all runs to their ends, which must be those of the recording.
pub(crate) async fn resume(
    store: Arc<dyn Store>,
    record: Option<&Arc<Record>>,
    recording: &Recording,
    promises: &Promises,
) -> Result<(), Fault> {
    // No two processes have one name, and what the first has left is the other's.
    let name = if record.is_some() { "between" } else { "after" };
    let worker = Worker::new(name, store.clone(), record);
    for run in roots(&*store).await.map_err(broken)? {
        worker.go_on(run, &promises.effects).await.map_err(broken)?;
        for run in worker.family(run).await.map_err(broken)? {
            let end = worker.end(run).await.map_err(broken)?;
            if Some(&end) != recording.ends.get(&run) {
                let expected = recording.ends.get(&run);
                return Err(broken(format!("run {run} ends as {end:#?}\nand not as {expected:#?}")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, Fate};
    use crate::moment::Moments;
    use crate::recording::SCENARIOS;

    /// What the judge says of the disk of an undisturbed run after this was done to it.
    async fn after(change: &'static str, recording: &Recording) -> Result<bool, Fault> {
        let mut moments = Moments::new(recording, Promises::default());
        moments.by_ref().for_each(drop);
        let chance = &mut crate::chance::Chance::new(1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changed.db");
        moments.disk.fail(Fate::Kept, chance).write(&path).unwrap();
        table::change(&path, change).await;
        let contents = [(crate::record::Name::Main, std::fs::read(&path).unwrap())].into();
        let image = Disk::new(&contents).fail(Fate::Kept, chance);
        judge(&image, &folder.path().join("runs.db"), recording, &moments.promises, |_| false).await
    }

    #[tokio::test]
    async fn a_row_or_an_entry_too_few_or_too_many_passes() {
        let folder = tempfile::tempdir().unwrap();
        let scenario = crate::recording::Scenario { runs: 1, ..SCENARIOS[0] };
        let recording = scenario.record(folder.path()).await.unwrap();
        assert_eq!(after("SELECT 1", &recording).await, Ok(false));
        for (change, what) in [
            ("DELETE FROM effect WHERE rowid = 1", "the rows are of"),
            ("INSERT INTO effect SELECT * FROM effect WHERE rowid = 1", "the rows are of"),
            ("DELETE FROM parkway_outbox WHERE id = 1", "the entries of the outbox are of"),
        ] {
            let said = after(change, &recording).await;
            assert!(matches!(&said, Err(Fault::Broken(why)) if why.starts_with(what)), "{change}: {said:?}");
        }
    }
}
