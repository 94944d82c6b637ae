//! Filters to and from JSON.

use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::super::{MAX_BYTES, convert};
use super::texts::text_of;
use crate::schema::check_depth;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("to_json", to_json);
    environment.add_filter("tojson", to_json);
    environment.add_filter("from_json", from_json);
}

fn to_json(state: &State<'_, '_>, value: &Value, indent: Option<usize>, named: Kwargs) -> Result<String, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => named.get::<Option<usize>>("indent")?,
    };
    named.assert_all_used()?;
    let mut json = convert::json(value)?;
    convert::shorten(&mut json);
    let text = convert::written(&json, indent)?;
    state.consume_fuel(text.len() as u64 / 16)?;
    if text.len() > MAX_BYTES {
        return Err(Error::new(ErrorKind::InvalidOperation, "the text that `to_json` makes is too large"));
    }
    Ok(text)
}

fn from_json(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let text = text_of(value, "from_json")?;
    state.consume_fuel(text.len() as u64 / 4)?;
    let wrong = |message: String| Error::new(ErrorKind::InvalidOperation, message);
    let parsed: serde_json::Value =
        serde_json::from_str(text).map_err(|error| wrong(format!("the text is not JSON: {error}")))?;
    check_depth(&parsed).map_err(wrong)?;
    Ok(Value::from(Serde(parsed)))
}
