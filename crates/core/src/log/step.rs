//! One step of a run, as the log tells it, and the table of its legal transitions.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{Seq, StepKey, Time};
use crate::label::Labels;
use crate::log::state::Growth;
use crate::log::{Actor, Budget, Commitment, EventKind, Resolution, SkipReason, Timer, Verdict, WaitFor};
use crate::workflow::NodeIndex;

/// The place of a step in its run's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepIndex(pub(crate) usize);

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StepStatus {
    /// Waits for other steps, or for its turn.
    Pending,
    /// An attempt is under way, or members are.
    Running,
    /// Waits for a person, a signal, a time, or the next attempt.
    Waiting,
    /// Has its output.
    Completed,
    /// Failed for good.
    Failed,
    /// Will not run.
    Skipped,
    /// Was stopped.
    Cancelled,
    /// Nobody knows whether its effect happened.
    InDoubt,
}

impl StepStatus {
    /// Its name, as `steps.x.status` gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            StepStatus::Pending => "pending",
            StepStatus::Running => "running",
            StepStatus::Waiting => "waiting",
            StepStatus::Completed => "completed",
            StepStatus::Failed => "failed",
            StepStatus::Skipped => "skipped",
            StepStatus::Cancelled => "cancelled",
            StepStatus::InDoubt => "in_doubt",
        }
    }

    /// Whether nothing can happen to the step any more.
    pub fn ended(self) -> bool {
        matches!(self, StepStatus::Completed | StepStatus::Failed | StepStatus::Skipped | StepStatus::Cancelled)
    }

    /// The status after an event about the step; `None` if the event cannot happen to it now. The one table of legal
    /// transitions, used when a log is read and when it is written.
    pub(crate) fn after(self, kind: &EventKind) -> Option<StepStatus> {
        use StepStatus::{Cancelled, Completed, Failed, InDoubt, Pending, Running, Skipped, Waiting};
        match (self, kind) {
            (Pending | Waiting | Running, EventKind::StepStarted { .. }) => Some(Running),
            (Pending, EventKind::StepExpanded { .. }) => Some(Running),
            (Pending | Waiting, EventKind::StepSkipped { .. }) => Some(Skipped),
            (Running | Waiting, EventKind::StepCompleted { .. }) => Some(Completed),
            (Pending | Running | Waiting, EventKind::StepFailed { .. }) => Some(Failed),
            (Running, EventKind::StepRetried { .. }) => Some(Waiting),
            (Pending | Running | Waiting, EventKind::StepCancelled { .. }) => Some(Cancelled),
            (Running, EventKind::StepInDoubt { .. }) => Some(InDoubt),
            // Somebody knows what became of the call; what follows from that is recorded next.
            (InDoubt, EventKind::StepResolved { .. }) => Some(Running),
            (Pending | Running, EventKind::StepWaiting { .. }) => Some(Waiting),
            // What was waited for has come; what follows from that is recorded next.
            (Waiting, EventKind::TimerFired { timer: Timer::Wait, .. }) => Some(Running),
            (Waiting, EventKind::SignalReceived { .. } | EventKind::InputReceived { .. }) => Some(Running),
            // The time of a group is over, or that of the steps that end it.
            (Running, EventKind::TimerFired { timer: Timer::Timeout | Timer::Grace, .. }) => Some(Running),
            (Running, EventKind::StepRepeated { .. }) => Some(Running),
            (Running, EventKind::PlanExtended { .. } | EventKind::PlanClosed { .. }) => Some(Running),
            (Pending | Waiting, EventKind::ApprovalRequested { .. }) => Some(Waiting),
            (Waiting, EventKind::ApprovalDecided { .. }) => Some(Waiting),
            (Running, EventKind::ModelCalled { .. }) => Some(Running),
            (Running, EventKind::MemoryWritten { .. } | EventKind::MemoryForgotten { .. }) => Some(Running),
            (Pending | Running | Waiting, EventKind::PolicyDecided { .. } | EventKind::BudgetReserved { .. }) => {
                Some(self)
            }
            (_, EventKind::BudgetSettled { .. }) => Some(self),
            _ => None,
        }
    }
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// Stable code.
    pub code: String,
    /// What happened, in words.
    pub message: Commitment,
}

/// A question to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Approval {
    /// What the person reads.
    pub prompt: Commitment,
    /// The exact calls that are approved.
    pub shown: Commitment,
    /// When silence becomes a no.
    pub expires: Option<Time>,
    /// The answer, where there is one.
    pub answer: Option<Answer>,
}

