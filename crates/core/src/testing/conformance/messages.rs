//! What is said to a run from outside.

use super::room::{Room, approval, cancel};
use crate::store::{StoreError, Write};

pub(super) async fn a_message_to_an_unknown_run_is_accepted(room: Room) {
    let run = room.new_run().run;
    assert_eq!(room.store().signal(run, cancel("hello?")).await, Err(StoreError::NoRun(run)));
}

pub(super) async fn the_inbox_of_an_unknown_run_is_empty(room: Room) {
    let run = room.new_run().run;
    assert_eq!(room.store().inbox(run).await, Err(StoreError::NoRun(run)));
    let known = room.create("a").await.lease.run;
    assert_eq!(room.store().inbox(known).await, Ok(vec![]));
}

pub(super) async fn messages_are_read_out_of_order(room: Room) {
    let run = room.create("a").await.lease.run;
    let mut sent = Vec::new();
    for n in 0..12 {
        sent.push((room.signal(run, &n.to_string()).await, cancel(&n.to_string())));
    }
    assert!(sent.is_sorted_by_key(|(id, _)| *id));
    let inbox = room.store().inbox(run).await.unwrap();
    assert_eq!(inbox.into_iter().map(|received| (received.id, received.message)).collect::<Vec<_>>(), sent);
}

pub(super) async fn a_message_changes_on_its_way(room: Room) {
    let run = room.create("a").await.lease.run;
    room.store().signal(run, approval()).await.unwrap();
    assert_eq!(room.inbox(run).await, [approval()]);
}

pub(super) async fn a_message_number_is_used_again(room: Room) {
    let hold = room.create("a").await;
    let first = room.signal(hold.lease.run, "first").await;
    room.commit(&room.draft(&hold.lease, hold.head, 0).write(Write::Consume(first))).await.unwrap();
    assert_ne!(room.signal(hold.lease.run, "second").await, first);
}

pub(super) async fn a_message_lands_in_another_inbox(room: Room) {
    let (a, b) = (room.create("a").await.lease.run, room.create("a").await.lease.run);
    room.signal(a, "for a").await;
    room.signal(b, "for b").await;
    assert_eq!(room.inbox(a).await, [cancel("for a")]);
    assert_eq!(room.inbox(b).await, [cancel("for b")]);
}

pub(super) async fn a_held_run_cannot_be_signalled(room: Room) {
    let mut hold = room.create("a").await;
    room.signal(hold.lease.run, "stop").await;
    room.extend(&mut hold, 1).await;
    assert_eq!(room.inbox(hold.lease.run).await, [cancel("stop")]);
}

pub(super) async fn an_ended_run_cannot_be_signalled(room: Room) {
    let hold = room.create_ended("a").await;
    room.signal(hold.lease.run, "too late").await;
    assert_eq!(room.inbox(hold.lease.run).await, [cancel("too late")]);
}
