//! What must be true of a database and a ledger when a run has ended, however often its process was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use parkway_core::id::{Fence, RunId, Seq};
use parkway_core::log::{Actor, Event, EventKind, RunState, StepStatus};
use parkway_core::memory::{MemoryFilter, Remembered};
use parkway_core::store::{Log, Message, Queue, RunFilter, Store};
use parkway_core::tool::Effect;
use parkway_store::upkeep::{self, Depth};
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::ledger::{Entry, Ledger};
use super::life::{ended, open, payload, state};
use super::scenario::{Class, Scenario};

/// How a run has ended: everything that may not depend on when processes died.
pub(crate) type Ending = BTreeMap<String, Value>;

/// What was found.
pub(crate) struct Found {
    pub(crate) ending: Ending,
    pub(crate) violations: Vec<String>,
}

/// One run of the database.
struct Run {
    id: RunId,
    workflow: String,
    events: Vec<Event>,
    state: RunState,
    /// Messages that nobody read.
    unread: Vec<Message>,
}

impl Run {
    /// The events but those that a fork has copied.
    fn own_events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().skip_while(|event| !matches!(event.kind, EventKind::RunClaimed { .. }))
    }

    /// The steps that called a tool, with its effect.
    fn called(&self) -> BTreeMap<String, Effect> {
        let called = self.own_events().filter_map(|event| match &event.kind {
            EventKind::StepStarted { key, effect: Some(effect), .. } => Some((key.to_string(), *effect)),
            _ => None,
        });
        called.collect()
    }
}

/// Looks at what the processes have left. `acknowledged` are the events, as canonical texts, that they were told of.
pub(crate) async fn examine(scenario: Scenario, database: &Path, ledger: &Ledger, acknowledged: &[String]) -> Found {
    let store = open(database).await;
    let mut found = Found { ending: Ending::new(), violations: Vec::new() };
    let mut runs = Vec::new();
    for run in store.runs(&RunFilter::default()).await.unwrap() {
        if !ended(&run) {
            found.violations.push(format!("the run of `{}` is {}", run.workflow, run.status.as_str()));
        }
        let Some(state) = state(&store, run.run).await else {
            found.violations.push(format!("the run of `{}` has no events", run.workflow));
            continue;
        };
        let events = store.events(run.run, Seq(0)).await.unwrap();
        let unread = store.inbox(run.run).await.unwrap().into_iter().map(|received| received.message).collect();
        runs.push(Run { id: run.run, workflow: run.workflow, events, state, unread });
    }
    for run in &runs {
        found.ending.extend(ending(&store, &runs, run).await);
        found.violations.extend(order(run));
        found.violations.extend(doubts(scenario, run));
    }
    found.violations.extend(lost(&runs, acknowledged));
    let entries = ledger.read();
    found.violations.extend(effects(scenario, &runs, &entries));
    found.violations.extend(transactional(&store, &runs, &entries, &rows(database).await).await);
    if scenario.is_tended() {
        found.violations.extend(tended(&store).await);
    }
    if !store.outbox(1).await.unwrap().is_empty() {
        found.violations.push("the outbox is not empty".into());
    }
    store.close().await.unwrap();
    // Every event with its leaf and its texts, every memory with its event.
    let checked = upkeep::check(database, Depth::Full).await.unwrap();
    found.violations.extend(checked.problems.iter().map(|problem| format!("the store: {problem}")));
    found
}

/// What was done outside of the runs was done once.
async fn tended(store: &dyn Store) -> Vec<String> {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    let events = store.events(RunId::SYSTEM, Seq(0)).await.unwrap();
    events.iter().for_each(|event| *counted.entry(event.kind.name()).or_default() += 1);
    let wanted = [
        "backup_shredded",
        "hold_lifted",
        "hold_placed",
        "key_rotated",
        "memory_forgotten",
        "memory_written",
        "payload_erased",
    ];
    let mut wrong = Vec::new();
    if counted != wanted.map(|name| (name, 1)).into() {
        wrong.push(format!("outside of the runs was done {counted:?}"));
    }
    wrong.extend(order_of(&events));
    let head = store.audit().newest_head().await.unwrap();
    if head.is_none_or(|head| head.head.size < events.len() as u64) {
        wrong.push("the head is not of what it was made of".into());
    }
    wrong
}

