//! The vocabulary of the log: one event a fact, written once as canonical bytes and never re-serialised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::canonical;
use super::model_call::ModelCall;
use super::payload::Commitment;
use super::waiting::{Resolution, Timer, WaitFor};
use crate::id::{Digest, Fence, MemoryId, RunId, Seq, StepKey, Time, WorkerId};
use crate::label::Labels;
use crate::memory::MemoryKind;
use crate::policy;
use crate::tool::Effect;
use crate::workflow::Turn;

/// The version of events written here. Older ones are read, newer ones are refused: an engine that passed over what it does
/// not know, such as the places of secrets, would do something else than the log says.
///
/// Version 2 has the events of waiting, rounds and doubts, runs within runs, and the places of secrets. Version 3 has runs
/// that are reopened, and runs that are forked from others. Version 4 says with the start of a call by which rule it is let
/// through, and names the process that holds the run only where it takes it over. Version 5 has plans that are written while the run
/// goes on. Version 6 has memories, and the log of what happens outside of runs. Version 7 has keys that give way to others, and
/// backups whose keys were destroyed.
pub const LOG_VERSION: u32 = 7;

/// A fact about a run: the envelope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The log's version, [`LOG_VERSION`].
    pub v: u32,
    /// Whose run it is; `default` on a machine with one user.
    pub tenant: String,
    /// The run.
    pub run: RunId,
    /// The event's place in the run, from 1 without gaps.
    pub seq: Seq,
    /// When it was recorded, by the clock of the process that recorded it.
    pub at: Time,
    /// The owner count under which it was recorded.
    pub fence: Fence,
    /// Who made it happen; the engine if absent.
    #[serde(default, skip_serializing_if = "Actor::is_engine")]
    pub by: Actor,
    /// The earlier event that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Seq>,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// An event of the current version.
    pub fn new(tenant: &str, run: RunId, seq: Seq, at: Time, fence: Fence, by: Actor, kind: EventKind) -> Self {
        Event { v: LOG_VERSION, tenant: tenant.into(), run, seq, at, fence, by, cause: None, kind }
    }

    /// The canonical bytes (RFC 8785): what a store keeps verbatim and what an audit leaf is the hash of.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EventError> {
        canonical::to_vec(self).map_err(EventError::Unwritable)
    }

    /// The event in stored bytes. A newer version than [`LOG_VERSION`] is refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EventError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(|e| EventError::Unreadable(e.to_string()))?;
        if version.v > LOG_VERSION {
            return Err(EventError::Newer { found: version.v });
        }
        serde_json::from_slice(bytes).map_err(|e| EventError::Unreadable(e.to_string()))
    }
}

/// Bytes that are no event for this version of the engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// Written by a newer engine.
    #[error(
        "the log has version {found}, and this parkway reads up to {LOG_VERSION}; use the newer parkway that wrote it"
    )]
    Newer {
        /// The version found.
        found: u32,
    },
    /// Not an event.
    #[error("an event in the log cannot be read: {0}")]
    Unreadable(String),
    /// Has no canonical form.
    #[error("an event cannot be written: {0}")]
    Unwritable(String),
}

/// Who made an event happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// The engine, in the process that holds the run under the event's fence: [`EventKind::RunClaimed`] names it.
    #[default]
    Engine,
    /// The engine, in the process with this id: one that has lost the run meanwhile. Before version 4 any.
    Worker {
        /// The process.
        id: WorkerId,
    },
    /// A person. The name is a payload, so that it can be erased.
    Person {
        /// The name.
        name: Commitment,
        /// How the person's word came in.
        via: Channel,
    },
}

impl Actor {
    fn is_engine(&self) -> bool {
        *self == Actor::Engine
    }
}

/// How a person's word came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Channel {
    /// Given in advance, by a flag of the command that ran the workflow.
    Flag,
    /// Typed at the prompt of a live run.
    Prompt,
    /// Given by a command from elsewhere.
    Command,
    /// Given by the program that embeds the engine.
    Program,
}

