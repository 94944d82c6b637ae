//! Databases of older versions. How they came about says `fixtures/make.sh`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use parkway_core::clock::SystemClock;
use parkway_core::id::Seq;
use parkway_core::log::{Commitment, Event, RunStatus};
use parkway_core::store::{Log, Message, Queue, RunFilter, RunSummary, StoreError};
use parkway_store::{SqliteConfig, SqliteStore};

use crate::runs::{claim, execute, extension, number, open, raw};
use crate::tree;

/// The versions that can be read, but for the newest.
const OLDER: [u32; 2] = [1, 2];

fn old(folder: &Path, version: u32) -> std::path::PathBuf {
    let path = folder.join(format!("runs-{version}.db"));
    std::fs::copy(format!("{}/tests/fixtures/v{version}.db", env!("CARGO_MANIFEST_DIR")), &path).unwrap();
    path
}

type Body = (i64, String, i64, Vec<u8>);

/// The events of an older file.
async fn bodies(path: &Path) -> Vec<Body> {
    let sql = "SELECT leaf, id, seq, body FROM parkway_event JOIN parkway_run ON run = key ORDER BY leaf";
    sqlx::query_as(sql).fetch_all(&mut raw(path).await).await.unwrap()
}

/// The events of a file of this version.
async fn log(path: &Path) -> Vec<Body> {
    let sql = "SELECT leaf, run, seq, body FROM parkway_log ORDER BY leaf";
    sqlx::query_as(sql).fetch_all(&mut raw(path).await).await.unwrap()
}

type Text = (Vec<u8>, Vec<u8>, Vec<u8>);

async fn texts(path: &Path) -> Vec<Text> {
    let sql = "SELECT commitment, salt, coalesce(bytes, x'') FROM parkway_payload ORDER BY rowid";
    sqlx::query_as(sql).fetch_all(&mut raw(path).await).await.unwrap()
}

/// The runs of a workflow, oldest first.
async fn runs(store: &SqliteStore, workflow: &str) -> Vec<RunSummary> {
    let mut runs = store.runs(&RunFilter::default()).await.unwrap();
    runs.retain(|run| run.workflow == workflow);
    runs.reverse();
    runs
}

#[tokio::test]
async fn something_of_an_older_version_is_lost_or_changed() {
    for version in OLDER {
        something_is_lost_or_changed(version).await;
    }
}

