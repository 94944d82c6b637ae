//! Whole characters out of tokens that may hold a part of one.

/// Bytes of an answer that are not yet whole characters.
#[derive(Debug, Default)]
pub(crate) struct TextBuffer {
    pending: Vec<u8>,
}

impl TextBuffer {
    /// Adds a token's bytes and takes out what is whole. Bytes that can never become a character turn into `U+FFFD`.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            rest += chunk.valid().len();
            let at_end = rest + chunk.invalid().len() == self.pending.len();
            if at_end && may_go_on(chunk.invalid()) {
                break;
            }
            if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                rest += chunk.invalid().len();
            }
        }
        self.pending.drain(..rest);
        text
    }

    /// What is left when no more bytes come: nothing, or `U+FFFD` for a character that was cut.
    pub(crate) fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// The bytes at the end of a text that may begin `marker`.
pub(crate) fn may_begin(text: &str, marker: &str) -> usize {
    let begins = |length: &usize| marker.is_char_boundary(*length) && text.ends_with(&marker[..*length]);
    (1..marker.len()).rev().find(begins).unwrap_or(0)
}

/// Whether more bytes can make a character of these.
fn may_go_on(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[&[u8]], expect: &[&str], rest: &str) {
        let mut buffer = TextBuffer::default();
        let texts: Vec<String> = pieces.iter().map(|piece| buffer.push(piece)).collect();
        assert_eq!(texts, expect);
        assert_eq!(buffer.finish(), rest);
    }

    #[test]
    fn a_character_split_over_tokens_comes_out_whole() {
        check(&["ä".as_bytes()], &["ä"], "");
        check(&[b"a\xf0\x9f", b"\x98", b"\x80b"], &["a", "", "😀b"], "");
    }

    #[test]
    fn broken_bytes_do_not_hold_the_text_up() {
        check(&[b"a\xffb"], &["a\u{fffd}b"], "");
        check(&[b"\xf0\x9f", b"x"], &["", "\u{fffd}x"], "");
        check(&[b"a\xc3"], &["a"], "\u{fffd}");
    }
}
