//! The state of a run: the fold of its log. `apply` is the only thing that changes it. It holds references to outputs,
//! never the outputs.

mod call;
mod fan;
mod frozen;
mod growth;
mod labels;
mod origin;
mod reopen;
mod repeat;
mod rules;
mod shape;
mod stop;
mod view;
mod waiting;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::id::{Fence, RunId, Seq, StepKey, Time};
use crate::label::Labels;
use crate::log::ready::{Ready, Work};
use crate::log::step::{Answer, Approval, Came, Fan, Step, StepError, StepIndex, StepStatus};
use crate::log::{
    Budget, Commitment, Event, EventKind, FailureReason, Finish, Parent, Resolution, RunStatus, SkipReason, Timer,
    WaitFor,
};
use crate::model::Usage;
use crate::workflow::{OnError, OnItemError, Plan, Verb};

pub(crate) use frozen::SNAPSHOT_VERSION;
pub(crate) use growth::{Growth, Said};
pub use origin::Forked;
pub(crate) use rules::{Gate, Settlement};
use shape::Shape;
pub(crate) use waiting::Kept;
pub use waiting::Question;

/// An event that cannot happen to the run as it stands: the log is damaged, or the engine has a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} ({kind}) cannot happen here: {why}")]
pub struct IllegalEvent {
    /// Its place.
    pub seq: Seq,
    /// Its name.
    pub kind: &'static str,
    /// Why not.
    pub why: String,
}

/// The state of a run.
#[derive(Clone, Debug)]
pub struct RunState {
    plan: Arc<Plan>,
    shape: Arc<Shape>,
    run: RunId,
    created: Time,
    /// When it was created or, after that, last reopened.
    opened: Time,
    updated: Time,
    head: Seq,
    fence: Fence,
    status: RunStatus,
    plan_payload: Option<Commitment>,
    inputs: Option<Commitment>,
    input_labels: Labels,
    env: Option<Commitment>,
    parent: Option<Parent>,
    forked: Option<Forked>,
    reopened: Option<reopen::Reopened>,
    steps: Vec<Step>,
    index: HashMap<StepKey, StepIndex>,
    roots: Vec<StepIndex>,
    open: usize,
    failure: Option<FailureReason>,
    stop: stop::Stop,
    /// Groups whose time is over.
    groups_over: u32,
    /// Signals that no step has taken yet, oldest first.
    signals: Vec<Kept>,
    /// Steps that wait for a signal, in the order in which they began to.
    listeners: Vec<StepIndex>,
    /// The steps that wait for a run of their own.
    children: Vec<StepIndex>,
    finish: Option<Finish>,
    spent: Budget,
    reserved: Budget,
    running: u32,
    paused: u32,
    waiting: u32,
    active_since: Time,
    active: Duration,
    model_calls: u32,
    usage: Usage,
    /// What called workflows have used that limit it.
    used: HashMap<StepIndex, call::Used>,
    /// Members that came into being while the run went on.
    grown: Vec<growth::Grown>,
    pub(crate) ready: Ready,
}

impl RunState {
    /// The state before the first event. Of a plan that has grown in another state only what was planned before the run counts.
    pub fn new(run: RunId, plan: Arc<Plan>) -> Self {
        let plan = growth::as_written(plan);
        let shape = Shape::of(&plan.graph);
        RunState {
            plan,
            shape: Arc::new(shape),
            run,
            created: Time::default(),
            opened: Time::default(),
            updated: Time::default(),
            head: Seq(0),
            fence: Fence(0),
            status: RunStatus::Pending,
            plan_payload: None,
            inputs: None,
            input_labels: Labels::NONE,
            env: None,
            parent: None,
            forked: None,
            reopened: None,
            steps: Vec::new(),
            index: HashMap::new(),
            roots: Vec::new(),
            open: 0,
            failure: None,
            stop: stop::Stop::default(),
            groups_over: 0,
            signals: Vec::new(),
            listeners: Vec::new(),
            children: Vec::new(),
            finish: None,
            spent: Budget::default(),
            reserved: Budget::default(),
            running: 0,
            paused: 0,
            waiting: 0,
            active_since: Time::default(),
            active: Duration::ZERO,
            model_calls: 0,
            usage: Usage::default(),
            used: HashMap::new(),
            grown: Vec::new(),
            ready: Ready::default(),
        }
    }

