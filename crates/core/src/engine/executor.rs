//! Drives one run: asks `decide` what follows, does it, records what came of it, until only the outside can move the run.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde_json::Value;
use tracing::Instrument;

use crate::engine::calls::Calls;
use crate::engine::context::{EvaluateError, Values};
use crate::engine::control::Control;
use crate::engine::decide::decide;
use crate::engine::evidence::Evidence;
use crate::engine::foresight::Foresight;
use crate::engine::goal::{Goals, Pursuits};
use crate::engine::reconcile::Doubts;
use crate::engine::recorder::{Draft, RecordError, Recorder, Refusal};
use crate::engine::reporter::Reporter;
use crate::engine::ruling::{Rulebook, rulebook};
use crate::engine::secret::Known;
use crate::engine::services::{Services, environment};
use crate::engine::snapshot::{self, Snapshots};
use crate::engine::step::{self, Failure};
use crate::id::{RunId, Seq, Time};
use crate::label::Labels;
use crate::log::{Commitment, EventKind, IllegalEvent, Parent, PayloadError, RunState, RunStatus};
use crate::model::SharedModel;
use crate::schema::Schemas;
use crate::store::{Claim, Lease, Message, MessageId, NewRun, Released, StoreError, Write};
use crate::workflow::Plan;

/// Commands that are performed before looking up: at the inbox, the lease, the calls under way.
const BURST: usize = 64;
/// How often the inbox is looked at.
const INBOX: Duration = Duration::from_millis(200);

/// What a run begins with.
pub(crate) struct Beginning<'a> {
    pub(crate) plan: Arc<Plan>,
    pub(crate) inputs: &'a Value,
    /// Labels of the inputs together.
    pub(crate) labels: Labels,
    pub(crate) env: Option<Value>,
    pub(crate) parent: Option<Parent>,
    /// Its place in the store, if nobody has made one.
    pub(crate) new: Option<NewRun>,
}

/// How an executor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Where the run stands.
    pub status: RunStatus,
    /// Whether it was stopped from outside.
    pub stopped: bool,
}

/// Why an executor could not go on. The run is as its log says, and can be resumed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log and the engine disagree.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    /// A text of the run cannot be kept or read.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The run is held by another process.
    #[error("run {0} is being executed by another process")]
    Held(RunId),
    /// The run has ended.
    #[error("run {0} has ended: {status}", status = .1.as_str())]
    Over(RunId, RunStatus),
    /// The run cannot be reopened, or not from here.
    #[error("{0}")]
    NotAgain(String),
    /// Environment variables or secrets that the plan declares are not there.
    #[error("{}", .0.join("; "))]
    Missing(Vec<String>),
    /// The executor's own code, or a policy, a clock or a store that it asked, panicked.
    #[error("the executor of the run panicked: {0}; `parkway resume` goes on with what is on disk")]
    Panicked(String),
    /// The tools are not those that the plan was checked against.
    #[error("this program's tools differ from those of the run's plan: {}", .0.join("; "))]
    ToolsChanged(Vec<String>),
}

impl From<RecordError> for ExecutorError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Illegal(error) => error.into(),
            RecordError::Store(error) => error.into(),
        }
    }
}

/// Drives one run.
pub struct Executor {
    pub(crate) services: Services,
    pub(crate) models: BTreeMap<String, SharedModel>,
    pub(crate) control: Control,
    pub(crate) reporter: Reporter,
    pub(crate) state: RunState,
    pub(crate) values: Values,
    pub(crate) schemas: Schemas,
    pub(crate) rules: Rulebook,
    pub(crate) secrets: Arc<Known>,
    pub(crate) recorder: Recorder,
    pub(crate) lease: Lease,
    pub(super) calls: Calls,
    pub(super) doubts: Doubts,
    pub(super) evidence: Evidence,
    pub(super) taken: HashSet<MessageId>,
    /// When the inbox was last looked into.
    pub(super) heard: Time,
    /// How many runs of steps were looked at.
    pub(super) looked_at: usize,
    pub(crate) snapshots: Snapshots,
    pub(super) foresight: Foresight,
    pub(super) goals: Goals,
    pub(super) pursuits: Pursuits,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("run", &self.lease.run).finish_non_exhaustive()
    }
}

