//! One accepted writer, and a log without gaps.

use super::room::{LEASE, Room, assert_malformed, conflict, event, fenced};
use crate::id::{Fence, Seq, WorkerId};
use crate::store::{Released, StoreError};

pub(super) async fn a_gap_in_the_log_is_accepted(room: Room) {
    let hold = room.create("a").await;
    let mut draft = room.draft(&hold.lease, hold.head, 1);
    draft.events.push(event(&hold.lease, Seq(4), room.now()));
    assert_malformed(room.commit(&draft).await);
    draft.events.remove(0);
    assert_malformed(room.commit(&draft).await);
    assert_eq!(room.seqs(hold.lease.run).await, [1]);
}

pub(super) async fn an_event_of_another_run_is_accepted(room: Room) {
    let (hold, other) = (room.create("a").await, room.create("a").await);
    let mut draft = room.draft(&hold.lease, hold.head, 1);
    draft.events.push(event(&other.lease, Seq(3), room.now()));
    assert_malformed(room.commit(&draft).await);
    assert_eq!(room.leaves().await.len(), 2);
}

pub(super) async fn an_event_under_another_fence_is_accepted(room: Room) {
    let hold = room.create("a").await;
    let mut draft = room.draft(&hold.lease, hold.head, 1);
    draft.events[0].fence = Fence(9);
    assert_malformed(room.commit(&draft).await);
    assert_eq!(room.seqs(hold.lease.run).await, [1]);
}

pub(super) async fn a_stale_commit_is_accepted(room: Room) {
    let mut hold = room.create("a").await;
    let stale = room.draft(&hold.lease, hold.head, 1);
    room.extend(&mut hold, 2).await;
    assert_eq!(room.commit(&stale).await, conflict(hold.lease.run, 1, 3));
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2, 3]);
}

pub(super) async fn a_commit_ahead_of_the_log_is_accepted(room: Room) {
    let hold = room.create("a").await;
    assert_eq!(room.commit(&room.draft(&hold.lease, Seq(5), 1)).await, conflict(hold.lease.run, 5, 1));
}

pub(super) async fn a_commit_makes_an_unknown_run(room: Room) {
    let mut lease = room.create("a").await.lease;
    lease.run = room.new_run().run;
    assert_eq!(room.commit(&room.draft(&lease, Seq(1), 1)).await, Err(StoreError::NoRun(lease.run)));
    assert_eq!(room.store().events(lease.run, Seq(0)).await, Err(StoreError::NoRun(lease.run)));
}

pub(super) async fn a_zombie_commits_under_an_old_fence(room: Room) {
    let zombie = room.create("a").await;
    room.advance(LEASE).await;
    assert!(room.claim("b", zombie.lease.run).await.is_some());
    let late = room.draft(&zombie.lease, zombie.head, 1);
    assert_eq!(room.commit(&late).await, fenced(zombie.lease.run));
    assert_eq!(room.seqs(zombie.lease.run).await, [1]);
}

pub(super) async fn a_commit_is_accepted_after_a_release(room: Room) {
    let hold = room.create("a").await;
    assert_eq!(room.store().release(&hold.lease, None).await, Ok(Released::Free));
    assert_eq!(room.commit(&room.draft(&hold.lease, hold.head, 1)).await, fenced(hold.lease.run));
}

pub(super) async fn a_lease_that_nobody_took_over_is_worthless(room: Room) {
    let mut hold = room.create("a").await;
    room.advance(LEASE * 2).await;
    room.extend(&mut hold, 1).await;
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2]);
}

pub(super) async fn the_right_fence_in_the_wrong_hands_is_accepted(room: Room) {
    let mut hold = room.create("a").await;
    hold.lease.worker = WorkerId::new("b");
    assert_eq!(room.commit(&room.draft(&hold.lease, hold.head, 1)).await, fenced(hold.lease.run));
}

pub(super) async fn a_commit_sent_twice_is_doubled(room: Room) {
    let hold = room.create("a").await;
    let payload = room.payload("once");
    let draft = room.draft(&hold.lease, hold.head, 2).payload(&payload);
    assert_eq!(room.commit(&draft).await, Ok(()));
    assert_eq!(room.commit(&draft).await, Ok(()));
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2, 3]);
    assert_eq!(room.read(payload.commitment).await, Some(payload));
}

pub(super) async fn a_commit_sent_twice_is_refused_after_a_takeover(room: Room) {
    let hold = room.create("a").await;
    let draft = room.draft(&hold.lease, hold.head, 1);
    room.commit(&draft).await.unwrap();
    room.advance(LEASE).await;
    assert!(room.claim("b", hold.lease.run).await.is_some());
    assert_eq!(room.commit(&draft).await, Ok(()));
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2]);
}

pub(super) async fn a_refused_commit_is_taken_for_done(room: Room) {
    let hold = room.create("a").await;
    let mut draft = room.draft(&hold.lease, Seq(2), 1);
    assert_eq!(room.commit(&draft).await, conflict(hold.lease.run, 2, 1));
    draft.expect = Seq(1);
    draft.events = vec![event(&hold.lease, Seq(2), room.now())];
    assert_eq!(room.commit(&draft).await, Ok(()));
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2]);
}

pub(super) async fn an_empty_commit_moves_the_head(room: Room) {
    let mut hold = room.create("a").await;
    room.commit(&room.draft(&hold.lease, hold.head, 0)).await.unwrap();
    room.extend(&mut hold, 1).await;
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2]);
}
