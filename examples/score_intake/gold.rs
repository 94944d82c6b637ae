//! The gold answers: what a careful reader finds in each letter.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::field::{Field, Fields, folded};

/// The answers by file name of the letter.
pub(crate) type Gold = BTreeMap<String, Answer>;

/// What stands in one letter; a field is `None` where the letter has no such value.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) order: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) delivery: Option<String>,
    /// Other forms, as written in the letter, that are right too.
    #[serde(default)]
    pub(crate) accept: Fields<Vec<String>>,
    /// What makes the letter hard, if anything was put there to do so.
    #[serde(default)]
    pub(crate) trap: Option<String>,
}

impl Answer {
    pub(crate) fn value(&self, field: Field) -> Option<&str> {
        match field {
            Field::Order => self.order.as_deref(),
            Field::Customer => self.customer.as_deref(),
            Field::Delivery => self.delivery.as_deref(),
        }
    }

    /// Whether the value is the gold one or one of its alternatives, white space aside.
    pub(crate) fn is_right(&self, field: Field, value: &str) -> bool {
        let value = folded(value);
        self.forms(field).any(|form| folded(form) == value)
    }

    fn forms(&self, field: Field) -> impl Iterator<Item = &str> {
        self.value(field).into_iter().chain(self.accept.get(field).iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use regex::Regex;

    use super::*;
    use crate::load::{read_gold, read_letters};

    fn shipped() -> (Gold, Vec<(String, String)>) {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        let gold = read_gold(&data.join("gold/order-intake.json")).unwrap();
        let letters = read_letters(&data.join("letters"), &gold).unwrap();
        (gold, letters)
    }

    #[test]
    fn every_letter_has_gold_and_all_gold_has_a_letter() {
        let (gold, letters) = shipped();
        let names: Vec<&String> = letters.iter().map(|(file, _)| file).collect();
        assert_eq!(gold.keys().collect::<Vec<_>>(), names);
        assert!(letters.len() >= 24, "{} letters", letters.len());
    }

    #[test]
    fn no_gold_value_is_missing_from_its_letter() {
        let (gold, letters) = shipped();
        for (file, text) in &letters {
            for field in Field::ALL {
                for form in gold[file].forms(field) {
                    assert!(text.contains(form), "{file}: {} {form:?}", field.name());
                }
            }
        }
    }

    #[test]
    fn no_gold_order_has_a_form_that_the_workflow_cannot_answer() {
        let pattern = Regex::new("^[A-Z]{1,3}-[0-9]{2,6}$").unwrap();
        for (file, answer) in shipped().0 {
            assert!(answer.order.is_none_or(|order| pattern.is_match(&order)), "{file}");
            assert!(answer.accept.order.is_empty(), "{file}: an order number has one form");
        }
    }

    #[test]
    fn no_letter_outgrows_a_small_context() {
        for (file, text) in shipped().1 {
            let words = text.split_whitespace().count();
            assert!((60..=180).contains(&words), "{file}: {words} words");
        }
    }
}
