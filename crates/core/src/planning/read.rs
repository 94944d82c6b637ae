//! Reading a line: its shape first, then whether it may stand where it does. All that is wrong is told at once.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::check::Check;
use super::draft::{Draft, LineError};
use super::line::{Comparison, Condition, Done, Line, PlannedStep};
use super::part::Part;
use super::reference::Reference;
use crate::workflow::{Type, did_you_mean};

const KEYS: [&str; 10] = ["id", "replaces", "tool", "for_each", "if", "args", "late", "uses", "after", "why"];

impl Draft {
    /// The line that a value is, if it may come next; else all that is wrong with it.
    pub fn read(&self, line: &Value) -> Result<Line, Vec<LineError>> {
        let mut reader = Reader { draft: self, errors: Vec::new() };
        match reader.line(line) {
            Some(line) if reader.errors.is_empty() => Ok(line),
            _ => Err(reader.errors),
        }
    }
}

struct Reader<'d> {
    draft: &'d Draft,
    errors: Vec<LineError>,
}

impl Reader<'_> {
    fn error(&mut self, code: &'static str, place: &str, message: impl Display) {
        self.errors.push(LineError { code, place: place.to_owned(), message: message.to_string() });
    }

    fn line(&mut self, line: &Value) -> Option<Line> {
        let Some(map) = line.as_object() else {
            self.error("json", "line", "a line is a JSON object");
            return None;
        };
        if self.draft.done.is_some() {
            self.error("standing", "line", "the plan is closed, and takes no line more");
        }
        if map.contains_key("done") {
            self.done(map).map(Line::Done)
        } else if map.contains_key("drop") {
            self.drop_line(map)
        } else {
            self.step(map).map(|step| Line::Step(Box::new(step)))
        }
    }

    fn only(&mut self, map: &Map<String, Value>, known: &[&str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let help = did_you_mean(key, known.iter().copied()).unwrap_or_default();
            self.error("shape", key, format!("a line of this kind has no `{key}`: {help}"));
        }
    }

    fn done(&mut self, map: &Map<String, Value>) -> Option<Done> {
        self.only(map, &["done", "answer"]);
        if map.get("done") != Some(&Value::Bool(true)) {
            self.error("shape", "done", "`done` is true: a line that closes nothing is not needed");
        }
        if !self.draft.may_close() {
            self.error("shape", "done", "a plan has at least one step: write one first");
        }
        let answer = map.get("answer").cloned();
        if let Some(answer) = &answer {
            let text = Value::Object(Map::from_iter([("type".to_owned(), "string".into())]));
            let schema = self.draft.answer.as_ref();
            if schema.is_none() && Reference::of(answer).is_none() {
                self.error("type", "answer", "the answer is a text: write a reference to one, or leave it out");
            } else {
                let mut check = Check::new(self.draft, None);
                check.value(&Part::whole(schema.unwrap_or(&text)), answer, "answer");
                self.errors.append(&mut check.errors);
            }
        }
        Some(Done { answer })
    }

    fn drop_line(&mut self, map: &Map<String, Value>) -> Option<Line> {
        self.only(map, &["drop"]);
        let id = map.get("drop").and_then(Value::as_str).unwrap_or_default().to_owned();
        let may = self.draft.droppable();
        if !self.draft.patching {
            self.error("standing", "drop", "only a patch drops steps; write the ones that are needed");
        } else if !may.contains(&id) {
            let code = if self.draft.steps.iter().any(|step| step.id == id) { "standing" } else { "unknown_step" };
            self.error(code, "drop", format!("`{id}` cannot be dropped: {}", choice(&may)));
        }
        Some(Line::Drop { id })
    }

    fn step(&mut self, map: &Map<String, Value>) -> Option<PlannedStep> {
        self.only(map, &KEYS);
        let next = self.draft.next_id();
        match map.get("id").map(Value::as_str) {
            Some(Some(id)) if id == next => {}
            _ => self.error("id", "id", format!("the next id is `{next}`")),
        }
        if self.draft.room() == 0 {
            self.error("limit", "line", "the plan has as many steps as it may: close it with {\"done\":true}");
        }
        let tool = self.text(map, "tool").unwrap_or_default();
        if !map.contains_key("tool") {
            self.error("shape", "tool", "a step names its tool");
        }
        let mut step = PlannedStep::new(next, tool);
        step.why = self.text(map, "why").unwrap_or_default();
        step.replaces = self.text(map, "replaces");
        step.late = self.text(map, "late");
        step.uses = self.ids(map, "uses");
        step.after = self.ids(map, "after");
        step.for_each = map.get("for_each").and_then(|value| self.reference(value, "for_each"));
        step.condition = map.get("if").and_then(|value| self.condition(value));
        match map.get("args") {
            Some(Value::Object(args)) => step.args.clone_from(args),
            Some(_) => self.error("shape", "args", "arguments are an object"),
            None if step.late.is_none() => self.error("shape", "args", "a step has `args`, or `late` and `uses`"),
            None => {}
        }
        if step.late.is_some() {
            for key in ["args", "for_each"].into_iter().filter(|key| map.contains_key(*key)) {
                self.error("shape", key, format!("a step that is decided late has no `{key}`"));
            }
            if step.uses.is_empty() {
                self.error("shape", "uses", "a late decision looks at one step at least");
            }
        } else if !step.uses.is_empty() {
            self.error("shape", "uses", "only a step that is decided late has `uses`; write `after` to wait for steps");
        }
        self.check(&step);
        Some(step)
    }

    fn check(&mut self, step: &PlannedStep) {
        let mut check = Check::new(self.draft, Some(step));
        check.step();
        self.errors.append(&mut check.errors);
    }

    fn text(&mut self, map: &Map<String, Value>, key: &str) -> Option<String> {
        let value = map.get(key)?;
        if !value.is_string() {
            self.error("shape", key, format!("`{key}` is a text"));
        }
        Some(value.as_str().unwrap_or_default().to_owned())
    }

    fn ids(&mut self, map: &Map<String, Value>, key: &str) -> Vec<String> {
        let Some(value) = map.get(key) else { return Vec::new() };
        let list = value.as_array().filter(|list| list.iter().all(Value::is_string));
        let Some(list) = list else {
            self.error("shape", key, format!("`{key}` is a list of ids: [\"s1\"]"));
            return Vec::new();
        };
        let mut ids: Vec<String> = Vec::new();
        for id in list.iter().filter_map(Value::as_str) {
            if !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
        ids
    }

    fn reference(&mut self, value: &Value, place: &str) -> Option<Reference> {
        let found = Reference::of(value).and_then(Result::ok);
        if found.is_none() {
            self.error("shape", place, "a reference stands here: {\"$ref\":\"s1.files\"}");
        }
        found
    }

    fn condition(&mut self, value: &Value) -> Option<Condition> {
        if Reference::of(value).is_some() {
            let left = self.reference(value, "if")?;
            return Some(Condition { left, is: Comparison::True, right: Value::Null });
        }
        let Some(map) = value.as_object() else {
            self.error("shape", "if", "`if` is a reference, or {\"left\":{\"$ref\":…},\"is\":\">\",\"right\":3}");
            return None;
        };
        for key in map.keys().filter(|key| !["left", "is", "right"].contains(&key.as_str())) {
            self.error("shape", &format!("if.{key}"), format!("`if` has `left`, `is` and `right`, and no `{key}`"));
        }
        let word = map.get("is").and_then(Value::as_str).unwrap_or_default();
        let is = Comparison::WRITTEN.into_iter().find(|one| one.as_str() == word);
        if is.is_none() {
            let words: Vec<_> = Comparison::WRITTEN.into_iter().map(Comparison::as_str).collect();
            self.error("shape", "if.is", format!("`is` is one of {}", words.join(", ")));
        }
        let left = self.reference(map.get("left").unwrap_or(&Value::Null), "if.left");
        let right = map.get("right");
        if right.is_some_and(|right| right.is_array() || right.is_object()) {
            self.error("shape", "if.right", "`right` is a text, a number, true, false or null, written out");
        }
        if is.is_some_and(Comparison::compares) && right.is_none() {
            self.error("shape", "if.right", "`right` says what it is compared with");
        }
        Some(Condition { left: left?, is: is?, right: right.cloned().unwrap_or_default() })
    }
}

/// What may stand in a place, in words.
pub(super) fn choice(may: &[String]) -> String {
    match may {
        [] => "there is none that may stand here".to_owned(),
        may => format!("`{}` may stand here", may.join("`, `")),
    }
}

/// A type that does not fit, in words.
pub(super) fn misfit(given: &Type, wanted: &Type) -> String {
    format!("this is {}, and {} is needed", given.short(), wanted.short())
}