/// The statuses and outputs of a run and its steps, but for what tells times.
async fn ending(store: &dyn Store, runs: &[Run], run: &Run) -> Ending {
    let mut ending = Ending::new();
    // Runs of steps have other names in each run.
    let forked = |run: &Run| if run.state.forked().is_some() { "fork of " } else { "" };
    let of = match run.state.parent() {
        Some(parent) => {
            let caller = runs.iter().find(|caller| caller.id == parent.run);
            format!("{}/{}{}", run.workflow, caller.map_or("?", forked), parent.step)
        }
        None => format!("{}{}", forked(run), run.workflow),
    };
    let outputs = match run.events.last().map(|event| &event.kind) {
        Some(EventKind::RunCompleted { outputs }) => payload(store, *outputs).await,
        Some(EventKind::RunFailed { reason }) => json!(reason.code),
        _ => Value::Null,
    };
    ending.insert(of.clone(), json!([run.state.status().as_str(), outputs]));
    for step in run.state.steps() {
        let key = step.key.to_string();
        // What is inside a group whose time is over was cancelled or never begun: a matter of time.
        if key.starts_with('z') && key.contains('.') {
            continue;
        }
        // The answer to a question says when it came.
        let output = match step.output {
            Some(output) if !key.starts_with('q') => payload(store, output).await,
            _ => Value::Null,
        };
        let code = step.error.as_ref().filter(|_| step.status == StepStatus::Failed).map(|error| error.code.clone());
        ending.insert(format!("{of}.{key}"), json!([step.status.as_str(), output, code]));
    }
    ending
}

/// The log has no gap, and nothing of an old fence after a newer one.
pub(super) fn order_of(events: &[Event]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut fence = Fence(0);
    for (event, seq) in events.iter().zip(1..) {
        if event.seq != Seq(seq) {
            wrong.push(format!("event {} stands where {seq} belongs", event.seq));
        }
        if event.fence < fence {
            wrong.push(format!("event {seq} has fence {}, after one with {fence}", event.fence));
        }
        fence = event.fence;
    }
    wrong
}

fn order(run: &Run) -> Vec<String> {
    order_of(&run.events)
}

/// What was acknowledged stands in the log, to the byte.
fn lost(runs: &[Run], acknowledged: &[String]) -> Vec<String> {
    let kept: BTreeSet<Vec<u8>> =
        runs.iter().flat_map(|run| &run.events).map(|event| event.to_bytes().unwrap()).collect();
    let lost = acknowledged.iter().filter(|event| !kept.contains(event.as_bytes()));
    lost.map(|event| format!("an acknowledged event is lost: {event}")).collect()
}

/// A call that must not be repeated, and whose outcome is not in the log, is in doubt before anything else becomes of it.
fn doubts(scenario: Scenario, run: &Run) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut open: BTreeMap<String, Fence> = BTreeMap::new();
    for event in run.own_events() {
        let Some(key) = event.kind.key() else { continue };
        let step = key.to_string();
        match &event.kind {
            EventKind::StepStarted { effect: Some(Effect::AtMostOnce), .. } => {
                let before = open.insert(step.clone(), event.fence);
                wrong.extend(
                    before.map(|_| format!("{step} was called again although nobody knew what had become of it")),
                );
            }
            EventKind::StepInDoubt { .. } => drop(open.remove(&step)),
            EventKind::StepCompleted { .. } | EventKind::StepFailed { .. } | EventKind::StepRetried { .. } => {
                let other = open.remove(&step).filter(|fence| *fence != event.fence);
                let what = event.kind.name();
                wrong.extend(
                    other.map(|_| format!("{step} was not in doubt after a crash: {what} under another fence")),
                );
            }
            EventKind::StepResolved { .. }
                if scenario.class == Class::Reconciled
                    && is_work(run, key)
                    && matches!(event.by, Actor::Person { .. }) =>
            {
                wrong.push(format!("{step} was resolved by a person although its tool can look"));
            }
            _ => {}
        }
    }
    wrong
}

