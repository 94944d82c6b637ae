//! Changing, exactly once.

use parkway_core::tool::{ToolContext, ToolError};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Transaction};

use super::error::{failed, unclear, unreadable};
use super::param::given;
use super::server::Server;
use super::session::{Session, settings, watched};
use crate::sql::once::{Once, expected, returns_rows};
use crate::sql::params::Params;
use crate::sql::password::Password;
use crate::watch::Watch;

/// The table of the keys. Who needs the space may delete old rows: a key is looked for as long as its run can be resumed.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS parkway_effect (
    key text PRIMARY KEY, at text NOT NULL, statement text NOT NULL, rows bigint NOT NULL
)";
/// The lock under which the table is created, which `IF NOT EXISTS` does not take.
const CREATING: i64 = 0x0070_6172_6b77_6179;

/// Carries the statement out, unless it was carried out under this key before, and tells how many rows it changed.
pub(in crate::sql) async fn execute(
    server: &Server,
    password: &Password,
    ask: (&str, &Params),
    expect_rows: Option<u64>,
    once: &Once,
    context: &ToolContext,
) -> Result<u64, ToolError> {
    let watch = Watch::new(context);
    watched(context, &watch, done(server, password, ask, expect_rows, once, &watch)).await
}

async fn done(
    server: &Server,
    password: &Password,
    (sql, params): (&str, &Params),
    expect_rows: Option<u64>,
    once: &Once,
    watch: &Watch,
) -> Result<u64, ToolError> {
    let failed = |error: Error| failed(&error, server);
    let mut session = Session::open(server, password).await?;
    let transaction = session.client.transaction().await.map_err(failed)?;
    transaction.batch_execute(&settings(watch)).await.map_err(failed)?;
    if let Some((statement, rows)) = first(&transaction, once).await.map_err(failed)? {
        return once.again(&statement, rows);
    }
    let statement = transaction.prepare(sql).await.map_err(|error| unreadable(&error, server, sql))?;
    if !statement.columns().is_empty() {
        return Err(returns_rows());
    }
    let values = given(params, &statement)?;
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
    let rows = transaction.execute(&statement, &values).await.map_err(failed)?;
    expected(expect_rows, rows)?;
    // Where there is no transaction any more there may be no table.
    if !note(&transaction, once, rows).await.unwrap_or(false) {
        let message =
            "the statement ended its transaction or changed `parkway_effect`, and neither is allowed; leave that out";
        return Err(ToolError { not_done: false, ..ToolError::invalid("denied", message) });
    }
    transaction.commit().await.map_err(|error| unclear(&error, server))?;
    Ok(rows)
}

/// What the call gave, if it was carried out before: its statement, and how many rows it changed. Else its key is taken. One that is
/// being carried out under the same key is waited for.
async fn first(transaction: &Transaction<'_>, once: &Once) -> Result<Option<(String, i64)>, Error> {
    let absent = transaction.query_one("SELECT to_regclass('parkway_effect') IS NULL", &[]).await?;
    if absent.try_get(0)? {
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&CREATING]).await?;
        transaction.batch_execute(TABLE).await?;
    }
    let take = "INSERT INTO parkway_effect (key, at, statement, rows) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING";
    if transaction.execute(take, &[&once.key, &once.at, &once.statement]).await? == 1 {
        return Ok(None);
    }
    let sql = "SELECT statement, rows FROM parkway_effect WHERE key = $1";
    let row = transaction.query_one(sql, &[&once.key]).await?;
    Ok(Some((row.try_get(0)?, row.try_get(1)?)))
}

/// Whether the key still is the one that this transaction took.
async fn note(transaction: &Transaction<'_>, once: &Once, rows: u64) -> Result<bool, Error> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let sql = "UPDATE parkway_effect SET rows = $1 WHERE key = $2 AND xmin::text::bigint = txid_current() % 4294967296";
    Ok(transaction.execute(sql, &[&rows, &once.key]).await? == 1)
}
