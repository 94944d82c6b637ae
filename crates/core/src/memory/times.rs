//! When a memory holds. What became known later takes from an earlier memory the time that it covers itself: where it names that memory, where
//! both are about one subject, and where both say the same in the same words. So of the memories about a subject whose time has a moment in it,
//! the one that became known last holds at that moment, and what is forgotten takes nothing any more.

use serde::{Deserialize, Serialize};

use super::{MemoryKind, Remembered};
use crate::id::{MemoryId, Time};

/// The time from one moment on until another, or for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Span {
    /// The first moment.
    pub from: Time,
    /// The first one behind it; none if there is no end.
    pub until: Option<Time>,
}

impl Span {
    /// From `from` on until `until`.
    pub fn new(from: Time, until: Option<Time>) -> Self {
        Span { from, until }
    }

    /// Whether the moment is in it.
    pub fn has(&self, at: Time) -> bool {
        self.from <= at && self.lasts(at)
    }

    /// Whether it ends after the moment.
    pub fn lasts(&self, at: Time) -> bool {
        self.until.is_none_or(|until| at < until)
    }

    /// Whether it has a moment in common with another.
    pub fn meets(&self, other: &Span) -> bool {
        let from = self.from.max(other.from);
        self.has(from) && other.has(from)
    }

    /// The part that it has in common with another.
    fn common(&self, other: &Span) -> Option<Span> {
        let until = self.until.into_iter().chain(other.until).min();
        self.meets(other).then_some(Span { from: self.from.max(other.from), until })
    }

    /// Whether all of it is within another.
    fn is_within(&self, other: &Span) -> bool {
        let lasts = other.until.is_none_or(|end| self.until.is_some_and(|until| until <= end));
        other.from <= self.from && lasts
    }

    /// What another leaves of it: nothing, one part, or one before it and one behind it.
    fn without(self, other: &Span) -> impl Iterator<Item = Span> + use<> {
        let before =
            Span { from: self.from, until: Some(self.until.map_or(other.from, |until| until.min(other.from))) };
        let behind = other.until.map(|end| Span { from: self.from.max(end), until: self.until });
        let (before, behind) = if self.meets(other) { (Some(before), behind) } else { (Some(self), None) };
        before.into_iter().chain(behind).filter(|span| span.lasts(span.from))
    }
}

/// By what a memory was superseded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Superseded {
    /// The memory that holds in its place.
    pub by: MemoryId,
    /// When that became known.
    pub known: Time,
    /// Since when that one holds.
    pub from: Time,
    /// Until when it holds in its place; for good if none.
    pub until: Option<Time>,
}

impl Superseded {
    /// By this memory, which holds in that time; `known` is when that became known.
    pub fn new(by: MemoryId, known: Time, span: Span) -> Self {
        Superseded { by, known, from: span.from, until: span.until }
    }

    /// The time that it takes.
    pub fn span(&self) -> Span {
        Span { from: self.from, until: self.until }
    }
}

/// What a memory that came later has to do with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bond {
    /// It says that it supersedes that one.
    pub named: bool,
    /// Both are about one subject of a namespace.
    pub subject: bool,
    /// Both say the same in the same words ([`Content::digest`](super::Content::digest)).
    pub words: bool,
    /// Of which kind the later one is.
    pub kind: MemoryKind,
}

impl Bond {
    /// Of a later memory of this kind; `named` where it says that it supersedes the other one.
    pub fn new(kind: MemoryKind, named: bool, subject: bool, words: bool) -> Self {
        Bond { named, subject, words, kind }
    }
}

impl Remembered {
    /// Whether it holds at `at`, by what was known at `known`. Whether it has expired is another question.
    pub fn holds(&self, at: Time, known: Time) -> bool {
        self.spans(known).iter().any(|span| span.has(at))
    }

    /// The times in which it holds, by what was known at `known`, the first one first.
    pub fn spans(&self, known: Time) -> Vec<Span> {
        let all = Span::new(self.from, self.until);
        if self.forgotten.is_some() || self.known > known || !all.lasts(all.from) {
            return Vec::new();
        }
        let taken = self.superseded.iter().filter(|superseded| superseded.known <= known).map(Superseded::span);
        let left = |spans: Vec<Span>, taken: Span| spans.into_iter().flat_map(|span| span.without(&taken)).collect();
        let mut spans: Vec<Span> = taken.fold(vec![all], left);
        spans.sort_by_key(|span| span.from);
        spans
    }

    /// The time in which it holds at `at`; if it does not then, the next one.
    pub fn span(&self, at: Time, known: Time) -> Option<Span> {
        self.spans(known).into_iter().find(|span| span.lasts(at))
    }

