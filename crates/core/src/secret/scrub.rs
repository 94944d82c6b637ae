//! Taking secrets out of texts, in whatever form they come back: as they are, as JSON, addresses and pages write them, in hex
//! and in Base64.

use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};

use super::Secret;

/// A line of a secret of several is searched for by itself where it is at least this long.
const LINE: usize = 16;
/// A secret of fewer bytes is not searched for in hex, in Base64 or in letters of the other case: what it is there stands in other
/// texts by chance.
const ENCODED: usize = 6;
/// The beginning of a secret that a text was cut after is taken out from this length on, if it is two thirds of the secret or
/// more: less of an address may be known to everybody.
const CUT: usize = 8;

/// Takes the values of secrets out of texts.
///
/// A character of a value is known as it is, in the other case, as `%2F` (in small letters, too), as `\/`, `\"` or `\u002f`
/// however often it was quoted, as `&quot;`, as `\*`, and the space as `+`; which of its characters a text writes in which way makes
/// no difference. Where a text was cut, so are two thirds of a value. The whole value is known in hex and in Base64, of both alphabets
/// and wherever in the encoded bytes it begins. What was made of it in another way is not known: packed, encrypted, turned
/// round, or cut to pieces.
///
/// ```
/// use parkway_core::secret::{Scrub, Secret};
///
/// let scrub = Scrub::new([("[secret TOKEN]", &Secret::new("hunter2+x"))]);
/// assert_eq!(scrub.clean("?key=hunter2%2bx, Basic bWU6aHVudGVyMit4"), "?key=[secret TOKEN], Basic bWU6[secret TOKEN]");
/// ```
#[derive(Clone, Default)]
pub struct Scrub {
    /// What a value is when it is spelled character by character, and what takes its place.
    spelled: Vec<(Vec<char>, String)>,
    /// Whether a spelling of a value may begin with a byte.
    begins: Vec<bool>,
    encoded: Option<AhoCorasick>,
    /// What takes the place of each of the patterns of `encoded`.
    marks: Vec<String>,
}

impl fmt::Debug for Scrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrub").finish_non_exhaustive()
    }
}

impl Scrub {
    /// What takes the values of these secrets out of texts, and puts the mark beside each in its place.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (impl Into<String>, &'a Secret)>) -> Self {
        let (mut spelled, mut patterns, mut marks) = (Vec::<(Vec<char>, String)>::new(), Vec::new(), Vec::new());
        for (mark, secret) in secrets {
            let (mark, value) = (mark.into(), secret.expose());
            // A line of a key is as good as the key.
            let lines = value.lines().map(str::trim).filter(|line| line.len() >= LINE);
            // Who reads an address decodes what was written into it.
            let decoded = from_percent(value.trim());
            let mut known: Vec<&str> = [value, value.trim(), &decoded].into_iter().chain(lines).collect();
            known.sort_unstable();
            known.dedup();
            for value in known.into_iter().filter(|value| !value.trim().is_empty()) {
                spelled.push((value.chars().collect(), mark.clone()));
                if value.len() >= ENCODED {
                    let forms = encodings(value.as_bytes());
                    marks.extend(std::iter::repeat_n(mark.clone(), forms.len()));
                    patterns.extend(forms);
                }
            }
        }
        let mut begins = vec![false; 256];
        for (value, _) in &spelled {
            let mut bytes = [0; 4];
            let first = value.first().map_or(b'%', |c| c.encode_utf8(&mut bytes).as_bytes()[0]);
            for byte in [first, first.to_ascii_lowercase(), first.to_ascii_uppercase()].into_iter().chain(*b"%\\&+") {
                begins[usize::from(byte)] = true;
            }
        }
        // Texts of this kind and number always make one.
        let encoded = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns).ok();
        Scrub { spelled, begins, encoded: encoded.filter(|_| !patterns.is_empty()), marks }
    }

    /// Whether no value is looked for.
    pub(crate) fn is_idle(&self) -> bool {
        self.spelled.is_empty()
    }

    /// Whether a text is a value itself.
    pub(crate) fn is_one(&self, text: &str) -> bool {
        self.spelled.iter().any(|(value, _)| text.chars().eq(value.iter().copied()))
    }

    /// The text without the secrets.
    pub fn clean(&self, text: &str) -> String {
        if self.is_idle() {
            return text.to_owned();
        }
        let mut clean = String::new();
        let (mut done, mut at) = (0, 0);
        let mut encoded = self.encoded_after(text, 0);
        while at < text.len() {
            if encoded.as_ref().is_some_and(|(start, _, _)| *start < at) {
                encoded = self.encoded_after(text, at);
            }
            let spelled = self.spelled_at(text, at);
            let found = match &encoded {
                Some((start, end, mark)) if *start == at && spelled.is_none_or(|(spelled, _)| spelled < *end) => {
                    Some((*end, *mark))
                }
                _ => spelled,
            };
            match found {
                Some((end, mark)) => {
                    clean.push_str(&text[done..at]);
                    clean.push_str(mark);
                    (done, at) = (end, end);
                }
                None => at += text[at..].chars().next().map_or(1, char::len_utf8),
            }
        }
        clean.push_str(&text[done..]);
        clean
    }

    /// The next value in hex or Base64: where it begins and ends, and its mark.
    fn encoded_after(&self, text: &str, at: usize) -> Option<(usize, usize, &str)> {
        let found = self.encoded.as_ref()?.find(aho_corasick::Input::new(text).span(at..text.len()))?;
        Some((found.start(), found.end(), &self.marks[found.pattern().as_usize()]))
    }

    /// Where a value ends that is spelled at a place, the longest one that is, and its mark.
    fn spelled_at(&self, text: &str, at: usize) -> Option<(usize, &str)> {
        if !self.begins.get(usize::from(text.as_bytes()[at])).is_some_and(|begins| *begins) {
            return None;
        }
        let ends = self.spelled.iter().filter_map(|(value, mark)| Some((spelling(text, at, value)?, mark.as_str())));
        ends.max_by_key(|(end, _)| *end)
    }
}

