//! Erasing texts of runs that have ended. The log stays as it is, and with it every proof: an event holds a salted hash where the text was, and
//! who erased it, when and why is an event itself.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use parkway_core::engine::{Author, Outside, record_outside_if};
use parkway_core::id::{MemoryId, RunId, Seq, Time};
use parkway_core::log::{Commitment, EventKind};
use parkway_core::memory::MemoryFilter;
use parkway_core::store::{Log, RunFilter, RunSummary, StoreError};
use tokio::sync::Mutex;

use super::AuditLog;
use super::class::Class;
use super::contains::{contains, says};
use super::family::family;
use super::keeping::{Keeping, Why};
use crate::error::Error;

/// Texts that are read at once, and named by one event.
const PART: usize = 256;

/// What is to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erase {
    /// Only of this run, and of the runs that its steps had for themselves.
    pub run: Option<RunId>,
    /// Only of runs that have ended before this time.
    pub before: Option<Time>,
    /// Only texts that have this in them; memories of these runs that do are forgotten.
    pub text: Option<String>,
    /// Only of these classes.
    pub classes: BTreeSet<Class>,
}

impl Erase {
    /// All texts of a run but its plan.
    pub fn run(run: RunId) -> Self {
        Erase { run: Some(run), before: None, text: None, classes: Erase::but_the_plan() }
    }

    /// All texts, but the plans, of runs that have ended before this time.
    pub fn before(time: Time) -> Self {
        Erase { run: None, before: Some(time), text: None, classes: Erase::but_the_plan() }
    }

    /// Every text that has this in it, also plans, and every memory.
    pub fn text(text: impl Into<String>) -> Self {
        Erase { run: None, before: None, text: Some(text.into()), classes: Class::ALL.into() }
    }

    fn but_the_plan() -> BTreeSet<Class> {
        Class::ALL.into_iter().filter(|class| *class != Class::Plan).collect()
    }
}

/// What would be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The texts, by the run that they belong to.
    pub texts: BTreeMap<RunId, BTreeSet<Commitment>>,
    /// How many there are of each class.
    pub classes: BTreeMap<Class, u64>,
    /// Memories that have the text in them.
    pub memories: Vec<(MemoryId, Commitment)>,
    /// Runs that have not ended, and for which such texts are kept: their own, those of the runs that their steps have for themselves, and
    /// what other runs, forked from them or from which they were forked, have in common with them.
    pub open: Vec<RunId>,
    /// Runs that are held, and for which such texts are kept in the same way.
    pub held: Vec<RunId>,
}

/// What was found, while it is looked at.
#[derive(Default)]
struct Looked {
    texts: BTreeMap<Commitment, (RunId, Class)>,
    memories: Vec<(MemoryId, Commitment, RunId)>,
    open: BTreeSet<RunId>,
    held: BTreeSet<RunId>,
}

impl Looked {
    fn keep(&mut self, why: Why) {
        match why {
            Why::Open(run) => self.open.insert(run),
            Why::Held(run) => self.held.insert(run),
        };
    }

    fn found(self) -> Found {
        let mut found = Found::default();
        for (text, (run, class)) in self.texts {
            *found.classes.entry(class).or_default() += 1;
            found.texts.entry(run).or_default().insert(text);
        }
        found.memories = self.memories.into_iter().map(|(id, content, _)| (id, content)).collect();
        (found.open, found.held) = (self.open.into_iter().collect(), self.held.into_iter().collect());
        found
    }
}

impl Found {
    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.values().map(BTreeSet::len).sum()
    }

    /// Whether there is nothing to erase.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.memories.is_empty()
    }
}

/// What was erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erased {
    /// What was found, and is gone.
    pub found: Found,
    /// Whether it is gone from the store's files as well. `false` where somebody reads them: then it is when nobody does.
    pub purged: bool,
}

