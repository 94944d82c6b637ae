//! Calls of tools, told from the text of an answer while it comes in pieces.

use parkway_core::model::{Delta, ToolCall};
use serde_json::Value;

use crate::form::Form;
use crate::text::may_begin;

/// Splits an answer that comes in pieces into its text and its calls.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    form: Form,
    place: Place,
    held: String,
    /// Calls that are whole.
    whole: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Text, in which calls may begin.
    Text,
    /// Text, in which no call begins any more.
    Rest,
    /// Calls have begun, and none of them is being written.
    Between,
    /// The JSON of a call; the tool is named if it was before the JSON.
    Json { name: Option<String>, end: End },
}

/// Looks for the end of an object of JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct End {
    read: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl End {
    /// Where the object ends that `text` begins with, of which the first part was looked at before.
    fn find(&mut self, text: &str) -> Option<usize> {
        for (at, byte) in text.bytes().enumerate().skip(self.read) {
            self.read = at + 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

impl Calls {
    pub(crate) fn new(form: Form) -> Self {
        Calls { form, place: Place::Text, held: String::new(), whole: 0 }
    }

    /// Takes a piece in; what is certain of it is added to `deltas`.
    pub(crate) fn push(&mut self, piece: &str, deltas: &mut Vec<Delta>) {
        self.held.push_str(piece);
        while self.step(deltas) {}
    }

    /// Goes on; `false` when that takes more text.
    fn step(&mut self, deltas: &mut Vec<Delta>) -> bool {
        match &mut self.place {
            Place::Text => match self.form.begin() {
                None => match self.held.trim_start().chars().next() {
                    None => return false,
                    Some('{') => self.place = Place::Between,
                    Some(_) => self.place = Place::Rest,
                },
                Some(begin) => match self.held.split_once(begin) {
                    Some((text, rest)) => {
                        say(text.trim_end(), deltas);
                        (self.held, self.place) = (rest.to_owned(), Place::Between);
                    }
                    None => {
                        let certain = &self.held[..self.held.len() - may_begin(&self.held, begin)];
                        let held = self.held.split_off(certain.trim_end().len());
                        say(&std::mem::replace(&mut self.held, held), deltas);
                        return false;
                    }
                },
            },
            Place::Rest => {
                say(&std::mem::take(&mut self.held), deltas);
                return false;
            }
            Place::Between => {
                let Some((before, _)) = self.held.split_once('{') else { return false };
                let name = match self.form.arguments() {
                    Some(_) => None,
                    None => Some(name_in(before)),
                };
                self.held = self.held.split_off(before.len());
                self.place = Place::Json { name, end: End::default() };
            }
            Place::Json { name, end } => {
                let Some(at) = end.find(&self.held) else { return false };
                let rest = self.held.split_off(at);
                let json = std::mem::replace(&mut self.held, rest);
                match call(self.form, name.take(), &json, self.whole) {
                    Some(call) => {
                        self.whole += 1;
                        deltas.push(Delta::ToolCall(call));
                        self.place = Place::Between;
                    }
                    // Only an answer without a grammar comes here: it may be no call at all.
                    None => {
                        say(&json, deltas);
                        self.place = Place::Rest;
                    }
                }
            }
        }
        true
    }

    /// Whether a call has begun and is not whole.
    pub(crate) fn is_within_call(&self) -> bool {
        match self.place {
            Place::Text | Place::Rest => false,
            Place::Between => self.whole == 0,
            Place::Json { .. } => true,
        }
    }

    /// What was held back until the answer ended. Of an answer that was cut, half a marker is no text.
    pub(crate) fn end(&mut self, cut: bool, deltas: &mut Vec<Delta>) {
        let mut held = std::mem::take(&mut self.held);
        match (&self.place, self.form.begin()) {
            (Place::Between, _) => return,
            (Place::Text, Some(begin)) if cut => held.truncate(held.len() - may_begin(&held, begin)),
            _ => {}
        }
        say(&held, deltas);
    }
}

fn say(text: &str, deltas: &mut Vec<Delta>) {
    if !text.is_empty() {
        deltas.push(Delta::Text(text.to_owned()));
    }
}

/// The tool's name where it stands before its arguments: `…<｜tool▁sep｜>NAME` and a line that opens a block.
fn name_in(before: &str) -> String {
    let line = before.rsplit("<｜tool▁sep｜>").next().unwrap_or_default();
    line.trim_start().lines().next().unwrap_or_default().trim_end().to_owned()
}

fn call(form: Form, name: Option<String>, json: &str, at: usize) -> Option<ToolCall> {
    let mut value: Value = serde_json::from_str(json).ok()?;
    let Some(key) = form.arguments() else {
        return Some(ToolCall { id: format!("call_{at}"), name: name?, arguments: value });
    };
    let members = value.as_object_mut()?;
    let arguments = members.remove(key)?;
    let name = members.get("name")?.as_str()?.to_owned();
    let id = members.get("id").and_then(Value::as_str).filter(|_| form == Form::Mistral);
    Some(ToolCall { id: id.map_or_else(|| format!("call_{at}"), str::to_owned), name, arguments })
}

#[cfg(test)]
mod tests {
    use parkway_core::model::ChatResponse;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn split(form: Form, pieces: &[&str]) -> (String, Vec<(String, String, Value)>) {
        let (mut calls, mut deltas) = (Calls::new(form), Vec::new());
        pieces.iter().for_each(|piece| calls.push(piece, &mut deltas));
        calls.end(false, &mut deltas);
        let mut response = ChatResponse::default();
        deltas.into_iter().for_each(|delta| {
            response.take(delta);
        });
        let calls = response.tool_calls.into_iter().map(|call| (call.id, call.name, call.arguments));
        (response.text, calls.collect())
    }

    #[track_caller]
    fn check(form: Form, text: &str, said: &str, expect: &[(&str, &str, Value)]) {
        let expect: Vec<_> =
            expect.iter().map(|(id, name, value)| ((*id).to_owned(), (*name).to_owned(), value.clone())).collect();
        let chars = text.chars().map(String::from).collect::<Vec<_>>();
        for pieces in [vec![text], chars.iter().map(String::as_str).collect()] {
            assert_eq!(split(form, &pieces), (said.to_owned(), expect.clone()));
        }
    }

    const HERMES: &str = "Let me look. < <tool\n<tool_call>\n{\"name\": \"files.read\", \"arguments\": {\"path\": \"</tool_call>}\\\"\"}}\n\
                          </tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
    const MISTRAL: &str = "[TOOL_CALLS][{\"name\": \"a.b\", \"arguments\": {\"x\": [{\"y\": 1}]}, \"id\": \"abcDEF123\"}, \
                           {\"name\": \"c\", \"arguments\": {}, \"id\": \"abcDEF124\"}]";
    const DEEPSEEK: &str = "Well.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>files.read\n```json\n{\"path\": \"ä\"}\n\
                            ```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜>\
                            <｜tool▁calls▁end｜>";

    #[test]
    fn calls_of_each_form_are_told_from_text() {
        let path = json!({"path": "</tool_call>}\""});
        let calls = [("call_0", "files.read", path), ("call_1", "now", json!({}))];
        check(Form::Hermes, HERMES, "Let me look. < <tool", &calls);
        let calls = [("abcDEF123", "a.b", json!({"x": [{"y": 1}]})), ("abcDEF124", "c", json!({}))];
        check(Form::Mistral, MISTRAL, "", &calls);
        let calls = [("call_0", "files.read", json!({"path": "ä"})), ("call_1", "now", json!({}))];
        check(Form::DeepSeek, DEEPSEEK, "Well.", &calls);
        let call = "\n {\"name\": \"files.read\", \"parameters\": {\"path\": \"a\"}}";
        check(Form::Llama, call, "", &[("call_0", "files.read", json!({"path": "a"}))]);
    }

    #[test]
    fn text_without_calls_stays_as_it_is() {
        check(Form::Hermes, " a <tool b <tool_call", " a <tool b <tool_call", &[]);
        check(Form::Hermes, "a\n\n", "a\n\n", &[]);
        check(Form::Llama, " a {\"name\": 1}", " a {\"name\": 1}", &[]);
        check(Form::Llama, "{\"a\": 1} b", "{\"a\": 1} b", &[]);
        check(Form::Mistral, "[TOOL] [", "[TOOL] [", &[]);
        check(Form::DeepSeek, "<｜tool", "<｜tool", &[]);
    }

    #[test]
    fn an_answer_that_was_cut_has_no_half_marker() {
        let (mut calls, mut deltas) = (Calls::new(Form::Hermes), Vec::new());
        calls.push("a <tool_", &mut deltas);
        assert!(!calls.is_within_call());
        calls.end(true, &mut deltas);
        assert_eq!(deltas, [Delta::Text("a".into()), Delta::Text(" ".into())]);
        let mut calls = Calls::new(Form::Hermes);
        calls.push("<tool_call>\n{\"name", &mut Vec::new());
        assert!(calls.is_within_call());
    }

    proptest! {
        #[test]
        fn it_makes_no_difference_where_an_answer_is_cut(which in 0usize..4, cuts in prop::collection::vec(0usize..400, 0..8)) {
            let (form, text) = [
                (Form::Hermes, HERMES),
                (Form::Mistral, MISTRAL),
                (Form::DeepSeek, DEEPSEEK),
                (Form::Llama, "{\"name\": \"a\", \"parameters\": {\"ä\": \"}\"}}"),
            ][which];
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut % (text.len() + 1))).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
            prop_assert_eq!(split(form, &pieces), split(form, &[text]));
        }

        #[test]
        fn nor_of_any_text(parts in prop::collection::vec(prop::sample::select(vec![
            "<tool_call>", "</tool_call>", "<tool", "{", "}", "\"", "\\", "\n", "a", "[", "{\"name\": \"x\", \"arguments\": {}}",
        ]), 0..12), cut in 0usize..200) {
            let text = parts.concat();
            let at = text.floor_char_boundary(cut % (text.len() + 1));
            prop_assert_eq!(split(Form::Hermes, &[&text[..at], &text[at..]]), split(Form::Hermes, &[&text]));
        }
    }
}
