//! What happened in a test's run, as text that is the same each time, and the text that was written before.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use parkway_core::log::{Commitment, Event, EventKind};
use serde_json::Value;

use super::Place;
use super::expect::{Mismatch, Seen};

/// How many lines of a difference are shown.
const SHOWN: usize = 40;

pub(super) type Texts = BTreeMap<Commitment, Value>;

/// The texts that an event points to and that belong to its story.
pub(super) fn pointed_to(event: &Event) -> Vec<Commitment> {
    match &event.kind {
        EventKind::StepStarted { args, .. } => args.iter().copied().collect(),
        EventKind::StepExpanded { list, .. } => vec![*list],
        EventKind::StepCompleted { output, .. } => output.iter().copied().collect(),
        EventKind::StepFailed { message, .. }
        | EventKind::StepRetried { message, .. }
        | EventKind::StepInDoubt { message, .. } => vec![*message],
        EventKind::ModelCalled { call, .. } => vec![call.answer],
        EventKind::ApprovalRequested { prompt, .. } => vec![*prompt],
        EventKind::ApprovalDecided { note, .. } => note.iter().copied().collect(),
        EventKind::RunCompleted { outputs } => vec![*outputs],
        EventKind::RunFailed { reason } => reason.message.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// One line an event: what happened, to which step, and the texts.
pub(super) fn story(seen: &Seen<'_>) -> String {
    let mut story = String::new();
    for event in &seen.record.events {
        let kind = &event.kind;
        if matches!(kind, EventKind::RunCreated { .. } | EventKind::RunClaimed { .. }) {
            continue;
        }
        story.push_str(kind.name());
        if let Some(key) = kind.key() {
            // Writing to a text does not fail.
            let _ = write!(story, " {key}");
        }
        let more = match kind {
            EventKind::StepStarted { attempt, rule, .. } => {
                let again = if *attempt > 1 { format!(" #{attempt}") } else { String::new() };
                again + &rule.as_ref().map(|rule| format!(" allowed by {rule}")).unwrap_or_default()
            }
            EventKind::StepFailed { code, .. }
            | EventKind::StepRetried { code, .. }
            | EventKind::StepInDoubt { code, .. } => format!(" {code}"),
            EventKind::RunFailed { reason } => format!(" {}", reason.code),
            EventKind::StepSkipped { reason, .. } => {
                format!(" {}", serde_json::to_string(reason).unwrap_or_default())
            }
            EventKind::PolicyDecided { tool, verdict, rule, .. } => format!(" {tool} {verdict:?} by {rule}"),
            EventKind::ApprovalDecided { verdict, .. } => format!(" {verdict:?}"),
            _ => String::new(),
        };
        story.push_str(&more);
        for text in pointed_to(event) {
            let text = seen.texts.get(&text).unwrap_or(&Value::Null);
            let _ = write!(story, " {text}");
        }
        story.push('\n');
    }
    story.replace(&seen.folder.display().to_string(), "FOLDER")
}

fn path(place: &Place, test: &str) -> PathBuf {
    place.folder.join("snapshots").join(format!("{}.{test}.snap", place.stem))
}

/// Compares a story with the one that was written before, or writes it. True if it was written.
pub(super) fn compare(place: &Place, test: &str, story: &str, update: bool) -> Result<bool, Mismatch> {
    let path = path(place, test);
    let shown = path.display();
    match fs::read_to_string(&path) {
        Ok(before) if before == story => Ok(false),
        Ok(before) if !update => {
            let message =
                format!("the story is not that of {shown} (--update writes it anew):\n{}", difference(&before, story));
            Err(Mismatch::of_file(place, message))
        }
        Err(_) if !update => {
            Err(Mismatch::of_file(place, format!("there is no snapshot {shown}; write it with --update")))
        }
        _ => {
            let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, story));
            written.map(|()| true).map_err(|e| Mismatch::of_file(place, format!("{shown} cannot be written: {e}")))
        }
    }
}

/// The lines that differ: those of before with `-`, those of now with `+`.
fn difference(before: &str, now: &str) -> String {
    let (before, now): (Vec<_>, Vec<_>) = (before.lines().collect(), now.lines().collect());
    let same = before.iter().zip(&now).take_while(|(a, b)| a == b).count();
    let left = (before.len() - same).min(now.len() - same);
    let tail = before.iter().rev().zip(now.iter().rev()).take(left).take_while(|(a, b)| a == b).count();
    let context = before[..same].last().map(|line| format!("    {line}"));
    let gone = before[same..before.len() - tail].iter().map(|line| format!("  - {line}"));
    let come = now[same..now.len() - tail].iter().map(|line| format!("  + {line}"));
    let lines: Vec<_> = context.into_iter().chain(gone).chain(come).collect();
    let more = lines.len().saturating_sub(SHOWN);
    let mut text = lines.into_iter().take(SHOWN).collect::<Vec<_>>().join("\n");
    if more > 0 {
        let _ = write!(text, "\n    and {more} lines more");
    }
    text
}
