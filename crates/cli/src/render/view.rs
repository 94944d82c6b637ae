//! The fold of a run's events into what is shown of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use parkway::id::{RunId, StepKey, Time};
use parkway::log::{Actor, Commitment, Event, EventKind, ModelCall, RunStatus, SkipReason, Timer, WaitFor};
use parkway::policy::Verdict;

use super::outline::Outline;
use super::phrases::{decided, fired, resolved, ruled, skipped};
use super::plain::step_column;
use super::planned::Planned;
use super::symbols::Symbols;
use super::timeline::name;
use super::turn::Turn;
use super::words::clean;

/// What is known of a run, for drawing it. Events hold commitments in place of texts, so the caller explains the texts
/// ([`RunView::wanted`], [`RunView::explain`], [`RunView::name_items`]); what is not explained is left out.
#[derive(Clone, Debug, Default)]
pub struct RunView {
    pub(super) outline: Outline,
    /// The names of the steps that have runs of their own.
    own_runs: HashSet<String>,
    /// How wide the names of steps are in lines.
    pub(super) step_column: usize,
    pub(super) symbols: Symbols,
    pub(super) run: Option<RunId>,
    pub(super) created: Option<Time>,
    pub(super) ended: Option<Time>,
    pub(super) cancelling: bool,
    pub(super) overdue: bool,
    pub(super) outcome: Option<RunStatus>,
    pub(super) failure: Option<Failure>,
    pub(super) root: Node,
    pub(super) models: BTreeSet<String>,
    pub(super) devices: BTreeSet<String>,
    pub(super) busy: Busy,
    texts: HashMap<Commitment, String>,
    names: HashMap<Commitment, Vec<String>>,
    pub(super) seen: u32,
}

/// Why the run failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: String,
    pub(super) message: Option<Commitment>,
}

/// What a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    Approval,
    Values,
    Time(Time),
    Signal(Commitment),
    Run { wakes: bool },
    Other,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Pending,
    Running,
    Retrying {
        not_before: Time,
    },
    Waiting,
    Completed,
    Failed,
    Skipped,
    Cancelled,
    InDoubt,
}

impl State {
    /// Whether somebody should look: it moves, or it went wrong.
    pub(super) fn stands_out(self) -> bool {
        !matches!(self, State::Pending | State::Completed | State::Skipped | State::Cancelled)
    }
}

/// The place of a node below its parent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Step(String),
    Round(u32),
    Item(u32),
}

/// A step, a round of it, or an item of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) state: State,
    pub(super) seen: u32,
    pub(super) attempts: u32,
    pub(super) started: Option<Time>,
    pub(super) ended: Option<Time>,
    pub(super) code: Option<String>,
    pub(super) message: Option<Commitment>,
    pub(super) remark: Option<String>,
    pub(super) waits: Option<Waits>,
    /// The run that it has for itself.
    pub(super) own_run: Option<RunId>,
    pub(super) items: Option<u32>,
    pub(super) names: Option<Commitment>,
    pub(super) spent: Spent,
    pub(super) turn: Option<Turn>,
    /// What it is, where it came into being while the run went on.
    pub(super) planned: Option<Planned>,
    /// How many lines of its plan could not stand.
    pub(super) refused: u64,
    /// Whether something has followed from the newest line of its plan.
    pub(super) stood: bool,
    pub(super) children: BTreeMap<Part, Node>,
}

/// What model calls took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pub(super) calls: u64,
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
}

/// The time during which at least one model call ran: calls that overlap count once.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy {
    /// Spans that do not touch, in order.
    spans: Vec<(Time, Time)>,
}

impl Busy {
    /// Adds a call; calls come in the order in which they end.
    fn add(&mut self, mut from: Time, to: Time) {
        while let Some((start, _)) = self.spans.pop_if(|(_, end)| *end >= from) {
            from = from.min(start);
        }
        self.spans.push((from, to));
    }

    pub(super) fn total(&self) -> Duration {
        self.spans.iter().map(|(from, to)| to.since(*from)).sum()
    }
}

impl Node {
    pub(super) fn took(&self, now: Time) -> Option<Duration> {
        Some(self.ended.unwrap_or(now).since(self.started?))
    }

