//! A call in doubt, as a person is asked about it: what is known of it, and what may be said.

use parkway::definition::Verb;
use parkway::id::{EffectKey, StepKey};
use parkway::log::{EventKind, Resolution};
use parkway::{Parkway, Record};
use serde_json::Value;

use crate::failure::Failure;
use crate::render::{Symbols, clean, harmless, indented, local, wrap};

/// A schema longer than this hides what is wrong.
const SCHEMA: usize = 400;
/// The most lines of a message.
const MESSAGE: usize = 10;

/// A question about a call in doubt.
#[derive(Debug)]
pub(crate) struct Doubt {
    known: Known,
    /// What was said before the output, once somebody says that the call was carried out.
    done: Option<Option<String>>,
    problem: Option<String>,
    told: bool,
}

/// What is known of a call in doubt. Arguments hold no secret: those are put in when the call is made.
#[derive(Debug)]
struct Known {
    step: StepKey,
    tool: String,
    about: String,
    returns: Option<String>,
    args: Option<Value>,
    key: Option<EffectKey>,
    begun: Option<String>,
    why: String,
    message: String,
}

/// What a typed line was.
#[derive(Debug, PartialEq)]
pub(crate) enum Word {
    /// What became of the call, and a remark.
    Said(Resolution<Value>, Option<String>),
    /// More is to be asked.
    More,
}

impl Doubt {
    /// Reads what the log and the tool tell.
    pub(crate) async fn read(parkway: &Parkway, record: &Record, key: &StepKey) -> Result<Doubt, Failure> {
        let mut known = Known {
            step: key.clone(),
            tool: String::new(),
            about: String::new(),
            returns: Doubt::returns(parkway, record, key),
            args: None,
            key: record.state.effect_key(key),
            begun: None,
            why: String::new(),
            message: String::new(),
        };
        if let Some(tool) = tool_of(record, key) {
            known.tool = tool.to_owned();
            known.about = parkway.tools().get(tool).map(|tool| tool.spec().description.clone()).unwrap_or_default();
        }
        let mut worker = String::new();
        for event in &record.events {
            match &event.kind {
                EventKind::RunClaimed { worker: by } => worker = by.as_str().to_owned(),
                EventKind::StepStarted { key: of, attempt, .. } if of == key => {
                    known.begun = Some(format!("attempt {attempt}, {}, by {worker}", local(event.at)));
                }
                EventKind::StepInDoubt { key: of, code, message, .. } if of == key => {
                    known.why = format!("{}, {}", clean(code), local(event.at));
                    known.message = parkway.text(*message).await?.as_str().map(clean).unwrap_or_default();
                }
                _ => {}
            }
        }
        if let Some(args) = record.state.step(key).and_then(|step| step.args) {
            known.args = Some(parkway.text(args).await?);
        }
        Ok(Doubt { known, done: None, problem: None, told: false })
    }

    /// What the step's tool returns, where this program has the tool and can say it in few words.
    pub(crate) fn returns(parkway: &Parkway, record: &Record, key: &StepKey) -> Option<String> {
        let tool = tool_of(record, key)?;
        let schema = parkway.tools().get(tool)?.spec().output_schema.to_string();
        (schema.len() <= SCHEMA).then(|| format!("`{tool}` returns {}", harmless(&schema)))
    }

    /// What the person reads next; the last line is the place where an answer is typed.
    pub(crate) fn lines(&mut self, columns: usize, symbols: Symbols) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.told {
            self.told = true;
            lines.extend(self.known.lines(columns, symbols));
        }
        lines.extend(self.problem.take().map(|problem| format!("  ! {}", clean(&problem))));
        if self.done.is_some() {
            lines.extend(self.known.returns.as_ref().map(|returns| format!("  {returns}")));
            lines.push("  what it returned, as JSON: ".into());
        } else {
            lines.extend([
                "  d  it was carried out: the step completes with what the call returned".to_owned(),
                "  n  it was not: tried again while its `retry` lasts, under the same key".to_owned(),
                "  r  make it again, whatever became of it: under a new key, and its effect may happen twice"
                    .to_owned(),
                "  d, n or r, then a note if you like: ".to_owned(),
            ]);
        }
        lines
    }

    /// Takes a typed line. `check` says why a call cannot have returned a value.
    pub(crate) fn hear(&mut self, line: &str, check: impl Fn(&Value) -> Result<(), String>) -> Word {
        let line = line.trim();
        if let Some(note) = &self.done {
            let output = serde_json::from_str(line).map_err(|e| format!("it is no JSON: {e}"));
            return match output.and_then(|output| check(&output).map(|()| output)) {
                Ok(output) => Word::Said(Resolution::Done { output }, note.clone()),
                Err(problem) => {
                    self.problem = Some(problem);
                    Word::More
                }
            };
        }
        let (word, note) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let note = Some(note.trim()).filter(|note| !note.is_empty()).map(str::to_owned);
        match word.trim_end_matches([',', '.', ':']).to_lowercase().as_str() {
            "d" | "done" => {
                self.done = Some(note);
                Word::More
            }
            "n" | "not" | "not-done" => Word::Said(Resolution::NotDone, note),
            "r" | "redo" => Word::Said(Resolution::Redo, note),
            _ => Word::More,
        }
    }
}

