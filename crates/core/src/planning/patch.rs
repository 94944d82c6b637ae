//! Mending a plan: what stands, what is lost, and what moves with a step that is replaced.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Draft, Standing, id_at, place_of};
use super::line::PlannedStep;

/// How a step stands for the lines that come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Written since the plan, or its patch, was begun.
    Fresh,
    /// As it stood when the patch was begun.
    Stood(Standing),
    /// A line says that it is not needed.
    Dropped,
    /// What it waited for will not come.
    Undone,
    /// Another step stands in its place.
    Replaced,
}

impl State {
    /// Whether it has not begun, and would.
    fn is_open(self) -> bool {
        matches!(self, State::Fresh | State::Stood(Standing::Open))
    }

    /// Whether it moves with what it waited for: nobody has done it, and nobody has said that it is not needed.
    fn moves(self) -> bool {
        self.is_open() || matches!(self, State::Stood(Standing::Lost) | State::Undone)
    }

    /// Whether another step may stand in its place.
    fn is_replaceable(self) -> bool {
        matches!(self, State::Stood(Standing::Lost | Standing::Open) | State::Dropped | State::Undone)
    }
}

impl Draft {
    /// From here on the lines mend the plan, whose steps stand like this.
    pub fn begin_patch(&mut self, standing: &BTreeMap<String, Standing>) {
        self.patching = true;
        self.done = None;
        for (place, state) in self.states.iter_mut().enumerate() {
            let settled = matches!(state, State::Replaced | State::Dropped);
            match standing.get(&id_at(place)) {
                _ if settled => {}
                Some(stands) => *state = State::Stood(*stands),
                None if *state == State::Fresh => *state = State::Stood(Standing::Open),
                None => {}
            }
        }
    }

    /// Why the step at this place cannot be referred to, if it cannot.
    pub(super) fn lost(&self, place: usize) -> Option<String> {
        let id = id_at(place);
        let settled = match self.states.get(place)? {
            State::Stood(Standing::Completed | Standing::Started) => true,
            State::Fresh | State::Stood(Standing::Open) => false,
            State::Stood(Standing::Lost) => return Some(format!("`{id}` gave nothing")),
            State::Dropped | State::Undone => return Some(format!("`{id}` was dropped")),
            State::Replaced => return Some(format!("another step stands in the place of `{id}`")),
        };
        if settled || !self.patching {
            return None;
        }
        let needs = self.steps.get(place)?.needs();
        let cause = needs.iter().filter_map(|need| place_of(need)).find(|need| self.lost(*need).is_some());
        cause.map(|cause| format!("`{id}` waits for `{}`, which gives nothing", id_at(cause)))
    }

    /// Whether the step of this id has given something, or will.
    pub(super) fn stands(&self, id: &str) -> bool {
        place_of(id).is_some_and(|place| place < self.states.len() && self.lost(place).is_none())
    }

    /// The steps that may be dropped.
    pub(super) fn droppable(&self) -> Vec<String> {
        let open = |state: &State| *state == State::Stood(Standing::Open);
        self.states.iter().enumerate().filter(|(_, state)| open(state)).map(|(place, _)| id_at(place)).collect()
    }

    /// The steps in whose place another one may stand.
    pub(super) fn replaceable(&self) -> Vec<String> {
        let replaceable = self.states.iter().enumerate().filter(|(_, state)| state.is_replaceable());
        replaceable.map(|(place, _)| id_at(place)).collect()
    }

    /// The steps that came to nothing, and that others may wait for.
    pub(super) fn lost_steps(&self) -> Vec<String> {
        let lost = |id: &String| place_of(id).is_some_and(|place| self.states[place] != State::Stood(Standing::Open));
        self.replaceable().into_iter().filter(lost).collect()
    }

    /// The places of the steps that waited for a step, one behind the other, and move with it.
    pub(super) fn behind(&self, id: &str) -> Vec<usize> {
        let mut ids = BTreeSet::from([id.to_owned()]);
        let mut places = Vec::new();
        for (place, (step, state)) in self.steps.iter().zip(&self.states).enumerate() {
            if state.moves() && step.needs().iter().any(|need| ids.contains(need)) {
                ids.insert(step.id.clone());
                places.push(place);
            }
        }
        places
    }

    /// The steps that waited for the one that this step replaces, as they are to be done behind this one.
    pub(super) fn moved_behind(&self, step: &PlannedStep) -> Vec<PlannedStep> {
        let Some(replaced) = &step.replaces else { return Vec::new() };
        let mut names = BTreeMap::from([(replaced.clone(), step.id.clone())]);
        let mut moved = Vec::new();
        for (i, place) in self.behind(replaced).into_iter().enumerate() {
            let old = &self.steps[place];
            let id = id_at(self.steps.len() + 1 + i);
            moved.push(PlannedStep { id: id.clone(), replaces: Some(old.id.clone()), ..old.renamed(&names) });
            names.insert(old.id.clone(), id);
        }
        moved
    }

    /// Puts a step in the place of the one that it replaces: what moves with that one, and what will not run.
    pub(super) fn put_in_place(&mut self, step: &PlannedStep) -> (Vec<PlannedStep>, Vec<String>) {
        let Some(replaced) = &step.replaces else { return (Vec::new(), Vec::new()) };
        let moved = self.moved_behind(step);
        let places: Vec<_> = place_of(replaced).into_iter().chain(self.behind(replaced)).collect();
        (moved, self.settle(&places, State::Replaced))
    }

    /// Drops a step, and what waited for it.
    pub(super) fn drop_step(&mut self, id: &str) -> Vec<String> {
        let own: Vec<_> = place_of(id).into_iter().collect();
        let behind: Vec<_> = self.behind(id).into_iter().filter(|place| self.states[*place].is_open()).collect();
        let mut dropped = self.settle(&own, State::Dropped);
        dropped.extend(self.settle(&behind, State::Undone));
        dropped
    }

    /// Drops what waits for something that will not come.
    pub(super) fn drop_lost(&mut self) -> Vec<String> {
        let open = |place: &usize| self.states[*place].is_open() && self.lost(*place).is_some();
        let lost: Vec<_> = (0..self.steps.len()).filter(open).collect();
        self.settle(&lost, State::Undone)
    }

    /// The ids of those that would have run.
    fn settle(&mut self, places: &[usize], state: State) -> Vec<String> {
        let mut ended = Vec::new();
        for place in places {
            if let Some(known) = self.states.get_mut(*place) {
                if known.is_open() {
                    ended.push(id_at(*place));
                }
                *known = state;
            }
        }
        ended
    }
}