    /// The states of all steps below that have none below themselves; its own if there are none.
    pub(super) fn leaves(&self) -> Box<dyn Iterator<Item = State> + '_> {
        if self.children.is_empty() {
            Box::new(std::iter::once(self.state))
        } else {
            Box::new(self.children.values().flat_map(Node::leaves))
        }
    }

    /// The newest round of a `repeat`.
    pub(super) fn round(&self) -> Option<u32> {
        let round = |part: &Part| if let Part::Round(round) = part { Some(*round) } else { None };
        self.children.keys().filter_map(round).max()
    }

    /// Whether a step within tells why this one failed.
    pub(super) fn has_failed_child(&self) -> bool {
        self.children.values().any(|child| child.state == State::Failed)
    }

    fn wait(&mut self, waits: Waits, at: Time) {
        self.state = State::Waiting;
        self.waits = Some(waits);
        self.message = None;
        self.remark = None;
        self.started.get_or_insert(at);
    }

    /// What was waited for has come.
    fn go_on(&mut self) {
        self.state = State::Running;
        self.message = None;
        self.remark = None;
    }

    /// Whether a step at or below it waits for something that may still come while it is looked at.
    fn may_move(&self) -> bool {
        let alone = self.state == State::Waiting && !matches!(self.waits, Some(Waits::Run { wakes: false }));
        if self.children.is_empty() { alone } else { self.children.values().any(Node::may_move) }
    }

    fn end(&mut self, state: State, at: Time) {
        self.state = state;
        self.ended = Some(at);
        self.turn = None;
    }

    /// The run was reopened, and what the step ended with does not stand any more.
    fn begin_again(&mut self) {
        self.state = State::Running;
        (self.started, self.ended) = (None, None);
        (self.code, self.message, self.remark, self.waits) = (None, None, None, None);
    }

    fn forget_turns(&mut self) {
        self.turn = None;
        self.children.values_mut().for_each(Node::forget_turns);
    }

    fn fail(&mut self, code: &str, message: Commitment) {
        self.code = Some(clean(code));
        self.message = Some(message);
        self.turn = None;
    }
}

impl RunView {
    /// A view of nothing yet.
    pub fn new() -> Self {
        RunView::default()
    }

    /// Chooses the characters of the drawing.
    pub fn use_symbols(&mut self, symbols: Symbols) {
        self.symbols = symbols;
    }

    /// Says which workflow runs.
    pub fn describe(&mut self, outline: Outline) {
        self.outline = outline.cleaned();
        self.own_runs = self.outline.own_runs();
        self.step_column = step_column(&self.outline);
    }

    /// Says what a commitment stands for: a message, a prompt, a remark, a person's name.
    pub fn explain(&mut self, commitment: Commitment, text: &str) {
        self.texts.insert(commitment, clean(text));
    }

    /// Says what the items of a fan-out are called, for the `names` of its event.
    pub fn name_items(&mut self, names: Commitment, items: impl IntoIterator<Item = impl AsRef<str>>) {
        self.names.insert(names, items.into_iter().map(|name| clean(name.as_ref())).collect());
    }

    /// Says how far the model of a running step has read its prompt, in tokens. This is in no log, and forgotten when the
    /// call or the step ends.
    pub fn reads(&mut self, step: &StepKey, done: u32, total: u32) {
        if let Some(node) = self.running(step) {
            node.turn = Some(Turn::Reads { done, total });
        }
    }

    /// Says what the model of a running step has written since the last time; as forgotten as what it reads.
    pub fn writes(&mut self, step: &StepKey, text: &str) {
        if let Some(node) = self.running(step) {
            node.turn = Some(Turn::written(node.turn.take(), text));
        }
    }

    /// Forgets what models read and write: nobody goes on with it here.
    pub(super) fn forget_turns(&mut self) {
        self.root.forget_turns();
    }

    /// The node of a step that runs: of another one, a notice comes too late.
    fn running(&mut self, key: &StepKey) -> Option<&mut Node> {
        let node = parts(key).try_fold(&mut self.root, |node, part| node.children.get_mut(&part))?;
        (node.state == State::Running).then_some(node)
    }

    /// The commitments of an event that the drawing would like explained: texts, and names of items.
    pub fn wanted(event: &Event) -> Vec<Commitment> {
        let mut wanted = Vec::new();
        if let Actor::Person { name, .. } = event.by {
            wanted.push(name);
        }
        match &event.kind {
            EventKind::StepExpanded { names, .. } => wanted.extend(names),
            EventKind::StepFailed { message, .. }
            | EventKind::StepRetried { message, .. }
            | EventKind::StepInDoubt { message, .. } => wanted.push(*message),
            EventKind::ApprovalRequested { prompt, .. }
            | EventKind::StepWaiting { what: WaitFor::Input { prompt, .. }, .. } => wanted.push(*prompt),
            EventKind::StepWaiting { what: WaitFor::Signal { name, .. }, .. }
            | EventKind::SignalReceived { name, .. } => wanted.push(*name),
            EventKind::ApprovalDecided { note, .. }
            | EventKind::StepResolved { note, .. }
            | EventKind::RunReopened { note, .. }
            | EventKind::CancelRequested { note } => wanted.extend(note),
            EventKind::RunFailed { reason } => wanted.extend(reason.message),
            _ => {}
        }
        wanted
    }

