//! The embedder that settings name, loaded when it is asked first.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use parkway_core::embedder::{Embedder, EmbedderInfo, Embeddings, SharedEmbedder};
use parkway_core::model::ModelError;
use parkway_core::secret::Secrets;
use parkway_core::workflow::ModelSpec;
use tokio::sync::OnceCell;

use crate::binding::missing_support;
use crate::error::Error;

/// An embedding model that is not loaded yet.
pub(crate) struct Named {
    info: EmbedderInfo,
    spec: ModelSpec,
    root: PathBuf,
    #[cfg_attr(
        all(feature = "llama", not(feature = "openai")),
        expect(dead_code, reason = "without the adapter for servers nobody asks")
    )]
    secrets: Arc<dyn Secrets>,
    require_gpu: bool,
    loaded: OnceCell<SharedEmbedder>,
}

impl Named {
    /// The model of this name, whose paths are relative to `root`.
    pub(crate) fn new(
        name: &str,
        spec: ModelSpec,
        root: PathBuf,
        secrets: Arc<dyn Secrets>,
        require_gpu: bool,
    ) -> Self {
        let info = EmbedderInfo { name: name.into(), ..EmbedderInfo::default() };
        Named { info, spec, root, secrets, require_gpu, loaded: OnceCell::new() }
    }

    async fn load(&self) -> Result<SharedEmbedder, Error> {
        if let Some(cause) = missing_support(&self.spec) {
            return Err(self.unusable(cause));
        }
        #[cfg(feature = "openai")]
        if self.spec.openai.is_some() {
            let config = crate::server::config_of(&self.info.name, &self.spec, self.secrets.as_ref()).await?;
            return Ok(Arc::new(config.load_embedder().map_err(|error| self.unusable(error))?));
        }
        self.open().await
    }

    #[cfg(feature = "llama")]
    async fn open(&self) -> Result<SharedEmbedder, Error> {
        let mut config = crate::binding::config_of(&self.info.name, &self.spec, &self.root)?;
        if self.require_gpu {
            config = config.gpu_layers(parkway_llama::GpuLayers::All);
        }
        Ok(Arc::new(config.load_embedder_async().await.map_err(|error| self.unusable(error))?))
    }

    #[cfg(not(feature = "llama"))]
    #[expect(clippy::unused_async, reason = "with llama.cpp it waits for the file")]
    async fn open(&self) -> Result<SharedEmbedder, Error> {
        // Kept for the shape of the struct: without a backend there is nothing to load.
        let _ = (&self.root, &self.secrets, self.require_gpu);
        Err(self.unusable(crate::binding::WITHOUT_LLAMA))
    }

    fn unusable(&self, cause: impl ToString) -> Error {
        Error::Model { name: self.info.name.clone(), cause: cause.to_string() }
    }
}

#[async_trait]
impl Embedder for Named {
    fn info(&self) -> &EmbedderInfo {
        // The hash of its file is known when that was read.
        self.loaded.get().map_or(&self.info, |loaded| loaded.info())
    }

    async fn embed(&self, texts: &[String]) -> Result<Embeddings, ModelError> {
        let backend = |error: Error| ModelError::Backend { message: error.to_string(), retryable: false };
        self.loaded.get_or_try_init(|| self.load()).await.map_err(backend)?.embed(texts).await
    }
}
