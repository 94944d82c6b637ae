//! A run of the example workflow, as a list of events.

use parkway::Labels;
use parkway::id::{Digest, Fence, RunId, Seq, StepKey, Time, WorkerId};
use parkway::log::{Actor, Channel, Commitment, Event, EventKind, FailureReason, SkipReason, Verdict, WaitFor};
use parkway_cli::render::{Outline, OutlineStep, RunView};
use serde_json::json;

/// When the run began.
const START: i64 = 1_795_000_000_000_000;

/// The time `ms` milliseconds after the start of the run.
pub(crate) fn at(ms: i64) -> Time {
    Time::from_micros(START + ms * 1_000)
}

/// The run.
pub(crate) fn run() -> RunId {
    RunId::new(at(0), [7; 16])
}

/// A run that goes on, and what is seen of it.
pub(crate) struct Letters {
    pub(crate) view: RunView,
    /// What a pipe was told.
    pub(crate) told: Vec<String>,
    pub(crate) events: Vec<Event>,
    /// Events of steps that overlap, until they are put in order.
    overlapping: Option<Vec<(i64, EventKind)>>,
    seq: u64,
    salt: u32,
}

fn step(id: &str, verb: &str, detail: &str) -> OutlineStep {
    OutlineStep { id: id.into(), verb: verb.into(), detail: detail.into(), ..OutlineStep::default() }
}

fn key(text: &str) -> StepKey {
    text.parse().unwrap()
}

impl Letters {
    /// The run before its first step.
    pub(crate) fn new() -> Self {
        let children = vec![
            step("letter", "tool", "files.read_text"),
            step("extract", "chat", "main"),
            step("found", "tool", "text.find"),
        ];
        let intake = OutlineStep { fans_out: true, children, ..step("intake", "steps", "") };
        let mut view = RunView::new();
        view.describe(Outline {
            workflow: "order_intake".into(),
            steps: vec![
                step("list", "tool", "files.list"),
                intake,
                step("confirm", "approve", ""),
                step("write", "tool", "files.write_csv"),
            ],
        });
        let mut letters = Letters { view, told: Vec::new(), events: Vec::new(), overlapping: None, seq: 0, salt: 0 };
        let (plan, inputs) = (letters.text(""), letters.text(""));
        let created = EventKind::RunCreated {
            plan,
            plan_hash: Digest::of(&[]),
            inputs,
            labels: Labels::NONE,
            env: None,
            parent: None,
        };
        letters.push(0, created);
        letters.push(2, EventKind::RunClaimed { worker: WorkerId::new("w1") });
        letters
    }

    /// A commitment that is explained.
    pub(crate) fn text(&mut self, text: &str) -> Commitment {
        self.salt += 1;
        let commitment = Commitment::of(&u128::from(self.salt).to_le_bytes(), text.as_bytes());
        self.view.explain(commitment, text);
        commitment
    }

    pub(crate) fn push(&mut self, ms: i64, kind: EventKind) {
        match &mut self.overlapping {
            Some(events) => events.push((ms, kind)),
            None => self.push_by(ms, Actor::Engine, kind),
        }
    }

    pub(crate) fn push_by(&mut self, ms: i64, by: Actor, kind: EventKind) {
        self.seq += 1;
        let event = Event::new("default", run(), Seq(self.seq), at(ms), Fence(1), by, kind);
        self.view.apply(&event);
        self.told.extend(self.view.plain(&event));
        self.events.push(event);
    }

    pub(crate) fn start(&mut self, ms: i64, step: &str, attempt: u32) {
        self.push(
            ms,
            EventKind::StepStarted {
                key: key(step),
                attempt,
                args: None,
                labels: [].into(),
                effect: None,
                rule: None,
                secrets: None,
            },
        );
    }

    pub(crate) fn complete(&mut self, ms: i64, step: &str, attempt: u32) {
        self.push(ms, EventKind::StepCompleted { key: key(step), attempt, output: None, labels: Default::default() });
    }

    pub(crate) fn fail(&mut self, ms: i64, step: &str, code: &str, message: &str) {
        let message = self.text(message);
        self.push(ms, EventKind::StepFailed { key: key(step), attempt: 1, code: code.into(), message });
    }

    pub(crate) fn retry(&mut self, ms: i64, step: &str, not_before: i64) {
        let message = self.text("the model failed: out of memory");
        let not_before = at(not_before);
        self.push(
            ms,
            EventKind::StepRetried { key: key(step), attempt: 1, code: "backend".into(), message, not_before },
        );
    }

    pub(crate) fn skip(&mut self, ms: i64, step: &str, reason: SkipReason) {
        self.push(ms, EventKind::StepSkipped { key: key(step), reason });
    }

    pub(crate) fn expand(&mut self, ms: i64, step: &str, items: u32) {
        let (list, names) = (self.text(""), self.text("names"));
        self.view.name_items(names, (0..items).map(|i| format!("data/letters/{i:02}.txt")));
        self.push(
            ms,
            EventKind::StepExpanded { key: key(step), items, list, names: Some(names), labels: Default::default() },
        );
    }