    /// Folds one event in. Events come in the order of the log.
    pub fn apply(&mut self, event: &Event) {
        let at = event.at;
        match &event.kind {
            EventKind::RunCreated { .. } => {
                self.run = Some(event.run);
                self.created = Some(at);
            }
            EventKind::RunReopened { .. } => self.reopen(),
            EventKind::CancelRequested { .. } => self.cancelling = true,
            EventKind::TimerFired { key: None, timer: Timer::Deadline } => self.overdue = true,
            EventKind::RunCompleted { .. } => self.end(RunStatus::Completed, at),
            EventKind::RunCancelled => self.end(RunStatus::Cancelled, at),
            EventKind::RunFailed { reason } => {
                self.failure = Some(Failure { code: clean(&reason.code), message: reason.message });
                self.end(RunStatus::Failed, at);
            }
            kind => {
                if let Some(key) = kind.key() {
                    self.apply_to_step(key, event);
                }
            }
        }
    }

    /// It goes on. Steps that are done again say so when they begin.
    fn reopen(&mut self) {
        (self.outcome, self.ended, self.failure) = (None, None, None);
        (self.cancelling, self.overdue) = (false, false);
    }

    fn end(&mut self, outcome: RunStatus, at: Time) {
        self.outcome = Some(outcome);
        self.ended = Some(at);
    }

    fn apply_to_step(&mut self, key: &StepKey, event: &Event) {
        let at = event.at;
        if let EventKind::ModelCalled { call, .. } = &event.kind {
            self.count_call(key, at, call);
        }
        if let EventKind::PlanExtended { nodes, .. } = &event.kind {
            self.plan(key, at, nodes);
        }
        if let EventKind::StepSkipped { reason: SkipReason::Replanned, .. } = &event.kind {
            self.drop_planned(key, at);
        }
        let by = self.actor(&event.by);
        let own_run = self.own_runs.contains(&name(key)).then(|| event.run.child(key));
        let node = self.reach(key, at);
        if begins(&event.kind) && matches!(node.state, State::Failed | State::Skipped | State::Cancelled) {
            node.begin_again();
        }
        match &event.kind {
            EventKind::StepStarted { attempt, .. } => {
                node.state = State::Running;
                node.attempts = *attempt;
                node.started.get_or_insert(at);
                node.ended = None;
                node.own_run = own_run;
            }
            EventKind::StepExpanded { items, names, .. } => {
                node.items = Some(*items);
                node.names = *names;
            }
            EventKind::StepCompleted { .. } => node.end(State::Completed, at),
            EventKind::StepFailed { code, message, .. } => {
                // Its message tells it better.
                node.remark.take_if(|_| code == "timeout");
                node.fail(code, *message);
                node.end(State::Failed, at);
            }
            EventKind::StepRetried { code, message, not_before, .. } => {
                node.fail(code, *message);
                node.state = State::Retrying { not_before: *not_before };
            }
            EventKind::StepInDoubt { code, message, .. } => {
                node.fail(code, *message);
                node.state = State::InDoubt;
            }
            EventKind::StepSkipped { reason, .. } => {
                node.remark = Some(skipped(reason));
                node.end(State::Skipped, at);
            }
            EventKind::StepCancelled { .. } => node.end(State::Cancelled, at),
            EventKind::ApprovalRequested { prompt, .. } => {
                node.wait(Waits::Approval, at);
                node.message = Some(*prompt);
            }
            EventKind::ApprovalDecided { verdict, note, .. } => {
                node.state = State::Running;
                node.message = *note;
                node.remark = Some(format!("{}{by}", decided(*verdict)));
            }
            EventKind::StepWaiting { what, .. } => match what {
                WaitFor::Timer { at: until } => node.wait(Waits::Time(*until), at),
                WaitFor::Signal { name, .. } => node.wait(Waits::Signal(*name), at),
                WaitFor::Run { wake, .. } => node.wait(Waits::Run { wakes: wake.is_some() }, at),
                WaitFor::Input { prompt, .. } => {
                    node.wait(Waits::Values, at);
                    node.message = Some(*prompt);
                }
                _ => node.wait(Waits::Other, at),
            },
            EventKind::TimerFired { timer, .. } => match fired(*timer) {
                Some(fired) => node.remark = Some(fired.into()),
                None => node.go_on(),
            },
            EventKind::SignalReceived { .. } => node.go_on(),
            EventKind::InputReceived { .. } => {
                node.go_on();
                node.remark = Some(format!("filled{by}"));
            }
            EventKind::StepResolved { outcome, note, .. } => {
                node.go_on();
                node.message = *note;
                node.remark = Some(format!("resolved{by}: {}", resolved(outcome)));
            }
            // What is to be approved may be approved already; if not, it is asked about next.
            EventKind::PolicyDecided { verdict: Verdict::Deny, rule, .. } => {
                node.remark = Some(ruled(Verdict::Deny, rule));
            }
            _ => {}
        }
    }

