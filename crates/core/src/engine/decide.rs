//! What follows from the state of a run. Pure: it takes values and gives values, evaluates no expression and reads no
//! payload.

use crate::id::{StepKey, Time};
use crate::log::{
    Gate, Resolution, RunState, Settlement, SkipReason, StepError, StepIndex, StepStatus, Timer, Verdict, Work,
};
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
    /// Begin an item of a fan-out: the next, or one that came into being and was not begun.
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
    /// Record that a time has come.
    Fire {
        /// The step whose time it is; the run's own if absent.
        key: Option<StepKey>,
        /// Which of its times.
        timer: Timer,
    },
    /// Record what follows of what a step waited for.
    Arrive {
        /// The step.
        key: StepKey,
    },
    /// Record what follows of what a person said about a call in doubt.
    Resolve {
        /// The step.
        key: StepKey,
    },
    /// Go on with a goal: take in what its model or its steps gave, and say what follows.
    Grow {
        /// The step that pursues it.
        key: StepKey,
    },
    /// Evaluate `until` after a round.
    Judge {
        /// The step that is repeated.
        key: StepKey,
    },
    /// Wait before the next round.
    Pause {
        /// The step that is repeated.
        key: StepKey,
    },
    /// Record that no round was the last.
    Exhaust {
        /// The step that is repeated.
        key: StepKey,
    },
    /// Record that a group took too long.
    TimeOut {
        /// The group.
        key: StepKey,
    },
    /// Record how the run ended.
    Finish,
}

/// The commands that follow from the state: those that stop something; else at most `room` others. Work that is handed
/// out is not handed out again; the events that it leads to bring the next.
pub fn decide(state: &mut RunState, now: Time, room: usize) -> Vec<Command> {
    let mut commands = Vec::new();
    while let Some(work) = state.ready.pop_stop(now) {
        commands.extend(command(state, work));
    }
    if !commands.is_empty() {
        return commands;
    }
    while commands.len() < room {
        let Some(work) = state.ready.pop(now) else { break };
        commands.extend(command(state, work));
    }
    commands
}

/// What is to be done about noted work; nothing if the step has moved on since.
fn command(state: &RunState, work: Work) -> Option<Command> {
    if !state.stands(work) {
        return None;
    }
    let key = |index: StepIndex| state.at(index).key.clone();
    Some(match work {
        Work::Open(index) => match state.gate(index) {
            Gate::Run => Command::Open { key: key(index) },
            Gate::Skip(reason) => Command::Skip { key: key(index), reason },
        },
        Work::Item(index) => match state.barred(index) {
            None => Command::Item { key: key(index) },
            Some(reason) => Command::Skip { key: key(index), reason },
        },
        Work::Begin(index) => Command::Begin { key: key(index) },
        Work::Answer(index) => return answer(state, index),
        Work::Items(index) => match state.next_item(index) {
            Some(item) => Command::Item { key: key(index).item(item) },
            None => match state.item_to_drop(index) {
                Some(item) => Command::Skip { key: key(index).item(item), reason: state.dropped(index) },
                None => settle(state, index),
            },
        },
        Work::Settle(index) => settle(state, index),
        Work::Grow(index) => match state.end_of_growth(index) {
            Some(end) => settled(state, index, end),
            None => Command::Grow { key: key(index) },
        },
        Work::Recover(index) => recover(state, index),
        Work::Expire(index) => Command::Reject { key: key(index), expired: true },
        Work::Drop(index) => Command::Skip { key: key(index), reason: SkipReason::RunFailed },
        // What it waited for has come: that is acted on.
        Work::Cancel(index) if state.at(index).is_moved() => return None,
        Work::Cancel(index) if state.at(index).status == StepStatus::Running && !state.at(index).live => {
            recover(state, index)
        }
        Work::Cancel(index) => Command::Cancel { key: key(index) },
        Work::Look(index) if state.barred(index).is_some() => Command::Cancel { key: key(index) },
        Work::Look(index) => Command::Begin { key: key(index) },
        Work::Wake(index) => Command::Fire { key: Some(key(index)), timer: Timer::Wait },
        Work::Moved(index) => moved(state, index),
        Work::Judge(index) => Command::Judge { key: key(index) },
        Work::Pause(index) | Work::Round(index) if state.barred(index).is_some() => settle(state, index),
        Work::Pause(index) => Command::Pause { key: key(index) },
        Work::Round(index) => Command::Item { key: key(index).round(state.next_round(index)?) },
        Work::TimeUp(index) => Command::Fire { key: Some(key(index)), timer: Timer::Timeout },
        Work::Deadline => Command::Fire { key: None, timer: Timer::Deadline },
        Work::Grace(group) => Command::Fire { key: group.map(key), timer: Timer::Grace },
        Work::Finish => Command::Finish,
    })
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

fn settle(state: &RunState, index: StepIndex) -> Command {
    settled(state, index, state.settlement(index))
}

fn settled(state: &RunState, index: StepIndex, settlement: Settlement) -> Command {
    let key = state.at(index).key.clone();
    match settlement {
        Settlement::Complete => Command::Complete { key },
        Settlement::Fail(error) => Command::Fail { key, error },
        Settlement::TimedOut => Command::TimeOut { key },
        Settlement::Exhausted => Command::Exhaust { key },
        Settlement::Cancel => Command::Cancel { key },
    }
}

/// What follows of what came for a step that waited, or of what a person said about its call.
fn moved(state: &RunState, index: StepIndex) -> Command {
    let step = state.at(index);
    let key = step.key.clone();
    match &step.resolution {
        None => Command::Arrive { key },
        Some(Resolution::Redo) if state.barred(index).is_some() => Command::Cancel { key },
        Some(Resolution::Redo) => Command::Begin { key },
        Some(Resolution::Done { .. } | Resolution::NotDone) => Command::Resolve { key },
    }
}

fn recover(state: &RunState, index: StepIndex) -> Command {
    let step = state.at(index);
    let key = step.key.clone();
    let effect = state.effect_of(index);
    if !effect.repeatable() {
        Command::Doubt { key }
    } else if state.cut_off(index).is_some() {
        Command::Cancel { key }
    } else if step.interruptions > MAX_INTERRUPTIONS && !state.has_run(index) {
        Command::GiveUp { key }
    } else {
        Command::Begin { key }
    }
}
