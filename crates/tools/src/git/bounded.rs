//! What differs between two trees, up to a number: a small repository can hold trees that unfold to any size.

use std::ops::ControlFlow;

use gix::bstr::BStr;
use gix::diff::tree::recorder::Change;
use gix::diff::tree::{Recorder, Visit, visit};

use crate::watch::Watch;

/// The most files and folders that are met.
const MOST: usize = 100_000;

/// Keeps what differs.
pub(super) struct Bounded<'w> {
    recorder: Recorder,
    watch: &'w Watch,
    left: usize,
}

impl<'w> Bounded<'w> {
    pub(super) fn new(watch: &'w Watch) -> Self {
        Bounded { recorder: Recorder::default(), watch, left: MOST }
    }

    /// What differs; `None` if there was more than is kept.
    pub(super) fn changes(self) -> Option<Vec<Change>> {
        (self.left > 0).then_some(self.recorder.records)
    }
}

impl Visit for Bounded<'_> {
    fn pop_front_tracked_path_and_set_current(&mut self) {
        self.recorder.pop_front_tracked_path_and_set_current();
    }

    fn push_back_tracked_path_component(&mut self, component: &BStr) {
        self.recorder.push_back_tracked_path_component(component);
    }

    fn push_path_component(&mut self, component: &BStr) {
        self.recorder.push_path_component(component);
    }

    fn pop_path_component(&mut self) {
        self.recorder.pop_path_component();
    }

    fn visit(&mut self, change: visit::Change) -> visit::Action {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || self.watch.is_over() {
            return ControlFlow::Break(());
        }
        self.recorder.visit(change)
    }
}
