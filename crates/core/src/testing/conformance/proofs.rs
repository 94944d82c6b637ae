//! The tree over all events, and the heads of it that were signed.

use super::room::Room;
use crate::audit::{Audit, SignedHead, TreeHead, hashes};
use crate::id::{Digest, Seq};
use crate::log::proof;
use crate::log::tree::{Frontier, Node, leaf_hash};
use crate::store::StoreError;

/// The tree over the first `size` events, and every complete node of it, as the standard defines them.
async fn defined(audit: &dyn Audit, size: u64) -> (TreeHead, Vec<(Node, Digest)>) {
    let leaves = audit.leaves(0, u32::MAX).await.unwrap();
    let (mut tree, mut nodes) = (Frontier::default(), Vec::new());
    for (index, leaf) in (0..size).zip(&leaves) {
        let hash = leaf_hash(&leaf.bytes);
        nodes.push((Node { level: 0, index }, hash));
        let complete = (1..).zip(tree.append(hash));
        nodes.extend(complete.map(|(level, hash)| (Node { level, index: index >> level }, hash)));
    }
    (TreeHead { size: tree.size(), root: tree.root() }, nodes)
}

/// Three runs whose events lie between each other.
async fn mixed(room: &Room) -> Vec<super::room::Hold> {
    let mut holds = Vec::new();
    for _ in 0..3 {
        holds.push(room.create("a").await);
    }
    for events in [1, 2, 4] {
        for hold in &mut holds {
            room.extend(hold, events).await;
        }
    }
    holds
}

pub(super) async fn the_tree_is_not_that_of_the_events(room: Room) {
    let store = room.store();
    let empty = TreeHead { size: 0, root: Digest::of(&[]) };
    assert_eq!(store.audit().tree().await, Ok(empty));
    let mut hold = room.create("a").await;
    for events in [1, 1, 5, 1, 64, 3] {
        room.extend(&mut hold, events).await;
        let size = hold.head.0;
        let (head, nodes) = defined(store.audit(), size).await;
        assert_eq!(head.size, size);
        assert_eq!(store.audit().tree().await, Ok(head));
        let places: Vec<Node> = nodes.iter().map(|(node, _)| *node).collect();
        let found = store.audit().nodes(&places).await.unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>().len(), nodes.len());
        for (node, hash) in nodes {
            assert_eq!(store.audit().nodes(&[node]).await.unwrap()[&node], hash, "{node:?} of {size}");
        }
    }
}

pub(super) async fn a_node_that_is_not_complete_has_a_hash(room: Room) {
    let mut hold = room.create("a").await;
    room.extend(&mut hold, 4).await;
    for (level, index) in [(0, 5), (1, 2), (3, 0), (0, 1 << 40), (60, 1)] {
        let found = room.store().audit().nodes(&[Node { level: 0, index: 0 }, Node { level, index }]).await;
        assert!(matches!(found, Err(StoreError::Malformed(_))), "node {index} of level {level}: {found:?}");
    }
    assert_eq!(room.store().audit().nodes(&[]).await, Ok(Default::default()));
}

pub(super) async fn a_proof_cannot_be_made_of_the_nodes(room: Room) {
    let holds = mixed(&room).await;
    let store = room.store();
    let size: u64 = holds.iter().map(|hold| hold.head.0).sum();
    let (head, nodes) = defined(store.audit(), size).await;
    let known = nodes.into_iter().collect();
    assert_eq!(store.audit().tree().await, Ok(head));
    for index in 0..size {
        let spans = proof::inclusion(index, size).unwrap();
        let expected: Vec<Digest> = spans.iter().map(|span| span.hash(&known).unwrap()).collect();
        assert_eq!(hashes(store.audit(), &spans).await, Ok(expected), "event {index}");
    }
}