impl Channel {
    /// Its name in outputs: `flag`, `prompt`, `command`, `program`.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Flag => "flag",
            Channel::Prompt => "prompt",
            Channel::Command => "command",
            Channel::Program => "program",
        }
    }
}

/// An answer to an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Yes.
    Approved,
    /// No.
    Rejected,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStatus {
    /// Created, and nobody has claimed it yet.
    Pending,
    /// Steps can run.
    Running,
    /// Only a person, a signal or a timer can move it.
    Waiting,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended on request.
    Cancelled,
}

impl RunStatus {
    /// Its name in stores and outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Pending => "pending",
            RunStatus::Running => "running",
            RunStatus::Waiting => "waiting",
            RunStatus::Completed => "completed",
            RunStatus::Failed => "failed",
            RunStatus::Cancelled => "cancelled",
        }
    }

    /// The status with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        use RunStatus::{Cancelled, Completed, Failed, Pending, Running, Waiting};
        [Pending, Running, Waiting, Completed, Failed, Cancelled].into_iter().find(|s| s.as_str() == name)
    }

    /// Whether nothing can happen to the run any more.
    pub fn ended(self) -> bool {
        matches!(self, RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled)
    }
}

/// Why a step was not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// Its `if` was false.
    Condition,
    /// A step that it depends on did not complete.
    Dependency {
        /// That step's id.
        id: String,
    },
    /// Its `run_if` does not hold for the steps that it depends on.
    RunIf,
    /// The run has failed elsewhere.
    RunFailed,
    /// The run is being cancelled.
    RunCancelled,
    /// The time of a group around it is over.
    TimedOut {
        /// That group's id.
        id: String,
    },
    /// The plan that it belongs to was mended, and does without it.
    Replanned,
}

/// A member of a step that pursues a goal: what the state of the run needs to know of it. Its texts are a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Planned {
    /// Its id.
    pub id: String,
    /// The members that it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What it does.
    pub does: Does,
    /// How many items run at once, where it fans out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
}

impl Planned {
    /// A member that waits for these and runs once.
    pub fn new(id: impl Into<String>, after: Vec<String>, does: Does) -> Self {
        Planned { id: id.into(), after, does, max_parallel: None }
    }
}

/// What a member of a step that pursues a goal does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Does {
    /// Asks the model.
    Turn {
        /// For what.
        turn: Turn,
    },
    /// Calls a tool.
    Tool {
        /// Its name.
        name: String,
        /// Its effect: what changes something waits until the plan is whole.
        effect: Effect,
    },
    /// Runs a workflow that the goal may call, under this name.
    Workflow {
        /// The name.
        name: String,
    },
    /// Asks a person whether the plan may change something.
    Approve,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailureReason {
    /// Stable code: that of the first step that failed, or `ensure`, `ensure_error`, `outputs`.
    pub code: String,
    /// The first step that failed, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKey>,
    /// What happened, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Commitment>,
}

impl FailureReason {
    /// A reason with a code, a step and a message.
    pub fn new(code: impl Into<String>, step: Option<StepKey>, message: Option<Commitment>) -> Self {
        FailureReason { code: code.into(), step, message }
    }
}

/// How a run ended, as [`crate::log::EventKind`] says it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// With these outputs.
    Completed(Commitment),
    /// For this reason.
    Failed(FailureReason),
    /// On request.
    Cancelled,
}

/// The step that a run is made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parent {
    /// Its run.
    pub run: RunId,
    /// The step.
    pub step: StepKey,
}

