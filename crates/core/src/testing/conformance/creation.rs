//! How runs come into being.

use super::room::{LEASE, Room, assert_malformed, conflict};
use crate::id::{Fence, Seq};
use crate::log::RunStatus;
use crate::store::{FIRST_LEASE, RunFilter, Write};

pub(super) async fn a_created_run_is_not_listed(room: Room) {
    let new = room.new_run();
    room.commit(&room.creation(&new, "a").status(RunStatus::Waiting)).await.unwrap();
    let run = room.summary(new.run).await;
    assert_eq!((run.tenant.as_str(), run.workflow.as_str(), run.created), ("tenant", "flow", new.at));
    assert_eq!((run.status, run.head, run.held), (RunStatus::Waiting, Seq(1), true));
    assert_eq!(room.seqs(new.run).await, [1]);
}

pub(super) async fn a_run_is_created_twice(room: Room) {
    let new = room.new_run();
    room.commit(&room.creation(&new, "a")).await.unwrap();
    assert_eq!(room.commit(&room.creation(&new, "a")).await, conflict(new.run, 0, 1));
    assert_eq!(room.commit(&room.creation(&new, "b")).await, conflict(new.run, 0, 1));
    assert_eq!(room.seqs(new.run).await, [1]);
}

pub(super) async fn a_run_begins_without_being_enqueued(room: Room) {
    let mut creation = room.creation(&room.new_run(), "a");
    creation.writes.clear();
    assert_malformed(room.commit(&creation).await);
    assert_eq!(room.listed(RunFilter::default()).await, []);
}

pub(super) async fn a_run_is_created_in_the_middle_of_its_log(room: Room) {
    let hold = room.create("a").await;
    let mut new = room.new_run();
    new.run = hold.lease.run;
    assert_malformed(room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Enqueue(new))).await);
    assert_eq!(room.seqs(hold.lease.run).await, [1]);
}

pub(super) async fn a_new_run_is_free_before_its_creator_has_renewed(room: Room) {
    let new = room.new_run();
    room.commit(&room.creation(&new, "a")).await.unwrap();
    assert_eq!(room.claim("b", new.run).await, None);
    assert_eq!(room.claim_any("b").await, None);
}

pub(super) async fn a_dead_creator_holds_its_run_for_ever(room: Room) {
    let new = room.new_run();
    room.commit(&room.creation(&new, "a")).await.unwrap();
    room.advance(FIRST_LEASE).await;
    assert_eq!(room.claim("b", new.run).await.map(|lease| lease.fence), Some(Fence(2)));
}

pub(super) async fn an_enqueued_run_cannot_be_begun(room: Room) {
    let parent = room.create("a").await;
    let child = room.new_run();
    room.commit(&room.draft(&parent.lease, parent.head, 1).write(Write::Enqueue(child.clone()))).await.unwrap();
    let summary = room.summary(child.run).await;
    assert_eq!((summary.status, summary.head, summary.held), (RunStatus::Pending, Seq(0), false));
    assert_eq!(room.store().events(child.run, Seq(0)).await, Ok(vec![]));
    let lease = room.claim_any("b").await.unwrap();
    assert_eq!((lease.run, lease.fence), (child.run, Fence(1)));
    room.commit(&room.draft(&lease, Seq(0), 2)).await.unwrap();
    assert_eq!(room.seqs(child.run).await, [1, 2]);
}

pub(super) async fn a_run_is_enqueued_over_one_that_exists(room: Room) {
    let (parent, other) = (room.create("a").await, room.create("b").await);
    let mut new = room.new_run();
    new.run = other.lease.run;
    assert_malformed(room.commit(&room.draft(&parent.lease, parent.head, 1).write(Write::Enqueue(new))).await);
    assert_eq!(room.seqs(parent.lease.run).await, [1]);
    assert_eq!(room.store().renew(&other.lease, LEASE).await, Ok(()));
}

pub(super) async fn one_commit_enqueues_a_run_twice(room: Room) {
    let parent = room.create("a").await;
    let child = room.new_run();
    let draft = room.draft(&parent.lease, parent.head, 1);
    let draft = draft.write(Write::Enqueue(child.clone())).write(Write::Enqueue(child.clone()));
    assert_malformed(room.commit(&draft).await);
    assert_eq!(room.listed(RunFilter::default()).await, [parent.lease.run]);
}

pub(super) async fn a_refused_commit_enqueues_its_run(room: Room) {
    let parent = room.create("a").await;
    let draft = room.draft(&parent.lease, Seq(7), 1).write(Write::Enqueue(room.new_run()));
    assert_eq!(room.commit(&draft).await, conflict(parent.lease.run, 7, 1));
    assert_eq!(room.listed(RunFilter::default()).await, [parent.lease.run]);
}

pub(super) async fn a_child_has_no_parent(room: Room) {
    let parent = room.create("a").await;
    let mut child = room.new_run();
    child.parent = Some(parent.lease.run);
    room.commit(&room.draft(&parent.lease, parent.head, 1).write(Write::Enqueue(child.clone()))).await.unwrap();
    let mut held = room.new_run();
    held.parent = Some(child.run);
    room.commit(&room.creation(&held, "b")).await.unwrap();
    assert_eq!(room.summary(parent.lease.run).await.parent, None);
    assert_eq!(room.summary(child.run).await.parent, Some(parent.lease.run));
    assert_eq!(room.summary(held.run).await.parent, Some(child.run));
    let listed = room.store().runs(&RunFilter { open: true, ..RunFilter::default() }).await.unwrap();
    let mut parents: Vec<_> = listed.into_iter().filter_map(|run| run.parent).collect();
    parents.sort();
    assert_eq!(parents, [parent.lease.run.min(child.run), parent.lease.run.max(child.run)]);
}

pub(super) async fn the_text_of_a_new_run_changes_on_its_way(room: Room) {
    let parent = room.create("a").await;
    let mut child = room.new_run();
    child.tenant = "naïve \u{0}\"'\\\u{2028}\u{1F41F}".into();
    child.workflow = "'; DROP TABLE x; --".into();
    room.commit(&room.draft(&parent.lease, parent.head, 1).write(Write::Enqueue(child.clone()))).await.unwrap();
    let summary = room.summary(child.run).await;
    assert_eq!((summary.tenant, summary.workflow), (child.tenant, child.workflow));
}
