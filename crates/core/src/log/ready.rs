//! What can be done next: kept up to date by each event, so that nobody has to search the run for it.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::id::Time;
use crate::log::step::StepIndex;

/// Something to be done about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// It pursues a goal, and may go on, or has ended.
    Grow(StepIndex),
    /// Its attempt ended with the process that made it.
    Recover(StepIndex),
    /// The time for an answer may be over.
    Expire(StepIndex),
    /// It waits, and the run has failed.
    Drop(StepIndex),
    /// It runs or waits, and the run is being cancelled.
    Cancel(StepIndex),
    /// The time that it waits for has come.
    Wake(StepIndex),
    /// Its own run, which it waits for, may have gone on.
    Look(StepIndex),
    /// What it waited for has come, or what became of its call was said.
    Moved(StepIndex),
    /// A round of it has completed.
    Judge(StepIndex),
    /// Its next round may begin after a delay.
    Pause(StepIndex),
    /// Its next round may begin.
    Round(StepIndex),
    /// The time of a group is over.
    TimeUp(StepIndex),
    /// The run's time is over.
    Deadline,
    /// The time for what ends a group, or the run, is over.
    Grace(Option<StepIndex>),
    /// All steps have ended.
    Finish,
}

/// The work at hand, and the timers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// What stops something: it comes first, and needs no room.
    stops: VecDeque<Work>,
    queue: VecDeque<Work>,
    timers: BTreeSet<(Time, Work)>,
    /// Timers that stop something.
    alarms: BTreeSet<(Time, Work)>,
}

impl Ready {
    pub(crate) fn push(&mut self, work: Work) {
        match work {
            Work::Drop(_) | Work::Cancel(_) => self.stops.push_back(work),
            _ => self.queue.push_back(work),
        }
    }

    pub(crate) fn at(&mut self, time: Time, work: Work) {
        self.timers_of(work).insert((time, work));
    }

    fn timers_of(&mut self, work: Work) -> &mut BTreeSet<(Time, Work)> {
        match work {
            Work::TimeUp(_) | Work::Deadline | Work::Grace(_) => &mut self.alarms,
            _ => &mut self.timers,
        }
    }

    /// Takes a timer away.
    pub(crate) fn forget(&mut self, time: Time, work: Work) {
        self.timers_of(work).remove(&(time, work));
    }

    /// What stops something.
    pub(crate) fn pop_stop(&mut self, now: Time) -> Option<Work> {
        if let Some(work) = self.stops.pop_front() {
            return Some(work);
        }
        let due = self.alarms.first().filter(|(time, _)| *time <= now).copied()?;
        self.alarms.remove(&due);
        Some(due.1)
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

    /// The first timer of each kind.
    pub(crate) fn first_timers(&self) -> [Option<(Time, Work)>; 2] {
        [self.alarms.first().copied(), self.timers.first().copied()]
    }

    pub(crate) fn next_timer(&self) -> Option<Time> {
        let next = self.timers.first().map(|(time, _)| *time);
        next.into_iter().chain(self.next_alarm()).min()
    }

    /// The next timer that stops something: it waits for no room.
    pub(crate) fn next_alarm(&self) -> Option<Time> {
        self.alarms.first().map(|(time, _)| *time)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.stops.is_empty() && self.queue.is_empty()
    }
}
