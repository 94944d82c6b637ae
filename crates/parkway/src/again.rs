//! Doing a run, or a part of it, again: the same run that ended badly, or a new one from some step on.

use std::sync::Arc;

use parkway_core::engine::{Executor, ExecutorError, Fork, Reopening};
use parkway_core::id::{RunId, Seq};
use parkway_core::log::{Channel, EventKind};

use crate::embed::{Parkway, RunOptions};
use crate::error::Error;
use crate::run::Run;

impl Parkway {
    /// Reopens a run that failed or was cancelled, and goes on with it. What completed stays; what failed and was not
    /// handled, was cancelled, or was skipped for either is done again, with the arguments and the keys that it had.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// use parkway::log::Channel;
    /// use parkway::{Parkway, Preapproval, Reopening, RunOptions, Workflow, inputs};
    ///
    /// let parkway = Parkway::builder().store("sqlite::memory:").build().await?;
    /// let source = "parkway: 1\nsteps: { ask: { approve: { prompt: Go?, timeout: 10ms } } }\n";
    /// let run = parkway.start(Workflow::from_source("ask.yaml", source)?, inputs! {}).await?;
    /// assert_eq!(run.output::<serde_json::Value>().await.unwrap_err().code(), "rejected");
    ///
    /// let mut options = RunOptions::default();
    /// options.preapprovals = vec![Preapproval { step: None, by: "Ada".into(), via: Channel::Program }];
    /// let run = parkway.retry(run.id(), Reopening::new("Ada", Channel::Program), options).await?;
    /// run.output::<serde_json::Value>().await?;
    /// # Ok::<_, parkway::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn retry(&self, run: RunId, reopening: Reopening, options: RunOptions) -> Result<Run, Error> {
        let events = self.services().store.events(run, Seq(0)).await?;
        let plan = Arc::new(self.plan(run, &events).await?);
        self.allows(&plan)?;
        let models = self.models_for(&plan).await?;
        let place = self.place_of(run).await?;
        let control = options.control();
        let services = self.services().clone();
        let executor = Executor::reopen(services, models, control.clone(), plan, run, &reopening).await;
        Ok(Run::launch(self.clone(), executor.map_err(refused)?, control, place))
    }

    /// What a fork of a run from a step on would keep, and what it would do anew. Nothing is started or written.
    ///
    /// `step` is a step's id, or its place in groups and called workflows, such as `work.send`.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// use parkway::log::Channel;
    /// use parkway::{Parkway, RunOptions, Workflow, inputs};
    ///
    /// let parkway = Parkway::builder().store("sqlite::memory:").build().await?;
    /// let source = "
    /// parkway: 1
    /// steps:
    ///   first: { set: { n: 1 } }
    ///   second: { set: { n: '${{ steps.first.output.n + 1 }}' } }
    /// outputs: { n: '${{ steps.second.output.n }}' }";
    /// let run = parkway.start(Workflow::from_source("two.yaml", source)?, inputs! {}).await?;
    /// run.output::<serde_json::Value>().await?;
    ///
    /// let fork = parkway.fork(run.id(), "second").await?;
    /// assert_eq!((fork.kept()[0].to_string(), fork.anew()[0].key.to_string()), ("first".into(), "second".into()));
    /// let run = parkway.start_fork(fork, "Ada", Channel::Program, RunOptions::default()).await?;
    /// assert_eq!(run.output::<serde_json::Value>().await?["n"], 2);
    /// # Ok::<_, parkway::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn fork(&self, run: RunId, step: &str) -> Result<Fork, Error> {
        let events = self.services().store.events(run, Seq(0)).await?;
        let plan = Arc::new(self.plan(run, &events).await?);
        Fork::new(plan, run, &events, step).map_err(refused)
    }

    /// Starts a fork in somebody's name, as a new run. Each of its calls that may change something outside is asked about.
    pub async fn start_fork(&self, fork: Fork, by: &str, via: Channel, options: RunOptions) -> Result<Run, Error> {
        self.allows(fork.plan())?;
        let models = self.models_for(fork.plan()).await?;
        let place = self.place().await?;
        let control = options.control();
        let executor = Executor::fork(self.services().clone(), models, control.clone(), fork, by, via).await;
        Ok(Run::launch(self.clone(), executor.map_err(refused)?, control, place))
    }

    /// The run that a run was forked from.
    pub async fn forked_from(&self, run: RunId) -> Result<Option<RunId>, Error> {
        let events = self.services().store.beginning(run, 2).await?;
        Ok(events.iter().find_map(|event| match event.kind {
            EventKind::RunForked { from, .. } => Some(from),
            _ => None,
        }))
    }
}

/// What is no fault of the engine's or the store's, but not to be done.
fn refused(error: ExecutorError) -> Error {
    match error {
        ExecutorError::NotAgain(why) => Error::OutOfPlace(why),
        error => error.into(),
    }
}