pub(super) async fn leaves_are_not_the_events_in_the_order_of_their_commits(room: Room) {
    let holds = mixed(&room).await;
    let store = room.store();
    let all = store.audit().leaves(0, u32::MAX).await.unwrap();
    let listed: Vec<_> = all.iter().map(|leaf| (leaf.index + 1, leaf.run, leaf.seq.0)).collect();
    assert_eq!(listed, room.leaves().await);
    assert_eq!(store.audit().leaves(4, 3).await.unwrap(), all[4..7]);
    assert_eq!(store.audit().leaves(all.len() as u64, 9).await, Ok(Vec::new()));
    for hold in holds {
        let run = hold.lease.run;
        let own: Vec<_> = all.iter().filter(|leaf| leaf.run == run).cloned().collect();
        assert_eq!(store.audit().leaves_of(run, Seq(0), u32::MAX).await.unwrap(), own);
        assert_eq!(store.audit().leaves_of(run, Seq(2), 3).await.unwrap(), own[2..5]);
        let events = store.events(run, Seq(0)).await.unwrap();
        for (leaf, event) in own.iter().zip(&events) {
            assert_eq!(leaf.bytes, event.to_bytes().unwrap());
        }
    }
    let unknown = room.new_run().run;
    assert_eq!(store.audit().leaves_of(unknown, Seq(0), 9).await, Err(StoreError::NoRun(unknown)));
}

fn signed(head: TreeHead, note: &str) -> SignedHead {
    SignedHead { head, note: note.into() }
}

pub(super) async fn a_signed_head_is_lost(room: Room) {
    let store = room.store();
    assert_eq!(store.audit().newest_head().await, Ok(None));
    let mut hold = room.create("a").await;
    let mut heads = Vec::new();
    for note in ["one\n", "two \u{2014} lines\n", "three\n"] {
        room.extend(&mut hold, 3).await;
        heads.push(signed(store.audit().tree().await.unwrap(), note));
    }
    // Heads may be kept in any order: another process may be quicker.
    for place in [1, 0, 2] {
        assert_eq!(store.audit().keep_head(&heads[place]).await, Ok(()));
    }
    // One that more keys have signed takes the place of the first.
    heads[1].note = "two \u{2014} lines\nand one more\n".into();
    assert_eq!(store.audit().keep_head(&heads[1]).await, Ok(()));
    assert_eq!(store.audit().heads(0, 9).await.unwrap(), heads);
    assert_eq!(store.audit().heads(heads[0].head.size, 1).await.unwrap(), heads[1..2]);
    assert_eq!(store.audit().newest_head().await.unwrap().as_ref(), heads.last());
}

pub(super) async fn a_head_that_the_log_never_had_is_kept(room: Room) {
    let mut hold = room.create("a").await;
    room.extend(&mut hold, 3).await;
    let store = room.store();
    let head = store.audit().tree().await.unwrap();
    for wrong in [
        TreeHead { root: Digest::of(&[b"another"]), ..head },
        TreeHead { size: head.size - 1, ..head },
        TreeHead { size: head.size + 1, ..head },
        TreeHead { size: 0, ..head },
        TreeHead { size: 0, root: Digest::of(&[]) },
        TreeHead { size: u64::MAX, ..head },
        TreeHead { size: head.size + 1, root: Digest::of(&[]) },
    ] {
        let kept = store.audit().keep_head(&signed(wrong, "note\n")).await;
        assert!(matches!(kept, Err(StoreError::Malformed(_))), "{wrong:?}: {kept:?}");
    }
    assert_eq!(store.audit().heads(0, 9).await, Ok(Vec::new()));
}

pub(super) async fn a_reopened_store_is_another_log(mut room: Room) {
    let mut hold = room.create("a").await;
    room.extend(&mut hold, 3).await;
    let (id, head) = (room.store().audit().log_id().await.unwrap(), room.store().audit().tree().await.unwrap());
    assert!(!id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
    room.store().audit().keep_head(&signed(head, "note\n")).await.unwrap();
    if room.reopen().await {
        assert_eq!(room.store().audit().log_id().await, Ok(id));
        assert_eq!(room.store().audit().tree().await, Ok(head));
        assert_eq!(room.store().audit().heads(0, 9).await, Ok(vec![signed(head, "note\n")]));
    }
}
