//! What the next process finds. Stores whose data cannot outlive them pass by saying so.

use super::room::{LEASE, Room, cancel};
use crate::id::Fence;
use crate::store::Write;
use crate::write::OutboxEntry;

pub(super) async fn events_are_gone_after_reopening(mut room: Room) {
    let mut hold = room.create("a").await;
    room.extend(&mut hold, 3).await;
    let before = room.store().tail(0, 99).await;
    let summary = room.summary(hold.lease.run).await;
    if room.reopen().await {
        assert_eq!(room.store().tail(0, 99).await, before);
        assert_eq!(room.seqs(hold.lease.run).await, [1, 2, 3, 4]);
        let after = room.summary(hold.lease.run).await;
        assert_eq!((after.status, after.head, after.updated), (summary.status, summary.head, summary.updated));
    }
}

pub(super) async fn payloads_are_gone_after_reopening(mut room: Room) {
    let hold = room.create("a").await;
    let payload = room.payload("kept");
    room.commit(&room.draft(&hold.lease, hold.head, 1).payload(&payload)).await.unwrap();
    if room.reopen().await {
        assert_eq!(room.read(payload.commitment).await, Some(payload));
    }
}

pub(super) async fn messages_are_gone_after_reopening(mut room: Room) {
    let run = room.create("a").await.lease.run;
    room.signal(run, "kept").await;
    if room.reopen().await {
        assert_eq!(room.inbox(run).await, [cancel("kept")]);
    }
}

pub(super) async fn a_commit_is_doubled_after_reopening(mut room: Room) {
    let hold = room.create("a").await;
    let draft = room.draft(&hold.lease, hold.head, 2);
    room.commit(&draft).await.unwrap();
    if room.reopen().await {
        assert_eq!(room.commit(&draft).await, Ok(()));
        assert_eq!(room.seqs(hold.lease.run).await, [1, 2, 3]);
    }
}

pub(super) async fn a_fence_starts_again_after_reopening(mut room: Room) {
    let run = room.create_free("a", None).await;
    assert_eq!(room.claim("a", run).await.map(|lease| lease.fence), Some(Fence(2)));
    if room.reopen().await {
        room.advance(LEASE).await;
        assert_eq!(room.claim("b", run).await.map(|lease| lease.fence), Some(Fence(3)));
    }
}

pub(super) async fn leaf_numbers_start_again_after_reopening(mut room: Room) {
    let mut hold = room.create("a").await;
    room.extend(&mut hold, 2).await;
    if room.reopen().await {
        room.extend(&mut hold, 2).await;
        let leaves = room.leaves().await;
        assert!(leaves.is_sorted_by(|a, b| a.0 < b.0) && leaves.iter().map(|leaf| leaf.2).eq(1..=5), "{leaves:?}");
    }
}

pub(super) async fn message_numbers_start_again_after_reopening(mut room: Room) {
    let hold = room.create("a").await;
    let first = room.signal(hold.lease.run, "first").await;
    room.commit(&room.draft(&hold.lease, hold.head, 0).write(Write::Consume(first))).await.unwrap();
    if room.reopen().await {
        assert!(room.signal(hold.lease.run, "second").await > first);
    }
}

pub(super) async fn a_wake_is_forgotten_after_reopening(mut room: Room) {
    let run = room.create_free("a", Some(room.now().after(LEASE))).await;
    if room.reopen().await {
        assert_eq!(room.claim_any("b").await, None);
        room.advance(LEASE).await;
        assert_eq!(room.claim_any("b").await.map(|lease| lease.run), Some(run));
    }
}

pub(super) async fn a_parent_is_forgotten_after_reopening(mut room: Room) {
    let parent = room.create("a").await;
    let mut child = room.new_run();
    child.parent = Some(parent.lease.run);
    room.commit(&room.draft(&parent.lease, parent.head, 1).write(Write::Enqueue(child.clone()))).await.unwrap();
    if room.reopen().await {
        assert_eq!(room.summary(child.run).await.parent, Some(parent.lease.run));
    }
}

pub(super) async fn sent_messages_are_gone_after_reopening(mut room: Room) {
    let (hold, to) = (room.create("a").await, room.create("b").await.lease.run);
    room.commit(&room.draft(&hold.lease, hold.head, 1).send(to, "kept")).await.unwrap();
    let before = room.store().inbox(to).await;
    if room.reopen().await {
        assert_eq!(room.store().inbox(to).await, before);
        assert_eq!(room.inbox(to).await, [cancel("kept")]);
    }
}

pub(super) async fn outbox_entries_are_gone_after_reopening(mut room: Room) {
    let hold = room.create("a").await;
    let draft = (0..3).fold(room.draft(&hold.lease, hold.head, 1), |draft, n| {
        draft.write(Write::Outbox(OutboxEntry::new("mail", n.into())))
    });
    room.commit(&draft).await.unwrap();
    let before = room.store().outbox(9).await.unwrap();
    room.store().delivered(&[before[1].id]).await.unwrap();
    if room.reopen().await {
        assert_eq!(room.store().outbox(9).await.unwrap(), [before[0].clone(), before[2].clone()]);
    }
}

pub(super) async fn outbox_numbers_start_again_after_reopening(mut room: Room) {
    let mut hold = room.create("a").await;
    let mail = || Write::Outbox(OutboxEntry::new("mail", 1.into()));
    room.commit(&room.draft(&hold.lease, hold.head, 1).write(mail()).write(mail())).await.unwrap();
    hold.head = hold.head.next();
    let used: Vec<_> = room.store().outbox(9).await.unwrap().iter().map(|outgoing| outgoing.id).collect();
    room.store().delivered(&used).await.unwrap();
    if room.reopen().await {
        room.commit(&room.draft(&hold.lease, hold.head, 1).write(mail())).await.unwrap();
        let found = room.store().outbox(9).await.unwrap();
        assert!(found.len() == 1 && found[0].id > used[1], "{found:?} after {used:?}");
    }
}
