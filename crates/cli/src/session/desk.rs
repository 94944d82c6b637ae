//! The questions of a run, and the person at the terminal who answers them.

use std::collections::VecDeque;
use std::io;
use std::thread;

use parkway::definition::Verb;
use parkway::id::StepKey;
use parkway::log::{Event, EventKind, Verdict, WaitFor};
use parkway::{Error, Parkway, Plan};
use serde_json::Value;
use tokio::sync::mpsc;

use super::form::Form;
use crate::render::{Question, Symbols};

/// What a person said at the prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Yes or no, and a remark.
    Said(Verdict, Option<String>),
    /// Something that is no answer.
    Unclear,
}

/// What a typed line says to the question that stands there.
#[derive(Debug)]
pub(super) enum Heard {
    /// Yes or no, and a remark.
    Decided(StepKey, Verdict, Option<String>),
    /// A form is filled.
    Filled(StepKey, Value),
    /// It is asked again, or for the next field.
    More,
}

#[derive(Debug)]
enum Asked {
    Approval(Question),
    Form(Form),
}

impl Asked {
    fn step(&self) -> &StepKey {
        match self {
            Asked::Approval(question) => &question.step,
            Asked::Form(form) => &form.step,
        }
    }
}

/// The questions that are open, oldest first.
#[derive(Debug, Default)]
pub(super) struct Desk {
    open: VecDeque<Asked>,
}

impl Desk {
    /// Takes in what an event says about questions. True if the first question has changed.
    pub(super) async fn apply(&mut self, parkway: &Parkway, plan: &Plan, event: &Event) -> Result<bool, Error> {
        let Some(key) = event.kind.key() else { return Ok(false) };
        let text = |value: Option<Value>| match value.unwrap_or_default() {
            Value::String(text) => text,
            other => other.to_string(),
        };
        match &event.kind {
            EventKind::ApprovalRequested { prompt, shown, .. } => {
                let mut texts = parkway.texts(&[*prompt, *shown]).await?.into_iter();
                let prompt = text(texts.next());
                let shown = texts.next().unwrap_or_default();
                // A step that asks again asks about other calls.
                let changed = self.close(key);
                self.open.push_back(Asked::Approval(Question { step: key.clone(), prompt, shown }));
                Ok(changed)
            }
            EventKind::StepWaiting { what: WaitFor::Input { prompt, filled, .. }, .. } => {
                let Some(schema) = form_of(plan, key) else { return Ok(false) };
                let prompt = text(Some(parkway.text(*prompt).await?));
                let mut form = Form::new(key.clone(), prompt, schema.clone());
                if let Some(filled) = filled {
                    form = form.filled(&parkway.text(*filled).await?);
                }
                let changed = self.close(key);
                self.open.push_back(Asked::Form(form));
                Ok(changed)
            }
            EventKind::ApprovalDecided { .. }
            | EventKind::InputReceived { .. }
            | EventKind::StepFailed { .. }
            | EventKind::StepSkipped { .. }
            | EventKind::StepCancelled { .. } => Ok(self.close(key)),
            _ => Ok(false),
        }
    }

    /// What the person reads of the oldest open question; the last line is the place where an answer is typed.
    pub(super) fn lines(&self, columns: usize, symbols: Symbols) -> Option<Vec<String>> {
        Some(match self.open.front()? {
            Asked::Approval(question) => {
                let mut lines = question.lines(columns, symbols);
                lines.push("  y or n, then a note if you like: ".into());
                lines
            }
            Asked::Form(form) => form.lines(columns, symbols),
        })
    }

    /// Takes a typed line for the oldest open question.
    pub(super) fn hear(&mut self, line: &str) -> Heard {
        let heard = match self.open.front_mut() {
            None => Heard::More,
            Some(Asked::Approval(question)) => match understand(line) {
                Answer::Said(verdict, note) => Heard::Decided(question.step.clone(), verdict, note),
                Answer::Unclear => Heard::More,
            },
            Some(Asked::Form(form)) => match form.hear(line) {
                Some(values) => Heard::Filled(form.step.clone(), values),
                None => Heard::More,
            },
        };
        if let Heard::Decided(step, ..) | Heard::Filled(step, _) = &heard {
            self.close(step);
        }
        heard
    }

    /// Takes a question away. True if it was the first.
    fn close(&mut self, key: &StepKey) -> bool {
        let first = self.open.front().is_some_and(|asked| asked.step() == key);
        self.open.retain(|asked| asked.step() != key);
        first
    }
}

/// The form of an `input` step.
pub(crate) fn form_of<'a>(plan: &'a Plan, key: &StepKey) -> Option<&'a Value> {
    let mut node = None;
    for segment in key.path() {
        node = Some(plan.graph.find(node, &segment.id)?);
    }
    match &plan.graph.node(node?).verb {
        Verb::Input { form, .. } => Some(form),
        _ => None,
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
