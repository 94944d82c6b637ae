//! A run as lines, one an event, for pipes, files and screen readers.

use std::time::Duration;

use parkway::id::StepKey;
use parkway::log::{Commitment, Event, EventKind, WaitFor};
use parkway::policy::Verdict;

use super::outline::{Outline, OutlineStep};
use super::phrases::{WANTS_VALUES, closed, decided, fired, planned, repeated, resolved, ruled, skipped};
use super::view::{Node, RunView};
use super::words::{clean, counted, elapsed, local, width};

/// Names of steps are aligned up to this width.
const STEP_COLUMN: usize = 28;

impl RunView {
    /// One line for an event that is worth telling; the event was applied before. Of steps that complete, only those
    /// that did something themselves are told, not the groups around them.
    pub fn plain(&self, event: &Event) -> Option<String> {
        let since = self.created.map_or(Duration::ZERO, |created| event.at.since(created));
        let (step, told) = match event.kind.key() {
            Some(key) => {
                let node = self.find(key)?;
                (key.to_string(), self.tell_step(event, key, node)?)
            }
            None => ("run".into(), self.tell_run(event)?),
        };
        let pad = " ".repeat(self.step_column.saturating_sub(width(&step)));
        Some(format!("{:>7}  {step}{pad}  {told}", elapsed(since)))
    }

    fn tell_run(&self, event: &Event) -> Option<String> {
        Some(match &event.kind {
            EventKind::RunCreated { .. } => format!("created  {}  {}", event.run, self.outline.workflow),
            EventKind::RunClaimed { worker } if event.fence.0 > 1 => {
                format!("taken over  {}", clean(&worker.to_string()))
            }
            EventKind::RunReopened { note, .. } => {
                words(&[&format!("reopened{}", self.actor(&event.by)), self.text(*note).unwrap_or("")])
            }
            EventKind::RunForked { from, step, .. } => format!("forked from {from} at {step}{}", self.actor(&event.by)),
            EventKind::CancelRequested { note } => {
                words(&[&format!("cancel requested{}", self.actor(&event.by)), self.text(*note).unwrap_or("")])
            }
            EventKind::TimerFired { timer, .. } => fired(*timer)?.into(),
            EventKind::SignalReceived { name, .. } => {
                format!("{} received{}, and kept", self.signal(*name), self.actor(&event.by))
            }
            EventKind::RunCompleted { .. } => words(&["completed", &self.totals().join(", ")]),
            EventKind::RunCancelled => words(&["cancelled", &self.totals().join(", ")]),
            EventKind::RunFailed { reason } => {
                let message = self.text(reason.message).unwrap_or("");
                words(&["failed", &clean(&reason.code), message, &self.totals().join(", ")])
            }
            _ => return None,
        })
    }

