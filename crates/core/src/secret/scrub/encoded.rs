//! Values in hex and in Base64, also where a text breaks its lines within them.

use std::cmp::Reverse;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::spelled::BACKSLASHES;

/// What finds values that are encoded, and what takes the place of each.
#[derive(Clone)]
pub(super) struct Encoded {
    forms: AhoCorasick,
    marks: Vec<String>,
}

impl Encoded {
    /// Of values and their marks.
    pub(super) fn new(values: &[(String, String)]) -> Option<Self> {
        let (mut forms, mut marks) = (Vec::new(), Vec::new());
        for (value, mark) in values {
            for form in encodings(value.as_bytes()) {
                forms.push(form);
                marks.push(mark.clone());
            }
        }
        // Texts of this kind and number always make one.
        let found = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms).ok();
        found.filter(|_| !forms.is_empty()).map(|forms| Encoded { forms, marks })
    }

    /// The next value from a place on: where in the text it begins and ends, and its mark.
    pub(super) fn after(&self, joined: &Joined<'_>, at: usize) -> Option<(usize, usize, &str)> {
        let find = |text: &[u8], at: usize| self.forms.find(Input::new(text).span(at..text.len()));
        let plain = find(joined.text.as_bytes(), at).map(|found| (found.start(), found.end(), found.pattern()));
        let across = joined.without.as_deref().and_then(|text| find(text, joined.place_of(at)));
        let across = across.map(|found| (joined.start(found.start()), joined.end(found.end()), found.pattern()));
        let first = plain.into_iter().chain(across).min_by_key(|(start, end, _)| (*start, Reverse(*end)));
        first.map(|(start, end, pattern)| (start, end, self.marks[pattern.as_usize()].as_str()))
    }
}

/// A text without its line breaks and what indents a line, also where they are written `\n`: `base64` and `xxd` break their lines.
pub(super) struct Joined<'a> {
    text: &'a str,
    /// The joined one, where it is another.
    without: Option<Vec<u8>>,
    /// What was left out.
    breaks: Vec<Break>,
}

struct Break {
    /// Where it was in the joined text.
    place: usize,
    /// Where it begins and ends in the other.
    start: usize,
    end: usize,
}

impl<'a> Joined<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let (mut joined, mut breaks, mut done, mut at) = (Vec::new(), Vec::new(), 0, 0);
        while at < bytes.len() {
            let length = break_at(&bytes[at..]);
            if length == 0 {
                at += 1;
                continue;
            }
            joined.extend_from_slice(&bytes[done..at]);
            breaks.push(Break { place: joined.len(), start: at, end: at + length });
            at += length;
            done = at;
        }
        joined.extend_from_slice(&bytes[done..]);
        Joined { text, without: (!breaks.is_empty()).then_some(joined), breaks }
    }

    /// Where in the joined text a place of the text is.
    fn place_of(&self, at: usize) -> usize {
        match self.breaks[..self.breaks.partition_point(|found| found.start < at)].last() {
            Some(last) => last.place + at.saturating_sub(last.end),
            None => at,
        }
    }

    /// Where in the text a byte of the joined text is.
    fn start(&self, place: usize) -> usize {
        match self.breaks[..self.breaks.partition_point(|found| found.place <= place)].last() {
            Some(last) => last.end + place - last.place,
            None => place,
        }
    }

    /// Where in the text what ends in the joined text ends.
    fn end(&self, place: usize) -> usize {
        place.checked_sub(1).map_or(0, |last| self.start(last) + 1)
    }
}

/// How long the line break is that a text begins with, and what indents the next line; 0 if it begins with none.
fn break_at(text: &[u8]) -> usize {
    let mut length = 0;
    loop {
        let rest = &text[length..];
        length += match rest.first() {
            Some(b'\n' | b'\r') => 1,
            Some(b' ' | b'\t') if length > 0 => 1,
            Some(b'\\') => {
                let before = rest.iter().take(BACKSLASHES).take_while(|byte| **byte == b'\\').count();
                match rest.get(before) {
                    Some(b'n' | b'r') => before + 1,
                    _ => return length,
                }
            }
            _ => return length,
        };
    }
}

/// A value in hex, and in Base64 wherever it begins there.
fn encodings(value: &[u8]) -> Vec<String> {
    let hex = hex::encode(value);
    let mut forms = vec![hex.to_uppercase(), hex];
    for shift in 0..3 {
        let text = in_base64(value, shift);
        forms.push(text.replace('+', "-").replace('/', "_"));
        // As JSON and addresses may write it in their turn.
        forms.push(text.replace('/', "\\/"));
        forms.push(text.replace('+', "%2B").replace('/', "%2F"));
        forms.push(text.replace('+', "%2b").replace('/', "%2f"));
        forms.push(text);
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// The characters that a value has to itself in Base64, where `shift` bytes stand before it.
pub(super) fn in_base64(value: &[u8], shift: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |at: usize| (value[at / 8 - shift] >> (7 - at % 8)) & 1;
    // Six bits a character; those that hold bits of what stands around are left out.
    let (first, end) = ((shift * 8).div_ceil(6), (shift + value.len()) * 8 / 6);
    let sextet = |at: usize| (at * 6..at * 6 + 6).fold(0, |sextet, at| (sextet << 1) | usize::from(bit(at)));
    (first..end).map(|at| char::from(ALPHABET[sextet(at)])).collect()
}