/// A person's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Yes or no.
    pub verdict: Verdict,
    /// A remark.
    pub note: Option<Commitment>,
    /// Who said it.
    pub by: Actor,
    /// When.
    pub at: Time,
    /// Whether it was given in the run that this one is forked from.
    pub(crate) inherited: bool,
}

/// What a step waits for, or has waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// What it is.
    pub what: WaitFor,
    /// What came, until it is acted on.
    pub(crate) came: Option<Came>,
}

impl Waiting {
    pub(crate) fn new(what: WaitFor) -> Self {
        Waiting { what, came: None }
    }
}

/// What ended a step's waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Came {
    /// The time.
    Time,
    /// A signal, which says this.
    Signal(Commitment),
    /// A person's values.
    Values(Commitment),
}

/// How far a `repeat` is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rounds {
    /// The rounds that have begun.
    pub(crate) begun: Vec<StepIndex>,
    /// Whether the newest one was the last; absent until its `until` was evaluated.
    pub(crate) done: Option<bool>,
    /// How many there were when the run was reopened with all of them used up: they are allowed again.
    pub(crate) before: u32,
}

/// A group whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overtime {
    /// Whether the time of the steps that end it is over too.
    pub(crate) spent: bool,
    /// Whether a member had failed before.
    pub(crate) had_failed: bool,
}

/// How far a fan-out is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fan {
    /// How many items there are.
    pub total: u32,
    /// The list.
    pub list: Commitment,
    /// The items' names, where `key` is given.
    pub names: Option<Commitment>,
    /// Labels of the list.
    pub labels: Labels,
    /// The items that have begun, by index.
    pub items: Vec<StepIndex>,
    /// Of these, those that have ended.
    pub ended: u32,
    /// Of these, those that neither ended nor wait for the outside.
    pub active: u32,
    /// The failed item with the lowest index, and how it failed.
    pub failed: Option<(u32, StepError)>,
    /// Items that are done again, and were not begun since.
    pub(crate) again: BTreeSet<u32>,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Its name in the run.
    pub key: StepKey,
    /// Its node in the plan.
    pub node: NodeIndex,
    /// The group, or the fan-out, that it belongs to.
    pub parent: Option<StepIndex>,
    /// Where it stands.
    pub status: StepStatus,
    /// The newest attempt; 0 before the first.
    pub attempt: u32,
    /// Attempts that failed and were tried again.
    pub failures: u32,
    /// How many of these were before the run was last reopened: `retry` begins to count anew.
    pub(crate) forgiven: u32,
    /// The event by which the run was reopened, where this step is done again since.
    pub(crate) reopened: Option<Seq>,
    /// Attempts that ended with the process that made them.
    pub interruptions: u32,
    /// Its evaluated arguments.
    pub args: Option<Commitment>,
    /// Where secrets belong in its arguments.
    pub secrets: Option<Commitment>,
    /// Labels of its arguments together.
    pub arg_labels: Labels,
    /// Its output.
    pub output: Option<Commitment>,
    /// Labels of its output.
    pub labels: Labels,
    /// How sure a model was of it, in thousandths.
    pub confidence: Option<u16>,
    /// Why it failed.
    pub error: Option<StepError>,
    /// Why it was skipped.
    pub skipped: Option<SkipReason>,
    /// The newest question to a person about it.
    pub approval: Option<Approval>,
    /// What it has set aside of the budget.
    pub reserved: Budget,
    /// What it has used of the budget by now.
    pub(crate) settled: Budget,
    /// What it waits for, where that is a time, a signal or a person's values.
    pub waiting: Option<Waiting>,
    /// How far its fan-out is.
    pub fan: Option<Fan>,
    /// How far its `repeat` is.
    pub(crate) rounds: Option<Rounds>,
    /// How often a person said to make its call again.
    pub(crate) redo: u32,
    /// What a person said about its call, until it is acted on.
    pub(crate) resolution: Option<Resolution<Commitment>>,
    /// Whether its own run was told to stop after it had come to wait.
    pub(crate) told: bool,
    /// When its time is over, where it is a group with a `timeout`.
    pub(crate) time_up: Option<Time>,
    /// That its time is over.
    pub(crate) overtime: Option<Overtime>,
    /// A group's members, in the order of the file.
    pub members: Vec<StepIndex>,
    /// When its next attempt may start, where one failed and is tried again.
    pub retry_at: Option<Time>,
    /// When its newest attempt began.
    pub started: Option<Time>,
    /// When it ended.
    pub ended: Option<Time>,
    /// Whether the process that holds the run makes an attempt at it.
    pub(crate) live: bool,
    /// Steps beside it that it still waits for.
    pub(crate) waits_for: usize,
    /// Members that have not ended.
    pub(crate) open: usize,
    /// The first failure among its members that they do not handle themselves.
    pub(crate) first_failure: Option<StepError>,
    /// Steps at or below it that wait for the outside; counted for items of a fan-out.
    pub(crate) asking: u32,
    /// How far it is, where it pursues a goal.
    pub(crate) growth: Option<Growth>,
}

