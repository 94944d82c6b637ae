//! Changing, exactly once.

use parkway_core::tool::ToolError;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::error::{failed, unclear};
use super::file::File;
use super::guard::Guard;
use super::statement::prepared;
use crate::sql::grants::Access;
use crate::sql::once::{Once, expected, returns_rows};
use crate::sql::params::Params;
use crate::watch::Watch;

/// The table of the keys. Who needs the space may delete old rows: a key is looked for as long as its run can be resumed.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS parkway_effect (
    key TEXT PRIMARY KEY, at TEXT NOT NULL, statement TEXT NOT NULL, rows INTEGER NOT NULL
) WITHOUT ROWID";

/// What the call gave, if it was carried out before: its statement, and how many rows it changed.
fn first(connection: &Connection, once: &Once) -> rusqlite::Result<Option<(String, i64)>> {
    connection.execute(TABLE, [])?;
    let found = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    connection.query_row("SELECT statement, rows FROM parkway_effect WHERE key = $1", [&once.key], found).optional()
}

fn note(connection: &Connection, once: &Once, rows: u64) -> rusqlite::Result<()> {
    let values = (&once.key, &once.at, &once.statement, i64::try_from(rows).unwrap_or(i64::MAX));
    connection.execute("INSERT INTO parkway_effect (key, at, statement, rows) VALUES ($1, $2, $3, $4)", values)?;
    Ok(())
}

/// Carries the statement out, unless it was carried out under this key before, and tells how many rows it changed.
pub(in crate::sql) fn execute(
    file: &File,
    sql: &str,
    params: &Params,
    expect_rows: Option<u64>,
    once: &Once,
    watch: &Watch,
) -> Result<u64, ToolError> {
    let failed = |error: rusqlite::Error| failed(&error, file, watch);
    let mut connection = file.open(Access::Write, watch)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    if let Some((statement, rows)) = first(&transaction, once).map_err(failed)? {
        return once.again(&statement, rows);
    }
    let rows = changed(&transaction, file, (sql, params), watch)?;
    expected(expect_rows, rows)?;
    note(&transaction, once, rows).map_err(failed)?;
    transaction.commit().map_err(|error| unclear(&error, file, watch))?;
    Ok(rows)
}

/// How many rows the statement changed.
fn changed(
    transaction: &Transaction<'_>,
    file: &File,
    (sql, params): (&str, &Params),
    watch: &Watch,
) -> Result<u64, ToolError> {
    let failed = |error: rusqlite::Error| failed(&error, file, watch);
    let before = transaction.total_changes();
    let mut statement = prepared(transaction, file, Access::Write, (sql, params), watch)?;
    if statement.column_count() != 0 {
        return Err(returns_rows());
    }
    let done = statement.raw_execute();
    drop(statement);
    Guard::lift(transaction).and(done).map_err(failed)?;
    // A statement that changes the schema counts nothing, and leaves the count of the one before it.
    Ok(if transaction.total_changes() == before { 0 } else { transaction.changes() })
}
