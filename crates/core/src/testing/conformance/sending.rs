//! Messages that a commit sends.

use super::room::{
    LEASE, Room, approval, assert_malformed, assert_refused, at_once, cancel, conflict, fenced, sending,
};
use crate::id::Seq;
use crate::log::RunStatus;
use crate::store::{MessageId, OutboxId, Released, RunFilter, Write};
use crate::write::OutboxEntry;

pub(super) async fn a_message_that_a_commit_sends_is_lost(room: Room) {
    let (hold, to) = (room.create("a").await, room.create("b").await.lease.run);
    room.commit(&room.draft(&hold.lease, hold.head, 1).send(to, "hello")).await.unwrap();
    assert_eq!(room.inbox(to).await, [cancel("hello")]);
    assert_eq!(room.inbox(hold.lease.run).await, []);
}

pub(super) async fn a_message_that_a_commit_sends_changes_on_its_way(room: Room) {
    let (hold, to) = (room.create("a").await, room.create("b").await.lease.run);
    room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Send(to, approval()))).await.unwrap();
    assert_eq!(room.inbox(to).await, [approval()]);
}

pub(super) async fn a_run_sleeps_through_a_message_that_a_commit_sends(room: Room) {
    let to = room.create_free("b", None).await;
    let hold = room.create("a").await;
    assert_eq!(room.claim_any("c").await, None);
    room.commit(&room.draft(&hold.lease, hold.head, 1).send(to, "wake up")).await.unwrap();
    assert_eq!(room.claim_any("c").await.map(|lease| lease.run), Some(to));
}

pub(super) async fn a_message_is_sent_to_an_unknown_run(room: Room) {
    let (hold, to) = (room.create("a").await, room.create("b").await.lease.run);
    let (stranger, child) = (room.new_run().run, room.new_run());
    let payload = room.payload("secret");
    let message = room.signal(hold.lease.run, "unread").await;
    let before = room.summary(hold.lease.run).await;
    let draft = room.draft(&hold.lease, hold.head, 2).payload(&payload).status(RunStatus::Failed);
    let draft = draft.send(to, "first").write(Write::Enqueue(child.clone())).write(Write::Consume(message));
    let draft = draft.write(Write::Outbox(OutboxEntry::new("mail", "x".into()))).send(stranger, "hello?");
    assert_refused(room.commit(&draft).await, 4);
    assert_eq!(room.summary(hold.lease.run).await, before);
    assert_eq!(room.leaves().await.len(), 2);
    assert_eq!(room.read(payload.commitment).await, None);
    assert_eq!(room.inbox(to).await, []);
    assert_eq!(room.inbox(hold.lease.run).await, [cancel("unread")]);
    assert_eq!(room.store().outbox(9).await, Ok(vec![]));
    assert_eq!(room.listed(RunFilter { run: Some(child.run), ..RunFilter::default() }).await, []);
}

pub(super) async fn a_refused_commit_cannot_be_made_again(room: Room) {
    let hold = room.create("a").await;
    let mut draft = room.draft(&hold.lease, hold.head, 1).send(room.new_run().run, "hello?");
    assert_refused(room.commit(&draft).await, 0);
    assert_refused(room.commit(&draft).await, 0);
    draft.writes.clear();
    assert_eq!(room.commit(&draft).await, Ok(()));
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2]);
}

pub(super) async fn an_ended_run_gets_no_message_from_a_commit(room: Room) {
    let (hold, ended) = (room.create("a").await, room.create_ended("b").await.lease.run);
    room.commit(&room.draft(&hold.lease, hold.head, 1).send(ended, "too late")).await.unwrap();
    assert_eq!(room.inbox(ended).await, [cancel("too late")]);
    assert_eq!(room.claim("c", ended).await, None);
}

