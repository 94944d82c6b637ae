//! Edits of a text, forwards and backwards. A patch keeps no record of itself: whether it has been made is read off the
//! text, so that it is made only where its result tells.

use parkway_core::id::Digest;
use schemars::JsonSchema;
use serde::Deserialize;

/// How much of a line is compared, in characters, to find the one most like an `old` that does not stand in the text.
const COMPARED: usize = 100;
/// How similar that line must be.
const SIMILAR: f64 = 0.5;

/// One text in place of another.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// The text to be replaced. It stands exactly once in the file, as the edits before this one leave it.
    pub(super) old: String,
    /// The text in its place: not empty, and then it stands exactly once in the file, too.
    pub(super) new: String,
}

/// What a patch does to a text.
#[derive(Debug, PartialEq)]
pub(super) enum Patched {
    /// It makes this of it.
    Now(String),
    /// It has been made before.
    Before,
}

/// Why a patch is not made. The edit is counted from 0.
#[derive(Debug, PartialEq)]
pub(super) enum Misfit {
    /// `old` does not stand in the text, as the edits before have left it.
    Missing { edit: usize, text: String },
    /// `old` stands several times in the text.
    Repeated { edit: usize, times: usize },
    /// `new` would stand several times in the text.
    Unclear { edit: usize, times: usize },
    /// The text may be the one before the patch as well as the one after it.
    Circular,
    /// The text is neither the one that was named nor what the patch makes of it.
    Changed,
}

/// What the edits make of the text, which is `expected` if they have not been made.
pub(super) fn patched(text: &str, edits: &[Edit], expected: Option<Digest>) -> Result<Patched, Misfit> {
    let Some(expected) = expected else { return judged(text, edits) };
    let is_expected = |text: &str| Digest::of(&[text.as_bytes()]) == expected;
    if is_expected(text) {
        forward(text, edits).map(Patched::Now)
    } else if backward(text, edits).is_some_and(|before| is_expected(&before)) {
        Ok(Patched::Before)
    } else {
        Err(Misfit::Changed)
    }
}

/// Each text leads to at most one other, and from at most one: they form chains, and a second call sees one text only. Most
/// chains have two texts. Where `new` holds `old`, a chain has no end, and only its first step is made; where `old` holds
/// `new`, it has no beginning, and only its last one is. From anywhere else nothing is made.
fn judged(text: &str, edits: &[Edit]) -> Result<Patched, Misfit> {
    let ends = |text: &str| forward(text, edits).is_err();
    match (backward(text, edits), forward(text, edits)) {
        (None, Err(misfit)) => Err(misfit),
        (Some(_), Err(_)) => Ok(Patched::Before),
        (None, Ok(after)) => match forward(&after, edits) {
            // What was made would be the first and the last but one.
            Ok(next) if ends(&next) => Err(Misfit::Circular),
            _ => Ok(Patched::Now(after)),
        },
        (Some(before), Ok(after)) => match (backward(&before, edits).is_none(), ends(&after)) {
            (true, false) => Ok(Patched::Before),
            (false, true) => Ok(Patched::Now(after)),
            _ => Err(Misfit::Circular),
        },
    }
}

fn forward(text: &str, edits: &[Edit]) -> Result<String, Misfit> {
    edits.iter().enumerate().try_fold(text.to_owned(), |text, (edit, Edit { old, new })| {
        let at = match once(&text, old) {
            Ok(at) => at,
            Err(0) => return Err(Misfit::Missing { edit, text }),
            Err(times) => return Err(Misfit::Repeated { edit, times }),
        };
        let text = replaced(&text, at, old, new);
        once(&text, new).map_err(|times| Misfit::Unclear { edit, times })?;
        Ok(text)
    })
}

/// The text that the edits made this one of.
fn backward(text: &str, edits: &[Edit]) -> Option<String> {
    edits.iter().rev().try_fold(text.to_owned(), |text, Edit { old, new }| {
        let text = replaced(&text, once(&text, new).ok()?, new, old);
        once(&text, old).ok()?;
        Some(text)
    })
}

/// Where the part stands, if it stands exactly once; else how often. Occurrences may overlap.
fn once(text: &str, part: &str) -> Result<usize, usize> {
    match (text.find(part), text.rfind(part)) {
        (Some(first), Some(last)) if first == last => Ok(first),
        (Some(_), _) => Err(text.matches(part).count().max(2)),
        (None, _) => Err(0),
    }
}

fn replaced(text: &str, at: usize, old: &str, new: &str) -> String {
    [&text[..at], new, &text[at + old.len()..]].concat()
}

/// The line that is most like the first of a part that does not stand in the text.
pub(super) fn nearest(text: &str, part: &str) -> Option<usize> {
    let start = |line: &str| line.trim().chars().take(COMPARED).collect::<String>();
    let wanted = start(part.lines().find(|line| !line.trim().is_empty())?);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let alike = lines.map(|(i, line)| (strsim::normalized_levenshtein(&wanted, &start(line)), i + 1));
    let alike = alike.filter(|(likeness, _)| *likeness >= SIMILAR);
    alike.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1))).map(|(_, line)| line)
}

