//! The fold of a run's events into when its steps worked and when they waited, what the policy said, and which outputs
//! have labels. All items of a fan-out, and all rounds, share the row of their step: a row more is a step more.

use std::collections::{BTreeMap, HashMap, HashSet};

use parkway::Labels;
use parkway::id::{StepKey, Time};
use parkway::log::{Actor, Does, Event, EventKind, Timer};
use parkway::policy::Verdict;

use super::outline::OutlineStep;
use super::view::State;
use super::words::clean;

/// What the row of a goal's turns is called.
const TURNS: &str = "turns";

/// What is told of a run below its tree.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    root: Track,
    /// The steps that do something: since when, and what.
    open: HashMap<StepKey, (Time, Doing)>,
    /// The turns of models that pursue goals: those of one goal share a row.
    turns: HashSet<StepKey>,
    /// When the event before was recorded.
    before: Time,
    pub(super) rulings: Vec<Ruling>,
    pub(super) tool_calls: u64,
    seen: u32,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doing {
    Waits,
    Works,
}

/// A time in which a step did something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: Time,
    pub(super) to: Time,
    pub(super) doing: Doing,
}

/// A step with all its items and rounds.
#[derive(Clone, Debug, Default)]
struct Track {
    seen: u32,
    spans: Vec<Span>,
    attempts: u32,
    state: State,
    labels: Labels,
    /// Whether it is a model's turns.
    turns: bool,
    members: BTreeMap<String, Track>,
}

/// The row of a step.
pub(super) struct Row {
    pub(super) depth: usize,
    pub(super) id: String,
    /// Its name with those of the groups around it.
    pub(super) name: String,
    pub(super) spans: Vec<Span>,
    /// The most attempts that it, or one of its items, took.
    pub(super) attempts: u32,
    pub(super) state: State,
    pub(super) labels: Labels,
    /// Whether it is a model's turns, which are no step.
    pub(super) turns: bool,
}

/// A rule by which calls were let through, asked about or denied.
#[derive(Clone, Debug)]
pub(super) struct Ruling {
    pub(super) verdict: Verdict,
    pub(super) rule: String,
    /// The names of the steps that called.
    pub(super) steps: Vec<String>,
    known: HashSet<String>,
    /// Who answered.
    pub(super) by: Vec<Actor>,
}

