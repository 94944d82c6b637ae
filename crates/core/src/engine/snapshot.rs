//! Snapshots of a run's state, so that a long log need not be read from its beginning. They are a cache: one that is not
//! understood, not whole, or not of this log is passed over.

use std::sync::Arc;

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Disk;
use crate::engine::services::Services;
use crate::id::{RunId, Seq};
use crate::log::{RunState, SNAPSHOT_VERSION};
use crate::store::{Log, Snapshot, Store};
use crate::workflow::Plan;

/// What an executor knows of the snapshots of its run.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// What this engine calls those that it can read, once that was asked for.
    engine: Option<String>,
    /// The newest one.
    newest: Seq,
    writing: Option<tokio::task::JoinHandle<()>>,
}

impl Snapshots {
    pub(crate) fn from(newest: Seq) -> Self {
        Snapshots { newest, ..Snapshots::default() }
    }
}

fn engine(plan: &Plan) -> String {
    format!("{} {SNAPSHOT_VERSION} {}", env!("CARGO_PKG_VERSION"), plan.hash())
}

/// A run's state as its log says, and the event of the snapshot that it was read with; 0 for none.
pub(crate) async fn load(services: &Services, run: RunId, plan: Arc<Plan>) -> Result<(RunState, Seq), ExecutorError> {
    match services.store.snapshot(run).await {
        Ok(Some(snapshot)) if !snapshot.bytes.is_empty() => {
            let seq = snapshot.seq;
            match thawed(services, run, plan.clone(), snapshot).await {
                Ok(state) => return Ok((state, seq)),
                Err(why) => tracing::warn!(%run, event = %seq, why, "a snapshot is passed over"),
            }
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%run, %error, "no snapshot could be read"),
    }
    let state = RunState::replay(run, plan, &services.store.events(run, Seq(0)).await?)?;
    Ok((state, Seq(0)))
}

async fn thawed(services: &Services, run: RunId, plan: Arc<Plan>, snapshot: Snapshot) -> Result<RunState, String> {
    let own = engine(&plan);
    if snapshot.engine != own {
        return Err(format!("it is of `{}`, and this is `{own}`", snapshot.engine));
    }
    let mut state = RunState::thaw(plan, &snapshot.bytes)?;
    if state.run() != run || state.head() != snapshot.seq {
        return Err("it is not of the event that it was kept under".into());
    }
    // With the event that it is of, to see that the log still has it.
    let before = Seq(snapshot.seq.0.saturating_sub(1));
    let events = services.store.events(run, before).await.map_err(|error| error.to_string())?;
    let mut events = events.iter();
    let its_own = events
        .next()
        .filter(|event| event.seq == state.head() && event.at == state.updated() && event.fence == state.fence());
    if its_own.is_none() {
        return Err("the log has not the event that it is of".into());
    }
    events.try_for_each(|event| state.apply(event)).map_err(|error| error.to_string())?;
    Ok(state)
}

impl Executor {
    /// Keeps a snapshot, if enough has happened since the newest one: each takes as long as the run is large, and all of
    /// them together must not take longer than in proportion to it.
    pub(super) fn keep_snapshot_when_due(&mut self) {
        let since = self.state.head().0.saturating_sub(self.snapshots.newest.0);
        if since >= self.services.snapshot_every.max(self.snapshots.newest.0 / 2) {
            self.keep_snapshot();
        }
    }

    /// The same for a run that is given back: whoever takes it up next has less to read.
    pub(super) async fn keep_last_snapshot(&mut self) {
        let since = self.state.head().0.saturating_sub(self.snapshots.newest.0);
        if since >= self.services.snapshot_every / 4 {
            self.keep_snapshot();
        }
        self.await_snapshot().await;
    }

    /// A run that has ended needs none.
    pub(super) async fn drop_snapshot(&mut self) {
        self.await_snapshot().await;
        if self.snapshots.newest > Seq(0) {
            let none = Snapshot { seq: self.state.head(), engine: String::new(), bytes: Vec::new() };
            // It is a waste of room, and no more.
            let _ = self.services.store.keep_snapshot(self.lease.run, none).await;
        }
    }

    async fn await_snapshot(&mut self) {
        if let Some(writing) = self.snapshots.writing.take() {
            let _ = writing.await;
        }
    }

    /// Writes the state down now; keeps it once the events that it is of are on disk.
    fn keep_snapshot(&mut self) {
        // A plan that grew is not that of the snapshot's engine; such a run is read from its log.
        if self.state.pursues() || self.snapshots.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        let (run, seq) = (self.lease.run, self.state.head());
        let bytes = match self.state.freeze() {
            Ok(bytes) => bytes,
            Err(error) => return tracing::warn!(%run, error, "no snapshot could be written"),
        };
        let plan = self.state.plan();
        let engine = self.snapshots.engine.get_or_insert_with(|| engine(plan)).clone();
        self.snapshots.newest = seq;
        let snapshot = Snapshot { seq, engine, bytes };
        let (store, disk) = (self.services.store.clone(), self.recorder.disk());
        self.snapshots.writing = Some(tokio::spawn(keep(store, disk, run, snapshot)));
    }
}

async fn keep(store: Arc<dyn Store>, mut disk: Disk, run: RunId, snapshot: Snapshot) {
    if disk.holds(snapshot.seq).await.is_err() {
        return;
    }
    if let Err(error) = Log::keep_snapshot(&*store, run, snapshot).await {
        tracing::warn!(%run, %error, "a snapshot could not be kept");
    }
}
