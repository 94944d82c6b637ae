//! Values on their way into SQLite and back.

use parkway_core::tool::ToolError;
use rusqlite::types::{Value as Bound, ValueRef};
use serde_json::{Number, Value};

use crate::sql::bytes;

/// The value of the parameter that is written `name`.
pub(super) fn bound(value: &Value, name: &str) -> Result<Bound, ToolError> {
    let wrong = |why: &str| ToolError::invalid("params", format!("the value for `{name}` {why}"));
    Ok(match value {
        Value::Null => Bound::Null,
        Value::Bool(truth) => Bound::Integer((*truth).into()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Bound::Integer(integer),
            (None, Some(real)) if number.is_f64() => Bound::Real(real),
            _ => return Err(wrong("is larger than any integer of SQLite; give it as a text")),
        },
        Value::String(text) => Bound::Text(text.clone()),
        Value::Array(_) => Bound::Text(value.to_string()),
        Value::Object(object) => match bytes::read(object) {
            Some(bytes) => {
                Bound::Blob(bytes.ok_or_else(|| wrong("is no base64; write bytes like `{\"base64\": \"AAEC\"}`"))?)
            }
            None => Bound::Text(value.to_string()),
        },
    })
}

/// A value of a column, by what is stored and by the type that the column was declared with.
pub(super) fn shown(value: ValueRef<'_>, column: &str, kind: Option<&str>) -> Result<Value, ToolError> {
    let wrong = |what: &str, cast: &str| {
        let message = format!("the column `{column}` holds {what}; ask for `{cast}` in its place");
        ToolError::invalid("value", message)
    };
    let is = |name: &str| kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name));
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(truth @ (0 | 1)) if is("boolean") || is("bool") => Value::Bool(truth == 1),
        ValueRef::Integer(integer) => integer.into(),
        ValueRef::Real(real) => {
            let number = Number::from_f64(real);
            number.ok_or_else(|| wrong("a number without end", &format!("CAST({column} AS TEXT)")))?.into()
        }
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text)
                .map_err(|_| wrong("a text that is not UTF-8", &format!("CAST({column} AS BLOB)")))?;
            match is("json") {
                true => serde_json::from_str(text)
                    .map_err(|_| wrong("a text that is no JSON", &format!("CAST({column} AS TEXT)")))?,
                false => text.into(),
            }
        }
        ValueRef::Blob(blob) => bytes::shown(blob),
    })
}