async fn something_is_lost_or_changed(version: u32) {
    let folder = crate::kept::folder().unwrap();
    let path = old(folder.path(), version);
    let (events, texts) = (bodies(&path).await, texts(&path).await);
    assert_eq!((events.len(), texts.len()), (28, 21));
    let store = open(&path).await;
    assert_eq!(log(&path).await, events);
    assert_eq!(tree::check(&path).await, 28);
    for (event, kept) in store.tail(0, u32::MAX).await.unwrap().iter().zip(&events) {
        assert_eq!((event.0 as i64, &event.1), (kept.0, &Event::from_bytes(&kept.3).unwrap()));
    }
    let commitments: Vec<Commitment> =
        texts.iter().map(|text| Commitment::from_bytes(text.0.clone().try_into().unwrap())).collect();
    for (found, (_, salt, bytes)) in store.payloads(&commitments).await.unwrap().iter().zip(&texts) {
        let found = found.as_ref().unwrap();
        // Large ones stand elsewhere since version 2.
        let here = if bytes.is_empty() { &found.bytes } else { bytes };
        assert_eq!((&found.salt[..], &found.bytes), (&salt[..], here));
    }
    let blobs = number(&path, "SELECT count(*) FROM parkway_blob WHERE uses = 1 AND length(bytes) > 1024").await;
    let long = texts.iter().filter(|text| text.2.len() > 1024 || text.2.is_empty()).count();
    assert_eq!((blobs as usize, long), (1, 1));
    assert_eq!(number(&path, "SELECT count(*) FROM parkway_payload").await, 21);
    let left = "SELECT count(*) FROM sqlite_schema WHERE tbl_name LIKE '%\\_1' ESCAPE '\\'";
    assert_eq!(number(&path, left).await, 0);
    assert_eq!(number(&path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'").await, 0);
    // Opened again there is nothing left to do.
    store.close().await.unwrap();
    open(&path).await;
    assert_eq!(log(&path).await, events);
}

#[tokio::test]
async fn an_open_run_of_an_older_version_cannot_go_on() {
    for version in OLDER {
        an_open_run_cannot_go_on(version).await;
    }
}

async fn an_open_run_cannot_go_on(version: u32) {
    let folder = crate::kept::folder().unwrap();
    let path = old(folder.path(), version);
    let store = open(&path).await;
    let (letters, releases) = (runs(&store, "letters").await, runs(&store, "release").await);
    assert_eq!((letters[0].status, releases[0].status), (RunStatus::Completed, RunStatus::Waiting));
    assert!(letters[0].parent.is_none() && letters[0].head == Seq(13));
    let inbox = store.inbox(releases[1].run).await.unwrap();
    assert!(matches!(&inbox[0].message, Message::Approval { by, .. } if by == "ada"), "{inbox:?}");
    // The run with an answer and the one of the killed process are free for anybody, in this order.
    let nap = runs(&store, "nap").await;
    for expected in [&releases[1], &nap[0]] {
        let lease = store.claim(&claim("w", None)).await.unwrap().unwrap();
        assert_eq!((lease.run, lease.fence.0), (expected.run, 2));
        store.commit(extension(&lease, expected.head)).await.unwrap();
    }
    assert_eq!(store.claim(&claim("w", None)).await, Ok(None));
    assert_eq!(store.claim(&claim("w", Some(letters[0].run))).await, Ok(None));
    assert!(store.claim(&claim("w", Some(releases[0].run))).await.unwrap().is_some());
    assert_eq!(tree::check(&path).await, 30);
}

/// Whether the file is as the older version left it.
async fn is_untouched(path: &Path, events: &[Body], texts: &[Text]) {
    assert_eq!(number(path, "SELECT max(version) FROM parkway_migrations").await, 1);
    assert!(bodies(path).await == events && self::texts(path).await == texts);
    let newer = "SELECT count(*) FROM sqlite_schema WHERE name IN ('parkway_blob', 'parkway_event_1')";
    assert_eq!(number(path, newer).await, 0);
}

#[tokio::test]
async fn a_migration_that_finds_no_space_leaves_half_of_it() {
    let folder = crate::kept::folder().unwrap();
    let path = old(folder.path(), 1);
    let (events, texts) = (bodies(&path).await, texts(&path).await);
    let config = SqliteConfig::new(&path).max_bytes(100_000);
    let error = SqliteStore::open(config, Arc::new(SystemClock)).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    is_untouched(&path, &events, &texts).await;
    open(&path).await;
    assert_eq!(tree::check(&path).await, 28);
}

/// Not a test: the process that migrates and is killed. Without a path it is empty.
#[tokio::test]
async fn migrates_in_a_process_of_its_own() {
    if let Ok(path) = std::env::var("PARKWAY_TEST_MIGRATES") {
        open(path).await;
    }
}

#[tokio::test]
async fn a_migration_that_is_killed_leaves_half_of_it() {
    let folder = crate::kept::folder().unwrap();
    let path = old(folder.path(), 1);
    // So much that it reaches the disk long before it is done.
    let more = "WITH RECURSIVE more (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < 20000)
        INSERT INTO parkway_event (run, seq, body) SELECT 1, 100 + n, body FROM more, parkway_event WHERE leaf = 1";
    execute(&path, more).await;
    let (events, texts) = (bodies(&path).await, texts(&path).await);
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "migration::migrates_in_a_process_of_its_own"])
        .env("PARKWAY_TEST_MIGRATES", &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let wal = folder.path().join("runs-1.db-wal");
    while std::fs::metadata(&wal).map_or(0, |wal| wal.len()) < 1 << 20 {
        assert!(other.try_wait().unwrap().is_none(), "it was done before it could be killed");
    }
    other.kill().unwrap();
    other.wait().unwrap();
    is_untouched(&path, &events, &texts).await;
    open(&path).await;
    assert!(log(&path).await == events);
    tree::check(&path).await;
}
