//! JSON values out of text that somebody else has written: no key twice, no nesting without end.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep the values of a JSON document may nest.
pub(super) const DEPTH: usize = 64;

/// What is wrong with a text as JSON, and where. It quotes nothing of the text: errors carry no labels.
#[derive(Debug, PartialEq)]
pub(super) struct Flaw {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) what: String,
}

/// The value that a text is.
pub(super) fn parse(text: &str) -> Result<Value, Flaw> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: DEPTH }.deserialize(&mut deserializer);
    value.and_then(|value| deserializer.end().map(|()| value)).map_err(|e| {
        let what = e.to_string();
        // The place stands beside it.
        let what = what.split(" at line ").next().unwrap_or_default().to_owned();
        Flaw { line: e.line(), column: e.column(), what }
    })
}

/// Reads a value that nests at most so deep.
pub(super) struct Strict {
    pub(super) depth: usize,
}

impl Strict {
    fn inner<E: Error>(&self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("the values nest too deep"))?;
        Ok(Strict { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that JSON does not have"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element_seed(self.inner()?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom("a key stands here that the same object has already"));
            }
            object.insert(key, map.next_value_seed(self.inner()?)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let said = match parse(text) {
            Ok(value) => value.to_string(),
            Err(Flaw { line, column, what }) => format!("{line}:{column}: {what}"),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        check(r#" {"b": [1, -2.5, "x"], "a": null} "#, r#"{"b":[1,-2.5,"x"],"a":null}"#);
        check("18446744073709551615", "18446744073709551615");
        check("", "1:0: EOF while parsing a value");
        check("{\"a\": 1,\n \"b\" 2}", "2:6: expected `:`");
        check("[1, 2,]", "1:7: trailing comma");
        check("1 2", "1:3: trailing characters");
        check("NaN", "1:1: expected value");
        check("1e999", "1:5: number out of range");
        check("\"\u{1}\"", "1:2: control character (\\u0000-\\u001F) found while parsing a string");
        check("\"\\ud800\"", "1:8: unexpected end of hex escape");
    }

    #[test]
    fn no_value_of_a_key_is_lost() {
        check("{\"a\": 1,\n\"a\": 2}", "2:3: a key stands here that the same object has already");
        check("[{\"a\": 1}, {\"a\": 2}]", "[{\"a\":1},{\"a\":2}]");
        check(r#"{"\u0061": 1, "a": 2}"#, "1:17: a key stands here that the same object has already");
    }

    #[test]
    fn nesting_ends_before_the_stack_does() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(DEPTH)).is_ok());
        check(&nested(DEPTH + 1), "1:66: the values nest too deep");
        check(&"[".repeat(500_000), "1:65: the values nest too deep");
        check(&"{\"a\":".repeat(100_000), "1:324: the values nest too deep");
    }
}
