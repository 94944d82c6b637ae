//! Text that a spreadsheet would run as a formula, made harmless by a `'` and read back.

/// What ends a cell for a spreadsheet that does not split at commas. It takes a quote in the middle of a cell for text.
const ENDS: [char; 4] = [';', '\t', '\r', '\n'];
/// What a spreadsheet passes over in front of a formula.
const BLANKS: [char; 3] = ['\t', '\r', '\n'];
const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// The text with a `'` in front of each part that would run.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, part) in parts(text) {
        if runs(at, part) {
            escaped.push('\'');
        }
        escaped.push_str(first(part));
    }
    escaped
}

/// The text without what [`escape`] has put into it.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for (at, part) in parts(text) {
        let part = part.strip_prefix('\'').filter(|rest| runs(at, rest)).unwrap_or(part);
        plain.push_str(first(part));
    }
    plain
}

/// Where a cell may begin, each with all that follows.
fn parts(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let begins = text.match_indices(ENDS).map(|(at, end)| at + end.len());
    std::iter::once(0).chain(begins).map(|at| (at, &text[at..]))
}

/// Up to where the next cell may begin.
fn first(part: &str) -> &str {
    part.split_inclusive(ENDS).next().unwrap_or_default()
}

/// Whether a spreadsheet would take this for a formula, `at` the beginning of the text or within it. The cell may go on
/// beyond the next character that ends one elsewhere.
fn runs(at: usize, part: &str) -> bool {
    if at == 0 && part.starts_with(BLANKS) {
        return true;
    }
    // Within a text a quote is doubled, and two of them may be read as an empty cell to which the rest is added.
    let part = if at == 0 { part } else { part.trim_start_matches('"') };
    part.starts_with(SIGNS) && !is_number(part)
}

/// `-1.5`, `+3`, `-2e6`; not `-inf`.
fn is_number(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, escaped: &str) {
        assert_eq!(escape(text), escaped);
        assert_eq!(unescape(escaped), text);
    }

    #[test]
    fn a_text_becomes_no_formula_where_cells_end_with_something_else() {
        check("=1", "'=1");
        check("a;=cmd|' /C calc'!A0", "a;'=cmd|' /C calc'!A0");
        check("a\t@x\r\n+y;=z", "a\t'@x\r\n'+y;'=z");
        check("a;\"=1\"", "a;'\"=1\"");
        check("a;-1;b", "a;'-1;b");
        check("\t=x", "'\t'=x");
        for harmless in ["a;-1.5", "a=b", "a\n\nb", "a; b", ";", "", "'a", "1;'2", "-3", "\"=1\""] {
            check(harmless, harmless);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_escaped_comes_back(text in "[=a1;\t\n\"-]{0,8}") {
            proptest::prop_assert_eq!(unescape(&escape(&text)), text);
        }
    }
}