/// Where a value ends that is spelled in a text from `at` on.
fn spelling(text: &str, at: usize, value: &[char]) -> Option<usize> {
    let any_case = value.iter().map(|c| c.len_utf8()).sum::<usize>() >= ENCODED;
    // Mostly one place: a value that looks encoded itself can be read in two ways.
    let mut places = vec![at];
    for (count, c) in value.iter().enumerate() {
        let mut next = Vec::new();
        for place in &places {
            next.extend(ways(&text[*place..], *c, any_case).into_iter().map(|length| place + length));
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            let is_cut = |place: &&usize| ["", "…", "...", " …", " ..."].contains(&&text[**place..]);
            let enough = count >= CUT && count * 3 >= value.len() * 2;
            return places.iter().rfind(is_cut).filter(|_| enough).copied();
        }
        places = next;
    }
    places.last().copied()
}

/// How many bytes at the beginning of a text spell a character, in each of the ways that do.
fn ways(text: &str, c: char, any_case: bool) -> Vec<usize> {
    let same = |other: char| other == c || any_case && other.eq_ignore_ascii_case(&c);
    let Some(first) = text.chars().next() else { return Vec::new() };
    let mut ways = Vec::from_iter(same(first).then(|| first.len_utf8()));
    match first {
        '%' => ways.extend(in_percent(text, c.len_utf8()).filter(|(other, _)| same(*other)).map(|(_, length)| length)),
        '\\' => in_json(text, same, &mut ways),
        '&' => ways.extend(in_page(text).filter(|(other, _)| same(*other)).map(|(_, length)| length)),
        '+' if c == ' ' => ways.push(1),
        _ => {}
    }
    ways
}