impl Executor {
    /// Creates a run of `plan` with these inputs (as [`Plan::fill_inputs`] gives them), held by this process. The run is
    /// on disk when this returns.
    pub async fn create(
        services: Services,
        models: BTreeMap<String, SharedModel>,
        control: Control,
        plan: Arc<Plan>,
        inputs: &Value,
    ) -> Result<Executor, ExecutorError> {
        let secrets = Known::fetch(&services, &plan).await?;
        let env = environment(&services, &plan)?;
        let now = services.clock.now();
        let run = RunId::new(now, services.clock.random());
        let lease = Lease { run, worker: services.worker.clone(), fence: crate::id::Fence(1) };
        let new = NewRun { run, tenant: TENANT.into(), workflow: plan.workflow.clone(), at: now, parent: None };
        let beginning = Beginning { plan, inputs, labels: Labels::NONE, env, parent: None, new: Some(new) };
        Executor::begin_run(services, models, control, lease, secrets, beginning).await
    }

    /// Writes the first events of a run.
    pub(crate) async fn begin_run(
        services: Services,
        models: BTreeMap<String, SharedModel>,
        control: Control,
        lease: Lease,
        secrets: Known,
        beginning: Beginning<'_>,
    ) -> Result<Executor, ExecutorError> {
        let Beginning { plan, inputs, labels, env, parent, new } = beginning;
        let mut draft = Draft::default();
        let created = EventKind::RunCreated {
            plan: draft.payload(&*services.clock, &*plan)?,
            plan_hash: plan.hash(),
            inputs: draft.payload(&*services.clock, inputs)?,
            labels,
            env: env.map(|env| draft.payload(&*services.clock, &env)).transpose()?,
            parent,
        };
        draft.event(created);
        draft.event(EventKind::RunClaimed { worker: services.worker.clone() });
        draft.writes.extend(new.map(Write::Enqueue));
        let state = RunState::new(lease.run, plan);
        let mut executor = Executor::begin(services, models, control, state, lease, secrets);
        match executor.record_to_disk(draft).await {
            Ok(()) => Ok(executor),
            Err(error) => {
                let_go(&executor.services, &executor.lease, &error).await;
                Err(error)
            }
        }
    }

    /// Takes over a run that nobody holds. Starting, resuming and retrying are the same from here on.
    pub async fn take_over(
        services: Services,
        models: BTreeMap<String, SharedModel>,
        control: Control,
        plan: Arc<Plan>,
        run: RunId,
    ) -> Result<Executor, ExecutorError> {
        let changed = plan.changed_tools(&services.tools);
        if !changed.is_empty() {
            return Err(ExecutorError::ToolsChanged(changed));
        }
        let secrets = Known::fetch(&services, &plan).await?;
        let claim = Claim::new(services.worker.clone(), Some(run), services.lease);
        let Some(lease) = services.store.claim(&claim).await? else {
            let status = RunState::replay(run, plan, &services.store.events(run, Seq(0)).await?)?.status();
            return Err(if status.ended() { ExecutorError::Over(run, status) } else { ExecutorError::Held(run) });
        };
        Executor::go_on(services, models, control, plan, lease, secrets).await
    }

    /// Goes on with a run that this process has just claimed.
    pub(crate) async fn go_on(
        services: Services,
        models: BTreeMap<String, SharedModel>,
        control: Control,
        plan: Arc<Plan>,
        lease: Lease,
        secrets: Known,
    ) -> Result<Executor, ExecutorError> {
        let executor = Executor::continue_log(services.clone(), models, control, plan, lease.clone(), secrets);
        let claimed = guarded(executor).await;
        if let Err(error) = &claimed {
            let_go(&services, &lease, error).await;
        }
        claimed
    }

    /// Takes up a run that this process has just claimed.
    async fn continue_log(
        services: Services,
        models: BTreeMap<String, SharedModel>,
        control: Control,
        plan: Arc<Plan>,
        lease: Lease,
        secrets: Known,
    ) -> Result<Executor, ExecutorError> {
        let (state, snapshot) = snapshot::load(&services, lease.run, plan).await?;
        if state.status().ended() {
            // This process was stopped after the claim, for longer than the lease.
            return Err(ExecutorError::Over(lease.run, state.status()));
        }
        let worker = services.worker.clone();
        let mut executor = Executor::begin(services, models, control, state, lease, secrets);
        executor.snapshots = Snapshots::from(snapshot);
        let mut draft = Draft::default();
        draft.event(EventKind::RunClaimed { worker });
        executor.record(draft).await?;
        Ok(executor)
    }

    pub(super) fn begin(
        services: Services,
        models: BTreeMap<String, SharedModel>,
        control: Control,
        state: RunState,
        lease: Lease,
        secrets: Known,
    ) -> Executor {
        let reporter = Reporter::new();
        let recorder = Recorder::new(
            services.store.clone(),
            services.clock.clone(),
            reporter.clone(),
            TENANT,
            lease.clone(),
            state.head(),
        );
        Executor {
            values: Values::new(services.store.clone()),
            schemas: Schemas::default(),
            rules: rulebook(state.plan()),
            secrets: Arc::new(secrets),
            services,
            models,
            control,
            reporter,
            state,
            recorder,
            lease,
            calls: Calls::default(),
            doubts: Doubts::default(),
            evidence: Evidence::default(),
            taken: HashSet::new(),
            heard: Time::default(),
            looked_at: 0,
            snapshots: Snapshots::default(),
            foresight: Foresight::default(),
            goals: Goals::new(),
            pursuits: Pursuits::new(),
        }
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.lease.run
    }

