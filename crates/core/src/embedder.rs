//! The port to embedding models: texts in, vectors out.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::ModelError;

/// What an embedder is; asked once, so it must be cheap and constant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderInfo {
    /// What to call it in logs, for example `all-minilm-l6-v2`.
    pub name: String,
    /// Numbers in a vector; `None` where the backend tells it only with the first answer.
    #[serde(default)]
    pub dimensions: Option<u32>,
    /// Tokens of the longest text that it takes; `None` where the backend does not tell.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// SHA-256 (hex) of the model file. Vectors of two files cannot be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_hash: Option<String>,
}

/// Vectors of texts, and what they took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Embeddings {
    /// One vector for each text, in order, each of length 1 (so that a dot product is the cosine).
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts together.
    pub tokens: u32,
}

impl Embeddings {
    /// Takes vectors as a backend gives them, and makes their length 1. A vector of nothing but zeros stays.
    pub fn normalized(mut vectors: Vec<Vec<f32>>, tokens: u32) -> Self {
        for vector in &mut vectors {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            if length > 0.0 {
                vector.iter_mut().for_each(|x| *x /= length);
            }
        }
        Embeddings { vectors, tokens }
    }
}

/// A model that makes a vector of a text, so that texts of like meaning lie close together.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// What it is.
    fn info(&self) -> &EmbedderInfo;

    /// One vector for each text, in order. A text that is longer than [`EmbedderInfo::max_tokens`] is
    /// [`ModelError::PromptTooLong`], and is never cut; no vector is returned then. Dropping the future cancels it.
    async fn embed(&self, texts: &[String]) -> Result<Embeddings, ModelError>;
}

impl fmt::Debug for dyn Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Embedder").field(&self.info().name).finish()
    }
}

/// A shared embedder.
pub type SharedEmbedder = Arc<dyn Embedder>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_length_one() {
        let vectors = vec![vec![3.0, 4.0], vec![0.0, 0.0]];
        assert_eq!(Embeddings::normalized(vectors, 2).vectors, [[0.6, 0.8], [0.0, 0.0]]);
    }
}
