//! Between the values of expressions and JSON, within limits, and how values print inside text.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Output, State};
use serde_json::{Map, Number, Value};

use super::MAX_BYTES;

/// How deep a value may nest while it is converted; what is stored is checked again, and more strictly.
const LEVELS: usize = 100;

/// A value as JSON.
pub(super) fn json(value: &minijinja::Value) -> Result<Value, Error> {
    Room { bytes: MAX_BYTES }.json(value, LEVELS)
}

/// What is left of the size that a value may have.
struct Room {
    bytes: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(too_large)?;
        Ok(())
    }

    fn json(&mut self, value: &minijinja::Value, levels: usize) -> Result<Value, Error> {
        let wrong = |message: &'static str| Err(Error::new(ErrorKind::BadSerialization, message));
        if levels == 0 {
            return wrong("the value nests too deep");
        }
        self.take(8)?;
        Ok(match value.kind() {
            ValueKind::None => Value::Null,
            ValueKind::Undefined => {
                return Err(Error::new(ErrorKind::UndefinedError, "a part of the value is undefined"));
            }
            ValueKind::Bool => Value::Bool(value.is_true()),
            ValueKind::Number => Value::Number(number(value)?),
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default();
                self.take(text.len())?;
                Value::String(text.to_owned())
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let mut list = Vec::new();
                for item in value.try_iter()? {
                    list.push(self.json(&item, levels - 1)?);
                }
                Value::Array(list)
            }
            ValueKind::Map => {
                let mut map = Map::new();
                for key in value.try_iter()? {
                    let name = key_text(&key)?;
                    self.take(name.len())?;
                    let item = self.json(&value.get_item(&key)?, levels - 1)?;
                    map.insert(name, item);
                }
                Value::Object(map)
            }
            ValueKind::Bytes => return wrong("bytes are no value of a workflow"),
            ValueKind::Plain => return wrong("this is no value of a workflow"),
            // An invalid value holds the error that made it one.
            _ => {
                value.try_iter()?;
                return wrong("this is no value of a workflow");
            }
        })
    }
}

fn too_large() -> Error {
    Error::new(ErrorKind::BadSerialization, format!("the value is larger than {} MiB", MAX_BYTES >> 20))
}

fn key_text(key: &minijinja::Value) -> Result<String, Error> {
    match (key.as_str(), key.kind()) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, ValueKind::Number | ValueKind::Bool) => Ok(key.to_string()),
        _ => Err(Error::new(ErrorKind::NonKey, "the name of a field must be text")),
    }
}

fn number(value: &minijinja::Value) -> Result<Number, Error> {
    if let Some(whole) = value.as_i64().filter(|_| value.is_integer()) {
        return Ok(whole.into());
    }
    if value.is_integer() {
        let text = value.to_string();
        let too_large = || Error::new(ErrorKind::InvalidOperation, format!("the number {text} is too large"));
        return text.parse::<u64>().map(Number::from).map_err(|_| too_large());
    }
    let float = f64::try_from(value.clone())?;
    // What is stored is canonical JSON, which writes 3.0 as 3: a value is the same before and after it was stored.
    #[expect(clippy::cast_possible_truncation, reason = "whole, and smaller than 2^53")]
    if float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 {
        return Ok(Number::from(float as i64));
    }
    Number::from_f64(float).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{float} is no number")))
}

/// A value as JSON text, numbers as short as they can be.
pub(super) fn json_text(value: &minijinja::Value) -> Result<String, Error> {
    let mut value = json(value)?;
    shorten(&mut value);
    written(&value, None)
}

/// A value as JSON text, its lines indented by as many spaces.
pub(super) fn written(value: &Value, indent: Option<usize>) -> Result<String, Error> {
    let text = match indent {
        None => serde_json::to_string(value),
        Some(indent) => {
            let spaces = " ".repeat(indent.min(16));
            let mut out = Vec::new();
            let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
            let mut writer = serde_json::Serializer::with_formatter(&mut out, formatter);
            serde::Serialize::serialize(value, &mut writer).map(|()| String::from_utf8_lossy(&out).into_owned())
        }
    };
    text.map_err(|e| Error::new(ErrorKind::BadSerialization, "cannot be written as JSON").with_source(e))
}

/// Writes whole numbers without a fraction: `5`, not `5.0`.
pub(super) fn shorten(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|_| number.is_f64()).and_then(whole) {
                *value = whole.into();
            }
        }
        Value::Array(list) => list.iter_mut().for_each(shorten),
        Value::Object(map) => map.values_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn whole(float: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small enough")]
    (float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0).then_some(float as i64)
}

/// Inside text, texts print as they are, everything else as JSON.
pub(super) fn print(out: &mut Output, _: &mut State, value: &minijinja::Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String => out.write_str(value.as_str().unwrap_or_default()).map_err(Error::from),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        _ => out.write_str(&json_text(value)?).map_err(Error::from),
    }
}
