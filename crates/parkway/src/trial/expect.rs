//! Whether a run came out as its test says.

use std::fmt;
use std::fs;
use std::path::Path;

use parkway_core::id::StepKey;
use parkway_core::log::{EventKind, RunStatus, Step, StepStatus};
use parkway_core::workflow::did_you_mean;
use serde_json::Value;
use serde_saphyr::Location;

use super::Place;
use super::form::{Expected, StepExpected, place_of};
use super::snapshot::Texts;
use crate::record::Record;

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// Where it is expected: `file:line:col`.
    pub place: String,
    /// What is expected, and what came.
    pub message: String,
}

impl Mismatch {
    pub(super) fn new(place: &Place, location: Location, message: String) -> Self {
        let at = place_of(location);
        Mismatch { place: format!("{}:{}:{}", place.file, at.line, at.column), message }
    }

    pub(super) fn of_file(place: &Place, message: String) -> Self {
        Mismatch { place: place.file.clone(), message }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  --> {}", self.message, self.place)
    }
}

/// What is there to be looked at when a run does not go on.
pub(super) struct Seen<'a> {
    pub(super) record: &'a Record,
    pub(super) texts: &'a Texts,
    pub(super) folder: &'a Path,
}

pub(super) fn check(place: &Place, expected: &Expected, seen: &Seen<'_>) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let mut miss = |location: Location, message: String| found.push(Mismatch::new(place, location, message));
    let status = seen.record.state.status();
    let last = seen.record.events.last().map(|event| &event.kind);
    let came = how_it_ended(seen);
    match &expected.status {
        Some(wanted) if wanted.value != status.as_str() => {
            miss(wanted.referenced, format!("the run should be {}, and {came}", wanted.value));
        }
        // A test that says nothing of the end means a good one, unless it names how the run fails.
        None if status != RunStatus::Completed && expected.code.is_none() => {
            let message = format!("the run should complete, and {came}");
            match &expected.outputs {
                Some(outputs) => miss(outputs.referenced, message),
                None => found.push(Mismatch::of_file(place, message)),
            }
        }
        _ => {}
    }
    let mut miss = |location: Location, message: String| found.push(Mismatch::new(place, location, message));
    if let Some(code) = &expected.code {
        match last {
            Some(EventKind::RunFailed { reason }) if reason.code == code.value => {}
            _ => miss(code.referenced, format!("the run should fail with the code `{}`, and {came}", code.value)),
        }
    }
    if let (Some(outputs), Some(EventKind::RunCompleted { outputs: commitment })) = (&expected.outputs, last) {
        let value = seen.texts.get(commitment).unwrap_or(&Value::Null);
        for difference in differences("outputs", &outputs.value, value) {
            miss(outputs.referenced, difference);
        }
    }
    for (name, step) in &expected.steps.0 {
        for message in check_step(&name.value, step, seen) {
            miss(name.referenced, message);
        }
    }
    let mut events = seen.record.events.iter();
    for wanted in &expected.events {
        if !events.any(|event| is_event(&wanted.value, &event.kind)) {
            miss(wanted.referenced, format!("the event {} should have come, in this order", wanted.value));
            break;
        }
    }
    for (path, text) in &expected.files.0 {
        let there = fs::read_to_string(seen.folder.join(&path.value)).ok();
        match (text, there) {
            (Value::Null, Some(_)) => miss(path.referenced, format!("the file `{}` should not be there", path.value)),
            (Value::Null, None) => {}
            (_, None) => miss(path.referenced, format!("the file `{}` should be there", path.value)),
            (Value::String(text), Some(there)) if *text != there => {
                miss(path.referenced, format!("the file `{}` should hold {text:?}, and holds {there:?}", path.value));
            }
            _ => {}
        }
    }
    found
}

/// How the run ended, in words.
fn how_it_ended(seen: &Seen<'_>) -> String {
    match seen.record.events.last().map(|event| &event.kind) {
        Some(EventKind::RunFailed { reason }) => {
            let at = reason.step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default();
            let message = reason.message.and_then(|message| seen.texts.get(&message));
            let message = message.and_then(Value::as_str).unwrap_or("no reason was recorded");
            format!("it failed{at}: {message} [{}]", reason.code)
        }
        _ => {
            let asking: Vec<_> = seen.record.state.asking().map(|step| format!("`{}`", step.key)).collect();
            let status = seen.record.state.status().as_str();
            if asking.is_empty() {
                format!("it is {status}")
            } else {
                format!("it is {status}: {} asks, and the test has no answer", asking.join(", "))
            }
        }
    }
}

