//! The questions of a run, and the person at the terminal who answers them.

use std::collections::VecDeque;
use std::io;
use std::thread;

use parkway::id::StepKey;
use parkway::log::{Event, EventKind, Verdict};
use parkway::{Error, Parkway};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::render::Question;

/// What a person said at the prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Yes or no, and a remark.
    Said(Verdict, Option<String>),
    /// Something that is no answer.
    Unclear,
}

/// The questions that are open, oldest first.
#[derive(Debug, Default)]
pub(super) struct Desk {
    open: VecDeque<Question>,
}

impl Desk {
    /// Takes in what an event says about questions. True if the first question has changed.
    pub(super) async fn apply(&mut self, parkway: &Parkway, event: &Event) -> Result<bool, Error> {
        let Some(key) = event.kind.key() else { return Ok(false) };
        match &event.kind {
            EventKind::ApprovalRequested { prompt, shown, .. } => {
                let mut texts = parkway.texts(&[*prompt, *shown]).await?.into_iter();
                let prompt = match texts.next().unwrap_or_default() {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                let shown = texts.next().unwrap_or_default();
                // A step that asks again asks about other calls.
                let changed = self.close(key);
                self.open.push_back(Question { step: key.clone(), prompt, shown });
                Ok(changed)
            }
            EventKind::ApprovalDecided { .. }
            | EventKind::StepFailed { .. }
            | EventKind::StepSkipped { .. }
            | EventKind::StepCancelled { .. } => Ok(self.close(key)),
            _ => Ok(false),
        }
    }

    /// The oldest open question.
    pub(super) fn first(&self) -> Option<&Question> {
        self.open.front()
    }

    /// Takes a question away. True if it was the first.
    pub(super) fn close(&mut self, key: &StepKey) -> bool {
        let first = self.first().is_some_and(|question| question.step == *key);
        self.open.retain(|question| question.step != *key);
        first
    }
}

/// Lines from stdin, read by a thread that nothing waits for: a read from a terminal cannot be broken off.
#[derive(Debug)]
pub(super) struct Lines {
    wanted: std::sync::mpsc::Sender<()>,
    lines: mpsc::UnboundedReceiver<Option<String>>,
    reading: bool,
}

impl Lines {
    pub(super) fn new() -> Self {
        let (wanted, wishes) = std::sync::mpsc::channel();
        let (sender, lines) = mpsc::unbounded_channel();
        thread::spawn(move || {
            while wishes.recv().is_ok() {
                let mut line = String::new();
                let line = match io::stdin().read_line(&mut line) {
                    Ok(0) | Err(_) => None,
                    Ok(_) => Some(line),
                };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Lines { wanted, lines, reading: false }
    }

    /// Asks for a line that is typed from now on: what was typed before the question stood there is no answer to it.
    pub(super) fn want(&mut self) {
        #[cfg(unix)]
        {
            use rustix::termios::{QueueSelector, tcflush};
            // Stdin may be no terminal; then there is nothing to forget.
            let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        }
        while self.lines.try_recv().is_ok() {
            self.reading = false;
        }
        if !self.reading {
            self.reading = self.wanted.send(()).is_ok();
        }
    }

    /// The next line; `None` at the end of the input.
    pub(super) async fn next(&mut self) -> Option<String> {
        let line = self.lines.recv().await.flatten();
        self.reading = false;
        line
    }
}

/// What a typed line means.
pub(super) fn understand(line: &str) -> Answer {
    let line = line.trim();
    let (word, note) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let verdict = match word.trim_end_matches([',', '.', ':']).to_lowercase().as_str() {
        "y" | "yes" => Verdict::Approved,
        "n" | "no" => Verdict::Rejected,
        _ => return Answer::Unclear,
    };
    let note = note.trim();
    Answer::Said(verdict, (!note.is_empty()).then(|| note.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_question_that_went_away_is_none_to_the_next() {
        let (wanted, wishes) = std::sync::mpsc::channel();
        let (sender, lines) = mpsc::unbounded_channel();
        let mut lines = Lines { wanted, lines, reading: false };
        lines.want();
        assert!(wishes.try_recv().is_ok());
        sender.send(Some("y\n".into())).unwrap();
        lines.want();
        assert!(lines.lines.try_recv().is_err(), "a stale line was kept");
        assert!(wishes.try_recv().is_ok(), "no new line is asked for");
    }

    #[test]
    fn only_a_clear_word_is_an_answer() {
        assert_eq!(understand("y\n"), Answer::Said(Verdict::Approved, None));
        assert_eq!(understand("No, wrong customer"), Answer::Said(Verdict::Rejected, Some("wrong customer".into())));
        for unclear in ["", "\n", "yup", "ok", "maybe y"] {
            assert_eq!(understand(unclear), Answer::Unclear, "{unclear:?}");
        }
    }
}
