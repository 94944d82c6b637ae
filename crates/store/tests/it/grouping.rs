//! Commits that wait for the disk together.

use std::sync::Arc;

use parkway_core::id::Seq;
use parkway_core::store::{Log, Queue, RunFilter, StoreError};
use parkway_store::SqliteConfig;

use crate::runs::{cancel, creation, extension, open};

#[tokio::test]
async fn every_commit_waits_for_the_disk_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path().join("runs.db")).await);
    let chain = |store: Arc<_>| async move {
        let store: Arc<parkway_store::SqliteStore> = store;
        let (lease, commit) = creation("w");
        store.commit(commit).await.unwrap();
        for head in 1..10 {
            store.commit(extension(&lease, Seq(head))).await.unwrap();
        }
    };
    let tasks: Vec<_> = (0..64).map(|_| tokio::spawn(chain(store.clone()))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.commits, stats.events), (640, 640));
    assert!(stats.transactions <= 160, "{stats:?}");
    assert_eq!(store.tail(0, u32::MAX).await.unwrap().len(), 640);
}

#[tokio::test]
async fn two_commits_of_one_run_in_one_batch_lose_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path().join("runs.db")).await;
    let (lease, first) = creation("w");
    let (second, third) = (extension(&lease, Seq(1)), extension(&lease, Seq(2)));
    let again = second.clone();
    // Polled in this order, they reach the writer in this order, while it has not begun.
    let (a, b, c, d, e, f) = tokio::join!(
        store.commit(first),
        store.commit(second),
        store.signal(lease.run, cancel()),
        store.commit(third.clone()),
        store.commit(again),
        store.commit(third),
    );
    assert_eq!((a, b, d, f), (Ok(()), Ok(()), Ok(()), Ok(())));
    assert!(c.is_ok(), "{c:?}");
    assert_eq!(e, Err(StoreError::Conflict { run: lease.run, expected: Seq(1), found: Seq(3) }));
    assert_eq!(store.stats().transactions, 1);
    assert_eq!(store.events(lease.run, Seq(0)).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_commit_too_large_for_the_disk_takes_its_neighbours_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(SqliteConfig::new(folder.path().join("runs.db")).max_bytes(400_000)).await;
    let (lease, commit) = creation("w");
    store.commit(commit).await.unwrap();
    let (_, small) = creation("w");
    let mut large = extension(&lease, Seq(1));
    let text = "x".repeat(1_000_000);
    large.payloads = vec![parkway_core::log::Payload::json(&text, [1; 16]).unwrap()];
    let (large, small) = tokio::join!(store.commit(large), store.commit(small));
    assert!(matches!(large, Err(StoreError::Full(_))), "{large:?}");
    assert_eq!(small, Ok(()));
    assert_eq!(store.events(lease.run, Seq(0)).await.unwrap().len(), 1);
    store.commit(extension(&lease, Seq(1))).await.unwrap();
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), 2);
}