/// Whether the part would stand in the text if that had line ends like it.
pub(super) fn stands_with_other_line_ends(text: &str, part: &str) -> bool {
    !part.contains('\r') && text.contains("\r\n") && text.replace("\r\n", "\n").contains(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(edits: &[(&str, &str)]) -> Vec<Edit> {
        edits.iter().map(|(old, new)| Edit { old: (*old).into(), new: (*new).into() }).collect()
    }

    /// The patch makes `after` of `before`, and is recognised there.
    #[track_caller]
    fn check(before: &str, list: &[(&str, &str)], after: &str) {
        let edits = edits(list);
        for expected in [None, Some(Digest::of(&[before.as_bytes()]))] {
            assert_eq!(patched(before, &edits, expected), Ok(Patched::Now(after.into())));
            assert_eq!(patched(after, &edits, expected), Ok(Patched::Before));
        }
    }

    #[track_caller]
    fn refused(text: &str, list: &[(&str, &str)], misfit: Misfit) {
        assert_eq!(patched(text, &edits(list), None), Err(misfit));
    }

    #[test]
    fn a_patch_is_not_made_twice() {
        check("a b c", &[("b", "x")], "a x c");
        // `new` holds `old`, before and behind.
        check("use a;\n", &[("use a;\n", "use a;\nuse b;\n")], "use a;\nuse b;\n");
        check("use b;\n", &[("use b;\n", "use a;\nuse b;\n")], "use a;\nuse b;\n");
        check("n = 1", &[("1", "11")], "n = 11");
        // `old` holds `new`.
        check("a b c", &[("a b c", "b")], "b");
        check("[[1]]", &[("[[1]]", "[1]")], "[1]");
        check("a;\nb;\nc;\n", &[("a;\nb;\n", "a;\n")], "a;\nc;\n");
        // Edits in edits.
        check("a", &[("a", "b c"), ("c", "d"), ("b d", "e")], "e");
        check("one two", &[("one", "1"), ("two", "2")], "1 2");
        check("a", &[("a", "ab"), ("b", "bc")], "abc");
    }

    #[test]
    fn a_patch_whose_result_is_no_evidence_is_refused() {
        refused("a x", &[("a", "x")], Misfit::Unclear { edit: 0, times: 2 });
        refused("a b", &[("b", "c"), ("a", "c")], Misfit::Unclear { edit: 1, times: 2 });
        refused("xaax", &[("x", "a")], Misfit::Repeated { edit: 0, times: 2 });
        refused("aba", &[("b", "a")], Misfit::Unclear { edit: 0, times: 3 });
        // An exchange leads back to where it came from.
        let exchange = [("a", "t"), ("b", "a"), ("t", "b")];
        refused("a b", &exchange, Misfit::Circular);
        refused("b a", &exchange, Misfit::Circular);
        refused("a", &[("a", "b"), ("b", "a")], Misfit::Circular);
        // Once more than once.
        refused("a b b", &[("a", "a b")], Misfit::Circular);
        refused("a b b", &[("a b", "a")], Misfit::Circular);
    }

    #[test]
    fn a_digest_tells_what_the_text_alone_cannot() {
        let edits = edits(&[("a", "t"), ("b", "a"), ("t", "b")]);
        let expected = Some(Digest::of(&[b"a b"]));
        assert_eq!(patched("a b", &edits, expected), Ok(Patched::Now("b a".into())));
        assert_eq!(patched("b a", &edits, expected), Ok(Patched::Before));
        assert_eq!(patched("a c", &edits, expected), Err(Misfit::Changed));
    }

    #[test]
    fn a_part_that_overlaps_itself_stands_twice() {
        refused("aaa", &[("aa", "b")], Misfit::Repeated { edit: 0, times: 2 });
        refused("aab", &[("b", "a")], Misfit::Unclear { edit: 0, times: 3 });
        refused("aXa", &[("X", "aa")], Misfit::Unclear { edit: 0, times: 2 });
    }

    #[test]
    fn a_missing_text_is_led_to_the_line_that_was_meant() {
        assert_eq!(nearest("fn a() {}\n\n    fn main() {\n}\n", "\nfn mian() {\n}"), Some(3));
        assert_eq!(nearest("something\n", "zzz"), None);
        assert_eq!(nearest("", "a"), None);
        assert_eq!(nearest("a", "\n"), None);
        assert!(stands_with_other_line_ends("a\r\nb\r\n", "a\nb"));
        assert!(!stands_with_other_line_ends("a\nb\r\n", "c"));
        refused("a", &[("a", "b"), ("a", "c")], Misfit::Missing { edit: 1, text: "b".into() });
    }

    proptest::proptest! {
        #[test]
        fn a_second_call_finds_the_first(
            text in "[ab\nc]{0,8}",
            list in proptest::collection::vec(("[abc]{1,3}", "[abc]{1,3}"), 1..4),
        ) {
            let edits: Vec<Edit> = list.into_iter().map(|(old, new)| Edit { old, new }).collect();
            for expected in [None, Some(Digest::of(&[text.as_bytes()]))] {
                if let Ok(Patched::Now(after)) = patched(&text, &edits, expected)
                    && after != text
                {
                    proptest::prop_assert_eq!(patched(&after, &edits, expected), Ok(Patched::Before));
                }
            }
        }
    }
}
