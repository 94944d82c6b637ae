//! A process that works on a store, and the people who answer it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use parkway_core::engine::{Executor, Services};
use parkway_core::id::{RunId, Seq, StepKey, Time};
use parkway_core::log::{Channel, EventKind, Resolution, RunState, RunStatus, Step, StepStatus, Verdict, WaitFor};
use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::store::{Message, RunFilter, Store};
use parkway_core::tool::{Effect, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use parkway_core::workflow::{Definition, Plan, Requirements, Verb};
use parkway_core::write::{OutboxEntry, ToolWrite};
use serde_json::{Value, json};

use super::journal::{Change, Journal, PutClock, remake};
use crate::check::{Acting, World};
use crate::recovery::{Calls, counted};

const CHILD: &str = "
parkway: 1
name: child
tools: { t: {} }
inputs: { n: { type: integer } }
steps:
  write: { tool: t.write, with: { n: '${{ inputs.n }}' } }
  nap: { needs: [write], wait: 2s }
  confirm: { needs: [nap], approve: { prompt: go? } }
outputs: { n: '${{ steps.write.output.n }}' }
";

/// A transactional tool: it asks for a letter to be sent in the commit of its step.
struct Post(ToolSpec);

#[async_trait::async_trait]
impl Tool for Post {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let entry = OutboxEntry::new("letter", json!(context.step.to_string()));
        Ok(ToolOutput::new(input).write(ToolWrite::Outbox(entry)))
    }
}

/// How a run ended: all that must not depend on who went on with it.
#[derive(Debug, PartialEq)]
pub(super) struct End {
    status: RunStatus,
    end: Value,
    steps: BTreeMap<String, (StepStatus, Value)>,
    /// The letters to be sent, by the step that wrote them.
    pub(super) letters: Vec<String>,
}

/// The effects of calls that must not be repeated.
type Ledger = Arc<Mutex<BTreeMap<(RunId, String), u32>>>;

/// The plans of runs: the same in each copy of a store.
type Plans = Arc<Mutex<BTreeMap<RunId, Arc<Plan>>>>;

/// A process.
pub(super) struct Site {
    plans: Plans,
    pub(super) world: World,
    services: Services,
    store: Arc<dyn Store>,
    ledger: Ledger,
    /// Whether calls that were under way when the first process ended had changed the world by then.
    happened: bool,
    /// Calls that were found to be in doubt because the first process ended.
    pub(super) doubts: usize,
}

const EARLY: usize = 6;

impl Site {
    /// The first process, whose store is journalled.
    pub(super) fn recording(journal: &Arc<Journal>) -> Site {
        let world = World { store: journal.inner.clone(), clock: journal.clock.clone(), ..World::paced() };
        Site::new(world, journal.clone(), false, Plans::default())
    }

    /// Another process, on a store as it was after these changes, with a clock that is so many seconds off.
    pub(super) async fn second(&self, changes: &[(Time, Change)], offset: i64, happened: bool) -> Site {
        let store = remake(changes).await;
        let now = changes.last().unwrap().0;
        let now = Time::from_micros(now.micros() + offset * 1_000_000);
        let world = World { store: store.clone(), clock: PutClock::going(now), worker: "two", ..World::paced() };
        Site::new(world, store, happened, self.plans.clone())
    }

    fn new(world: World, store: Arc<dyn Store>, happened: bool, plans: Plans) -> Site {
        let ledger = Ledger::default();
        let written = ledger.clone();
        let tools = counted(&Calls::default()).tools;
        let world = World { tools, ..world };
        let world = world.tool(Acting::new("t.once", Effect::AtMostOnce, move |input, context| {
            *written.lock().unwrap().entry((context.run, context.step.to_string())).or_default() += 1;
            async move {
                tokio::task::yield_now().await;
                Ok(input)
            }
        }));
        let world = world.tool(Acting::new("t.flaky", Effect::Read, |input, context| async move {
            if context.attempt < 3 { Err(ToolError::transient("net", "the line broke")) } else { Ok(input) }
        }));
        let Acting { spec, .. } = Acting::new("t.post", Effect::Transactional, |input, _| async { Ok(input) });
        let world = world.tool(Post(spec));
        let mut services = world.services();
        services.store = store.clone();
        Site { plans, world, services, store, ledger, happened, doubts: 0 }
    }

    /// The plan of a run, as it was stored.
    pub(super) async fn plan(&self, run: RunId) -> Arc<Plan> {
        let found = self.plans.lock().unwrap().get(&run).cloned();
        match found {
            Some(plan) => plan,
            None => {
                let plan = Arc::new(self.world.stored_plan(run).await);
                self.plans.lock().unwrap().entry(run).or_insert(plan).clone()
            }
        }
    }

