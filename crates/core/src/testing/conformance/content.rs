//! What comes back is what was written.

use super::room::{Room, event};
use crate::id::{Seq, StepKey, Time};
use crate::log::{Codec, Commitment, Event, EventKind, Payload};
use crate::store::{StoreError, Write};

pub(super) async fn an_event_changes_on_its_way(room: Room) {
    let hold = room.create("a").await;
    let mut draft = room.draft(&hold.lease, hold.head, 3);
    draft.events[0].at = Time::from_micros(-1);
    draft.events[0].cause = Some(Seq(9_007_199_254_740_993));
    draft.events[1].tenant = "naïve \u{0}\"\\\u{2028}\u{1F41F}".into();
    let (code, message) = ("x\ny".to_owned(), room.payload("why").commitment);
    let key = StepKey::root("a").item(u32::MAX).child("b");
    draft.events[2].kind = EventKind::StepFailed { key, attempt: 3, code, message };
    room.commit(&draft).await.unwrap();
    let found = room.store().events(hold.lease.run, hold.head).await.unwrap();
    assert_eq!(found, draft.events);
    let bytes = |events: &[Event]| events.iter().map(|e| e.to_bytes().unwrap()).collect::<Vec<_>>();
    assert_eq!(bytes(&found), bytes(&draft.events));
}

pub(super) async fn many_events_of_one_commit_lose_their_order(room: Room) {
    let mut hold = room.create("a").await;
    room.extend(&mut hold, 1_000).await;
    room.extend(&mut hold, 129).await;
    assert_eq!(room.seqs(hold.lease.run).await, (1..=1_130).collect::<Vec<_>>());
    assert!(room.leaves().await.iter().map(|(_, _, seq)| *seq).eq(1..=1_130));
}

pub(super) async fn events_before_the_one_asked_for_come_back(room: Room) {
    let mut hold = room.create("a").await;
    room.extend(&mut hold, 3).await;
    let after = async |seq| room.store().events(hold.lease.run, Seq(seq)).await.map(|events| events.len());
    assert_eq!(after(0).await, Ok(4));
    assert_eq!(after(3).await, Ok(1));
    assert_eq!(after(4).await, Ok(0));
    assert_eq!(after(5).await, Ok(0));
    let newest = room.store().events(hold.lease.run, Seq(3)).await.unwrap();
    assert_eq!(newest, [event(&hold.lease, Seq(4), newest[0].at)]);
}

pub(super) async fn events_of_an_unknown_run_are_an_empty_list(room: Room) {
    room.create("a").await;
    let run = room.new_run().run;
    assert_eq!(room.store().events(run, Seq(0)).await, Err(StoreError::NoRun(run)));
}

pub(super) async fn the_beginning_of_a_log_is_cut_elsewhere(room: Room) {
    let (mut hold, mut other) = (room.create("a").await, room.create("b").await);
    room.extend(&mut other, 2).await;
    room.extend(&mut hold, 4).await;
    let all = room.store().events(hold.lease.run, Seq(0)).await.unwrap();
    for limit in [0, 1, 2, 5, 9, u32::MAX] {
        let wanted: Vec<Event> = all.iter().take(limit as usize).cloned().collect();
        assert_eq!(room.store().beginning(hold.lease.run, limit).await, Ok(wanted));
    }
    let stranger = room.new_run();
    assert_eq!(room.store().beginning(stranger.run, 2).await, Err(StoreError::NoRun(stranger.run)));
    let enqueues = room.draft(&hold.lease, hold.head, 1).write(Write::Enqueue(stranger.clone()));
    room.commit(&enqueues).await.unwrap();
    assert_eq!(room.store().beginning(stranger.run, 2).await, Ok(vec![]));
}

