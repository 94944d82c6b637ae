//! A budget is never exceeded, and never reserved twice: by steps at once, and over crashes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parkway_core::id::RunId;
use parkway_core::log::{Event, EventKind, RunState};
use parkway_core::testing::{FakeClock, ScriptedModel};
use parkway_core::tool::{Effect, ToolError};
use proptest::prelude::*;
use serde_json::json;

use crate::check::{Acting, World};
use crate::ledger::AllowAll;
use crate::recovery::plant;

/// What the calls of a step do.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Works,
    FailsOnce,
    Fails,
    Panics,
    TakesTooLong,
}

/// Steps at once under a budget.
#[derive(Clone, Debug)]
struct Case {
    steps: Vec<(Doing, u8)>,
    chats: u8,
    tool_calls: u64,
    tokens: u64,
    concurrency: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let doing = prop_oneof![
        Just(Doing::Works),
        Just(Doing::FailsOnce),
        Just(Doing::Fails),
        Just(Doing::Panics),
        Just(Doing::TakesTooLong)
    ];
    let steps = prop::collection::vec((doing, 0..4_u8), 1..6);
    (steps, 0..4_u8, 0..8_u64, 0..80_u64, 1..6_usize).prop_map(|(steps, chats, tool_calls, tokens, concurrency)| Case {
        steps,
        chats,
        tool_calls,
        tokens,
        concurrency,
    })
}

impl Case {
    fn yaml(&self) -> String {
        let mut yaml = format!(
            "parkway: 1\ntools: {{ t: {{}} }}\nmodels: {{ main: {{ gguf: {{ name: x }} }} }}\nbudget: {{ tool_calls: {}, tokens: {} }}\nsteps:\n  note: {{ set: {{ n: 1 }} }}\n",
            self.tool_calls, self.tokens,
        );
        for (i, (doing, effect)) in self.steps.iter().enumerate() {
            yaml += &format!(
                "  s{i}: {{ tool: t.e{effect}, with: {{ doing: {doing:?}, seconds: {} }}, timeout: 20s, retry: {{ max: 2, initial: 1s }}, on_error: continue }}\n",
                i + 1,
            );
        }
        for i in 0..self.chats {
            yaml += &format!("  c{i}: {{ retry: 0, chat: {{ model: main, prompt: 'word {i}', max_tokens: 10 }} }}\n");
        }
        yaml
    }

    fn world(&self, calls: &Arc<AtomicU32>) -> World {
        let mut world = World::paced().model(ScriptedModel::new().otherwise("four words of answer"));
        world.policy = Arc::new(AllowAll);
        world.concurrency = self.concurrency;
        for effect in 0..4 {
            let kind = [Effect::Pure, Effect::Read, Effect::Idempotent, Effect::Transactional][effect];
            let calls = calls.clone();
            world = world.tool(Acting::new(&format!("t.e{effect}"), kind, move |input, context| {
                calls.fetch_add(1, Ordering::SeqCst);
                async move {
                    tokio::time::sleep(Duration::from_secs(input["seconds"].as_u64().unwrap())).await;
                    match input["doing"].as_str().unwrap() {
                        "FailsOnce" if context.attempt == 1 => Err(ToolError::transient("net", "the line broke")),
                        "Fails" => Err(ToolError::transient("net", "the line broke")),
                        "Panics" => panic!("out of paper"),
                        "TakesTooLong" => {
                            tokio::time::sleep(Duration::from_secs(60)).await;
                            Ok(json!(1))
                        }
                        _ => Ok(json!(1)),
                    }
                }
            }));
        }
        world
    }
}

/// Looks at a log after each of its events.
async fn look(world: &World, run: RunId, case: &Case, calls: u32) {
    let events = world.events(run).await;
    let plan = Arc::new(world.stored_plan(run).await);
    let mut state = RunState::new(run, plan);
    let (mut reserved, mut begun) = (0, 0);
    for event in &events {
        state.apply(event).unwrap();
        let used = state.committed();
        assert!(used.tool_calls <= case.tool_calls, "{case:?}\n{used:?}\n{}", world.log(run).await);
        assert!(used.tokens <= case.tokens, "{case:?}\n{used:?}\n{}", world.log(run).await);
        match &event.kind {
            EventKind::StepStarted { effect: Some(_), .. } => begun += 1,
            EventKind::BudgetReserved { share, .. } => reserved += share.tool_calls,
            _ => {}
        }
    }
    assert_eq!(reserved, begun, "a call without a share, or with two: {case:?}\n{}", world.log(run).await);
    assert!(reserved <= case.tool_calls, "{case:?}\n{}", world.log(run).await);
    assert!(u64::from(calls) <= case.tool_calls, "{calls} calls: {case:?}\n{}", world.log(run).await);
}

async fn check(case: Case) {
    let calls = Arc::new(AtomicU32::new(0));
    let world = case.world(&calls);
    let (run, _) = world.run(&case.yaml(), json!({})).await;
    look(&world, run, &case, calls.load(Ordering::SeqCst)).await;
    let events: Vec<Event> = world.events(run).await;
    for at in (2..events.len()).step_by(3) {
        // A call and its share are one commit.
        if matches!(events[at].kind, EventKind::BudgetReserved { .. }) {
            continue;
        }
        let begun =
            events[..at].iter().filter(|event| matches!(&event.kind, EventKind::StepStarted { effect: Some(_), .. }));
        // All calls that were begun by then were made.
        calls.store(u32::try_from(begun.count()).unwrap(), Ordering::SeqCst);
        let clock = Arc::new(FakeClock::new(events[at - 1].at).paced());
        let copy = World { worker: "two", ..case.world(&calls).at(clock) };
        plant(&world, &copy, run, &events[..at]).await;
        copy.resume(run).await.unwrap();
        look(&copy, run, &case, calls.load(Ordering::SeqCst)).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn steps_at_once_exceed_a_budget_or_reserve_it_twice(case in cases()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(check(case));
    }
}