    /// The state of a run, as its log says.
    async fn state(&self, run: RunId) -> RunState {
        RunState::replay(run, self.plan(run).await, &self.world.events(run).await).unwrap()
    }

    /// Creates a run of a workflow, drives it as far as it goes by itself, and says what is to be said early.
    pub(super) async fn begin(&self, yaml: &str) -> RunId {
        let read = |path: &str| if path == "child.yaml" { Ok(CHILD.to_owned()) } else { Err("not there".to_owned()) };
        let definition = Definition::parse("test.yaml", yaml, read).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
        let requirements = Requirements::new(&self.world.tools, DefaultPolicy.fingerprint());
        let plan: Plan = Plan::check(&definition, &requirements).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
        let (services, control) = (self.services.clone(), self.world.control.clone());
        let nothing = json!({});
        let created = Executor::create(services, self.world.models(), control, Arc::new(plan), &nothing);
        let executor = created.await.unwrap();
        let run = executor.run();
        self.send_early_after(run, &BTreeSet::new()).await;
        self.world.drive(executor).await;
        run
    }

    /// Signals that come before anybody waits for them, but for those that have come.
    pub(super) async fn send_early(&self, changes: &[(Time, Change)]) {
        let names = changes.iter().filter_map(|(_, change)| match change {
            Change::Signal(_, Message::Signal { name, .. }) => Some(name.clone()),
            _ => None,
        });
        self.send_early_after(changes[0].1.run(), &names.collect()).await;
    }

    async fn send_early_after(&self, run: RunId, came: &BTreeSet<String>) {
        for i in 0..EARLY {
            let name = format!("early{i}");
            if !came.contains(&name) {
                let (by, via) = ("ada".into(), Channel::Command);
                self.store.signal(run, Message::Signal { name, payload: json!(i), by, via }).await.unwrap();
            }
        }
    }

    /// Goes on with a run as far as it goes by itself.
    pub(super) async fn resume(&self, run: RunId, said: &str) {
        if self.state(run).await.status().ended() {
            return;
        }
        let plan = self.plan(run).await;
        let (services, control) = (self.services.clone(), self.world.control.clone());
        let executor = Executor::take_over(services, self.world.models(), control, plan, run).await;
        let executor = executor.unwrap_or_else(|e| panic!("{e}\n{said}"));
        let ended = tokio::time::timeout(self.world.patience, executor.execute()).await;
        let ended = ended.unwrap_or_else(|_| panic!("hangs; {said}")).unwrap_or_else(|e| panic!("{e}\n{said}"));
        assert_eq!(self.state(run).await.status(), ended.status, "{said}");
    }

    /// A run, and the runs that its steps have for themselves, as far as they have begun.
    async fn family(&self, run: RunId) -> Vec<RunId> {
        let mut family = vec![run];
        for step in self.state(run).await.steps() {
            let child = run.child(&step.key);
            let filter = RunFilter { run: Some(child), ..RunFilter::default() };
            let found = self.store.runs(&filter).await.unwrap();
            if found.iter().any(|run| run.head > Seq(0)) {
                family.push(child);
            }
        }
        family
    }

    /// Calls that must not be repeated, whose intent is written and whose outcome is not.
    pub(super) async fn open_calls(&self, run: RunId) -> Vec<StepKey> {
        let state = self.state(run).await;
        let once = |step: &&Step| {
            let node = state.plan().graph.node(step.node);
            // A fan-out runs as well, and makes no call itself.
            let open = step.status == StepStatus::Running && step.attempt > 0;
            open && matches!(&node.verb, Verb::Tool { name, .. } if name == "t.once")
        };
        state.steps().iter().filter(once).map(|step| step.key.clone()).collect()
    }

    /// Such calls are in doubt when the run has been gone on with, and were not made again without a word.
    pub(super) async fn check_doubts(&mut self, run: RunId, open: &[StepKey], said: &str) {
        let state = self.state(run).await;
        for key in open {
            let status = state.step(key).map(|step| step.status);
            assert_eq!(status, Some(StepStatus::InDoubt), "{key}; {said}");
            let calls = self.ledger.lock().unwrap().get(&(run, key.to_string())).copied();
            assert_eq!(calls, None, "{key} is in doubt, and was called; {said}");
            self.doubts += 1;
        }
    }

