//! What is found at open, and what is promised there.

use std::sync::Arc;

use parkway_core::clock::SystemClock;
use parkway_core::id::Seq;
use parkway_core::store::{Log, Queue, StoreError};
use parkway_store::SqliteStore;
use sqlx::Connection;

use crate::runs::{cancel, claim, creation, extension, open, raw};

async fn refusal(path: impl Into<std::path::PathBuf>) -> StoreError {
    let path: std::path::PathBuf = path.into();
    SqliteStore::open(path, Arc::new(SystemClock)).await.unwrap_err()
}

#[tokio::test]
async fn an_event_is_kept_in_other_bytes() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let (lease, commit) = creation("w");
    store.commit(commit.clone()).await.unwrap();
    store.commit(extension(&lease, Seq(1))).await.unwrap();
    let sql = "SELECT body FROM parkway_log WHERE leaf = 1";
    let kept: Vec<u8> = sqlx::query_scalar(sql).fetch_one(&mut raw(&path).await).await.unwrap();
    assert_eq!(kept, commit.events[0].to_bytes().unwrap());
    store.close().await.unwrap();
    assert_eq!(open(&path).await.events(lease.run, Seq(0)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_newer_schema_is_written_to() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    open(&path).await.close().await.unwrap();
    let mut connection = raw(&path).await;
    sqlx::query("INSERT INTO parkway_migrations VALUES (1000)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let error = refusal(&path).await;
    assert!(
        matches!(&error, StoreError::Newer(text) if text.contains("version 1000") && text.contains("runs.db")),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_of_another_kind_is_written_to() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "milk, bread, ".repeat(1_000)).unwrap();
    let error = refusal(&path).await;
    assert!(error.to_string().contains("notes.txt` is not a SQLite database; name another file"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap().len(), 13_000);
}

#[tokio::test]
async fn a_missing_folder_is_refused_without_a_way_out() {
    let folder = crate::kept::folder().unwrap();
    let error = refusal(folder.path().join("missing").join("runs.db")).await.to_string();
    assert!(error.contains("does not exist; make it (mkdir -p") && error.contains("missing/runs.db"), "{error}");
    let error = refusal(folder.path()).await.to_string();
    assert!(error.contains("is a folder; name a file in it"), "{error}");
}

#[tokio::test]
async fn the_tables_of_the_program_are_in_the_way() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("app.db");
    let mut connection = raw(&path).await;
    let sql = "CREATE TABLE run (x); CREATE TABLE event (x); CREATE TABLE _sqlx_migrations (x)";
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (_, commit) = creation("w");
    assert_eq!(open(&path).await.commit(commit).await, Ok(()));
}

#[tokio::test]
async fn many_that_open_a_new_file_at_once_fail() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let path = path.clone();
            tokio::spawn(async move { open(path).await.commit(creation(&format!("w{n}")).1).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn a_closed_store_hangs() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let (lease, commit) = creation("w");
    let (committed, closed) = tokio::join!(store.commit(commit), store.close());
    assert_eq!((committed, closed), (Ok(()), Ok(())));
    assert!(store.commit(extension(&lease, Seq(1))).await.is_err());
    assert!(store.events(lease.run, Seq(0)).await.is_err());
    assert_eq!(store.close().await, Ok(()));
    assert!(!folder.path().join("runs.db.owners").exists());
    let other = open(&path).await;
    assert_eq!(other.claim(&claim("v", Some(lease.run))).await.unwrap().map(|lease| lease.fence.0), Some(2));
    other.signal(lease.run, cancel()).await.unwrap();
}

#[tokio::test]
async fn a_file_of_another_encoding_gets_events_that_nobody_can_read() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let mut connection = raw(&path).await;
    let own = "PRAGMA encoding = 'UTF-16le'; CREATE TABLE own (a TEXT)";
    sqlx::raw_sql(own).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let error = refusal(&path).await.to_string();
    assert!(error.contains("keeps its texts in UTF-16le, and the store needs UTF-8"), "{error}");
}
