//! Going on with a run that ended badly: it is claimed although it has ended, reopened, and then driven as any other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::budget;
use crate::engine::control::Control;
use crate::engine::executor::{Executor, ExecutorError, let_go};
use crate::engine::recorder::Draft;
use crate::engine::secret::Known;
use crate::engine::services::Services;
use crate::id::{RunId, Seq, StepKey};
use crate::log::{Budget, Channel, EventKind, RunState, RunStatus};
use crate::model::SharedModel;
use crate::store::{Claim, Lease, Message, Write};
use crate::workflow::{Plan, Verb};

/// Who wants a run to go on that has ended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reopening {
    /// The person's name.
    pub by: String,
    /// How the word came in.
    pub via: Channel,
    /// A remark.
    pub note: Option<String>,
}

impl Reopening {
    /// The wish of `by`, without a remark.
    pub fn new(by: impl Into<String>, via: Channel) -> Self {
        Reopening { by: by.into(), via, note: None }
    }
}

impl Executor {
    /// Reopens a run that failed or was cancelled. What completed stays; what failed and was not handled, was cancelled, or
    /// was skipped for either is done again, with the arguments and the keys that it had. That the run is reopened is on disk
    /// when this returns.
    pub async fn reopen(
        services: Services,
        models: BTreeMap<String, SharedModel>,
        control: Control,
        plan: Arc<Plan>,
        run: RunId,
        reopening: &Reopening,
    ) -> Result<Executor, ExecutorError> {
        let changed = plan.changed_tools(&services.tools);
        if !changed.is_empty() {
            return Err(ExecutorError::ToolsChanged(changed));
        }
        let read = async || -> Result<RunState, ExecutorError> {
            let events = services.store.events(run, Seq(0)).await?;
            Ok(RunState::replay(run, plan.clone(), &events)?)
        };
        may_reopen(&read().await?, &services)?;
        let secrets = Known::fetch(&services, &plan).await?;
        let claim = Claim { ended: true, ..Claim::new(services.worker.clone(), Some(run), services.lease) };
        let Some(lease) = services.store.claim(&claim).await? else { return Err(ExecutorError::Held(run)) };
        let reopened = async {
            let state = read().await?;
            // Somebody may have been quicker.
            may_reopen(&state, &services)?;
            let mut executor = Executor::begin(services.clone(), models, control, state, lease.clone(), secrets);
            let mut draft = Draft::default();
            let note = reopening.note.as_ref().map(|note| executor.text(&mut draft, note)).transpose()?;
            let by = executor.person(&mut draft, &reopening.by, reopening.via)?;
            draft.event_by(by, EventKind::RunReopened { note, parent: None });
            executor.drop_cancels(&mut draft).await?;
            draft.event(EventKind::RunClaimed { worker: services.worker.clone() });
            executor.record_to_disk(draft).await?;
            Ok(executor)
        };
        let reopened = reopened.await;
        if let Err(error) = &reopened {
            let_go(&services, &lease, error).await;
        }
        reopened
    }

    /// Reopens a run that this process has just claimed for a step of another run, which was reopened by event `parent`.
    pub(super) async fn reopen_child(
        services: Services,
        models: BTreeMap<String, SharedModel>,
        control: Control,
        state: RunState,
        lease: Lease,
        secrets: Known,
        parent: Seq,
    ) -> Result<Executor, ExecutorError> {
        let worker = services.worker.clone();
        let mut executor = Executor::begin(services.clone(), models, control, state, lease.clone(), secrets);
        let mut draft = Draft::default();
        draft.event(EventKind::RunReopened { note: None, parent: Some(parent) });
        draft.event(EventKind::RunClaimed { worker });
        let reopened = async {
            executor.drop_cancels(&mut draft).await?;
            executor.record_to_disk(draft).await
        };
        match reopened.await {
            Ok(()) => Ok(executor),
            Err(error) => {
                let_go(&services, &lease, &error).await;
                Err(error)
            }
        }
    }

    /// A cancel that came when the run had ended was about that end.
    async fn drop_cancels(&mut self, draft: &mut Draft) -> Result<(), ExecutorError> {
        for received in self.services.store.inbox(self.lease.run).await? {
            if matches!(received.message, Message::Cancel { .. }) && self.taken.insert(received.id) {
                draft.writes.push(Write::Consume(received.id));
            }
        }
        Ok(())
    }

    /// Goes on with a step that had begun before the run was reopened: what was evaluated then stays.
    pub(super) async fn open_again(&mut self, key: &StepKey) -> Result<bool, ExecutorError> {
        let Some(index) = self.state.index_of(key) else { return Ok(false) };
        let step = self.state.at(index);
        if let Some(fan) = &step.fan {
            let (items, list, names, labels) = (fan.total, fan.list, fan.names, fan.labels);
            self.say(EventKind::StepExpanded { key: key.clone(), items, list, names, labels }).await?;
            return Ok(true);
        }
        if step.attempt > 0 {
            self.begin_step(key.clone()).await?;
            return Ok(true);
        }
        Ok(false)
    }
}

/// Why a run is not to be reopened, in words.
fn may_reopen(state: &RunState, services: &Services) -> Result<(), ExecutorError> {
    let run = state.run();
    let refuse = |why: String| Err(ExecutorError::NotAgain(why));
    match state.status() {
        RunStatus::Failed | RunStatus::Cancelled => {}
        RunStatus::Completed => {
            return refuse(format!(
                "run {run} has completed, and a retry would find nothing to do; to do a part of it anew: parkway fork {run} --from STEP"
            ));
        }
        status => {
            let status = status.as_str();
            return refuse(format!("run {run} has not ended: it is {status}; go on with it: parkway resume {run}"));
        }
    }
    if let Some(parent) = state.parent() {
        let (step, parent) = (&parent.step, parent.run);
        return refuse(format!(
            "run {run} is the step `{step}` of run {parent} and goes on with it: parkway retry {parent}"
        ));
    }
    match budget_is_used_up(state, services) {
        Some(why) => refuse(format!(
            "run {run} has used up its budget, and a retry would have no other: {why}, and start anew or fork: parkway fork {run} --from STEP"
        )),
        None => Ok(()),
    }
}

/// Why the step that failed for lack of budget would fail again, whatever else is done.
fn budget_is_used_up(state: &RunState, services: &Services) -> Option<String> {
    let failure = state.failure().filter(|failure| failure.code == "budget")?;
    let step = state.at(state.index_of(failure.step.as_ref()?)?);
    let least = match &state.plan().graph.node(step.node).verb {
        Verb::Tool { .. } => Budget::new(0, 1),
        Verb::Chat(_) => Budget::new(1, 0),
        _ => Budget::default(),
    };
    budget::exceeded(state, step.parent, least, services.clock.now())
}