    /// Goes on with a run until it ends: whatever it waits for, somebody gives it.
    pub(super) async fn finish(&mut self, run: RunId, said: &str) {
        for _ in 0..100 {
            if self.state(run).await.status().ended() {
                self.check_effects(said);
                return;
            }
            for part in self.family(run).await {
                self.answer(part).await;
            }
            self.resume(run, said).await;
            // A run is given back while the time that it waits for is far.
            if let Some(wake) = self.state(run).await.wake() {
                tokio::time::sleep(wake.since(self.world.clock.now())).await;
            }
        }
        let mut logs = String::new();
        for run in self.family(run).await {
            let log = self.world.log(run).await;
            logs.extend(log.lines().take(80).flat_map(|line| [line, "\n"]));
            logs.push('\n');
        }
        panic!("never ends; {said}\n{logs}");
    }

    fn check_effects(&self, said: &str) {
        for ((run, step), calls) in &*self.ledger.lock().unwrap() {
            assert_eq!(*calls, 1, "{step} of {run} had {calls} effects; {said}");
        }
    }

    async fn answer(&self, run: RunId) {
        let state: RunState = self.state(run).await;
        for step in state.steps() {
            let (key, by, via) = (step.key.clone(), "ada".to_owned(), Channel::Command);
            let message = match step.status {
                StepStatus::InDoubt => {
                    let args = self.world.payload(step.args.unwrap()).await;
                    let outcome = match args["how"].as_str() {
                        Some("redo") => Resolution::Redo,
                        Some("not_done") => Resolution::NotDone,
                        Some(_) => Resolution::Done { output: args },
                        None => self.look_up(run, &key.to_string(), args),
                    };
                    Message::Resolve { step: key, outcome, note: None, by, via }
                }
                StepStatus::Waiting if step.asks() => {
                    Message::Approval { step: key, verdict: Verdict::Approved, note: None, by, via }
                }
                StepStatus::Waiting => match step.waiting.as_ref().map(|waiting| &waiting.what) {
                    Some(WaitFor::Input { .. }) => Message::Input { step: key, values: json!({"n": 1}), by, via },
                    Some(WaitFor::Signal { name, .. }) => match self.world.payload(*name).await.as_str() {
                        Some(name) if name.starts_with("go") => {
                            Message::Signal { name: name.into(), payload: json!(1), by, via }
                        }
                        _ => continue,
                    },
                    _ => continue,
                },
                _ => continue,
            };
            self.store.signal(run, message).await.unwrap();
        }
    }

    /// What a person finds who looks whether the first process had made its call.
    fn look_up(&self, run: RunId, step: &str, args: Value) -> Resolution<Value> {
        if !self.happened {
            return Resolution::Redo;
        }
        *self.ledger.lock().unwrap().entry((run, step.to_owned())).or_default() += 1;
        Resolution::Done { output: args }
    }

    /// A run's events, as they are stored.
    pub(super) async fn log(&self, run: RunId) -> Vec<Vec<u8>> {
        self.world.events(run).await.iter().map(|event| event.to_bytes().unwrap()).collect()
    }

    /// How a run and its children ended.
    pub(super) async fn ends(&self, run: RunId) -> BTreeMap<RunId, End> {
        let mut ends = BTreeMap::new();
        for run in self.family(run).await {
            let state = self.state(run).await;
            let mut steps = BTreeMap::new();
            for step in state.steps() {
                let mut output = match step.output {
                    Some(output) => self.world.payload(output).await,
                    None => Value::Null,
                };
                leave_times_out(&mut output);
                steps.insert(step.key.to_string(), (step.status, output));
            }
            let end = match self.world.events(run).await.pop().unwrap().kind {
                EventKind::RunCompleted { outputs } => self.world.payload(outputs).await,
                EventKind::RunFailed { reason } => json!(reason.code),
                EventKind::RunCancelled => json!("cancelled"),
                other => panic!("{other:?}"),
            };
            let outbox = self.store.outbox(u32::MAX).await.unwrap();
            let letters = outbox.iter().filter(|letter| letter.run == run).map(|letter| letter.entry.body.to_string());
            let mut letters: Vec<String> = letters.collect();
            letters.sort();
            ends.insert(run, End { status: state.status(), end, steps, letters });
        }
        ends
    }
}

/// When something happened depends on who went on.
fn leave_times_out(value: &mut Value) {
    match value {
        Value::String(text) if text.parse::<Time>().is_ok() => *value = json!("T"),
        Value::Array(items) => items.iter_mut().for_each(leave_times_out),
        Value::Object(fields) => fields.values_mut().for_each(leave_times_out),
        _ => {}
    }
}
