//! What a crash, a timeout, a panic, a cancel, a stop and a lost lease do to a call of each effect: the table of the book.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkway_core::id::RunId;
use parkway_core::log::{StepStatus, WaitFor};
use parkway_core::model::{Capabilities, ChatEnd, ChatRequest, Delta, Deltas, Model, ModelError};
use parkway_core::testing::FakeClock;
use parkway_core::tool::Effect;
use serde_json::json;

use crate::check::{Acting, World};
use crate::ledger::AllowAll;

/// How the first call takes being disturbed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It ends well a second after it was told to stop.
    Ends,
    /// It never ends.
    Hangs,
    Panics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disturbance {
    Crash,
    Timeout,
    Panic,
    Cancel,
    CancelHanging,
    Stop,
    StopHanging,
    LostLease,
}

use Disturbance::{Cancel, CancelHanging, Crash, LostLease, Panic, Stop, StopHanging, Timeout};

const COLUMNS: [(&str, &[Disturbance]); 6] = [
    ("the process is killed", &[Crash]),
    ("its `timeout`", &[Timeout]),
    ("it panics", &[Panic]),
    ("a cancel: ends within 10 s / does not", &[Cancel, CancelHanging]),
    ("a stop: ends within 10 s / does not", &[Stop, StopHanging]),
    ("the lease is lost", &[LostLease]),
];

const ROWS: [(&str, Option<Effect>); 6] = [
    ("`pure`", Some(Effect::Pure)),
    ("`read`", Some(Effect::Read)),
    ("a model's answer", None),
    ("`idempotent`", Some(Effect::Idempotent)),
    ("`transactional`", Some(Effect::Transactional)),
    ("`at_most_once`", Some(Effect::AtMostOnce)),
];

/// What is seen of the calls.
#[derive(Clone, Default)]
struct Seen {
    calls: Arc<AtomicU32>,
    keys: Arc<Mutex<Vec<String>>>,
    began: Arc<tokio::sync::Notify>,
    /// That the model was told that nobody reads on.
    freed: Arc<AtomicBool>,
}

/// A model that writes for ever at its first request, and answers later ones.
struct Endless {
    capabilities: Capabilities,
    manner: Manner,
    seen: Seen,
}

#[async_trait::async_trait]
impl Model for Endless {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn stream(&self, _: ChatRequest) -> Result<Deltas, ModelError> {
        let (sender, deltas) = Deltas::channel(1);
        let first = self.seen.calls.fetch_add(1, Ordering::SeqCst) == 0;
        self.seen.began.notify_one();
        assert!(!(first && self.manner == Manner::Panics), "no words");
        let freed = self.seen.freed.clone();
        tokio::spawn(async move {
            while first && sender.send(Ok(Delta::Text("and ".into()))).await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            freed.store(true, Ordering::SeqCst);
            let _ = sender.send(Ok(Delta::Done(ChatEnd::default()))).await;
        });
        Ok(deltas)
    }

    fn count_tokens(&self, _: &ChatRequest) -> Option<usize> {
        None
    }
}

fn world(effect: Option<Effect>, manner: Manner, seen: &Seen) -> (World, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default().paced());
    let mut world = World::new().at(clock.clone());
    world.policy = Arc::new(AllowAll);
    world.patience = Duration::from_secs(7_200);
    world.own_model = Some(Arc::new(Endless { capabilities: Capabilities::default(), manner, seen: seen.clone() }));
    let Some(effect) = effect else { return (world, clock) };
    let seen = seen.clone();
    let tool = Acting::new("t.call", effect, move |_, context| {
        let first = seen.calls.fetch_add(1, Ordering::SeqCst) == 0;
        seen.keys.lock().unwrap().push(context.key.to_string());
        seen.began.notify_one();
        assert!(!(first && manner == Manner::Panics), "out of paper");
        async move {
            if first && manner == Manner::Hangs {
                std::future::pending::<()>().await;
            }
            if first {
                context.cancel.cancelled().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(json!("done"))
        }
    });
    (world.tool(tool), clock)
}

