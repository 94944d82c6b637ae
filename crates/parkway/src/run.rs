//! A run that this program executes.

use std::collections::VecDeque;
use std::sync::Arc;

use parkway_core::engine::{Control, Ended, Executor, ExecutorError, Notice as Update, Watched, Watcher};
use parkway_core::id::{RunId, Seq, StepKey};
use parkway_core::log::{Channel, Event, EventKind, Resolution, RunStatus, Verdict};
use parkway_core::store::Store;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::embed::Parkway;
use crate::error::Error;

type Outcome = Option<Result<Ended, ExecutorError>>;

/// A run that this program executes. Dropping it does not cancel the run.
#[derive(Clone, Debug)]
pub struct Run {
    id: RunId,
    parkway: Parkway,
    control: Control,
    reporter: parkway_core::engine::Reporter,
    outcome: watch::Receiver<Outcome>,
}

impl Run {
    /// Executes it; `place` is given back when that ends.
    pub(crate) fn launch(parkway: Parkway, executor: Executor, control: Control, place: OwnedSemaphorePermit) -> Run {
        let (id, reporter) = (executor.run(), executor.reporter().clone());
        let (sender, outcome) = watch::channel(None);
        tokio::spawn(async move {
            // The executor's own task, so that a fault in it is an error and not a run that never ends.
            let result = match tokio::spawn(executor.execute()).await {
                Ok(result) => result,
                Err(error) => Err(ExecutorError::Store(parkway_core::store::StoreError::Backend {
                    message: format!("the executor ended unexpectedly: {error}"),
                    retryable: true,
                })),
            };
            drop(place);
            sender.send_replace(Some(result));
        });
        Run { id, parkway, control, reporter, outcome }
    }

    /// Its id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Its events from the first, as they come to be on disk; ends when this program stops executing it.
    pub fn events(&self) -> Events {
        Events { updates: self.updates() }
    }

    /// Its events from the first, and passing notices of what models read and write.
    pub fn updates(&self) -> Updates {
        Updates {
            run: self.id,
            store: self.parkway.services().store.clone(),
            watcher: Some(self.reporter.watch()),
            outcome: self.outcome.clone(),
            seen: Seq(0),
            buffer: VecDeque::new(),
            behind: true,
        }
    }

    /// Says yes to a step that asks: its id, or its key such as `intake[3].confirm`.
    pub async fn approve(&self, step: &str) -> Result<(), Error> {
        self.answer(step, Verdict::Approved, None, "program", Channel::Program).await
    }

    /// Says no to a step that asks.
    pub async fn reject(&self, step: &str, note: Option<String>) -> Result<(), Error> {
        self.answer(step, Verdict::Rejected, note, "program", Channel::Program).await
    }

    /// Answers a step that asks, in somebody's name.
    pub async fn answer(
        &self,
        step: &str,
        verdict: Verdict,
        note: Option<String>,
        by: &str,
        via: Channel,
    ) -> Result<(), Error> {
        let key: StepKey = step.parse().map_err(|e| Error::Setup(format!("{e}")))?;
        self.parkway.answer(self.id, key, verdict, note, by.to_owned(), via).await?;
        self.control.poke.poke();
        Ok(())
    }

    /// Fills the form of a step that asks for values, in somebody's name.
    pub async fn fill(&self, step: StepKey, values: Value, by: &str, via: Channel) -> Result<(), Error> {
        self.parkway.fill(self.id, step, values, by.to_owned(), via).await?;
        self.control.poke.poke();
        Ok(())
    }

    /// Says what became of a step's call that is in doubt, as [`Parkway::resolve`] does.
    pub async fn resolve(&self, step: &str, outcome: Resolution<Value>) -> Result<(), Error> {
        let key: StepKey = step.parse().map_err(|e| Error::Setup(format!("{e}")))?;
        self.parkway.resolve(self.id, key, outcome, None, "program".into(), Channel::Program).await?;
        self.control.poke.poke();
        Ok(())
    }

    /// Sends a signal, as [`Parkway::signal`] does.
    pub async fn signal(&self, name: &str, payload: impl Into<Value>) -> Result<(), Error> {
        self.parkway.signal(self.id, name, payload.into(), "program".into(), Channel::Program).await?;
        self.control.poke.poke();
        Ok(())
    }

