//! What is seen over all runs.

use std::time::Duration;

use super::room::{LEASE, Room, conflict};
use crate::id::Seq;
use crate::log::RunStatus;
use crate::store::{Released, RunFilter};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn an_empty_store_lists_something(room: Room) {
    assert_eq!(room.listed(RunFilter::default()).await, []);
    assert_eq!(room.leaves().await, []);
}

pub(super) async fn older_runs_are_listed_first(room: Room) {
    let mut runs = Vec::new();
    for _ in 0..3 {
        let mut hold = room.create("a").await;
        room.advance(SECOND).await;
        runs.push(hold.lease.run);
        if runs.len() == 3 {
            continue;
        }
        room.extend(&mut hold, 1).await;
    }
    runs.reverse();
    assert_eq!(room.listed(RunFilter::default()).await, runs);
}

pub(super) async fn a_limit_is_ignored(room: Room) {
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.insert(0, room.create("a").await.lease.run);
        room.advance(SECOND).await;
    }
    assert_eq!(room.listed(RunFilter { limit: 3, ..RunFilter::default() }).await, runs[..3]);
    assert_eq!(room.listed(RunFilter { limit: 0, ..RunFilter::default() }).await, runs);
    assert_eq!(room.listed(RunFilter { limit: 9, ..RunFilter::default() }).await, runs);
}

pub(super) async fn ended_runs_are_listed_as_open(room: Room) {
    room.create_ended("a").await;
    let open = room.create("a").await.lease.run;
    room.advance(SECOND).await;
    room.create_ended("a").await;
    assert_eq!(room.listed(RunFilter { open: true, ..RunFilter::default() }).await, [open]);
    assert_eq!(room.listed(RunFilter { open: true, limit: 1, ..RunFilter::default() }).await, [open]);
}

pub(super) async fn a_listing_of_one_run_shows_others(room: Room) {
    let (ended, open) = (room.create_ended("a").await.lease.run, room.create("a").await.lease.run);
    let only = |run| RunFilter { run: Some(run), ..RunFilter::default() };
    assert_eq!(room.listed(only(open)).await, [open]);
    assert_eq!(room.listed(only(ended)).await, [ended]);
    assert_eq!(room.listed(RunFilter { open: true, ..only(ended) }).await, []);
    assert_eq!(room.listed(only(room.new_run().run)).await, []);
}

pub(super) async fn a_free_run_is_shown_as_held(room: Room) {
    let hold = room.create("a").await;
    assert!(room.summary(hold.lease.run).await.held);
    room.advance(LEASE).await;
    assert!(!room.summary(hold.lease.run).await.held);
    let lease = room.claim("b", hold.lease.run).await.unwrap();
    assert!(room.summary(lease.run).await.held);
    assert_eq!(room.store().release(&lease, None).await, Ok(Released::Free));
    assert!(!room.summary(lease.run).await.held);
}

pub(super) async fn an_ended_run_is_shown_as_held(room: Room) {
    let hold = room.create_ended("a").await;
    let summary = room.summary(hold.lease.run).await;
    assert_eq!((summary.status, summary.held), (RunStatus::Completed, false));
}

pub(super) async fn a_summary_lags_behind_its_log(room: Room) {
    let hold = room.create("a").await;
    let created = room.summary(hold.lease.run).await;
    assert_eq!(created.updated, room.store().events(hold.lease.run, Seq(0)).await.unwrap()[0].at);
    room.advance(SECOND).await;
    let draft = room.draft(&hold.lease, hold.head, 2).status(RunStatus::Waiting);
    room.commit(&draft).await.unwrap();
    let summary = room.summary(hold.lease.run).await;
    assert_eq!((summary.head, summary.status), (Seq(3), RunStatus::Waiting));
    assert_eq!((summary.created, summary.updated), (created.created, draft.events[1].at));
    room.advance(SECOND).await;
    room.commit(&room.draft(&hold.lease, Seq(3), 0)).await.unwrap();
    assert_eq!(room.summary(hold.lease.run).await.updated, draft.events[1].at);
}

pub(super) async fn the_tail_has_gaps_or_repeats(room: Room) {
    let (mut a, mut b) = (room.create("a").await, room.create("a").await);
    let mut wanted = vec![(a.lease.run, 1), (b.lease.run, 1)];
    for round in 2..6 {
        let hold = if round % 2 == 0 { &mut a } else { &mut b };
        let head = hold.head.0;
        room.extend(hold, round).await;
        wanted.extend((head + 1..=head + round).map(|seq| (hold.lease.run, seq)));
    }
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let page = room.store().tail(after, 5).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        assert!(page.iter().all(|(leaf, _)| *leaf > after) && page.is_sorted_by_key(|(leaf, _)| *leaf));
        after = *last;
        found.extend(page.iter().map(|(_, event)| (event.run, event.seq.0)));
    }
    assert_eq!(found, wanted);
}

pub(super) async fn the_tail_ignores_its_limit(room: Room) {
    let mut hold = room.create("a").await;
    room.extend(&mut hold, 4).await;
    assert_eq!(room.store().tail(0, 2).await.unwrap().len(), 2);
    assert_eq!(room.store().tail(0, 0).await, Ok(vec![]));
    assert_eq!(room.store().tail(u64::MAX, 9).await, Ok(vec![]));
}

pub(super) async fn runs_that_interleave_are_mixed_up(room: Room) {
    let (mut a, mut b) = (room.create("a").await, room.create("b").await);
    for _ in 0..5 {
        room.extend(&mut a, 1).await;
        room.extend(&mut b, 2).await;
    }
    assert_eq!(room.seqs(a.lease.run).await, (1..=6).collect::<Vec<_>>());
    assert_eq!(room.seqs(b.lease.run).await, (1..=11).collect::<Vec<_>>());
    let events = room.store().events(b.lease.run, Seq(0)).await.unwrap();
    assert!(events.iter().all(|event| event.run == b.lease.run));
}

pub(super) async fn a_refused_commit_leaves_a_leaf(room: Room) {
    let mut hold = room.create("a").await;
    let before = room.leaves().await;
    assert_eq!(room.commit(&room.draft(&hold.lease, Seq(4), 3)).await, conflict(hold.lease.run, 4, 1));
    assert_eq!(room.leaves().await, before);
    room.extend(&mut hold, 1).await;
    assert_eq!(room.leaves().await.last().map(|last| (last.1, last.2)), Some((hold.lease.run, 2)));
}
