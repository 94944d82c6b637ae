//! A database as it is read here: beside those who use it, and without a trace.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parkway_core::store::StoreError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::seal::is_sealed;
use crate::sqlite::error::{code, from_sqlx};
use crate::sqlite::open::{check_place, in_words, named};
use crate::sqlite::schema::newest;

/// How long a connection waits for another process.
const PATIENCE: Duration = Duration::from_secs(10);

/// A database that is read.
pub(super) struct Source {
    pub(super) connection: SqliteConnection,
    pub(super) path: PathBuf,
    /// The path between quotes.
    pub(super) name: String,
    /// The version of the tables.
    pub(super) schema: u32,
    /// Whether changes that others make meanwhile go unseen, since nothing can be locked there.
    pub(super) frozen: bool,
}

impl Source {
    /// Opens the store at `path`, which must be there. `query_only` is for who makes no copy of it.
    pub(super) async fn open(path: &Path, query_only: bool) -> Result<Self, StoreError> {
        let name = format!("`{}`", path.display());
        check_place(path)?;
        if !path.exists() {
            let message = format!("there is no file {name}; name one that is there");
            return Err(StoreError::Backend { message, retryable: false });
        }
        if is_sealed(path) {
            let message = format!("{name} is a sealed backup; name the folder of its key with `--keys`");
            return Err(StoreError::Backend { message, retryable: false });
        }
        let mut options = options(path);
        if query_only {
            options = options.pragma("query_only", "ON");
        }
        // A log beside the file may belong to another process, or to one that was killed: a reader leaves it alone. Without
        // one there is nothing that a writing connection would write, and other than a reading one it leaves no empty log.
        let log = size(&wal(path)) > 0;
        let mut opened = touch(options.clone().read_only(log)).await;
        if opened.as_ref().is_err_and(refused) && !log {
            opened = touch(options.clone().read_only(true)).await;
        }
        let frozen = opened.as_ref().is_err_and(refused) && !log;
        if frozen {
            opened = touch(options.read_only(true).immutable(true)).await;
        }
        let connection = match opened {
            Ok(connection) => connection,
            Err(e) if refused(&e) && log => {
                return Err(StoreError::ReadOnly(format!(
                    "{name} has a write-ahead log beside it that cannot be read here ({}); copy both to a folder that can \
                     be written to",
                    from_sqlx(&e)
                )));
            }
            Err(e) => return Err(in_words(&e, &name)),
        };
        let mut source = Source { connection, path: path.to_owned(), name, schema: 0, frozen };
        match source.version().await {
            Ok(version) => source.schema = version,
            Err(e) => {
                source.close().await?;
                return Err(e);
            }
        }
        Ok(source)
    }

    /// The version of the tables; refused if this program does not know it, or if there are none.
    async fn version(&mut self) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'parkway_migrations'";
        let tables: i64 = sqlx::query_scalar(sql).fetch_one(&mut self.connection).await.map_err(|e| self.told(&e))?;
        if tables == 0 {
            let message = format!("{} is a database without runs: nothing of Parkway's is in it", self.name);
            return Err(StoreError::Backend { message, retryable: false });
        }
        let sql = "SELECT coalesce(max(version), 0) FROM parkway_migrations";
        let found: i64 = sqlx::query_scalar(sql).fetch_one(&mut self.connection).await.map_err(|e| self.told(&e))?;
        match u32::try_from(found) {
            Ok(version) if (1..=newest()).contains(&version) => Ok(version),
            _ => Err(StoreError::Newer(format!(
                "{} has schema version {found}, and this parkway knows up to {}; use the newer parkway that wrote it",
                self.name,
                newest()
            ))),
        }
    }

    /// The name of its log; none in a store of an older version.
    pub(super) async fn log_id(&mut self) -> Result<Option<String>, StoreError> {
        if self.schema < 4 {
            return Ok(None);
        }
        let query = sqlx::query_scalar("SELECT id FROM parkway_log_id");
        query.fetch_optional(&mut self.connection).await.map_err(|e| self.told(&e))
    }

    /// The error with the file's name in it.
    pub(super) fn told(&self, error: &sqlx::Error) -> StoreError {
        named(from_sqlx(error), &self.name)
    }

    pub(super) async fn close(self) -> Result<(), StoreError> {
        let name = self.name;
        self.connection.close().await.map_err(|e| named(from_sqlx(&e), &name))
    }
}

/// A connection to the file at `path` that creates nothing.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).foreign_keys(true).busy_timeout(PATIENCE).disable_statement_logging()
}

/// Connects, and reads something: a file is opened no sooner.
async fn touch(options: SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&mut connection).await?;
    Ok(connection)
}

/// Whether the file cannot be opened in this way: SQLite's CANTOPEN, READONLY, PERM.
fn refused(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(3 | 8 | 14))
}

/// The name of the write-ahead log of the database at `path`.
pub(super) fn wal(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// The path with `ending` behind the file's name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The size of the file in bytes; 0 if there is none.
pub(super) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}
