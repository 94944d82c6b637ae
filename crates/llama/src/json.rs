//! JSON as Python's `json.dumps` writes it, which is what models have read in their prompts; and numbers that nobody can read.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// What stands between the members of a value on one line.
#[derive(Clone, Debug)]
pub(crate) struct Separators {
    pub(crate) item: String,
    pub(crate) key: String,
}

impl Default for Separators {
    fn default() -> Self {
        Separators { item: ", ".into(), key: ": ".into() }
    }
}

impl Formatter for Separators {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.key.as_bytes())
    }
}

/// A value on one line.
pub(crate) fn line(value: &impl Serialize, separators: Separators) -> Result<String, String> {
    write(value, separators)
}

/// A value on many lines, indented by so many spaces.
pub(crate) fn lines(value: &impl Serialize, indent: usize) -> Result<String, String> {
    write(value, PrettyFormatter::with_indent(" ".repeat(indent).as_bytes()))
}

fn write(value: &impl Serialize, formatter: impl Formatter) -> Result<String, String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter)).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// Whether the beginning of a JSON text ends with a number that no double holds, such as `4e400`: the grammar of JSON has it, and readers
/// of JSON refuse it.
pub(crate) fn overflows(text: &[u8]) -> bool {
    let is_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let (before, number) = text.split_at(text.iter().rposition(|byte| !is_number(byte)).map_or(0, |at| at + 1));
    let number = str::from_utf8(number).ok().and_then(|number| number.parse::<f64>().ok());
    number.is_some_and(f64::is_infinite) && !ends_in_string(before)
}

/// Whether the beginning of a JSON text ends within a string.
fn ends_in_string(text: &[u8]) -> bool {
    let (mut within, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = within,
            b'"' => within = !within,
            _ => {}
        }
    }
    within
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_as_python_writes_them() {
        let value = json!({"a": [1, 2.0, "ä<>&'\"\n"], "b": {}, "c": [], "d": null});
        let expect = r#"{"a": [1, 2.0, "ä<>&'\"\n"], "b": {}, "c": [], "d": null}"#;
        assert_eq!(line(&value, Separators::default()).unwrap(), expect);
        assert_eq!(lines(&json!({"a": [1], "b": {}}), 2).unwrap(), "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}");
    }

    #[test]
    fn a_number_that_no_double_holds_is_told() {
        for text in ["1e309", "-4E2280", "{\"a\": 1e999", "[0,-1e+400", r#"{"\"": 1e400"#, &"9".repeat(400)] {
            assert!(overflows(text.as_bytes()), "{text}");
        }
        let none =
            ["", "1e308", "1e-999", "1e", "-", "\"1e999", r#"{"a\": 1e999"#, "1e999,", "e999", "--1e999", "1e999}"];
        for text in none {
            assert!(!overflows(text.as_bytes()), "{text}");
        }
    }
}