impl Known {
    fn lines(&self, columns: usize, symbols: Symbols) -> Vec<String> {
        let mut lines = vec![String::new(), format!("? {}  {}", self.step, clean(&self.tool))];
        let room = columns.saturating_sub(2);
        let mut wrapped = |text: &str| {
            lines.extend(wrap(&clean(text), room, MESSAGE, symbols).into_iter().map(|line| format!("  {line}")));
        };
        wrapped(&self.about);
        wrapped(&format!("nobody knows whether this call was carried out: {}", self.why));
        wrapped(&self.message);
        if let Some(args) = &self.args {
            lines.push("  arguments".into());
            lines.extend(indented(args, 4));
        }
        lines.extend(self.begun.as_ref().map(|begun| format!("  made      {}", clean(begun))));
        lines.extend(self.key.map(|key| format!("  key       {key}")));
        lines
    }
}

/// The tool that a step calls.
fn tool_of<'a>(record: &'a Record, key: &StepKey) -> Option<&'a str> {
    match &record.state.plan().graph.node(record.state.step(key)?.node).verb {
        Verb::Tool { name, .. } => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use parkway::id::RunId;
    use serde_json::json;

    use super::*;

    fn doubt() -> Doubt {
        let step: StepKey = "invoices[3].pay".parse().unwrap();
        let run: RunId = "01a204cf-a351-7a50-8736-8480bb500244".parse().unwrap();
        let known = Known {
            tool: "bank.pay".into(),
            about: "Pays an amount, once.".into(),
            returns: Some("`bank.pay` returns {}".into()),
            args: Some(json!({ "to": "Ada \u{1b}[2J", "amount": 12 })),
            key: Some(EffectKey::new(run, &step, 0)),
            begun: Some("attempt 1, 2026-11-23 06:00:00, by w7-ab".into()),
            why: "crash, 2026-11-23 06:01:00".into(),
            message: "the process ended while the call was under way".into(),
            step,
        };
        Doubt { known, done: None, problem: None, told: false }
    }

    #[test]
    fn what_is_known_is_told_once_and_cannot_steer_the_terminal() {
        let mut doubt = doubt();
        let first = doubt.lines(80, Symbols::Ascii);
        assert!(!first.iter().any(|line| line.contains('\u{1b}')));
        insta::assert_snapshot!(first.join("\n"));
        assert_eq!(doubt.hear("maybe", |_| Ok(())), Word::More);
        assert_eq!(doubt.lines(80, Symbols::Ascii).len(), 4);
    }

    #[test]
    fn an_output_is_asked_again_until_the_tool_could_have_returned_it() {
        let mut doubt = doubt();
        let check = |output: &Value| output.as_i64().map(drop).ok_or_else(|| "no number".to_owned());
        assert_eq!(doubt.hear("D, by hand\n", check), Word::More);
        for (line, problem) in [("R-17", "no JSON"), ("\"a\"", "no number")] {
            assert_eq!(doubt.hear(line, check), Word::More);
            assert!(doubt.lines(80, Symbols::Ascii).iter().any(|line| line.contains(problem)), "{line}");
        }
        let said = Word::Said(Resolution::Done { output: json!(3) }, Some("by hand".into()));
        assert_eq!(doubt.hear("3\n", check), said);
    }

    #[test]
    fn only_a_clear_word_is_one() {
        for (line, word) in [
            ("n\n", Word::Said(Resolution::NotDone, None)),
            ("redo: the bank says no", Word::Said(Resolution::Redo, Some("the bank says no".into()))),
            ("\n", Word::More),
            ("no", Word::More),
            ("yes", Word::More),
        ] {
            assert_eq!(doubt().hear(line, |_| Ok(())), word, "{line:?}");
        }
    }
}
