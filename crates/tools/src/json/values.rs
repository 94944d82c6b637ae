//! Values of JSON as jaq has them, and back. A number never changes on the way: one that JSON here cannot hold is an error.

use jaq_json::{Map, Num, Val};
use serde_json::{Number, Value};

use super::meter::DEEPEST;

/// A JSON value for jaq.
pub(super) fn into_jaq(value: Value) -> Result<Val, String> {
    jaq_within(value, DEEPEST)
}

fn jaq_within(value: Value, deepest: u32) -> Result<Val, String> {
    let below = || deepest.checked_sub(1).ok_or_else(|| format!("nested more than {DEEPEST} deep"));
    Ok(match value {
        Value::Null => Val::Null,
        Value::Bool(bool) => Val::Bool(bool),
        Value::Number(number) => Val::Num(match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Num::from_integral(int),
            (None, Some(int)) => Num::from_integral(int),
            (None, None) => Num::Float(number.as_f64().ok_or_else(|| format!("{number} is no number here"))?),
        }),
        Value::String(text) => Val::from(text),
        Value::Array(items) => {
            let deepest = below()?;
            items.into_iter().map(|item| jaq_within(item, deepest)).collect::<Result<_, _>>()?
        }
        Value::Object(fields) => {
            let deepest = below()?;
            let fields = fields.into_iter().map(|(name, value)| Ok((Val::from(name), jaq_within(value, deepest)?)));
            Val::obj(fields.collect::<Result<Map, String>>()?)
        }
    })
}

/// What jaq gave, as JSON; or why it is none.
pub(super) fn from_jaq(value: &Val) -> Result<Value, String> {
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(bool) => Value::Bool(*bool),
        Val::Num(number) => Value::Number(json_number(number)?),
        Val::TStr(bytes) => Value::String(text(bytes)?.into()),
        Val::BStr(_) => return Err("bytes are no JSON; turn them into text with `@base64`".into()),
        Val::Arr(items) => Value::Array(items.iter().map(from_jaq).collect::<Result<_, _>>()?),
        Val::Obj(fields) => {
            let fields = fields.iter().map(|(name, value)| match name {
                Val::TStr(name) => Ok((text(name)?.into(), from_jaq(value)?)),
                other => Err(format!("the name of a field is {other}, and JSON has only texts there; use `tostring`")),
            });
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
    })
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8; keep it as `@base64` has it".into())
}

fn json_number(number: &Num) -> Result<Number, String> {
    let lost = || format!("{number} does not fit a number here; keep it as a text with `tostring`");
    match number {
        Num::Int(int) => Ok(Number::from(*int)),
        Num::BigInt(int) => u64::try_from(&**int).map(Number::from).map_err(|_| lost()),
        Num::Float(float) => Number::from_f64(*float)
            .ok_or_else(|| format!("{number} is no number in JSON; test it with `isnormal` before")),
        Num::Dec(written) => {
            let read = written.parse().ok().and_then(Number::from_f64).ok_or_else(lost)?;
            if digits(written) == digits(&read.to_string()) { Ok(read) } else { Err(lost()) }
        }
    }
}

/// The digits that count, and the power of ten of the first one.
fn digits(number: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.trim_start_matches(['-', '+']).split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{}{fraction}", whole.trim_start_matches(['-', '+']));
    let counting = all.trim_start_matches('0');
    let first = i64::try_from(whole.trim_start_matches(['-', '+']).len()).ok()?
        - i64::try_from(all.len() - counting.len()).ok()?
        + exponent.parse::<i64>().ok()?;
    let counting = counting.trim_end_matches('0');
    Some(if counting.is_empty() { (String::new(), 0) } else { (counting.into(), first) })
}
