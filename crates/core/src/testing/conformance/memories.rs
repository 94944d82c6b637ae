//! What agents remember: recalled by who may, as it was known, and gone when it is forgotten.

use std::time::Duration;

use super::room::{Draft, Hold, LEASE, Room};
use crate::id::{MemoryId, RunId, Seq, Time};
use crate::label::Labels;
use crate::log::{Commitment, EventKind, Payload};
use crate::memory::{
    Content, MemoryFilter, MemoryKind, MemoryVector, NewMemory, Recall, Remembered, Span, Superseded, Weights,
};
use crate::store::StoreError;

const DAY: Duration = Duration::from_secs(86_400);

fn content(namespace: &str, text: &str) -> Content {
    Content::new(namespace, text)
}

impl Room {
    pub(super) fn memory(&self, namespace: &str, text: &str) -> NewMemory {
        NewMemory::new(MemoryId::new(self.random()), content(namespace, text), self.now())
    }

    /// A commit that writes these memories, each with one event.
    pub(super) fn writing(&self, hold: &Hold, memories: &[NewMemory]) -> (Draft, Vec<Commitment>) {
        let mut draft = self.draft(&hold.lease, hold.head, memories.len() as u64);
        let mut commitments = Vec::new();
        for (place, memory) in memories.iter().enumerate() {
            let payload = Payload::json(&memory.content, self.random()).unwrap();
            commitments.push(payload.commitment);
            draft.events[place].kind = EventKind::MemoryWritten {
                key: None,
                id: memory.id,
                content: payload.commitment,
                kind: memory.kind,
                from: memory.from,
                until: memory.until,
                expires: memory.expires,
                pinned: memory.pinned,
                labels: memory.labels,
                supersedes: memory.supersedes.clone(),
                contradicts: memory.contradicts.clone(),
            };
            draft.payloads.push(payload);
        }
        (draft, commitments)
    }

    pub(super) async fn write(&self, hold: &mut Hold, memories: &[NewMemory]) -> Vec<Commitment> {
        let (draft, commitments) = self.writing(hold, memories);
        self.commit(&draft).await.unwrap();
        hold.head = Seq(hold.head.0 + memories.len() as u64);
        commitments
    }

    pub(super) async fn forget(&self, hold: &mut Hold, id: MemoryId, content: Commitment) {
        let mut draft = self.draft(&hold.lease, hold.head, 1);
        draft.events[0].kind = EventKind::MemoryForgotten { key: None, id, content, note: None };
        self.commit(&draft).await.unwrap();
        hold.head = hold.head.next();
    }

    /// The texts that are recalled, best first.
    pub(super) async fn recalled(&self, recall: &Recall) -> Vec<String> {
        let found = self.store().memory().recall(recall).await.unwrap();
        found.into_iter().map(|found| found.memory.content.unwrap().text).collect()
    }

    pub(super) async fn asked(&self, namespaces: &[&str], text: &str) -> Vec<String> {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        self.recalled(&Recall::new(namespaces, text, self.now())).await
    }

    pub(super) async fn list(&self, filter: &MemoryFilter) -> Vec<Remembered> {
        self.store().memory().list(filter).await.unwrap()
    }
}

pub(super) async fn a_memory_is_not_what_was_remembered(mut room: Room) {
    let mut hold = room.create("a").await;
    let mut memory = room.memory("customers/anna", "Anna drinks green tea");
    memory.content.subject = Some("drink".into());
    memory.kind = MemoryKind::Episodic;
    (memory.until, memory.expires) = (Some(room.now().after(DAY * 9)), Some(room.now().after(DAY * 5)));
    memory.labels = Labels::UNTRUSTED;
    let at = room.now();
    let commitments = room.write(&mut hold, std::slice::from_ref(&memory)).await;
    let expected = Remembered::new(1, memory.clone(), commitments[0], at, hold.lease.run, Seq(2));
    let by_id = MemoryFilter { id: Some(memory.id), ..MemoryFilter::default() };
    assert_eq!(room.list(&by_id).await, std::slice::from_ref(&expected));
    let found = room.store().memory().recall(&Recall::new(vec!["customers/anna".into()], "tea", at)).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].memory, found[0].by_text, found[0].by_vector), (&expected, Some(1), None));
    assert!((found[0].score - 1.0 / 61.0).abs() < 1e-12, "{}", found[0].score);
    if room.reopen().await {
        assert_eq!(room.list(&by_id).await, [expected]);
        assert_eq!(room.asked(&["customers/anna"], "tea").await, ["Anna drinks green tea"]);
    }
}

