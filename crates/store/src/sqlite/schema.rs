//! The tables, one migration a version. They carry our prefix, and so does the table of versions: a program may keep its
//! own tables in the same file. What a script cannot do is done beside it.

use parkway_core::clock::Clock;
use parkway_core::store::StoreError;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::error::from_sqlx;
use super::migrate;
use super::tx::Tx;

/// The script of each version, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_log_and_queue.sql"),
    include_str!("../../migrations/sqlite/0002_promises.sql"),
    include_str!("../../migrations/sqlite/0003_ends.sql"),
    include_str!("../../migrations/sqlite/0004_heads.sql"),
    include_str!("../../migrations/sqlite/0005_memory.sql"),
    include_str!("../../migrations/sqlite/0006_superseded.sql"),
    include_str!("../../migrations/sqlite/0007_merging.sql"),
];

/// The table of versions.
const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS parkway_migrations (version INTEGER PRIMARY KEY)";
/// SQLite opens a file that it may not write to without a word, and begins in it; this changes nothing, and fails there.
pub(super) const WRITES: &str = "DELETE FROM parkway_migrations WHERE version < 0";

/// Makes the tables of a version in an empty database.
pub(super) async fn make(connection: &mut SqliteConnection, version: u32) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(VERSIONS).execute(&mut *connection).await?;
    for (at, script) in (1..=version).zip(MIGRATIONS) {
        sqlx::raw_sql(*script).execute(&mut *connection).await?;
        if at == 2 {
            sqlx::raw_sql(migrate::TAKEN_OVER).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Whether the tables have the newest version, as far as is committed.
pub(super) async fn is_newest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'parkway_migrations'";
    let is_ours: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    if is_ours == 0 {
        return Ok(false);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM parkway_migrations";
    let found: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(found == i64::from(newest()))
}

/// Brings the database to the newest version, in the caller's transaction.
pub(super) async fn migrate(tx: &mut Tx, name: &str, clock: &dyn Clock) -> Result<(), StoreError> {
    sqlx::raw_sql(VERSIONS).execute(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    sqlx::raw_sql(WRITES).execute(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    let encoding: String =
        sqlx::query_scalar("PRAGMA encoding").fetch_one(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    if encoding != "UTF-8" {
        let message = format!("{name} keeps its texts in {encoding}, and the store needs UTF-8; name another file");
        return Err(StoreError::Backend { message, retryable: false });
    }
    let sql = "SELECT coalesce(max(version), 0) FROM parkway_migrations";
    let found: i64 = sqlx::query_scalar(sql).fetch_one(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    let newest = MIGRATIONS.len();
    let Some(missing) = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..)) else {
        return Err(StoreError::Newer(format!(
            "{name} has schema version {found}, and this parkway knows up to {newest}; use the newer parkway that wrote it"
        )));
    };
    for (version, script) in (found + 1..).zip(missing) {
        let sql = format!("{script};INSERT INTO parkway_migrations VALUES ({version})");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    }
    if found < 2 {
        migrate::leaves_and_blobs(tx, clock).await?;
    }
    Ok(())
}

/// The version of the tables that this program writes.
pub(super) fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}