    pub(crate) fn chat(&mut self, ms: i64, step: &str, took: u32, output: u32) {
        let (messages, answer) = (self.text("hello"), self.text("answer"));
        let call = serde_json::from_value(json!({
            "model": "main", "name": "smollm2-135m-instruct", "device": "cpu", "seed": "1", "temperature_milli": 0,
            "max_tokens": 200, "messages": messages, "answer": answer,
            "usage": {"prompt_tokens": 320, "cached_tokens": 260, "output_tokens": output}, "finish": "stop",
            "took_ms": took, "valid": output > 1,
        }));
        self.push(ms, EventKind::ModelCalled { key: key(step), attempt: 1, turn: 1, call: Box::new(call.unwrap()) });
    }

    pub(crate) fn ask(&mut self, ms: i64, step: &str, prompt: &str) {
        let (prompt, shown) = (self.text(prompt), self.text("shown"));
        self.push(ms, EventKind::ApprovalRequested { key: key(step), prompt, shown, expires: None });
    }

    pub(crate) fn answer(&mut self, ms: i64, step: &str, verdict: Verdict, note: &str) {
        let note = Some(self.text(note));
        self.push_as("ada", ms, EventKind::ApprovalDecided { key: key(step), verdict, note });
    }

    /// What a person did.
    pub(crate) fn push_as(&mut self, name: &str, ms: i64, kind: EventKind) {
        let name = self.text(name);
        self.push_by(ms, Actor::Person { name, via: Channel::Flag }, kind);
    }

    pub(crate) fn wait(&mut self, ms: i64, step: &str, what: WaitFor) {
        self.push(ms, EventKind::StepWaiting { key: key(step), what });
    }

    pub(crate) fn doubt(&mut self, ms: i64, step: &str) {
        let message = self.text("the process ended while the call was under way");
        self.push(ms, EventKind::StepInDoubt { key: key(step), attempt: 1, code: "crash".into(), message });
    }

    pub(crate) fn run_fails(&mut self, ms: i64, code: &str, message: &str) {
        let message = Some(self.text(message));
        self.push(ms, EventKind::RunFailed { reason: FailureReason::new(code, None, message) });
    }

    pub(crate) fn run_completes(&mut self, ms: i64) {
        let outputs = self.text("");
        self.push(ms, EventKind::RunCompleted { outputs });
    }

    /// One letter, done after 900 ms; it fails if `fails`.
    fn letter(&mut self, start: i64, i: u32, fails: bool) {
        let item = format!("intake[{i}]");
        self.start(start, &item, 1);
        let cut = "the answer was cut after 200 tokens, before it was complete; raise `max_tokens` or ask for less";
        for (from, to, name) in [(0, 100, "letter"), (100, 800, "extract"), (800, 900, "found")] {
            let step = format!("{item}.{name}");
            self.start(start + from, &step, 1);
            if name == "extract" {
                self.chat(start + to, &step, 680, 40 + i);
                if fails {
                    self.fail(start + to, &step, "cut", cut);
                    self.skip(start + to, &format!("{item}.found"), SkipReason::Dependency { id: "extract".into() });
                    self.fail(start + to, &item, "cut", cut);
                    return;
                }
            }
            self.complete(start + to, &step, 1);
        }
        self.complete(start + 900, &item, 1);
    }

    /// Lists 28 letters and works on the first `letters` of them; every ninth fails.
    pub(crate) fn intake(&mut self, letters: u32) {
        self.start(10, "list", 1);
        self.complete(90, "list", 1);
        self.start(100, "intake", 1);
        self.expand(110, "intake", 28);
        self.overlapping = Some(Vec::new());
        for i in 0..letters {
            self.letter(200 + i64::from(i) * 400, i, i % 9 == 4);
        }
        let mut events = self.overlapping.take().unwrap();
        events.sort_by_key(|(ms, _)| *ms);
        for (ms, kind) in events {
            self.push(ms, kind);
        }
    }

    /// In the middle: 12 letters through, some at work, one to be tried again.
    pub(crate) fn halfway() -> Self {
        let mut letters = Letters::new();
        letters.intake(14);
        for i in 14..17 {
            letters.start(6_000, &format!("intake[{i}]"), 1);
            letters.start(6_000, &format!("intake[{i}].letter"), 1);
        }
        letters.complete(6_020, "intake[14].letter", 1);
        letters.start(6_030, "intake[14].extract", 1);
        letters.complete(6_020, "intake[15].letter", 1);
        letters.start(6_030, "intake[15].extract", 1);
        letters.retry(6_100, "intake[15].extract", 8_100);
        letters
    }

    /// All letters are through, and a person is asked.
    pub(crate) fn asking() -> Self {
        let mut letters = Letters::new();
        letters.intake(28);
        letters.complete(12_000, "intake", 1);
        letters.start(12_010, "confirm", 1);
        letters.ask(12_020, "confirm", "Write the accepted orders and leave 3 letters for a person?");
        letters
    }

    /// The end.
    pub(crate) fn done() -> Self {
        let mut letters = Letters::asking();
        letters.answer(20_000, "confirm", Verdict::Approved, "go on");
        letters.complete(20_001, "confirm", 1);
        letters.start(20_010, "write", 1);
        letters.retry(20_020, "write", 20_100);
        letters.start(20_100, "write", 2);
        letters.complete(20_200, "write", 2);
        letters.run_completes(20_250);
        letters
    }
}
