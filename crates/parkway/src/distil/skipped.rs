//! What may be skipped, since its `if` may not hold: whoever looks at what it gave says what then.

use std::collections::BTreeSet;

use parkway_core::workflow::RunIf;
use serde_json::Value;

use super::file::Step;
use super::place::Place;

/// The steps that may be skipped: those with an `if`, and those that wait for one.
pub(super) fn skippable(steps: &[Step]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for step in steps {
        let waits = step.node.run_if == RunIf::Completed && !step.needs().is_disjoint(&found);
        if step.node.condition.is_some() || waits {
            found.insert(step.node.id.clone());
        }
    }
    found
}

/// A text about a step that may be skipped.
pub(super) fn tested(step: &str, text: &str) -> String {
    format!("{{% if steps.{step}.status == 'completed' %}}{text}{{% else %}}skipped{{% endif %}}")
}

/// An answer with null in the place of what a step that was skipped did not give.
pub(super) fn or_null(answer: Value, skippable: &BTreeSet<String>) -> Value {
    match answer {
        Value::String(text) => match Place::whole(&text).filter(|place| skippable.contains(&place.step)) {
            Some(place) => {
                let (step, way) = (&place.step, place.expression());
                Value::String(format!("${{{{ {way} if steps.{step}.status == 'completed' else none }}}}"))
            }
            None => Value::String(text),
        },
        Value::Array(list) => list.into_iter().map(|value| or_null(value, skippable)).collect(),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, or_null(value, skippable))).collect())
        }
        other => other,
    }
}
