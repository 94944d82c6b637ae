//! More of everything than one statement takes.

use std::collections::BTreeSet;

use super::room::{LEASE, Room, cancel};
use crate::id::{Seq, WorkerId};
use crate::store::{Claim, RunFilter, Write};

pub(super) async fn many_runs_are_too_many_for_one_commit(room: Room) {
    let parent = room.create("a").await;
    let children: Vec<_> = (0..1_100).map(|_| room.new_run()).collect();
    let mut draft = room.draft(&parent.lease, parent.head, 1);
    draft.writes = children.iter().cloned().map(Write::Enqueue).collect();
    room.commit(&draft).await.unwrap();
    let listed: BTreeSet<_> = room.listed(RunFilter::default()).await.into_iter().collect();
    let wanted: BTreeSet<_> = children.iter().map(|new| new.run).chain([parent.lease.run]).collect();
    assert!(listed == wanted, "{} of {} are listed", listed.len(), wanted.len());
    assert_eq!(room.listed(RunFilter { limit: 700, ..RunFilter::default() }).await.len(), 700);
}

pub(super) async fn many_messages_are_too_many_for_one_commit(room: Room) {
    let (mut hold, to) = (room.create("a").await, room.create("b").await);
    let texts: Vec<_> = (0..1_100).map(|n| n.to_string()).collect();
    let draft = texts.iter().fold(room.draft(&hold.lease, hold.head, 1), |draft, text| draft.send(to.lease.run, text));
    room.commit(&draft).await.unwrap();
    hold.head = hold.head.next();
    let inbox = room.store().inbox(to.lease.run).await.unwrap();
    assert!(inbox.iter().map(|received| &received.message).eq(&texts.iter().map(|t| cancel(t)).collect::<Vec<_>>()));
    let mut draft = room.draft(&to.lease, to.head, 1);
    draft.writes = inbox.iter().skip(1).map(|received| Write::Consume(received.id)).collect();
    room.commit(&draft).await.unwrap();
    assert_eq!(room.inbox(to.lease.run).await, [cancel("0")]);
}

pub(super) async fn a_commit_of_everything_is_cut(room: Room) {
    let hold = room.create("a").await;
    let mut draft = room.draft(&hold.lease, hold.head, 3_000);
    let payloads: Vec<_> = (0..3_000).map(|n| room.payload(&format!("text {n}"))).collect();
    draft.payloads = payloads.clone();
    draft.writes = (0..200).map(|_| Write::Enqueue(room.new_run())).collect();
    let events = draft.events.clone();
    room.commit(&draft).await.unwrap();
    assert!(room.store().events(hold.lease.run, Seq(1)).await.unwrap() == events, "3,000 events changed on their way");
    let asked: Vec<_> = payloads.iter().map(|payload| payload.commitment).collect();
    let found = room.store().payloads(&asked).await.unwrap();
    assert!(found.into_iter().eq(payloads.into_iter().map(Some)), "3,000 payloads changed on their way");
    assert_eq!(room.listed(RunFilter::default()).await.len(), 201);
}

pub(super) async fn a_run_among_many_is_never_given_out(room: Room) {
    let parent = room.create("a").await;
    let mut draft = room.draft(&parent.lease, parent.head, 1);
    let children: BTreeSet<_> = (0..60)
        .map(|_| {
            let new = room.new_run();
            draft.writes.push(Write::Enqueue(new.clone()));
            new.run
        })
        .collect();
    room.commit(&draft).await.unwrap();
    let mut given = BTreeSet::new();
    while let Some(lease) = room.store().claim(&Claim::new(WorkerId::new("b"), None, LEASE * 9)).await.unwrap() {
        assert!(given.insert(lease.run), "{} is given out twice", lease.run);
    }
    assert_eq!(given, children);
}
