//! An embedding model at a server, as the port sees it.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use parkway_core::embedder::{Embedder, EmbedderInfo, Embeddings};
use parkway_core::model::ModelError;
use serde_json::{Value, json};

use crate::config::OpenAiConfig;
use crate::http::Http;

/// An embedding model at a server, by `/embeddings`. Clones share its connections. Texts are sent in batches, one after the other;
/// if one fails, no vector is returned.
#[derive(Clone, Debug)]
pub struct OpenAiEmbedder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    info: EmbedderInfo,
    asked: String,
    batch: usize,
    http: Http,
    /// Numbers in a vector, by the first answer.
    dimensions: OnceLock<usize>,
}

impl OpenAiEmbedder {
    pub(crate) fn new(config: OpenAiConfig, http: Http) -> Self {
        let info = EmbedderInfo {
            name: http.subject.model.clone(),
            dimensions: config.dimensions,
            max_tokens: config.context_length,
            ..EmbedderInfo::default()
        };
        let dimensions = OnceLock::new();
        if let Some(declared) = config.dimensions {
            dimensions.get_or_init(|| declared as usize);
        }
        OpenAiEmbedder { inner: Arc::new(Inner { info, asked: config.model, batch: config.batch, http, dimensions }) }
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    fn info(&self) -> &EmbedderInfo {
        &self.inner.info
    }

    async fn embed(&self, texts: &[String]) -> Result<Embeddings, ModelError> {
        let inner = &self.inner;
        let (mut vectors, mut tokens) = (Vec::with_capacity(texts.len()), 0u32);
        for batch in texts.chunks(inner.batch) {
            let body = json!({ "model": inner.asked, "input": batch, "encoding_format": "float" });
            let mut body = inner.http.post("embeddings", body.to_string().into_bytes(), 0).await?;
            let whole = body.whole().await?;
            let told: Value = serde_json::from_slice(&whole).map_err(|error| {
                let words = inner.http.subject.scrub.words(&String::from_utf8_lossy(&whole));
                inner.http.subject.fails(&format!("sent what is no JSON ({error}): {words}"), true)
            })?;
            vectors.extend(inner.vectors(&told, batch.len())?);
            let count = ["prompt_tokens", "total_tokens"].iter().find_map(|name| told["usage"][name].as_u64());
            let count = count.unwrap_or_else(|| batch.iter().map(|text| text.len() as u64).sum::<u64>().div_ceil(3));
            tokens = tokens.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
        Ok(Embeddings::normalized(vectors, tokens))
    }
}

impl Inner {
    /// The vectors of an answer, in the order of the texts.
    fn vectors(&self, told: &Value, texts: usize) -> Result<Vec<Vec<f32>>, ModelError> {
        let fails = |message: &str| self.http.subject.fails(message, false);
        if told.get("error").is_some_and(|error| !error.is_null()) {
            return Err(self.http.subject.broke_off(&told.to_string(), 0));
        }
        let list = told["data"].as_array().ok_or_else(|| fails("sent no list of vectors"))?;
        if list.len() != texts {
            return Err(fails(&format!("sent {} vectors for {texts} texts", list.len())));
        }
        let mut vectors = vec![None; texts];
        for (place, entry) in list.iter().enumerate() {
            let index = entry["index"].as_u64().map_or(Some(place), |index| usize::try_from(index).ok());
            let free = index.and_then(|index| vectors.get_mut(index)).filter(|vector| vector.is_none());
            let free = free.ok_or_else(|| fails("sent vectors that are for no text, or for one text twice"))?;
            #[expect(clippy::cast_possible_truncation, reason = "vectors have single precision")]
            let number = |value: &Value| value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
            let vector =
                entry["embedding"].as_array().and_then(|all| all.iter().map(number).collect::<Option<Vec<f32>>>());
            let vector = vector.filter(|vector| !vector.is_empty());
            let vector = vector.ok_or_else(|| fails("sent what is no vector of numbers"))?;
            let expect = *self.dimensions.get_or_init(|| vector.len());
            if vector.len() != expect {
                return Err(fails(&format!(
                    "sent a vector of {} numbers, where the others have {expect}",
                    vector.len()
                )));
            }
            *free = Some(vector);
        }
        Ok(vectors.into_iter().flatten().collect())
    }
}
