//! The step that a person means: `confirm`, `intake[3].extract`, or an item by its name: `intake[03-fax.txt].extract`.

use parkway::id::StepKey;
use parkway::{Error, Parkway, Record};
use serde_json::Value;

use crate::failure::Failure;

/// The step of a run that a text means; `None` if no such step has begun.
pub(crate) async fn find(parkway: &Parkway, record: &Record, text: &str) -> Result<Option<StepKey>, Error> {
    if let Some(step) = text.parse().ok().and_then(|key| record.state.step(&key)) {
        return Ok(Some(step.key.clone()));
    }
    let mut key: Option<StepKey> = None;
    for (id, item) in parts(text) {
        let step = key.as_ref().map_or_else(|| StepKey::root(id), |key| key.child(id));
        let step = match item {
            None => step,
            Some(name) => match index(parkway, record, &step, name).await? {
                Some(index) => step.item(index),
                None => return Ok(None),
            },
        };
        key = Some(step);
    }
    Ok(key.filter(|key| record.state.step(key).is_some()))
}

/// The place of an item, by its place or its name.
async fn index(parkway: &Parkway, record: &Record, step: &StepKey, name: &str) -> Result<Option<u32>, Error> {
    if let Ok(index) = name.parse() {
        return Ok(Some(index));
    }
    let fan = record.state.step(step).and_then(|step| step.fan.as_ref());
    let Some(names) = fan.and_then(|fan| fan.names) else { return Ok(None) };
    let Value::Array(names) = parkway.text(names).await? else { return Ok(None) };
    let place = names.iter().position(|known| known.as_str() == Some(name));
    Ok(place.and_then(|place| u32::try_from(place).ok()))
}

/// The levels of a text: ids, with what stands in brackets behind them. A name may hold dots.
fn parts(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut parts = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (id, behind) = text.split_at(end);
        let named = behind.strip_prefix('[').and_then(|behind| match behind.split_once("].") {
            Some((name, after)) => Some((name, Some(after))),
            None => behind.strip_suffix(']').map(|name| (name, None)),
        });
        match named {
            Some((name, after)) => {
                parts.push((id, Some(name)));
                rest = after;
            }
            None => {
                parts.push((id, None));
                rest = behind.strip_prefix('.');
            }
        }
    }
    parts
}

/// That a run has no such step, with steps that it has.
pub(crate) fn unknown(record: &Record, text: &str) -> Failure {
    let id = text.rsplit(['.', ']']).next().unwrap_or(text);
    let steps = || record.state.steps().iter().map(|step| &step.key);
    let mut near: Vec<_> = steps().filter(|key| key.last().is_some_and(|segment| segment.id == id)).collect();
    if near.is_empty() {
        near = steps().filter(|key| key.path().len() == 1 && **key == key.fan_out()).collect();
    }
    let near: Vec<_> = near.iter().take(12).map(|key| format!("`{key}`")).collect();
    let help = match near.len() {
        0 => "no step of it has begun".to_owned(),
        _ => format!("there are {}", near.join(", ")),
    };
    Failure::invalid(format!("run {} has no step `{text}`", record.state.run())).help(help)
}

/// The step among those that ask that is meant: the one found, or the only one with that id. `ask` says what they do, and
/// `none` that nobody does.
pub(crate) fn meant(
    record: &Record,
    asking: Vec<&StepKey>,
    text: &str,
    found: Option<StepKey>,
    ask: &str,
    none: &str,
) -> Result<StepKey, Failure> {
    let fits = |key: &StepKey| key.last().is_some_and(|segment| segment.id == text);
    let fitting: Vec<_> = asking.iter().copied().filter(|key| Some(*key) == found.as_ref() || fits(key)).collect();
    if let [key] = fitting.as_slice() {
        return Ok((*key).clone());
    }
    let problem = match found.and_then(|key| record.state.step(&key)) {
        Some(step) => format!("`{text}` does not {ask}: it is {}", step.status.as_str()),
        None if fitting.is_empty() => format!("`{text}` does not {ask}: no such step has begun"),
        None => format!("several steps are called `{text}`, and {ask}"),
    };
    let known: Vec<_> = asking.iter().take(12).map(|key| format!("`{key}`")).collect();
    let help = match known.len() {
        0 => none.to_owned(),
        _ => format!("these steps {ask}: {}", known.join(", ")),
    };
    Err(Failure::invalid(problem).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_are_read() {
        assert_eq!(parts("confirm"), [("confirm", None)]);
        assert_eq!(parts("a[3].b.c"), [("a", Some("3")), ("b", None), ("c", None)]);
        assert_eq!(parts("a[03-fax.txt].b"), [("a", Some("03-fax.txt")), ("b", None)]);
        assert_eq!(parts("a[x]"), [("a", Some("x"))]);
    }
}
