//! The step that a person means: `confirm`, `intake[3].extract`, or an item by its name: `intake[03-fax.txt].extract`.

use parkway::id::StepKey;
use parkway::{Error, Parkway, Record};
use serde_json::Value;

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
