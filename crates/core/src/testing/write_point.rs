//! Every place where a run, or the queue, is written: where a process may end with something written or about to be. Tests
//! iterate them, so that none is left out when a new one comes.

use std::fmt;

use crate::log::EventKind;
use crate::store::Write;

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident $name:literal)*) => {
        /// A place where something is written.
        ///
        /// A commit passes [`WritePoint::Commit`], and the point of each of its events and writes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum WritePoint {
            $($(#[$doc])* $point,)*
        }

        impl WritePoint {
            /// All of them, in the order in which a run may come to them.
            pub const ALL: &[WritePoint] = &[$(WritePoint::$point,)*];

            /// Its name in tables: `step_started`, `claim`.
            pub fn name(self) -> &'static str {
                match self {
                    $(WritePoint::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// Any commit, whatever is in it.
    Commit "commit"
    /// A commit with [`EventKind::RunCreated`].
    RunCreated "run_created"
    /// A commit with [`EventKind::RunClaimed`].
    RunClaimed "run_claimed"
    /// A commit with [`EventKind::RunReopened`].
    RunReopened "run_reopened"
    /// A commit with [`EventKind::RunForked`].
    RunForked "run_forked"
    /// A commit with [`EventKind::StepStarted`].
    StepStarted "step_started"
    /// A commit with [`EventKind::StepExpanded`].
    StepExpanded "step_expanded"
    /// A commit with [`EventKind::StepCompleted`].
    StepCompleted "step_completed"
    /// A commit with [`EventKind::StepFailed`].
    StepFailed "step_failed"
    /// A commit with [`EventKind::StepRetried`].
    StepRetried "step_retried"
    /// A commit with [`EventKind::StepSkipped`].
    StepSkipped "step_skipped"
    /// A commit with [`EventKind::StepCancelled`].
    StepCancelled "step_cancelled"
    /// A commit with [`EventKind::StepInDoubt`].
    StepInDoubt "step_in_doubt"
    /// A commit with [`EventKind::StepResolved`].
    StepResolved "step_resolved"
    /// A commit with [`EventKind::StepRepeated`].
    StepRepeated "step_repeated"
    /// A commit with [`EventKind::StepWaiting`].
    StepWaiting "step_waiting"
    /// A commit with [`EventKind::TimerFired`].
    TimerFired "timer_fired"
    /// A commit with [`EventKind::SignalReceived`].
    SignalReceived "signal_received"
    /// A commit with [`EventKind::InputReceived`].
    InputReceived "input_received"
    /// A commit with [`EventKind::ModelCalled`].
    ModelCalled "model_called"
    /// A commit with [`EventKind::PolicyDecided`].
    PolicyDecided "policy_decided"
    /// A commit with [`EventKind::ApprovalRequested`].
    ApprovalRequested "approval_requested"
    /// A commit with [`EventKind::ApprovalDecided`].
    ApprovalDecided "approval_decided"
    /// A commit with [`EventKind::PlanExtended`].
    PlanExtended "plan_extended"
    /// A commit with [`EventKind::PlanClosed`].
    PlanClosed "plan_closed"
    /// A commit with [`EventKind::BudgetReserved`].
    BudgetReserved "budget_reserved"
    /// A commit with [`EventKind::BudgetSettled`].
    BudgetSettled "budget_settled"
    /// A commit with [`EventKind::MemoryWritten`].
    MemoryWritten "memory_written"
    /// A commit with [`EventKind::MemoryForgotten`].
    MemoryForgotten "memory_forgotten"
    /// A commit with [`EventKind::PayloadErased`].
    PayloadErased "payload_erased"
    /// A commit with [`EventKind::HoldPlaced`].
    HoldPlaced "hold_placed"
    /// A commit with [`EventKind::HoldLifted`].
    HoldLifted "hold_lifted"
    /// A commit with [`EventKind::KeyRotated`].
    KeyRotated "key_rotated"
    /// A commit with [`EventKind::BackupShredded`].
    BackupShredded "backup_shredded"
    /// A commit with [`EventKind::CancelRequested`].
    CancelRequested "cancel_requested"
    /// A commit with [`EventKind::RunCompleted`].
    RunCompleted "run_completed"
    /// A commit with [`EventKind::RunFailed`].
    RunFailed "run_failed"
    /// A commit with [`EventKind::RunCancelled`].
    RunCancelled "run_cancelled"
    /// A commit with [`Write::Enqueue`].
    Enqueue "write: enqueue"
    /// A commit with [`Write::Consume`].
    Consume "write: consume"
    /// A commit with [`Write::Sql`].
    Sql "write: sql"
    /// A commit with [`Write::Send`].
    Send "write: send"
    /// A commit with [`Write::Outbox`].
    Outbox "write: outbox"
    /// [`Queue::claim`](crate::store::Queue::claim).
    Claim "queue: claim"
    /// [`Queue::renew`](crate::store::Queue::renew).
    Renew "queue: renew"
    /// [`Queue::release`](crate::store::Queue::release).
    Release "queue: release"
    /// [`Queue::signal`](crate::store::Queue::signal).
    Signal "queue: signal"
    /// [`Queue::delivered`](crate::store::Queue::delivered).
    Delivered "queue: delivered"
    /// [`Log::keep_snapshot`](crate::store::Log::keep_snapshot).
    KeepSnapshot "keep_snapshot"
    /// [`Audit::keep_head`](crate::audit::Audit::keep_head).
    KeepHead "keep_head"
    /// What a tool does to the world, which only the tool can tell: [`StopAt::pass`](super::StopAt::pass).
    Effect "tool: effect"
}

impl WritePoint {
    /// The point of an event. A kind without one does not compile.
    pub(super) fn of_event(kind: &EventKind) -> Self {
        match kind {
            EventKind::RunCreated { .. } => WritePoint::RunCreated,
            EventKind::RunClaimed { .. } => WritePoint::RunClaimed,
            EventKind::RunReopened { .. } => WritePoint::RunReopened,
            EventKind::RunForked { .. } => WritePoint::RunForked,
            EventKind::StepStarted { .. } => WritePoint::StepStarted,
            EventKind::StepExpanded { .. } => WritePoint::StepExpanded,
            EventKind::StepCompleted { .. } => WritePoint::StepCompleted,
            EventKind::StepFailed { .. } => WritePoint::StepFailed,
            EventKind::StepRetried { .. } => WritePoint::StepRetried,
            EventKind::StepSkipped { .. } => WritePoint::StepSkipped,
            EventKind::StepCancelled { .. } => WritePoint::StepCancelled,
            EventKind::StepInDoubt { .. } => WritePoint::StepInDoubt,
            EventKind::StepResolved { .. } => WritePoint::StepResolved,
            EventKind::StepRepeated { .. } => WritePoint::StepRepeated,
            EventKind::StepWaiting { .. } => WritePoint::StepWaiting,
            EventKind::TimerFired { .. } => WritePoint::TimerFired,
            EventKind::SignalReceived { .. } => WritePoint::SignalReceived,
            EventKind::InputReceived { .. } => WritePoint::InputReceived,
            EventKind::ModelCalled { .. } => WritePoint::ModelCalled,
            EventKind::PolicyDecided { .. } => WritePoint::PolicyDecided,
            EventKind::ApprovalRequested { .. } => WritePoint::ApprovalRequested,
            EventKind::ApprovalDecided { .. } => WritePoint::ApprovalDecided,
            EventKind::PlanExtended { .. } => WritePoint::PlanExtended,
            EventKind::PlanClosed { .. } => WritePoint::PlanClosed,
            EventKind::BudgetReserved { .. } => WritePoint::BudgetReserved,
            EventKind::BudgetSettled { .. } => WritePoint::BudgetSettled,
            EventKind::MemoryWritten { .. } => WritePoint::MemoryWritten,
            EventKind::MemoryForgotten { .. } => WritePoint::MemoryForgotten,
            EventKind::PayloadErased { .. } => WritePoint::PayloadErased,
            EventKind::HoldPlaced { .. } => WritePoint::HoldPlaced,
            EventKind::HoldLifted { .. } => WritePoint::HoldLifted,
            EventKind::KeyRotated { .. } => WritePoint::KeyRotated,
            EventKind::BackupShredded { .. } => WritePoint::BackupShredded,
            EventKind::CancelRequested { .. } => WritePoint::CancelRequested,
            EventKind::RunCompleted { .. } => WritePoint::RunCompleted,
            EventKind::RunFailed { .. } => WritePoint::RunFailed,
            EventKind::RunCancelled => WritePoint::RunCancelled,
        }
    }

    /// The point of a write beside the log. A kind without one does not compile.
    pub(super) fn of_write(write: &Write) -> Self {
        match write {
            Write::Enqueue(_) => WritePoint::Enqueue,
            Write::Consume(_) => WritePoint::Consume,
            Write::Sql(_) => WritePoint::Sql,
            Write::Send(..) => WritePoint::Send,
            Write::Outbox(_) => WritePoint::Outbox,
        }
    }
}

impl fmt::Display for WritePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// On which side of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// It has been asked for, and nothing is done.
    Before,
    /// It is done, and whoever asked for it does not know yet.
    After,
}