pub(super) async fn a_run_that_is_enqueued_beside_its_message_gets_none(room: Room) {
    let hold = room.create("a").await;
    let (before, after) = (room.new_run(), room.new_run());
    let draft = room.draft(&hold.lease, hold.head, 1).send(before.run, "early").write(Write::Enqueue(before.clone()));
    let draft = draft.write(Write::Enqueue(after.clone())).send(after.run, "late");
    room.commit(&draft).await.unwrap();
    assert_eq!(room.inbox(before.run).await, [cancel("early")]);
    assert_eq!(room.inbox(after.run).await, [cancel("late")]);
}

pub(super) async fn a_run_cannot_send_to_itself(room: Room) {
    let hold = room.create("a").await;
    let run = hold.lease.run;
    room.commit(&room.draft(&hold.lease, hold.head, 1).send(run, "later")).await.unwrap();
    assert_eq!(room.inbox(run).await, [cancel("later")]);
    assert_eq!(room.store().release(&hold.lease, None).await, Ok(Released::Unread));
    let new = room.new_run();
    room.commit(&room.creation(&new, "a").send(new.run, "first of all")).await.unwrap();
    assert_eq!(room.inbox(new.run).await, [cancel("first of all")]);
}

pub(super) async fn a_sent_message_cannot_be_consumed(room: Room) {
    let (hold, other) = (room.create("a").await, room.create("b").await);
    room.commit(&room.draft(&hold.lease, hold.head, 1).send(other.lease.run, "hello")).await.unwrap();
    let id = room.store().inbox(other.lease.run).await.unwrap()[0].id;
    room.commit(&room.draft(&other.lease, other.head, 1).write(Write::Consume(id))).await.unwrap();
    assert_eq!(room.inbox(other.lease.run).await, []);
}

pub(super) async fn a_stale_commit_sends_its_message(room: Room) {
    let (hold, to) = (room.create("a").await, room.create("b").await.lease.run);
    let stale = room.draft(&hold.lease, Seq(7), 1).send(to, "stale");
    assert_eq!(room.commit(&stale).await, conflict(hold.lease.run, 7, 1));
    let malformed = room.draft(&hold.lease, hold.head, 1).send(to, "malformed");
    assert_malformed(room.commit(&malformed.write(Write::Consume(MessageId(99)))).await);
    room.advance(LEASE).await;
    room.claim("c", hold.lease.run).await.unwrap();
    assert_eq!(room.commit(&room.draft(&hold.lease, hold.head, 1).send(to, "zombie")).await, fenced(hold.lease.run));
    assert_eq!(room.inbox(to).await, []);
}

pub(super) async fn a_commit_sent_twice_sends_its_message_twice(room: Room) {
    let (hold, to) = (room.create("a").await, room.create("b").await.lease.run);
    let draft = room.draft(&hold.lease, hold.head, 1).send(to, "once");
    room.commit(&draft).await.unwrap();
    room.commit(&draft).await.unwrap();
    assert_eq!(room.inbox(to).await, [cancel("once")]);
}

pub(super) async fn messages_of_one_commit_are_read_out_of_order(room: Room) {
    let (hold, to) = (room.create("a").await, room.create("b").await.lease.run);
    room.signal(to, "before").await;
    let draft = (0..20).fold(room.draft(&hold.lease, hold.head, 1), |draft, n| draft.send(to, &n.to_string()));
    room.commit(&draft.send(to, "0").send(hold.lease.run, "mine")).await.unwrap();
    room.signal(to, "after").await;
    let texts = (0..20).map(|n| n.to_string()).chain(["0".to_owned(), "after".to_owned()]);
    let wanted: Vec<_> = ["before".to_owned()].into_iter().chain(texts).map(|text| cancel(&text)).collect();
    assert_eq!(room.inbox(to).await, wanted);
}

