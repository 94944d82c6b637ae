//! The events that tell again what came of the steps that a fork keeps: each step's newest attempt, as its first one. What
//! was spent on them was spent by the earlier run, which also has the calls of models.

use std::collections::HashMap;

use crate::id::StepKey;
use crate::log::{Actor, Event, EventKind, RunState, StepIndex, StepStatus, Timer, WaitFor};

pub(super) struct Copy<'a> {
    state: &'a RunState,
    of_step: HashMap<&'a StepKey, Vec<&'a Event>>,
    pub(super) events: Vec<(Option<Actor>, EventKind)>,
}

impl<'a> Copy<'a> {
    pub(super) fn of(state: &'a RunState, events: &'a [Event]) -> Self {
        let mut of_step: HashMap<_, Vec<_>> = HashMap::new();
        for event in events {
            if let Some(key) = event.kind.key() {
                of_step.entry(key).or_default().push(event);
            }
        }
        Copy { state, of_step, events: Vec::new() }
    }

    fn of_step(&self, index: StepIndex) -> &[&'a Event] {
        self.of_step.get(&self.state.at(index).key).map_or(&[], Vec::as_slice)
    }

    fn last(&self, index: StepIndex, fits: impl Fn(&EventKind) -> bool) -> Option<&'a Event> {
        self.of_step(index).iter().rev().copied().find(|event| fits(&event.kind))
    }

    /// Tells a step, and all that is in it, to its end.
    pub(super) fn keep(&mut self, index: StepIndex) {
        let step = self.state.at(index);
        if step.status == StepStatus::Skipped {
            return self.end(index, false);
        }
        if let Some(fan) = &step.fan {
            self.push(self.last(index, |kind| matches!(kind, EventKind::StepExpanded { .. })), 0);
            for item in &fan.items {
                self.keep(*item);
            }
            return self.end(index, false);
        }
        if let Some(rounds) = &step.rounds {
            self.begin(index);
            for (number, round) in (1..).zip(&rounds.begun) {
                self.pause(index, number);
                self.keep(*round);
                let judged =
                    |kind: &EventKind| matches!(kind, EventKind::StepRepeated { round, .. } if *round == number);
                self.push(self.last(index, judged), 0);
            }
            return self.end(index, true);
        }
        if step.growth.is_some() {
            // How a goal was reached stands in the earlier run.
            self.begin(index);
            return self.end(index, true);
        }
        if !step.members.is_empty() {
            self.begin(index);
            for member in self.state.in_order(&step.members) {
                self.keep(member);
            }
            return self.end(index, true);
        }
        self.keep_leaf(index);
    }

    /// Tells that a step has begun.
    pub(super) fn begin(&mut self, index: StepIndex) {
        self.push(self.last(index, |kind| matches!(kind, EventKind::StepStarted { .. })), 1);
    }

    /// Tells of the time before a round.
    fn pause(&mut self, host: StepIndex, number: u32) {
        let delay = self.state.repeat(host).map_or(0, |repeat| repeat.delay_ms);
        if number == 1 || delay == 0 {
            return;
        }
        let waits = |kind: &EventKind| matches!(kind, EventKind::StepWaiting { what: WaitFor::Timer { .. }, .. });
        self.push(self.last(host, waits), 0);
        self.push(self.last(host, |kind| matches!(kind, EventKind::TimerFired { timer: Timer::Wait, .. })), 0);
    }

    fn end(&mut self, index: StepIndex, begun: bool) {
        self.push(self.last(index, ends), u32::from(begun));
    }

    /// Tells a leaf's newest attempt, and what was asked and answered before it.
    fn keep_leaf(&mut self, index: StepIndex) {
        let all = self.of_step(index).to_vec();
        // A step that was reset when its run was reopened has ended before.
        let ended: Vec<_> = all.iter().enumerate().filter(|(_, event)| ends(&event.kind)).map(|(at, _)| at).collect();
        let from = ended.iter().rev().nth(1).map_or(0, |before| before + 1);
        let newest = all.get(from..).unwrap_or_default();
        let start = newest.iter().rposition(|event| matches!(event.kind, EventKind::StepStarted { .. }));
        for (at, event) in newest.iter().enumerate() {
            let told = match &event.kind {
                EventKind::ModelCalled { .. }
                | EventKind::BudgetReserved { .. }
                | EventKind::BudgetSettled { .. }
                // What was remembered is remembered already.
                | EventKind::MemoryWritten { .. }
                | EventKind::MemoryForgotten { .. }
                | EventKind::StepRetried { .. } => false,
                EventKind::PolicyDecided { .. }
                | EventKind::ApprovalRequested { .. }
                | EventKind::ApprovalDecided { .. } => true,
                _ => start.is_none_or(|start| at >= start),
            };
            if told {
                self.push(Some(event), u32::from(start.is_some()));
            }
        }
    }

    fn push(&mut self, event: Option<&Event>, now: u32) {
        let Some(event) = event else { return };
        let mut kind = event.kind.clone();
        match &mut kind {
            EventKind::StepStarted { attempt, .. }
            | EventKind::StepCompleted { attempt, .. }
            | EventKind::StepFailed { attempt, .. }
            | EventKind::StepCancelled { attempt, .. }
            | EventKind::StepInDoubt { attempt, .. } => *attempt = now,
            // By which event it came is known in the earlier run only.
            EventKind::SignalReceived { kept, .. } => *kept = None,
            _ => {}
        }
        let by = match &event.by {
            by @ Actor::Person { .. } => Some(by.clone()),
            Actor::Engine | Actor::Worker { .. } => None,
        };
        self.events.push((by, kind));
    }
}

fn ends(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::StepCompleted { .. }
            | EventKind::StepFailed { .. }
            | EventKind::StepSkipped { .. }
            | EventKind::StepCancelled { .. }
    )
}
