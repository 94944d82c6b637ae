//! Where Parkway keeps runs: the ports [`Log`](parkway_core::store::Log) and [`Queue`](parkway_core::store::Queue) on SQL.
//!
//! [`SqliteStore`] is one file that several processes may share. A commit is on disk when it is acknowledged.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), parkway_core::store::StoreError> {
//! use std::sync::Arc;
//!
//! use parkway_core::clock::SystemClock;
//! use parkway_core::store::{Log, RunFilter};
//! use parkway_store::SqliteStore;
//!
//! let store = SqliteStore::in_memory(Arc::new(SystemClock)).await?;
//! assert!(store.runs(&RunFilter::default()).await?.is_empty());
//! store.close().await
//! # }
//! ```

mod sqlite;

pub use sqlite::{SqliteConfig, SqliteStore, Stats, upkeep};
