//! What can be done next: kept up to date by each event, so that nobody has to search the run for it.

use std::collections::{BTreeSet, VecDeque};

use crate::id::Time;
use crate::log::step::StepIndex;

/// Something to be done about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// What it waits for has ended.
    Open(StepIndex),
    /// It is an item that came into being, and was not begun.
    Item(StepIndex),
    /// Its next attempt may start.
    Begin(StepIndex),
    /// A person has answered.
    Answer(StepIndex),
    /// Its fan-out may start another item, or has ended.
    Items(StepIndex),
    /// Its members have ended.
    Settle(StepIndex),
    /// Its attempt ended with the process that made it.
    Recover(StepIndex),
    /// The time for an answer may be over.
    Expire(StepIndex),
    /// It waits, and the run has failed.
    Drop(StepIndex),
    /// It runs or waits, and the run is being cancelled.
    Cancel(StepIndex),
    /// All steps have ended.
    Finish,
}

/// The work at hand, and the timers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ready {
    /// What stops something: it comes first, and needs no room.
    stops: VecDeque<Work>,
    queue: VecDeque<Work>,
    timers: BTreeSet<(Time, Work)>,
}

impl Ready {
    pub(crate) fn push(&mut self, work: Work) {
        match work {
            Work::Drop(_) | Work::Cancel(_) => self.stops.push_back(work),
            _ => self.queue.push_back(work),
        }
    }

    pub(crate) fn at(&mut self, time: Time, work: Work) {
        self.timers.insert((time, work));
    }

    /// Takes a timer away.
    pub(crate) fn forget(&mut self, time: Time, work: Work) {
        self.timers.remove(&(time, work));
    }

    /// What stops something.
    pub(crate) fn pop_stop(&mut self) -> Option<Work> {
        self.stops.pop_front()
    }

    /// Anything else that can be done now.
    pub(crate) fn pop(&mut self, now: Time) -> Option<Work> {
        if let Some(work) = self.queue.pop_front() {
            return Some(work);
        }
        let due = self.timers.first().filter(|(time, _)| *time <= now).copied()?;
        self.timers.remove(&due);
        Some(due.1)
    }

    /// The next work that needs no timer.
    pub(crate) fn next(&self) -> Option<Work> {
        self.stops.front().or_else(|| self.queue.front()).copied()
    }

    /// Takes that away.
    pub(crate) fn skip(&mut self) {
        if self.stops.pop_front().is_none() {
            self.queue.pop_front();
        }
    }

    pub(crate) fn next_timer(&self) -> Option<Time> {
        self.timers.first().map(|(time, _)| *time)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.stops.is_empty() && self.queue.is_empty()
    }
}
