//! Commits that wait for the disk together.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parkway_core::clock::{Clock, SystemClock};
use parkway_core::id::{Fence, RunId, Seq, Time, WorkerId};
use parkway_core::store::{Commit, Lease, Log, Queue, RunFilter, StoreError, Write};
use parkway_store::SqliteConfig;

use crate::runs::{cancel, creation, execute, extension, number, open};
use crate::tree;

#[tokio::test]
async fn every_commit_waits_for_the_disk_alone() {
    let folder = crate::kept::folder().unwrap();
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
    let folder = crate::kept::folder().unwrap();
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
    let folder = crate::kept::folder().unwrap();
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

#[tokio::test]
async fn renewals_at_one_moment_are_mixed_up_or_each_waits_for_the_disk() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let mut leases = Vec::new();
    for _ in 0..100 {
        let (lease, commit) = creation("w");
        store.commit(commit).await.unwrap();
        leases.push(lease);
    }
    // One of another worker, one of an older claim, one of no run, and one that comes twice.
    leases[3].worker = WorkerId::new("other");
    leases[50].fence = Fence(9);
    leases[70].run = creation("w").0.run;
    leases.push(leases[20].clone());
    let before = store.stats();
    let hour = Duration::from_secs(3_600);
    let lasts = |n: usize| if n == 20 { Duration::ZERO } else { hour };
    let answers = join_all(leases.iter().enumerate().map(|(n, lease)| store.renew(lease, lasts(n)))).await;
    let after = store.stats();
    assert_eq!((after.transactions - before.transactions, after.statements - before.statements), (1, 4));
    for (n, (answer, lease)) in answers.iter().zip(&leases).enumerate() {
        let expected = match n {
            3 | 50 => Err(StoreError::Fenced { run: lease.run }),
            70 => Err(StoreError::NoRun(lease.run)),
            _ => Ok(()),
        };
        assert_eq!(*answer, expected, "{n}");
    }
    // The later one of two counts, and a lease that was refused is as it was.
    let until = SystemClock.now().after(hour / 2).micros();
    let long = format!("SELECT count(*) FROM parkway_run WHERE lease_until > {until}");
    assert_eq!(number(&path, &long).await, 97);
    assert_eq!(number(&path, &format!("{long} AND id = '{}'", leases[20].run)).await, 1);
}

#[tokio::test]
async fn a_commit_that_is_alone_takes_many_statements_or_passes_for_what_it_is_not() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let (lease, commit) = creation("w");
    store.commit(commit).await.unwrap();
    let before = store.stats();
    let second = extension(&lease, Seq(1));
    store.commit(second.clone()).await.unwrap();
    let after = store.stats();
    // Begin, the run, its events, their texts, commit.
    assert_eq!((after.statements - before.statements, after.transactions - before.transactions), (5, 1));
    // Whatever is not as expected goes the common way, and is told why.
    assert_eq!(store.commit(second).await, Ok(()));
    let stale = Lease { fence: Fence(2), ..lease.clone() };
    assert_eq!(store.commit(extension(&stale, Seq(2))).await, Err(StoreError::Fenced { run: lease.run }));
    let (expected, found) = (Seq(1), Seq(2));
    let conflict = StoreError::Conflict { run: lease.run, expected, found };
    assert_eq!(store.commit(extension(&lease, expected)).await, Err(conflict));
    assert_eq!(store.events(lease.run, Seq(0)).await.unwrap().len(), 2);
    let third = extension(&lease, Seq(2));
    store.commit(third.clone()).await.unwrap();
    // What is sent again is done already, whatever else it says.
    for expect in [3, 5] {
        let again = Commit { id: third.id, ..extension(&lease, Seq(expect)) };
        assert_eq!(store.commit(again).await, Ok(()));
    }
    assert_eq!((store.stats().commits, store.events(lease.run, Seq(0)).await.unwrap().len()), (3, 3));
    assert_eq!(tree::check(&path).await, 3);
}

#[tokio::test]
async fn a_commit_that_is_alone_and_fails_midway_leaves_a_part_of_it() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let (lease, commit) = creation("w");
    store.commit(commit).await.unwrap();
    store.commit(extension(&lease, Seq(1))).await.unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON parkway_payload BEGIN SELECT RAISE(ABORT, 'not today'); END";
    execute(&path, refuse).await;
    let third = extension(&lease, Seq(2));
    let error = store.commit(third.clone()).await.unwrap_err();
    assert!(error.to_string().contains("not today"), "{error}");
    assert_eq!(store.events(lease.run, Seq(0)).await.unwrap().len(), 2);
    execute(&path, "DROP TRIGGER refuse").await;
    store.commit(third).await.unwrap();
    assert_eq!((store.events(lease.run, Seq(0)).await.unwrap().len(), tree::check(&path).await), (3, 3));
}

