//! What commits leave for the world outside.

use serde_json::{Value, json};

use super::room::{LEASE, Room, assert_malformed, at_once, conflict, fenced, sending};
use crate::id::Seq;
use crate::log::RunStatus;
use crate::store::{MessageId, OutboxId, Outgoing, Write};
use crate::write::OutboxEntry;

fn mail(body: impl Into<Value>) -> Write {
    Write::Outbox(OutboxEntry::new("mail", body.into()))
}

async fn outbox(room: &Room) -> Vec<Outgoing> {
    room.store().outbox(u32::MAX).await.unwrap()
}

async fn bodies(room: &Room) -> Vec<Value> {
    outbox(room).await.into_iter().map(|outgoing| outgoing.entry.body).collect()
}

pub(super) async fn an_outbox_entry_changes_on_its_way(room: Room) {
    let hold = room.create("a").await;
    let body = json!({"b": [9_007_199_254_740_993_u64, -1, 0.5, null, true], "a": "naïve \u{0}\"\\\u{2028}\u{1F4B8}"});
    let entry = OutboxEntry::new("order.placed \u{0}'", body);
    let before = room.now();
    room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Outbox(entry.clone()))).await.unwrap();
    let span = before..=room.now();
    let found = outbox(&room).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].run, &found[0].entry), (hold.lease.run, &entry));
    assert!(span.contains(&found[0].at), "{:?} is not in {span:?}", found[0].at);
    assert_eq!(found[0].entry.body.to_string(), entry.body.to_string());
}

pub(super) async fn outbox_entries_are_read_out_of_order(room: Room) {
    let (mut a, mut b) = (room.create("a").await, room.create("b").await);
    for n in 0..5 {
        let hold = if n % 2 == 0 { &mut b } else { &mut a };
        let draft = room.draft(&hold.lease, hold.head, 1).write(mail(n * 2)).write(mail(n * 2 + 1));
        room.commit(&draft).await.unwrap();
        hold.head = hold.head.next();
    }
    assert_eq!(bodies(&room).await, (0..10).map(Value::from).collect::<Vec<_>>());
    assert!(outbox(&room).await.is_sorted_by(|a, b| a.id < b.id));
}

pub(super) async fn equal_outbox_entries_are_taken_for_one(room: Room) {
    let hold = room.create("a").await;
    room.commit(&room.draft(&hold.lease, hold.head, 1).write(mail("x")).write(mail("x"))).await.unwrap();
    assert_eq!(bodies(&room).await, ["x", "x"]);
}

pub(super) async fn an_outbox_entry_has_another_number_when_it_is_read_again(room: Room) {
    let hold = room.create("a").await;
    room.commit(&room.draft(&hold.lease, hold.head, 1).write(mail(1)).write(mail(2)).write(mail(3))).await.unwrap();
    let first = outbox(&room).await;
    assert_eq!(outbox(&room).await, first);
    room.store().delivered(&[first[0].id]).await.unwrap();
    assert_eq!(outbox(&room).await, first[1..]);
}

pub(super) async fn the_outbox_ignores_its_limit(room: Room) {
    let hold = room.create("a").await;
    let draft = (0..5).fold(room.draft(&hold.lease, hold.head, 1), |draft, n| draft.write(mail(n)));
    room.commit(&draft).await.unwrap();
    let all = outbox(&room).await;
    assert_eq!(room.store().outbox(2).await.unwrap(), all[..2]);
    assert_eq!(room.store().outbox(5).await.unwrap(), all);
    assert_eq!(room.store().outbox(0).await, Ok(vec![]));
}

pub(super) async fn a_delivered_entry_comes_back(room: Room) {
    let mut hold = room.create("a").await;
    room.commit(&room.draft(&hold.lease, hold.head, 1).write(mail(1)).write(mail(2))).await.unwrap();
    hold.head = Seq(2);
    let ids: Vec<_> = outbox(&room).await.into_iter().map(|outgoing| outgoing.id).collect();
    assert_eq!(room.store().delivered(&ids[1..]).await, Ok(()));
    assert_eq!(bodies(&room).await, [1]);
    room.extend(&mut hold, 1).await;
    assert_eq!(room.store().delivered(&ids).await, Ok(()));
    assert_eq!(bodies(&room).await, Vec::<Value>::new());
}

pub(super) async fn an_entry_delivered_twice_is_an_error(room: Room) {
    let hold = room.create("a").await;
    room.commit(&room.draft(&hold.lease, hold.head, 1).write(mail(1)).write(mail(2))).await.unwrap();
    let first = outbox(&room).await[0].id;
    assert_eq!(room.store().delivered(&[first]).await, Ok(()));
    assert_eq!(room.store().delivered(&[first]).await, Ok(()));
    assert_eq!(room.store().delivered(&[OutboxId(first.0 + 1_000), first, first]).await, Ok(()));
    assert_eq!(room.store().delivered(&[]).await, Ok(()));
    assert_eq!(bodies(&room).await, [2]);
}