/// A value as it is in an address, where what it holds of `%` and two digits stands for a byte.
fn from_percent(value: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As addresses have it: `%` and two digits for each byte. The character, and how long it is.
fn in_percent(text: &str, bytes: usize) -> Option<(char, usize)> {
    let byte = |index: usize| {
        let digits = text.get(index * 3..index * 3 + 3)?.strip_prefix('%')?;
        u8::from_str_radix(digits, 16).ok()
    };
    let bytes: Vec<u8> = (0..bytes).map(byte).collect::<Option<_>>()?;
    let c = std::str::from_utf8(&bytes).ok()?.chars().next()?;
    Some((c, bytes.len() * 3))
}

/// As JSON has it, behind backslashes: one, or more where a text was quoted in a text.
fn in_json(text: &str, same: impl Fn(char) -> bool, ways: &mut Vec<usize>) {
    let before = text.bytes().take_while(|byte| *byte == b'\\').count();
    if same('\\') {
        ways.extend((1..4).map(|times| 1 << times).filter(|length| *length <= before));
    }
    let rest = &text[before..];
    let short = match rest.chars().next() {
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('u') => {
            let unit = |at: usize| u16::from_str_radix(rest.get(at + 1..at + 5)?, 16).ok();
            let Some(first) = unit(0) else { return };
            // The second half of a character beyond the first 65,536, behind as many backslashes.
            let second = rest[5..].strip_prefix(&text[..before]).and_then(|_| unit(5 + before));
            for units in [vec![first], [Some(first), second].into_iter().flatten().collect()] {
                let length = units.len() * (before + 5);
                let c = char::decode_utf16(units).collect::<Result<Vec<_>, _>>();
                ways.extend(c.ok().filter(|c| c.len() == 1 && same(c[0])).map(|_| length));
            }
            ways.dedup();
            return;
        }
        // Markdown does the same with every sign.
        Some(c) if c.is_ascii_punctuation() => c,
        _ => return,
    };
    ways.extend(same(short).then_some(before + 1));
}

/// As pages have it: between `&` and `;`. The character, and how long it is.
fn in_page(text: &str) -> Option<(char, usize)> {
    let name = &text[1..text.bytes().take(10).position(|byte| byte == b';')?];
    let c = match name.strip_prefix('#') {
        Some(number) => char::from_u32(match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        })?,
        None => match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => return None,
        },
    };
    Some((c, name.len() + 2))
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
        forms.push(text);
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// The characters that a value has to itself in Base64, where `shift` bytes stand before it.
fn in_base64(value: &[u8], shift: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |at: usize| (value[at / 8 - shift] >> (7 - at % 8)) & 1;
    // Six bits a character; those that hold bits of what stands around are left out.
    let (first, end) = ((shift * 8).div_ceil(6), (shift + value.len()) * 8 / 6);
    let sextet = |at: usize| (at * 6..at * 6 + 6).fold(0, |sextet, at| (sextet << 1) | usize::from(bit(at)));
    (first..end).map(|at| char::from(ALPHABET[sextet(at)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scrub(value: &str) -> Scrub {
        Scrub::new([("[secret]", &Secret::new(value))])
    }

    #[track_caller]
    fn check(value: &str, text: &str, clean: &str) {
        assert_eq!(scrub(value).clean(text), clean, "{text}");
    }

    #[test]
    fn a_form_of_a_secret_stays() {
        const VALUE: &str = "a+/=\"<&%2Fü b";
        for form in [
            VALUE,
            r#"a+/=\"<&%2Fü b"#,
            r#"a+\/=\"<&%2F\u00fc b"#,
            r"\u0061\u002B\u002f\u003d\u0022\u003C\u0026\u0025\u0032\u0046\u00FC\u0020\u0062",
            "a%2B%2F%3D%22%3C%26%252F%C3%BC%20b",
            "a%2b%2f%3d%22%3c%26%252F%c3%bc%20b",
            "a%2B/=%22%3C&%252F%C3%BC+b",
            "a+/=&quot;&lt;&amp;%2F&#xfc;&#32;b",
            r#"a+/=\\\"<&%2Fü b"#,
            r"a+\\/=\\u0022<&%2F\\u00fc b",
            "A+/=\"<&%2fü B",
            r#"a\+/=\"\<\&%2Fü b"#,
            "a+/=\"<&/ü b",
            "612b2f3d223c26253246c3bc2062",
            "612B2F3D223C26253246C3BC2062",
        ] {
            check(VALUE, &format!("<{form}>"), "<[secret]>");
        }
    }

    #[test]
    fn a_secret_stays_in_base64_where_something_stands_before_it() {
        // `printf 'hunter2-and?>more' | base64`, with nothing, `a`, and `ab` before it.
        for (text, clean) in [
            ("Basic aHVudGVyMi1hbmQ/Pm1vcmU=", "Basic [secret]U="),
            ("Basic YWh1bnRlcjItYW5kPz5tb3Jl", "Basic YW[secret]"),
            ("Basic YWJodW50ZXIyLWFuZD8+bW9yZQ==", "Basic YWJ[secret]Q=="),
            ("aHVudGVyMi1hbmQ_Pm1vcmU", "[secret]U"),
        ] {
            check("hunter2-and?>more", text, clean);
        }
    }

    #[test]
    fn most_of_a_secret_stays_where_a_text_was_cut() {
        check("hunter2 and more", "it says: hunter2 and m", "it says: [secret]");
        check("hunter2 and more", "it says: hunter2%20and m …", "it says: [secret] …");
        check("hunter2 and more", "it says: \"hunter2…", "it says: \"hunter2…");
        check("hunter2 and more", "hunter2 and less", "hunter2 and less");
        check("https://hooks.example/T0/B1/XyZ-0123456789", "https://hooks.example", "https://hooks.example");
    }

    #[test]
    fn a_value_that_looks_encoded_is_read_in_one_way_only() {
        check("%25x", "<%25x> <%2525x> <%25%32%35x>", "<[secret]> <[secret]> <[secret]>");
        check(r"\n\u0041", r"<\n\u0041> <\\n\\u0041>", "<[secret]> <[secret]>");
    }

    #[test]
    fn what_is_near_a_secret_is_taken_for_one() {
        for text in [
            "hunter3",
            "%68unter3",
            "hunte%7",
            "hunter\\u003",
            "&#104;unter3",
            "687556746572",
            "%",
            "\\",
            "\\\\u",
            "\\ud83d\\u",
            "&",
            "&;",
            "ü%c",
        ] {
            check("hunter2", text, text);
        }
        // Too short for hex and Base64.
        check("12345", "3132333435 MTIzNDU= 12345", "3132333435 MTIzNDU= [secret]");
    }

    proptest! {
        #[test]
        fn an_encoded_secret_stays_wherever_it_begins(
            before in prop::collection::vec(any::<u8>(), 0..8), value in "[ -~]{6,40}", after in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            prop_assume!(value.trim().len() >= ENCODED);
            let whole = [&before[..], value.as_bytes(), &after].concat();
            let scrub = scrub(&value);
            prop_assert!(scrub.clean(&hex::encode(&whole)).contains("[secret]"));
            let text = in_base64(&whole, 0);
            prop_assert!(scrub.clean(&text).contains("[secret]"), "{} in {}", value, text);
        }

        #[test]
        fn a_text_without_secrets_is_changed(text in "\\PC{0,60}") {
            prop_assert_eq!(scrub("hunter2-and-more").clean(&text), text.clone());
            prop_assert_eq!(Scrub::default().clean(&text), text);
        }
    }
}