impl Step {
    pub(crate) fn new(key: StepKey, node: NodeIndex, parent: Option<StepIndex>, waits_for: usize) -> Self {
        Step {
            key,
            node,
            parent,
            status: StepStatus::Pending,
            attempt: 0,
            failures: 0,
            forgiven: 0,
            reopened: None,
            interruptions: 0,
            args: None,
            secrets: None,
            arg_labels: Labels::NONE,
            output: None,
            labels: Labels::NONE,
            confidence: None,
            error: None,
            skipped: None,
            approval: None,
            reserved: Budget::default(),
            settled: Budget::default(),
            waiting: None,
            fan: None,
            rounds: None,
            redo: 0,
            resolution: None,
            told: false,
            time_up: None,
            overtime: None,
            members: Vec::new(),
            retry_at: None,
            started: None,
            ended: None,
            live: false,
            waits_for,
            open: 0,
            first_failure: None,
            asking: 0,
            growth: None,
        }
    }

    /// The attempts that failed and were tried again since the run was last reopened.
    pub(crate) fn failures_now(&self) -> u32 {
        self.failures.saturating_sub(self.forgiven)
    }

    /// The item that it is of a fan-out.
    pub fn item(&self) -> Option<u32> {
        self.key.last().and_then(|segment| segment.item)
    }

    /// The round that it is of a `repeat`, from 1.
    pub fn round(&self) -> Option<u32> {
        self.key.last().map(|segment| segment.iteration).filter(|round| *round > 0)
    }

    /// Whether it is an item or a round of the step that it shares its node with.
    pub(crate) fn is_part(&self) -> bool {
        self.item().is_some() || self.round().is_some()
    }

    /// Whether what it waited for has come, or what became of its call was said, and that was not acted on.
    pub(crate) fn is_moved(&self) -> bool {
        let came = self.waiting.as_ref().is_some_and(|waiting| waiting.came.is_some());
        self.status == StepStatus::Running && (came || self.resolution.is_some())
    }

    /// Whether it has waited for a run of its own since its newest attempt, and nothing has come.
    pub(crate) fn waits_for_run(&self) -> bool {
        let waits = |waiting: &Waiting| matches!(waiting.what, WaitFor::Run { .. }) && waiting.came.is_none();
        self.waiting.as_ref().is_some_and(waits)
    }

    /// Whether only the outside can move it: it waits for a person, a signal, or a word about a call in doubt.
    pub(crate) fn waits_for_outside(&self) -> bool {
        let waits = || self.waiting.as_ref().is_some_and(|waiting| !matches!(waiting.what, WaitFor::Timer { .. }));
        self.status == StepStatus::InDoubt || self.asks() || (self.status == StepStatus::Waiting && waits())
    }

    /// Whether a person has answered, and the answer was not acted on.
    pub(crate) fn is_answered(&self) -> bool {
        let answered = self.approval.as_ref().is_some_and(|approval| approval.answer.is_some());
        self.status == StepStatus::Waiting && self.retry_at.is_none() && answered
    }

    /// When its time for an answer, a form or a signal is over, while it waits for one.
    pub(crate) fn expires(&self) -> Option<Time> {
        if self.asks() {
            return self.approval.as_ref()?.expires;
        }
        match &self.waiting.as_ref().filter(|_| self.status == StepStatus::Waiting)?.what {
            WaitFor::Signal { expires, .. } | WaitFor::Input { expires, .. } => *expires,
            WaitFor::Timer { .. } | WaitFor::Run { .. } => None,
        }
    }

    /// Whether a person is asked to approve, and has not answered.
    pub fn asks(&self) -> bool {
        self.status == StepStatus::Waiting && self.approval.as_ref().is_some_and(|approval| approval.answer.is_none())
    }
}
