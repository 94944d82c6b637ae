//! `text.find`: whether values stand in a text. This is how a workflow checks what a model says that it read.

use std::collections::HashSet;

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::builtin::Builtin;

/// Looks values up in a text.
pub(crate) struct Find;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The text to look in.
    text: String,
    /// The values to look for. Null and values without any visible character count as missing.
    values: Vec<Option<String>>,
    /// Whether upper and lower case are the same.
    #[serde(default)]
    fold_case: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The values that stand in the text, in the order given, each once.
    found: Vec<String>,
    /// The other values, in the order given, each once.
    missing: Vec<Option<String>>,
    /// Whether no value is missing.
    all: bool,
}

impl Builtin for Find {
    const NAME: &'static str = "text.find";
    const DESCRIPTION: &'static str = "Tells which of the given values stand in a text, word for word. Use it to \
         check that something was copied from the text and not made up. Runs of white space are equal, and a value \
         does not count inside a longer word or number.";
    const EFFECT: Effect = Effect::Pure;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, _context: &ToolContext) -> Result<Output, ToolError> {
        let fold = |text: &str| folded(text, input.fold_case);
        let text = fold(&input.text);
        let (mut found, mut missing, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for value in input.values {
            if !seen.insert(value.clone()) {
                continue;
            }
            match value {
                Some(value) if stands_in(&text, &fold(&value)) => found.push(value),
                value => missing.push(value),
            }
        }
        Ok(Output { all: missing.is_empty(), found, missing })
    }
}

/// The text with each run of white space as one space, none at the ends, and accents in one form (NFC).
fn folded(text: &str, fold_case: bool) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.nfc());
    }
    if fold_case { folded.to_lowercase() } else { folded }
}

/// Whether `value` stands in `text` at least once without a letter or digit on either side that would continue it.
fn stands_in(text: &str, value: &str) -> bool {
    let (Some(first), Some(last)) = (value.chars().next(), value.chars().next_back()) else { return false };
    let continues =
        |edge: char, beyond: Option<char>| edge.is_alphanumeric() && beyond.is_some_and(char::is_alphanumeric);
    places(text, value).any(|at| {
        let before = text[..at].chars().next_back();
        let after = text[at + value.len()..].chars().next();
        !continues(first, before) && !continues(last, after)
    })
}

/// Where `value`, which is not empty, begins in `text`, with places that overlap. Linear however often it does (Knuth, Morris
/// and Pratt): a search that starts anew at each place would compare the same bytes again and again.
fn places<'t>(text: &'t str, value: &'t str) -> impl Iterator<Item = usize> {
    let skipped = text.find(value).unwrap_or(text.len());
    let (text, value) = (&text.as_bytes()[skipped..], value.as_bytes());
    // For each beginning of the value, how long the longest shorter one is that it ends with.
    let mut shorter = vec![0; if text.is_empty() { 0 } else { value.len() }];
    let mut matched = 0;
    for at in 1..shorter.len() {
        while matched > 0 && value[at] != value[matched] {
            matched = shorter[matched - 1];
        }
        matched += usize::from(value[at] == value[matched]);
        shorter[at] = matched;
    }
    let mut matched = 0;
    text.iter().enumerate().filter_map(move |(at, byte)| {
        while matched == value.len() || matched > 0 && *byte != value[matched] {
            matched = shorter[matched - 1];
        }
        matched += usize::from(*byte == value[matched]);
        (matched == value.len()).then(|| skipped + at + 1 - matched)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, value: &str, expected: bool) {
        assert_eq!(stands_in(&folded(text, false), &folded(value, false)), expected, "`{value}` in `{text}`");
    }

    #[test]
    fn a_number_inside_a_longer_one_is_not_found() {
        check("order AB-12 please", "AB-12", true);
        check("order AB-123 please", "AB-12", false);
        check("order XAB-12 please", "AB-12", false);
        check("AB-123, and AB-12", "AB-12", true);
        check("AB-12", "AB-12", true);
        check("(AB-12).", "AB-12", true);
        check("4711", "471", false);
        check("4711", "711", false);
    }

    #[test]
    fn boundaries_are_those_of_every_script() {
        check("Straße 7", "Stra", false);
        check("für Müller & Söhne", "Müller & Söhne", true);
        check("Заказ №15 принят", "№15", true);
        check("Заказ15", "15", false);
        check("٣٤٥", "٣٤", false);
    }

    #[test]
    fn an_edge_that_is_no_letter_needs_no_boundary() {
        check("price:12€each", "12€", true);
        check("a#12", "#12", true);
        check("a#123", "#12", false);
    }

    #[test]
    fn line_breaks_do_not_hide_a_value() {
        check("Karl\r\n   Ernst\u{a0}Weber", " Karl Ernst  Weber\n", true);
        check("KarlErnst", "Karl Ernst", false);
    }

    #[test]
    fn accents_are_found_in_either_form() {
        check("Caf\u{65}\u{301} Roma", "Caf\u{e9} Roma", true);
        check("Caf\u{65}\u{301}", "Cafe", false);
    }

    #[test]
    fn an_overlapping_occurrence_is_not_overlooked() {
        check("ba a a", "a a", true);
        check("xéé éé", "éé éé", false);
        check("xé é é", "é é", true);
    }

    #[test]
    fn a_value_that_stands_everywhere_but_alone_takes_no_time() {
        check(&"a".repeat(400_000), &"a".repeat(200_000), false);
        // Each place is continued on the right only, and the next one begins inside it.
        check(&"#ab".repeat(200_000), &format!("{}#a", "#ab".repeat(100_000)), false);
        check(&format!("{} a", "a".repeat(400_000)), "a", true);
    }

    #[test]
    fn nothing_is_found_for_nothing() {
        check("some text", "", false);
        check("some text", " \n\t", false);
        check("", "a", false);
    }

    proptest::proptest! {
        #[test]
        fn whole_words_are_found_in_any_script(before in "\\PC{0,12}", value in "\\PC{0,6}", after in "\\PC{0,12}") {
            let text = format!("{before} {value} {after}");
            let visible = !value.trim().is_empty();
            let text = folded(&text, false);
            let value = folded(&value, false);
            // A value that begins with a combining mark may grow together with the space before it; that cannot happen
            // with alphanumerics.
            if visible && value.chars().all(char::is_alphanumeric) {
                proptest::prop_assert!(stands_in(&text, &value));
            } else {
                let _ = stands_in(&text, &value);
            }
        }
    }
}
