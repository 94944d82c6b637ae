//! Filters and functions that reach into values.

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("get", get);
    environment.add_function("get", get);
    environment.add_filter("default", default);
    environment.add_filter("flatten", flatten);
}

fn get(value: &Value, path: &Value, other: Option<Value>) -> Result<Value, Error> {
    let mut at = value.clone();
    let path = match path.as_str() {
        Some(names) => names.to_owned(),
        None => path.to_string(),
    };
    for name in path.split('.') {
        at = match (at.kind(), name.parse::<usize>()) {
            (ValueKind::Seq | ValueKind::Iterable, Ok(index)) => at.get_item_by_index(index).unwrap_or_default(),
            (ValueKind::Map, _) => at.get_attr(name).unwrap_or_default(),
            _ => Value::UNDEFINED,
        };
    }
    Ok(if at.is_undefined() || at.is_none() { other.unwrap_or(Value::from(())) } else { at })
}

/// A value that is null is missing, as in JSON a field may be left out or null.
fn default(value: &Value, arguments: Rest<Value>) -> Result<Value, Error> {
    if arguments.len() > 2 {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let when_empty = arguments.get(1).is_some_and(Value::is_true);
    let missing = value.is_undefined() || value.is_none() || (when_empty && !value.is_true());
    Ok(if missing { arguments.first().cloned().unwrap_or_else(|| Value::from("")) } else { value.clone() })
}

fn flatten(state: &State<'_, '_>, value: &Value) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for item in value.try_iter()? {
        state.consume_fuel(1)?;
        if matches!(item.kind(), ValueKind::Seq | ValueKind::Iterable) {
            for inner in item.try_iter()? {
                state.consume_fuel(1)?;
                all.push(inner);
            }
        } else {
            all.push(item);
        }
    }
    Ok(all)
}
