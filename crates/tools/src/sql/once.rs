//! What is written down of a call in the transaction of its statement, so that it is carried out once.

use parkway_core::id::Digest;
use parkway_core::tool::{ToolContext, ToolError};
use serde_json::json;

use super::params::Params;

/// A row of the table `parkway_effect`, but for the number of rows.
pub(super) struct Once {
    /// The key of the call.
    pub(super) key: String,
    /// When it was made.
    pub(super) at: String,
    /// The digest of the statement and its values.
    pub(super) statement: String,
}

impl Once {
    pub(super) fn new(sql: &str, params: &Params, context: &ToolContext) -> Self {
        let statement = json!([sql, params]).to_string();
        Once {
            key: context.key.to_string(),
            at: context.now.to_string(),
            statement: Digest::of(&[statement.as_bytes()]).to_string(),
        }
    }

    /// The result of the call, where it was carried out before.
    pub(super) fn again(&self, statement: &str, rows: i64) -> Result<u64, ToolError> {
        if statement != self.statement {
            let message = "another statement was carried out under the key of this call; give the step another id";
            return Err(ToolError::invalid("key_used", message));
        }
        Ok(rows.unsigned_abs())
    }
}

/// Refuses a number of rows that was not expected.
pub(super) fn expected(expect_rows: Option<u64>, rows: u64) -> Result<(), ToolError> {
    let Some(expected) = expect_rows.filter(|expected| *expected != rows) else { return Ok(()) };
    let message = format!(
        "the statement changed {rows} rows and `expect_rows` is {expected}, so nothing was changed; look at which rows it meets \
         with `sql.query`"
    );
    Err(ToolError::invalid("rows", message))
}

/// The error of a statement that returns rows where none are taken.
pub(super) fn returns_rows() -> ToolError {
    let message = "the statement returns rows, which nobody would see; leave RETURNING out, or ask with `sql.query`";
    ToolError::invalid("returns_rows", message)
}

/// The error of a statement that returns no rows where some are wanted.
pub(super) fn returns_none() -> ToolError {
    let message = "the statement returns no rows; `sql.query` only looks, `sql.execute` changes";
    ToolError::invalid("denied", message)
}
