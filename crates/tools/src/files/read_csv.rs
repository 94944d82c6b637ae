//! `files.read_csv`: the table of one file.

use std::collections::{BTreeMap, HashMap};

use parkway_core::label::Labels;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::formulas::unescape;
use super::read::Document;
use super::records::{Flaw, Record, Records};
use super::roots::Roots;
use crate::builtin::Builtin;

/// The most rows that one call returns.
const MOST: usize = 10_000;
/// The most bytes that the column names have together, counted once for each row: they stand in every object.
const MOST_NAMES: usize = 16 << 20;

/// Reads a CSV file.
pub(crate) struct ReadCsv {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `data/orders.csv`.
    path: String,
    /// The character between two cells.
    #[serde(default = "comma")]
    #[schemars(length(min = 1, max = 1))]
    delimiter: String,
    /// Whether the first line holds the column names. Rows are objects then, else lists.
    #[serde(default = "header")]
    header: bool,
    /// What happens to a `'` in front of what a spreadsheet would run as a formula, as `files.write_csv` puts one there.
    #[serde(default)]
    formulas: Formulas,
}

fn comma() -> String {
    ",".into()
}

fn header() -> bool {
    true
}

/// What happens to a `'` in front of a formula.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Formulas {
    /// It stays: cells are as they stand in the file.
    #[default]
    Keep,
    /// It is taken away: for files that `files.write_csv` has written.
    Unescape,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The column names, in order; none without `header`.
    columns: Vec<String>,
    /// The rows: all objects by column name, or without `header` all lists of cells. Every cell is a text.
    rows: Vec<Row>,
    /// The file's path from the project root.
    path: String,
}

/// A row.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Row {
    /// Cells by column.
    Object(#[schemars(with = "BTreeMap<String, String>")] Map<String, Value>),
    /// Cells in order.
    List(Vec<String>),
}

impl Builtin for ReadCsv {
    const NAME: &'static str = "files.read_csv";
    const DESCRIPTION: &'static str = "Reads a CSV file (RFC 4180, UTF-8, at most 1 MiB and 10,000 rows) and returns \
         its rows. All cells stay texts, so that `012` is not 12.";
    const EFFECT: Effect = Effect::Read;
    const LABELS: Labels = Labels::UNTRUSTED;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let delimiter = delimiter(&input.delimiter)?;
        let document = Document::read(&self.roots, &input.path, context)?;
        let mut records = Records::new(&document.text, delimiter).map(|record| {
            let Record { line, mut cells } = record.map_err(|Flaw { line, what }| document.malformed(line, what))?;
            if input.formulas == Formulas::Unescape {
                cells.iter_mut().for_each(|cell| *cell = unescape(cell));
            }
            Ok(Record { line, cells })
        });
        let columns = if input.header { records.next().transpose()? } else { None };
        if let Some(names) = &columns {
            check_names(&document, names)?;
        }
        let (mut rows, mut width) = (Vec::new(), columns.as_ref().map(|names| names.cells.len()));
        let columns = columns.map_or_else(Vec::new, |names| names.cells);
        let names: usize = columns.iter().map(String::len).sum();
        for record in records {
            let Record { line, cells } = record?;
            let width = *width.get_or_insert(cells.len());
            if cells.len() != width {
                let what =
                    format!("the number of cells is {}, not {width}; give all rows the same length", cells.len());
                return Err(document.malformed(line, &what));
            }
            if rows.len() == MOST {
                let message = format!("`{}` has more than {MOST} rows; split it into smaller files", document.path);
                return Err(ToolError::invalid("too_many", message));
            }
            rows.push(if input.header {
                Row::Object(columns.iter().cloned().zip(cells.into_iter().map(Value::String)).collect())
            } else {
                Row::List(cells)
            });
            if names * rows.len() > MOST_NAMES {
                let message = format!(
                    "the column names of `{}` are too long to stand in every row; read it with `header: false`",
                    document.path
                );
                return Err(ToolError::invalid("too_large", message));
            }
        }
        Ok(Output { columns, rows, path: document.path })
    }
}

fn delimiter(text: &str) -> Result<char, ToolError> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if !matches!(c, '"' | '\r' | '\n') => Ok(c),
        _ => {
            let message = format!(
                "`delimiter` is {} and must be one character, and no quote or line break; give one like `,`, `;` or a \
                 tab",
                Value::from(text)
            );
            Err(ToolError::invalid("invalid", message))
        }
    }
}

/// Names that would lose a column are refused.
fn check_names(document: &Document, names: &Record) -> Result<(), ToolError> {
    let mut seen = HashMap::new();
    for (i, name) in names.cells.iter().enumerate() {
        let number = i + 1;
        if name.is_empty() {
            let what = format!("column {number} has no name; write one, or read with `header: false`");
            return Err(document.malformed(names.line, &what));
        }
        if let Some(first) = seen.insert(name, number) {
            let what =
                format!("column {number} has the name of column {first}; rename one, or read with `header: false`");
            return Err(document.malformed(names.line, &what));
        }
    }
    Ok(())
}
