//! The suite of the ports.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parkway_core::clock::Clock;
use parkway_core::id::Time;
use parkway_core::store::Store;
use parkway_core::testing::conformance::{Subject, agrees_with_model};
use parkway_core::testing::{FakeClock, MemoryStore};
use parkway_store::SqliteStore;
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, TypeInfo, ValueRef};
use tempfile::TempDir;

struct Sqlite {
    clock: Arc<FakeClock>,
    store: Arc<SqliteStore>,
    folder: Option<TempDir>,
}

impl Sqlite {
    async fn in_file() -> Self {
        let (clock, folder) = (Arc::new(FakeClock::default()), crate::kept::folder().unwrap());
        let store = SqliteStore::open(folder.path().join("runs.db"), clock.clone()).await.unwrap();
        Sqlite { clock, store: Arc::new(store), folder: Some(folder) }
    }

    async fn in_memory() -> Self {
        let clock = Arc::new(FakeClock::default());
        let store = SqliteStore::in_memory(clock.clone()).await.unwrap();
        Sqlite { clock, store: Arc::new(store), folder: None }
    }

    fn path(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join("runs.db"))
    }
}

#[async_trait]
impl Subject for Sqlite {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn reopen(&mut self) -> bool {
        let Some(path) = self.path() else { return false };
        self.store.close().await.unwrap();
        self.store = Arc::new(SqliteStore::open(path, self.clock.clone()).await.unwrap());
        true
    }

    async fn sql(&self, statement: &str) -> Option<Vec<Vec<Value>>> {
        let options = SqliteConnectOptions::new().filename(self.path()?).busy_timeout(Duration::from_secs(60));
        let mut connection = options.connect().await.unwrap();
        let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        Some(rows.iter().map(|row| (0..row.len()).map(|column| value(row, column)).collect()).collect())
    }
}

fn value(row: &SqliteRow, column: usize) -> Value {
    let raw = row.try_get_raw(column).unwrap();
    if raw.is_null() {
        return Value::Null;
    }
    match raw.type_info().name() {
        "INTEGER" => row.get_unchecked::<i64, _>(column).into(),
        "REAL" => row.get_unchecked::<f64, _>(column).into(),
        "TEXT" => row.get_unchecked::<String, _>(column).into(),
        other => unreachable!("no case writes a column of the type {other}"),
    }
}

struct Memory(Arc<FakeClock>, Arc<MemoryStore>);

impl Memory {
    async fn fresh() -> Self {
        let clock = Arc::new(FakeClock::default());
        Memory(clock.clone(), Arc::new(MemoryStore::new(clock)))
    }
}

#[async_trait]
impl Subject for Memory {
    fn store(&self) -> Arc<dyn Store> {
        self.1.clone()
    }

    fn now(&self) -> Time {
        self.0.now()
    }

    async fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_a_file_is_not_like_the_model() {
    agrees_with_model(async || Box::new(Sqlite::in_file().await) as Box<dyn Subject>, 0..150).await;
}

#[tokio::test]
async fn a_database_in_memory_is_not_like_the_model() {
    agrees_with_model(async || Box::new(Sqlite::in_memory().await) as Box<dyn Subject>, 300..700).await;
}

mod sqlite_file {
    parkway_core::store_conformance!(super::Sqlite::in_file());
}

mod sqlite_memory {
    parkway_core::store_conformance!(super::Sqlite::in_memory());
}

mod memory {
    parkway_core::store_conformance!(super::Memory::fresh());
}
