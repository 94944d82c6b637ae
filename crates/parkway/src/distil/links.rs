//! Arguments that an agent copied out of an earlier result, told as references to it.

use std::collections::HashMap;

use parkway_core::workflow::literal;
use serde_json::Value;

use super::place::{Part, Place};

/// Shorter texts stand in results by chance.
const SHORTEST: usize = 3;

/// Where each text of the results stands: none, where that is at several places.
#[derive(Debug, Default)]
pub(super) struct Links {
    places: HashMap<String, Option<Place>>,
}

impl Links {
    /// Adds the output of a step.
    pub(super) fn add(&mut self, step: &str, output: &Value) {
        self.walk(step, &mut Vec::new(), output);
    }

    fn walk(&mut self, step: &str, path: &mut Vec<Part>, value: &Value) {
        match value {
            Value::String(text) if text.chars().count() >= SHORTEST => {
                let place = Place { step: step.into(), path: path.clone() };
                self.places.entry(text.clone()).and_modify(|place| *place = None).or_insert(Some(place));
            }
            Value::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    path.push(Part::At(at));
                    self.walk(step, path, value);
                    path.pop();
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    path.push(Part::Name(name.clone()));
                    self.walk(step, path, value);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// The value with a reference in the place of each text that stands whole at one place of the results.
    pub(super) fn follow(&self, value: &mut Value) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(|value| self.follow(value)),
            Value::Object(map) => map.values_mut().for_each(|value| self.follow(value)),
            // One with marks in it is a template already, or would be looked for as what it is not.
            Value::String(text) if literal(text) == *text => {
                if let Some(place) = self.places.get(text).and_then(Option::as_ref) {
                    *text = place.template();
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_at_two_places_stays_a_literal() {
        let mut links = Links::default();
        links.add("s1", &json!({ "files": [{ "path": "a.md" }, { "path": "b.md" }], "first": "b.md" }));
        links.add("s2", &json!("whole text"));
        let mut with = json!({ "path": "a.md", "also": ["b.md", "whole text", "c.md"] });
        links.follow(&mut with);
        let expected = json!({
            "path": "${{ steps.s1.output.files[0].path }}", "also": ["b.md", "${{ steps.s2.output }}", "c.md"],
        });
        assert_eq!(with, expected);
    }
}
