//! The port to what agents remember. A memory is written and forgotten by events; what is recalled is a fold of the log.
//!
//! A memory has two times: when it holds in the world, and when it became known here. What is superseded is kept with both, so that one
//! can ask what held at some time, and what was known of that at another.

use std::collections::{BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{Digest, MemoryId, RunId, Seq, Time};
use crate::label::Labels;
use crate::log::{Commitment, EventKind};
use crate::store::StoreError;

mod find;
mod news;
mod times;
mod words;

pub use find::{Meaning, RecallError};
pub use news::{Known, changed, known};
pub use times::{Bond, Span, Superseded};
pub use words::words;

/// By all that is known.
const EVER: Time = Time::from_micros(i64::MAX);
/// The longest text of a memory, in bytes.
pub const LONGEST_TEXT: usize = 64 << 10;
/// The longest name of a namespace, and the longest subject, in bytes.
pub const LONGEST_NAME: usize = 256;

/// What kind of memory it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MemoryKind {
    /// What happened: a turn of a conversation, a visit.
    Episodic,
    /// What holds: a fact, a preference.
    #[default]
    Semantic,
    /// How something is done: a plan that worked.
    Procedural,
}

impl MemoryKind {
    /// Its name in stores and outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            MemoryKind::Episodic => "episodic",
            MemoryKind::Semantic => "semantic",
            MemoryKind::Procedural => "procedural",
        }
    }

    /// The kind with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [MemoryKind::Episodic, MemoryKind::Semantic, MemoryKind::Procedural].into_iter().find(|k| k.as_str() == name)
    }
}

/// Where a memory belongs and what it says: one payload, so that all of it is erased at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Content {
    /// Whose memory it is: `customers/anna`. Nothing is recalled from another namespace than those that are asked.
    pub namespace: String,
    /// What it says.
    pub text: String,
    /// What it is about, where only one memory of a namespace holds at a time: `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl Content {
    /// A content without a subject.
    pub fn new(namespace: impl Into<String>, text: impl Into<String>) -> Self {
        Content { namespace: namespace.into(), text: text.into(), subject: None }
    }

    /// What is wrong with it, if anything, in words that name the way out.
    pub fn check(&self) -> Result<(), String> {
        check_name("namespace", &self.namespace)?;
        if let Some(subject) = &self.subject {
            check_name("subject", subject)?;
        }
        if self.text.trim().is_empty() {
            return Err("there is nothing to remember: the text is empty".into());
        }
        if self.text.len() > LONGEST_TEXT {
            let has = self.text.len();
            return Err(format!("the text has {has} bytes, and a memory at most {LONGEST_TEXT}; remember it in parts"));
        }
        Ok(())
    }

    /// What contents have in common that say the same: in one namespace, about one subject, in the same words but for their case, the
    /// space between them, and the sign that ends them.
    pub fn digest(&self) -> Digest {
        let text = self.text.trim_end_matches(['.', '!', ' ', '\n', '\t']).to_lowercase();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let subject = self.subject.as_deref().unwrap_or_default();
        Digest::of(&[
            b"parkway-memory-1\0",
            self.namespace.as_bytes(),
            b"\0",
            subject.as_bytes(),
            b"\0",
            text.as_bytes(),
        ])
    }
}

/// What is wrong with the name of a namespace or a subject.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(format!("a {what} has 1 to {LONGEST_NAME} bytes, and this one has {}", name.len()));
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        return Err(format!("the {what} {name:?} has control characters, or spaces around it"));
    }
    Ok(())
}

/// A memory that is to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewMemory {
    /// Its id.
    pub id: MemoryId,
    /// Where it belongs and what it says.
    pub content: Content,
    /// What kind of memory it is.
    pub kind: MemoryKind,
    /// Since when it holds.
    pub from: Time,
    /// Until when it holds, where that is known.
    pub until: Option<Time>,
    /// When it is no longer recalled.
    pub expires: Option<Time>,
    /// Whether it is recalled whatever is asked for.
    pub pinned: bool,
    /// Labels of what it says.
    pub labels: Labels,
    /// The memories that hold only until this one does.
    pub supersedes: Vec<MemoryId>,
    /// Memories that say something else.
    pub contradicts: Vec<MemoryId>,
}

impl NewMemory {
    /// A fact that holds from `from` on.
    pub fn new(id: MemoryId, content: Content, from: Time) -> Self {
        NewMemory {
            id,
            content,
            kind: MemoryKind::Semantic,
            from,
            until: None,
            expires: None,
            pinned: false,
            labels: Labels::NONE,
            supersedes: Vec::new(),
            contradicts: Vec::new(),
        }
    }

    /// The time in which it is to hold.
    pub fn span(&self) -> Span {
        Span::new(self.from, self.until)
    }