impl Parent {
    /// The step `step` of `run`.
    pub fn new(run: RunId, step: StepKey) -> Self {
        Parent { run, step }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The run exists, with its plan and inputs.
    RunCreated {
        /// The frozen plan.
        plan: Commitment,
        /// SHA-256 of the plan's definition, tools, models, policy and settings.
        plan_hash: Digest,
        /// The values of the workflow's inputs.
        inputs: Commitment,
        /// Labels of the inputs together, where they come from another run.
        #[serde(default, skip_serializing_if = "Labels::is_empty")]
        labels: Labels,
        /// The values of the environment variables that the plan declares.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        env: Option<Commitment>,
        /// The step that this run is made for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
    },
    /// A process took the run over.
    RunClaimed {
        /// The process.
        worker: WorkerId,
    },
    /// A run that failed or was cancelled goes on: what completed stays, what failed and was not handled, was cancelled, or was
    /// skipped for either, is done again.
    RunReopened {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Commitment>,
        /// The event by which the run was reopened whose step this run is made for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Seq>,
    },
    /// The run goes another way from a step of an earlier run on: its second event.
    RunForked {
        /// That run.
        from: RunId,
        /// The newest event of that run that was looked at.
        at: Seq,
        /// The step that is done anew, and with it all that depends on it.
        step: StepKey,
        /// How many of the events that follow are about steps that keep what came of them in that run.
        copied: u64,
    },
    /// An attempt at a step began.
    StepStarted {
        /// The step.
        key: StepKey,
        /// Which attempt, from 1.
        attempt: u32,
        /// The evaluated arguments; none for a group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        args: Option<Commitment>,
        /// Labels of each top-level argument that has any.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, Labels>,
        /// The effect of the tool that is called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        effect: Option<Effect>,
        /// The rule by which the policy lets the call through. Absent for a tool that is pure, and where
        /// [`EventKind::PolicyDecided`] has said that it is to be asked about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// Where secrets belong in the arguments.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secrets: Option<Commitment>,
    },
    /// A `for_each` knows its items.
    StepExpanded {
        /// The step.
        key: StepKey,
        /// How many items there are.
        items: u32,
        /// The list.
        list: Commitment,
        /// The items' names, where `key` is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        names: Option<Commitment>,
        /// Labels of the list.
        #[serde(default, skip_serializing_if = "Labels::is_empty")]
        labels: Labels,
    },
    /// A step has its output. A fan-out and a group without `result` have none of their own: theirs is made of their members'.
    StepCompleted {
        /// The step.
        key: StepKey,
        /// Which attempt.
        attempt: u32,
        /// The output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Commitment>,
        /// Labels of the output.
        #[serde(default, skip_serializing_if = "Labels::is_empty")]
        labels: Labels,
    },
    /// A step has failed for good.
    StepFailed {
        /// The step.
        key: StepKey,
        /// Which attempt; 0 if it failed before it started.
        attempt: u32,
        /// Stable code.
        code: String,
        /// What happened, in words.
        message: Commitment,
    },
    /// An attempt failed, and another one will follow.
    StepRetried {
        /// The step.
        key: StepKey,
        /// The attempt that failed.
        attempt: u32,
        /// Its code.
        code: String,
        /// What happened, in words.
        message: Commitment,
        /// When the next attempt may start.
        not_before: Time,
    },
    /// A step will not run.
    StepSkipped {
        /// The step.
        key: StepKey,
        /// Why.
        reason: SkipReason,
    },
    /// A step was stopped because the run is being cancelled.
    StepCancelled {
        /// The step.
        key: StepKey,
        /// Which attempt; 0 if it had not started.
        attempt: u32,
    },
    /// Nobody knows whether an `at_most_once` call had its effect; it is not run again unasked.
    StepInDoubt {
        /// The step.
        key: StepKey,
        /// Which attempt.
        attempt: u32,
        /// What interrupted it: `crash`, `timeout`, `cancelled`, or the tool's error code.
        code: String,
        /// What is known, in words.
        message: Commitment,
    },
    /// A person said what became of a call in doubt.
    StepResolved {
        /// The step.
        key: StepKey,
        /// What became of it.
        outcome: Resolution<Commitment>,
        /// A remark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Commitment>,
    },
    /// A round of a `repeat` has completed, and its `until` was evaluated.
    StepRepeated {
        /// The step that is repeated.
        key: StepKey,
        /// The round, from 1.
        round: u32,
        /// Whether it was the last.
        done: bool,
    },
    /// A step waits for a time, a signal or a person's values.
    StepWaiting {
        /// The step.
        key: StepKey,
        /// What it waits for.
        #[serde(rename = "for")]
        what: WaitFor,
    },
    /// A time has come.
    TimerFired {
        /// The step whose time it is; the run's own if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<StepKey>,
        /// Which of its times.
        timer: Timer,
    },
    /// A signal came from outside.
    SignalReceived {
        /// The step that waited for it; kept for one that will if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<StepKey>,
        /// Its name.
        name: Commitment,
        /// What it says.
        payload: Commitment,
        /// The event by which it came, where it was kept since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<Seq>,
    },
    /// A person filled a form.
    InputReceived {
        /// The step that asked.
        key: StepKey,
        /// The values.
        values: Commitment,
    },
    /// A model answered.
    ModelCalled {
        /// The step that asked.
        key: StepKey,
        /// Which attempt.
        attempt: u32,
        /// Which answer within the attempt, from 1.
        turn: u32,
        /// The call.
        call: Box<ModelCall>,
    },
    /// The policy wants a tool call approved, or denies it. Before version 4 also: it lets the call through.
    PolicyDecided {
        /// The step.
        key: StepKey,
        /// The tool.
        tool: String,
        /// What it said.
        verdict: policy::Verdict,
        /// The rule.
        rule: String,
    },
    /// A person is asked. The step waits.
    ApprovalRequested {
        /// The step: an `approve`, or a tool call that the policy wants approved.
        key: StepKey,
        /// What the person reads.
        prompt: Commitment,
        /// The exact calls that are approved.
        shown: Commitment,
        /// When silence becomes a no.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Time>,
    },
    /// A person answered.
    ApprovalDecided {
        /// The step.
        key: StepKey,
        /// The answer.
        verdict: Verdict,
        /// A remark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Commitment>,
    },
    /// A step that pursues a goal has new members: a turn of its model, or steps that its model planned.
    PlanExtended {
        /// The step that pursues the goal.
        key: StepKey,
        /// The new members, in order.
        nodes: Vec<Planned>,
        /// All that they say: arguments, conditions, lists.
        texts: Commitment,
    },
    /// The plan of such a step is whole: what changes something may start. Or it is given up: an agent goes on when all has ended.
    PlanClosed {
        /// The step that pursues the goal.
        key: StepKey,
        /// Whether it is given up.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        given_up: bool,
    },
    /// A share of the budget is set aside for a step.
    BudgetReserved {
        /// The step.
        key: StepKey,
        /// How much.
        share: Budget,
    },
    /// A step has used this much of the budget; what it had set aside beyond that is free again.
    BudgetSettled {
        /// The step.
        key: StepKey,
        /// How much.
        spent: Budget,
    },
    /// Something is remembered.
    MemoryWritten {
        /// The step that did; none where a person or the program did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<StepKey>,
        /// The memory.
        id: MemoryId,
        /// Where it belongs and what it says: [`Content`](crate::memory::Content).
        content: Commitment,
        /// What kind of memory it is.
        kind: MemoryKind,
        /// Since when it holds.
        from: Time,
        /// Until when it holds, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// When it is no longer recalled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Time>,
        /// Whether it is recalled whatever is asked for.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pinned: bool,
        /// Labels of what it says.
        #[serde(default, skip_serializing_if = "Labels::is_empty")]
        labels: Labels,
        /// The memories that hold only until this one does.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        supersedes: Vec<MemoryId>,
        /// Memories that say something else.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        contradicts: Vec<MemoryId>,
    },
    /// A memory is forgotten: what it says is gone.
    MemoryForgotten {
        /// The step that did; none where a person or the program did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<StepKey>,
        /// The memory.
        id: MemoryId,
        /// What it said.
        content: Commitment,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Commitment>,
    },
    /// Texts of runs are erased.
    PayloadErased {
        /// The texts.
        payloads: Vec<Commitment>,
        /// Why.
        note: Commitment,
    },
    /// Nothing of a run may be erased; of no run, where none is named.
    HoldPlaced {
        /// The run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// Why.
        note: Commitment,
    },
    /// What a hold of the same run, or of all, has forbidden may be done again.
    HoldLifted {
        /// The run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// Why.
        note: Commitment,
    },
    /// A key that signs heads of the log gives way to another.
    KeyRotated {
        /// The note that both have signed (C2SP `signed-note`): a head of the log, public keys and signatures, and nothing of anybody's.
        rotation: String,
        /// Why.
        note: Commitment,
    },
    /// The key of a sealed backup was destroyed, so that nobody can read any copy of it.
    BackupShredded {
        /// The id of the backup: 32 hexadecimal digits, of which the first 12 are its time in milliseconds.
        backup: String,
        /// Why.
        note: Commitment,
    },
    /// Somebody wants the run to stop.
    CancelRequested {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Commitment>,
    },
    /// The run ended well.
    RunCompleted {
        /// The values of the workflow's outputs.
        outputs: Commitment,
    },
    /// The run ended badly.
    RunFailed {
        /// Why.
        reason: FailureReason,
    },
    /// The run ended on request.
    RunCancelled,
}

impl EventKind {
    /// Its name on the wire, for example `step_started`.
    pub fn name(&self) -> &'static str {
        match self {
            EventKind::RunCreated { .. } => "run_created",
            EventKind::RunClaimed { .. } => "run_claimed",
            EventKind::RunReopened { .. } => "run_reopened",
            EventKind::RunForked { .. } => "run_forked",
            EventKind::StepStarted { .. } => "step_started",
            EventKind::StepExpanded { .. } => "step_expanded",
            EventKind::StepCompleted { .. } => "step_completed",
            EventKind::StepFailed { .. } => "step_failed",
            EventKind::StepRetried { .. } => "step_retried",
            EventKind::StepSkipped { .. } => "step_skipped",
            EventKind::StepCancelled { .. } => "step_cancelled",
            EventKind::StepInDoubt { .. } => "step_in_doubt",
            EventKind::StepResolved { .. } => "step_resolved",
            EventKind::StepRepeated { .. } => "step_repeated",
            EventKind::StepWaiting { .. } => "step_waiting",
            EventKind::TimerFired { .. } => "timer_fired",
            EventKind::SignalReceived { .. } => "signal_received",
            EventKind::InputReceived { .. } => "input_received",
            EventKind::ModelCalled { .. } => "model_called",
            EventKind::PolicyDecided { .. } => "policy_decided",
            EventKind::ApprovalRequested { .. } => "approval_requested",
            EventKind::ApprovalDecided { .. } => "approval_decided",
            EventKind::PlanExtended { .. } => "plan_extended",
            EventKind::PlanClosed { .. } => "plan_closed",
            EventKind::BudgetReserved { .. } => "budget_reserved",
            EventKind::BudgetSettled { .. } => "budget_settled",
            EventKind::MemoryWritten { .. } => "memory_written",
            EventKind::MemoryForgotten { .. } => "memory_forgotten",
            EventKind::PayloadErased { .. } => "payload_erased",
            EventKind::HoldPlaced { .. } => "hold_placed",
            EventKind::HoldLifted { .. } => "hold_lifted",
            EventKind::KeyRotated { .. } => "key_rotated",
            EventKind::BackupShredded { .. } => "backup_shredded",
            EventKind::CancelRequested { .. } => "cancel_requested",
            EventKind::RunCompleted { .. } => "run_completed",
            EventKind::RunFailed { .. } => "run_failed",
            EventKind::RunCancelled => "run_cancelled",
        }
    }

