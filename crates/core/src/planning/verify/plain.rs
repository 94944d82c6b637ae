//! Texts in one spelling, so that an answer and its sources meet.

use std::borrow::Cow;

/// The zeros of the decimal digits that people write with. The nine others follow each.
const ZEROS: [u32; 24] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0e50, 0x0ed0,
    0x0f20, 0x1040, 0x17e0, 0x1810, 0xff10, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6,
];

/// The text with one kind of digits, dashes, apostrophes and narrow spaces, and without what is not seen.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let seen =
        text.chars().filter(|char| !matches!(char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'));
    Cow::Owned(seen.map(spelling).collect())
}

fn spelling(char: char) -> char {
    match char {
        '’' | '‘' | 'ʼ' => '\'',
        '‐' | '‑' | '–' | '−' => '-',
        '\u{2007}' | '\u{2009}' | '\u{202f}' => '\u{a0}',
        '٫' => '.',
        '٬' => ',',
        _ if char.is_ascii() || !char.is_numeric() => char,
        _ => {
            let code = u32::from(char);
            let digit = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|digit| *digit < 10));
            digit.and_then(|digit| char::from_digit(digit, 10)).unwrap_or(char)
        }
    }
}

/// A plain text in lower case, with single spaces, and with one between the date and the time of `2026-03-05T10:30`.
pub(super) fn fold(plain: &str) -> String {
    let mut folded = String::with_capacity(plain.len());
    let mut last = ' ';
    let mut chars = plain.chars().peekable();
    while let Some(char) = chars.next() {
        let between = last.is_ascii_digit() && chars.peek().is_some_and(char::is_ascii_digit);
        last = match char {
            'T' | 't' if between => ' ',
            _ if char.is_whitespace() => ' ',
            _ => char,
        };
        match last {
            ' ' if folded.is_empty() || folded.ends_with(' ') => {}
            _ if last.is_ascii() => folded.push(last.to_ascii_lowercase()),
            _ => folded.extend(last.to_lowercase()),
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// The words, cut at 120 characters.
pub(super) fn cut(words: &str) -> String {
    let mut short = String::new();
    let mut room = 120;
    for char in words.trim().chars() {
        if room == 0 {
            short.pop();
            short.push('…');
            break;
        }
        let space = char.is_whitespace() || char.is_control();
        if !space || !short.ends_with(' ') {
            short.push(if space { ' ' } else { char });
            room -= 1;
        }
    }
    short
}