#[tokio::test]
async fn events_of_an_odd_tenant_are_given_back_in_other_bytes() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    for tenant in ["default", "a b", "ä\"', \\ \u{1}", ""] {
        let (lease, mut first) = creation("w");
        for write in &mut first.writes {
            if let Write::Enqueue(new) = write {
                new.tenant = tenant.into();
            }
        }
        let mut second = extension(&lease, Seq(1));
        first.events.iter_mut().chain(&mut second.events).for_each(|event| event.tenant = tenant.into());
        let written = [first.events.clone(), second.events.clone()].concat();
        store.commit(first).await.unwrap();
        store.commit(second).await.unwrap();
        assert_eq!(store.events(lease.run, Seq(0)).await.unwrap(), written, "{tenant}");
    }
    assert_eq!(tree::check(&path).await, 8);
}

#[tokio::test]
async fn processes_that_take_turns_number_their_leaves_alike() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let stores = [open(&path).await, open(&path).await];
    let mut leases = Vec::new();
    for (store, worker) in stores.iter().zip(["a", "b"]) {
        let (lease, commit) = creation(worker);
        store.commit(commit).await.unwrap();
        leases.push(lease);
    }
    for (turn, length) in [1, 1, 2, 3, 1, 5, 2].into_iter().enumerate() {
        let (store, lease) = (&stores[turn % 2], &leases[turn % 2]);
        for _ in 0..length {
            let head = Seq(store.events(lease.run, Seq(0)).await.unwrap().len() as u64);
            store.commit(extension(lease, head)).await.unwrap();
        }
    }
    assert_eq!(tree::check(&path).await, 17);
}

#[tokio::test]
async fn each_run_that_looks_into_its_inbox_asks_for_itself() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = Arc::new(open(&path).await);
    let mut runs = Vec::new();
    for _ in 0..300 {
        let (lease, commit) = creation("w");
        store.commit(commit).await.unwrap();
        runs.push(lease.run);
    }
    for run in &runs[..3] {
        store.signal(*run, cancel()).await.unwrap();
    }
    store.signal(runs[2], cancel()).await.unwrap();
    execute(&path, "UPDATE parkway_message SET body = '{' WHERE id = 2").await;
    let nobody = RunId::new(Time::from_micros(1), [7; 16]);
    let look = |run: RunId| {
        let store = store.clone();
        tokio::spawn(async move { store.inbox(run).await })
    };
    let asked: Vec<_> = runs.iter().copied().chain([nobody]).map(look).collect();
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap());
    }
    assert_eq!(answers.pop().unwrap(), Err(StoreError::NoRun(nobody)));
    let damaged = answers.remove(1).unwrap_err();
    assert!(matches!(&damaged, StoreError::Corrupt(text) if text.contains("message 2 to run")), "{damaged}");
    let lengths: Vec<usize> = answers.iter().map(|answer| answer.as_ref().unwrap().len()).collect();
    assert_eq!((&lengths[..3], lengths[3..].iter().sum::<usize>()), (&[1, 2, 0][..], 0));
    let queries = store.stats().inbox_queries;
    assert!(queries <= 30, "{queries} queries for 301 inboxes");
}

#[test]
fn an_inbox_is_never_read_again_after_its_reader_was_dropped() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let stays = runtime();
    let (store, run) = stays.block_on(async {
        let store = Arc::new(open(&path).await);
        let (lease, commit) = creation("w");
        store.commit(commit).await.unwrap();
        (store, lease.run)
    });
    for _ in 0..20 {
        let goes = runtime();
        let other = store.clone();
        goes.spawn(async move { other.inbox(run).await });
        goes.shutdown_background();
    }
    let answer = stays.block_on(async {
        let mut answer = Err(StoreError::NoRun(run));
        for _ in 0..3 {
            let reading = tokio::time::timeout(std::time::Duration::from_secs(10), store.inbox(run));
            answer = reading.await.expect("the inbox is not read any more");
        }
        answer
    });
    assert_eq!(answer.map(|inbox| inbox.len()), Ok(0));
}
