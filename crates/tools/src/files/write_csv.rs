//! `files.write_csv`: one file with a table.

use std::collections::HashSet;

use csv::{Terminator, WriterBuilder};
use parkway_core::id::Digest;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::formulas::escape;
use super::replace::replace;
use super::roots::Roots;
use crate::builtin::Builtin;

/// Writes a CSV file.
pub(crate) struct WriteCsv {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `out/orders.csv`. One that exists is replaced.
    path: String,
    /// The rows: all objects, or all lists of cells. Null is an empty cell; an object or a list in a cell is written
    /// as JSON.
    #[schemars(with = "Vec<Row>")]
    rows: Vec<Value>,
    /// The columns, in order; they stand in the first line. Of objects only these keys are written; without it all
    /// keys, in the order in which the rows first have them. Lists without it have no first line of names.
    columns: Option<Vec<String>>,
    /// What happens to text that a spreadsheet would run as a formula.
    #[serde(default)]
    formulas: Formulas,
}

/// A row.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used: reading rows by hand tells which one is wrong")]
enum Row {
    /// Cells by column.
    Object(Map<String, Value>),
    /// Cells in order.
    List(Vec<Value>),
}

/// What happens to text that begins with `=`, `+`, `-`, `@`, a tab or a line break, and is no number; and to one that goes
/// on with `=`, `+`, `-` or `@` behind a `;`, a tab or a line break.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Formulas {
    /// It gets a `'` in front of that, so that it stays text.
    #[default]
    Escape,
    /// It is written as it is: only for text that nobody outside has written.
    Keep,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The file's path from the project root.
    path: String,
    /// How many rows it has, without the line of column names.
    rows: u64,
    /// The column names in its first line; none if it has no such line.
    columns: Vec<String>,
    /// Its size in bytes.
    bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    sha256: String,
}

impl Builtin for WriteCsv {
    const NAME: &'static str = "files.write_csv";
    const DESCRIPTION: &'static str = "Writes rows to a CSV file (RFC 4180, UTF-8), replacing what was there, in one \
         step. Folders on the way are created. Text that a spreadsheet would run as a formula is made harmless.";
    const EFFECT: Effect = Effect::Idempotent;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let table = Table::new(&input.rows, input.columns)?;
        let bytes = table.to_csv(input.formulas)?;
        let place = self.roots.writable(&input.path, context)?;
        replace(&place, &bytes)?;
        Ok(Output {
            path: place.path,
            rows: table.rows.len() as u64,
            columns: table.columns,
            bytes: bytes.len() as u64,
            sha256: Digest::of(&[&bytes]).to_string(),
        })
    }
}

/// Rows of equal length.
struct Table<'a> {
    columns: Vec<String>,
    rows: Vec<Vec<&'a Value>>,
}

impl<'a> Table<'a> {
    fn new(rows: &'a [Value], columns: Option<Vec<String>>) -> Result<Self, ToolError> {
        if let Some(columns) = &columns {
            let mut seen = HashSet::new();
            if let Some(twice) = columns.iter().find(|c| !seen.insert(c.as_str())) {
                return Err(ToolError::invalid(
                    "invalid",
                    format!("column `{twice}` is named twice in `columns`; name each once"),
                ));
            }
        }
        match rows.first() {
            None => Ok(Table { columns: columns.unwrap_or_default(), rows: Vec::new() }),
            Some(Value::Object(_)) => Table::of_objects(rows, columns),
            Some(Value::Array(_)) => Table::of_lists(rows, columns.unwrap_or_default()),
            Some(other) => Err(misfit(0, other, "an object or a list")),
        }
    }