pub(super) async fn a_memory_of_a_refused_commit_is_remembered(room: Room) {
    let mut hold = room.create("a").await;
    let memory = room.memory("n", "tea");
    let stale = Hold { head: Seq(7), ..hold.clone() };
    let (draft, _) = room.writing(&stale, std::slice::from_ref(&memory));
    assert!(matches!(room.commit(&draft).await, Err(StoreError::Conflict { .. })));
    assert_eq!(room.asked(&["n"], "tea").await, Vec::<String>::new());
    // Without what it says it cannot be kept.
    let (mut draft, _) = room.writing(&hold, std::slice::from_ref(&memory));
    draft.payloads.clear();
    assert!(matches!(room.commit(&draft).await, Err(StoreError::Malformed(_))));
    room.write(&mut hold, std::slice::from_ref(&memory)).await;
    // Nor twice.
    let (draft, _) = room.writing(&hold, std::slice::from_ref(&memory));
    assert!(matches!(room.commit(&draft).await, Err(StoreError::Malformed(_))));
    assert_eq!(room.seqs(hold.lease.run).await, [1, 2]);
    assert_eq!(room.asked(&["n"], "tea").await, ["tea"]);
}

pub(super) async fn a_memory_leaks_into_another_namespace(room: Room) {
    let mut hold = room.create("a").await;
    let names = ["n", "n/a", "n/ab", "N", "n ", "n%", "m", "ünicode", "\u{1F600}"];
    let memories: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(i, name)| NewMemory { pinned: i % 2 == 1, ..room.memory(name, &format!("secret {i} word")) })
        .collect();
    room.write(&mut hold, &memories).await;
    for (i, name) in names.iter().enumerate() {
        let own = format!("secret {i} word");
        assert_eq!(room.asked(&[name], "secret word").await, [own.as_str()], "in {name:?}");
        assert_eq!(room.list(&MemoryFilter::of(*name)).await.len(), 1, "in {name:?}");
    }
    let none: [String; 0] = [];
    for text in ["secret", "", "\"secret\" OR scope:n*", "word -x", "NEAR(secret)", "*", "secret\u{0}word"] {
        assert_eq!(room.asked(&[], text).await, none);
        assert_eq!(room.asked(&["other", "n/%", "n*", "' OR 1 --"], text).await, none, "{text}");
    }
    let mut both = room.asked(&["n", "m"], "secret").await;
    both.sort();
    assert_eq!(both, ["secret 0 word", "secret 6 word"]);
    let counted = room.store().memory().namespaces().await.unwrap();
    let mut sorted: Vec<(String, u64)> = names.iter().map(|name| ((*name).to_owned(), 1)).collect();
    sorted.sort();
    assert_eq!(counted, sorted);
}

