//! Asking.

use parkway_core::tool::{ToolContext, ToolError};
use tokio_postgres::types::ToSql;

use super::error::{failed, unreadable};
use super::param::given;
use super::server::Server;
use super::session::{Session, settings, watched};
use super::value::{Raw, shown};
use crate::sql::once::returns_none;
use crate::sql::params::Params;
use crate::sql::password::Password;
use crate::sql::table::{Column, Table};
use crate::watch::Watch;

/// How many rows the server sends at a time.
const PART: i32 = 64;

/// At most `limit` rows of what the statement finds.
pub(in crate::sql) async fn query(
    server: &Server,
    password: &Password,
    (sql, params): (&str, &Params),
    limit: usize,
    context: &ToolContext,
) -> Result<Table, ToolError> {
    let watch = Watch::new(context);
    watched(context, &watch, asked(server, password, (sql, params), limit, &watch)).await
}

async fn asked(
    server: &Server,
    password: &Password,
    (sql, params): (&str, &Params),
    limit: usize,
    watch: &Watch,
) -> Result<Table, ToolError> {
    let failed = |error: tokio_postgres::Error| failed(&error, server);
    let mut session = Session::open(server, password).await?;
    let transaction = session.client.build_transaction().read_only(true).start().await.map_err(failed)?;
    transaction.batch_execute(&settings(watch)).await.map_err(failed)?;
    let statement = transaction.prepare(sql).await.map_err(|error| unreadable(&error, server, sql))?;
    // So that neither COPY, which may write files, nor a change of the transaction gets any further.
    if statement.columns().is_empty() {
        return Err(returns_none());
    }
    let column =
        |column: &tokio_postgres::Column| Column { name: column.name().into(), kind: Some(column.type_().to_string()) };
    let mut table = Table::new(statement.columns().iter().map(column).collect(), limit)?;
    let values = given(params, &statement)?;
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
    let portal = transaction.bind(&statement, &values).await.map_err(failed)?;
    loop {
        let rows = transaction.query_portal(&portal, PART).await.map_err(failed)?;
        for row in &rows {
            let mut values = Vec::with_capacity(row.len());
            for (at, column) in statement.columns().iter().enumerate() {
                let raw: Raw<'_> = row.try_get(at).map_err(failed)?;
                values.push(shown(&raw, column.name(), column.type_())?);
            }
            if !table.push(values)? {
                return Ok(table);
            }
        }
        if rows.is_empty() {
            return Ok(table);
        }
    }
}
