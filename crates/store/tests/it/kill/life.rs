//! What a process does with a database: begins the run, or goes on with it, gives it what it waits for, and ends with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parkway_core::audit::SignedHead;
use parkway_core::clock::SystemClock;
use parkway_core::engine::{
    Author, Control, Executor, ExecutorError, Fork, Notice, Outside, Preapproval, Reopening, Services, Watched,
    record_outside,
};
use parkway_core::id::{MemoryId, RunId, Seq, Time, WorkerId};
use parkway_core::log::{Channel, Event, EventKind, Resolution, RunState, RunStatus, StepStatus, Verdict, WaitFor};
use parkway_core::memory::{Content, MemoryFilter, NewMemory};
use parkway_core::model::SharedModel;
use parkway_core::policy::{Decision, Policy, PolicyRequest};
use parkway_core::store::{Log, Message, Queue, RunFilter, RunSummary, Snapshot, Store};
use parkway_core::testing::{ScriptedModel, StopAt};
use parkway_core::tool::Toolbox;
use parkway_core::workflow::{Definition, Plan, Requirements};
use parkway_store::{SqliteConfig, SqliteStore};
use serde_json::{Map, Value, json};

use super::ledger::Ledger;
use super::scenario::Scenario;
use super::tools::toolbox;

/// Allows everything, so that nobody need be asked about calls, but for the tool that is to be asked about.
#[derive(Debug)]
pub(crate) struct Allow;

impl Policy for Allow {
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision {
        let verdict = match request.spec.name.as_str() {
            "t.asked" => parkway_core::policy::Verdict::Ask,
            _ => parkway_core::policy::Verdict::Allow,
        };
        Decision { verdict, rule: "test".into(), reason: "it is a test".into() }
    }

    fn fingerprint(&self) -> String {
        "test".into()
    }
}

/// A process, as far as it can die.
pub(crate) struct Life {
    pub(crate) scenario: Scenario,
    pub(crate) store: Arc<StopAt>,
    pub(crate) ledger: Ledger,
    services: Services,
    /// Hears that this process has the run.
    took: Box<dyn Fn() + Send + Sync>,
}

/// How long anything may take before it is said to hang.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn open(path: &Path) -> SqliteStore {
    let config = SqliteConfig::new(path).busy_timeout(PATIENCE).readers(1);
    SqliteStore::open(config, Arc::new(SystemClock)).await.unwrap()
}

impl Life {
    pub(crate) fn new(scenario: Scenario, store: Arc<StopAt>, ledger: Ledger, worker: &str, takes: Duration) -> Self {
        let tools = toolbox(scenario.class, &ledger, &store, takes);
        let shared: Arc<dyn Store> = store.clone();
        let (clock, worker) = (Arc::new(SystemClock), WorkerId::new(worker));
        let services = Services::new(shared, Arc::new(tools), Arc::new(Allow), clock, worker);
        Life { scenario, store, ledger, services, took: Box::new(|| {}) }
    }

    /// A process that holds runs for `lease`, and calls `took` when it has got one, before it does anything with it.
    pub(crate) fn with_lease(mut self, lease: Duration, took: impl Fn() + Send + Sync + 'static) -> Self {
        self.services.lease = lease;
        self.took = Box::new(took);
        self
    }

