//! Texts, times and counts in the form in which they are shown.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use parkway::id::Time;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::symbols::Symbols;

/// The most characters of one text that are kept for showing.
const MOST: usize = 2_000;

/// The text on one line, without anything that could steer a terminal or turn the direction of reading: names and
/// messages are written by others.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::new();
    let mut space = false;
    for c in text.chars().take(MOST) {
        if c.is_whitespace() || c.is_control() {
            space = !clean.is_empty();
        } else if !steers(c) {
            if space {
                clean.push(' ');
            }
            space = false;
            clean.push(c);
        }
    }
    clean
}

/// One line of a text as it is, but for characters that could steer a terminal or turn the direction of reading: these are
/// written as escapes, so that what is shown is exact.
pub(crate) fn harmless(line: &str) -> String {
    let mut harmless = String::new();
    for c in line.chars() {
        if c == '\t' {
            harmless.push_str("    ");
        } else if steers(c) {
            harmless.extend(c.escape_unicode());
        } else {
            harmless.push(c);
        }
    }
    harmless
}

/// Whether a character steers a terminal or the direction of reading, rather than being seen.
pub(crate) fn steers(c: char) -> bool {
    // A character without width may belong to the letter before it.
    let is_mark = c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c);
    c.is_control() || (c.width().unwrap_or(0) == 0 && !is_mark)
}

pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text, cut so that it is at most `most` columns wide.
pub(crate) fn cut(text: &str, most: usize, symbols: Symbols) -> String {
    if width(text) <= most {
        return text.into();
    }
    let dots = symbols.cut();
    let Some(room) = most.checked_sub(width(dots)) else { return String::new() };
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if width(&kept) > room {
            kept.pop();
            break;
        }
    }
    kept.truncate(kept.trim_end().len());
    kept + dots
}

/// The text, cut at the front: of a long path the last part tells most.
pub(super) fn cut_front(text: &str, most: usize, symbols: Symbols) -> String {
    if width(text) <= most {
        return text.into();
    }
    let dots = symbols.cut();
    let Some(room) = most.checked_sub(width(dots)) else { return String::new() };
    let fits = text.char_indices().map(|(at, _)| text.split_at(at).1).find(|rest| width(rest) <= room);
    format!("{dots}{}", fits.unwrap_or_default().trim_start())
}

/// The text, cut in its middle: names of files of one kind begin or end alike.
pub(super) fn cut_middle(text: &str, most: usize, symbols: Symbols) -> String {
    let front = most / 3;
    if width(text) <= most || front < 2 {
        return cut_front(text, most, symbols);
    }
    let kept = text.char_indices().map(|(at, c)| text.split_at(at + c.len_utf8()));
    let (front, rest) = kept.take_while(|(kept, _)| width(kept) <= front).last().unwrap_or(("", text));
    format!("{front}{}", cut_front(rest, most - width(front), symbols))
}

/// The text in lines of at most `most` columns; what does not fit into `lines` of them is cut.
pub(crate) fn wrap(text: &str, most: usize, lines: usize, symbols: Symbols) -> Vec<String> {
    let mut wrapped: Vec<String> = Vec::new();
    let mut words = text.split(' ').filter(|w| !w.is_empty()).peekable();
    while let Some(first) = words.next() {
        let mut line = first.to_owned();
        let last = wrapped.len() + 1 == lines;
        while let Some(word) = words.next_if(|word| last || width(&line) + 1 + width(word) <= most) {
            line.push(' ');
            line.push_str(word);
        }
        wrapped.push(cut(&line, most, symbols));
        if last {
            break;
        }
    }
    wrapped
}

/// `0.8s`, `2m05s`, `1h02m`, `3d04h`.
pub(crate) fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{}.{}s", seconds, time.subsec_millis() / 100),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A time on this machine's clock, to the second.
pub(crate) fn local(time: Time) -> String {
    let Ok(timestamp) = Timestamp::from_microsecond(time.micros()) else { return time.to_string() };
    timestamp.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `950`, `9.6k`, `120k`, `2.1M`: rounded down.
pub(super) fn count(n: u64) -> String {
    let tenths = |n: u64, unit: u64, name: &str| format!("{}.{}{name}", n / unit, n % unit * 10 / unit);
    match n {
        0..1_000 => n.to_string(),
        1_000..100_000 => tenths(n, 1_000, "k"),
        100_000..1_000_000 => format!("{}k", n / 1_000),
        _ => tenths(n, 1_000_000, "M"),
    }
}

/// `1 model call`, `3 model calls`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(n))
}

/// `1 memory`, `2 memories`.
pub(crate) fn memories(n: u64) -> String {
    if n == 1 { "1 memory".into() } else { format!("{} memories", count(n)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\x07c\u{9b}31m"), "a [2Jb c 31m");
        assert_eq!(clean(" two\r\nlines\t\tand a tab \n"), "two lines and a tab");
        assert_eq!(clean("abc\u{202e}fed\u{200b}\u{feff}"), "abcfed");
        assert_eq!(clean("Cafe\u{301} 東京"), "Cafe\u{301} 東京");
        assert_eq!(clean(&"x".repeat(5_000)).len(), MOST);
    }

    #[test]
    fn what_is_shown_of_a_call_is_exact_and_harmless() {
        assert_eq!(harmless("  \"a  b\u{1b}[2J\u{202e}\""), "  \"a  b\\u{1b}[2J\\u{202e}\"");
        assert_eq!(harmless("Cafe\u{301} 東京"), "Cafe\u{301} 東京");
    }

    #[test]
    fn wide_characters_are_cut_by_columns() {
        assert_eq!(cut("東京都庁", 8, Symbols::Unicode), "東京都庁");
        assert_eq!(cut("東京都庁", 7, Symbols::Unicode), "東京都…");
        assert_eq!(cut("東京都庁", 6, Symbols::Unicode), "東京…");
        assert_eq!(cut_front("東京都庁", 6, Symbols::Unicode), "…都庁");
        assert_eq!(cut_front("data/04.txt", 8, Symbols::Ascii), "~/04.txt");
        assert_eq!(cut_middle("東京都庁のファイル.txt", 12, Symbols::Unicode), "東京…ル.txt");
        assert_eq!(cut_middle("data/letters/04.txt", 12, Symbols::Ascii), "data~/04.txt");
        assert_eq!(cut_middle("data/04.txt", 5, Symbols::Ascii), "~.txt");
        assert_eq!(cut("abc", 1, Symbols::Ascii), "~");
        assert_eq!(cut("abc", 0, Symbols::Ascii), "");
    }

    #[test]
    fn the_last_line_says_that_there_is_more() {
        assert_eq!(wrap("one two three four", 9, 2, Symbols::Unicode), ["one two", "three fo…"]);
        assert_eq!(wrap("one two", 9, 2, Symbols::Unicode), ["one two"]);
        assert_eq!(wrap("", 9, 2, Symbols::Unicode), [""; 0]);
    }

    #[test]
    fn times_and_counts_are_short() {
        let times = [0, 59_960, 60_000, 3_599_000, 3_720_000, 100_000_000].map(|ms| elapsed(Duration::from_millis(ms)));
        assert_eq!(times, ["0.0s", "59.9s", "1m00s", "59m59s", "1h02m", "1d03h"]);
        let counts = [0, 999, 1_000, 9_650, 99_999, 100_000, 2_190_000].map(count);
        assert_eq!(counts, ["0", "999", "1.0k", "9.6k", "99.9k", "100k", "2.1M"]);
    }
}
