//! Numbers with a unit, as authors write them: durations `500ms 2s 10m 24h 7d`, counts `60k 2M`.

use std::time::Duration;

/// A duration: a whole number and a unit.
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

/// A duration in the largest unit that it is a whole number of; a single day in hours.
pub(super) fn write_duration(millis: u64) -> String {
    for (unit, least, name) in [(86_400_000, 2, "d"), (3_600_000, 1, "h"), (60_000, 1, "m"), (1_000, 1, "s")] {
        if millis >= least * unit && millis.is_multiple_of(unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    format!("{millis}ms")
}

/// Durations in JSON as authors write them.
pub(super) mod duration_text {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::workflow) fn serialize<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => to.serialize_str(&super::write_duration(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))),
            None => to.serialize_none(),
        }
    }

    pub(in crate::workflow) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let wrong =
            || D::Error::custom(format!("`{text}` is no duration: write a whole number and a unit, `90s` or `15m`"));
        super::parse_duration(&text).filter(|span| !span.is_zero()).map(Some).ok_or_else(wrong)
    }
}

/// A count: a whole number, in thousands with `k`, in millions with `M`.
pub(super) fn parse_count(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1_000),
        b'M' => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let only_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| only_digits)?.checked_mul(factor)
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
            assert_eq!(write_duration(millis), text);
        }
        for text in ["", "5", "s", "1.5s", "-1s", "2 s", "2S", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn counts() {
        for (text, count) in [("0", 0), ("200", 200), ("60k", 60_000), ("2M", 2_000_000)] {
            assert_eq!(parse_count(text), Some(count), "{text}");
        }
        for text in ["", "k", "-1", "+1", "1.5k", "2 k", "2K", "2m", "99999999999999999999", "99999999999999999M"] {
            assert_eq!(parse_count(text), None, "{text}");
        }
    }
}
