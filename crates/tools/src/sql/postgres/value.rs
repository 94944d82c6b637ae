//! Values on their way back from PostgreSQL, in the binary form of each type.

use std::error::Error;

use parkway_core::id::Time;
use parkway_core::tool::ToolError;
use serde_json::{Number, Value};
use tokio_postgres::types::{FromSql, Kind, Type};

use crate::sql::bytes;

/// Microseconds from 1970 to 2000, where PostgreSQL begins to count.
const EPOCH: i64 = 946_684_800_000_000;
const DAY: i64 = 86_400_000_000;

/// The bytes of a value; none for null.
pub(super) struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Raw(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Raw(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The value of a column.
pub(super) fn shown(raw: &Raw<'_>, column: &str, kind: &Type) -> Result<Value, ToolError> {
    let Some(raw) = raw.0 else { return Ok(Value::Null) };
    known(raw, kind).ok_or_else(|| {
        let message = format!(
            "the column `{column}` of the type {kind} holds what JSON has no form for; ask for `CAST({column} AS text)`, or for \
             `to_json({column})`, in its place"
        );
        ToolError::invalid("value", message)
    })
}

fn known(raw: &[u8], kind: &Type) -> Option<Value> {
    let text = || std::str::from_utf8(raw).ok();
    Some(match *kind {
        Type::BOOL => Value::Bool(*raw.first()? != 0),
        Type::INT2 => i16::from_be_bytes(raw.try_into().ok()?).into(),
        Type::INT4 => i32::from_be_bytes(raw.try_into().ok()?).into(),
        Type::INT8 => i64::from_be_bytes(raw.try_into().ok()?).into(),
        Type::OID => u32::from_be_bytes(raw.try_into().ok()?).into(),
        // By its shortest digits, as PostgreSQL shows it: 0.1 and not 0.10000000149.
        Type::FLOAT4 => Number::from_f64(f32::from_be_bytes(raw.try_into().ok()?).to_string().parse().ok()?)?.into(),
        Type::FLOAT8 => Number::from_f64(f64::from_be_bytes(raw.try_into().ok()?))?.into(),
        Type::NUMERIC => numeric(raw)?.into(),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => text()?.into(),
        Type::BYTEA => bytes::shown(raw),
        Type::JSON => serde_json::from_slice(raw).ok()?,
        // Behind the number of its version.
        Type::JSONB => serde_json::from_slice(raw.strip_prefix(&[1])?).ok()?,
        Type::UUID => uuid(raw)?.into(),
        Type::DATE => moment(i64::from(i32::from_be_bytes(raw.try_into().ok()?)).checked_mul(DAY)?)?.get(..10)?.into(),
        Type::TIME => moment(i64::from_be_bytes(raw.try_into().ok()?))?.get(11..26)?.into(),
        // Without a zone, since it has none.
        Type::TIMESTAMP => moment(i64::from_be_bytes(raw.try_into().ok()?))?.trim_end_matches('Z').into(),
        Type::TIMESTAMPTZ => moment(i64::from_be_bytes(raw.try_into().ok()?))?.into(),
        _ => match kind.kind() {
            Kind::Enum(_) => text()?.into(),
            Kind::Domain(inner) => known(raw, inner)?,
            _ => return None,
        },
    })
}

/// A moment in RFC 3339, so many microseconds after the year 2000 began.
fn moment(micros: i64) -> Option<String> {
    let text = Time::from_micros(micros.checked_add(EPOCH)?).to_string();
    // Years before 0 and after 9999, and infinity, look otherwise.
    (text.len() == 27).then_some(text)
}

fn uuid(raw: &[u8]) -> Option<String> {
    let number = u128::from_be_bytes(raw.try_into().ok()?);
    let digits = format!("{number:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
    Some(parts.join("-"))
}

/// A decimal number as text, with all of its digits. It comes as groups of four digits, the first of them worth
/// 10,000 to the power of `weight`.
fn numeric(raw: &[u8]) -> Option<String> {
    let mut numbers = raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let (_, weight, sign, scale) = (numbers.next()?, numbers.next()?.cast_signed(), numbers.next()?, numbers.next()?);
    let groups: Vec<u16> = numbers.collect();
    let group = |at: i32| usize::try_from(at).ok().and_then(|at| groups.get(at)).copied().unwrap_or_default();
    let sign = match sign {
        0x0000 => "",
        0x4000 => "-",
        0xC000 => return Some("NaN".into()),
        0xD000 => return Some("Infinity".into()),
        0xF000 => return Some("-Infinity".into()),
        _ => return None,
    };
    let weight = i32::from(weight);
    let mut whole = group(0).to_string();
    if weight < 0 {
        whole = "0".into();
    }
    whole.extend((1..=weight).map(|at| format!("{:04}", group(at))));
    let scale = usize::from(scale);
    let mut fraction = String::new();
    let mut at = weight + 1;
    while fraction.len() < scale {
        fraction.push_str(&format!("{:04}", group(at)));
        at += 1;
    }
    fraction.truncate(scale);
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(numbers: &[u16], expected: &str) {
        let raw: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(numeric(&raw).unwrap(), expected);
    }

    #[test]
    fn a_decimal_number_keeps_its_digits() {
        check(&[0, 0, 0, 0], "0");
        check(&[0, 0, 0, 2], "0.00");
        check(&[2, 0, 0, 1, 12, 5000], "12.5");
        check(&[1, 1, 0x4000, 0, 3], "-30000");
        check(&[1, 0xfffe, 0, 8, 12], "0.00000012");
        check(&[1, 0xffff, 0, 1, 5000], "0.5");
        check(&[0, 0, 0xC000, 0], "NaN");
    }

    #[test]
    fn a_time_that_rfc_3339_does_not_have_is_refused() {
        assert_eq!(moment(0).unwrap(), "2000-01-01T00:00:00.000000Z");
        assert_eq!(moment(-EPOCH - 1).unwrap(), "1969-12-31T23:59:59.999999Z");
        assert_eq!((moment(i64::MAX), moment(i64::MIN), moment(8_000 * 366 * DAY)), (None, None, None));
    }
}