fn check_step(name: &str, expected: &StepExpected, seen: &Seen<'_>) -> Vec<String> {
    let Some(step) = find(name, seen) else {
        let unborn = StepStatus::Pending.as_str();
        if expected.status.as_deref() == Some(unborn) {
            return Vec::new();
        }
        let known: Vec<_> = seen.record.state.steps().iter().map(|step| step.key.to_string()).collect();
        let help = did_you_mean(name, known.iter().map(String::as_str)).unwrap_or_default();
        return vec![format!("no step `{name}` has begun; {help}")];
    };
    let mut wrong = Vec::new();
    let error = step.error.as_ref();
    let why = error.map(|error| {
        let message = seen.texts.get(&error.message).and_then(Value::as_str).unwrap_or_default();
        format!(": {message} [{}]", error.code)
    });
    if let Some(status) = expected.status.as_deref().filter(|status| *status != step.status.as_str()) {
        let why = why.clone().unwrap_or_default();
        wrong.push(format!("`{name}` should be {status}, and is {}{why}", step.status.as_str()));
    }
    if let Some(code) = expected.code.as_ref().filter(|code| error.map(|error| &error.code) != Some(*code)) {
        let why = why.unwrap_or_else(|| format!(": it is {}", step.status.as_str()));
        wrong.push(format!("`{name}` should have failed with the code `{code}`{why}"));
    }
    if let Some(attempts) = expected.attempts.filter(|attempts| *attempts != step.attempt) {
        wrong.push(format!("`{name}` should have {attempts} attempts, and has {}", step.attempt));
    }
    if let Some(output) = &expected.output {
        wrong.extend(differences(&format!("the output of `{name}`"), output, &output_of(step, seen)));
    }
    wrong
}

/// The output of a step: its own, that of its items as a list, or that of its members by their ids.
fn output_of(step: &Step, seen: &Seen<'_>) -> Value {
    if let Some(output) = step.output {
        return seen.texts.get(&output).cloned().unwrap_or_default();
    }
    let steps = seen.record.state.steps();
    let of_key = |key: &StepKey| seen.record.state.step(key).map_or(Value::Null, |step| output_of(step, seen));
    if step.status != StepStatus::Completed {
        Value::Null
    } else if let Some(fan) = &step.fan {
        (0..fan.total).map(|index| of_key(&step.key.item(index))).collect()
    } else {
        let within = |member: &&Step| member.key.path().split_last().is_some_and(|(_, above)| above == step.key.path());
        let members = steps
            .iter()
            .filter(within)
            .filter_map(|member| Some((member.key.last()?.id.clone(), output_of(member, seen))));
        let members: serde_json::Map<_, _> = members.collect();
        if members.is_empty() { Value::Null } else { Value::Object(members) }
    }
}

/// The step with this key, or the first whose path or id this is.
fn find<'a>(name: &str, seen: &'a Seen<'_>) -> Option<&'a Step> {
    let state = &seen.record.state;
    let whole = name.parse::<StepKey>().ok().and_then(|key| state.step(&key));
    whole.or_else(|| state.steps().iter().find(|step| super::doubles::means(name, &step.key)))
}

/// `name`, or `{ name: step }`.
fn is_event(wanted: &Value, kind: &EventKind) -> bool {
    let means = |step: &str| kind.key().is_some_and(|key| super::doubles::means(step, key));
    match wanted {
        Value::String(name) => kind.name() == name,
        Value::Object(map) => {
            map.iter().all(|(name, step)| kind.name() == name && step.as_str().is_none_or(means)) && map.len() == 1
        }
        _ => false,
    }
}

/// Where a value is not as expected. An object may have more keys than are expected of it; a list may not be longer.
fn differences(path: &str, expected: &Value, value: &Value) -> Vec<String> {
    match (expected, value) {
        (Value::Object(expected), Value::Object(map)) => expected
            .iter()
            .flat_map(|(key, expected)| match map.get(key) {
                Some(value) => differences(&format!("{path}.{key}"), expected, value),
                None => vec![format!("{path} should have `{key}`, and has not")],
            })
            .collect(),
        (Value::Array(expected), Value::Array(list)) if expected.len() == list.len() => {
            let pairs = expected.iter().zip(list).enumerate();
            pairs.flat_map(|(i, (expected, value))| differences(&format!("{path}[{i}]"), expected, value)).collect()
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => Vec::new(),
        _ if expected == value => Vec::new(),
        _ => vec![format!("{path} should be {expected}, and is {value}")],
    }
}
