//! Runs that have ended, and are begun again.

use super::room::{LEASE, Room, fenced};
use crate::id::{Fence, RunId, Seq, WorkerId};
use crate::log::RunStatus;
use crate::store::{Claim, Lease, Released, RunFilter};

async fn reopen(room: &Room, worker: &str, run: Option<RunId>) -> Option<Lease> {
    let claim = Claim { ended: true, ..Claim::new(WorkerId::new(worker), run, LEASE) };
    room.store().claim(&claim).await.unwrap()
}

pub(super) async fn an_ended_run_cannot_be_begun_again(room: Room) {
    let hold = room.create_ended("a").await;
    let lease = reopen(&room, "b", Some(hold.lease.run)).await.unwrap();
    assert_eq!((lease.run, lease.worker.as_str(), lease.fence), (hold.lease.run, "b", Fence(2)));
    room.commit(&room.draft(&lease, hold.head, 1)).await.unwrap();
    let summary = room.summary(lease.run).await;
    assert_eq!((summary.status, summary.head, summary.held), (RunStatus::Running, Seq(3), true));
    assert_eq!(room.listed(RunFilter { open: true, ..RunFilter::default() }).await, [lease.run]);
}

pub(super) async fn an_ended_run_is_claimed_without_a_word_that_it_may_be(room: Room) {
    for (n, status) in [RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled].into_iter().enumerate() {
        let hold = room.create("a").await;
        room.commit(&room.draft(&hold.lease, hold.head, 1).status(status)).await.unwrap();
        if n == 1 {
            assert_eq!(room.store().release(&hold.lease, Some(room.now())).await, Ok(Released::Free));
        }
        room.signal(hold.lease.run, "anybody?").await;
        room.advance(LEASE * 2).await;
        assert_eq!(room.claim("b", hold.lease.run).await, None);
        assert_eq!(room.claim_any("b").await, None);
        assert!(reopen(&room, "b", Some(hold.lease.run)).await.is_some());
    }
}

pub(super) async fn the_last_holder_goes_on_with_a_run_that_was_begun_again(room: Room) {
    let hold = room.create_ended("a").await;
    let lease = reopen(&room, "b", Some(hold.lease.run)).await.unwrap();
    assert_eq!(room.commit(&room.draft(&hold.lease, hold.head, 1)).await, fenced(lease.run));
    assert_eq!(room.store().renew(&hold.lease, LEASE).await, fenced(lease.run));
    assert_eq!(room.store().release(&hold.lease, None).await, fenced(lease.run));
    room.commit(&room.draft(&lease, hold.head, 1)).await.unwrap();
}

pub(super) async fn two_workers_go_on_with_a_run_that_was_begun_again(room: Room) {
    let hold = room.create_ended("a").await;
    let first = reopen(&room, "b", Some(hold.lease.run)).await.unwrap();
    if let Some(second) = reopen(&room, "c", Some(hold.lease.run)).await {
        assert!(second.fence > first.fence);
        assert_eq!(room.commit(&room.draft(&first, hold.head, 1)).await, fenced(first.run));
        room.commit(&room.draft(&second, hold.head, 1)).await.unwrap();
    } else {
        room.commit(&room.draft(&first, hold.head, 1)).await.unwrap();
    }
    assert_eq!(reopen(&room, "d", Some(hold.lease.run)).await, None);
}

pub(super) async fn a_held_run_is_taken_from_its_holder_as_if_it_had_ended(room: Room) {
    let mut hold = room.create("a").await;
    assert_eq!(reopen(&room, "b", Some(hold.lease.run)).await, None);
    room.extend(&mut hold, 1).await;
    room.advance(LEASE).await;
    assert_eq!(reopen(&room, "b", Some(hold.lease.run)).await.map(|lease| lease.fence), Some(Fence(2)));
}

pub(super) async fn whoever_takes_any_run_gets_one_that_has_ended(room: Room) {
    let hold = room.create_ended("a").await;
    room.signal(hold.lease.run, "anybody?").await;
    assert_eq!(reopen(&room, "b", None).await, None);
    assert_eq!(reopen(&room, "b", Some(room.new_run().run)).await, None);
}

pub(super) async fn a_run_that_was_begun_again_cannot_end(room: Room) {
    let mut hold = room.create_ended("a").await;
    for fence in 2..5 {
        let lease = reopen(&room, "b", Some(hold.lease.run)).await.unwrap();
        assert_eq!(lease.fence, Fence(fence));
        room.commit(&room.draft(&lease, hold.head, 1)).await.unwrap();
        room.store().renew(&lease, LEASE).await.unwrap();
        room.commit(&room.draft(&lease, hold.head.next(), 1).status(RunStatus::Failed)).await.unwrap();
        hold.head = Seq(hold.head.0 + 2);
        assert_eq!(room.store().release(&lease, None).await, Ok(Released::Free));
        let summary = room.summary(hold.lease.run).await;
        assert_eq!((summary.status, summary.head, summary.held), (RunStatus::Failed, hold.head, false));
    }
}

pub(super) async fn a_commit_without_events_cannot_end_a_run(room: Room) {
    let hold = room.create("a").await;
    room.commit(&room.draft(&hold.lease, hold.head, 0).status(RunStatus::Cancelled)).await.unwrap();
    assert_eq!(room.summary(hold.lease.run).await.status, RunStatus::Cancelled);
    assert_eq!(room.listed(RunFilter { open: true, ..RunFilter::default() }).await, []);
    room.advance(LEASE).await;
    assert_eq!(room.claim("b", hold.lease.run).await, None);
    assert_eq!(room.claim_any("b").await, None);
}
