//! Filters for texts that minijinja has not.

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::super::convert;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("truncate", truncate);
    environment.add_filter("contains", contains);
    environment.add_test("containing", contains);
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("string", string);
}

/// What `upper`, `split` and their like would make of a list is of no use; what this file's filters are given must be text.
pub(super) fn text_of<'a>(value: &'a Value, filter: &str) -> Result<&'a str, Error> {
    value.as_str().ok_or_else(|| {
        let message = format!("`{filter}` needs a text, not {}", value.kind());
        Error::new(ErrorKind::InvalidOperation, message)
    })
}

fn truncate(value: &Value, most: Option<usize>, end: Option<String>, named: Kwargs) -> Result<String, Error> {
    let text = text_of(value, "truncate")?;
    let most = match most {
        Some(most) => most,
        None => named.get("length")?,
    };
    let end = end.map_or_else(|| named.get::<Option<String>>("end"), |end| Ok(Some(end)))?;
    named.assert_all_used()?;
    if text.chars().nth(most).is_none() {
        return Ok(text.to_owned());
    }
    let end = end.unwrap_or_else(|| "…".into());
    let kept = most.saturating_sub(end.chars().count());
    Ok(text.chars().take(kept).chain(end.chars()).take(most).collect())
}

fn contains(state: &State<'_, '_>, value: &Value, part: &Value) -> Result<bool, Error> {
    minijinja::tests::is_in(state, part, value)
}

fn string(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        _ => {
            let text = convert::json_text(value)?;
            state.consume_fuel(text.len() as u64 / 16)?;
            Ok(text)
        }
    }
}

fn urlencode(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    if value.kind() == ValueKind::Map {
        for key in value.try_iter()? {
            let item = value.get_item(&key)?;
            if item.is_none() || item.is_undefined() {
                continue;
            }
            if !out.is_empty() {
                out.push('&');
            }
            encode(&mut out, &plain(&key)?);
            out.push('=');
            encode(&mut out, &plain(&item)?);
        }
    } else {
        encode(&mut out, &plain(value)?);
    }
    Ok(out)
}

fn plain(value: &Value) -> Result<String, Error> {
    value.as_str().map_or_else(|| convert::json_text(value), |text| Ok(text.to_owned()))
}

fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
