//! Who holds a run, and for how long.

use std::time::Duration;

use super::room::{LEASE, Room, fenced};
use crate::id::{Fence, Seq};
use crate::log::RunStatus;
use crate::store::{Released, StoreError, Write};

pub(super) async fn a_held_run_is_given_to_a_second_worker(room: Room) {
    let hold = room.create("a").await;
    room.advance(LEASE - Duration::from_secs(1)).await;
    assert_eq!(room.claim("b", hold.lease.run).await, None);
    assert_eq!(room.claim_any("b").await, None);
}

pub(super) async fn a_held_run_is_given_to_its_holder_again(room: Room) {
    let hold = room.create("a").await;
    assert_eq!(room.claim("a", hold.lease.run).await, None);
    assert_eq!(room.claim_any("a").await, None);
}

pub(super) async fn a_released_run_cannot_be_claimed(room: Room) {
    let run = room.create_free("a", None).await;
    let lease = room.claim("b", run).await.unwrap();
    assert_eq!((lease.run, lease.worker.as_str(), lease.fence), (run, "b", Fence(2)));
    room.commit(&room.draft(&lease, Seq(1), 1)).await.unwrap();
}

pub(super) async fn an_expired_lease_holds_its_run(room: Room) {
    let hold = room.create("a").await;
    room.advance(LEASE).await;
    let lease = room.claim("b", hold.lease.run).await.unwrap();
    assert_eq!((lease.run, lease.fence), (hold.lease.run, Fence(2)));
}

pub(super) async fn a_renewed_lease_expires_early(room: Room) {
    let hold = room.create("a").await;
    for _ in 0..3 {
        room.advance(LEASE / 2).await;
        room.store().renew(&hold.lease, LEASE).await.unwrap();
    }
    room.advance(LEASE / 2).await;
    assert_eq!(room.claim("b", hold.lease.run).await, None);
}

pub(super) async fn a_renewal_cannot_shorten_a_lease(room: Room) {
    let hold = room.create("a").await;
    room.store().renew(&hold.lease, Duration::from_secs(1)).await.unwrap();
    room.advance(Duration::from_secs(1)).await;
    assert!(room.claim("b", hold.lease.run).await.is_some());
}

pub(super) async fn a_zombie_renews(room: Room) {
    let zombie = room.create("a").await;
    room.advance(LEASE).await;
    let lease = room.claim("b", zombie.lease.run).await.unwrap();
    assert_eq!(room.store().renew(&zombie.lease, LEASE * 9).await, fenced(lease.run));
    room.advance(LEASE).await;
    assert!(room.claim("c", lease.run).await.is_some());
}

pub(super) async fn an_expired_lease_that_nobody_took_cannot_be_renewed(room: Room) {
    let hold = room.create("a").await;
    room.advance(LEASE * 2).await;
    assert_eq!(room.store().renew(&hold.lease, LEASE).await, Ok(()));
    assert_eq!(room.claim("b", hold.lease.run).await, None);
}

pub(super) async fn a_renewal_of_an_unknown_run_succeeds(room: Room) {
    let mut lease = room.create("a").await.lease;
    lease.run = room.new_run().run;
    assert_eq!(room.store().renew(&lease, LEASE).await, Err(StoreError::NoRun(lease.run)));
    assert_eq!(room.store().release(&lease, None).await, Err(StoreError::NoRun(lease.run)));
}

pub(super) async fn an_ended_run_is_claimed(room: Room) {
    for status in [RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled] {
        let hold = room.create("a").await;
        let draft = room.draft(&hold.lease, hold.head, 1).status(status).wake(room.now());
        room.commit(&draft).await.unwrap();
        assert_eq!(room.claim("b", hold.lease.run).await, None);
        room.advance(LEASE).await;
        assert_eq!(room.claim("b", hold.lease.run).await, None);
        room.signal(hold.lease.run, "too late").await;
        assert_eq!(room.store().release(&hold.lease, Some(room.now())).await, Ok(Released::Free));
        assert_eq!(room.claim("b", hold.lease.run).await, None);
        assert_eq!(room.claim_any("b").await, None);
    }
}

pub(super) async fn an_unknown_run_is_an_error_to_claim(room: Room) {
    assert_eq!(room.claim("a", room.new_run().run).await, None);
    assert_eq!(room.claim_any("a").await, None);
}