    /// The node of `key`. Steps on the way to it run, whether or not the log says so.
    pub(super) fn reach(&mut self, key: &StepKey, at: Time) -> &mut Node {
        let mut node = &mut self.root;
        for part in parts(key) {
            if node.state == State::Pending {
                node.state = State::Running;
                node.started = Some(at);
            }
            self.seen += 1;
            let seen = self.seen;
            node = node.children.entry(part).or_insert_with(|| Node { seen, ..Node::default() });
        }
        node
    }

    fn count_call(&mut self, key: &StepKey, at: Time, call: &ModelCall) {
        self.reach(key, at);
        self.models.insert(clean(&call.name));
        self.devices.insert(clean(&call.device));
        let took = i64::from(call.took_ms) * 1_000;
        self.busy.add(Time::from_micros(at.micros().saturating_sub(took)), at);
        let mut node = &mut self.root;
        node.spent.add(call);
        for part in parts(key) {
            let Some(child) = node.children.get_mut(&part) else { return };
            child.spent.add(call);
            node = child;
        }
        node.turn = None;
    }

    /// What is known of a step.
    pub(super) fn find(&self, key: &StepKey) -> Option<&Node> {
        parts(key).try_fold(&self.root, |node, part| node.children.get(&part))
    }

    /// What a commitment stands for, if that was explained.
    pub(super) fn text(&self, commitment: Option<Commitment>) -> Option<&str> {
        Some(self.texts.get(&commitment?)?.as_str()).filter(|text| !text.is_empty())
    }

    /// What an item of a fan-out is called.
    pub(super) fn item_name(&self, node: &Node, item: u32) -> &str {
        let names = node.names.and_then(|names| self.names.get(&names));
        names.and_then(|names| names.get(usize::try_from(item).ok()?)).map_or("", String::as_str)
    }

    /// ` by ada (flag)`, for an event that a person made happen.
    pub(super) fn actor(&self, actor: &Actor) -> String {
        let Actor::Person { name, via } = actor else { return String::new() };
        let name = self.text(Some(*name)).unwrap_or("somebody");
        format!(" by {name} ({})", via.as_str())
    }

    /// Whether something that the run waits for may come while it is looked at: not a word about a call in doubt, nor what
    /// moves a run that a step has for itself.
    pub(crate) fn may_move(&self) -> bool {
        self.root.may_move()
    }

    /// Where the run stands.
    pub fn status(&self) -> RunStatus {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        let mut status = if self.root.children.is_empty() { RunStatus::Pending } else { RunStatus::Running };
        for state in self.root.leaves() {
            match state {
                State::Running | State::Retrying { .. } => return RunStatus::Running,
                State::Waiting | State::InDoubt => status = RunStatus::Waiting,
                _ => {}
            }
        }
        status
    }
}

impl Spent {
    fn add(&mut self, call: &ModelCall) {
        self.calls += 1;
        self.input += u64::from(call.usage.prompt_tokens);
        self.cached += u64::from(call.usage.cached_tokens);
        self.output += u64::from(call.usage.output_tokens);
    }
}

/// Whether a step that had ended goes on with such an event.
fn begins(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::StepStarted { .. }
            | EventKind::StepExpanded { .. }
            | EventKind::StepWaiting { .. }
            | EventKind::ApprovalRequested { .. }
    )
}

fn parts(key: &StepKey) -> impl Iterator<Item = Part> {
    key.path().iter().flat_map(|segment| {
        let step = Part::Step(segment.id.clone());
        let round = (segment.iteration > 0).then_some(Part::Round(segment.iteration));
        [Some(step), round, segment.item.map(Part::Item)].into_iter().flatten()
    })
}