    /// What is wrong with it, if anything, in words that name the way out.
    pub fn check(&self) -> Result<(), String> {
        self.content.check()?;
        match self.until {
            Some(until) if until <= self.from => Err(format!(
                "it is to hold from {} until {until}, which is no time at all; name a later `until`",
                self.from
            )),
            _ => Ok(()),
        }
    }

    /// The memory that an event writes, with the payload of what it says.
    pub fn written(event: &EventKind, content: Content) -> Option<(Self, Commitment)> {
        let EventKind::MemoryWritten {
            id,
            content: commitment,
            kind,
            from,
            until,
            expires,
            pinned,
            labels,
            supersedes,
            contradicts,
            ..
        } = event
        else {
            return None;
        };
        let memory = NewMemory {
            id: *id,
            content,
            kind: *kind,
            from: *from,
            until: *until,
            expires: *expires,
            pinned: *pinned,
            labels: *labels,
            supersedes: supersedes.clone(),
            contradicts: contradicts.clone(),
        };
        Some((memory, *commitment))
    }
}

/// A memory as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Remembered {
    /// Its place among all that was remembered, from 1.
    pub number: u64,
    /// Its id.
    pub id: MemoryId,
    /// Where it belongs and what it says; none if it was forgotten.
    pub content: Option<Content>,
    /// The payload of that.
    pub commitment: Commitment,
    /// What kind of memory it is.
    pub kind: MemoryKind,
    /// Labels of what it says.
    pub labels: Labels,
    /// The run that wrote it, or [`RunId::SYSTEM`].
    pub run: RunId,
    /// The event that did.
    pub seq: Seq,
    /// When it became known.
    pub known: Time,
    /// Since when it holds.
    pub from: Time,
    /// Until when it holds, where that was known when it was written.
    pub until: Option<Time>,
    /// When it is no longer recalled.
    pub expires: Option<Time>,
    /// Whether it is recalled whatever is asked for.
    pub pinned: bool,
    /// By what it was superseded, in the order in which that came; what took nothing that another had not taken is not among it.
    pub superseded: Vec<Superseded>,
    /// Memories that say something else, whichever came first.
    pub contradicts: Vec<MemoryId>,
    /// When it was forgotten.
    pub forgotten: Option<Time>,
}

impl Remembered {
    /// A memory that was just written by an event.
    pub fn new(number: u64, memory: NewMemory, commitment: Commitment, known: Time, run: RunId, seq: Seq) -> Self {
        Remembered {
            number,
            id: memory.id,
            content: Some(memory.content),
            commitment,
            kind: memory.kind,
            labels: memory.labels,
            run,
            seq,
            known,
            from: memory.from,
            until: memory.until,
            expires: memory.expires,
            pinned: memory.pinned,
            superseded: Vec::new(),
            contradicts: memory.contradicts,
            forgotten: None,
        }
    }
}

/// How the two ways to find memories count against each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Weights {
    /// Finding by words.
    pub text: f64,
    /// Finding by meaning.
    pub vector: f64,
}

impl Weights {
    /// These weights, none of them below 0.
    pub fn new(text: f64, vector: f64) -> Self {
        Weights { text: text.max(0.0), vector: vector.max(0.0) }
    }

    /// The weighted reciprocals of ranks (Cormack, Clarke and Büttcher 2009, k = 60).
    fn score(self, by_text: Option<u32>, by_vector: Option<u32>) -> f64 {
        let share = |rank: Option<u32>| rank.map_or(0.0, |rank| 1.0 / (60.0 + f64::from(rank)));
        self.text * share(by_text) + self.vector * share(by_vector)
    }
}

impl Default for Weights {
    /// Words first: equal weights lose to words alone (LoCoMo, recall@10: 66.4 with words, 61.0 with equal weights, 69.3 with these).
    fn default() -> Self {
        Weights { text: 1.0, vector: 0.2 }
    }
}

/// A vector, and what made it: vectors of two models are never compared.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MemoryVector {
    /// The model: its name, and the hash of its file where that is known.
    pub model: String,
    /// The vector, of length 1.
    pub vector: Vec<f32>,
}

impl MemoryVector {
    /// A vector of this model.
    pub fn new(model: impl Into<String>, vector: Vec<f32>) -> Self {
        MemoryVector { model: model.into(), vector }
    }
}

/// What is to be recalled.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recall {
    /// From these namespaces, by their whole names; from none if there are none.
    pub namespaces: Vec<String>,
    /// What is asked for; nothing but what is pinned if it is empty.
    pub text: String,
    /// The same as a vector, where memories have any.
    pub vector: Option<MemoryVector>,
    /// Only of these kinds; of all if there are none.
    pub kinds: Vec<MemoryKind>,
    /// What holds at this time.
    pub at: Time,
    /// By what was known at this time.
    pub known: Time,
    /// What expires until this time is left out.
    pub now: Time,
    /// At most so many.
    pub limit: u32,
    /// How the two ways to find them count.
    pub weights: Weights,
}

