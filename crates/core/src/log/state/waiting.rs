//! Steps that wait for a time, a signal or a person's values, and signals that wait for a step.

use super::RunState;
use crate::id::{RunId, Seq, Time};
use crate::log::ready::Work;
use crate::log::step::{Approval, Came, Step, StepIndex, StepStatus, Waiting};
use crate::log::{Commitment, WaitFor};
use crate::workflow::{Verb, Wait};

/// A signal that no step has taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The event by which it came.
    pub(crate) seq: Seq,
    pub(crate) name: Commitment,
    pub(crate) payload: Commitment,
}

/// What a person is asked by a step that waits.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Question<'a> {
    /// To approve.
    Approval(&'a Approval),
    /// To fill a form.
    Input {
        /// What the person reads.
        prompt: Commitment,
        /// What stands in its fields already, by name.
        filled: Option<Commitment>,
        /// JSON Schema of the form: an object.
        form: &'a serde_json::Value,
        /// When the step fails for lack of an answer.
        expires: Option<Time>,
    },
}

impl RunState {
    /// All steps that wait for a person's answer, each with what is asked.
    pub fn questions(&self) -> impl Iterator<Item = (&Step, Question<'_>)> {
        self.steps.iter().filter_map(|step| {
            if let Some(approval) = step.approval.as_ref().filter(|_| step.asks()) {
                return Some((step, Question::Approval(approval)));
            }
            let waiting = step.waiting.as_ref().filter(|_| step.status == StepStatus::Waiting)?;
            match (&waiting.what, &self.plan.graph.node(step.node).verb) {
                (WaitFor::Input { prompt, filled, expires, .. }, Verb::Input { form, .. }) => {
                    Some((step, Question::Input { prompt: *prompt, filled: *filled, form, expires: *expires }))
                }
                _ => None,
            }
        })
    }

    /// The signals that no step has taken yet, oldest first.
    pub(crate) fn kept_signals(&self) -> &[Kept] {
        &self.signals
    }

    /// The steps that wait for a signal, in the order in which they began to, each with the name that it waits for.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = (StepIndex, Commitment)> {
        self.listeners.iter().filter_map(|index| match &self.steps[index.0].waiting {
            Some(Waiting { what: WaitFor::Signal { name, .. }, .. }) => Some((*index, *name)),
            _ => None,
        })
    }

    pub(super) fn begin_waiting(&mut self, index: StepIndex, what: &WaitFor) -> Result<(), String> {
        let verb = &self.plan.graph.node(self.steps[index.0].node).verb;
        let paused = self.repeat(index).is_some();
        if self.steps[index.0].waiting.is_some() {
            return Err("the step has waited already".into());
        }
        let fits = match what {
            WaitFor::Timer { .. } => paused || matches!(verb, Verb::Wait(Wait::For(_) | Wait::Until(_))),
            WaitFor::Signal { .. } => !paused && matches!(verb, Verb::Wait(Wait::Signal { .. })),
            WaitFor::Input { .. } => !paused && matches!(verb, Verb::Input { .. }),
            WaitFor::Run { .. } => !paused && self.has_run(index),
        };
        let judged = self.steps[index.0].rounds.as_ref().is_none_or(|rounds| rounds.done == Some(false));
        if !fits || (paused && !(judged && self.next_round(index).is_some())) {
            return Err("the step does not wait for that".into());
        }
        if let Some(at) = what.until() {
            self.ready.at(at, Work::Wake(index));
        }
        match what {
            WaitFor::Signal { .. } => self.listeners.push(index),
            WaitFor::Run { .. } => {
                self.children.push(index);
                // It was stopped while its run came to wait. A run that still waits after it was told to stop needs more than
                // another word.
                if self.barred(index).is_some() && !self.steps[index.0].told {
                    self.ready.push(Work::Cancel(index));
                }
            }
            _ => {}
        }
        self.steps[index.0].waiting = Some(Waiting::new(what.clone()));
        Ok(())
    }

    /// Whether a step has a run of its own, which has come into being.
    pub(crate) fn has_run(&self, index: StepIndex) -> bool {
        let step = &self.steps[index.0];
        let verb = &self.plan.graph.node(step.node).verb;
        let own = matches!(verb, Verb::Workflow(workflow) if workflow.own_run.is_some());
        own && step.attempt > 0 && self.is_leaf(index)
    }

    /// The run of its own that a step waits for.
    pub(crate) fn waits_for_run(&self, index: StepIndex) -> Option<RunId> {
        let step = &self.steps[index.0];
        match &step.waiting.as_ref().filter(|_| step.status == StepStatus::Waiting)?.what {
            WaitFor::Run { run, .. } => Some(*run),
            _ => None,
        }
    }

    /// The steps that wait for a run of their own.
    pub(crate) fn waiting_for_runs(&self) -> impl Iterator<Item = (StepIndex, RunId)> {
        self.children.iter().filter_map(|index| Some((*index, self.waits_for_run(*index)?)))
    }

    /// The time that a step waits for has come.
    pub(super) fn wait_is_over(&mut self, index: StepIndex) -> Result<(), String> {
        if self.repeat(index).is_some() {
            self.ready.push(Work::Round(index));
            return Ok(());
        }
        self.take_came(index, Came::Time)
    }

    /// What a step waits for has come.
    pub(super) fn take_came(&mut self, index: StepIndex, came: Came) -> Result<(), String> {
        let waiting = self.steps[index.0].waiting.as_mut().ok_or("the step waits for nothing")?;
        let fits = match (&waiting.what, came) {
            (what, Came::Time) => what.until().is_some(),
            (WaitFor::Signal { .. }, Came::Signal(_)) | (WaitFor::Input { .. }, Came::Values(_)) => true,
            _ => false,
        };
        if !fits {
            return Err("the step does not wait for that".into());
        }
        waiting.came = Some(came);
        self.ready.push(Work::Moved(index));
        Ok(())
    }

    /// A step no longer waits.
    pub(super) fn end_waiting(&mut self, index: StepIndex) {
        let Some(waiting) = &self.steps[index.0].waiting else { return };
        if let Some(at) = waiting.what.until() {
            self.ready.forget(at, Work::Wake(index));
        }
        self.listeners.retain(|listener| *listener != index);
        self.children.retain(|child| *child != index);
    }

    /// A signal came for nobody yet.
    pub(super) fn keep_signal(&mut self, seq: Seq, name: Commitment, payload: Commitment) {
        self.signals.push(Kept { seq, name, payload });
    }

    /// A step has the signal that came by that event and was kept since.
    pub(super) fn give_kept(&mut self, kept: Seq) -> Result<(), String> {
        let place = self.signals.iter().position(|signal| signal.seq == kept);
        let place = place.ok_or_else(|| format!("no signal of event {kept} is kept"))?;
        self.signals.remove(place);
        Ok(())
    }
}
