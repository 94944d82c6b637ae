//! What agents remember, for the program around them: to list and find it, to add to it, to forget it, to take it elsewhere.
//!
//! Agents use the tools `memory.remember`, `memory.recall` and `memory.forget`, within the namespaces that a workflow grants them. What is done
//! here is done by a person or the program, and stands in the log as such.
//!
//! ```
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! use parkway::Parkway;
//! use parkway::log::Channel;
//! use parkway::memory::{Author, Content, NewMemory, Recall};
//!
//! let parkway = Parkway::builder().store("sqlite::memory:").build().await?;
//! let memories = parkway.memories();
//! let ada = Author::new("Ada", Channel::Program);
//! let said = Content::new("customers/anna", "Anna Kern wants her orders delivered on Fridays.");
//! memories.remember(&ada, vec![memories.new_memory(said)]).await?;
//!
//! let found = memories.recall(memories.question(vec!["customers/anna".into()], "When does Anna want her order?")).await?;
//! assert_eq!(found[0].memory.content.as_ref().unwrap().text, "Anna Kern wants her orders delivered on Fridays.");
//! memories.forget(&ada, &found[0].memory, Some("she asked for it")).await?;
//! assert!(memories.recall(memories.question(vec!["customers/anna".into()], "Anna's order")).await?.is_empty());
//! # Ok::<_, parkway::Error>(())
//! # }).unwrap();
//! ```

mod eval;
mod lines;

use std::sync::Arc;

pub use parkway_core::engine::Author;
use parkway_core::engine::{Outside, Services, holds, line_of, record_outside, record_outside_if};
use parkway_core::id::MemoryId;
pub use parkway_core::memory::{
    Content, MemoryFilter, MemoryKind, MemoryVector, NewMemory, Recall, Recalled, Remembered, Span, Superseded,
    Weights, likeness,
};
use parkway_core::memory::{Meaning, RecallError};

pub use self::eval::{Evaluated, Measured, Question, evaluate};
pub use self::lines::Imported;
use crate::error::Error;

/// Memories that are read at once.
const PAGE: u32 = 1_000;
/// The shortest beginning of an id that a memory is found by.
const SHORTEST: usize = 4;
/// Memories that are written in one commit.
const TOGETHER: usize = 256;

/// What agents remember. Made by [`Parkway::memories`](crate::Parkway::memories).
#[derive(Clone, Debug)]
pub struct Memories {
    services: Services,
    meaning: Option<Arc<Meaning>>,
}

impl Memories {
    pub(crate) fn new(services: Services, meaning: Option<Arc<Meaning>>) -> Self {
        Memories { services, meaning }
    }

    /// A question for what holds now, with the weights of the settings.
    pub fn question(&self, namespaces: Vec<String>, text: &str) -> Recall {
        let mut recall = Recall::new(namespaces, text, self.services.clock.now());
        recall.weights = self.meaning.as_ref().map_or_else(Weights::default, |meaning| meaning.weights());
        recall
    }

    /// A memory with a new id that holds from now on.
    pub fn new_memory(&self, content: Content) -> NewMemory {
        let clock = &self.services.clock;
        NewMemory::new(MemoryId::new(clock.random()), content, clock.now())
    }

    /// What fits best, best first: by words, and by meaning where the settings name an embedder.
    pub async fn recall(&self, recall: Recall) -> Result<Vec<Recalled>, Error> {
        let memory = self.services.store.memory();
        let Some(meaning) = &self.meaning else { return Ok(memory.recall(&recall).await?) };
        meaning.recall(memory, recall).await.map_err(not_recalled)
    }

    /// Gives every memory its vector now, where the settings name an embedder. Else each call of [`recall`](Memories::recall) gives some
    /// of the namespaces that it asks theirs.
    pub async fn complete_vectors(&self) -> Result<(), Error> {
        let namespaces = self.namespaces().await?.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        self.complete_vectors_of(&namespaces).await
    }