    /// The texts that are gone when it has happened.
    pub fn erased(&self) -> &[Commitment] {
        match self {
            EventKind::MemoryForgotten { content, .. } => std::slice::from_ref(content),
            EventKind::PayloadErased { payloads, .. } => payloads,
            _ => &[],
        }
    }

    /// The step that it is about.
    pub fn key(&self) -> Option<&StepKey> {
        match self {
            EventKind::StepStarted { key, .. }
            | EventKind::StepExpanded { key, .. }
            | EventKind::StepCompleted { key, .. }
            | EventKind::StepFailed { key, .. }
            | EventKind::StepRetried { key, .. }
            | EventKind::StepSkipped { key, .. }
            | EventKind::StepCancelled { key, .. }
            | EventKind::StepInDoubt { key, .. }
            | EventKind::StepResolved { key, .. }
            | EventKind::StepRepeated { key, .. }
            | EventKind::StepWaiting { key, .. }
            | EventKind::InputReceived { key, .. }
            | EventKind::ModelCalled { key, .. }
            | EventKind::PolicyDecided { key, .. }
            | EventKind::ApprovalRequested { key, .. }
            | EventKind::ApprovalDecided { key, .. }
            | EventKind::PlanExtended { key, .. }
            | EventKind::PlanClosed { key, .. }
            | EventKind::BudgetReserved { key, .. }
            | EventKind::BudgetSettled { key, .. } => Some(key),
            EventKind::TimerFired { key, .. }
            | EventKind::SignalReceived { key, .. }
            | EventKind::MemoryWritten { key, .. }
            | EventKind::MemoryForgotten { key, .. } => key.as_ref(),
            EventKind::RunCreated { .. }
            | EventKind::RunClaimed { .. }
            | EventKind::RunReopened { .. }
            | EventKind::RunForked { .. }
            | EventKind::PayloadErased { .. }
            | EventKind::HoldPlaced { .. }
            | EventKind::HoldLifted { .. }
            | EventKind::KeyRotated { .. }
            | EventKind::BackupShredded { .. }
            | EventKind::CancelRequested { .. }
            | EventKind::RunCompleted { .. }
            | EventKind::RunFailed { .. }
            | EventKind::RunCancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind) -> Event {
        let run = RunId::new(Time::from_micros(1_700_000_000_000_000), [7; 16]);
        Event::new("default", run, Seq(9_007_199_254_740_993), Time::from_micros(5), Fence(1), Actor::Engine, kind)
    }

    #[test]
    fn bytes_are_canonical_and_keep_large_numbers() {
        let event = event(EventKind::RunCancelled);
        let bytes = event.to_bytes().unwrap();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            r#"{"at":"1970-01-01T00:00:00.000005Z","fence":"1","kind":{"type":"run_cancelled"},"run":"018bcfe5-6800-7707-8707-070707070707","seq":"9007199254740993","tenant":"default","v":7}"#
        );
        assert_eq!(Event::from_bytes(&bytes).unwrap(), event);
        assert_eq!(Event::from_bytes(&bytes).unwrap().to_bytes().unwrap(), bytes);
    }

    #[test]
    fn a_newer_log_is_refused_with_words() {
        let mut event = event(EventKind::RunCancelled);
        event.v = LOG_VERSION + 1;
        let error = Event::from_bytes(&event.to_bytes().unwrap()).unwrap_err();
        assert_eq!(error, EventError::Newer { found: LOG_VERSION + 1 });
        assert!(error.to_string().contains("newer parkway"));
    }

    #[test]
    fn the_name_is_the_one_on_the_wire() {
        let kind = EventKind::StepSkipped { key: StepKey::root("a"), reason: SkipReason::Condition };
        let json = serde_json::to_value(&kind).unwrap();
        assert_eq!(json["type"], kind.name());
    }
}
