//! Finding memories: by words, and by meaning where there is an embedder.

use std::sync::Arc;

use parkway_core::engine::{holds, line_of};
use parkway_core::id::{MemoryId, RunId, Time};
use parkway_core::memory::{
    self, Known, Meaning, Memory, MemoryFilter, NewMemory, Recall, RecallError, Recalled, Remembered,
};
use parkway_core::store::{Store, StoreError};
use parkway_core::tool::ToolError;

/// The memories of a store.
#[derive(Clone)]
pub(super) struct Finder {
    store: Arc<dyn Store>,
    meaning: Option<Arc<Meaning>>,
}

impl Finder {
    pub(super) fn new(store: Arc<dyn Store>, meaning: Option<Arc<Meaning>>) -> Self {
        Finder { store, meaning }
    }

    fn memory(&self) -> &dyn Memory {
        self.store.memory()
    }

    /// What fits best, by words and meaning.
    pub(super) async fn recall(&self, mut recall: Recall) -> Result<Vec<Recalled>, ToolError> {
        let Some(meaning) = &self.meaning else { return self.by_words(&recall).await };
        recall.weights = meaning.weights();
        meaning.recall(self.memory(), recall).await.map_err(|error| match error {
            RecallError::Store(error) => failed(&error),
            RecallError::Embedder(error) => {
                ToolError { retryable: error.retryable(), ..ToolError::invalid("embedder", error.to_string()) }
            }
            error => ToolError::invalid("internal", error.to_string()),
        })
    }

    /// What fits best, by words.
    pub(super) async fn by_words(&self, recall: &Recall) -> Result<Vec<Recalled>, ToolError> {
        self.memory().recall(recall).await.map_err(|error| failed(&error))
    }

    /// How many pinned memories may be recalled.
    pub(super) async fn pinned(&self, mut recall: Recall) -> Result<usize, ToolError> {
        (recall.text, recall.vector, recall.limit) = (String::new(), None, u32::MAX);
        Ok(self.by_words(&recall).await?.len())
    }

    /// Memories, oldest first.
    pub(super) async fn list(&self, filter: &MemoryFilter) -> Result<Vec<Remembered>, ToolError> {
        self.memory().list(filter).await.map_err(|error| failed(&error))
    }

    /// What is known of what a memory is to say.
    pub(super) async fn known(&self, new: &NewMemory, now: Time) -> Result<Known, ToolError> {
        memory::known(self.memory(), new, now).await.map_err(|error| failed(&error))
    }

    /// The memories that hold for a shorter time when this one is written.
    pub(super) async fn changed(&self, new: &NewMemory) -> Result<Vec<MemoryId>, ToolError> {
        memory::changed(self.memory(), new).await.map_err(|error| failed(&error))
    }

    /// Whether nothing of a run may be erased now.
    pub(super) async fn is_held(&self, run: RunId) -> Result<bool, ToolError> {
        let line = line_of(&*self.store, run).await.map_err(|error| failed(&error))?;
        Ok(holds(&*self.store).await.map_err(|error| failed(&error))?.cover(&line))
    }

    /// The memory with this id, whatever became of it.
    pub(super) async fn get(&self, id: MemoryId) -> Result<Option<Remembered>, ToolError> {
        let mut filter = MemoryFilter::default();
        (filter.id, filter.all) = (Some(id), true);
        Ok(self.list(&filter).await?.pop())
    }
}

fn failed(error: &StoreError) -> ToolError {
    ToolError { retryable: error.retryable(), ..ToolError::invalid("store", error.to_string()) }
}
