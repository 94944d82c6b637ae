//! Words of a server, made fit to be shown: without the key, without control characters, and not endless.

use parkway_core::secret::{self, Secret};

/// The most characters of foreign words in an error.
const MOST: usize = 400;

/// A key shorter than this is no secret, and to look for it would take words apart.
const SHORTEST: usize = 4;

/// Cleans words of a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrub {
    key: secret::Scrub,
}

impl Scrub {
    pub(crate) fn new(key: Option<&str>) -> Self {
        let Some(key) = key.filter(|key| key.len() >= SHORTEST) else { return Scrub::default() };
        Scrub { key: secret::Scrub::new([("[secret]", &Secret::new(key))]) }
    }

    /// A text without the key.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.key.clean(text)
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
        for echoed in [
            r#"no key sk/"quoted"+1!"#,
            r#"{"key":"sk/\"quoted\"+1"}"#,
            "?key=sk%2f%22quoted%22%2B1&x",
            "c2svInF1b3RlZCIrMQ==",
        ] {
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