/// Makes a call, disturbs it, and says what became of it once whoever has the run has gone on with it.
async fn cell(effect: Option<Effect>, disturbance: Disturbance) -> String {
    let seen = Seen::default();
    let manner = match disturbance {
        Panic => Manner::Panics,
        Cancel | Stop | LostLease => Manner::Ends,
        Crash | Timeout | CancelHanging | StopHanging => Manner::Hangs,
    };
    let (world, clock) = world(effect, manner, &seen);
    let call = match effect {
        Some(_) => "tool: t.call",
        None => "retry: 0, chat: { model: main, prompt: hi }",
    };
    let timeout = if disturbance == Timeout { ", timeout: 5s" } else { "" };
    let yaml = format!(
        "parkway: 1\ntools: {{ t: {{}} }}\nmodels: {{ main: {{ gguf: {{ name: x }} }} }}\nsteps: {{ a: {{ {call}{timeout} }} }}"
    );
    let executor = world.create(&yaml, json!({})).await;
    let (run, going) = (executor.run(), tokio::spawn(executor.execute()));
    seen.began.notified().await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    let other = world.beside();
    match disturbance {
        Crash => {
            going.abort();
            let _ = going.await;
            clock.advance(Duration::from_secs(31));
            other.resume(run).await.unwrap();
        }
        Timeout | Panic => drop(going.await.unwrap().unwrap()),
        Cancel | CancelHanging => {
            world.cancel(run).await;
            going.await.unwrap().unwrap();
        }
        Stop | StopHanging => {
            world.control.stop.cancel();
            assert!(going.await.unwrap().unwrap().stopped);
            if !world.state(run).await.status().ended() {
                other.resume(run).await.unwrap();
            }
        }
        LostLease => {
            clock.advance(Duration::from_secs(31));
            other.resume(run).await.unwrap();
            assert!(going.await.unwrap().is_err());
            if !world.state(run).await.status().ended() {
                other.resume(run).await.unwrap();
            }
        }
    }
    if effect.is_none() && disturbance != Panic {
        // What it holds for an answer that nobody reads is free again.
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(seen.freed.load(Ordering::SeqCst), "{disturbance:?}: the model writes on");
    }
    let keys = seen.keys.lock().unwrap().clone();
    assert!(keys.iter().all(|key| *key == keys[0]), "{disturbance:?}: the key changed");
    said(&world, run, seen.calls.load(Ordering::SeqCst)).await
}

async fn said(world: &World, run: RunId, calls: u32) -> String {
    let state = world.state(run).await;
    let step = state.step(&"a".parse().unwrap()).unwrap();
    assert!(!matches!(&step.waiting, Some(waiting) if matches!(waiting.what, WaitFor::Run { .. })));
    let code = step.error.as_ref().map(|error| error.code.as_str()).unwrap_or_default();
    let again = if calls == 1 { "" } else { ", called again" };
    match step.status {
        StepStatus::Completed => format!("completed{again}"),
        StepStatus::Failed => format!("failed: `{code}`{again}"),
        StepStatus::InDoubt => format!("in doubt: `{code}`{again}"),
        other => format!("{}{again}", other.as_str()),
    }
}

#[tokio::test(start_paused = true)]
async fn the_book_says_something_else_of_a_disturbed_call_than_the_engine_does() {
    let mut table = String::from("| a call that is |");
    COLUMNS.iter().for_each(|(head, _)| write!(table, " {head} |").unwrap());
    table.push_str("\n|---|---|---|---|---|---|---|\n");
    for (row, effect) in ROWS {
        write!(table, "| {row} |").unwrap();
        for (_, disturbances) in COLUMNS {
            let mut cells = Vec::new();
            for disturbance in disturbances {
                cells.push(cell(effect, *disturbance).await);
            }
            cells.dedup();
            write!(table, " {} |", cells.join(" / ")).unwrap();
        }
        table.push('\n');
    }
    println!("{table}");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/operating/effects.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(&table), "docs/src/operating/effects.md does not hold this table:\n{table}");
}
