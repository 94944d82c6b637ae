//! What a query found, as it is taken from the database row by row.

use std::collections::HashSet;

use parkway_core::tool::ToolError;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// The most bytes of rows, as JSON.
const MOST: usize = 8 << 20;

/// A column of the result.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Its type as the database names it; null for what is computed, where the database does not say.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

/// The rows so far.
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Map<String, Value>>,
    /// Whether there are rows beyond these.
    pub(super) more: bool,
    bytes: usize,
    limit: usize,
}

impl Table {
    /// One without rows, for `limit` of them.
    pub(super) fn new(columns: Vec<Column>, limit: usize) -> Result<Self, ToolError> {
        let mut seen = HashSet::new();
        if let Some(twice) = columns.iter().find(|column| !seen.insert(column.name.as_str())) {
            let name = &twice.name;
            let message = format!(
                "two columns have the name `{name}`, so that one would hide the other; name one of them with `AS`"
            );
            return Err(ToolError::invalid("same_name", message));
        }
        Ok(Table { columns, rows: Vec::new(), more: false, bytes: 0, limit })
    }

    /// Takes the values of a row, in the order of the columns; false if there is no room for it.
    pub(super) fn push(&mut self, values: Vec<Value>) -> Result<bool, ToolError> {
        let names = self.columns.iter().map(|column| column.name.clone());
        let row: Map<String, Value> = names.zip(values).collect();
        let size = Value::Object(row.clone()).to_string().len();
        if size > MOST {
            let message = format!(
                "row {} has {size} bytes as JSON and at most {MOST} (8 MiB) are read; ask for fewer columns, or for a part: \
                 `substr(…)`",
                self.rows.len() + 1
            );
            return Err(ToolError::invalid("too_large", message));
        }
        self.more = self.rows.len() == self.limit || self.bytes + size > MOST;
        if !self.more {
            self.bytes += size;
            self.rows.push(row);
        }
        Ok(!self.more)
    }
}
