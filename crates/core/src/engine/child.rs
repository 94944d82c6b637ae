//! A workflow with a run of its own: the run is made in the commit that starts the step, driven as an attempt at the step
//! by an executor of its own, and read when it has ended. Whoever else drives it meanwhile does no harm.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::engine::context::{Site, labels_named};
use crate::engine::control::Control;
use crate::engine::executor::{Beginning, Ended, Executor, ExecutorError};
use crate::engine::secret::Known;
use crate::engine::services::Services;
use crate::engine::step::{Failure, Outcome, Output, words};
use crate::id::{RunId, Seq, Time};
use crate::label::Labels;
use crate::log::{
    Budget, Channel, Commitment, Event, EventKind, Finish, Parent, RunState, RunStatus, StepIndex, WaitFor,
};
use crate::model::SharedModel;
use crate::store::{Claim, Message, StoreError};
use crate::tool::Cancel;
use crate::workflow::{Plan, Template};

/// How often a run that somebody else holds is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A run to be driven for a step.
pub(crate) struct ChildRun {
    pub(crate) services: Services,
    pub(crate) models: BTreeMap<String, SharedModel>,
    pub(crate) control: Control,
    pub(crate) run: RunId,
    pub(crate) parent: Parent,
    /// The workflow's file, for messages.
    pub(crate) path: String,
    pub(crate) plan: Arc<Plan>,
    pub(crate) inputs: Value,
    pub(crate) labels: Labels,
    pub(crate) env: Option<Value>,
    /// How long the run may take from its creation.
    pub(crate) timeout: Option<Duration>,
    /// The event by which the parent was reopened, where the step is done again since.
    pub(crate) reopened: Option<Seq>,
    /// What the step has been charged for the run already.
    pub(crate) settled: Budget,
}

/// What is known of a run that was driven for a step, beside its result.
pub(crate) struct ChildEnd {
    /// What it has used.
    pub(crate) spent: Budget,
    /// That it only waits, and what the step waits for in turn.
    pub(crate) waits: Option<WaitFor>,
}

/// How driving the run ended for now.
enum Drove {
    Ended(RunState),
    /// Only the outside can move it, or the time that is given.
    Waits(RunState, Option<Time>),
    /// This process stops.
    Stopped,
}

impl ChildRun {
    /// Drives the run as far as it goes. An error of the store ends the parent's executor too.
    pub(crate) async fn make(self, index: StepIndex, cancel: Cancel) -> Result<Outcome, StoreError> {
        let outcome =
            |result, child, cut_off| Outcome { index, result, turns: Vec::new(), cut_off, begun: true, child };
        let (state, wake) = match self.drive(&cancel).await {
            Ok(Drove::Ended(state)) => (state, None),
            Ok(Drove::Waits(state, wake)) => (state, Some(wake)),
            Ok(Drove::Stopped) => return Ok(outcome(Err(stopped()), None, true)),
            Err(ExecutorError::Store(error)) => return Err(error),
            Err(error) => {
                let message = format!("run {} of `{}` cannot go on: {error}", self.run, self.path);
                // Nobody knows what it has used by then.
                let failure = Failure { not_done: false, ..Failure::new("run", message) };
                return Ok(outcome(Err(failure), None, false));
            }
        };
        let spent = state.committed().minus(self.settled);
        if let Some(wake) = wake {
            let waits = Some(WaitFor::Run { run: self.run, wake });
            return Ok(outcome(Err(stopped()), Some(ChildEnd { spent, waits }), false));
        }
        let result = match self.time_over(&state) && state.status() == RunStatus::Cancelled {
            true => {
                let limit = words(self.timeout.unwrap_or_default());
                Err(Failure::new("timeout", format!("run {} of `{}` took longer than {limit}", self.run, self.path)))
            }
            false => self.result(&state).await?,
        };
        Ok(outcome(result, Some(ChildEnd { spent, waits: None }), false))
    }

