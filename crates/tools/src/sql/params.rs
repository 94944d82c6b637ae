//! The values for the parameters of a statement: by number, or by name. A value never becomes a part of the statement's text.

use parkway_core::tool::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Values for parameters.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Params {
    /// For `$1`, `$2` and so on, in order.
    List(Vec<Value>),
    /// For `$name`, by name.
    Map(Map<String, Value>),
}

impl Default for Params {
    fn default() -> Self {
        Params::List(Vec::new())
    }
}

impl Params {
    /// The value of each parameter of a statement. `written` is how it stands there: `$1`, `$name`.
    pub(super) fn values(&self, written: &[Option<String>]) -> Result<Vec<&Value>, ToolError> {
        let values = written.iter().map(|name| self.value(name.as_deref())).collect::<Result<_, _>>()?;
        let stands = |name: String| written.iter().flatten().any(|parameter| *parameter == name);
        let mut names: Box<dyn Iterator<Item = String>> = match self {
            Params::List(list) => Box::new((1..=list.len()).map(|number| format!("${number}"))),
            Params::Map(map) => Box::new(map.keys().map(|key| format!("${key}"))),
        };
        match names.find(|name| !stands(name.clone())) {
            Some(name) => Err(wrong(format!(
                "`params` has a value for `{name}`, which the statement does not have; leave it out"
            ))),
            None => Ok(values),
        }
    }

    fn value(&self, written: Option<&str>) -> Result<&Value, ToolError> {
        let Some(name) = written.and_then(|written| written.strip_prefix('$')) else {
            let written = written.unwrap_or("?");
            return Err(wrong(format!(
                "the statement has the parameter `{written}`; write `$1`, `$2` for a list of values, `$name` for a map"
            )));
        };
        let value = match self {
            Params::List(list) => {
                name.parse::<usize>().ok().and_then(|number| number.checked_sub(1)).and_then(|at| list.get(at))
            }
            Params::Map(map) => map.get(name),
        };
        value.ok_or_else(|| wrong(format!("the statement has `${name}`, and `params` has no value for it; add one")))
    }
}

fn wrong(message: String) -> ToolError {
    ToolError::invalid("params", message)
}