impl AuditLog {
    /// What would be erased, and what would not.
    pub async fn erasable(&self, what: &Erase) -> Result<Found, Error> {
        if what.text.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(Error::Audit("every text has an empty one in it; say what is to be erased".into()));
        }
        Ok(self.look(what, &mut Keeping::read(self.store.clone()).await?).await?.found())
    }

    async fn look(&self, what: &Erase, keeping: &mut Keeping) -> Result<Looked, Error> {
        let mut looked = Looked::default();
        let runs = self.runs(what).await?;
        for run in &runs {
            let texts = self.texts_of(run, what).await?;
            if texts.is_empty() {
                continue;
            }
            keeping.read_kin(run.run).await?;
            for (text, class) in texts {
                match keeping.why(run.run, text) {
                    Some(why) => looked.keep(why),
                    // What forks have in common is one text.
                    None => drop(looked.texts.entry(text).or_insert((run.run, class))),
                }
            }
        }
        if let Some(text) = &what.text {
            // Those of other runs are not meant.
            let meant: HashSet<RunId> = runs.iter().map(|run| run.run).collect();
            let mut filter = MemoryFilter::default();
            (filter.all, filter.limit) = (true, 1_000);
            loop {
                let page = self.store.memory().list(&filter).await?;
                let Some(last) = page.last() else { break };
                filter.after = last.number;
                for memory in page.into_iter().filter(|memory| meant.contains(&memory.run)) {
                    let has = |said: &String| contains(said, text);
                    let content = memory.content.as_ref();
                    let said = content.is_some_and(|content| {
                        has(&content.text) || has(&content.namespace) || content.subject.as_ref().is_some_and(has)
                    });
                    match keeping.held(memory.run).filter(|_| said) {
                        Some(by) => looked.keep(Why::Held(by)),
                        None if said => looked.memories.push((memory.id, memory.commitment, memory.run)),
                        None => {}
                    }
                }
            }
        }
        Ok(looked)
    }

    /// Erases texts of runs that have ended and are not held. Each erasure is an event with who, when and why; the events that pointed to the
    /// texts stay, and are proven as before. Copies of the store, as backups are, keep what they have.
    ///
    /// # Errors
    ///
    /// The store fails: what was erased by then stays erased.
    pub async fn erase(&self, by: &Author, what: &Erase, note: &str) -> Result<Erased, Error> {
        let mut keeping = Keeping::read(self.store.clone()).await?;
        let mut looked = self.look(what, &mut keeping).await?;
        let keeping = Mutex::new(keeping);
        let (mut erased, mut forgotten) = (BTreeSet::new(), BTreeSet::new());
        // The texts of a run are erased together.
        let mut texts: Vec<(RunId, Commitment)> = looked.texts.iter().map(|(text, (run, _))| (*run, *text)).collect();
        texts.sort_unstable();
        for part in texts.chunks(PART) {
            // Somebody may have placed a hold, gone on with a run, or erased the same meanwhile.
            let still = || async {
                let payloads = self.still_there(part, &mut *keeping.lock().await).await?;
                let any = !payloads.is_empty();
                Ok(any.then(|| Outside::Erase { payloads, note: note.into() }).into_iter().collect())
            };
            for done in record_outside_if(&self.services, by, still).await? {
                if let Outside::Erase { payloads, .. } = done {
                    erased.extend(payloads);
                }
            }
        }
        for part in looked.memories.chunks(PART) {
            let still = || async {
                let mut keeping = keeping.lock().await;
                keeping.renew().await?;
                let mut forget = Vec::new();
                for (id, content, run) in part {
                    if keeping.held(*run).is_none() && is_there(&*self.store, *id).await? {
                        forget.push(Outside::Forget { id: *id, content: *content, note: Some(note.into()) });
                    }
                }
                Ok(forget)
            };
            for done in record_outside_if(&self.services, by, still).await? {
                if let Outside::Forget { id, .. } = done {
                    forgotten.insert(id);
                }
            }
        }
        let keeping = keeping.into_inner();
        for (run, text) in texts.iter().filter(|(_, text)| !erased.contains(text)) {
            looked.texts.remove(text);
            keeping.why(*run, *text).into_iter().for_each(|why| looked.keep(why));
        }
        let spared = looked.memories.extract_if(.., |(id, ..)| !forgotten.contains(id));
        let spared: Vec<RunId> = spared.map(|(_, _, run)| run).collect();
        spared.into_iter().filter_map(|run| keeping.held(run)).for_each(|by| looked.keep(Why::Held(by)));
        let purged = self.store.purge().await?;
        Ok(Erased { found: looked.found(), purged })
    }

    /// Those of these texts that are to be erased still, now.
    async fn still_there(
        &self,
        texts: &[(RunId, Commitment)],
        keeping: &mut Keeping,
    ) -> Result<Vec<Commitment>, StoreError> {
        keeping.renew().await?;
        for runs in texts.chunk_by(|a, b| a.0 == b.0) {
            keeping.read_kin(runs[0].0).await?;
        }
        let free = texts.iter().filter(|(run, text)| keeping.why(*run, *text).is_none());
        let free: Vec<Commitment> = free.map(|(_, text)| *text).collect();
        let there = self.store.payloads(&free).await?;
        Ok(there.into_iter().flatten().map(|payload| payload.commitment).collect())
    }

    /// The runs that are looked at, and what happened outside of them where a text is looked for.
    async fn runs(&self, what: &Erase) -> Result<Vec<RunSummary>, Error> {
        let mut runs = self.store.runs(&RunFilter::default()).await?;
        if let Some(run) = what.run {
            if !runs.iter().any(|found| found.run == run) {
                return Err(StoreError::NoRun(run).into());
            }
            let family = family(&runs, run);
            runs.retain(|found| family.contains(&found.run));
        } else if what.text.is_some() {
            let filter = RunFilter { run: Some(RunId::SYSTEM), ..RunFilter::default() };
            runs.extend(self.store.runs(&filter).await?);
        }
        if let Some(before) = what.before {
            runs.retain(|run| run.status.ended() && run.updated < before);
        }
        Ok(runs)
    }

    /// The texts of a run that are to be erased and are there.
    async fn texts_of(&self, run: &RunSummary, what: &Erase) -> Result<BTreeMap<Commitment, Class>, Error> {
        let events = self.store.events(run.run, Seq(0)).await?;
        let mut all = BTreeMap::new();
        for event in &events {
            let texts = event.texts().into_iter();
            let classed = texts.filter_map(|(field, text)| Some((text, Class::of_field(&event.kind, field)?)));
            all.extend(classed.filter(|(_, class)| what.classes.contains(class)));
        }
        let commitments: Vec<Commitment> = all.keys().copied().collect();
        let mut kept = HashSet::new();
        for part in commitments.chunks(PART) {
            for payload in self.store.payloads(part).await?.into_iter().flatten() {
                if what.text.as_ref().is_none_or(|text| says(&payload, text)) {
                    kept.insert(payload.commitment);
                }
            }
        }
        if what.text.is_some() {
            // What a model answered stands there as token ids, too.
            for event in &events {
                let EventKind::ModelCalled { call, .. } = &event.kind else { continue };
                let said = [Some(call.answer), call.thinking, call.tool_calls];
                if said.into_iter().flatten().any(|said| kept.contains(&said)) {
                    kept.extend(call.tokens);
                }
            }
        }
        all.retain(|commitment, _| kept.contains(commitment));
        Ok(all)
    }
}

/// Whether a memory was not forgotten.
async fn is_there(log: &dyn Log, id: MemoryId) -> Result<bool, StoreError> {
    let mut filter = MemoryFilter::default();
    (filter.all, filter.id) = (true, Some(id));
    Ok(log.memory().list(&filter).await?.first().is_some_and(|memory| memory.forgotten.is_none()))
}