    /// The state after these events.
    pub fn replay(run: RunId, plan: Arc<Plan>, events: &[Event]) -> Result<Self, IllegalEvent> {
        let mut state = RunState::new(run, plan);
        events.iter().try_for_each(|event| state.apply(event))?;
        Ok(state)
    }

    /// Takes one more event in.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        let illegal = |why: String| IllegalEvent { seq: event.seq, kind: event.kind.name(), why };
        if event.run != self.run || event.seq != self.head.next() {
            return Err(illegal(format!("the run is at event {} of {}", self.head, self.run)));
        }
        if self.status.ended() && !matches!(event.kind, EventKind::RunReopened { .. }) {
            return Err(illegal(format!("the run is {}", self.status.as_str())));
        }
        if (self.head == Seq(0)) != matches!(event.kind, EventKind::RunCreated { .. }) {
            return Err(illegal("a run begins with its creation, once".into()));
        }
        match event.kind.key() {
            Some(key) => self.apply_to_step(key, event).map_err(illegal)?,
            None => self.apply_to_run(event).map_err(illegal)?,
        }
        self.head = event.seq;
        self.fence = event.fence;
        self.updated = event.at;
        if !self.status.ended() && self.head > Seq(1) {
            self.forget_done_work();
            self.forget_done_timers();
            let waits = self.running == 0 && self.paused > 0 && self.ready.is_idle();
            self.status = if waits { RunStatus::Waiting } else { RunStatus::Running };
        }
        Ok(())
    }

    fn apply_to_run(&mut self, event: &Event) -> Result<(), String> {
        match &event.kind {
            EventKind::RunCreated { plan, inputs, labels, env, parent, .. } => {
                (self.created, self.opened) = (event.at, event.at);
                self.plan_payload = Some(*plan);
                self.inputs = Some(*inputs);
                (self.input_labels, self.env) = (*labels, *env);
                self.parent.clone_from(parent);
                self.roots = self.open_group(None);
                self.open = self.roots.len();
                self.begin_deadline();
            }
            EventKind::RunReopened { parent, .. } => self.reopen(event, *parent)?,
            EventKind::RunForked { from, at, step, copied } => {
                self.begin_fork(Forked { from: *from, at: *at, step: step.clone(), until: Seq(event.seq.0 + copied) })?;
            }
            EventKind::RunClaimed { .. } => self.interrupt(),
            EventKind::CancelRequested { .. } => self.begin_cancel(event.at),
            EventKind::TimerFired { timer, .. } => self.run_timer(*timer, event.at)?,
            EventKind::SignalReceived { name, payload, kept: None, .. } => {
                self.keep_signal(event.seq, *name, *payload);
            }
            EventKind::RunCompleted { outputs } => {
                if self.open > 0 || self.failure.is_some() || self.stopping() {
                    return Err("steps are open, or one has failed".into());
                }
                self.end_run(RunStatus::Completed, Finish::Completed(*outputs));
            }
            EventKind::RunFailed { reason } => self.end_run(RunStatus::Failed, Finish::Failed(reason.clone())),
            EventKind::RunCancelled => self.end_run(RunStatus::Cancelled, Finish::Cancelled),
            other => return Err(format!("{} is about a step", other.name())),
        }
        Ok(())
    }

    /// The run's time begins.
    fn begin_deadline(&mut self) {
        if let Some(deadline) = self.deadline() {
            self.ready.at(deadline, Work::Deadline);
        }
    }

    fn end_run(&mut self, status: RunStatus, finish: Finish) {
        self.status = status;
        self.finish = Some(finish);
        self.ready = Ready::default();
    }

    fn apply_to_step(&mut self, key: &StepKey, event: &Event) -> Result<(), String> {
        let index = match self.index.get(key) {
            Some(index) => *index,
            None => self.begin_part(key)?,
        };
        let before = self.steps[index.0].status;
        // A mended plan does without steps that still wait for others.
        let dropped = matches!(event.kind, EventKind::StepSkipped { reason: SkipReason::Replanned, .. });
        if self.steps[index.0].waits_for > 0 && !dropped {
            return Err(format!("`{key}` still waits for other steps"));
        }
        if before == StepStatus::Pending {
            self.take_item_up(index);
        }
        let asked = self.steps[index.0].waits_for_outside();
        let after = before.after(&event.kind).ok_or_else(|| format!("`{key}` is {}", before.as_str()))?;
        self.set_status(index, after, event);
        if before == StepStatus::Waiting && after != before {
            self.end_waiting(index);
        }
        self.take_in(index, event)?;
        let asks = self.steps[index.0].waits_for_outside();
        if asked != asks {
            self.count_asking(index, asks);
        }
        if after.ended() && !before.ended() {
            let step = &mut self.steps[index.0];
            step.ended = Some(event.at);
            if let Some(due) = step.retry_at.take() {
                self.ready.forget(due, Work::Begin(index));
            }
            if let Some(time_up) = self.steps[index.0].time_up.take() {
                self.ready.forget(time_up, Work::TimeUp(index));
            }
            self.end_step(index);
        }
        Ok(())
    }

    /// What the event says about its step, beside the status.
    fn take_in(&mut self, index: StepIndex, event: &Event) -> Result<(), String> {
        let node = self.steps[index.0].node;
        match &event.kind {
            EventKind::StepStarted { attempt, args, labels, secrets, .. } => {
                // Its own run, for which it waited, is told to stop by this attempt.
                let told = self.steps[index.0].waits_for_run() && self.barred(index).is_some();
                let step = &mut self.steps[index.0];
                step.told |= told;
                if *attempt != step.attempt + 1 {
                    return Err(format!("attempt {attempt} follows attempt {}", step.attempt));
                }
                step.attempt = *attempt;
                step.confidence = None;
                step.args = *args;
                step.secrets = *secrets;
                let due = step.retry_at.take();
                step.resolution = None;
                step.arg_labels = labels.values().fold(Labels::NONE, |all, one| all.union(*one));
                step.started = Some(event.at);
                step.waiting = None;
                // A run of its own goes on with what was set aside for it.
                if !self.has_run(index) {
                    self.lose_reserved(index);
                }
                if let Some(due) = due {
                    self.ready.forget(due, Work::Begin(index));
                }
                if self.repeat(index).is_some() {
                    self.begin_rounds(index);
                } else if self.plan.graph.node(node).verb.has_members() {
                    if let Some((limit, _)) = self.time_limit(index) {
                        let time_up = event.at.after(limit);
                        self.steps[index.0].time_up = Some(time_up);
                        self.ready.at(time_up, Work::TimeUp(index));
                    }
                    if matches!(self.plan.graph.node(node).verb, Verb::Goal(_)) {
                        self.steps[index.0].growth.get_or_insert_default();
                        self.open_held(index);
                        self.ready.push(Work::Grow(index));
                    } else if self.steps[index.0].members.is_empty() {
                        let members = self.open_group(Some(index));
                        let step = &mut self.steps[index.0];
                        step.open = members.len();
                        step.members = members;
                        self.count_inside(index);
                    } else {
                        self.open_again(index);
                    }
                }
            }
            EventKind::StepExpanded { items, list, names, .. } if self.steps[index.0].fan.is_some() => {
                let step = &mut self.steps[index.0];
                step.started = Some(event.at);
                if step.fan.as_ref().is_none_or(|fan| (fan.total, fan.list, fan.names) != (*items, *list, *names)) {
                    return Err("the list of a fan-out stays what it was".into());
                }
                self.go_on_with_fan(index);
            }
            EventKind::StepExpanded { items, list, names, labels, .. } => {
                let step = &mut self.steps[index.0];
                step.started = Some(event.at);
                step.fan = Some(Fan {
                    total: *items,
                    list: *list,
                    names: *names,
                    labels: *labels,
                    items: Vec::new(),
                    ended: 0,
                    active: 0,
                    failed: None,
                    again: BTreeSet::new(),
                });
                self.go_on_with_fan(index);
            }
            EventKind::StepCompleted { output, labels, .. } => {
                self.steps[index.0].output = *output;
                self.steps[index.0].labels = *labels;
            }
            EventKind::StepFailed { attempt, code, message, .. } => {
                if *attempt == 0 {
                    self.steps[index.0].labels = self.labels_in_reach(index);
                }
                self.steps[index.0].error = Some(StepError { code: code.clone(), message: *message });
                self.spread_failure(index);
            }
            EventKind::StepRetried { code, message, not_before, .. } => {
                let step = &mut self.steps[index.0];
                step.failures += 1;
                step.error = Some(StepError { code: code.clone(), message: *message });
                step.retry_at = Some(*not_before);
                self.ready.at(*not_before, Work::Begin(index));
            }
            EventKind::StepSkipped { reason, .. } => self.steps[index.0].skipped = Some(reason.clone()),
            EventKind::StepInDoubt { code, message, .. } => {
                self.steps[index.0].error = Some(StepError { code: code.clone(), message: *message });
            }
            EventKind::StepResolved { outcome, .. } => {
                let step = &mut self.steps[index.0];
                step.resolution = Some(outcome.clone());
                step.redo += u32::from(*outcome == Resolution::Redo);
                self.lose_reserved(index);
                self.ready.push(Work::Moved(index));
            }
            EventKind::StepRepeated { round, done, .. } => self.judge(index, *round, *done)?,
            EventKind::StepWaiting { what, .. } => self.begin_waiting(index, what)?,
            EventKind::TimerFired { timer: Timer::Wait, .. } => self.wait_is_over(index)?,
            EventKind::TimerFired { timer, .. } => self.group_timer(index, *timer, event.at)?,
            EventKind::SignalReceived { payload, kept, .. } => {
                kept.map_or(Ok(()), |kept| self.give_kept(kept))?;
                self.take_came(index, Came::Signal(*payload))?;
            }
            EventKind::InputReceived { values, .. } => self.take_came(index, Came::Values(*values))?,
            EventKind::ModelCalled { call, .. } => {
                self.steps[index.0].confidence = call.confidence_milli;
                self.model_calls += 1;
                self.usage.prompt_tokens = self.usage.prompt_tokens.saturating_add(call.usage.prompt_tokens);
                self.usage.cached_tokens = self.usage.cached_tokens.saturating_add(call.usage.cached_tokens);
                self.usage.output_tokens = self.usage.output_tokens.saturating_add(call.usage.output_tokens);
                self.usage.forced_tokens = self.usage.forced_tokens.saturating_add(call.usage.forced_tokens);
                self.usage.guessed |= call.usage.guessed;
            }
            EventKind::ApprovalRequested { prompt, shown, expires, .. } => {
                self.steps[index.0].approval =
                    Some(Approval { prompt: *prompt, shown: *shown, expires: *expires, answer: None });
                if let Some(expires) = expires {
                    self.ready.at(*expires, Work::Expire(index));
                }
            }
            EventKind::ApprovalDecided { verdict, note, .. } => {
                let inherited = self.forked.as_ref().is_some_and(|forked| event.seq <= forked.until);
                let answer = Answer { verdict: *verdict, note: *note, by: event.by.clone(), at: event.at, inherited };
                let approval = self.steps[index.0].approval.as_mut().filter(|approval| approval.answer.is_none());
                let approval = approval.ok_or("nobody is asked")?;
                approval.answer = Some(answer);
                self.ready.push(Work::Answer(index));
            }
            EventKind::PlanExtended { nodes, texts, .. } => self.extend(index, nodes, *texts)?,
            EventKind::PlanClosed { given_up, .. } => self.close_plan(index, *given_up)?,
            EventKind::BudgetReserved { share, .. } => {
                self.steps[index.0].reserved = self.steps[index.0].reserved.plus(*share);
                self.reserved = self.reserved.plus(*share);
                self.use_around(index, |used| used.budget = used.budget.plus(*share));
            }
            EventKind::BudgetSettled { spent, .. } => {
                let step = &mut self.steps[index.0];
                let share = std::mem::take(&mut step.reserved);
                step.settled = step.settled.plus(*spent);
                self.reserved = self.reserved.minus(share);
                self.spent = self.spent.plus(*spent);
                self.use_around(index, |used| used.budget = used.budget.minus(share).plus(*spent));
            }
            _ => {}
        }
        Ok(())
    }

    /// An attempt that was interrupted has used what it set aside, for nobody knows what it did.
    fn lose_reserved(&mut self, index: StepIndex) {
        let lost = std::mem::take(&mut self.steps[index.0].reserved);
        self.reserved = self.reserved.minus(lost);
        self.spent = self.spent.plus(lost);
    }

    /// Makes the members of a group, and of the top level for `None`; those that wait for nothing are ready.
    fn open_group(&mut self, group: Option<StepIndex>) -> Vec<StepIndex> {
        let plan = self.plan.clone();
        let node = group.map(|group| self.steps[group.0].node);
        let mut members = Vec::new();
        for member in plan.graph.members(node) {
            let id = &plan.graph.node(*member).id;
            let key = group.map_or_else(|| StepKey::root(id), |group| self.steps[group.0].key.child(id));
            let waits_for = plan.graph.node(*member).after.len();
            let index = self.add(Step::new(key, *member, group, waits_for));
            if waits_for == 0 {
                self.ready.push(Work::Open(index));
            }
            members.push(index);
        }
        members
    }

    fn add(&mut self, step: Step) -> StepIndex {
        let index = StepIndex(self.steps.len());
        self.index.insert(step.key.clone(), index);
        self.steps.push(step);
        index
    }

    /// The next item of a fan-out, or round of a `repeat`, comes into being with the first event about it.
    fn begin_part(&mut self, key: &StepKey) -> Result<StepIndex, String> {
        match key.last().map(|segment| (segment.item, segment.iteration)) {
            Some((Some(item), 0)) => self.begin_item(key, item),
            Some((None, round @ 1..)) => self.begin_round(key, round),
            _ => Err(format!("there is no step `{key}`")),
        }
    }

    /// Counts the steps that wait or are in doubt; and the leaves that run, and for how long any does: that is what a
    /// `wall` budget limits.
    fn set_status(&mut self, index: StepIndex, after: StepStatus, event: &Event) {
        let starts = matches!(event.kind, EventKind::StepStarted { .. }) && self.is_leaf(index);
        let step = &mut self.steps[index.0];
        let before = std::mem::replace(&mut step.status, after);
        let was_live = step.live;
        step.live = after == StepStatus::Running && (was_live || starts);
        let paused = |status| matches!(status, StepStatus::Waiting | StepStatus::InDoubt);
        match (paused(before), paused(after)) {
            (false, true) => self.paused += 1,
            (true, false) => self.paused = self.paused.saturating_sub(1),
            _ => {}
        }
        match (before == StepStatus::Waiting, after == StepStatus::Waiting) {
            (false, true) => self.waiting += 1,
            (true, false) => self.waiting = self.waiting.saturating_sub(1),
            _ => {}
        }
        match (was_live, step.live) {
            (false, true) => {
                if self.running == 0 {
                    self.active_since = event.at;
                }
                self.running += 1;
                self.run_around(index, true, event.at);
            }
            (true, false) => {
                self.running = self.running.saturating_sub(1);
                if self.running == 0 {
                    self.active += event.at.since(self.active_since);
                }
                self.run_around(index, false, event.at);
            }
            _ => {}
        }
    }

    /// A step has ended: what waits for it, and what it belongs to, may go on.
    fn end_step(&mut self, index: StepIndex) {
        let parent = self.steps[index.0].parent;
        let is_item = self.steps[index.0].item().is_some();
        if let (true, Some(fan_index)) = (is_item, parent) {
            return self.end_item(fan_index, index);
        }
        if let (true, Some(host)) = (self.steps[index.0].is_part(), parent) {
            return self.end_round(host);
        }
        for dependent in self.dependents(index) {
            let step = &mut self.steps[dependent.0];
            step.waits_for = step.waits_for.saturating_sub(1);
            if step.waits_for == 0 && step.status == StepStatus::Pending {
                self.ready.push(Work::Open(dependent));
            }
        }
        match parent {
            Some(parent) => {
                let error = self.steps[index.0].error.clone();
                let grows = self.steps[parent.0].growth.is_some();
                let unhandled = self.steps[index.0].status == StepStatus::Failed && !self.handles_itself(index);
                let unhandled = unhandled && (!grows || RunState::ends_goal(error.as_ref()));
                let group = &mut self.steps[parent.0];
                group.open = group.open.saturating_sub(1);
                if unhandled && group.first_failure.is_none() {
                    group.first_failure = error;
                }
                if grows {
                    self.member_ended(parent, index);
                } else if group.open == 0 && group.status == StepStatus::Running {
                    self.ready.push(Work::Settle(parent));
                }
            }
            None => {
                self.open = self.open.saturating_sub(1);
                if self.open == 0 {
                    self.ready.push(Work::Finish);
                }
            }
        }
    }

    /// Whether the failure of a step counts as completion, by its own `on_error`.
    pub(crate) fn handles_itself(&self, index: StepIndex) -> bool {
        let step = &self.steps[index.0];
        let code = step.error.as_ref().map_or("", |error| error.code.as_str());
        let node = self.plan.graph.node(step.node);
        !step.is_part() && node.on_error == OnError::Continue && !matches!(code, "budget" | "rejected")
    }

    /// A failure that neither the step nor anything around it handles is the run's.
    fn spread_failure(&mut self, index: StepIndex) {
        let Some(error) = self.steps[index.0].error.clone() else { return };
        let mut at = index;
        loop {
            let step = &self.steps[at.0];
            let node = self.plan.graph.node(step.node);
            if error.code != "budget" {
                // What fails on the way to a goal is an observation.
                let observed = step.parent.is_some_and(|host| self.steps[host.0].growth.is_some());
                if observed && !RunState::ends_goal(Some(&error)) {
                    return;
                }
                let by_itself = !step.is_part() && node.on_error == OnError::Continue && error.code != "rejected";
                let collected = step.item().is_some()
                    && node.for_each.as_ref().is_some_and(|fan| fan.on_item_error == OnItemError::Collect);
                if by_itself || collected {
                    return;
                }
            }
            match step.parent {
                Some(parent) => at = parent,
                None => break,
            }
        }
        // What fails after the run's time was over does not say why the run failed.
        if self.failure.is_some() || self.stop.overdue {
            return;
        }
        let key = self.steps[index.0].key.clone();
        self.failure = Some(FailureReason::new(error.code, Some(key), Some(error.message)));
        self.stop_waiting();
    }

    /// The process that held the run is gone: what it was doing is done again, or asked about.
    fn interrupt(&mut self) {
        for (i, step) in self.steps.iter_mut().enumerate() {
            if std::mem::take(&mut step.live) {
                step.interruptions += 1;
                self.ready.push(Work::Recover(StepIndex(i)));
            }
            // Somebody may have spoken to a run of its own.
            if matches!(&step.waiting, Some(waiting) if matches!(waiting.what, WaitFor::Run { .. })) {
                self.ready.push(Work::Look(StepIndex(i)));
            }
        }
        if self.running > 0 {
            self.running = 0;
            self.active += self.updated.since(self.active_since);
        }
        self.interrupt_used();
    }

    /// Takes away work that no longer follows from the state, as far as the next that does.
    fn forget_done_work(&mut self) {
        while let Some(work) = self.ready.next() {
            if self.stands(work) {
                break;
            }
            self.ready.skip();
        }
    }

    /// Takes away timers that mean nothing any more, as far as the next that does: whoever lets the run go is woken for that
    /// one, and a log that is read again has no others than the state that wrote it.
    fn forget_done_timers(&mut self) {
        while let Some((at, work)) =
            self.ready.first_timers().into_iter().flatten().find(|(_, work)| !self.stands(*work))
        {
            self.ready.forget(at, work);
        }
    }
}
