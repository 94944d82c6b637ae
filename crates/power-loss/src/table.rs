//! A table of an embedder's in the store's database, which transactional tools write to.

use std::path::Path;

use parkway_core::id::{RunId, StepKey};
use parkway_core::write::SqlWrite;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

/// A row: the run and the step that wrote it.
pub(crate) type Row = (String, String);

/// What a call at this step asks for.
pub(crate) fn insert(run: RunId, step: &StepKey) -> SqlWrite {
    let insert = SqlWrite::new("INSERT INTO effect (run, step) VALUES ($1, $2)");
    insert.bind(run.to_string()).bind(step.to_string()).expect_rows(1)
}

/// Makes the table if it is not there, as an embedder does who begins. Returns when it is on disk.
pub(crate) async fn make(path: &Path, vfs: Option<&'static str>) -> Result<(), String> {
    let mut connection = connect(path, vfs).await?;
    let done = sqlx::query("CREATE TABLE IF NOT EXISTS effect (run TEXT, step TEXT)").execute(&mut connection).await;
    done.map_err(|e| e.to_string())?;
    connection.close().await.map_err(|e| e.to_string())
}

/// What is in it, in order. A table that is not there has nothing.
pub(crate) async fn rows(path: &Path) -> Result<Vec<Row>, String> {
    let mut connection = connect(path, None).await?;
    let there = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'effect'");
    let there: i64 = there.fetch_one(&mut connection).await.map_err(|e| e.to_string())?;
    let rows = match there {
        0 => Vec::new(),
        _ => {
            let rows = sqlx::query_as("SELECT run, step FROM effect ORDER BY run, step");
            rows.fetch_all(&mut connection).await.map_err(|e| e.to_string())?
        }
    };
    connection.close().await.map_err(|e| e.to_string())?;
    Ok(rows)
}

async fn connect(path: &Path, vfs: Option<&'static str>) -> Result<SqliteConnection, String> {
    let mut options = SqliteConnectOptions::new().filename(path).pragma("synchronous", "FULL");
    if let Some(vfs) = vfs {
        options = options.vfs(vfs);
    }
    options.connect().await.map_err(|e| e.to_string())
}

/// Does something to a database behind the store's back.
#[cfg(test)]
pub(crate) async fn change(path: &Path, sql: &'static str) {
    let mut connection = connect(path, None).await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
