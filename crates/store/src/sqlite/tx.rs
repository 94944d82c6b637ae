//! The writing connection in a transaction, which counts its statements.

use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::error::is_busy;

/// A transaction that is begun and ended with statements of its own: SQLite rolls back by itself when the disk is full, and
/// sqlx's count of open transactions never recovers from that.
pub(super) struct Tx {
    connection: PoolConnection<Sqlite>,
    statements: u64,
}

impl Tx {
    /// A connection of the pool, outside of a transaction.
    pub(super) async fn connect(pool: &SqlitePool) -> Result<Self, sqlx::Error> {
        Ok(Tx { connection: pool.acquire().await?, statements: 0 })
    }

    /// Begins. Waits for processes that write at the moment, at most so long.
    pub(super) async fn begin(&mut self, patience: Duration) -> Result<(), sqlx::Error> {
        let start = Instant::now();
        self.statements = 0;
        loop {
            match sqlx::query("BEGIN IMMEDIATE").execute(self.statement()).await {
                Ok(_) => return Ok(()),
                Err(e) if is_busy(&e) && start.elapsed() < patience => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(e) => return Err(e),
            }
        }
    }

    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query("COMMIT").execute(self.statement()).await.map(|_| ())
    }

    pub(super) async fn roll_back(&mut self) {
        // It fails where SQLite has rolled back by itself, which is as good.
        let _ = sqlx::query("ROLLBACK").execute(self.statement()).await;
    }

    /// The connection, for one statement.
    pub(super) fn statement(&mut self) -> &mut SqliteConnection {
        self.statements += 1;
        &mut self.connection
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