impl Timeline {
    /// The timeline of these events, which come in the order of the log.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut timeline = Timeline::default();
        events.into_iter().for_each(|event| timeline.apply(event));
        timeline
    }

    fn apply(&mut self, event: &Event) {
        use EventKind::{
            ApprovalDecided, ApprovalRequested, InputReceived, PolicyDecided, RunCancelled, RunClaimed, RunCompleted,
            RunFailed, SignalReceived, StepCancelled, StepCompleted, StepFailed, StepInDoubt, StepResolved,
            StepRetried, StepStarted, StepWaiting, TimerFired,
        };
        let at = event.at;
        let before = std::mem::replace(&mut self.before, at);
        if matches!(event.kind, RunClaimed { .. }) {
            self.stop(before);
        }
        if matches!(event.kind, RunCompleted { .. } | RunFailed { .. } | RunCancelled) {
            for (key, (from, doing)) in std::mem::take(&mut self.open) {
                self.track(&key).spans.push(Span { from, to: at, doing });
            }
        }
        if matches!(event.kind, EventKind::RunReopened { .. }) {
            self.root.begin_again();
        }
        let Some(key) = event.kind.key() else { return };
        match &event.kind {
            StepStarted { attempt, effect, rule, .. } => {
                self.turn(key, at, Some(Doing::Works));
                let track = self.track(key);
                track.attempts = track.attempts.max(*attempt);
                self.tool_calls += u64::from(effect.is_some());
                if let Some(rule) = rule {
                    self.rule(key, Verdict::Allow, rule);
                }
            }
            ApprovalRequested { .. } | StepWaiting { .. } | StepInDoubt { .. } => {
                self.turn(key, at, Some(Doing::Waits));
            }
            ApprovalDecided { .. } => {
                self.turn(key, at, Some(Doing::Works));
                self.answer(key, &event.by);
            }
            InputReceived { .. }
            | SignalReceived { .. }
            | StepResolved { .. }
            | TimerFired { timer: Timer::Wait, .. } => {
                self.turn(key, at, Some(Doing::Works));
            }
            StepCompleted { labels, .. } => {
                self.turn(key, at, None);
                let track = self.track(key);
                track.labels = track.labels.union(*labels);
                if track.state != State::Failed {
                    track.state = State::Completed;
                }
            }
            StepFailed { .. } => {
                self.turn(key, at, None);
                self.track(key).state = State::Failed;
            }
            StepRetried { .. } | StepCancelled { .. } => self.turn(key, at, None),
            PolicyDecided { verdict, rule, .. } => self.rule(key, *verdict, rule),
            EventKind::PlanExtended { nodes, .. } => {
                let turns = nodes.iter().filter(|node| matches!(node.does, Does::Turn { .. }));
                self.turns.extend(turns.map(|node| key.child(&node.id)));
            }
            _ => {}
        }
    }

    fn track(&mut self, key: &StepKey) -> &mut Track {
        let is_turn = self.turns.contains(key);
        let mut track = &mut self.root;
        for (level, segment) in (1..).zip(key.path()) {
            self.seen += 1;
            let seen = self.seen;
            let turns = is_turn && level == key.path().len();
            let id = if turns { TURNS } else { &segment.id };
            track = track.members.entry(id.to_owned()).or_insert_with(|| Track { seen, turns, ..Track::default() });
        }
        track
    }

    /// The step does something else from now on.
    fn turn(&mut self, key: &StepKey, at: Time, doing: Option<Doing>) {
        if let Some((from, doing)) = self.open.remove(key) {
            self.track(key).spans.push(Span { from, to: at, doing });
        }
        if let Some(doing) = doing {
            // Steps have the order in which they began, open or not.
            self.track(key);
            self.open.insert(key.clone(), (at, doing));
        }
    }

    /// Nobody worked from then on until the run was claimed again; what is waited for, is waited for all the same. A group
    /// goes on without starting again, and shows nothing but what its members did.
    fn stop(&mut self, then: Time) {
        for (key, (from, doing)) in std::mem::take(&mut self.open) {
            let track = self.track(&key);
            if doing == Doing::Works && track.members.is_empty() {
                track.spans.push(Span { from, to: then, doing });
            } else {
                self.open.insert(key, (from, doing));
            }
        }
    }

    fn rule(&mut self, key: &StepKey, verdict: Verdict, rule: &str) {
        let step = name(key);
        match self.rulings.iter_mut().find(|ruling| ruling.verdict == verdict && ruling.rule == rule) {
            Some(ruling) => {
                if ruling.known.insert(step.clone()) {
                    ruling.steps.push(step);
                }
            }
            None => {
                let (rule, known) = (rule.into(), HashSet::from([step.clone()]));
                self.rulings.push(Ruling { verdict, rule, steps: vec![step], known, by: Vec::new() });
            }
        }
    }

    /// Somebody answered; a question of the policy if there was one.
    fn answer(&mut self, key: &StepKey, by: &Actor) {
        let step = name(key);
        let asked = self.rulings.iter_mut().filter(|ruling| ruling.verdict == Verdict::Ask);
        for ruling in asked.filter(|ruling| ruling.known.contains(&step)) {
            if !ruling.by.contains(by) {
                ruling.by.push(by.clone());
            }
        }
    }

    /// The steps that have worked or waited up to `now`, in the order of the file; then those that only the log knows.
    pub(super) fn rows(&self, steps: &[OutlineStep], now: Time) -> Vec<Row> {
        let mut all = self.clone();
        for (key, (from, doing)) in &self.open {
            let track = all.track(key);
            track.spans.push(Span { from: *from, to: now, doing: *doing });
            track.state = State::Running;
        }
        let mut rows = Vec::new();
        all.root.add_rows(&mut rows, steps, 0, "");
        rows
    }
}

impl Track {
    /// What failed is done again.
    fn begin_again(&mut self) {
        self.state = State::Completed;
        self.members.values_mut().for_each(Track::begin_again);
    }

    fn add_rows(&self, rows: &mut Vec<Row>, steps: &[OutlineStep], depth: usize, group: &str) {
        let places: HashMap<_, _> = steps.iter().enumerate().map(|(place, step)| (step.id.as_str(), place)).collect();
        let place = |id: &str| places.get(id).copied().unwrap_or(steps.len());
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|(id, track)| (place(id), track.seen));
        for (id, track) in members {
            let name = format!("{group}{}", clean(id));
            let (mut spans, inner) = (Vec::new(), steps.get(place(id)));
            track.add_spans(&mut spans);
            if !spans.is_empty() {
                let (attempts, state, labels, turns) = (track.attempts, track.state, track.labels, track.turns);
                rows.push(Row { depth, id: clean(id), name: name.clone(), spans, attempts, state, labels, turns });
            }
            track.add_rows(rows, inner.map_or(&[], |step| &step.children), depth + 1, &format!("{name}."));
        }
    }

    /// What it did; what a group did is what its members did.
    fn add_spans(&self, spans: &mut Vec<Span>) {
        if self.members.is_empty() {
            spans.extend(&self.spans);
        }
        self.members.values().for_each(|track| track.add_spans(spans));
    }
}

/// The ids on the way to a step: the same for all its items and rounds.
pub(super) fn name(key: &StepKey) -> String {
    key.path().iter().map(|segment| clean(&segment.id)).collect::<Vec<_>>().join(".")
}
