//! A commit becomes true at once, or not at all.

use super::room::{Room, assert_malformed, cancel, conflict};
use crate::id::Seq;
use crate::log::RunStatus;
use crate::store::{MessageId, Write};

pub(super) async fn a_refused_commit_leaves_its_events(room: Room) {
    let hold = room.create("a").await;
    let draft = room.draft(&hold.lease, hold.head, 3).write(Write::Consume(MessageId(99)));
    assert_malformed(room.commit(&draft).await);
    assert_eq!(room.seqs(hold.lease.run).await, [1]);
    assert_eq!(room.summary(hold.lease.run).await.head, Seq(1));
}

pub(super) async fn a_refused_commit_leaves_its_payloads(room: Room) {
    let hold = room.create("a").await;
    let payload = room.payload("secret");
    let draft = room.draft(&hold.lease, Seq(7), 1).payload(&payload);
    assert_eq!(room.commit(&draft).await, conflict(hold.lease.run, 7, 1));
    assert_eq!(room.read(payload.commitment).await, None);
}

pub(super) async fn a_refused_commit_consumes_a_message(room: Room) {
    let hold = room.create("a").await;
    let message = room.signal(hold.lease.run, "stop").await;
    let draft = room.draft(&hold.lease, Seq(7), 1).write(Write::Consume(message));
    assert_eq!(room.commit(&draft).await, conflict(hold.lease.run, 7, 1));
    let two = room.draft(&hold.lease, hold.head, 1).write(Write::Consume(message));
    assert_malformed(room.commit(&two.write(Write::Consume(MessageId(message.0 + 1)))).await);
    assert_eq!(room.inbox(hold.lease.run).await, [cancel("stop")]);
}

pub(super) async fn a_refused_commit_changes_the_status(room: Room) {
    let hold = room.create("a").await;
    let before = room.summary(hold.lease.run).await;
    let draft = room.draft(&hold.lease, Seq(7), 1).status(RunStatus::Failed);
    assert_eq!(room.commit(&draft).await, conflict(hold.lease.run, 7, 1));
    assert_eq!(room.summary(hold.lease.run).await, before);
}

pub(super) async fn a_message_is_acted_on_twice(room: Room) {
    let mut hold = room.create("a").await;
    let message = room.signal(hold.lease.run, "stop").await;
    room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Consume(message))).await.unwrap();
    hold.head = Seq(2);
    assert_malformed(room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Consume(message))).await);
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2]);
}

pub(super) async fn a_message_of_another_run_is_consumed(room: Room) {
    let (hold, other) = (room.create("a").await, room.create("a").await);
    let message = room.signal(other.lease.run, "stop").await;
    assert_malformed(room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Consume(message))).await);
    assert_eq!(room.inbox(other.lease.run).await, [cancel("stop")]);
}

pub(super) async fn one_commit_consumes_a_message_twice(room: Room) {
    let hold = room.create("a").await;
    let message = room.signal(hold.lease.run, "stop").await;
    let draft = room.draft(&hold.lease, hold.head, 1);
    assert_malformed(room.commit(&draft.write(Write::Consume(message)).write(Write::Consume(message))).await);
    assert_eq!(room.inbox(hold.lease.run).await.len(), 1);
}

pub(super) async fn a_commit_that_only_consumes_is_refused(room: Room) {
    let hold = room.create("a").await;
    let first = room.signal(hold.lease.run, "first").await;
    room.signal(hold.lease.run, "second").await;
    let draft = room.draft(&hold.lease, hold.head, 0).write(Write::Consume(first)).status(RunStatus::Waiting);
    room.commit(&draft).await.unwrap();
    assert_eq!(room.inbox(hold.lease.run).await, [cancel("second")]);
    assert_eq!(room.seqs(hold.lease.run).await, [1]);
    assert_eq!(room.summary(hold.lease.run).await.status, RunStatus::Waiting);
}
