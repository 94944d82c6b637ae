//! Asking.

use parkway_core::tool::ToolError;

use super::error::failed;
use super::file::File;
use super::statement::prepared;
use super::value::shown;
use crate::sql::grants::Access;
use crate::sql::once::returns_none;
use crate::sql::params::Params;
use crate::sql::table::{Column, Table};
use crate::watch::Watch;

/// At most `limit` rows of what the statement finds.
pub(in crate::sql) fn query(
    file: &File,
    sql: &str,
    params: &Params,
    limit: usize,
    watch: &Watch,
) -> Result<Table, ToolError> {
    let connection = file.open(Access::Read, watch)?;
    let mut statement = prepared(&connection, file, Access::Read, (sql, params), watch)?;
    // VACUUM INTO writes a file, and is no change of this one that the guard is asked for.
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(returns_none());
    }
    let column = |column: &rusqlite::Column<'_>| Column {
        name: column.name().to_owned(),
        kind: column.decl_type().map(str::to_owned),
    };
    let columns = statement.columns().iter().map(column).collect();
    let mut table = Table::new(columns, limit)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(|error| failed(&error, file, watch))? {
        let mut values = Vec::with_capacity(table.columns.len());
        for (at, column) in table.columns.iter().enumerate() {
            let value = row.get_ref(at).map_err(|error| failed(&error, file, watch))?;
            values.push(shown(value, &column.name, column.kind.as_deref())?);
        }
        if !table.push(values)? {
            break;
        }
    }
    Ok(table)
}
