//! The writing connection in a transaction, which counts its statements. Those whose rows nobody waits for are gathered, and
//! go with the next one that somebody does: the way to SQLite's thread and back costs more than most statements do.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use parkway_core::store::StoreError;
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Either, Encode, Executor, FromRow, Sqlite, SqliteConnection, SqlitePool, Type};

use super::error::{from_sqlx, is_busy};

/// A transaction that is begun and ended with statements of its own: SQLite rolls back by itself when the disk is full, and
/// sqlx's count of open transactions never recovers from that.
pub(super) struct Tx {
    connection: PoolConnection<Sqlite>,
    gathered: Gathered,
    /// Whether the transaction has begun, as far as SQLite was told.
    begun: bool,
    patience: Duration,
    statements: u64,
}

/// Statements that SQLite was not told yet. Their values are unnamed (`?`), and taken in order over all of them.
#[derive(Default)]
struct Gathered {
    sql: String,
    arguments: SqliteArguments,
    statements: u64,
    flaw: Option<BoxDynError>,
}

/// Why a transaction did not become true.
pub(super) enum Unfinished {
    /// It has not begun.
    Begin(sqlx::Error),
    /// In one of its statements: nothing was written.
    Statement(sqlx::Error),
    /// While committing.
    Commit(sqlx::Error),
}

impl Unfinished {
    pub(super) fn error(&self) -> &sqlx::Error {
        let (Unfinished::Begin(error) | Unfinished::Statement(error) | Unfinished::Commit(error)) = self;
        error
    }
}

impl Tx {
    /// A connection of the pool, outside of a transaction.
    pub(super) async fn connect(pool: &SqlitePool) -> Result<Self, sqlx::Error> {
        let connection = pool.acquire().await?;
        let (gathered, patience) = (Gathered::default(), Duration::ZERO);
        Ok(Tx { connection, gathered, begun: false, patience, statements: 0 })
    }

    /// Begins with the first statement that is sent, and waits then for processes that write, at most so long.
    pub(super) fn begin(&mut self, patience: Duration) {
        (self.gathered, self.begun, self.patience, self.statements) = (Gathered::default(), false, patience, 0);
        self.gather("BEGIN IMMEDIATE");
    }

    /// Whether there is anything to roll back.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Adds a statement, whose values are [bound](Tx::bind) next.
    pub(super) fn gather(&mut self, sql: &str) -> &mut Self {
        if !self.gathered.sql.is_empty() {
            self.gathered.sql.push(';');
        }
        self.gathered.sql.push_str(sql);
        self.gathered.statements += 1;
        self
    }

    /// The next value of what is gathered.
    pub(super) fn bind<'v, T: Encode<'v, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        if let Err(flaw) = self.gathered.arguments.add(value) {
            self.gathered.flaw = Some(flaw);
        }
        self
    }

    /// Does what is gathered, and gives the rows of the last statement; those before it must give none.
    pub(super) async fn fetch<R: for<'r> FromRow<'r, SqliteRow>>(&mut self) -> Result<Vec<R>, StoreError> {
        let (rows, _) = self.send().await.map_err(|(_, e)| from_sqlx(&e))?;
        rows.iter().map(|row| R::from_row(row).map_err(|e| from_sqlx(&e))).collect()
    }

    /// Does what is gathered.
    pub(super) async fn done(&mut self) -> Result<(), StoreError> {
        self.send().await.map(|_| ()).map_err(|(_, e)| from_sqlx(&e))
    }

    /// Does what is gathered, and gives the connection for one statement more.
    pub(super) async fn statement(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.done().await?;
        self.statements += 1;
        Ok(&mut self.connection)
    }

    /// Does what is gathered, and ends the transaction. Gives how many rows each of the gathered statements has changed; one
    /// that changes none by its kind has the number of the one before it.
    pub(super) async fn commit(&mut self) -> Result<Vec<u64>, Unfinished> {
        let before = self.gathered.statements;
        self.gather("COMMIT");
        match self.send().await {
            Ok((_, changed)) => Ok(changed),
            Err((_, e)) if !self.begun => Err(Unfinished::Begin(e)),
            Err((done, e)) if done < before => Err(Unfinished::Statement(e)),
            Err((_, e)) => Err(Unfinished::Commit(e)),
        }
    }

    pub(super) async fn roll_back(&mut self) {
        self.gathered = Gathered::default();
        self.gather("ROLLBACK");
        // It fails where SQLite has rolled back by itself, which is as good.
        let _ = self.send().await;
    }

    /// Sends what is gathered, and gives its rows and how many each statement has changed; or how many statements were done, and
    /// why the next one was not.
    async fn send(&mut self) -> Result<(Vec<SqliteRow>, Vec<u64>), (u64, sqlx::Error)> {
        let Gathered { mut sql, mut arguments, statements, flaw } = std::mem::take(&mut self.gathered);
        if let Some(flaw) = flaw {
            return Err((0, sqlx::Error::Encode(flaw)));
        }
        let start = Instant::now();
        loop {
            let (mut rows, mut changed) = (Vec::new(), Vec::new());
            if statements == 0 {
                return Ok((rows, changed));
            }
            // What waits for its beginning may be sent again.
            let (sql, arguments) = match self.begun {
                true => (std::mem::take(&mut sql), std::mem::take(&mut arguments)),
                false => (sql.clone(), arguments.clone()),
            };
            let mut results = self.connection.fetch_many(sqlx::query_with(AssertSqlSafe(sql), arguments));
            let failed = loop {
                match results.try_next().await {
                    Ok(Some(Either::Left(done))) => changed.push(done.rows_affected()),
                    Ok(Some(Either::Right(row))) => rows.push(row),
                    Ok(None) => break None,
                    Err(e) => break Some(e),
                }
            };
            drop(results);
            self.begun |= !changed.is_empty();
            match failed {
                // The thread has ended, or sqlx no longer takes several statements: what was not answered may not be true.
                None if changed.len() as u64 != statements => {
                    return Err((changed.len() as u64, sqlx::Error::WorkerCrashed));
                }
                None => {
                    self.statements += statements;
                    return Ok((rows, changed));
                }
                Some(e) if !self.begun && is_busy(&e) && start.elapsed() < self.patience => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Some(e) => return Err((changed.len() as u64, e)),
            }
        }
    }

    /// The connection, for its settings.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// How many statements there were since the beginning of the transaction, and with it.
    pub(super) fn statements(&self) -> u64 {
        self.statements
    }
}
