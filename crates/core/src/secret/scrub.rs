//! Taking secrets out of texts, in whatever form they come back: as they are, as JSON, addresses and pages write them, in hex
//! and in Base64.

use std::fmt;

use self::encoded::{Encoded, Joined};
use self::spelled::{beginnings, from_percent, spelling};
use super::Secret;

mod encoded;
mod spelled;

/// A line of a secret of several is searched for by itself where it is at least this long.
const LINE: usize = 16;
/// A secret of fewer bytes is not searched for in hex, in Base64 or in letters of the other case: what it is there stands in other
/// texts by chance.
const ENCODED: usize = 6;

/// Takes the values of secrets out of texts.
///
/// A character of a value is known as it is, in the other case, as `%2F` (in small letters, too), as `\/`, `\"` or `\u002f`
/// however often it was quoted, as `&quot;`, as `\*`, and the space as `+`; which of its characters a text writes in which way makes
/// no difference. Where a text was cut, so are two thirds of a value. The whole value is known in hex and in Base64, of both alphabets,
/// wherever in the encoded bytes it begins, and across the lines that it was broken into. What was made of it in another way is not
/// known: packed, encrypted, turned round, or cut to pieces.
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
    encoded: Option<Encoded>,
}

impl fmt::Debug for Scrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrub").finish_non_exhaustive()
    }
}

impl Scrub {
    /// What takes the values of these secrets out of texts, and puts the mark beside each in its place.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (impl Into<String>, &'a Secret)>) -> Self {
        let (mut spelled, mut encoded) = (Vec::<(Vec<char>, String)>::new(), Vec::new());
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
                    encoded.push((value.to_owned(), mark.clone()));
                }
            }
        }
        let mut begins = vec![false; 256];
        for byte in spelled.iter().flat_map(|(value, _)| beginnings(value)) {
            begins[usize::from(byte)] = true;
        }
        Scrub { spelled, begins, encoded: Encoded::new(&encoded) }
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
        let joined = Joined::new(text);
        let after = |at: usize| self.encoded.as_ref()?.after(&joined, at);
        let mut encoded = after(0);
        while at < text.len() {
            if encoded.as_ref().is_some_and(|(start, _, _)| *start < at) {
                encoded = after(at);
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

    /// Where a value ends that is spelled at a place, the longest one that is, and its mark.
    fn spelled_at(&self, text: &str, at: usize) -> Option<(usize, &str)> {
        if !self.begins.get(usize::from(text.as_bytes()[at])).is_some_and(|begins| *begins) {
            return None;
        }
        let ends = self.spelled.iter().filter_map(|(value, mark)| Some((spelling(text, at, value)?, mark.as_str())));
        ends.max_by_key(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use super::encoded::in_base64;

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
            "a&plus;&sol;&equals;&quot;&lt;&amp;&percnt;2Fü b",
            "A+/=\"<&%2FÜ B",
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
    fn a_secret_stays_in_lines_that_an_encoder_breaks() {
        // `base64` breaks behind 76 characters, and `xxd -p` behind 60.
        let value = "sk-live-0123456789-abcdefghij";
        for broken in ["\n", "\r\n", "\\n", "\\r\\n", "\\\\n", "\n  \t"] {
            for (name, whole) in [("base64", in_base64(value.as_bytes(), 0)), ("hex", hex::encode(value))] {
                for at in 1..whole.len() {
                    let text = format!("<{}{broken}{}>{broken}more", &whole[..at], &whole[at..]);
                    let clean = scrub(value).clean(&text);
                    assert!(clean.starts_with("<[secret]"), "{name}: {text}: {clean}");
                    assert!(clean.ends_with(&format!(">{broken}more")), "{name}: {clean}");
                }
                // What looks like a break may belong to the value.
                let text = format!("\\{whole}");
                assert_eq!(scrub(value).clean(&text), "\\[secret]", "{name}");
                let lines: Vec<String> = whole.chars().map(String::from).collect();
                assert!(scrub(value).clean(&lines.join(broken)).starts_with("[secret]"), "{name}");
            }
        }
    }

    #[test]
    fn a_row_of_backslashes_is_counted_from_each_of_its_places() {
        // To its end, this takes minutes.
        let row = "\\".repeat(1 << 18);
        check("hunter2", &row, &row);
        check("hunter2", &format!("{row}hunter2"), &format!("{row}[secret]"));
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
