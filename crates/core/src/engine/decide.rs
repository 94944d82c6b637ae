//! What follows from the state of a run. Pure: it takes values and gives values, evaluates no expression and reads no
//! payload.

use crate::id::{StepKey, Time};
use crate::log::{Gate, RunState, Settlement, SkipReason, StepError, StepIndex, StepStatus, Verdict, Work};
use crate::tool::Effect;
use crate::workflow::Verb;

/// How often a step may be interrupted by the end of its process before it is given up: it may be what ends it.
pub(crate) const MAX_INTERRUPTIONS: u32 = 20;

/// Something for the executor to do. Each leads to at least one event about the step that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Record that a step will not run.
    Skip {
        /// The step.
        key: StepKey,
        /// Why.
        reason: SkipReason,
    },
    /// What a step waits for has ended well: evaluate its `if`, then fan it out or begin it.
    Open {
        /// The step.
        key: StepKey,
    },
    /// Make an attempt at a step.
    Begin {
        /// The step.
        key: StepKey,
    },
    /// Begin the next item of a fan-out.
    Item {
        /// The item's key.
        key: StepKey,
    },
    /// Record how a group or a fan-out ended.
    Complete {
        /// The step.
        key: StepKey,
    },
    /// Record that a step failed for this reason.
    Fail {
        /// The step.
        key: StepKey,
        /// Its code and message.
        error: StepError,
    },
    /// Record that a person said no, or nothing.
    Reject {
        /// The step.
        key: StepKey,
        /// Whether the time for an answer is over.
        expired: bool,
    },
    /// Record that a person said yes to an `approve`.
    Approve {
        /// The step.
        key: StepKey,
    },
    /// Record that nobody knows whether an interrupted call had its effect.
    Doubt {
        /// The step.
        key: StepKey,
    },
    /// Record that a step is given up, since each process that tried it ended.
    GiveUp {
        /// The step.
        key: StepKey,
    },
    /// Stop a step.
    Cancel {
        /// The step.
        key: StepKey,
    },
    /// Record how the run ended.
    Finish,
}

/// At most `room` commands that follow from the state. Work that is handed out is not handed out again; the events that
/// it leads to bring the next.
pub fn decide(state: &mut RunState, now: Time, room: usize) -> Vec<Command> {
    let mut commands = Vec::new();
    while commands.len() < room {
        let Some(work) = state.ready.pop(now) else { break };
        commands.extend(command(state, work));
    }
    commands
}

fn command(state: &RunState, work: Work) -> Option<Command> {
    let status = |index: StepIndex| state.at(index).status;
    let key = |index: StepIndex| state.at(index).key.clone();
    match work {
        Work::Open(index) if status(index) == StepStatus::Pending => Some(match state.gate(index) {
            Gate::Run => Command::Open { key: key(index) },
            Gate::Skip(reason) => Command::Skip { key: key(index), reason },
        }),
        Work::Begin(index) if status(index) == StepStatus::Waiting => Some(Command::Begin { key: key(index) }),
        Work::Answer(index) if status(index) == StepStatus::Waiting => answer(state, index),
        Work::Items(index) if status(index) == StepStatus::Running => items(state, index),
        Work::Settle(index) if status(index) == StepStatus::Running => Some(settle(state, index)),
        Work::Recover(index) if status(index) == StepStatus::Running => Some(recover(state, index)),
        Work::Expire(index) if state.at(index).asks() => Some(Command::Reject { key: key(index), expired: true }),
        Work::Drop(index) if status(index) == StepStatus::Waiting => {
            Some(Command::Skip { key: key(index), reason: SkipReason::RunFailed })
        }
        Work::Cancel(index) if matches!(status(index), StepStatus::Running | StepStatus::Waiting) => {
            Some(Command::Cancel { key: key(index) })
        }
        Work::Finish => Some(Command::Finish),
        // The step has moved on since the work was noted.
        _ => None,
    }
}

fn answer(state: &RunState, index: StepIndex) -> Option<Command> {
    let step = state.at(index);
    let key = step.key.clone();
    let is_approve = matches!(state.plan().graph.node(step.node).verb, Verb::Approve { .. });
    Some(match step.approval.as_ref()?.answer.as_ref()?.verdict {
        Verdict::Rejected => Command::Reject { key, expired: false },
        Verdict::Approved if is_approve => Command::Approve { key },
        Verdict::Approved => Command::Begin { key },
    })
}

fn items(state: &RunState, index: StepIndex) -> Option<Command> {
    let step = state.at(index);
    let for_each = state.plan().graph.node(step.node).for_each.as_ref()?;
    let fan = step.fan.as_ref()?;
    let begun = u32::try_from(fan.items.len()).unwrap_or(u32::MAX);
    let stopped = state.fan_stopped(index);
    if fan.ended == begun && (begun == fan.total || stopped) {
        return Some(settle(state, index));
    }
    let more = begun < fan.total && !stopped && fan.active < for_each.max_parallel;
    more.then(|| Command::Item { key: step.key.item(begun) })
}

fn settle(state: &RunState, index: StepIndex) -> Command {
    let key = state.at(index).key.clone();
    match state.settlement(index) {
        Settlement::Complete => Command::Complete { key },
        Settlement::Fail(error) => Command::Fail { key, error },
        Settlement::Cancel => Command::Cancel { key },
    }
}

fn recover(state: &RunState, index: StepIndex) -> Command {
    let step = state.at(index);
    let key = step.key.clone();
    let effect = match &state.plan().graph.node(step.node).verb {
        Verb::Tool { name, .. } => state.plan().tools.get(name).map_or(Effect::AtMostOnce, |tool| tool.effect),
        // A model turn looks at the world and leaves it as it is.
        _ => Effect::Read,
    };
    if !effect.repeatable() {
        Command::Doubt { key }
    } else if state.cancelling() {
        Command::Cancel { key }
    } else if step.interruptions > MAX_INTERRUPTIONS {
        Command::GiveUp { key }
    } else {
        Command::Begin { key }
    }
}