    async fn drive(&self, cancel: &Cancel) -> Result<Drove, ExecutorError> {
        let store = &self.services.store;
        let mut told = false;
        loop {
            let events = store.events(self.run, Seq(0)).await?;
            let state = self.state(&events).await?;
            let again = state.as_ref().and_then(|state| self.reopens(state));
            if let Some(state) = state.as_ref().filter(|state| state.status().ended() && again.is_none()) {
                return Ok(Drove::Ended(state.clone()));
            }
            if self.control.stop.is_cancelled() {
                return Ok(Drove::Stopped);
            }
            let over = state.as_ref().is_some_and(|state| self.time_over(state));
            if (cancel.is_cancelled() || over) && !told {
                told = self.tell_to_stop().await?;
            }
            let plan = state.as_ref().map_or_else(|| self.plan.clone(), |state| state.plan().clone());
            let secrets = Known::fetch(&self.services, &plan).await?;
            let claim = Claim::new(self.services.worker.clone(), Some(self.run), self.services.lease);
            let claim = Claim { ended: again.is_some(), ..claim };
            let Some(lease) = store.claim(&claim).await? else {
                // Somebody else drives it.
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let (services, models, control) = (self.services.clone(), self.models.clone(), self.control.clone());
            let begun = state.is_some();
            let executor = match state.zip(again) {
                Some((state, parent)) => {
                    match Executor::reopen_child(services, models, control, state, lease, secrets, parent).await {
                        Ok(executor) => executor,
                        // Somebody else was quicker.
                        Err(ExecutorError::Store(StoreError::Fenced { .. } | StoreError::Conflict { .. })) => continue,
                        Err(error) => return Err(error),
                    }
                }
                None if begun => match Executor::go_on(services, models, control, plan, lease, secrets).await {
                    Ok(executor) => executor,
                    // Somebody else has taken the run over, and may have ended it.
                    Err(
                        ExecutorError::Over(..)
                        | ExecutorError::Store(StoreError::Fenced { .. } | StoreError::Conflict { .. }),
                    ) => continue,
                    Err(error) => return Err(error),
                },
                None => {
                    let beginning = Beginning {
                        plan,
                        inputs: &self.inputs,
                        labels: self.labels,
                        env: self.env.clone(),
                        parent: Some(self.parent.clone()),
                        new: None,
                    };
                    Executor::begin_run(services, models, control, lease, secrets, beginning).await?
                }
            };
            let ended = match self.execute(executor, cancel, &mut told).await {
                Ok(ended) => ended,
                // Somebody else has taken the run over.
                Err(ExecutorError::Store(StoreError::Fenced { .. } | StoreError::Conflict { .. })) => continue,
                Err(error) => return Err(error),
            };
            if ended.stopped {
                return Ok(Drove::Stopped);
            }
            if ended.status.ended() {
                continue;
            }
            let events = store.events(self.run, Seq(0)).await?;
            if let Some(state) = self.state(&events).await? {
                if !told && (cancel.is_cancelled() || self.time_over(&state)) {
                    continue;
                }
                // Once its time is over there is nothing more to wake it for.
                let limit = self.time_limit(&state).filter(|_| !self.time_over(&state));
                let wake = state.wake().into_iter().chain(limit).min();
                return Ok(Drove::Waits(state, wake));
            }
        }
    }

    /// Executes the run, and tells it to stop when the step is cancelled or its time is over.
    async fn execute(&self, executor: Executor, cancel: &Cancel, told: &mut bool) -> Result<Ended, ExecutorError> {
        let now = self.services.clock.now();
        let left = self.time_limit(executor.state()).map(|limit| limit.since(now));
        let work = boxed(executor);
        tokio::pin!(work);
        let over = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        tokio::select! {
            biased;
            ended = &mut work => return ended,
            () = cancel.cancelled() => {}
            () = &mut over => {}
        }
        // The process that stops leaves the run as it is.
        if !*told && !self.control.stop.is_cancelled() {
            *told = self.tell_to_stop().await?;
            self.control.poke.poke();
        }
        work.await
    }

    /// The event of the parent's for which this run is to be reopened: it ended badly before that.
    fn reopens(&self, state: &RunState) -> Option<Seq> {
        let last = state.reopened().and_then(|reopened| reopened.parent);
        let bad = matches!(state.status(), RunStatus::Failed | RunStatus::Cancelled);
        self.reopened.filter(|parent| bad && last < Some(*parent))
    }

    async fn tell_to_stop(&self) -> Result<bool, StoreError> {
        let note = Some(format!("for the step `{}` of run {}", self.parent.step, self.parent.run));
        let by = self.services.worker.to_string();
        self.services.store.signal(self.run, Message::Cancel { note, by, via: Channel::Program }).await?;
        Ok(true)
    }

    fn time_limit(&self, state: &RunState) -> Option<Time> {
        Some(state.opened().after(self.timeout?))
    }

    fn time_over(&self, state: &RunState) -> bool {
        self.time_limit(state).is_some_and(|limit| limit <= self.services.clock.now())
    }

    /// The run's state; `None` before its first event.
    async fn state(&self, events: &[Event]) -> Result<Option<RunState>, ExecutorError> {
        let Some(EventKind::RunCreated { plan, .. }) = events.first().map(|event| &event.kind) else {
            return Ok(None);
        };
        let Some(plan) = self.payload(*plan).await? else {
            let (run, path) = (self.run, &self.path);
            return Err(ExecutorError::NotAgain(format!("the plan of run {run} of `{path}` was erased")));
        };
        let plan = Plan::from_value(plan).map_err(StoreError::Corrupt)?;
        Ok(Some(RunState::replay(self.run, Arc::new(plan), events)?))
    }

    /// The value of a text; none if it was erased.
    async fn payload(&self, commitment: Commitment) -> Result<Option<Value>, StoreError> {
        let payload = self.services.store.payloads(&[commitment]).await?.pop().flatten();
        Ok(payload.map(|payload| payload.value()).transpose()?)
    }

    /// What the run gives to its step.
    async fn result(&self, state: &RunState) -> Result<Result<Output, Failure>, StoreError> {
        Ok(match state.finish() {
            Some(Finish::Completed(outputs)) => match self.payload(*outputs).await? {
                Some(value) => {
                    let labels = labels_named(state, Site::TOP, Template::Value(&state.plan().outputs));
                    Ok(Output { value, labels, writes: Vec::new() })
                }
                None => {
                    let message = format!("the outputs of run {} of `{}` were erased", self.run, self.path);
                    Err(Failure { not_done: false, ..Failure::new("erased", message) })
                }
            },
            Some(Finish::Failed(reason)) => {
                let message = match reason.message {
                    Some(message) => self.payload(message).await?.unwrap_or_default(),
                    None => Value::Null,
                };
                let at = reason.step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default();
                let message = message.as_str().unwrap_or("without a message");
                let message = format!("run {} of `{}` failed{at}: {message}", self.run, self.path);
                Err(Failure::new(&reason.code, message))
            }
            _ => Err(Failure::new("cancelled", format!("run {} of `{}` was cancelled", self.run, self.path))),
        })
    }
}

/// An executor within an executor: a type that would hold itself has to stop somewhere.
fn boxed(executor: Executor) -> Pin<Box<dyn Future<Output = Result<Ended, ExecutorError>> + Send>> {
    Box::pin(executor.execute())
}

fn stopped() -> Failure {
    Failure { not_done: false, ..Failure::new("cancelled", "the run was left as it stands") }
}
