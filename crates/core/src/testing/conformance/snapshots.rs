//! Snapshots: a cache that may lose what it has, and never tells what it was not told.

use super::room::{Hold, Room};
use crate::id::{RunId, Seq};
use crate::store::{RunFilter, Snapshot};

fn snapshot(seq: u64, bytes: impl Into<Vec<u8>>) -> Snapshot {
    Snapshot { seq: Seq(seq), engine: "1 'β'".into(), bytes: bytes.into() }
}

/// What the store has of the run must be `wanted`, or lost.
async fn assert_kept(room: &Room, run: RunId, wanted: &Snapshot) {
    let found = room.store().snapshot(run).await.unwrap();
    assert!(found.as_ref().is_none_or(|found| found == wanted), "another snapshot: {found:?}");
}

async fn create(room: &Room, events: u64) -> Hold {
    let mut hold = room.create("a").await;
    room.extend(&mut hold, events - 1).await;
    hold
}

pub(super) async fn a_snapshot_that_nobody_kept_is_given(room: Room) {
    let run = create(&room, 3).await.lease.run;
    assert_eq!(room.store().snapshot(run).await, Ok(None));
}

pub(super) async fn a_snapshot_of_another_run_is_given(room: Room) {
    let (a, b, c) = (create(&room, 3).await, create(&room, 3).await, create(&room, 3).await);
    room.store().keep_snapshot(a.lease.run, snapshot(2, "of a")).await.unwrap();
    room.store().keep_snapshot(b.lease.run, snapshot(3, "of b")).await.unwrap();
    assert_kept(&room, a.lease.run, &snapshot(2, "of a")).await;
    assert_kept(&room, b.lease.run, &snapshot(3, "of b")).await;
    assert_eq!(room.store().snapshot(c.lease.run).await, Ok(None));
}

pub(super) async fn an_older_snapshot_is_given(room: Room) {
    let run = create(&room, 9).await.lease.run;
    for seq in 2..9 {
        room.store().keep_snapshot(run, snapshot(seq, seq.to_string())).await.unwrap();
        assert_kept(&room, run, &snapshot(seq, seq.to_string())).await;
    }
    room.store().keep_snapshot(run, snapshot(8, "again")).await.unwrap();
    assert_kept(&room, run, &snapshot(8, "again")).await;
}

pub(super) async fn a_snapshot_changes_on_its_way(room: Room) {
    let run = create(&room, 2).await.lease.run;
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for bytes in [Vec::new(), (0..=255).collect(), large] {
        room.store().keep_snapshot(run, snapshot(2, bytes.clone())).await.unwrap();
        let found = room.store().snapshot(run).await.unwrap();
        assert!(found.is_none_or(|found| found == snapshot(2, bytes)), "the bytes are others");
    }
}

pub(super) async fn a_snapshot_moves_its_run(room: Room) {
    let mut hold = create(&room, 2).await;
    let (before, leaves) = (room.summary(hold.lease.run).await, room.leaves().await);
    room.store().keep_snapshot(hold.lease.run, snapshot(2, "state")).await.unwrap();
    assert_eq!(room.summary(hold.lease.run).await, before);
    assert_eq!(room.leaves().await, leaves);
    assert_eq!(room.listed(RunFilter::default()).await, [hold.lease.run]);
    room.extend(&mut hold, 1).await;
    assert_kept(&room, hold.lease.run, &snapshot(2, "state")).await;
}

pub(super) async fn another_snapshot_is_there_after_reopening(mut room: Room) {
    let run = create(&room, 5).await.lease.run;
    room.store().keep_snapshot(run, snapshot(2, "older")).await.unwrap();
    room.store().keep_snapshot(run, snapshot(4, "newer")).await.unwrap();
    if room.reopen().await {
        assert_kept(&room, run, &snapshot(4, "newer")).await;
        assert_eq!(room.seqs(run).await, [1, 2, 3, 4, 5]);
    }
}