pub(super) async fn what_held_is_not_told_from_what_was_known(room: Room) {
    let mut hold = room.create("a").await;
    let start = room.now();
    let old = NewMemory { from: start, ..room.memory("n", "address Elm Street") };
    room.write(&mut hold, std::slice::from_ref(&old)).await;
    room.advance(Duration::from_secs(10)).await;
    // It has held for five seconds when it becomes known.
    let moved = start.after(Duration::from_secs(5));
    let new = NewMemory {
        from: moved,
        supersedes: vec![old.id, MemoryId::new([9; 16])],
        ..room.memory("n", "address Oak Street")
    };
    room.write(&mut hold, std::slice::from_ref(&new)).await;
    let learnt = room.now();
    room.advance(Duration::from_secs(10)).await;
    let ask = |at: Time, known: Time| {
        let mut recall = Recall::new(vec!["n".into()], "address", room.now());
        (recall.at, recall.known) = (at, known);
        recall
    };
    let second = Duration::from_secs(1);
    let (elm, oak): (&[&str], &[&str]) = (&["address Elm Street"], &["address Oak Street"]);
    for (at, known, expected) in [
        (room.now(), room.now(), oak),
        (moved, room.now(), oak),
        (start, room.now(), elm),
        (start.after(second * 4), learnt, elm),
        (start.after(second * 9), start.after(second * 9), elm),
        (start, start, elm),
    ] {
        assert_eq!(room.recalled(&ask(at, known)).await, expected, "at {at}, known at {known}");
    }
    let filter = MemoryFilter { all: true, ..MemoryFilter::of("n") };
    let both = room.list(&filter).await;
    assert_eq!(both[0].superseded, [Superseded::new(new.id, learnt, Span::new(moved, None))]);
    let held = |from: Time| MemoryFilter { holds_from: Some(from), ..MemoryFilter::of("n") };
    assert_eq!(room.list(&held(moved)).await, both[1..]);
    assert_eq!(room.list(&held(start.after(second * 4))).await, both);
    // What is taken once need not be taken again.
    let third = NewMemory { supersedes: vec![old.id], ..room.memory("n", "address Ash Street") };
    room.write(&mut hold, std::slice::from_ref(&third)).await;
    assert_eq!(room.list(&filter).await[0], both[0]);
}

pub(super) async fn what_has_expired_is_recalled(room: Room) {
    let mut hold = room.create("a").await;
    let soon = room.now().after(Duration::from_secs(5));
    let memories = [
        NewMemory { expires: Some(soon), ..room.memory("n", "code one") },
        NewMemory { until: Some(soon), ..room.memory("n", "code two") },
        NewMemory { expires: Some(soon), pinned: true, ..room.memory("n", "code three") },
        room.memory("n", "code four"),
    ];
    room.write(&mut hold, &memories).await;
    assert_eq!(room.asked(&["n"], "code").await.len(), 4);
    room.advance(Duration::from_secs(5)).await;
    assert_eq!(room.asked(&["n"], "code").await, ["code four"]);
    assert_eq!(room.list(&MemoryFilter::of("n")).await.len(), 4, "nothing is gone by itself");
}

pub(super) async fn a_contradiction_is_lost(room: Room) {
    let mut hold = room.create("a").await;
    let one = room.memory("n", "the shop opens at nine");
    let two = NewMemory { contradicts: vec![one.id], ..room.memory("n", "the shop opens at ten") };
    room.write(&mut hold, &[one.clone(), two.clone()]).await;
    assert_eq!(room.asked(&["n"], "shop").await.len(), 2);
    let listed = room.list(&MemoryFilter::of("n")).await;
    assert_eq!((&listed[0].contradicts, &listed[1].contradicts), (&vec![two.id], &vec![one.id]));
}