pub(super) async fn a_sent_message_has_the_number_of_another(room: Room) {
    let (mut hold, to) = (room.create("a").await, room.create("b").await.lease.run);
    for n in 0..4 {
        room.signal(hold.lease.run, "signal").await;
        room.commit(&room.draft(&hold.lease, hold.head, 1).send(to, &n.to_string()).send(to, "again")).await.unwrap();
        hold.head = hold.head.next();
    }
    let mut ids: Vec<_> = room.store().inbox(to).await.unwrap().into_iter().map(|received| received.id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    ids.extend(room.store().inbox(hold.lease.run).await.unwrap().into_iter().map(|received| received.id));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 12);
}

pub(super) async fn a_message_bears_another_time(room: Room) {
    let (hold, to) = (room.create("a").await, room.create("b").await.lease.run);
    let mut spans = Vec::new();
    for sent in [false, true] {
        room.advance(LEASE / 4).await;
        let before = room.now();
        if sent {
            room.commit(&room.draft(&hold.lease, hold.head, 1).send(to, "sent")).await.unwrap();
        } else {
            room.signal(to, "signalled").await;
        }
        spans.push(before..=room.now());
    }
    let times: Vec<_> = room.store().inbox(to).await.unwrap().into_iter().map(|received| received.at).collect();
    assert!(times.len() == 2 && spans.iter().zip(&times).all(|(span, at)| span.contains(at)), "{times:?}, {spans:?}");
}

pub(super) async fn a_commit_that_is_refused_at_once_with_others_takes_them_along(room: Room) {
    let (good, bad, to) = (room.create("a").await, room.create("a").await, room.create("b").await.lease.run);
    let (store, stranger) = (room.store(), room.new_run().run);
    let outbox = || Write::Outbox(OutboxEntry::new("mail", 1.into()));
    let drafts = [
        room.draft(&bad.lease, bad.head, 1).send(to, "bad").write(outbox()).send(stranger, "hello?"),
        room.draft(&good.lease, good.head, 1).send(to, "good").write(outbox()),
    ];
    let results = at_once(drafts.iter().map(|draft| sending(&store, draft)).collect::<Vec<_>>()).await;
    assert_refused(results[0].clone(), 2);
    assert_eq!(results[1], Ok(()));
    assert_eq!(room.inbox(to).await, [cancel("good")]);
    let outbox = store.outbox(9).await.unwrap();
    assert_eq!(outbox.iter().map(|outgoing| outgoing.run).collect::<Vec<_>>(), [good.lease.run]);
    assert_eq!(room.seqs(bad.lease.run).await, [1]);
    assert_eq!(store.delivered(&[OutboxId(outbox[0].id.0)]).await, Ok(()));
}

pub(super) async fn messages_that_commits_send_at_once_are_lost(room: Room) {
    let to = room.create("b").await.lease.run;
    let mut drafts = Vec::new();
    for n in 0..24 {
        let hold = room.create("a").await;
        drafts.push(room.draft(&hold.lease, hold.head, 1).send(to, &n.to_string()));
    }
    let store = room.store();
    let results = at_once(drafts.iter().map(|draft| sending(&store, draft)).collect::<Vec<_>>()).await;
    assert_eq!(results, vec![Ok(()); 24]);
    let mut inbox = store.inbox(to).await.unwrap();
    assert!(inbox.is_sorted_by(|a, b| a.id < b.id));
    let mut wanted: Vec<_> = (0..24).map(|n| format!("{:?}", cancel(&n.to_string()))).collect();
    wanted.sort();
    let mut found: Vec<_> = inbox.drain(..).map(|received| format!("{:?}", received.message)).collect();
    found.sort();
    assert_eq!(found, wanted);
}

pub(super) async fn a_malformed_commit_is_called_refused(room: Room) {
    let hold = room.create("a").await;
    let draft = room.draft(&hold.lease, hold.head, 1).send(room.new_run().run, "hello?");
    assert_malformed(room.commit(&draft.clone().write(Write::Consume(MessageId(99)))).await);
    let mut taken = room.new_run();
    taken.run = room.create("b").await.lease.run;
    assert_malformed(room.commit(&draft.write(Write::Enqueue(taken))).await);
}
