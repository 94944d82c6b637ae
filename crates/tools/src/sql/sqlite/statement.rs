//! One statement, prepared under a guard, with its values.

use parkway_core::tool::ToolError;
use rusqlite::{Connection, Error, Statement};

use super::error::{failed, unreadable};
use super::file::File;
use super::guard::Guard;
use super::value::bound;
use crate::sql::grants::Access;
use crate::sql::params::Params;
use crate::watch::Watch;

/// Prepares the statement, if it is one and does no more than `access` allows, and binds its values.
pub(super) fn prepared<'c>(
    connection: &'c Connection,
    file: &File,
    access: Access,
    (sql, params): (&str, &Params),
    watch: &Watch,
) -> Result<Statement<'c>, ToolError> {
    // SQLite would read no further.
    if sql.contains('\0') {
        return Err(ToolError::invalid("sql", "the statement holds a zero byte; leave it out"));
    }
    let guard = Guard::set(connection, access).map_err(|error| failed(&error, file, watch))?;
    let prepared = connection.prepare(sql).map_err(|error| {
        let many = matches!(error, Error::MultipleStatement);
        // What stands behind the first statement may be refused before it is counted.
        let refused = if many { None } else { guard.refusal() };
        refused.unwrap_or_else(|| unreadable(&error, sql, file, watch))
    });
    let mut statement = prepared?;
    let written: Vec<_> =
        (1..=statement.parameter_count()).map(|at| statement.parameter_name(at).map(str::to_owned)).collect();
    for (at, value) in params.values(&written)?.into_iter().enumerate() {
        let value = bound(value, written[at].as_deref().unwrap_or_default())?;
        statement.raw_bind_parameter(at + 1, value).map_err(|error| failed(&error, file, watch))?;
    }
    Ok(statement)
}
