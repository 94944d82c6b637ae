//! What is said of things that happen to steps: the same words in the drawing, in lines for a pipe, and in `show`.

use parkway::definition::Turn;
use parkway::log::{Does, Planned, Resolution, SkipReason, Timer, Verdict};
use parkway::policy;

use super::words::clean;

/// What is said of a step that waits for a form to be filled.
pub(super) const WANTS_VALUES: &str = "waits for values";

/// What a member of a goal does, in the place of a step's verb.
pub(crate) fn does(does: &Does) -> String {
    match does {
        Does::Tool { name, .. } => clean(name),
        Does::Workflow { name } => format!("workflow {}", clean(name)),
        Does::Approve => "approve".into(),
        Does::Turn { turn: Turn::Line { patch: 0 } } => "a line of the plan".into(),
        Does::Turn { turn: Turn::Line { .. } } => "a line of a patch".into(),
        Does::Turn { turn: Turn::Decide { .. } } => "arguments".into(),
        Does::Turn { turn: Turn::Answer } => "the answer".into(),
        Does::Turn { .. } => "turn".into(),
        _ => String::new(),
    }
}

/// The calls and questions that a goal has from now on: `planned s1 files.list, s2 files.read_text`. None, if the model is only asked.
pub(crate) fn planned(nodes: &[Planned]) -> Option<String> {
    let calls = nodes.iter().filter(|node| !matches!(node.does, Does::Turn { .. }));
    let calls: Vec<_> = calls.map(|node| format!("{} {}", clean(&node.id), does(&node.does))).collect();
    (!calls.is_empty()).then(|| format!("planned {}", calls.join(", ")))
}

/// That nothing is planned any more.
pub(crate) fn closed(given_up: bool) -> &'static str {
    if given_up { "the plan is given up: an agent goes on" } else { "the plan is whole" }
}

pub(crate) fn decided(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => "approved",
        Verdict::Rejected => "rejected",
        _ => "answered",
    }
}

pub(crate) fn skipped(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Condition => "its `if` is false".into(),
        SkipReason::Dependency { id } => format!("needs {}", clean(id)),
        SkipReason::RunIf => "its `run_if` does not hold".into(),
        SkipReason::RunFailed => "the run failed".into(),
        SkipReason::RunCancelled => "the run was cancelled".into(),
        SkipReason::Replanned => "the plan was mended".into(),
        SkipReason::TimedOut { id } => format!("the time of {} was over", clean(id)),
        _ => "for a reason that only a newer parkway knows".into(),
    }
}

/// What a person found out about a call in doubt.
pub(crate) fn resolved<O>(outcome: &Resolution<O>) -> &'static str {
    match outcome {
        Resolution::Done { .. } => "it was carried out",
        Resolution::NotDone => "it was not carried out",
        Resolution::Redo => "it is to be made again",
    }
}

/// That a time has come, of a step or of the whole run; nothing of the end of a wait, which tells itself.
pub(crate) fn fired(timer: Timer) -> Option<&'static str> {
    match timer {
        Timer::Wait => None,
        Timer::Timeout => Some("its time is over"),
        Timer::Deadline => Some("the deadline has passed"),
        Timer::Grace => Some("the time for ending is over"),
        _ => Some("a time has come"),
    }
}

/// That a round of a `repeat` is through.
pub(crate) fn repeated(round: u32, done: bool) -> String {
    let then = if done { "`until` holds" } else { "`until` does not hold yet" };
    format!("round {round} is through, {then}")
}

/// What the policy said about a call.
pub(crate) fn ruled(verdict: policy::Verdict, rule: &str) -> String {
    let word = match verdict {
        policy::Verdict::Allow => "allowed",
        policy::Verdict::Ask => "needs an approval",
        policy::Verdict::Deny => "denied by policy",
    };
    format!("{word}, rule {}", clean(rule))
}
