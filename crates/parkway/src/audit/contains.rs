//! Whether a text is in another: as it stands there, or escaped as JSON does, however often. What a model answers is kept as one string, and is
//! often JSON itself, with texts in it that are JSON again.

use parkway_core::log::Payload;
use serde_json::Value;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// How often a text is read with its escapes taken for what they stand for.
const DEPTH: usize = 64;

/// Whether a payload has a text in it: in a string, or in the name of a field.
pub(super) fn says(payload: &Payload, text: &str) -> bool {
    fn within(value: &Value, text: &str) -> bool {
        match value {
            Value::String(said) => contains(said, text),
            Value::Array(items) => items.iter().any(|item| within(item, text)),
            Value::Object(fields) => fields.iter().any(|(name, value)| contains(name, text) || within(value, text)),
            Value::Number(said) => said.to_string() == text,
            Value::Bool(_) | Value::Null => false,
        }
    }
    // What is no JSON cannot be searched, and is not taken for clean.
    payload.value::<Value>().map_or(true, |value| within(&value, text))
}

/// Whether `said` has `text` in it. The same characters count as the same however they are composed (NFC); capital letters are others.
pub(super) fn contains(said: &str, text: &str) -> bool {
    let text = composed(text);
    let mut said = composed(said);
    for _ in 0..DEPTH {
        if said.contains(&text) {
            return true;
        }
        match unescaped(&said) {
            Some(plain) => said = composed(&plain),
            None => return false,
        }
    }
    // What is escaped more often than anybody does is not taken for clean.
    true
}

fn composed(text: &str) -> String {
    if is_nfc(text) { text.to_owned() } else { text.nfc().collect() }
}

/// The text with each escape of JSON taken for what it stands for; none if there is none. Whether the rest is JSON does not matter: there may be
/// words around it, or it was cut off.
fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let (mut rest, mut any) = (text, false);
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(sign) = rest.chars().next() else {
            plain.push('\\');
            break;
        };
        let stands_for = match sign {
            '"' | '\\' | '/' => Some((sign, 1)),
            'b' => Some(('\u{8}', 1)),
            'f' => Some(('\u{c}', 1)),
            'n' => Some(('\n', 1)),
            'r' => Some(('\r', 1)),
            't' => Some(('\t', 1)),
            'u' => character(rest),
            _ => None,
        };
        match stands_for {
            Some((stands_for, length)) => {
                plain.push(stands_for);
                rest = &rest[length..];
                any = true;
            }
            None => plain.push('\\'),
        }
    }
    plain.push_str(rest);
    any.then_some(plain)
}

/// The character that `u00fc…` begins with, or `ud83d\\ude00…`, and how long it is written there.
fn character(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| text.get(at..at + 4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    let first = unit(1)?;
    let both = match text.get(5..7) {
        Some("\\u") => unit(7).map(|second| [first, second]),
        _ => None,
    };
    let one = |units: &[u16]| char::decode_utf16(units.iter().copied()).next()?.ok();
    match one(&[first]) {
        Some(character) => Some((character, 5)),
        None => Some((one(&both?)?, 11)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, text: &str, holds: bool) {
        assert_eq!(contains(said, text), holds, "{said:?}, {text:?}");
    }

    #[test]
    fn a_text_hides_behind_escapes() {
        let text = "M\u{fc}ller said \"no\",\nand C:\\new \u{1f600}";
        check(text, text, true);
        let mut said = text.to_owned();
        for _ in 0..4 {
            said = format!("Here it is: {{\"it\": {}}} and more", serde_json::to_string(&said).unwrap());
            check(&said, text, true);
            // Cut off.
            check(said.trim_end_matches("\"} and more"), "said \"no\"", true);
        }
        for said in [r#"{"name":"M\u00fcller"}"#, r#"{"name":"M\u00FCller"}"#, r#"["{\"name\":\"M\\u00fcller\"}"]"#] {
            check(said, "M\u{fc}ller", true);
            check(said, "Mu\u{308}ller", true);
        }
        check("Mu\u{308}ller", "M\u{fc}ller", true);
        check(r"\ud83d\ude00", "\u{1f600}", true);
        check(r"http:\/\/example.org", "http://example.org", true);
    }

    #[test]
    fn what_is_not_there_is_found() {
        for said in ["", "\\", r"\u", r"\u00", r"\ud83d", r"\ud83d\u0041", r"\q", "M\u{fc}LLER", r"\\u12"] {
            check(said, "M\u{fc}ller", false);
        }
    }
}