impl Recall {
    /// What holds now, of all kinds, at most 10.
    pub fn new(namespaces: Vec<String>, text: impl Into<String>, now: Time) -> Self {
        Recall {
            namespaces,
            text: text.into(),
            vector: None,
            kinds: Vec::new(),
            at: now,
            known: now,
            now,
            limit: 10,
            weights: Weights::default(),
        }
    }

    /// Whether a memory may be recalled, whatever it says.
    pub fn allows(&self, memory: &Remembered) -> bool {
        let named = |content: &Content| self.namespaces.contains(&content.namespace);
        memory.content.as_ref().is_some_and(named)
            && (self.kinds.is_empty() || self.kinds.contains(&memory.kind))
            && memory.holds(self.at, self.known)
            && memory.expires.is_none_or(|expires| self.now < expires)
    }

    /// The best of these memories, in the order of [`Recall::order`]; by their numbers in the order in which words and meaning have found
    /// them. What may not be recalled, or is neither pinned nor found, is not among them.
    pub fn fuse(&self, memories: Vec<Remembered>, by_text: &[u64], by_vector: &[u64]) -> Vec<Recalled> {
        let (text, vector) = (ranks(by_text), ranks(by_vector));
        let mut allowed: HashMap<u64, Remembered> =
            memories.into_iter().filter(|memory| self.allows(memory)).map(|memory| (memory.number, memory)).collect();
        let pinned: HashSet<u64> =
            allowed.values().filter(|memory| memory.pinned).map(|memory| memory.number).collect();
        let found =
            by_text.iter().chain(by_vector).chain(&pinned).copied().filter(|number| allowed.contains_key(number));
        let best = self.ordered(found.collect(), &pinned, (&text, &vector));
        let recalled = |mut memory: Remembered| {
            let (by_text, by_vector) = (text.get(&memory.number).copied(), vector.get(&memory.number).copied());
            memory.superseded.retain(|superseded| superseded.known <= self.known);
            Recalled { score: self.weights.score(by_text, by_vector), memory, by_text, by_vector }
        };
        best.into_iter().filter_map(|number| allowed.remove(&number)).take(self.limit as usize).map(recalled).collect()
    }

    /// The numbers of what is pinned or was found, best first: a store need not read more of them than it gives. What is pinned comes before
    /// what was found, but leaves half of [`Recall::limit`] to that, as far as so much was found.
    pub fn order(&self, pinned: &[u64], by_text: &[u64], by_vector: &[u64]) -> Vec<u64> {
        let all = pinned.iter().chain(by_text).chain(by_vector).copied().collect();
        self.ordered(all, &pinned.iter().copied().collect(), (&ranks(by_text), &ranks(by_vector)))
    }

    fn ordered(
        &self,
        all: BTreeSet<u64>,
        pins: &HashSet<u64>,
        (text, vector): (&HashMap<u64, u32>, &HashMap<u64, u32>),
    ) -> Vec<u64> {
        let place =
            |number: u64| (self.weights.score(text.get(&number).copied(), vector.get(&number).copied()), number);
        let mut order: Vec<(f64, u64)> = all.into_iter().map(place).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        let (mut pinned, mut found): (Vec<u64>, Vec<u64>) =
            order.into_iter().map(|(_, number)| number).partition(|number| pins.contains(number));
        let limit = self.limit as usize;
        let kept = found.len().min(limit.div_ceil(2));
        let rest = pinned.split_off(pinned.len().min(limit - kept));
        pinned.append(&mut found);
        pinned.extend(rest);
        pinned
    }
}

/// From 1, in this order.
fn ranks(numbers: &[u64]) -> HashMap<u64, u32> {
    numbers.iter().copied().zip(1..).collect()
}

/// A memory that was recalled.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recalled {
    /// The memory.
    pub memory: Remembered,
    /// How well it fits: the weighted reciprocals of its ranks.
    pub score: f64,
    /// Its rank by words, from 1.
    pub by_text: Option<u32>,
    /// Its rank by meaning, from 1.
    pub by_vector: Option<u32>,
}

/// Which memories to list, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryFilter {
    /// Only this one.
    pub id: Option<MemoryId>,
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only about this subject.
    pub subject: Option<String>,
    /// Only what says the same as [`Content::digest`] of something.
    pub digest: Option<Digest>,
    /// Only what holds at this time or at a later one, by all that is known.
    pub holds_from: Option<Time>,
    /// Also what was forgotten.
    pub all: bool,
    /// Only those with a greater [`Remembered::number`].
    pub after: u64,
    /// At most so many; 0 means all.
    pub limit: u32,
}

