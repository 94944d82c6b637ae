//! Values for inputs, from `--inputs` and `--input`.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use parkway::{Inputs, Plan};
use serde_json::Value;

use super::form::typed;
use crate::args::RunArgs;
use crate::failure::Failure;

/// The values of `--inputs`. Stdin is read before a session begins to listen for Ctrl-C, which could not end the reading.
pub(crate) fn read_file(args: &RunArgs) -> Result<Inputs, Failure> {
    args.inputs.as_deref().map_or_else(|| Ok(Inputs::new()), from_file)
}

/// Adds the values of `--input`, which go before those of the file.
pub(crate) fn add_given(mut inputs: Inputs, args: &RunArgs, plan: &Plan) -> Result<Inputs, Failure> {
    for given in &args.input {
        let Some((name, text)) = given.split_once('=') else {
            return Err(Failure::invalid(format!("`--input {given}` has no value")).help("write `--input NAME=VALUE`"));
        };
        inputs.insert(name.to_owned(), value(name, text, plan)?);
    }
    Ok(inputs)
}

pub(crate) fn from_file(file: &Path) -> Result<Inputs, Failure> {
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let name = file.display();
    let text = text.map_err(|e| Failure::invalid(format!("cannot read the values in {name}: {e}")))?;
    serde_json::from_str(&text).map_err(|e| {
        Failure::invalid(format!("the values in {name} are no JSON object: {e}")).help("write `{\"NAME\": VALUE}`")
    })
}

/// A value that was given as JSON, as `@FILE`, or as `-` for stdin. `what` is how it was asked for.
pub(crate) fn json_value(text: &str, what: &str) -> Result<Value, Failure> {
    let (source, text) = if text == "-" {
        let mut text = String::new();
        (Some("stdin"), io::stdin().read_to_string(&mut text).map(|_| text))
    } else if let Some(file) = text.strip_prefix('@') {
        (Some(file), fs::read_to_string(file))
    } else {
        (None, Ok(text.to_owned()))
    };
    let text = text.map_err(|e| {
        Failure::invalid(format!("cannot read {} for {what}: {e}", source.unwrap_or_default()))
            .help("write JSON, `@FILE` for a file with it, or `-` for stdin")
    })?;
    serde_json::from_str(&text).map_err(|e| match source {
        Some(source) => Failure::invalid(format!("what {source} holds for {what} is no JSON: {e}")),
        None => Failure::invalid(format!("`{text}` for {what} is no JSON: {e}"))
            .help("a text stands in quotes of its own: `'\"sent\"'`; `@FILE` is a file with JSON, `-` is stdin"),
    })
}

/// A text by the input's type. An unknown name is told later, with the names that there are.
fn value(name: &str, text: &str, plan: &Plan) -> Result<Value, Failure> {
    let schema = plan.inputs.get("properties").and_then(|properties| properties.get(name));
    typed(text, schema).ok_or_else(|| {
        let kind = schema.and_then(|schema| schema.get("type")).and_then(Value::as_str).unwrap_or("string");
        Failure::invalid(format!("the input `{name}` is of the type `{kind}`, and `{text}` is no JSON for it"))
            .help(format!("write for example `--input {name}={}`", example(kind)))
    })
}

fn example(kind: &str) -> &'static str {
    match kind {
        "integer" => "3",
        "number" => "0.5",
        "boolean" => "true",
        "array" => "'[\"a\", \"b\"]'",
        _ => "'{\"a\": 1}'",
    }
}