pub(super) async fn payloads_come_in_another_order(room: Room) {
    let hold = room.create("a").await;
    let payloads: Vec<Payload> = (0..20).map(|n| room.payload(&format!("text {n}"))).collect();
    let draft = payloads.iter().fold(room.draft(&hold.lease, hold.head, 1), |draft, payload| draft.payload(payload));
    room.commit(&draft).await.unwrap();
    let order = [7, 0, 19, 7, 3];
    let asked: Vec<Commitment> = order.iter().map(|n| payloads[*n].commitment).collect();
    let wanted: Vec<_> = order.iter().map(|n| Some(payloads[*n].clone())).collect();
    assert_eq!(room.store().payloads(&asked).await, Ok(wanted));
}

pub(super) async fn a_missing_payload_shifts_the_others(room: Room) {
    let hold = room.create("a").await;
    let (kept, missing) = (room.payload("kept"), room.payload("never stored"));
    room.commit(&room.draft(&hold.lease, hold.head, 1).payload(&kept)).await.unwrap();
    let asked = [missing.commitment, kept.commitment, missing.commitment];
    assert_eq!(room.store().payloads(&asked).await, Ok(vec![None, Some(kept), None]));
    assert_eq!(room.store().payloads(&[]).await, Ok(vec![]));
}

pub(super) async fn a_payload_changes_on_its_way(room: Room) {
    let hold = room.create("a").await;
    let bytes = b"{ \"b\" : 9007199254740993 , \"a\":\"\\u0000\xf0\x9f\x90\x9f\" }\n".to_vec();
    let salt = room.random();
    let payload = Payload::stored(Commitment::of(&salt, &bytes), salt, Codec::Json, bytes).unwrap();
    room.commit(&room.draft(&hold.lease, hold.head, 1).payload(&payload)).await.unwrap();
    assert_eq!(room.read(payload.commitment).await, Some(payload));
}

pub(super) async fn a_large_payload_is_cut(room: Room) {
    let hold = room.create("a").await;
    let payload = room.payload(&"0123456789abcdef".repeat(500_000));
    room.commit(&room.draft(&hold.lease, hold.head, 1).payload(&payload)).await.unwrap();
    assert!(room.read(payload.commitment).await == Some(payload), "8 MB changed on their way");
}

pub(super) async fn an_empty_payload_counts_as_missing(room: Room) {
    let hold = room.create("a").await;
    let salt = room.random();
    let payload = Payload::stored(Commitment::of(&salt, b""), salt, Codec::Json, vec![]).unwrap();
    room.commit(&room.draft(&hold.lease, hold.head, 1).payload(&payload)).await.unwrap();
    assert_eq!(room.read(payload.commitment).await, Some(payload));
}

pub(super) async fn a_payload_committed_twice_breaks_the_second_commit(room: Room) {
    let mut hold = room.create("a").await;
    let payload = room.payload("again");
    for _ in 0..2 {
        let draft = room.draft(&hold.lease, hold.head, 1).payload(&payload).payload(&payload);
        room.commit(&draft).await.unwrap();
        hold.head = hold.head.next();
    }
    assert_eq!(room.read(payload.commitment).await, Some(payload));
}

pub(super) async fn many_payloads_are_too_many_to_ask_for(room: Room) {
    let hold = room.create("a").await;
    let kept = room.payload("kept");
    room.commit(&room.draft(&hold.lease, hold.head, 1).payload(&kept)).await.unwrap();
    let mut asked: Vec<Commitment> = (0..40_000_u32).map(|n| Commitment::of(&[0; 16], &n.to_le_bytes())).collect();
    asked.push(kept.commitment);
    let found = room.store().payloads(&asked).await.unwrap();
    assert_eq!(found.len(), 40_001);
    assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), [kept]);
}

pub(super) async fn many_payloads_are_too_many_for_one_commit(room: Room) {
    let hold = room.create("a").await;
    let payloads: Vec<Payload> = (0..1_100).map(|n| room.payload(&format!("text {n}"))).collect();
    let mut draft = room.draft(&hold.lease, hold.head, 1);
    draft.payloads = payloads.clone();
    room.commit(&draft).await.unwrap();
    let asked: Vec<Commitment> = payloads.iter().map(|payload| payload.commitment).collect();
    assert_eq!(room.store().payloads(&asked).await, Ok(payloads.into_iter().map(Some).collect()));
}
