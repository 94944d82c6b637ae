//! What holds when, where several memories are about one thing.

use super::room::{Hold, Room};
use crate::id::{MemoryId, Time};
use crate::log::{Commitment, EventKind};
use crate::memory::{MemoryFilter, MemoryKind, MemoryVector, NewMemory, Recall, Remembered};
use crate::testing::dice::Dice;

fn day(day: i64) -> Time {
    Time::from_micros(day * 86_400_000_000)
}

/// What is said of one thing: its text, since when and until when it holds.
type Fact = (&'static str, i64, Option<i64>);

/// On which day something becomes known, and what.
type Said = (i64, Fact);

/// A day, one by which something is known, and what holds on that day by that.
type Held = (i64, i64, &'static str);

impl Room {
    /// A memory about `subject` of the namespace `n`.
    fn fact(&self, subject: Option<&str>, (text, from, until): Fact) -> NewMemory {
        let mut memory = self.memory("n", text);
        memory.content.subject = subject.map(str::to_owned);
        (memory.from, memory.until) = (day(from), until.map(day));
        memory
    }

    /// Writes a memory that becomes known on a day.
    async fn learn(&self, hold: &mut Hold, known: i64, memory: &NewMemory) -> Commitment {
        let (mut draft, commitments) = self.writing(hold, std::slice::from_ref(memory));
        draft.events[0].at = day(known);
        self.commit(&draft).await.unwrap();
        hold.head = hold.head.next();
        commitments[0]
    }

    /// What holds on a day, by what was known on another: by what is recalled, and by what each memory says of itself, which must agree.
    async fn held(&self, at: i64, known: i64) -> Vec<String> {
        let mut recall = Recall::new(vec!["n".into()], "place", day(1_000));
        (recall.at, recall.known, recall.limit) = (day(at), day(known), 100);
        let mut recalled = self.recalled(&recall).await;
        recalled.sort();
        let all = self.list(&MemoryFilter::of("n")).await;
        let holds = all.iter().filter(|memory| memory.holds(day(at), day(known)));
        let mut held: Vec<String> = holds.map(text).collect();
        held.sort();
        assert_eq!(recalled, held, "on day {at}, by what was known on day {known}");
        held
    }
}

fn text(memory: &Remembered) -> String {
    memory.content.as_ref().unwrap().text.clone()
}

pub(super) async fn two_things_hold_of_a_subject_at_once(room: Room) {
    let mut hold = room.create("a").await;
    let cases: [(&[Said], &[Held]); 5] = [
        (
            &[(0, ("place Elm", 0, None)), (9, ("place Hotel", 10, Some(17)))],
            &[(9, 50, "Elm"), (10, 50, "Hotel"), (16, 50, "Hotel"), (17, 50, "Elm"), (20, 50, "Elm"), (12, 8, "Elm")],
        ),
        (
            &[(100, ("place Elm", 100, None)), (101, ("place Birch", 20, Some(30)))],
            &[(25, 101, "Birch"), (101, 101, "Elm"), (100, 100, "Elm")],
        ),
        (
            &[(0, ("place Elm", 0, None)), (1, ("place Oak", 30, None)), (2, ("place Ash", 2, None))],
            &[(1, 50, "Elm"), (2, 50, "Ash"), (40, 50, "Ash"), (40, 1, "Oak"), (29, 1, "Elm")],
        ),
        (
            &[(0, ("place A", 0, None)), (20, ("place B", 20, None)), (25, ("place C", 10, None))],
            &[(5, 50, "A"), (15, 50, "C"), (25, 50, "C"), (15, 24, "A"), (22, 24, "B")],
        ),
        (
            &[(0, ("place A", 0, Some(50))), (1, ("place B", 10, Some(20))), (2, ("place C", 15, Some(30)))],
            &[(9, 50, "A"), (12, 50, "B"), (15, 50, "C"), (29, 50, "C"), (30, 50, "A")],
        ),
    ];
    for (i, (said, expected)) in cases.iter().enumerate() {
        let mut gone = Vec::new();
        for (known, fact) in *said {
            let memory = room.fact(Some("place"), *fact);
            gone.push((memory.id, room.learn(&mut hold, *known, &memory).await));
        }
        for (at, known, place) in *expected {
            let held = room.held(*at, *known).await;
            assert_eq!(held, [format!("place {place}")], "case {i}, on day {at}, by what was known on day {known}");
        }
        for (id, content) in gone {
            room.forget(&mut hold, id, content).await;
        }
    }
}

pub(super) async fn what_became_known_last_does_not_hold(mut room: Room) {
    let mut hold = room.create("a").await;
    for seed in 0..25 {
        let mut dice = Dice::new(seed);
        let pick = |dice: &mut Dice, most: u64| i64::try_from(dice.below(most)).unwrap_or_default();
        let (mut said, mut known) = (Vec::<(i64, NewMemory, Commitment, bool)>::new(), 0);
        for n in 0..2 + dice.below(7) {
            known += pick(&mut dice, 4);
            let from = pick(&mut dice, 20);
            let until = (!dice.one_in(3)).then(|| from + 1 + pick(&mut dice, 10));
            let mut memory = room.fact(Some("place"), ("place", from, until));
            memory.content.text = format!("place {seed} {n}");
            // What is named is about the same, and changes nothing.
            let earlier = said.iter().map(|(_, earlier, ..)| earlier.id).filter(|_| dice.one_in(4));
            memory.supersedes = earlier.collect();
            let commitment = room.learn(&mut hold, known, &memory).await;
            said.push((known, memory, commitment, false));
            if dice.one_in(6) {
                let place = pick(&mut dice, said.len() as u64);
                let (_, memory, commitment, gone) = &mut said[usize::try_from(place).unwrap_or_default()];
                room.forget(&mut hold, memory.id, *commitment).await;
                *gone = true;
            }
        }
        let moment = |dice: &mut Dice| (pick(dice, 32), pick(dice, u64::try_from(known + 2).unwrap_or_default()));
        for (at, by) in (0..20).map(|_| moment(&mut dice)).collect::<Vec<_>>() {
            let last = said.iter().rev().find(|(known, memory, _, gone)| {
                !gone && *known <= by && memory.from <= day(at) && memory.until.is_none_or(|until| day(at) < until)
            });
            let expected: Vec<String> = last.iter().map(|(_, memory, ..)| memory.content.text.clone()).collect();
            assert_eq!(room.held(at, by).await, expected, "seed {seed}, on day {at}, by what was known on day {by}");
        }
        let from = day(pick(&mut dice, 32));
        let listed = room.list(&MemoryFilter { holds_from: Some(from), ..MemoryFilter::of("n") }).await;
        let all = room.list(&MemoryFilter::of("n")).await;
        let lasts = |memory: &&Remembered| memory.span(from, day(1_000)).is_some();
        assert_eq!(listed, all.iter().filter(lasts).cloned().collect::<Vec<_>>(), "seed {seed}");
        if seed % 10 == 0 && room.reopen().await {
            assert_eq!(room.list(&MemoryFilter::of("n")).await, all);
        }
        for (_, memory, commitment, _) in &said {
            room.forget(&mut hold, memory.id, *commitment).await;
        }
    }
}

pub(super) async fn a_memory_of_another_thing_is_superseded(room: Room) {
    let mut hold = room.create("a").await;
    let elm = room.fact(Some("place"), ("place Elm", 0, None));
    let mut others = [
        room.fact(None, ("place Oak", 1, None)),
        room.fact(Some("places"), ("place Ash", 1, None)),
        NewMemory { contradicts: vec![elm.id], ..room.fact(Some("place"), ("place Fir", 1, None)) },
        room.fact(Some("place"), ("place Elsewhere", 1, None)),
    ];
    others[3].content.namespace = "m".into();
    room.learn(&mut hold, 1, &elm).await;
    for other in &others {
        room.learn(&mut hold, 1, other).await;
    }
    assert_eq!(room.held(5, 5).await, ["place Ash", "place Elm", "place Fir", "place Oak"]);
    // What it names is, whatever it is about, as long as it holds itself.
    let named = NewMemory { supersedes: vec![others[0].id, elm.id], ..room.fact(None, ("place Yew", 4, Some(6))) };
    let again = NewMemory { supersedes: vec![others[0].id], ..room.fact(None, ("place Bay", 8, None)) };
    let gone = room.learn(&mut hold, 2, &named).await;
    room.learn(&mut hold, 3, &again).await;
    assert_eq!(room.held(5, 5).await, ["place Ash", "place Fir", "place Yew"]);
    assert_eq!(room.held(6, 5).await, ["place Ash", "place Elm", "place Fir", "place Oak"]);
    assert_eq!(room.held(8, 5).await, ["place Ash", "place Bay", "place Elm", "place Fir"]);
    // And no longer than it is there.
    room.forget(&mut hold, named.id, gone).await;
    assert_eq!(room.held(5, 5).await, ["place Ash", "place Elm", "place Fir", "place Oak"]);
}

pub(super) async fn the_same_words_hold_twice(room: Room) {
    let mut hold = room.create("a").await;
    for text in ["place Elm", "PLACE elm.", "place Elm"] {
        room.learn(&mut hold, 1, &room.fact(None, (text, 0, None))).await;
    }
    assert_eq!(room.held(1, 1).await.len(), 1);
    // With another end, the end is the new one.
    room.learn(&mut hold, 2, &room.fact(None, ("place Elm", 2, Some(7)))).await;
    assert_eq!((room.held(6, 2).await.len(), room.held(7, 2).await.len(), room.held(7, 1).await.len()), (1, 0, 1));
    // What is of another kind, or happens at another time, is something else.
    let how = NewMemory { kind: MemoryKind::Procedural, ..room.fact(None, ("place Elm", 2, None)) };
    room.learn(&mut hold, 3, &how).await;
    for from in [3, 3, 4] {
        let call = NewMemory { kind: MemoryKind::Episodic, ..room.fact(None, ("place called", from, None)) };
        room.learn(&mut hold, 3, &call).await;
    }
    assert_eq!(room.held(6, 3).await, ["place Elm", "place Elm", "place called", "place called"]);
}

pub(super) async fn what_became_known_later_is_told(room: Room) {
    let mut hold = room.create("a").await;
    let elm = room.fact(Some("place"), ("place Elm", 0, None));
    room.learn(&mut hold, 1, &elm).await;
    // One that there is, named twice, one that there is not, and itself.
    let mut fir = room.fact(Some("place"), ("place Fir", 1, None));
    fir.contradicts = vec![elm.id, MemoryId::new([9; 16]), elm.id, fir.id];
    room.learn(&mut hold, 5, &fir).await;
    let oak = room.fact(Some("place"), ("place Oak", 8, None));
    room.learn(&mut hold, 6, &oak).await;
    let mut recall = Recall::new(vec!["n".into()], "place", day(9));
    recall.at = day(3);
    for (known, contradicts, superseded) in
        [(1, vec![], vec![]), (5, vec![fir.id], vec![]), (6, vec![fir.id], vec![oak.id])]
    {
        recall.known = day(known);
        let found = room.store().memory().recall(&recall).await.unwrap();
        let found = found.iter().find(|found| found.memory.id == elm.id).unwrap();
        let by: Vec<MemoryId> = found.memory.superseded.iter().map(|superseded| superseded.by).collect();
        assert_eq!((&found.memory.contradicts, by), (&contradicts, superseded), "known on day {known}");
    }
    let listed = room.list(&MemoryFilter { id: Some(fir.id), ..MemoryFilter::default() }).await;
    assert_eq!(listed[0].contradicts, [elm.id]);
}

pub(super) async fn a_memory_whose_text_is_erased_is_recalled(mut room: Room) {
    let mut hold = room.create("a").await;
    let (elm, oak) =
        (room.fact(Some("place"), ("place Elm", 0, None)), room.fact(Some("place"), ("place Oak", 0, None)));
    room.learn(&mut hold, 1, &elm).await;
    let content = room.learn(&mut hold, 2, &oak).await;
    let vector = MemoryVector::new("m", vec![1.0, 0.0]);
    room.store().memory().keep_vectors(&[(oak.id, vector.clone())]).await.unwrap();
    assert_eq!(room.held(5, 5).await, ["place Oak"]);
    let mut draft = room.draft(&hold.lease, hold.head, 1);
    let note = room.payload("asked for");
    draft.events[0].kind = EventKind::PayloadErased { payloads: vec![content], note: note.commitment };
    draft.payloads = vec![note];
    room.commit(&draft).await.unwrap();
    for _ in 0..2 {
        assert_eq!(room.held(5, 5).await, ["place Elm"]);
        let mut recall = Recall::new(vec!["n".into()], "", day(9));
        recall.vector = Some(vector.clone());
        assert_eq!(room.recalled(&recall).await, Vec::<String>::new());
        assert_eq!(room.list(&MemoryFilter::of("n")).await.len(), 1);
        let gone = room.list(&MemoryFilter { id: Some(oak.id), ..MemoryFilter::default() }).await;
        assert_eq!((gone.len(), gone[0].content.as_ref(), gone[0].forgotten), (1, None, None));
        room.reopen().await;
    }
}

pub(super) async fn what_is_pinned_leaves_no_room_for_what_is_asked(room: Room) {
    let mut hold = room.create("a").await;
    let pinned = |i: usize| NewMemory { pinned: true, ..room.memory("n", &format!("rule {i}")) };
    let mut memories: Vec<NewMemory> = (0..12).map(pinned).collect();
    memories.extend((0..4).map(|i| room.memory("n", &format!("tea {i}"))));
    memories[3].content.text = "rule of tea".into();
    room.write(&mut hold, &memories).await;
    let ask = async |text: &str, limit: u32| {
        let mut recall = Recall::new(vec!["n".into()], text, room.now());
        recall.limit = limit;
        room.recalled(&recall).await
    };
    // The newest of those that fit alike.
    assert_eq!(ask("tea", 5).await, ["rule of tea", "rule 11", "tea 3", "tea 2", "tea 1"]);
    assert_eq!(ask("tea", 1).await, ["tea 3"]);
    assert_eq!(ask("", 3).await, ["rule 11", "rule 10", "rule 9"]);
    assert_eq!(ask("nothing", 13).await.len(), 12);
    // What was not found leaves its room to what is pinned.
    let found = ask("tea", 14).await;
    assert_eq!((found.len(), &found[9], &found[10]), (14, &"rule 2".to_owned(), &"tea 3".to_owned()));
}