    /// Tells what happens.
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// The state now.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Drives the run until it ends, only waits, or is stopped. All that was recorded is on disk when this returns.
    pub async fn execute(mut self) -> Result<Ended, ExecutorError> {
        let span = tracing::info_span!("run", run = %self.lease.run, workflow = %self.state.plan().workflow);
        let mut result = guarded(self.drive().instrument(span)).await;
        if result.is_ok()
            && let Err(error) = self.recorder.written().await
        {
            result = Err(error.into());
        }
        if result.is_err() {
            self.leave_evidence().await;
        }
        // Whatever goes wrong, nothing goes on behind the run's back.
        self.calls.cancel_all();
        self.calls.shutdown().await;
        let Executor { recorder, services, lease, state, .. } = self;
        let closed = recorder.close().await.map_err(ExecutorError::from);
        match result.and_then(|stopped| closed.map(|()| stopped)) {
            Ok(stopped) => Ok(Ended { status: state.status(), stopped }),
            Err(error) => {
                let_go(&services, &lease, &error).await;
                Err(error)
            }
        }
    }

    /// Drives the run until it has ended or was given back. Whether it was stopped from outside.
    async fn drive(&mut self) -> Result<bool, ExecutorError> {
        let mut inbox = tokio::time::interval_at(tokio::time::Instant::now() + self.to_next(INBOX), INBOX);
        inbox.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut renewal = tokio::time::interval(self.services.lease / 3);
        let (stop, poke) = (self.control.stop.clone(), self.control.poke.clone());
        let mut disk = self.recorder.disk();
        self.read_texts().await?;
        self.hand_out_signals().await?;
        // What was said while nobody had the run comes before what time alone would bring, and before any call.
        self.read_inbox().await?;
        self.give_preapprovals().await?;
        self.doubt_again();
        loop {
            if stop.is_cancelled() {
                self.wind_down().await?;
                while !self.state.status().ended() && !self.give_back().await? {}
                return Ok(true);
            }
            let more = self.perform_some().await?;
            self.recorder.hand_over().await?;
            // All that was handed out has led to an event, or to a call that is under way: nothing else would be forgotten.
            let ended = self.state.status().ended();
            if !ended {
                self.keep_snapshot_when_due();
            }
            self.ask_tools();
            if ended {
                self.drop_snapshot().await;
                return Ok(false);
            }
            if !more && self.may_leave() && self.give_back().await? {
                return Ok(false);
            }
            let room = self.has_room();
            // A timer that starts something can do nothing until a call has ended and left room.
            let timer = if room { self.state.wake() } else { self.state.alarm() };
            let timer = self.time_to(timer);
            tokio::select! {
                () = stop.cancelled() => {}
                ended = self.calls.next(), if !self.calls.is_empty() => self.take_ends(ended).await?,
                () = poke.poked() => self.read_inbox().await?,
                _ = inbox.tick() => self.read_inbox().await?,
                _ = renewal.tick() => {
                    self.services.store.renew(&self.lease, self.services.lease).await?;
                    renewal.reset_after(self.to_renewal());
                }
                () = tokio::time::sleep(timer), if !more => {}
                () = tokio::task::yield_now(), if more => {}
                error = disk.failed() => return Err(error.into()),
            }
        }
    }

    /// Performs what follows from the state, as far as there is room. Whether there may be more to do at once.
    async fn perform_some(&mut self) -> Result<bool, ExecutorError> {
        for _ in 0..BURST {
            let room = usize::from(self.has_room());
            let commands = decide(&mut self.state, self.services.clock.now(), room);
            if commands.is_empty() {
                return Ok(false);
            }
            for command in commands {
                if self.still_stands(&command).await? {
                    self.perform(command).await?;
                }
            }
        }
        Ok(true)
    }

    /// Whether only the outside can move the run, and nobody here is going to: it waits for a person, a signal, or a time
    /// that is not near. A run that waits for nothing but a word about a call in doubt is left even when the caller stays.
    fn may_leave(&self) -> bool {
        let near = || self.time_to(self.state.wake()) < Duration::from_secs(60);
        let expected = self.state.waits() && (self.control.stay || near());
        self.calls.is_empty() && !self.doubts.any() && self.state.status() == RunStatus::Waiting && !expected
    }

