//! JSON as Python's `json.dumps` writes it, which is what models have read in their prompts.

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
}
