//! What is not to be erased: texts of runs that go on, and of runs that are held. They stand for the runs that their steps have for
//! themselves, and for what forks have in common with them, since a fork points to the texts of the run that it comes from.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use parkway_core::engine::Holds;
use parkway_core::id::{RunId, Seq};
use parkway_core::log::{Commitment, Event, EventKind};
use parkway_core::store::{RunFilter, Store, StoreError};

/// Why a text is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// This run has not ended.
    Open(RunId),
    /// This run is held.
    Held(RunId),
}

/// Which runs keep their texts, as far as the store was read.
pub(super) struct Keeping {
    store: Arc<dyn Store>,
    holds: Holds,
    /// Runs that have not ended.
    going: BTreeSet<RunId>,
    /// Runs that keep their texts since a run has not ended: they, or one that they are a part of.
    open: HashMap<RunId, RunId>,
    /// Runs that keep their texts since a run is held: they, or one that they are a part of.
    held: HashMap<RunId, RunId>,
    /// Runs, each with the one that the first of its line of forks was forked from.
    origins: HashMap<RunId, RunId>,
    /// Runs that keep their texts, by their origin.
    kin: HashMap<RunId, Vec<RunId>>,
    /// The texts of runs that keep theirs, of those that were asked for.
    texts: HashMap<RunId, HashSet<Commitment>>,
}

impl Keeping {
    pub(super) async fn read(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let mut keeping = Keeping {
            store,
            holds: Holds::default(),
            going: BTreeSet::new(),
            open: HashMap::new(),
            held: HashMap::new(),
            origins: HashMap::new(),
            kin: HashMap::new(),
            texts: HashMap::new(),
        };
        keeping.holds.renew(&*keeping.store).await?;
        keeping.going = keeping.going().await?;
        keeping.settle().await?;
        Ok(keeping)
    }

    /// Reads what has changed since.
    pub(super) async fn renew(&mut self) -> Result<(), StoreError> {
        let (held, going) = (self.holds.renew(&*self.store).await?, self.going().await?);
        if held || going != self.going {
            self.going = going;
            self.settle().await?;
        }
        Ok(())
    }

    async fn going(&self) -> Result<BTreeSet<RunId>, StoreError> {
        let filter = RunFilter { open: true, ..RunFilter::default() };
        Ok(self.store.runs(&filter).await?.iter().map(|run| run.run).collect())
    }

    /// Sorts all runs.
    async fn settle(&mut self) -> Result<(), StoreError> {
        let runs = self.store.runs(&RunFilter::default()).await?;
        let parents: HashMap<RunId, Option<RunId>> = runs.iter().map(|run| (run.run, run.parent)).collect();
        (self.open, self.held) = (HashMap::new(), HashMap::new());
        for run in parents.keys() {
            // A run that is a part of itself is damage, and is told elsewhere.
            let line = std::iter::successors(Some(*run), |run| parents.get(run).copied().flatten());
            let line: Vec<RunId> = line.take(parents.len()).collect();
            self.open.extend(line.iter().find(|part| self.going.contains(part)).map(|by| (*run, *by)));
            let by = if self.holds.all.is_some() { Some(run) } else { None };
            let by = by.or_else(|| line.iter().find(|part| self.holds.runs.contains_key(part)));
            self.held.extend(by.map(|by| (*run, *by)));
        }
        self.kin = HashMap::new();
        if self.holds.all.is_some() {
            // Whatever it has in common with others, everything is kept.
            return Ok(());
        }
        let kept: BTreeSet<RunId> = self.open.keys().chain(self.held.keys()).copied().collect();
        for run in kept {
            let origin = self.origin(run).await?;
            self.kin.entry(origin).or_default().push(run);
        }
        Ok(())
    }

    /// The run that is held, and for which nothing of this one may be erased.
    pub(super) fn held(&self, run: RunId) -> Option<RunId> {
        // What happens outside of runs is held with everything.
        self.held.get(&run).copied().or_else(|| self.holds.all.map(|_| run))
    }

    /// Why all texts of a run are kept, if they are.
    pub(super) fn whole(&self, run: RunId) -> Option<Why> {
        let open = self.open.get(&run).map(|by| Why::Open(*by));
        open.or_else(|| self.held(run).map(Why::Held))
    }

    /// Why a text of a run is kept, whose kin was [read](Keeping::read_kin): for the run's own sake, or for one that has it in common.
    pub(super) fn why(&self, run: RunId, text: Commitment) -> Option<Why> {
        let has = |other: &&RunId| **other != run && self.texts.get(*other).is_some_and(|texts| texts.contains(&text));
        self.whole(run).or_else(|| self.kin(run).iter().find(has).and_then(|other| self.whole(*other)))
    }

    /// Reads the texts of the runs that keep theirs and may have them in common with this run.
    pub(super) async fn read_kin(&mut self, run: RunId) -> Result<(), StoreError> {
        if self.kin.is_empty() || run == RunId::SYSTEM {
            return Ok(());
        }
        self.origin(run).await?;
        for other in self.kin(run).to_vec() {
            if other != run && !self.texts.contains_key(&other) {
                let events = self.store.events(other, Seq(0)).await?;
                let texts = events.iter().flat_map(Event::texts).map(|(_, text)| text).collect();
                self.texts.insert(other, texts);
            }
        }
        Ok(())
    }

    /// The runs that keep their texts and come from the same run as this one.
    fn kin(&self, run: RunId) -> &[RunId] {
        let origin = self.origins.get(&run);
        origin.and_then(|origin| self.kin.get(origin)).map_or(&[], Vec::as_slice)
    }

    /// The run that the first of a line of forks was forked from; the run itself, if it is no fork.
    async fn origin(&mut self, run: RunId) -> Result<RunId, StoreError> {
        let (mut way, mut at) = (Vec::new(), run);
        let origin = loop {
            if let Some(known) = self.origins.get(&at) {
                break *known;
            }
            way.push(at);
            let events = self.store.beginning(at, 2).await?;
            let from = events.iter().find_map(|event| match event.kind {
                EventKind::RunForked { from, .. } => Some(from),
                _ => None,
            });
            match from.filter(|from| !way.contains(from)) {
                Some(from) => at = from,
                None => break at,
            }
        };
        self.origins.extend(way.into_iter().map(|run| (run, origin)));
        Ok(origin)
    }
}