    /// Gives the run back if nobody has said anything that changes it.
    async fn give_back(&mut self) -> Result<bool, ExecutorError> {
        let head = self.state.head();
        self.read_inbox().await?;
        if self.state.head() != head {
            return Ok(false);
        }
        self.recorder.written().await?;
        self.keep_last_snapshot().await;
        if self.services.store.release(&self.lease, self.state.wake()).await? == Released::Free {
            return Ok(true);
        }
        let unread = self.services.store.inbox(self.lease.run).await?;
        if unread.iter().any(|unread| !(self.taken.contains(&unread.id) && unread.message == Message::Unknown)) {
            return Ok(false);
        }
        // What only a newer version can read keeps nobody: the lease ends at once.
        self.services.store.renew(&self.lease, Duration::ZERO).await?;
        Ok(true)
    }

    /// How long until the clock shows the next multiple of `period`. All runs of a process look into their inboxes and renew
    /// their leases at the same moments, so that a store can do it for all together.
    fn to_next(&self, period: Duration) -> Duration {
        let into = self.services.clock.now().since(Time::default()).as_micros() % period.as_micros().max(1);
        period.saturating_sub(Duration::from_micros(u64::try_from(into).unwrap_or_default()))
    }

    /// How long until the lease is renewed again: about a third of what it lasts, and at most half.
    fn to_renewal(&self) -> Duration {
        let third = self.services.lease / 3;
        let next = self.to_next(third);
        if next < third / 2 { next + third } else { next }
    }

    fn time_to(&self, time: Option<Time>) -> Duration {
        time.map_or(Duration::from_secs(3_600), |time| time.since(self.services.clock.now()))
    }

    /// Applies, commits, publishes: the one door.
    pub(crate) async fn record(&mut self, mut draft: Draft) -> Result<Seq, ExecutorError> {
        self.draft_report(&mut draft).await?;
        self.values.keep(&draft.payloads);
        let doubts = Doubts::in_draft(&draft);
        let head = self.recorder.record(&mut self.state, draft).await?;
        self.doubts.add(&self.state, doubts);
        self.values.age(head, self.recorder.on_disk());
        Ok(head)
    }

    /// Commits a draft whose writes may be refused, and applies it if they are not.
    pub(super) async fn record_if_taken(&mut self, draft: Draft) -> Result<Result<(), Refusal>, ExecutorError> {
        self.values.keep(&draft.payloads);
        let taken = self.recorder.record_if_taken(&mut self.state, draft).await?;
        self.values.age(self.state.head(), self.recorder.on_disk());
        Ok(taken.map(|_| ()))
    }

    /// Records a draft, and returns when it is on disk.
    pub(super) async fn record_to_disk(&mut self, draft: Draft) -> Result<(), ExecutorError> {
        let head = self.record(draft).await?;
        self.recorder.hand_over().await?;
        Ok(self.recorder.disk().holds(head).await?)
    }

    pub(crate) fn text(&self, draft: &mut Draft, text: &str) -> Result<Commitment, PayloadError> {
        draft.payload(&*self.services.clock, text)
    }

    pub(crate) fn value(&self, draft: &mut Draft, value: &Value) -> Result<Commitment, PayloadError> {
        draft.payload(&*self.services.clock, value)
    }

    /// A template's error is the step's failure; a store's is the executor's end.
    pub(crate) fn evaluated<T>(result: Result<T, EvaluateError>) -> Result<Result<T, Failure>, ExecutorError> {
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(EvaluateError::Template(error)) => Ok(Err(Failure::new("template", error.to_string()))),
            Err(EvaluateError::Store(error)) => Err(error.into()),
        }
    }
}

/// Gives a run back that cannot go on here: the next executor starts from the log, and need not wait for the lease to run
/// out. Where this cannot be said to the store either, the lease does run out.
pub(super) async fn let_go(services: &Services, lease: &Lease, error: &ExecutorError) {
    let released = match error {
        // Nobody can go on with a log that makes no sense.
        ExecutorError::Illegal(_) => services.store.release(lease, None).await,
        // The clock may be what panicked.
        ExecutorError::Panicked(_) => Ok(Released::Unread),
        _ => services.store.release(lease, Some(services.clock.now())).await,
    };
    if let Ok(Released::Unread) = released {
        // A run with unread messages is not given back, but the lease may end at once.
        let _ = services.store.renew(lease, Duration::ZERO).await;
    }
}

/// What a future gives; a panic in it is an error.
async fn guarded<T>(future: impl Future<Output = Result<T, ExecutorError>>) -> Result<T, ExecutorError> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(ExecutorError::Panicked(step::said(panic)))))
    })
    .await
}

/// Whose runs these are, until there are several tenants.
pub(crate) const TENANT: &str = "default";
