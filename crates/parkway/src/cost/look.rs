//! Reading a ledger from a store.

use std::collections::HashSet;

use parkway_core::id::{RunId, Seq, Time};
use parkway_core::store::{RunFilter, RunSummary};

use super::call::Told;
use super::ledger::Ledger;
use super::rates::Rates;
use crate::embed::Parkway;
use crate::error::Error;

/// Of what the costs are looked at. Runs that steps have for themselves go with the runs of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// Only this run.
    pub run: Option<RunId>,
    /// Only runs of this workflow.
    pub workflow: Option<String>,
    /// Only runs that were created at this time or later.
    pub since: Option<Time>,
}

impl Scope {
    /// One run.
    pub fn run(run: RunId) -> Scope {
        Scope { run: Some(run), ..Scope::default() }
    }

    fn has(&self, run: &RunSummary) -> bool {
        let of_workflow = self.workflow.as_ref().is_none_or(|workflow| *workflow == run.workflow);
        of_workflow && self.since.is_none_or(|since| run.created >= since)
    }
}

impl Parkway {
    /// What runs have cost, from the log alone, by the prices of the settings.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// use parkway::{Parkway, Workflow, cost::Scope, inputs};
    ///
    /// let parkway = Parkway::builder().store("sqlite::memory:").build().await?;
    /// let workflow = Workflow::from_source("one.yaml", "parkway: 1\nname: one\nsteps: { a: { set: { b: 1 } } }\n")?;
    /// parkway.start(workflow, inputs! {}).await?.wait().await?;
    /// let ledger = parkway.ledger(&Scope::default()).await?;
    /// let one = &ledger.workflows()[0];
    /// assert_eq!((one.workflow.as_str(), one.completed, one.spent.calls), ("one", 1, 0));
    /// # Ok::<_, parkway::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn ledger(&self, scope: &Scope) -> Result<Ledger, Error> {
        let all = self.runs(&RunFilter::default()).await?;
        let known: HashSet<_> = all.iter().map(|run| run.run).collect();
        let is_root = |run: &RunSummary| match scope.run {
            Some(wanted) => run.run == wanted,
            None => run.parent.is_none_or(|parent| !known.contains(&parent)) && scope.has(run),
        };
        let mut wanted: HashSet<_> = all.iter().filter(|run| is_root(run)).map(|run| run.run).collect();
        // A run is created after the one that it is a part of, and the newest stand first.
        for run in all.iter().rev() {
            if run.parent.is_some_and(|parent| wanted.contains(&parent)) {
                wanted.insert(run.run);
            }
        }
        let mut told = Vec::new();
        for run in all.iter().filter(|run| wanted.contains(&run.run)) {
            let events = self.events(run.run, Seq(0)).await?;
            told.push(Told::of(run, &events));
        }
        Ok(Ledger::of(told, &self.rates()))
    }

    /// The prices that the settings say.
    pub fn rates(&self) -> Rates {
        self.site().map(Rates::of).unwrap_or_default()
    }
}
