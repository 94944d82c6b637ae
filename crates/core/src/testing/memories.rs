//! What agents remember, in memory: what the port means. Words are found as they are written.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::id::{Digest, MemoryId};
use crate::log::{Commitment, Event, EventKind};
use crate::memory::{
    Bond, Content, MemoryFilter, MemoryVector, NewMemory, Recall, Recalled, Remembered, Span, Superseded, words,
};
use crate::store::StoreError;

/// The fold of all events about memories.
#[derive(Default)]
pub(super) struct Memories {
    all: Vec<Remembered>,
    /// What each of them says it supersedes, and what tells whether two say the same.
    said: HashMap<MemoryId, (Vec<MemoryId>, Digest)>,
    vectors: HashMap<(MemoryId, String), Vec<f32>>,
}

impl Memories {
    fn get(&mut self, id: MemoryId) -> Option<&mut Remembered> {
        self.all.iter_mut().find(|memory| memory.id == id)
    }

    /// The payload of a memory.
    pub(super) fn commitment(&self, id: MemoryId) -> Option<Commitment> {
        self.all.iter().find(|memory| memory.id == id).map(|memory| memory.commitment)
    }

    pub(super) fn has(&self, id: MemoryId) -> bool {
        self.all.iter().any(|memory| memory.id == id)
    }

    /// Takes one more event in; `content` is what the memory says that it writes.
    pub(super) fn apply(&mut self, event: &Event, content: impl FnOnce() -> Option<Content>) {
        match &event.kind {
            EventKind::MemoryWritten { .. } => {
                let written = content().and_then(|content| NewMemory::written(&event.kind, content));
                let Some((mut new, commitment)) = written else { return };
                // Those that there are, each once.
                let there = |memory: &&Remembered| new.contradicts.contains(&memory.id);
                new.contradicts = self.all.iter().filter(there).map(|memory| memory.id).collect();
                for contradicted in &new.contradicts {
                    if let Some(memory) = self.get(*contradicted) {
                        memory.contradicts.push(new.id);
                    }
                }
                self.said.insert(new.id, (new.supersedes.clone(), new.content.digest()));
                let number = self.all.len() as u64 + 1;
                let new = Remembered::new(number, new, commitment, event.at, event.run, event.seq);
                self.all.iter_mut().for_each(|earlier| meet(&self.said, earlier, &new));
                self.all.push(new);
            }
            EventKind::MemoryForgotten { id, .. } => {
                if let Some(memory) = self.get(*id) {
                    memory.content = None;
                    memory.forgotten.get_or_insert(event.at);
                }
                self.gone();
            }
            EventKind::PayloadErased { payloads, .. } => {
                let erased = self.all.iter_mut().filter(|memory| payloads.contains(&memory.commitment));
                erased.for_each(|memory| memory.content = None);
                self.gone();
            }
            _ => {}
        }
    }

    /// What says nothing any more has no vector, and takes nothing from others.
    fn gone(&mut self) {
        let Memories { all, said, vectors } = self;
        vectors.retain(|(of, _), _| all.iter().any(|memory| memory.id == *of && memory.content.is_some()));
        for number in 0..all.len() {
            let (earlier, later) = all.split_at_mut(number + 1);
            let memory = &mut earlier[number];
            memory.superseded.clear();
            later.iter().for_each(|later| meet(said, memory, later));
        }
    }

    pub(super) fn recall(&self, recall: &Recall) -> Vec<Recalled> {
        let allowed: Vec<&Remembered> = self.all.iter().filter(|memory| recall.allows(memory)).collect();
        let asked: BTreeSet<String> = words(&recall.text).collect();
        let hits = |memory: &Remembered| {
            let said = memory.content.as_ref().map(|content| words(&content.text).collect::<BTreeSet<_>>());
            said.map_or(0, |said| asked.intersection(&said).count())
        };
        let mut by_text: Vec<_> = allowed.iter().map(|memory| (hits(memory), memory.number)).collect();
        by_text.retain(|(hits, _)| *hits > 0 && recall.weights.text > 0.0);
        by_text.sort_by_key(|(hits, number)| (Reverse(*hits), Reverse(*number)));
        let mut by_vector: Vec<(f32, u64)> = recall
            .vector
            .iter()
            .filter(|_| recall.weights.vector > 0.0)
            .flat_map(|asked| {
                allowed.iter().filter_map(|memory| {
                    let vector = self.vectors.get(&(memory.id, asked.model.clone()))?;
                    Some((asked.vector.iter().zip(vector).map(|(a, b)| a * b).sum(), memory.number))
                })
            })
            .collect();
        by_vector.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        let by_text: Vec<u64> = by_text.into_iter().map(|(_, number)| number).collect();
        let by_vector: Vec<u64> = by_vector.into_iter().map(|(_, number)| number).collect();
        let mut found = recall.fuse(allowed.into_iter().cloned().collect(), &by_text, &by_vector);
        let known = |id: &MemoryId| self.all.iter().any(|memory| memory.id == *id && memory.known <= recall.known);
        found.iter_mut().for_each(|found| found.memory.contradicts.retain(known));
        found
    }

    pub(super) fn list(&self, filter: &MemoryFilter) -> Vec<Remembered> {
        let limit = if filter.limit == 0 { usize::MAX } else { filter.limit as usize };
        self.all.iter().filter(|memory| filter.allows(memory)).take(limit).cloned().collect()
    }

    pub(super) fn namespaces(&self) -> Vec<(String, u64)> {
        let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
        for content in self.all.iter().filter_map(|memory| memory.content.as_ref()) {
            *counted.entry(&content.namespace).or_default() += 1;
        }
        counted.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    pub(super) fn without_vector(&self, model: &str, namespace: &str, after: u64, limit: u32) -> Vec<Remembered> {
        let lacks = |memory: &&Remembered| {
            memory.number > after
                && memory.content.as_ref().is_some_and(|content| content.namespace == namespace)
                && !self.vectors.contains_key(&(memory.id, model.to_owned()))
        };
        self.all.iter().filter(lacks).take(limit as usize).cloned().collect()
    }

    pub(super) fn keep_vectors(&mut self, vectors: &[(MemoryId, MemoryVector)]) -> Result<(), StoreError> {
        for (id, new) in vectors {
            let known = self.vectors.iter().find(|((_, model), _)| *model == new.model).map(|(_, vector)| vector.len());
            if new.vector.is_empty() || known.is_some_and(|length| length != new.vector.len()) {
                let (has, model) = (new.vector.len(), &new.model);
                return Err(StoreError::Malformed(format!(
                    "a vector of `{model}` has {has} numbers, and others of it another count"
                )));
            }
            if self.all.iter().any(|memory| memory.id == *id && memory.content.is_some()) {
                self.vectors.insert((*id, new.model.clone()), new.vector.clone());
            }
        }
        Ok(())
    }
}

/// Takes in what a memory that came later has to do with an earlier one.
fn meet(said: &HashMap<MemoryId, (Vec<MemoryId>, Digest)>, earlier: &mut Remembered, later: &Remembered) {
    let (Some(one), Some(other)) = (&earlier.content, &later.content) else { return };
    let (Some((_, words)), Some((supersedes, same))) = (said.get(&earlier.id), said.get(&later.id)) else { return };
    let about = one.subject.is_some() && (&one.namespace, &one.subject) == (&other.namespace, &other.subject);
    let bond = Bond::new(later.kind, supersedes.contains(&earlier.id), about, words == same);
    earlier.meet(Superseded::new(later.id, later.known, Span::new(later.from, later.until)), bond);
}