    /// Gives every memory of these namespaces its vector now.
    async fn complete_vectors_of(&self, namespaces: &[String]) -> Result<(), Error> {
        let Some(meaning) = &self.meaning else { return Ok(()) };
        meaning.complete(self.services.store.memory(), namespaces).await.map_err(not_recalled)
    }

    /// Memories, oldest first: whenever they hold or held, unless the filter says a time.
    pub async fn list(&self, filter: &MemoryFilter) -> Result<Vec<Remembered>, Error> {
        Ok(self.services.store.memory().list(filter).await?)
    }

    /// The next page of a list; empty at its end.
    async fn page(&self, filter: &mut MemoryFilter) -> Result<Vec<Remembered>, Error> {
        filter.limit = PAGE;
        let page = self.list(filter).await?;
        filter.after = page.last().map_or(filter.after, |memory| memory.number);
        Ok(page)
    }

    /// The namespaces that hold anything, with how much that is.
    pub async fn namespaces(&self) -> Result<Vec<(String, u64)>, Error> {
        Ok(self.services.store.memory().namespaces().await?)
    }

    /// The memory that a text means: an id, or the beginning of one, of at least 4 characters. Forgotten ones are found, too.
    pub async fn find(&self, text: &str) -> Result<Remembered, Error> {
        if text.len() < SHORTEST {
            return Err(Error::Memory(format!(
                "`{text}` may be many memories; write at least {SHORTEST} characters of the id"
            )));
        }
        let mut filter = MemoryFilter::default();
        (filter.all, filter.id) = (true, text.parse().ok());
        let mut found: Vec<Remembered> = Vec::new();
        loop {
            let page = self.page(&mut filter).await?;
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().filter(|memory| memory.id.to_string().starts_with(text)));
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(Error::Memory(format!("no memory is called `{text}`; `parkway memory list` lists them"))),
            n => Err(Error::Memory(format!("{n} memories are called `{text}…`; write more of the id"))),
        }
    }

    /// Writes memories. They are on disk when this returns; of a great many, some may be where it fails. Each takes the place of earlier ones about
    /// its subject, or in its words, for the time in which it holds, unless it says that it contradicts them.
    ///
    /// # Errors
    ///
    /// One of them cannot be remembered, and so none was written, or the store fails.
    pub async fn remember(&self, by: &Author, memories: Vec<NewMemory>) -> Result<(), Error> {
        for memory in &memories {
            memory.check().map_err(Error::Memory)?;
        }
        let all: Vec<Outside> = memories.into_iter().map(Outside::Remember).collect();
        for part in all.chunks(TOGETHER) {
            record_outside(&self.services, by, part).await?;
        }
        Ok(())
    }

    /// Forgets a memory: what it says is erased. That it was there, and who forgot it when and why, stays in the log. Runs that have seen it
    /// keep what they have seen: [`AuditLog::erase`](crate::audit::AuditLog::erase) erases that. `false` where somebody reads the store's file who
    /// keeps the bytes there for now.
    pub async fn forget(&self, by: &Author, memory: &Remembered, note: Option<&str>) -> Result<bool, Error> {
        if memory.forgotten.is_some() {
            return Ok(self.services.store.purge().await?);
        }
        let store = &*self.services.store;
        // A hold that was placed meanwhile counts.
        let forget = || async {
            if holds(store).await?.cover(&line_of(store, memory.run).await?) {
                return Ok(Vec::new());
            }
            let note = note.map(str::to_owned);
            Ok(vec![Outside::Forget { id: memory.id, content: memory.commitment, note }])
        };
        if record_outside_if(&self.services, by, forget).await?.is_empty() {
            let (id, run) = (memory.id, memory.run);
            return Err(Error::Memory(format!(
                "memory {id} is of run {run}, which is held: nothing of it is erased until that is lifted (`parkway audit lift`)"
            )));
        }
        Ok(self.services.store.purge().await?)
    }
}

fn not_recalled(error: RecallError) -> Error {
    match error {
        RecallError::Store(error) => error.into(),
        error => Error::Model { name: "embedder".into(), cause: error.to_string() },
    }
}