pub(super) async fn a_forgotten_memory_is_there(mut room: Room) {
    let mut hold = room.create("a").await;
    let memory = NewMemory { pinned: true, ..room.memory("n", "the password is swordfish") };
    let next = room.memory("n", "another thing");
    let commitments = room.write(&mut hold, &[memory.clone(), next]).await;
    let vector = MemoryVector::new("m", vec![1.0, 0.0]);
    room.store().memory().keep_vectors(&[(memory.id, vector.clone())]).await.unwrap();
    room.advance(Duration::from_secs(1)).await;
    room.forget(&mut hold, memory.id, commitments[0]).await;
    let gone = room.now();
    for round in 0..2 {
        let mut recall = Recall::new(vec!["n".into()], "password swordfish", room.now());
        recall.vector = Some(vector.clone());
        assert_eq!(room.recalled(&recall).await, Vec::<String>::new());
        recall.known = gone;
        assert_eq!(room.recalled(&recall).await, Vec::<String>::new(), "not even as it was known before");
        assert_eq!(room.read(commitments[0]).await, None);
        assert!(room.read(commitments[1]).await.is_some());
        assert_eq!(room.list(&MemoryFilter::of("n")).await.len(), 1);
        let tombstone = room.list(&MemoryFilter { id: Some(memory.id), all: true, ..MemoryFilter::default() }).await;
        assert_eq!(tombstone.len(), 1);
        assert_eq!((&tombstone[0].content, tombstone[0].forgotten), (&None, Some(gone)));
        assert_eq!(room.store().memory().without_vector("m", "n", 0, 9).await.unwrap().len(), 1);
        // What is gone stays gone, and forgetting it again changes nothing.
        room.store().memory().keep_vectors(&[(memory.id, vector.clone())]).await.unwrap();
        if round == 0 {
            room.forget(&mut hold, memory.id, commitments[0]).await;
            room.reopen().await;
        }
    }
    assert_eq!(room.store().purge().await, Ok(true));
    // A memory takes nothing else along, whatever is said of it.
    let other = room.store().memory().list(&MemoryFilter::of("n")).await.unwrap().remove(0);
    let own = room.memory("n", "a third thing");
    let kept = room.write(&mut hold, std::slice::from_ref(&own)).await;
    room.forget(&mut hold, own.id, other.commitment).await;
    assert!(room.read(other.commitment).await.is_some() && room.read(kept[0]).await.is_none());
}

pub(super) async fn vectors_of_two_models_are_mixed(room: Room) {
    let mut hold = room.create("a").await;
    let memories = [room.memory("n", "red"), room.memory("n", "green"), room.memory("m", "blue")];
    room.write(&mut hold, &memories).await;
    let store = room.store();
    let v = |model: &str, numbers: &[f32]| MemoryVector::new(model, numbers.to_vec());
    let known = [
        (memories[0].id, v("x", &[1.0, 0.0])),
        (memories[1].id, v("x", &[0.0, 1.0])),
        (memories[2].id, v("x", &[1.0, 0.0])),
    ];
    store.memory().keep_vectors(&known).await.unwrap();
    store.memory().keep_vectors(&[(memories[0].id, v("y", &[0.0, 0.0, 1.0]))]).await.unwrap();
    for wrong in [v("x", &[1.0]), v("x", &[]), v("y", &[1.0, 0.0])] {
        let kept = store.memory().keep_vectors(&[(memories[1].id, wrong)]).await;
        assert!(matches!(kept, Err(StoreError::Malformed(_))), "{kept:?}");
    }
    let mut recall = Recall::new(vec!["n".into()], "", room.now());
    recall.vector = Some(v("x", &[0.6, 0.8]));
    assert_eq!(room.recalled(&recall).await, ["green", "red"]);
    recall.vector = Some(v("y", &[0.0, 0.0, 1.0]));
    assert_eq!(room.recalled(&recall).await, ["red"]);
    recall.vector = Some(v("z", &[1.0, 0.0]));
    assert_eq!(room.recalled(&recall).await, Vec::<String>::new());
    let lacking = async |namespace: &str, after: u64| {
        let found = store.memory().without_vector("y", namespace, after, 9).await.unwrap();
        found.iter().map(|memory| memory.id).collect::<Vec<_>>()
    };
    assert_eq!((lacking("n", 0).await, lacking("m", 0).await), (vec![memories[1].id], vec![memories[2].id]));
    let after = store.memory().list(&MemoryFilter::of("n")).await.unwrap()[1].number;
    assert_eq!(lacking("n", after).await, []);
    // Both ways count, by their weights.
    recall.text = "red".into();
    recall.vector = Some(v("x", &[0.0, 1.0]));
    assert_eq!(room.recalled(&recall).await, ["red", "green"]);
    recall.weights = Weights::new(0.01, 1.0);
    assert_eq!(room.recalled(&recall).await, ["green", "red"]);
}

