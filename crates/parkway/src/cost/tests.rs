//! Logs in, ledgers out.

use std::time::Duration;

use parkway_core::id::{Digest, Fence, RunId, Seq, StepKey, Time};
use parkway_core::log::{Actor, Commitment, Event, EventKind, Parent, RunStatus};
use parkway_core::store::{NewRun, RunSummary};
use serde_json::{Value, json};

use super::call::Told;
use super::*;

const START: i64 = 1_795_000_000_000_000;

fn at(ms: i64) -> Time {
    Time::from_micros(START + ms * 1_000)
}

fn key(text: &str) -> StepKey {
    text.parse().unwrap()
}

fn text() -> Commitment {
    Commitment::of(&[7; 16], b"text")
}

/// A run's log as it is written.
struct Log {
    run: RunId,
    parent: Option<Parent>,
    status: RunStatus,
    workflow: &'static str,
    events: Vec<Event>,
}

impl Log {
    fn new(number: u8) -> Log {
        let run = RunId::new(at(0), [number; 16]);
        Log { run, parent: None, status: RunStatus::Completed, workflow: "flow", events: Vec::new() }
            .push(0, created(None))
    }

    /// A run that a step of this one has for itself.
    fn child(&self, step: &str) -> Log {
        let run = self.run.child(&key(step));
        let parent = Parent::new(self.run, key(step));
        let log = Log {
            run,
            parent: Some(parent.clone()),
            status: RunStatus::Completed,
            workflow: "part",
            events: Vec::new(),
        };
        log.push(0, created(Some(parent)))
    }

    fn ended(mut self, status: RunStatus) -> Log {
        self.status = status;
        self
    }

    fn push(mut self, ms: i64, kind: EventKind) -> Log {
        let seq = Seq(self.events.len() as u64 + 1);
        self.events.push(Event::new("default", self.run, seq, at(ms), Fence(1), Actor::Engine, kind));
        self
    }

    fn starts(self, ms: i64, step: &str, attempt: u32) -> Log {
        let kind = json!({ "type": "step_started", "key": step, "attempt": attempt });
        self.push(ms, serde_json::from_value(kind).unwrap())
    }

    fn completes(self, ms: i64, step: &str, attempt: u32) -> Log {
        self.push(ms, EventKind::StepCompleted { key: key(step), attempt, output: None, labels: Default::default() })
    }

    fn retries(self, ms: i64, step: &str, attempt: u32) -> Log {
        let (code, message) = ("backend".into(), text());
        self.push(ms, EventKind::StepRetried { key: key(step), attempt, code, message, not_before: at(ms) })
    }

    fn fails(self, ms: i64, step: &str, attempt: u32) -> Log {
        self.push(ms, EventKind::StepFailed { key: key(step), attempt, code: "backend".into(), message: text() })
    }

    /// An answer of 100 tokens in, 40 of them kept, and 10 out.
    fn asks(self, ms: i64, step: &str, took: u32) -> Log {
        self.says(ms, step, json!({ "took_ms": took }))
    }

    fn says(self, ms: i64, step: &str, more: Value) -> Log {
        let mut call = json!({
            "model": "main", "name": "small", "device": "cpu, 2 threads", "seed": "1", "temperature_milli": 0, "max_tokens": 200,
            "messages": text(), "answer": text(), "finish": "stop", "took_ms": 0, "valid": true,
            "usage": { "prompt_tokens": 100, "cached_tokens": 40, "output_tokens": 10, "forced_tokens": 4 },
        });
        for (name, value) in more.as_object().unwrap() {
            call[name] = value.clone();
        }
        let call = Box::new(serde_json::from_value(call).unwrap());
        self.push(ms, EventKind::ModelCalled { key: key(step), attempt: 1, turn: 1, call })
    }

    fn told(&self) -> Told {
        let new = NewRun {
            run: self.run,
            tenant: "default".into(),
            workflow: self.workflow.into(),
            at: at(0),
            parent: self.parent.as_ref().map(|parent| parent.run),
        };
        Told::of(&RunSummary::new(new, self.status, at(1_000), Seq(self.events.len() as u64), false), &self.events)
    }
}