    /// Takes in that a memory came later, which holds in the time of `later`: whether this one is superseded by it is said by what they have to
    /// do with each other. They are to be taken in in the order in which they came.
    pub fn meet(&mut self, mut later: Superseded, bond: Bond) {
        // Each time that something happens is one of its own.
        let again = bond.kind == MemoryKind::Episodic && later.from != self.from;
        let same = bond.subject || (bond.words && bond.kind == self.kind && !again);
        if !bond.named && (!same || self.contradicts.contains(&later.by)) {
            return;
        }
        // The same words with another end: the end is the new one.
        if bond.words && later.from >= self.from {
            later.until = None;
        }
        let Some(taken) = Span::new(self.from, self.until).common(&later.span()) else { return };
        // What takes nothing that one before it has not taken is not told.
        let told = |earlier: &Superseded| earlier.known <= later.known && taken.is_within(&earlier.span());
        if !self.superseded.iter().any(told) {
            self.superseded.push(later);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{RunId, Seq};
    use crate::log::Commitment;
    use crate::memory::{Content, NewMemory};

    fn at(day: i64) -> Time {
        Time::from_micros(day * 86_400_000_000)
    }

    fn days(from: i64, until: Option<i64>) -> Span {
        Span::new(at(from), until.map(at))
    }

    /// Known since day 12.
    fn memory(span: Span) -> Remembered {
        let mut new = NewMemory::new(MemoryId::new([1; 16]), Content::new("a", "b"), span.from);
        new.until = span.until;
        Remembered::new(1, new, Commitment::from_bytes([0; 32]), at(12), RunId::SYSTEM, Seq(1))
    }

    fn later(by: u8, known: i64, span: Span) -> Superseded {
        Superseded::new(MemoryId::new([by; 16]), at(known), span)
    }

    const SUBJECT: Bond = Bond { named: false, subject: true, words: false, kind: MemoryKind::Semantic };
    const WORDS: Bond = Bond { subject: false, words: true, ..SUBJECT };

    #[test]
    fn two_times_are_mixed() {
        let mut memory = memory(days(10, Some(40)));
        memory.meet(later(2, 30, days(20, None)), SUBJECT);
        // (holds at, known at)
        for (day, known, holds) in [
            (9, 50, false),
            (10, 11, false),
            (10, 12, true),
            (19, 50, true),
            (20, 50, false),
            (20, 29, true),
            (39, 29, true),
            (40, 29, false),
        ] {
            assert_eq!(memory.holds(at(day), at(known)), holds, "on day {day}, by what was known on day {known}");
        }
        memory.forgotten = Some(at(60));
        assert!(!memory.holds(at(15), at(50)));
    }

    #[test]
    fn a_memory_loses_time_that_the_later_one_does_not_cover() {
        let check = |span: Span, taken: &[Span], left: &[Span]| {
            let mut memory = memory(span);
            for (by, span) in (2..).zip(taken) {
                memory.meet(later(by, 30, *span), SUBJECT);
            }
            assert_eq!(memory.spans(at(50)), left, "{span:?} without {taken:?}");
        };
        check(days(0, None), &[days(10, Some(17))], &[days(0, Some(10)), days(17, None)]);
        check(days(100, None), &[days(20, Some(30))], &[days(100, None)]);
        check(days(0, None), &[days(30, None)], &[days(0, Some(30))]);
        check(days(0, Some(20)), &[days(15, None)], &[days(0, Some(15))]);
        check(days(5, Some(20)), &[days(0, Some(10)), days(12, Some(14))], &[days(10, Some(12)), days(14, Some(20))]);
        check(days(5, Some(20)), &[days(0, Some(10)), days(8, None)], &[]);
        check(days(5, Some(20)), &[days(20, Some(30)), days(0, Some(5))], &[days(5, Some(20))]);
        check(days(5, Some(20)), &[days(9, Some(9)), days(12, Some(8))], &[days(5, Some(20))]);
        check(days(20, Some(5)), &[], &[]);
    }

    #[test]
    fn what_takes_nothing_more_is_told() {
        let mut memory = memory(days(10, Some(40)));
        for (by, from, until) in [(2, 20, None), (3, 25, Some(30)), (4, 30, None), (5, 50, None), (6, 15, Some(20))] {
            memory.meet(later(by, 30 + i64::from(by), days(from, until)), SUBJECT);
        }
        let by: Vec<MemoryId> = memory.superseded.iter().map(|superseded| superseded.by).collect();
        assert_eq!(by, [MemoryId::new([2; 16]), MemoryId::new([6; 16])]);
        // By what was known earlier, it takes something.
        memory.meet(later(7, 20, days(25, None)), SUBJECT);
        assert!(!memory.holds(at(26), at(20)) && memory.holds(at(24), at(20)));
    }

    #[test]
    fn the_same_words_with_another_end_do_not_end() {
        let mut memory = memory(days(0, None));
        memory.meet(later(2, 20, days(5, Some(30))), WORDS);
        assert_eq!(memory.spans(at(50)), [days(0, Some(5))]);
        // The same for a time that is over ends nothing that came after it.
        let mut memory = self::memory(days(100, None));
        memory.meet(later(2, 20, days(5, Some(30))), WORDS);
        assert_eq!(memory.spans(at(50)), [days(100, None)]);
    }

    #[test]
    fn what_has_nothing_to_do_with_it_supersedes_it() {
        let episodic = Bond { kind: MemoryKind::Episodic, ..WORDS };
        for (kind, bond, contradicts, held) in [
            (MemoryKind::Semantic, Bond { subject: false, ..SUBJECT }, false, true),
            (MemoryKind::Semantic, SUBJECT, false, false),
            (MemoryKind::Semantic, SUBJECT, true, true),
            (MemoryKind::Semantic, Bond { named: true, ..SUBJECT }, true, false),
            (MemoryKind::Procedural, WORDS, false, true),
            (MemoryKind::Episodic, episodic, false, true),
            (MemoryKind::Episodic, Bond { subject: true, ..episodic }, false, false),
        ] {
            let mut memory = memory(days(0, None));
            memory.kind = kind;
            memory.contradicts.extend(contradicts.then_some(MemoryId::new([2; 16])));
            memory.meet(later(2, 20, days(5, None)), bond);
            assert_eq!(memory.holds(at(6), at(50)), held, "{kind:?}, {bond:?}, contradicted: {contradicts}");
        }
        let mut same = memory(days(5, None));
        same.kind = MemoryKind::Episodic;
        same.meet(later(2, 20, days(5, None)), episodic);
        assert!(!same.holds(at(6), at(50)), "it was said twice");
    }
}