    /// Asks the run to end: what runs is cancelled, `run_if: always` steps still run.
    pub async fn cancel(&self) -> Result<(), Error> {
        self.parkway.cancel(self.id, None, "program".into(), Channel::Program).await?;
        self.control.poke.poke();
        Ok(())
    }

    /// Stops executing the run here; it can be resumed.
    pub fn stop(&self) {
        self.control.stop.cancel();
    }

    /// Waits until this program no longer executes the run.
    pub async fn wait(&self) -> Result<Ended, Error> {
        let mut outcome = self.outcome.clone();
        let ended = outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        match ended {
            Ok(Some(Ok(ended))) => Ok(ended),
            Ok(Some(Err(error))) => Err(error.into()),
            Ok(None) | Err(_) => Err(Error::Stopped(self.id)),
        }
    }

    /// Waits for the end, and gives the workflow's outputs.
    pub async fn output<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let value = self.outputs().await?;
        serde_json::from_value(value).map_err(|e| Error::Output { run: self.id, cause: e.to_string() })
    }

    async fn outputs(&self) -> Result<Value, Error> {
        let ended = self.wait().await?;
        match ended.status {
            RunStatus::Completed | RunStatus::Failed => {}
            RunStatus::Cancelled => return Err(Error::Cancelled(self.id)),
            _ if ended.stopped => return Err(Error::Stopped(self.id)),
            _ => return Err(Error::Waiting(self.id)),
        }
        let events = self.parkway.services().store.events(self.id, Seq(0)).await?;
        match events.last().map(|event| &event.kind) {
            Some(EventKind::RunCompleted { outputs }) => self.parkway.text(*outputs).await,
            Some(EventKind::RunFailed { reason }) => {
                let message = match reason.message {
                    Some(message) => self.parkway.text(message).await?,
                    None => Value::Null,
                };
                let message = message.as_str().unwrap_or("no reason was recorded").to_owned();
                Err(Error::Failed { run: self.id, code: reason.code.clone(), step: reason.step.clone(), message })
            }
            _ => Err(Error::Stopped(self.id)),
        }
    }
}

/// A stream of updates: no event is lost or told twice.
pub struct Updates {
    run: RunId,
    store: Arc<dyn Store>,
    watcher: Option<Watcher>,
    outcome: watch::Receiver<Outcome>,
    seen: Seq,
    buffer: VecDeque<Event>,
    behind: bool,
}

impl std::fmt::Debug for Updates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Updates").field("run", &self.run).field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Updates {
    /// The next update; `None` when this program no longer executes the run and all was told.
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        loop {
            if self.behind {
                // Only what was read is no longer missing: the caller may drop this future while it waits.
                match self.store.events(self.run, self.seen).await {
                    Ok(events) => self.buffer.extend(events),
                    Err(error) => return Some(Err(error.into())),
                }
                self.behind = false;
            }
            if let Some(event) = self.buffer.pop_front() {
                self.seen = event.seq;
                return Some(Ok(Update::Event(Arc::new(event))));
            }
            let watcher = self.watcher.as_mut()?;
            let watched = tokio::select! {
                watched = watcher.next() => watched,
                _ = self.outcome.wait_for(Option::is_some) => Watched::Closed,
            };
            match watched {
                Watched::Notice(Update::Event(event)) if event.seq == self.seen.next() => {
                    self.seen = event.seq;
                    return Some(Ok(Update::Event(event)));
                }
                Watched::Notice(Update::Event(event)) => self.behind = event.seq > self.seen,
                Watched::Notice(notice) => return Some(Ok(notice)),
                Watched::Lagged => self.behind = true,
                // What was written last may not have been told.
                _ => {
                    self.watcher = None;
                    self.behind = true;
                }
            }
        }
    }
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    updates: Updates,
}

impl Events {
    /// The next event; `None` when this program no longer executes the run and all was told.
    pub async fn next(&mut self) -> Option<Result<Arc<Event>, Error>> {
        loop {
            match self.updates.next().await? {
                Ok(Update::Event(event)) => return Some(Ok(event)),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
