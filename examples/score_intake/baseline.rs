//! The baseline: what ten minutes with regular expressions get out of the same letters. It takes whatever its patterns
//! find, since it has nothing to check a value against.

use std::sync::LazyLock;

use regex::Regex;

use crate::field::Fields;
use crate::row::Row;

/// Reads one letter with patterns alone.
pub(crate) fn read(file: &str, text: &str) -> Row {
    let found = Fields { order: order(text), customer: customer(text), delivery: delivery(text) };
    Row { file: file.to_owned(), accepted: found.clone(), proposed: found }
}

/// The first thing that has the form of an order number.
fn order(text: &str) -> Option<String> {
    static ORDER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b[A-Z]{1,3}-[0-9]{2,6}\b"));
    ORDER.find(text).map(|found| found.as_str().to_owned())
}

/// A labelled line; else the last line of the signature; else a name after "from" or "for".
fn customer(text: &str) -> Option<String> {
    static LABEL: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?im)^ *(?:customer|company|client|kunde|from) *: *([^@\n]+)$"));
    static SIGNATURE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?im)^.*(?:regards|faithfully|sincerely|thanks|thank you|wishes|grüßen|distinguées)[,.]?\s*\n\s*((?:.*\S.*\n?)+)",
        )
    });
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?:from|for) ((?:\p{Lu}\w+|&)(?: (?:\p{Lu}\w+|&))+)"));

    if let Some(label) = LABEL.captures(text) {
        return Some(label[1].trim().to_owned());
    }
    if let Some(signature) = SIGNATURE.captures(text) {
        let line = signature[1].lines().last()?;
        return line.rsplit(", ").next().map(|name| name.trim().to_owned());
    }
    NAME.captures(text).map(|name| name[1].to_owned())
}

/// The first date soon after a word about delivery; else the last date of the letter.
fn delivery(text: &str) -> Option<String> {
    static DATE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"\d{1,2}\.\d{1,2}\.\d{4}|\d{4}-\d{2}-\d{2}|\d{1,2} \p{L}{3,9} \d{4}|\p{Lu}\p{L}{2,8} \d{1,2}, \d{4}")
    });
    static CUE: LazyLock<Regex> = LazyLock::new(|| pattern("(?i)deliver|liefer|livr"));

    CUE.find_iter(text)
        .find_map(|cue| DATE.find(&text[cue.end()..]).filter(|date| date.start() <= 60))
        .or_else(|| DATE.find_iter(text).last())
        .map(|date| date.as_str().to_owned())
}

#[expect(clippy::expect_used, reason = "every pattern is a constant, and the tests compile each of them")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, order: Option<&str>, customer: Option<&str>, delivery: Option<&str>) {
        let row = read("a.txt", text);
        let found = [&row.accepted.order, &row.accepted.customer, &row.accepted.delivery].map(Option::as_deref);
        assert_eq!(found, [order, customer, delivery]);
    }

    #[test]
    fn a_plain_letter_is_read_whole() {
        let text =
            "5 May 2027\n\nOrder AB-12. Please deliver by 6 June 2027.\n\nKind regards\n\nA. Ash\nOffice, Ash Ltd\n";
        check(text, Some("AB-12"), Some("Ash Ltd"), Some("6 June 2027"));
    }

    #[test]
    fn a_label_names_the_customer() {
        check("Customer:  Ash Ltd\nRequested delivery: 06.06.2027\n", None, Some("Ash Ltd"), Some("06.06.2027"));
    }

    #[test]
    fn a_letter_without_signature_is_searched_for_a_name() {
        check("This is Stan from Redhill Cycles, by June 6, 2027", None, Some("Redhill Cycles"), Some("June 6, 2027"));
    }

    #[test]
    fn nothing_found_is_nothing_claimed() {
        check("good morning", None, None, None);
    }
}
