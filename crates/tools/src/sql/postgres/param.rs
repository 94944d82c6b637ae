//! Values on their way to PostgreSQL: as text, which the server reads as the type that the parameter has there.

use std::error::Error;

use bytes::BytesMut;
use parkway_core::tool::ToolError;
use serde_json::Value;
use tokio_postgres::Statement;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

use crate::sql::bytes::read;
use crate::sql::params::Params;

/// A value as text, or null.
#[derive(Debug)]
pub(super) struct Given(Option<String>);

impl ToSql for Given {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// The values of the statement's parameters.
pub(super) fn given(params: &Params, statement: &Statement) -> Result<Vec<Given>, ToolError> {
    let wrong = |message: String| ToolError::invalid("params", message);
    if matches!(params, Params::Map(_)) {
        return Err(wrong("parameters of PostgreSQL have numbers and no names; write `$1`, `$2`, and a list".into()));
    }
    let kinds = statement.params();
    let written: Vec<_> = (1..=kinds.len()).map(|number| Some(format!("${number}"))).collect();
    let values = params.values(&written)?.into_iter().zip(kinds).enumerate();
    values
        .map(|(at, (value, kind))| {
            let wrong = |why: &str| wrong(format!("the value for `${}` {why}", at + 1));
            Ok(Given(match value {
                Value::Null => None,
                Value::String(text) if text.contains('\0') => {
                    return Err(wrong("holds a zero byte, which no text of PostgreSQL has; give it as bytes"));
                }
                // JSON is written as JSON, a text too.
                _ if matches!(*kind, Type::JSON | Type::JSONB) => Some(value.to_string()),
                Value::String(text) => Some(text.clone()),
                Value::Object(object) => match read(object) {
                    Some(Some(bytes)) if *kind == Type::BYTEA => Some(escaped(&bytes)),
                    Some(Some(_)) => return Err(wrong(&format!("is bytes, and the parameter is of the type {kind}"))),
                    Some(None) => return Err(wrong("is no base64; write bytes like `{\"base64\": \"AAEC\"}`")),
                    None => Some(value.to_string()),
                },
                other => Some(other.to_string()),
            }))
        })
        .collect()
}

/// Bytes in the form that PostgreSQL reads: `\x00ff`.
fn escaped(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    "\\x".chars().chain(digits).collect()
}
