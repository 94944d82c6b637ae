//! Recalling by words and meaning: the two ports that this takes.

use super::{Memory, MemoryVector, Recall, Recalled};
use crate::embedder::{EmbedderInfo, SharedEmbedder};
use crate::model::ModelError;
use crate::store::StoreError;

/// Vectors that are made in one call for memories that have none yet.
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

/// What fits best, best first: by words, and with an embedder by meaning. Memories that have no vector of it yet get one, 64 in each call. A
/// text that is longer than the embedder takes is found by its words.
pub async fn recall_by_meaning(
    memory: &dyn Memory,
    embedder: Option<&SharedEmbedder>,
    mut recall: Recall,
) -> Result<Vec<Recalled>, RecallError> {
    let wanted = !recall.text.trim().is_empty() && recall.weights.vector > 0.0;
    if let Some(embedder) = embedder.filter(|_| wanted)
        && let Some(asked) = vector(embedder, &recall.text).await?
    {
        let model = vector_model(embedder.info());
        catch_up(memory, embedder, &model).await?;
        recall.vector = Some(MemoryVector::new(model, asked));
    }
    Ok(memory.recall(&recall).await?)
}

/// The vector of a text; none if it is too long for one.
async fn vector(embedder: &SharedEmbedder, text: &str) -> Result<Option<Vec<f32>>, RecallError> {
    match embedder.embed(&[text.to_owned()]).await {
        Ok(mut made) => Ok(made.vectors.pop()),
        Err(ModelError::PromptTooLong { .. }) => Ok(None),
        Err(error) => Err(RecallError::Embedder(error)),
    }
}

async fn catch_up(memory: &dyn Memory, embedder: &SharedEmbedder, model: &str) -> Result<(), RecallError> {
    let mut made = Vec::new();
    for lacking in memory.without_vector(model, CATCH_UP).await? {
        let Some(content) = lacking.content else { continue };
        let vector = vector(embedder, &content.text).await?;
        made.extend(vector.map(|vector| (lacking.id, MemoryVector::new(model, vector))));
    }
    if !made.is_empty() {
        memory.keep_vectors(&made).await?;
    }
    Ok(())
}
