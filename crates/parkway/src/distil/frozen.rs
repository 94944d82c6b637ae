//! What a distilled workflow writes as it was: what was found out once, and what a model made of it.

use parkway_core::workflow::{Verb, literal};
use serde_json::Value;

use super::file::Step;
use super::reached::Call;

/// A value that every run of the workflow gives to a call that changes something, whatever it finds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Frozen {
    /// Where it stands: `s4.text`.
    pub place: String,
    /// The value.
    pub value: Value,
}

/// The texts and numbers that a call is given as they were.
pub(super) fn frozen(step: &Step, call: &Call) -> Vec<Frozen> {
    let mut found = Vec::new();
    if let (Verb::Tool { with, .. }, Some((args, _)), true) = (&step.node.verb, call.made.first(), step.changes) {
        walk(&step.node.id, with, args, &mut found);
    }
    found
}

fn walk(place: &str, with: &Value, given: &Value, found: &mut Vec<Frozen>) {
    match (with, given) {
        (Value::Object(with), Value::Object(given)) => {
            for (key, value) in with {
                walk(&format!("{place}.{key}"), value, given.get(key).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(with), Value::Array(given)) => {
            for (at, (value, given)) in with.iter().zip(given).enumerate() {
                walk(&format!("{place}[{at}]"), value, given, found);
            }
        }
        // A template is none.
        (Value::String(text), Value::String(given)) if literal(given) == *text => {
            found.push(Frozen { place: place.into(), value: given.as_str().into() });
        }
        (Value::Number(number), _) => found.push(Frozen { place: place.into(), value: number.clone().into() }),
        _ => {}
    }
}