pub(super) async fn any_run_comes_before_its_time(room: Room) {
    let wake = room.now().after(LEASE);
    let run = room.create_free("a", Some(wake)).await;
    assert_eq!(room.claim_any("b").await, None);
    room.advance(LEASE).await;
    assert_eq!(room.claim_any("b").await.map(|lease| lease.run), Some(run));
}

pub(super) async fn a_run_with_a_message_waits_for_its_timer(room: Room) {
    let run = room.create_free("a", Some(room.now().after(LEASE))).await;
    room.signal(run, "now").await;
    assert_eq!(room.claim_any("b").await.map(|lease| lease.run), Some(run));
}

pub(super) async fn a_run_that_waits_for_nothing_but_a_person_is_given_out(room: Room) {
    let run = room.create_free("a", None).await;
    room.advance(LEASE * 100).await;
    assert_eq!(room.claim_any("b").await, None);
    room.signal(run, "at last").await;
    assert_eq!(room.claim_any("b").await.map(|lease| lease.run), Some(run));
}

pub(super) async fn an_abandoned_run_waits_for_its_timer(room: Room) {
    let hold = room.create("a").await;
    let later = room.now().after(LEASE * 100);
    room.commit(&room.draft(&hold.lease, hold.head, 1).wake(later)).await.unwrap();
    room.advance(LEASE).await;
    assert_eq!(room.claim_any("b").await.map(|lease| lease.run), Some(hold.lease.run));
}

pub(super) async fn the_wake_of_the_last_commit_outlives_a_release(room: Room) {
    let hold = room.create("a").await;
    room.commit(&room.draft(&hold.lease, hold.head, 1).wake(room.now())).await.unwrap();
    assert_eq!(room.store().release(&hold.lease, None).await, Ok(Released::Free));
    assert_eq!(room.claim_any("b").await, None);
}

pub(super) async fn the_oldest_run_starves(room: Room) {
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(room.create_free("a", Some(room.now())).await);
        room.advance(Duration::from_secs(1)).await;
    }
    for run in runs {
        assert_eq!(room.claim_any("b").await.map(|lease| lease.run), Some(run));
    }
    assert_eq!(room.claim_any("b").await, None);
}

pub(super) async fn a_fence_does_not_grow(room: Room) {
    let run = room.create_free("a", None).await;
    for fence in 2..10 {
        let lease = room.claim("a", run).await.unwrap();
        assert_eq!(lease.fence, Fence(fence));
        if fence % 2 == 0 {
            assert_eq!(room.store().release(&lease, None).await, Ok(Released::Free));
        } else {
            room.advance(LEASE).await;
        }
    }
}

pub(super) async fn a_zombie_releases(room: Room) {
    let zombie = room.create("a").await;
    room.advance(LEASE).await;
    let lease = room.claim("b", zombie.lease.run).await.unwrap();
    assert_eq!(room.store().release(&zombie.lease, None).await, fenced(lease.run));
    assert_eq!(room.claim("c", lease.run).await, None);
}

pub(super) async fn a_run_is_released_twice(room: Room) {
    let hold = room.create("a").await;
    assert_eq!(room.store().release(&hold.lease, None).await, Ok(Released::Free));
    assert_eq!(room.store().release(&hold.lease, None).await, fenced(hold.lease.run));
    assert_eq!(room.store().renew(&hold.lease, LEASE).await, fenced(hold.lease.run));
}

pub(super) async fn a_run_with_unread_messages_is_released(room: Room) {
    let hold = room.create("a").await;
    let message = room.signal(hold.lease.run, "wait").await;
    assert_eq!(room.store().release(&hold.lease, None).await, Ok(Released::Unread));
    room.commit(&room.draft(&hold.lease, hold.head, 0).write(Write::Consume(message))).await.unwrap();
    assert_eq!(room.store().release(&hold.lease, None).await, Ok(Released::Free));
}

pub(super) async fn a_refused_release_frees_the_run(room: Room) {
    let mut hold = room.create("a").await;
    room.signal(hold.lease.run, "wait").await;
    assert_eq!(room.store().release(&hold.lease, None).await, Ok(Released::Unread));
    assert_eq!(room.claim("b", hold.lease.run).await, None);
    room.extend(&mut hold, 1).await;
}

pub(super) async fn an_ended_run_with_unread_messages_cannot_be_released(room: Room) {
    let hold = room.create_ended("a").await;
    room.signal(hold.lease.run, "too late").await;
    assert_eq!(room.store().release(&hold.lease, None).await, Ok(Released::Free));
}
