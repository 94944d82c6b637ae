//! Recalling by words and meaning: the two ports that this takes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Memory, MemoryVector, Recall, Recalled, Weights};
use crate::embedder::{EmbedderInfo, SharedEmbedder};
use crate::model::ModelError;
use crate::store::StoreError;

/// Vectors that are made in one call.
const CATCH_UP: u32 = 64;

/// Why nothing was recalled.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecallError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The embedder failed.
    #[error("the embedder failed: {0}")]
    Embedder(ModelError),
}

/// What vectors of an embedder are kept under: they are compared with those of the same file only.
fn vector_model(info: &EmbedderInfo) -> String {
    match &info.model_hash {
        Some(hash) => format!("{}@{hash}", info.name),
        None => info.name.clone(),
    }
}

/// Recalls by meaning as well as by words.
#[derive(Debug)]
pub struct Meaning {
    embedder: SharedEmbedder,
    weights: Weights,
    /// The newest memory of each namespace that was looked at for a vector.
    seen: Mutex<HashMap<String, u64>>,
}

impl Meaning {
    /// With the vectors of this embedder. The weights are those of whoever asks without naming others.
    pub fn new(embedder: SharedEmbedder, weights: Weights) -> Self {
        Meaning { embedder, weights, seen: Mutex::default() }
    }

    /// How much words and meaning are to count.
    pub fn weights(&self) -> Weights {
        self.weights
    }

    /// What fits best, best first. Memories of the namespaces that are asked get their vectors if they have none yet, 64 in each call; the
    /// embedder is told nothing of others. A text that is longer than the embedder takes is found by its words.
    pub async fn recall(&self, memory: &dyn Memory, mut recall: Recall) -> Result<Vec<Recalled>, RecallError> {
        let wanted = !recall.text.trim().is_empty() && recall.weights.vector > 0.0 && !recall.namespaces.is_empty();
        if wanted && let Some(asked) = self.vector(&recall.text).await? {
            // The hash of the model's file is known when it has answered.
            let model = vector_model(self.embedder.info());
            self.catch_up(memory, &model, &recall.namespaces).await?;
            recall.vector = Some(MemoryVector::new(model, asked));
        }
        Ok(memory.recall(&recall).await?)
    }

    /// Gives every memory of these namespaces its vector that has none yet, as far as it is short enough for one.
    pub async fn complete(&self, memory: &dyn Memory, namespaces: &[String]) -> Result<(), RecallError> {
        // The hash of the model's file is known when it has answered.
        self.vector("a memory").await?;
        let model = vector_model(self.embedder.info());
        while self.catch_up(memory, &model, namespaces).await? {}
        Ok(())
    }

    /// The vector of a text; none if it is too long for one.
    async fn vector(&self, text: &str) -> Result<Option<Vec<f32>>, RecallError> {
        match self.embedder.embed(&[text.to_owned()]).await {
            Ok(mut made) => Ok(made.vectors.pop()),
            Err(ModelError::PromptTooLong { .. }) => Ok(None),
            Err(error) => Err(RecallError::Embedder(error)),
        }
    }

    /// Gives some memories of these namespaces their vectors. Whether there was any without.
    async fn catch_up(&self, memory: &dyn Memory, model: &str, namespaces: &[String]) -> Result<bool, RecallError> {
        let mut left = CATCH_UP;
        for namespace in namespaces {
            let after = self.seen().get(namespace).copied().unwrap_or_default();
            let lacking = memory.without_vector(model, namespace, after, left).await?;
            let Some(last) = lacking.last().map(|memory| memory.number) else { continue };
            left = left.saturating_sub(u32::try_from(lacking.len()).unwrap_or(left));
            let mut made = Vec::new();
            for lacking in lacking {
                let Some(content) = lacking.content else { continue };
                let vector = self.vector(&content.text).await?;
                made.extend(vector.map(|vector| (lacking.id, MemoryVector::new(model, vector))));
            }
            if !made.is_empty() {
                memory.keep_vectors(&made).await?;
            }
            // What is too long for a vector is not tried again.
            let mut seen = self.seen();
            let seen = seen.entry(namespace.clone()).or_default();
            *seen = last.max(*seen);
            if left == 0 {
                break;
            }
        }
        Ok(left < CATCH_UP)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