    fn of_objects(rows: &'a [Value], columns: Option<Vec<String>>) -> Result<Self, ToolError> {
        let object =
            |(i, row): (usize, &'a Value)| row.as_object().ok_or_else(|| misfit(i, row, "an object like the first"));
        let objects: Vec<&Map<String, Value>> = rows.iter().enumerate().map(object).collect::<Result<_, _>>()?;
        let columns = columns.unwrap_or_else(|| {
            let mut seen = HashSet::new();
            objects.iter().flat_map(|row| row.keys()).filter(|key| seen.insert(key.as_str())).cloned().collect()
        });
        let cells = |row: &&'a Map<String, Value>| columns.iter().map(|c| row.get(c).unwrap_or(&Value::Null)).collect();
        let rows = objects.iter().map(cells).collect();
        Ok(Table { columns, rows })
    }

    fn of_lists(rows: &'a [Value], columns: Vec<String>) -> Result<Self, ToolError> {
        let list = |(i, row): (usize, &'a Value)| row.as_array().ok_or_else(|| misfit(i, row, "a list like the first"));
        let lists: Vec<&Vec<Value>> = rows.iter().enumerate().map(list).collect::<Result<_, _>>()?;
        let first = lists.first().map_or(0, |row| row.len());
        let width = if columns.is_empty() { first } else { columns.len() };
        if let Some((i, row)) = lists.iter().enumerate().find(|(_, row)| row.len() != width) {
            let message =
                format!("the number of cells in row {i} is {}, not {width}; give all rows the same length", row.len());
            return Err(ToolError::invalid("invalid", message));
        }
        Ok(Table { columns, rows: lists.into_iter().map(|row| row.iter().collect()).collect() })
    }

    fn to_csv(&self, formulas: Formulas) -> Result<Vec<u8>, ToolError> {
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
        let unwritable = |e: &dyn std::fmt::Display| {
            ToolError::invalid("invalid", format!("the rows cannot be written as CSV: {e}"))
        };
        let safe = |text: String| if formulas == Formulas::Escape { escape(&text) } else { text };
        if !self.columns.is_empty() {
            writer.write_record(self.columns.iter().map(|c| safe(c.clone()))).map_err(|e| unwritable(&e))?;
        }
        for row in self.rows.iter().filter(|row| !row.is_empty()) {
            writer.write_record(row.iter().map(|value| safe(cell(value)))).map_err(|e| unwritable(&e))?;
        }
        writer.into_inner().map_err(|e| unwritable(&e))
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn misfit(index: usize, row: &Value, expected: &str) -> ToolError {
    let kind = match row {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    ToolError::invalid("invalid", format!("row {index} is {kind} and must be {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(rows: Value, columns: Option<&[&str]>, expected: &str) {
        let rows: Vec<Value> = serde_json::from_value(rows).unwrap();
        let columns = columns.map(|c| c.iter().map(|c| (*c).to_owned()).collect());
        let written = match Table::new(&rows, columns).and_then(|t| t.to_csv(Formulas::Escape)) {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(error) => error.message,
        };
        assert_eq!(written, expected);
    }

    #[test]
    fn columns_come_in_first_seen_order() {
        check(json!([{"b": 1, "a": 2}, {"c": 3, "a": 4}]), None, "b,a,c\r\n1,2,\r\n,4,3\r\n");
        check(json!([{"b": 1, "a": 2}]), Some(&["a", "x"]), "a,x\r\n2,\r\n");
    }

    #[test]
    fn cells_are_quoted_as_rfc_4180_wants() {
        check(
            json!([["a,b", "say \"x\"", "two\nlines", "é", ""]]),
            None,
            "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",é,\r\n",
        );
        check(
            json!([{"v": {"a": 1}}, {"v": [1, null]}, {"v": true}]),
            None,
            "v\r\n\"{\"\"a\"\":1}\"\r\n\"[1,null]\"\r\ntrue\r\n",
        );
        check(json!([{"v": null}]), None, "v\r\n\"\"\r\n");
    }

    #[test]
    fn a_letter_cannot_plant_a_formula() {
        check(json!([["=1+1", "+49 170", "-x", "@a", "\tx"]]), None, "'=1+1,'+49 170,'-x,'@a,'\tx\r\n");
        check(json!([["-1.5", "+3", "-2e6", "-inf", "a=b", -7]]), None, "-1.5,+3,-2e6,'-inf,a=b,-7\r\n");
        check(json!([{"=h": 1}]), None, "'=h\r\n1\r\n");
        check(json!([["\rx", "＝1"]]), None, "\"'\rx\",'＝1\r\n");
        // For a spreadsheet that splits at `;`.
        check(json!([["a;=cmd", "a\n=b"]]), None, "a;'=cmd,\"a\n'=b\"\r\n");
    }

    #[test]
    fn rows_that_do_not_fit_are_named() {
        check(json!([{"a": 1}, [2]]), None, "row 1 is a list and must be an object like the first");
        check(json!([[1, 2], [3]]), None, "the number of cells in row 1 is 1, not 2; give all rows the same length");
        check(json!([[1, 2]]), Some(&["a"]), "the number of cells in row 0 is 2, not 1; give all rows the same length");
        check(json!(["x"]), None, "row 0 is a text and must be an object or a list");
        check(json!([]), Some(&["a", "a"]), "column `a` is named twice in `columns`; name each once");
    }

    #[test]
    fn no_rows_leave_the_column_names() {
        check(json!([]), Some(&["a", "b"]), "a,b\r\n");
        check(json!([]), None, "");
    }
}
