//! Numbers with a unit, as authors write them: durations `500ms 2s 10m 24h 7d`, counts `60k 2M`.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// A duration in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Span).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a duration; write a whole number and a unit: 500ms, 2s, 10m, 24h, 7d"
            ))
        })
    }
}

/// A duration as authors write it.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// A count in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;
        impl Visitor<'_> for CountVisitor {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number such as 200, 60k or 2M")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Count, E> {
                Ok(Count(number))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Count, E> {
                u64::try_from(number).map(Count).map_err(|_| E::custom("a count cannot be negative"))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
                let (digits, factor) = match text.as_bytes().last() {
                    Some(b'k') => (&text[..text.len() - 1], 1_000),
                    Some(b'M') => (&text[..text.len() - 1], 1_000_000),
                    _ => (text, 1),
                };
                let number = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
                number.map(Count).ok_or_else(|| E::custom(format!("`{text}` is not a count; write 200, 60k or 2M")))
            }
        }
        deserializer.deserialize_any(CountVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in
            [("500ms", 500), ("2s", 2_000), ("10m", 600_000), ("24h", 86_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "1.5s", "-1s", "2 s", "2S", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