    fn tell_step(&self, event: &Event, key: &StepKey, node: &Node) -> Option<String> {
        let why = |code: &str, message| match self.text(Some(message)) {
            Some(message) => format!("{}: {message}", clean(code)),
            None => clean(code),
        };
        Some(match &event.kind {
            EventKind::PlanExtended { nodes, .. } => planned(nodes)?,
            EventKind::PlanClosed { given_up, .. } => closed(*given_up).into(),
            // What it wrote is told as what follows from it.
            EventKind::StepCompleted { .. } if node.is_quiet_turn() => return None,
            EventKind::StepExpanded { items, .. } => counted(u64::from(*items), "item"),
            EventKind::StepCompleted { .. } if node.children.is_empty() || key.path().len() == 1 && !is_item(key) => {
                let tokens = if node.spent.calls > 0 { counted(node.spent.output, "token") } else { String::new() };
                let attempts = if node.attempts > 1 { format!("attempt {}", node.attempts) } else { String::new() };
                words(&["completed", &tokens, &attempts, &self.took(node, event)])
            }
            // The step within that failed was told with its message.
            EventKind::StepFailed { code, .. } if node.has_failed_child() => words(&["failed", &clean(code)]),
            EventKind::StepFailed { code, message, .. } => words(&["failed", &why(code, *message)]),
            EventKind::StepRetried { attempt, code, message, not_before, .. } => {
                let again = format!("again in {}", elapsed(not_before.since(event.at)));
                words(&[&format!("attempt {attempt} failed, {again}"), &why(code, *message)])
            }
            EventKind::StepInDoubt { code, message, .. } => words(&["in doubt", &why(code, *message)]),
            EventKind::StepSkipped { reason, .. } => words(&["skipped", &skipped(reason)]),
            EventKind::StepCancelled { .. } => "cancelled".into(),
            EventKind::MemoryWritten { id, .. } => format!("remembers  {id}"),
            EventKind::MemoryForgotten { id, .. } => format!("forgets  {id}"),
            EventKind::ModelCalled { turn, call, .. } if !call.valid => {
                let tokens = counted(u64::from(call.usage.output_tokens), "token");
                format!("answer {turn} is not of the form asked for  {tokens}")
            }
            EventKind::PolicyDecided { verdict: Verdict::Deny, tool, rule, .. } => {
                words(&[&clean(tool), &ruled(Verdict::Deny, rule)])
            }
            EventKind::StepStarted { .. } => format!("has a run of its own  {}", node.own_run?),
            EventKind::StepRepeated { round, done, .. } => repeated(*round, *done),
            EventKind::StepResolved { outcome, note, .. } => {
                let told = format!("resolved{}: {}", self.actor(&event.by), resolved(outcome));
                words(&[&told, self.text(*note).unwrap_or("")])
            }
            EventKind::TimerFired { timer, .. } => fired(*timer)?.into(),
            EventKind::SignalReceived { name, .. } => {
                format!("{} received{}", self.signal(*name), self.actor(&event.by))
            }
            EventKind::ApprovalRequested { prompt, .. } => {
                words(&["waits for approval", self.text(Some(*prompt)).unwrap_or("")])
            }
            EventKind::StepWaiting { what, .. } => match what {
                WaitFor::Input { prompt, .. } => words(&[WANTS_VALUES, self.text(Some(*prompt)).unwrap_or("")]),
                WaitFor::Timer { at } => format!("waits until {}", local(*at)),
                WaitFor::Signal { name, .. } => format!("waits for {}", self.signal(*name)),
                WaitFor::Run { run, .. } => format!("waits for its run  {run}"),
                _ => "waits".into(),
            },
            EventKind::InputReceived { .. } => format!("filled{}", self.actor(&event.by)),
            EventKind::ApprovalDecided { verdict, note, .. } => {
                let by = format!("{}{}", decided(*verdict), self.actor(&event.by));
                words(&[&by, self.text(*note).unwrap_or("")])
            }
            _ => return None,
        })
    }

    /// What a signal is called.
    pub(super) fn signal(&self, name: Commitment) -> String {
        self.text(Some(name)).map_or("a signal".into(), |name| format!("the signal `{name}`"))
    }

    fn took(&self, node: &Node, event: &Event) -> String {
        node.took(event.at).map(elapsed).unwrap_or_default()
    }
}

/// The width of the longest name of a step in the plan.
pub(super) fn step_column(outline: &Outline) -> usize {
    fn longest(steps: &[OutlineStep]) -> usize {
        let one = |step: &OutlineStep| {
            let own = width(&step.id) + if step.fans_out { "[00]".len() } else { 0 };
            if step.children.is_empty() { own } else { own + 1 + longest(&step.children) }
        };
        steps.iter().map(one).max().unwrap_or(0)
    }
    longest(&outline.steps).min(STEP_COLUMN)
}

fn is_item(key: &StepKey) -> bool {
    key.last().is_some_and(|segment| segment.item.is_some())
}

/// The parts that are not empty, with two spaces between them.
fn words(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("  ")
}