pub(super) async fn an_outbox_number_is_used_again(room: Room) {
    let mut hold = room.create("a").await;
    let mut used = Vec::new();
    for n in 0..4 {
        room.commit(&room.draft(&hold.lease, hold.head, 1).write(mail(n))).await.unwrap();
        hold.head = hold.head.next();
        let id = outbox(&room).await[0].id;
        room.store().delivered(&[id]).await.unwrap();
        used.push(id);
    }
    assert!(used.is_sorted_by(|a, b| a < b), "{used:?}");
}

pub(super) async fn a_refused_commit_leaves_an_outbox_entry(room: Room) {
    let hold = room.create("a").await;
    let draft = room.draft(&hold.lease, Seq(7), 1).write(mail("stale"));
    assert_eq!(room.commit(&draft).await, conflict(hold.lease.run, 7, 1));
    let draft = room.draft(&hold.lease, hold.head, 1).write(mail("malformed"));
    assert_malformed(room.commit(&draft.write(Write::Consume(MessageId(99)))).await);
    room.advance(LEASE).await;
    room.claim("b", hold.lease.run).await.unwrap();
    let draft = room.draft(&hold.lease, hold.head, 1).write(mail("zombie"));
    assert_eq!(room.commit(&draft).await, fenced(hold.lease.run));
    assert_eq!(outbox(&room).await, []);
}

pub(super) async fn a_commit_sent_twice_doubles_its_outbox_entry(room: Room) {
    let hold = room.create("a").await;
    let draft = room.draft(&hold.lease, hold.head, 1).write(mail("once"));
    room.commit(&draft).await.unwrap();
    room.commit(&draft).await.unwrap();
    assert_eq!(bodies(&room).await, ["once"]);
    let delivered = outbox(&room).await[0].id;
    room.store().delivered(&[delivered]).await.unwrap();
    room.commit(&draft).await.unwrap();
    assert_eq!(outbox(&room).await, []);
}

pub(super) async fn the_outbox_entry_of_a_commit_without_events_is_lost(room: Room) {
    let hold = room.create("a").await;
    room.commit(&room.draft(&hold.lease, hold.head, 0).write(mail("quiet"))).await.unwrap();
    assert_eq!(bodies(&room).await, ["quiet"]);
    assert_eq!(room.seqs(hold.lease.run).await, [1]);
}

pub(super) async fn an_ended_run_takes_its_outbox_entries_along(room: Room) {
    let hold = room.create("a").await;
    let draft = room.draft(&hold.lease, hold.head, 1).write(mail("last")).status(RunStatus::Completed);
    room.commit(&draft).await.unwrap();
    assert_eq!(bodies(&room).await, ["last"]);
}

pub(super) async fn many_outbox_entries_are_too_many_for_one_commit(room: Room) {
    let hold = room.create("a").await;
    let draft = (0..1_100).fold(room.draft(&hold.lease, hold.head, 1), |draft, n| draft.write(mail(n)));
    room.commit(&draft).await.unwrap();
    let found = outbox(&room).await;
    assert!(found.iter().map(|outgoing| &outgoing.entry.body).eq(&(0..1_100).map(Value::from).collect::<Vec<_>>()));
    let ids: Vec<_> = found.iter().skip(1).map(|outgoing| outgoing.id).collect();
    room.store().delivered(&ids).await.unwrap();
    assert_eq!(bodies(&room).await, [0]);
}

pub(super) async fn entries_committed_at_once_are_lost(room: Room) {
    let mut drafts = Vec::new();
    for n in 0..24 {
        let hold = room.create("a").await;
        drafts.push(room.draft(&hold.lease, hold.head, 1).write(mail(n)).write(mail(n)));
    }
    let store = room.store();
    let results = at_once(drafts.iter().map(|draft| sending(&store, draft)).collect::<Vec<_>>()).await;
    assert_eq!(results, vec![Ok(()); 24]);
    let found = outbox(&room).await;
    assert!(found.is_sorted_by(|a, b| a.id < b.id));
    for (n, draft) in drafts.iter().enumerate() {
        let of_run = found.iter().filter(|outgoing| outgoing.run == draft.lease.run);
        assert_eq!(of_run.map(|outgoing| outgoing.entry.body.clone()).collect::<Vec<_>>(), [json!(n), json!(n)]);
    }
}
