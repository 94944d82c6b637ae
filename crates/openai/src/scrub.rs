//! Words of a server, made fit to be shown: without the key, without control characters, and not endless.

use std::fmt;

/// The most characters of foreign words in an error.
const MOST: usize = 400;

/// A key shorter than this is no secret, and to look for it would take words apart.
const SHORTEST: usize = 4;

/// Cleans words of a key.
#[derive(Clone, Default)]
pub(crate) struct Scrub {
    /// The forms in which the key may come back, longest first.
    forms: Vec<String>,
}

impl fmt::Debug for Scrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrub").finish_non_exhaustive()
    }
}

impl Scrub {
    pub(crate) fn new(key: Option<&str>) -> Self {
        let Some(key) = key.filter(|key| key.len() >= SHORTEST) else { return Scrub::default() };
        let quoted = serde_json::Value::String(key.to_owned()).to_string();
        let percent = |c: char| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | '~' => c.to_string(),
            _ => c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect(),
        };
        let mut forms =
            vec![key.to_owned(), quoted[1..quoted.len() - 1].to_owned(), key.chars().map(percent).collect()];
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Scrub { forms }
    }

    /// A text without the key.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form, "[secret]"))
    }

    /// Foreign words for an error: one line, without the key and without control characters, cut where they are too long.
    pub(crate) fn words(&self, text: &str) -> String {
        // The key goes first, so that no cut leaves a part of it.
        let clean = self.clean(text);
        let plain = clean.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c });
        let mut words = plain.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((cut, _)) = words.char_indices().nth(MOST) {
            words.truncate(cut);
            words.push('…');
        }
        words
    }
}

/// Characters that change how others are shown.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_key_stays() {
        let scrub = Scrub::new(Some("sk/\"quoted\"+1"));
        for echoed in [r#"no key sk/"quoted"+1!"#, r#"{"key":"sk/\"quoted\"+1"}"#, "?key=sk%2F%22quoted%22%2B1&x"] {
            let shown = scrub.words(echoed);
            assert!(shown.contains("[secret]") && !shown.contains("quoted"), "{shown}");
        }
    }

    #[test]
    fn a_cut_leaves_no_part_of_a_key() {
        let key = "k".repeat(50);
        let shown = Scrub::new(Some(&key)).words(&format!("{}{key}{}", "x".repeat(MOST - 20), "y".repeat(100)));
        assert!(!shown.contains('k') && shown.chars().count() == MOST + 1, "{shown}");
    }

    #[test]
    fn words_cannot_steer_a_terminal() {
        assert_eq!(Scrub::default().words("a\u{1b}[2J\r\n\tb\u{202e}c\u{0}"), "a [2J b c");
    }
}