impl MemoryFilter {
    /// Of one namespace, whenever it holds or held.
    pub fn of(namespace: impl Into<String>) -> Self {
        MemoryFilter { namespace: Some(namespace.into()), ..MemoryFilter::default() }
    }

    /// Whether a memory is listed.
    pub fn allows(&self, memory: &Remembered) -> bool {
        let content = memory.content.as_ref();
        let has = |wanted: &Option<String>, found: Option<&String>| wanted.is_none() || wanted.as_ref() == found;
        self.id.is_none_or(|id| id == memory.id)
            && has(&self.namespace, content.map(|content| &content.namespace))
            && has(&self.subject, content.and_then(|content| content.subject.as_ref()))
            && self.digest.is_none_or(|digest| content.map(Content::digest) == Some(digest))
            && (self.all || memory.forgotten.is_none())
            && self.holds_from.is_none_or(|at| memory.span(at, EVER).is_some())
            && memory.number > self.after
    }
}

/// What agents remember. It is written by commits whose events say so.
#[async_trait]
pub trait Memory: Send + Sync {
    /// What fits best, in the order of [`Recall::fuse`]. What was forgotten, or belongs to another namespace, is never among it; nor is what
    /// became known of a memory only after [`Recall::known`].
    async fn recall(&self, recall: &Recall) -> Result<Vec<Recalled>, StoreError>;

    /// Memories, oldest first.
    async fn list(&self, filter: &MemoryFilter) -> Result<Vec<Remembered>, StoreError>;

    /// The namespaces that hold anything, by name, with how much that is: what is superseded and not forgotten counts, too.
    async fn namespaces(&self) -> Result<Vec<(String, u64)>, StoreError>;

    /// Memories of a namespace with a number above `after` that have no vector of this model, oldest first; at most `limit`.
    async fn without_vector(
        &self,
        model: &str,
        namespace: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Remembered>, StoreError>;

    /// Keeps vectors of memories: a cache, which is no evidence and can be made again. Of one that is not there, nothing is kept. A vector
    /// of another length than those of its model is [`StoreError::Malformed`].
    async fn keep_vectors(&self, vectors: &[(MemoryId, MemoryVector)]) -> Result<(), StoreError>;
}

/// How alike two texts are by their words, from 0 to 1: the words that they share, of all that they have (Jaccard).
pub fn likeness(a: &str, b: &str) -> f64 {
    let (a, b): (BTreeSet<String>, BTreeSet<String>) = (words(a).collect(), words(b).collect());
    let (shared, all) = (a.intersection(&b).count(), a.union(&b).count());
    #[expect(clippy::cast_precision_loss, reason = "a text has fewer words")]
    let share = |n: usize, of: usize| n as f64 / of as f64;
    if all == 0 { 0.0 } else { share(shared, all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_that_say_the_same_have_one_digest() {
        let digest = |text: &str| Content::new("a", text).digest();
        assert_eq!(digest("Anna likes  tea."), digest("anna LIKES\ntea"));
        for other in ["Anna likes tea?", "Anna likes -5", "Anna likes 5", "likes Anna tea"] {
            assert_ne!(digest("Anna likes tea"), digest(other), "{other}");
        }
        assert_ne!(digest("-5"), digest("5"));
        let mut subject = Content::new("a", "tea");
        subject.subject = Some("drink".into());
        assert_ne!(subject.digest(), digest("tea"));
        assert_ne!(Content::new("b", "tea").digest(), digest("tea"));
    }

    #[test]
    fn what_cannot_be_remembered_is_named() {
        for (content, part) in [
            (Content::new("", "x"), "a namespace has 1 to 256 bytes, and this one has 0"),
            (Content::new("a\nb", "x"), "control characters"),
            (Content::new(" a", "x"), "spaces around it"),
            (Content::new("a", " \n"), "the text is empty"),
            (Content::new("a", "x".repeat(LONGEST_TEXT + 1)), "remember it in parts"),
        ] {
            let why = content.check().unwrap_err();
            assert!(why.contains(part), "{why}");
        }
        assert_eq!(Content::new("kunden/Anna Müller", "x").check(), Ok(()));
    }

    #[test]
    fn likeness_is_that_of_words() {
        assert!((likeness("Anna orders tea", "anna ORDERS tea!") - 1.0).abs() < 1e-9);
        assert!((likeness("Anna orders tea", "Anna orders coffee") - 0.5).abs() < 1e-9);
        assert!(likeness("Anna", "Bert").abs() < 1e-9);
        assert!(likeness("", "").abs() < 1e-9);
    }
}
