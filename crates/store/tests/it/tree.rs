//! The tree over the events: its leaves and nodes, however they came about.

use std::path::Path;

use parkway_core::id::{Digest, Seq};
use parkway_core::log::Payload;
use parkway_core::log::tree::{leaf_hash, node_hash};
use parkway_core::store::{Log, StoreError, Write};
use parkway_core::write::SqlWrite;
use parkway_store::SqliteConfig;

use crate::runs::{creation, extension, open, raw};

/// The root over some leaves, as RFC 6962 defines it.
fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [leaf] => *leaf,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            node_hash(&root(&leaves[..split]), &root(&leaves[split..]))
        }
    }
}

/// Checks every row against the definition; gives how many there are.
pub(crate) async fn check(path: &Path) -> usize {
    let sql = "SELECT leaf, hash, body FROM parkway_log ORDER BY leaf";
    let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(sql).fetch_all(&mut raw(path).await).await.unwrap();
    let mut leaves = Vec::new();
    for (place, (leaf, hash, body)) in rows.iter().enumerate() {
        assert_eq!(*leaf, place as i64 + 1, "a gap in the leaves");
        leaves.push(leaf_hash(body));
        let mut expected = leaves[place].as_bytes().to_vec();
        for level in 1..=place.trailing_ones() {
            expected.extend(root(&leaves[place + 1 - (1 << level)..]).as_bytes());
        }
        assert_eq!(hash, &expected, "leaf {leaf} has other nodes");
    }
    leaves.len()
}

#[tokio::test]
async fn a_node_is_missing_or_wrong_in_a_chain_of_commits() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let (lease, commit) = creation("w");
    store.commit(commit).await.unwrap();
    // Batches of every size around a power of two.
    let mut head = Seq(1);
    for size in [1, 2, 3, 5, 8, 13, 31, 64, 200] {
        let mut commit = extension(&lease, head);
        while commit.events.len() < size {
            head = head.next();
            commit.events.extend(extension(&lease, head).events);
        }
        head = head.next();
        store.commit(commit).await.unwrap();
    }
    assert_eq!(check(&path).await, 328);
    store.close().await.unwrap();
    let store = open(&path).await;
    store.commit(extension(&lease, head)).await.unwrap();
    assert_eq!(check(&path).await, 329);
}

#[tokio::test]
async fn two_processes_number_their_leaves_apart() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let chain = |worker: &'static str| {
        let path = path.clone();
        async move {
            let store = open(&path).await;
            let (lease, commit) = creation(worker);
            store.commit(commit).await.unwrap();
            for head in 1..40 {
                store.commit(extension(&lease, Seq(head))).await.unwrap();
            }
        }
    };
    let (a, b) = (tokio::spawn(chain("a")), tokio::spawn(chain("b")));
    a.await.unwrap();
    b.await.unwrap();
    assert_eq!(check(&path).await, 80);
}

#[tokio::test]
async fn a_commit_that_is_rolled_back_leaves_a_gap() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(SqliteConfig::new(&path).max_bytes(600_000)).await;
    let (lease, commit) = creation("w");
    store.commit(commit).await.unwrap();
    for head in 1..6 {
        let mut large = extension(&lease, Seq(head));
        large.payloads = vec![Payload::json(&"x".repeat(1_000_000), [1; 16]).unwrap()];
        let mut refused = creation("w").1;
        refused.writes.push(Write::Sql(SqlWrite::new("DELETE FROM missing")));
        let stale = extension(&lease, Seq(0));
        let (a, b, c, d) = tokio::join!(
            store.commit(refused),
            store.commit(creation("w").1),
            store.commit(stale),
            store.commit(large),
        );
        assert!(matches!(a, Err(StoreError::Refused { .. })), "{a:?}");
        assert_eq!(b, Ok(()));
        assert!(matches!(c, Err(StoreError::Conflict { .. })), "{c:?}");
        assert!(matches!(d, Err(StoreError::Full(_))), "{d:?}");
        store.commit(extension(&lease, Seq(head))).await.unwrap();
    }
    assert_eq!(check(&path).await, 11);
}
