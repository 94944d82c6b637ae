//! What happens when many want something at once.

use super::room::{Hold, LEASE, Room, at_once, cancel, conflict, sending};
use crate::id::{Seq, WorkerId};
use crate::store::{Claim, Released, RunFilter, StoreError, Write};

pub(super) async fn runs_committing_at_once_lose_events(room: Room) {
    let mut holds = Vec::new();
    for _ in 0..24 {
        holds.push(room.create("a").await);
    }
    let chain = |hold: &Hold| {
        let (store, mut head) = (room.store(), hold.head);
        let commits: Vec<_> = (0..10).map(|n| room.draft(&hold.lease, Seq(hold.head.0 + n), 1)).collect();
        async move {
            for commit in commits {
                store.commit(commit.0).await.unwrap();
                head = head.next();
            }
            head
        }
    };
    let chains: Vec<_> = holds.iter().map(chain).collect();
    assert_eq!(at_once(chains).await, vec![Seq(11); 24]);
    for hold in &holds {
        assert_eq!(room.seqs(hold.lease.run).await, (1..=11).collect::<Vec<_>>());
    }
    assert_eq!(room.leaves().await.len(), 24 * 11);
}

pub(super) async fn two_commits_at_once_both_win(room: Room) {
    let hold = room.create("a").await;
    let store = room.store();
    let rivals: Vec<_> = (0..16).map(|_| sending(&store, &room.draft(&hold.lease, hold.head, 1))).collect();
    let results = at_once(rivals).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let lost = conflict(hold.lease.run, 1, 2);
    assert!(results.iter().all(|result| *result == Ok(()) || *result == lost), "{results:?}");
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2]);
}

pub(super) async fn one_commit_sent_many_times_at_once_is_doubled(room: Room) {
    let hold = room.create("a").await;
    let message = room.signal(hold.lease.run, "once").await;
    let draft = room.draft(&hold.lease, hold.head, 2).payload(&room.payload("once")).write(Write::Consume(message));
    let store = room.store();
    let sent: Vec<_> = (0..16).map(|_| sending(&store, &draft)).collect();
    assert_eq!(at_once(sent).await, vec![Ok(()); 16]);
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2, 3]);
}

pub(super) async fn a_run_claimed_by_many_at_once_is_given_twice(room: Room) {
    let run = room.create_free("a", None).await;
    let claim = |n| {
        let (store, worker) = (room.store(), WorkerId::new(format!("w{n}")));
        async move { store.claim(&Claim::new(worker, Some(run), LEASE)).await.unwrap() }
    };
    let leases: Vec<_> = at_once((0..16).map(claim).collect::<Vec<_>>()).await.into_iter().flatten().collect();
    assert_eq!(leases.len(), 1);
    room.commit(&room.draft(&leases[0], Seq(1), 1)).await.unwrap();
}

pub(super) async fn runs_claimed_by_many_at_once_are_given_twice(room: Room) {
    let mut runs = Vec::new();
    for _ in 0..8 {
        runs.push(room.create_free("a", Some(room.now())).await);
    }
    let claim = |n| {
        let (store, worker) = (room.store(), WorkerId::new(format!("w{n}")));
        async move { store.claim(&Claim::new(worker, None, LEASE)).await.unwrap() }
    };
    let leases = at_once((0..12).map(claim).collect::<Vec<_>>()).await;
    let mut given: Vec<_> = leases.into_iter().flatten().map(|lease| lease.run).collect();
    given.sort();
    runs.sort();
    assert_eq!(given, runs);
}

pub(super) async fn a_message_sent_during_a_release_is_lost(room: Room) {
    for _ in 0..8 {
        let hold = room.create("a").await;
        let run = hold.lease.run;
        let (a, b) = (room.store(), room.store());
        let signal = tokio::spawn(async move { a.signal(run, cancel("now")).await.unwrap() });
        let release = tokio::spawn(async move { b.release(&hold.lease, None).await.unwrap() });
        signal.await.unwrap();
        if release.await.unwrap() == Released::Free {
            assert_eq!(room.claim_any("b").await.map(|lease| lease.run), Some(run));
        }
        assert_eq!(room.inbox(run).await, [cancel("now")]);
    }
}

pub(super) async fn messages_sent_at_once_are_lost(room: Room) {
    let run = room.create("a").await.lease.run;
    let signal = |n: u32| {
        let store = room.store();
        async move { store.signal(run, cancel(&n.to_string())).await.unwrap() }
    };
    let mut ids = at_once((0..32).map(signal).collect::<Vec<_>>()).await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 32);
    let inbox: Vec<_> = room.store().inbox(run).await.unwrap().into_iter().map(|received| received.id).collect();
    assert_eq!(inbox, ids);
}

pub(super) async fn one_refused_commit_refuses_its_neighbours(room: Room) {
    let (good, bad) = (room.create("a").await, room.create("a").await);
    let store = room.store();
    let stranger = room.new_run().run;
    let mut lost = bad.lease.clone();
    lost.run = stranger;
    let drafts = [
        room.draft(&bad.lease, Seq(9), 1),
        room.draft(&good.lease, good.head, 1),
        room.draft(&lost, Seq(1), 1),
        room.creation(&room.new_run(), "b"),
    ];
    let results = at_once(drafts.iter().map(|draft| sending(&store, draft)).collect::<Vec<_>>()).await;
    assert_eq!(results, [conflict(bad.lease.run, 9, 1), Ok(()), Err(StoreError::NoRun(stranger)), Ok(())]);
    assert_eq!(room.seqs(good.lease.run).await, [1, 2]);
    assert_eq!(room.listed(RunFilter::default()).await.len(), 3);
}
