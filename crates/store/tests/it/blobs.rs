//! Large texts: kept once a tenant, counted, and gone with the last payload.

use std::path::Path;

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::id::{Digest, Seq};
use parkway_core::log::Payload;
use parkway_core::store::{Commit, Log, StoreError, Write};
use parkway_store::SqliteStore;

use crate::runs::{creation, execute, extension, number, open, raw};

fn text() -> String {
    "the same long text ".repeat(100)
}

fn payload() -> Payload {
    Payload::json(&text(), SystemClock.random()).unwrap()
}

/// A run of a tenant with these payloads.
async fn run(store: &SqliteStore, tenant: &str, payloads: &[Payload]) -> Commit {
    let (_, mut commit) = creation("w");
    for write in &mut commit.writes {
        if let Write::Enqueue(new) = write {
            new.tenant = tenant.into();
        }
    }
    commit.payloads.extend_from_slice(payloads);
    store.commit(commit.clone()).await.unwrap();
    commit
}

async fn uses(path: &Path) -> Vec<i64> {
    let sql = "SELECT uses FROM parkway_blob ORDER BY uses";
    sqlx::query_scalar(sql).fetch_all(&mut raw(path).await).await.unwrap()
}

#[tokio::test]
async fn a_large_text_is_kept_twice_or_shared_between_tenants() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let payloads: Vec<Payload> = (0..4).map(|_| payload()).collect();
    run(&store, "a", &payloads[..1]).await;
    run(&store, "a", &payloads[1..3]).await;
    run(&store, "b", &payloads[3..]).await;
    assert_eq!(uses(&path).await, [1, 3]);
    let commitments: Vec<_> = payloads.iter().map(|payload| payload.commitment).collect();
    let read = store.payloads(&commitments).await.unwrap();
    assert_eq!(read, payloads.iter().cloned().map(Some).collect::<Vec<_>>());
    // Neither the text nor its digest can be looked up in the names.
    let names: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT mac FROM parkway_blob").fetch_all(&mut raw(&path).await).await.unwrap();
    assert!(names[0] != names[1] && !names.contains(&Digest::of(&[&payloads[0].bytes]).as_bytes().to_vec()));
    // The key is the database's, not the process's.
    store.close().await.unwrap();
    let store = open(&path).await;
    run(&store, "a", &[payload()]).await;
    assert_eq!(uses(&path).await, [1, 4]);
    let small = number(&path, "SELECT count(*) FROM parkway_payload WHERE blob IS NULL").await;
    assert_eq!(small, 4, "the outputs of the runs' events are no blobs");
}

#[tokio::test]
async fn a_payload_that_comes_again_is_counted_again() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let payload = payload();
    let first = run(&store, "a", &[payload.clone(), payload.clone()]).await;
    let mut next = extension(&first.lease, Seq(1));
    next.payloads.push(payload.clone());
    store.commit(next).await.unwrap();
    let (again, with) = (creation("w").1, creation("w").1);
    let with_it = |mut commit: Commit| {
        commit.payloads.push(payload.clone());
        commit
    };
    let (a, b) = tokio::join!(store.commit(with_it(again)), store.commit(with_it(with)));
    assert_eq!((a, b), (Ok(()), Ok(())));
    assert_eq!(uses(&path).await, [1]);
    // Sent again after the commit that had it was refused, it is counted for the first time.
    let other = self::payload();
    let mut refused = extension(&first.lease, Seq(9));
    refused.payloads.push(other.clone());
    store.commit(refused).await.unwrap_err();
    assert_eq!(uses(&path).await, [1]);
    run(&store, "a", &[other]).await;
    assert_eq!(uses(&path).await, [2]);
}

#[tokio::test]
async fn an_erased_payload_leaves_its_text_or_takes_another_ones() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let (one, two) = (payload(), payload());
    run(&store, "a", &[one.clone(), two.clone()]).await;
    let erase = |payload: &Payload| {
        format!("DELETE FROM parkway_payload WHERE commitment = substr(x'{}', 1, 16)", payload.commitment)
    };
    execute(&path, &erase(&one)).await;
    assert_eq!(uses(&path).await, [1]);
    let read = store.payloads(&[one.commitment, two.commitment]).await.unwrap();
    assert_eq!(read, [None, Some(two.clone())]);
    execute(&path, &erase(&two)).await;
    assert_eq!(uses(&path).await, [] as [i64; 0]);
}

#[tokio::test]
async fn a_blob_that_was_altered_or_lost_is_read() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let payload = payload();
    run(&store, "a", std::slice::from_ref(&payload)).await;
    execute(&path, "UPDATE parkway_blob SET bytes = x'00'").await;
    let error = store.payloads(&[payload.commitment]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(text) if text.contains("was altered")), "{error}");
    execute(&path, "DELETE FROM parkway_blob").await;
    let error = store.payloads(&[payload.commitment]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(text) if text.contains("is gone")), "{error}");
}