    /// Lives until the run has ended and all that it sent out is delivered. `told` hears of each event on disk.
    pub(crate) async fn live(&self, told: impl Fn(&Event) + Clone + Send + 'static) -> Result<(), String> {
        let whole = async {
            let mut idle = 0;
            while !self.run_once(told.clone()).await? {
                if self.give_what_is_waited_for(true).await == 0 {
                    idle += 1;
                    if idle > 200 {
                        return Err("the run waits for what nobody can give".to_owned());
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            self.relay().await;
            if self.scenario.is_tended() {
                self.tend().await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, whole).await.map_err(|_| "the process hangs".to_owned())?
    }

    /// Drives the run as far as it goes. Whether it has ended.
    pub(crate) async fn run_once(&self, told: impl Fn(&Event) + Send + 'static) -> Result<bool, String> {
        let taken = match self.main_runs().await[..] {
            [] => Some(Ok(self.create(self.control()).await)),
            [ref main] if main.status == RunStatus::Failed && self.scenario.reopens() => {
                self.ledger.mend();
                Some(self.reopen(main.run).await)
            }
            [ref main] if main.status.ended() => match self.scenario.forks() {
                Some(step) => Some(self.fork(main.run, step).await),
                None => None,
            },
            // What is forked from has ended.
            [.., ref last] if last.status.ended() => None,
            [.., ref last] => Some(self.take_over(last.run).await),
        };
        let executor = match taken {
            None => return Ok(true),
            Some(taken) => match taken {
                Ok(executor) => {
                    (self.took)();
                    executor
                }
                Err(ExecutorError::Held(_)) => return Ok(false),
                Err(error) => return Err(error.to_string()),
            },
        };
        let (run, mut watcher) = (executor.run(), executor.reporter().watch());
        let watching = tokio::spawn(async move {
            loop {
                match watcher.next().await {
                    Watched::Notice(Notice::Event(event)) => told(&event),
                    Watched::Closed => return,
                    _ => {}
                }
            }
        });
        let ended = executor.execute().await.map_err(|error| error.to_string())?;
        watching.await.unwrap();
        if ended.status.ended() {
            self.keep_snapshot(run).await;
        }
        // There may be a run to reopen, or to fork.
        Ok(ended.status.ended() && !self.scenario.reopens() && self.scenario.forks().is_none())
    }

    /// The run that this is all about, and a fork of it; others are made by their steps.
    async fn main_runs(&self) -> Vec<RunSummary> {
        let mut runs = self.store.runs(&RunFilter::default()).await.unwrap();
        runs.retain(|run| run.workflow == "main");
        // They are listed newest first.
        runs.reverse();
        runs
    }

    fn models(&self) -> BTreeMap<String, SharedModel> {
        let model: SharedModel = Arc::new(ScriptedModel::new().script(|request| {
            let turn = request.step.as_ref().and_then(|step| step.last()).map_or("", |last| last.id.as_str());
            Ok(said(turn).to_string())
        }));
        BTreeMap::from([("main".to_owned(), model)])
    }

    fn control(&self) -> Control {
        let mut control = Control::default();
        if self.scenario.approves_early() {
            control.preapprovals = vec![Preapproval { step: None, by: "ada".into(), via: Channel::Flag }];
        }
        control
    }

    /// Makes the run, and gives it back at once.
    pub(crate) async fn create_free(&self) {
        let control = self.control();
        control.stop.cancel();
        self.create(control).await.execute().await.unwrap();
    }

    async fn create(&self, control: Control) -> Executor {
        let plan = plan(&self.scenario, &self.services.tools);
        let inputs = plan.fill_inputs(Map::new()).unwrap();
        let services = self.services.clone();
        Executor::create(services, self.models(), control, Arc::new(plan), &inputs).await.unwrap()
    }

    async fn reopen(&self, run: RunId) -> Result<Executor, ExecutorError> {
        let plan = state(&*self.store, run).await.unwrap().plan().clone();
        let reopening = Reopening::new("ada", Channel::Command);
        Executor::reopen(self.services.clone(), self.models(), self.control(), plan, run, &reopening).await
    }

    async fn fork(&self, run: RunId, step: &str) -> Result<Executor, ExecutorError> {
        let plan = state(&*self.store, run).await.unwrap().plan().clone();
        let events = self.store.events(run, Seq(0)).await.unwrap();
        let fork = Fork::new(plan, run, &events, step)?;
        let services = self.services.clone();
        Executor::fork(services, self.models(), self.control(), fork, "ada", Channel::Command).await
    }

    async fn take_over(&self, run: RunId) -> Result<Executor, ExecutorError> {
        let state = state(&*self.store, run).await.unwrap();
        let services = self.services.clone();
        Executor::take_over(services, self.models(), self.control(), state.plan().clone(), run).await
    }

    /// Plays the people and programs around the run; says what became of calls in doubt only if `doubts`. How many words
    /// were said.
    pub(crate) async fn give_what_is_waited_for(&self, doubts: bool) -> usize {
        let mut said = 0;
        for run in self.store.runs(&RunFilter { open: true, ..RunFilter::default() }).await.unwrap() {
            let Some(state) = state(&*self.store, run.run).await else { continue };
            for step in state.steps() {
                let (key, by, via) = (step.key.clone(), "ada".to_owned(), Channel::Command);
                let waits = step.waiting.as_ref().map(|waiting| &waiting.what);
                let message = match (step.status, waits) {
                    (StepStatus::InDoubt, _) if doubts => {
                        // Whoever made the call is dead: what is not in the ledger by now will never be.
                        let found = self.ledger.effect(&run.run.to_string(), &key.to_string());
                        let outcome = match found {
                            Some(entry) => Resolution::Done { output: entry.output },
                            // What a plan calls is not tried again by itself.
                            None if self.scenario.says_not_done() && !key.to_string().starts_with(['l', 'g']) => {
                                Resolution::NotDone
                            }
                            None => Resolution::Redo,
                        };
                        Message::Resolve { step: key, outcome, note: None, by, via }
                    }
                    (StepStatus::Waiting, _) if step.asks() => {
                        Message::Approval { step: key, verdict: Verdict::Approved, note: None, by, via }
                    }
                    (StepStatus::Waiting, Some(WaitFor::Input { .. })) => {
                        Message::Input { step: key, values: json!({"n": 7}), by, via }
                    }
                    (StepStatus::Waiting, Some(WaitFor::Signal { name, .. })) => {
                        match payload(&*self.store, *name).await.as_str().unwrap() {
                            "never" => Message::Cancel { note: None, by, via },
                            name => Message::Signal { name: name.into(), payload: json!(6), by, via },
                        }
                    }
                    _ => continue,
                };
                self.store.signal(run.run, message).await.unwrap();
                said += 1;
            }
        }
        said
    }

    /// Whether a call of any run is in doubt.
    pub(crate) async fn in_doubt(&self) -> bool {
        for run in self.store.runs(&RunFilter { open: true, ..RunFilter::default() }).await.unwrap() {
            let state = state(&*self.store, run.run).await;
            if state.is_some_and(|state| state.steps().iter().any(|step| step.status == StepStatus::InDoubt)) {
                return true;
            }
        }
        false
    }

    /// Delivers what steps have sent out.
    pub(crate) async fn relay(&self) {
        loop {
            let batch = self.store.outbox(4).await.unwrap();
            if batch.is_empty() {
                return;
            }
            for outgoing in &batch {
                let (run, step) = (outgoing.run.to_string(), outgoing.entry.body["step"].as_str().unwrap());
                self.ledger.write("sent", &run, step, &outgoing.id.0.to_string(), &Value::Null);
            }
            let ids: Vec<_> = batch.iter().map(|outgoing| outgoing.id).collect();
            self.store.delivered(&ids).await.unwrap();
        }
    }

    /// Does what people and programs do with a store outside of its runs, each thing once.
    async fn tend(&self) {
        let memory =
            || NewMemory::new(MemoryId::new([7; 16]), Content::new("kept", "what a person said"), Time::default());
        let mut all = MemoryFilter::default();
        (all.id, all.all) = (Some(memory().id), true);
        if self.store.memory().list(&all).await.unwrap().is_empty() {
            self.outside(Outside::Remember(memory())).await;
        }
        let kept = self.store.memory().list(&all).await.unwrap().remove(0);
        if kept.forgotten.is_none() {
            self.outside(Outside::Forget { id: kept.id, content: kept.commitment, note: None }).await;
        }
        let main = self.main_runs().await[0].run;
        let EventKind::RunCreated { inputs, .. } = self.store.events(main, Seq(0)).await.unwrap()[0].kind else {
            unreachable!()
        };
        if self.store.payloads(&[inputs]).await.unwrap()[0].is_some() {
            self.outside(Outside::Erase { payloads: vec![inputs], note: "old".into() }).await;
        }
        let placed = Outside::PlaceHold { run: Some(main), note: "in dispute".into() };
        let lifted = Outside::LiftHold { run: Some(main), note: "settled".into() };
        let rotated = Outside::RotateKey { rotation: "a note".into(), note: "once a year".into() };
        let shredded =
            Outside::ShredBackup { backup: "019bbb8a3b5a0102030405060708090a".into(), note: "retention".into() };
        let others =
            [("hold_placed", placed), ("hold_lifted", lifted), ("key_rotated", rotated), ("backup_shredded", shredded)];
        for (name, what) in others {
            let events = self.store.events(RunId::SYSTEM, Seq(0)).await.unwrap();
            if !events.iter().any(|event| event.kind.name() == name) {
                self.outside(what).await;
            }
        }
        if self.store.audit().newest_head().await.unwrap().is_none() {
            let head = self.store.audit().tree().await.unwrap();
            self.store.audit().keep_head(&SignedHead { head, note: "a note".into() }).await.unwrap();
        }
    }

    async fn outside(&self, what: Outside) {
        record_outside(&self.services, &Author::new("ada", Channel::Command), &[what]).await.unwrap();
    }

    /// Keeps a snapshot as an engine does for a long run.
    async fn keep_snapshot(&self, run: RunId) {
        let head = self.store.events(run, Seq(0)).await.unwrap().last().unwrap().seq;
        let snapshot = Snapshot { seq: head, engine: "test".into(), bytes: b"what it was like".to_vec() };
        self.store.keep_snapshot(run, snapshot).await.unwrap();
    }
}

/// What the model says in each turn of a goal, and to any other question. A call fails, so that the plan is mended.
fn said(turn: &str) -> Value {
    let work = |id: &str, n: Value| json!({"id": id, "tool": "t.work", "args": {"n": n}, "why": "it is a test"});
    match turn {
        "line_1" => work("s1", json!(3)),
        "line_2" => json!({"id": "s2", "tool": "t.bad", "args": {}, "why": "it fails"}),
        "line_3" => work("s3", json!({"$ref": "s1.n"})),
        "line_5" => json!({"id": "s4", "tool": "t.work", "args": {"n": 7}, "replaces": "s2", "why": "in its place"}),
        "line_4" | "line_6" => json!({"done": true, "answer": {"n": {"$ref": "s3.n"}}}),
        _ => json!({"n": 5}),
    }
}

fn plan(scenario: &Scenario, tools: &Toolbox) -> Plan {
    let files = scenario.files();
    let read = |name: &str| {
        let found = files.iter().find(|(file, _)| *file == name);
        found.map(|(_, text)| text.clone()).ok_or_else(|| "it is not there".to_owned())
    };
    let definition =
        Definition::parse("main.yaml", &files[0].1, read).unwrap_or_else(|e| panic!("{e}\n{}", files[0].1));
    Plan::check(&definition, &Requirements::new(tools, Allow.fingerprint()))
        .unwrap_or_else(|e| panic!("{e}\n{}", files[0].1))
}

/// A run's state; `None` before its first event.
pub(crate) async fn state(store: &dyn Store, run: RunId) -> Option<RunState> {
    let events = store.events(run, Seq(0)).await.unwrap();
    let EventKind::RunCreated { plan, .. } = events.first()?.kind else { unreachable!("{:?}", events[0]) };
    let plan: Plan = serde_json::from_value(payload(store, plan).await).unwrap();
    Some(RunState::replay(run, Arc::new(plan), &events).unwrap())
}

pub(crate) async fn payload(store: &dyn Store, commitment: parkway_core::log::Commitment) -> Value {
    store.payloads(&[commitment]).await.unwrap().remove(0).unwrap().value().unwrap()
}

/// Whether a run has ended, for lists.
pub(crate) fn ended(run: &RunSummary) -> bool {
    matches!(run.status, RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled)
}