fn created(parent: Option<Parent>) -> EventKind {
    EventKind::RunCreated {
        plan: text(),
        plan_hash: Digest::of(&[]),
        inputs: text(),
        labels: Default::default(),
        env: None,
        parent,
    }
}

fn ledger(logs: &[&Log], rates: &Rates) -> Ledger {
    Ledger::of(logs.iter().map(|log| log.told()).collect(), rates)
}

fn ms(duration: Duration) -> u128 {
    duration.as_millis()
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn an_attempt_that_failed_is_free() {
    let log = Log::new(1).starts(0, "ask", 1).asks(100, "ask", 90).retries(100, "ask", 1);
    let log = log.starts(500, "ask", 2).asks(700, "ask", 150).completes(700, "ask", 2);
    let log = log.starts(700, "never", 1).fails(720, "never", 1);
    let ledger = ledger(&[&log], &Rates::default());
    let steps = &ledger.runs[0].steps;
    assert_eq!((steps[0].attempts, steps[0].failed, ms(steps[0].took)), (2, 1, 300));
    let spent = &steps[0].spent;
    assert_eq!((spent.calls, spent.prompt_tokens, spent.cached_tokens), (2, 200, 80));
    assert_eq!((spent.output_tokens, spent.forced_tokens, ms(spent.model), ms(spent.machine)), (20, 8, 240, 240));
    assert_eq!((steps[1].attempts, steps[1].failed, ms(steps[1].took), steps[1].spent.calls), (1, 1, 20, 0));
    assert_eq!(ledger.total(), *spent);
}

#[test]
fn answers_of_one_attempt_share_the_machine_with_each_other() {
    // All three are recorded when the attempt has ended.
    let log = Log::new(1).starts(0, "ask", 1);
    let log = log.asks(300, "ask", 100).asks(300, "ask", 100).asks(300, "ask", 100).completes(300, "ask", 1);
    let total = ledger(&[&log], &Rates::default()).total();
    assert_eq!((ms(total.model), ms(total.machine)), (300, 300));
}

#[test]
fn calls_at_the_same_time_each_have_the_whole_machine() {
    let one = Log::new(1).starts(0, "a", 1).starts(0, "b", 1).asks(100, "a", 100).asks(100, "b", 100);
    let two = Log::new(2).starts(0, "a", 1).asks(100, "a", 100);
    let server =
        Log::new(3).starts(0, "a", 1).says(100, "a", json!({ "took_ms": 100, "device": "vllm at http://x:1" }));
    let ledger = ledger(&[&one, &two, &server], &Rates::default());
    let total = ledger.total();
    assert_eq!((ms(total.model), total.machine.as_micros()), (400, 99_999));
    assert_eq!(ledger.runs[1].spent.machine.as_micros(), 33_333);
    assert_eq!(ledger.runs[2].spent.machine, Duration::ZERO);
}

#[test]
fn a_fork_pays_again_for_what_it_keeps() {
    let forked = EventKind::RunForked { from: RunId::new(at(0), [9; 16]), at: Seq(4), step: key("last"), copied: 2 };
    let log = Log::new(1).push(0, forked).starts(0, "first", 1).completes(900, "first", 1);
    let log = log.starts(1_000, "last", 1).asks(1_100, "last", 90).completes(1_100, "last", 1);
    let ledger = ledger(&[&log], &Rates::default());
    let steps: Vec<_> = ledger.runs[0].steps.iter().map(|step| step.step.to_string()).collect();
    assert_eq!((steps.as_slice(), ledger.total().calls), (["last".to_owned()].as_slice(), 1));
}

#[test]
fn time_of_a_group_is_counted_with_that_of_its_members() {
    let mut log = Log::new(1).starts(0, "each", 1);
    for item in ["each[0]", "each[1]"] {
        log = log.starts(0, item, 1).starts(0, &format!("{item}.ask"), 1).asks(10, &format!("{item}.ask"), 10);
    }
    let log = log.starts(0, "poll", 1).starts(0, "poll#1", 1).starts(0, "poll#1.look", 1).starts(0, "alone", 1);
    let ledger = ledger(&[&log], &Rates::default());
    let steps = ledger.runs[0].steps.iter().filter(|step| !step.group).map(|step| step.step.to_string());
    assert_eq!(steps.collect::<Vec<_>>(), ["each[0].ask", "each[1].ask", "poll#1.look", "alone"]);
}

#[test]
fn a_run_within_a_run_or_one_that_failed_is_left_out_of_what_a_success_costs() {
    let whole = Log::new(1).starts(0, "far", 1);
    let part = whole.child("far").starts(0, "ask", 1).asks(100, "ask", 100);
    let deeper = part.child("ask").starts(0, "ask", 1).asks(200, "ask", 100);
    let failed = Log::new(2).starts(0, "ask", 1).asks(300, "ask", 100).ended(RunStatus::Failed);
    let open = Log::new(3).ended(RunStatus::Waiting);
    let rates = Rates { hour: Some(3_600.0), ..Rates::default() };
    let ledger = ledger(&[&open, &failed, &deeper, &part, &whole], &rates);
    let flows = ledger.workflows();
    assert_eq!(flows.len(), 1);
    let flow = &flows[0];
    assert_eq!((flow.workflow.as_str(), flow.runs, flow.completed, flow.failed, flow.open), ("flow", 3, 1, 1, 1));
    let cost = flow.per_success.as_ref().unwrap();
    near(cost.tokens, 330.0);
    near(cost.machine_ms, 300.0);
    near(cost.money["USD"], 0.3);
    let family: Vec<_> = ledger.with_children(whole.run).iter().map(|run| run.run).collect();
    assert_eq!(family, [whole.run, part.run, deeper.run]);
    assert_eq!(ledger.roots().count(), 3);
    assert_eq!(super::Ledger::of(vec![failed.told()], &rates).workflows()[0].per_success, None);
}

#[test]
fn what_has_no_price_is_free() {
    let log = Log::new(1).starts(0, "ask", 1).asks(100, "ask", 100).says(
        300,
        "ask",
        json!({ "device": "vllm at http://x:1" }),
    );
    let total = ledger(&[&log], &Rates::default()).total();
    assert!(total.money.amounts.is_empty());
    assert_eq!((total.money.unpriced_calls, total.energy.unknown_calls), (2, 1));
    // A price of energy is of no use where the energy is not known.
    let mut rates = Rates { kwh: Some(0.3), ..Rates::default() };
    assert_eq!(ledger(&[&log], &rates).total().money.unpriced_calls, 2);
    (rates.watts, rates.kwh) = (Some(100.0), None);
    let total = ledger(&[&log], &rates).total();
    assert_eq!((total.energy.estimate_mj, total.energy.unknown_calls, total.money.unpriced_calls), (10_000, 0, 2));
}

#[test]
fn an_estimate_passes_for_a_measure() {
    let metered = json!({ "took_ms": 100, "energy": { "mj": 1_800, "of": "cpu" } });
    let log = Log::new(1).starts(0, "a", 1).says(100, "a", metered).starts(0, "b", 1).asks(500, "b", 200);
    let mut rates = Rates::default();
    (rates.watts, rates.kwh, rates.hour, rates.currency) = (Some(50.0), Some(0.36), Some(1.8), "EUR".into());
    let ledger = ledger(&[&log], &rates);
    let [a, b] = [0, 1].map(|step| &ledger.runs[0].steps[step].spent);
    assert_eq!((a.energy.measured_mj, a.energy.estimate_mj, a.money.estimate), (1_800, 0, false));
    assert_eq!((b.energy.measured_mj, b.energy.estimate_mj, b.money.estimate), (0, 10_000, true));
    near(a.money.amounts["EUR"], 1_800.0 / 3.6e9 * 0.36 + 0.1 / 3_600.0 * 1.8);
    near(b.money.amounts["EUR"], 10_000.0 / 3.6e9 * 0.36 + 0.2 / 3_600.0 * 1.8);
    let total = json!(ledger.total());
    assert_eq!(
        total["energy"],
        json!({
            "measured_calls": 1, "measured_mj": 1_800, "measured": ["cpu"], "estimate_calls": 1, "estimate_mj": 10_000, "unknown_calls": 0,
        })
    );
    assert_eq!(total["money"]["prices"], json!(["0.36 EUR a kWh", "1.8 EUR an hour of this machine"]));
    assert_eq!((&total["money"]["estimate"], &total["money"]["unpriced_calls"]), (&json!(true), &json!(0)));
}

#[test]
fn a_price_of_ones_own_is_passed_over() {
    let place = "openai at https://api.openai.com";
    let log = Log::new(1).starts(0, "ask", 1).says(100, "ask", json!({ "device": place, "name": "gpt-4o-mini" }));
    let mut rates = Rates { currency: "EUR".into(), ..Rates::default() };
    let price = OwnPrice { input: 10.0, output: 100.0, cached: Some(1.0), as_of: "2026-11-01".into() };
    rates.models.insert("gpt-4o-mini".into(), price);
    let ledger = ledger(&[&log], &rates);
    let money = ledger.total().money;
    near(money.amounts["EUR"], (60.0 * 10.0 + 40.0 * 1.0 + 10.0 * 100.0) / 1e6);
    assert!(!money.estimate);
    assert_eq!(json!(money.prices), json!(["gpt-4o-mini: your price of 2026-11-01"]));
    let versus = ledger.versus(&Price::find("gpt-4o-mini", &rates).unwrap());
    near(versus.amount, (100.0 * 10.0 + 10.0 * 100.0) / 1e6);
    near(versus.amount_if_cached, money.amounts["EUR"]);
    assert_eq!((versus.from, versus.as_of.as_str(), versus.currency.as_str()), ("settings", "2026-11-01", "EUR"));
}

#[cfg(feature = "prices")]
#[test]
fn a_list_price_has_no_date() {
    let place = "openai at https://api.openai.com";
    let log = Log::new(1).starts(0, "ask", 1).says(100, "ask", json!({ "device": place, "name": "gpt-4o-mini" }));
    let ledger = ledger(&[&log], &Rates::default());
    let money = ledger.total().money;
    near(money.amounts["USD"], (60.0 * 0.15 + 40.0 * 0.075 + 10.0 * 0.6) / 1e6);
    assert!(money.estimate);
    assert_eq!(json!(money.prices), json!(["openai/gpt-4o-mini: list price, as known on 2026-10-30"]));
    let versus = json!(ledger.versus(&Price::find("gpt-4o-mini", &Rates::default()).unwrap()));
    let expected = json!({
        "model": "openai/gpt-4o-mini", "from": "list", "as_of": "2026-10-30", "currency": "USD", "amount": 0.000021,
        "amount_if_cached": 0.000018, "unpriced_calls": 0, "estimate": true,
    });
    assert_eq!(versus, expected);
}

#[cfg(feature = "prices")]
#[test]
fn a_name_that_nobody_knows_leads_nowhere() {
    let near = |name: &str| Price::find(name, &Rates::default()).unwrap_err().near;
    assert!(near("gpt-4o-mni").iter().any(|name| name == "openai/gpt-4o-mini"), "{:?}", near("gpt-4o-mni"));
    assert_eq!(near("zzzzzzzz"), [""; 0]);
    // A model without a price per token, and others of its name that have one.
    assert!(near("github-copilot/gpt-4o-mini").iter().any(|name| name.ends_with("/gpt-4o-mini")));
}

#[test]
fn tokens_that_nobody_counted_pass_for_counted() {
    let rates = Rates {
        models: [("m".to_owned(), OwnPrice { input: 1.0, output: 1.0, cached: None, as_of: "2026-11-01".into() })]
            .into(),
        ..Rates::default()
    };
    let call = |guessed: bool| {
        let usage = json!({ "prompt_tokens": 100, "output_tokens": 10, "guessed": guessed });
        json!({ "name": "m", "device": "vllm at http://x:1", "usage": usage })
    };
    let log = Log::new(1).starts(0, "a", 1).says(9, "a", call(false));
    let spent = ledger(&[&log], &rates).total();
    assert_eq!((spent.guessed_calls, spent.money.estimate), (0, false));
    let spent = ledger(&[&log.says(20, "a", call(true))], &rates).total();
    assert_eq!((spent.calls, spent.guessed_calls, spent.money.estimate), (2, 1, true));
}