pub(super) async fn what_is_pinned_does_not_come_first(room: Room) {
    let mut hold = room.create("a").await;
    let mut memories: Vec<_> = (0..5).map(|i| room.memory("n", &format!("tea {i}"))).collect();
    memories[1].pinned = true;
    memories[1].content.text = "always polite".into();
    room.write(&mut hold, &memories).await;
    let mut recall = Recall::new(vec!["n".into()], "tea", room.now());
    recall.limit = 3;
    let found = room.recalled(&recall).await;
    assert_eq!((found.len(), found[0].as_str()), (3, "always polite"));
    recall.kinds = vec![MemoryKind::Procedural];
    assert_eq!(room.recalled(&recall).await, Vec::<String>::new());
    recall.limit = 0;
    assert_eq!(room.recalled(&recall).await, Vec::<String>::new());
    let contents = [content("n", "TEA  3!"), content("m", "tea 3")];
    let same = |content: &Content| MemoryFilter { digest: Some(content.digest()), ..MemoryFilter::default() };
    assert_eq!(room.list(&same(&contents[0])).await.len(), 1);
    assert_eq!(room.list(&same(&contents[1])).await, []);
    let paged = MemoryFilter { after: 2, limit: 2, ..MemoryFilter::of("n") };
    assert_eq!(room.list(&paged).await.iter().map(|memory| memory.number).collect::<Vec<_>>(), [3, 4]);
}

pub(super) async fn an_erased_text_is_there(mut room: Room) {
    let mut hold = room.create("a").await;
    let large = "x".repeat(20_000);
    let payloads = [room.payload("one"), room.payload(&large), room.payload("three"), room.payload(&large)];
    let mut draft = room.draft(&hold.lease, hold.head, 1);
    draft.payloads = payloads.to_vec();
    room.commit(&draft).await.unwrap();
    hold.head = hold.head.next();
    let mut draft = room.draft(&hold.lease, hold.head, 1);
    let note = room.payload("asked for");
    let erased = vec![payloads[0].commitment, payloads[1].commitment, Commitment::from_bytes([7; 32])];
    draft.events[0].kind = EventKind::PayloadErased { payloads: erased, note: note.commitment };
    draft.payloads = vec![note];
    room.commit(&draft).await.unwrap();
    for _ in 0..2 {
        let found: Vec<bool> = room
            .store()
            .payloads(&payloads.each_ref().map(|payload| payload.commitment))
            .await
            .unwrap()
            .iter()
            .map(Option::is_some)
            .collect();
        assert_eq!(found, [false, false, true, true]);
        room.reopen().await;
    }
}

pub(super) async fn the_log_outside_of_runs_is_listed_as_a_run(room: Room) {
    let mut new = room.new_run();
    (new.run, new.at) = (RunId::SYSTEM, Time::default());
    let mut draft = room.creation(&new, "a");
    draft.status = crate::log::RunStatus::Completed;
    room.commit(&draft).await.unwrap();
    room.create("a").await;
    assert_eq!(room.listed(crate::store::RunFilter::default()).await.len(), 1);
    assert_eq!(room.summary(RunId::SYSTEM).await.head, Seq(1));
    room.advance(LEASE * 2).await;
    assert_ne!(room.claim_any("b").await.map(|lease| lease.run), Some(RunId::SYSTEM));
    // Whoever asks last may write.
    let mut claim = crate::store::Claim::new(crate::id::WorkerId::new("b"), Some(RunId::SYSTEM), LEASE);
    claim.ended = true;
    let first = room.store().claim(&claim).await.unwrap().unwrap();
    claim.worker = crate::id::WorkerId::new("c");
    let second = room.store().claim(&claim).await.unwrap().unwrap();
    let late = room.draft(&first, Seq(1), 1).status(crate::log::RunStatus::Completed);
    assert!(matches!(room.commit(&late).await, Err(StoreError::Fenced { .. })));
    room.commit(&room.draft(&second, Seq(1), 1).status(crate::log::RunStatus::Completed)).await.unwrap();
}