/// Whether a step calls the tool of the column.
fn is_work(run: &Run, key: &parkway_core::id::StepKey) -> bool {
    let node = run.state.step(key).map(|step| run.state.plan().graph.node(step.node));
    let tool = node.and_then(|node| match &node.verb {
        parkway_core::workflow::Verb::Tool { name, .. } => Some(name.as_str()),
        _ => None,
    });
    tool == Some("t.work")
}

/// The calls in the ledger are as often there as the effect of their tool allows.
fn effects(scenario: Scenario, runs: &[Run], entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut by_step: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.what == "effect") {
        by_step.entry((entry.run.clone(), entry.step.clone())).or_default().push(&entry.key);
    }
    for run in runs {
        let (id, called) = (run.id.to_string(), run.called());
        for step in run.state.steps() {
            let key = step.key.to_string();
            let calls = by_step.remove(&(id.clone(), key.clone())).unwrap_or_default();
            let keys: BTreeSet<_> = calls.iter().collect();
            let done = step.status == StepStatus::Completed;
            match called.get(&key) {
                Some(Effect::AtMostOnce) => {
                    if calls.len() > 1 {
                        wrong.push(format!("{key} had its effect {} times, under {} keys", calls.len(), keys.len()));
                    }
                    if done && calls.is_empty() {
                        wrong.push(format!("{key} is completed, and had no effect"));
                    }
                }
                Some(Effect::Idempotent) => {
                    if keys.len() > 1 {
                        wrong.push(format!("{key} was called under {} keys", keys.len()));
                    }
                    if done && calls.is_empty() {
                        wrong.push(format!("{key} is completed, and had no effect"));
                    }
                }
                other => {
                    if !calls.is_empty() {
                        wrong.push(format!("{key} changed the world, and says {other:?}"));
                    }
                }
            }
        }
    }
    for (run, step) in by_step.into_keys() {
        wrong.push(format!("{step} had an effect, and its run {run} knows nothing of it in {scenario}"));
    }
    wrong
}

/// Rows, messages and deliveries of transactional calls: one for each step that completed, none for others.
async fn transactional(store: &dyn Store, runs: &[Run], entries: &[Entry], rows: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let memories = store.memory().list(&MemoryFilter::of("said")).await.unwrap();
    for run in runs {
        let (id, called) = (run.id.to_string(), run.called());
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        for event in run.own_events() {
            if let EventKind::SignalReceived { name, payload: said, kept: None, .. } = event.kind
                && payload(store, name).await == "done"
            {
                *told.entry(payload(store, said).await.as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        for message in &run.unread {
            if let Message::Signal { name, payload, .. } = message
                && name == "done"
            {
                *told.entry(payload.as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        for step in run.state.steps() {
            let key = step.key.to_string();
            let transactional = called.get(&key) == Some(&Effect::Transactional);
            let wanted = usize::from(transactional && step.status == StepStatus::Completed);
            let rows = rows.iter().filter(|row| **row == (id.clone(), key.clone())).count();
            let messages = told.get(&key).copied().unwrap_or_default();
            let sent = entries.iter().filter(|entry| (&*entry.what, &*entry.run, &*entry.step) == ("sent", &id, &key));
            let sent = sent.map(|entry| &entry.key).collect::<BTreeSet<_>>().len();
            let of_step = |memory: &&Remembered| {
                memory.run == run.id && memory.content.as_ref().is_some_and(|content| content.text == key)
            };
            let memories = memories.iter().filter(of_step).count();
            let counts = [("rows", rows), ("messages", messages), ("deliveries", sent), ("memories", memories)];
            for (what, count) in counts {
                if count != wanted {
                    wrong.push(format!("{key} has {count} {what} and should have {wanted}"));
                }
            }
        }
    }
    wrong
}

/// The rows that transactional calls wrote: run and step of each.
async fn rows(database: &Path) -> Vec<(String, String)> {
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await.unwrap();
    sqlx::query_as("SELECT run, step FROM effect").fetch_all(&mut connection).await.unwrap()
}
