//! Diagnostics as an author reads them: each with its place, the line quoted and a way out, at most a screen in all.

use std::fmt;

use unicode_width::UnicodeWidthChar;

use super::{Diagnostic, Diagnostics, Place};

/// The most lines that are shown; the first diagnostic is always whole.
const LINES: usize = 48;
/// Where they do not suffice, as many are filled with diagnostics in full.
const FULL: usize = 22;
/// The most columns of a quoted line.
const COLUMNS: usize = 100;
/// How many columns of a longer line stand before the place.
const BEFORE: usize = 60;
/// The most characters of a message or a way out: a name may be as long as its file.
const CHARACTERS: usize = 280;

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What cannot run stands before what may surprise.
        let (errors, warnings): (Vec<_>, Vec<_>) = self.list.iter().partition(|diagnostic| diagnostic.is_error());
        let list: Vec<_> = errors.into_iter().chain(warnings).collect();
        let texts: Vec<_> = list.iter().take(LINES).map(|diagnostic| self.shown(diagnostic)).collect();
        let height = |texts: &[String]| texts.iter().map(|text| text.lines().count() + 1).sum::<usize>();
        if list.len() == texts.len() && height(&texts) <= LINES {
            return f.write_str(&texts.join("\n\n"));
        }
        // The first in full, then as many as there is room for in a line each.
        let full = (1..texts.len()).take_while(|n| height(&texts[..*n]) <= FULL).last().unwrap_or(1);
        f.write_str(&texts[..full].join("\n\n"))?;
        f.write_str("\n")?;
        let room = LINES.saturating_sub(height(&texts[..full]) + 2);
        for diagnostic in list[full..].iter().take(room) {
            write!(f, "\n{}", self.line_of(diagnostic))?;
        }
        match list.len().saturating_sub(full + room) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more: `parkway check --format json` lists all"),
        }
    }
}

impl Diagnostics {
    /// A diagnostic on one line.
    fn line_of(&self, diagnostic: &Diagnostic) -> String {
        let severity = if diagnostic.is_error() { "error" } else { "warning" };
        let place = diagnostic.place.map(|place| format!(":{}:{}", place.line, place.column)).unwrap_or_default();
        let (file, message) = (harmless(&self.source_of(diagnostic).0), harmless(&diagnostic.message));
        format!("{severity}[{}]: {message} ({file}{place})", diagnostic.code)
    }

    fn shown(&self, diagnostic: &Diagnostic) -> String {
        let severity = if diagnostic.is_error() { "error" } else { "warning" };
        let mut text = format!("{severity}[{}]: {}", diagnostic.code, harmless(&diagnostic.message));
        let (file, source) = self.source_of(diagnostic);
        let file = harmless(&file);
        match diagnostic.place {
            Some(place) => {
                text.push_str(&format!("\n  --> {file}:{}:{}", place.line, place.column));
                // A byte order mark counts as no column.
                let line = source.trim_start_matches('\u{feff}').lines().nth(place.line.saturating_sub(1) as usize);
                let line = line.filter(|_| !diagnostic.unquoted);
                text.push_str(&line.map(|line| quoted(line, place)).unwrap_or_default());
            }
            None => text.push_str(&format!("\n  --> {file}")),
        }
        if let Some(help) = &diagnostic.help {
            text.push_str(&format!("\n   = help: {}", harmless(help)));
        }
        text
    }
}

/// The line, and a mark below the place: of a long line the part around it.
fn quoted(line: &str, place: Place) -> String {
    let number = place.line.to_string();
    let indent = " ".repeat(number.len());
    let column = place.column.saturating_sub(1) as usize;
    let widths: Vec<usize> = line.chars().take(column + COLUMNS).map(|c| width(shown(c))).collect();
    let before: usize = widths.iter().take(column).sum();
    let all: usize = widths.iter().sum();
    let cropped = all > COLUMNS && before > BEFORE;
    let (mut skipped, mut caret) = (0, before);
    if cropped {
        while caret > BEFORE {
            caret -= widths.get(skipped).copied().unwrap_or(caret);
            skipped += 1;
        }
        // The dots.
        caret += 1;
    }
    let mut kept = String::from(if cropped { "…" } else { "" });
    let mut columns = usize::from(cropped);
    let mut rest = line.chars().skip(skipped);
    for c in rest.by_ref().map(shown) {
        if columns + width(c) > COLUMNS {
            kept.push('…');
            break;
        }
        columns += width(c);
        kept.push(c);
    }
    let caret = " ".repeat(caret);
    format!("\n {indent} |\n {number} | {kept}\n {indent} | {caret}^")
}

/// A character as it is shown: one that could steer a terminal is not.
fn shown(c: char) -> char {
    match c {
        // One column wide, so that the mark stands below its place.
        '\t' => ' ',
        c if steers(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Whether a character steers a terminal, or the direction of reading.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// A message on one line and of a bearable length.
fn harmless(text: &str) -> String {
    let mut short: String = text.chars().take(CHARACTERS).map(|c| if c == '\n' { ' ' } else { shown(c) }).collect();
    if text.chars().nth(CHARACTERS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, column: u32, expected: &str) {
        assert_eq!(quoted(line, Place { line: 7, column }), expected);
    }

    #[test]
    fn the_mark_stands_below_wide_characters_and_tabs() {
        check("\t漢字: x", 6, "\n   |\n 7 |  漢字: x\n   |        ^");
        check("abc", 4, "\n   |\n 7 | abc\n   |    ^");
    }

    #[test]
    fn a_long_line_does_not_hide_the_place() {
        let line = format!("{}here{}", "a".repeat(500), "b".repeat(500));
        let text = quoted(&line, Place { line: 1, column: 501 });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2].chars().nth(lines[3].find('^').unwrap()), Some('h'), "{text}");
        assert!(lines[2].chars().count() <= COLUMNS + 8, "{text}");
        let end = quoted(&line, Place { line: 1, column: 3 });
        assert!(end.contains("| aaa") && end.contains("a…"), "{end}");
    }

    #[test]
    fn a_terminal_is_not_steered_by_a_file() {
        let mut diagnostic = Diagnostic::new("x", Place { line: 1, column: 1 }, "a \u{1b}[31m b\nc");
        diagnostic.help = Some("\u{202e}".into());
        let text = Diagnostics::new("f.yaml", "k: \u{1b}]0;x\u{7}", vec![diagnostic]).to_string();
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        assert_eq!(text.lines().count(), 6, "{text}");
    }

    #[test]
    fn many_mistakes_do_not_fill_more_than_a_screen() {
        let one = |line| Diagnostic::new("x", Place { line, column: 1 }, "y".repeat(5_000));
        let text = Diagnostics::new("f.yaml", &"k\n".repeat(99), (1..99).map(one).collect()).to_string();
        assert!(text.lines().count() <= LINES, "{}", text.lines().count());
        assert!(text.ends_with("more: `parkway check --format json` lists all"), "{text}");
        assert!(text.len() < 20_000);
    }
}
