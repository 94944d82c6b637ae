//! How to load a model: the file, the size of its context, and where it computes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::adapter::Named;
use crate::{IsolatedConfig, Llama, LlamaEmbedder, LoadError, Vocabulary, embedder, load};

/// How many layers of a model run on a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuLayers {
    /// All of them where there is a GPU and this build can use it, or as many as its free memory holds; none otherwise.
    #[default]
    Auto,
    /// All of them; without a usable GPU, or with less free memory than they need, the load fails.
    All,
    /// This many, counted from the output; `Count(0)` stays on the CPU. Above 0 the load fails as for `All`.
    Count(u32),
}

/// How several GPUs share a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuSplit {
    /// Each has some of the layers, as many as fit into what it has free, and they compute one after the other.
    #[default]
    Layers,
    /// Each has some of the rows of each matrix, and they compute at once; the first one has the cache. Only backends that can
    /// (CUDA and ROCm) do so, the others split by layers.
    Rows,
}

/// A model file and how to load it. Made by [`Llama::gguf`].
#[derive(Clone, Debug)]
pub struct LlamaConfig {
    pub(crate) path: PathBuf,
    pub(crate) name: Option<String>,
    pub(crate) context_length: u32,
    pub(crate) gpu_layers: GpuLayers,
    pub(crate) gpus: Vec<String>,
    pub(crate) gpu_split: GpuSplit,
    pub(crate) threads: usize,
    pub(crate) cache_tokens: Option<u32>,
    pub(crate) cold_bytes: usize,
    pub(crate) deterministic: bool,
    pub(crate) chat_template: Option<String>,
    pub(crate) adapters: Vec<Named>,
}

impl LlamaConfig {
    pub(crate) fn new(path: PathBuf) -> Self {
        LlamaConfig {
            path,
            name: None,
            context_length: 4096,
            gpu_layers: GpuLayers::Auto,
            gpus: Vec::new(),
            gpu_split: GpuSplit::Layers,
            threads: cores(),
            cache_tokens: None,
            cold_bytes: 256 << 20,
            deterministic: false,
            chat_template: None,
            adapters: Vec::new(),
        }
    }

    /// What to call the model in logs and errors; the file's name without its ending by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Tokens that fit into one conversation, prompt and answer together: 4096 by default, and never more than the
    /// model was trained on.
    pub fn context_length(mut self, tokens: u32) -> Self {
        self.context_length = tokens;
        self
    }

    /// Tokens that all conversations hold together, with what is kept of those that have ended: twice the context length by
    /// default, and never less than it. Memory for them is taken when the model is loaded. What conversations begin with in common
    /// counts once.
    pub fn cache_tokens(mut self, tokens: u32) -> Self {
        self.cache_tokens = Some(tokens);
        self
    }

    /// Bytes of memory for what has to leave the cache: it is copied back when it is wanted again, which is much faster than to read
    /// it anew. 256 MiB by default; 0 drops it. Of models whose attention slides it is always dropped.
    pub fn cold_bytes(mut self, bytes: usize) -> Self {
        self.cold_bytes = bytes;
        self
    }

    /// Answers each request alone, one after the other, so that it gets the same tokens whatever else is asked; `false` by
    /// default. Together with others a request is answered sooner, but in batches of other sizes sums are rounded otherwise, and a
    /// token that is nearly as probable as another one may change places with it.
    pub fn deterministic(mut self, deterministic: bool) -> Self {
        self.deterministic = deterministic;
        self
    }

    /// A chat template in Jinja to use in place of the file's own, where that is missing, or knows nothing of tools that the model
    /// was trained to call. [`Capabilities::template_hash`](parkway_core::model::Capabilities::template_hash) is its hash then. It
    /// is held to the same limits, and one that does not compile fails the load.
    pub fn chat_template(mut self, jinja: impl Into<String>) -> Self {
        self.chat_template = Some(jinja.into());
        self
    }

    /// Loads a LoRA adapter with the model, a GGUF file as llama.cpp's `convert_lora_to_gguf.py` writes it. A request asks for it by
    /// this name ([`ChatRequest::adapter`](parkway_core::model::ChatRequest::adapter)), and one that asks for none is answered by the
    /// model as it is. It acts as strongly as it was trained to; see [`adapter_scaled`](Self::adapter_scaled). A file that is missing,
    /// broken or made for another model is a [`LoadError::Adapter`].
    ///
    /// ```no_run
    /// use parkway_core::model::{ChatMessage, ChatRequest, Model, Role};
    /// use parkway_llama::Llama;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let model = Llama::gguf("base.gguf").adapter("letters", "letters.gguf").load_async(|_| {}).await?;
    /// let request = ChatRequest::new(vec![ChatMessage::new(Role::User, "Say hello.")]);
    /// let answer = model.chat(ChatRequest { adapter: Some("letters".into()), ..request }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn adapter(self, name: impl Into<String>, path: impl AsRef<Path>) -> Self {
        self.adapter_scaled(name, path, 1.0)
    }

    /// Loads a LoRA adapter that acts `scale` times as strongly as it was trained to, in thousandths: 0 not at all, negative the other
    /// way. The last one of a name counts.
    pub fn adapter_scaled(mut self, name: impl Into<String>, path: impl AsRef<Path>, scale: f32) -> Self {
        let (name, path) = (name.into(), path.as_ref().to_owned());
        self.adapters.retain(|other| other.name != name);
        #[expect(clippy::cast_possible_truncation, reason = "it ends at what an i32 holds, and what is no number is 0")]
        let scale_milli = (scale * 1_000.0).round() as i32;
        self.adapters.push(Named { name, path, scale_milli });
        self
    }

    /// How many layers run on a GPU; [`GpuLayers::Auto`] by default.
    pub fn gpu_layers(mut self, layers: GpuLayers) -> Self {
        self.gpu_layers = layers;
        self
    }

    /// The GPUs that hold the model, by the names of [`devices`](crate::devices), for example `CUDA1`: all that there are by default,
    /// and integrated ones only where there is no other. A name that is none of a GPU here is a [`LoadError::Config`].
    ///
    /// ```no_run
    /// use parkway_llama::{GpuSplit, Llama};
    ///
    /// let model = Llama::gguf("large.gguf").gpus(["CUDA1", "CUDA2"]).gpu_split(GpuSplit::Rows).load(|_| {})?;
    /// # Ok::<(), parkway_llama::LoadError>(())
    /// ```
    pub fn gpus(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.gpus = names.into_iter().map(Into::into).collect();
        self
    }

    /// How several GPUs share the model; [`GpuSplit::Layers`] by default.
    pub fn gpu_split(mut self, split: GpuSplit) -> Self {
        self.gpu_split = split;
        self
    }

    /// Threads that compute on the CPU: as many as there are cores by default, at least 1 and never more than there are
    /// cores, because llama.cpp's threads wait for each other by spinning. Models whose threads together are more than that
    /// alternate, batch by batch; with fewer threads each, they compute at once.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, cores());
        self
    }

    /// The same model in a process of its own, so that what ends llama.cpp ends a few requests, and not the program; see
    /// [`IsolatedConfig`]. Everything else is to be said before.
    pub fn isolated(self) -> IsolatedConfig {
        IsolatedConfig::new(self)
    }

    /// Loads the model. This blocks until it is ready to answer, which takes from a fraction of a second to minutes;
    /// in async code use [`load_async`](Self::load_async). `progress` is called with the share of the weights that is
    /// loaded, from 0 to 1; llama.cpp calls it, so a panic in it ends the process.
    pub fn load(self, progress: impl FnMut(f32) + Send + 'static) -> Result<Llama, LoadError> {
        load::load(self, progress)
    }

    /// Reads the vocabulary and the chat template alone, which takes a fraction of a second: enough to count the tokens of
    /// prompts.
    pub fn load_vocabulary(self) -> Result<Vocabulary, LoadError> {
        load::vocabulary(self)
    }

    /// Loads the file as an embedding model. A text may be as long as the [`context_length`](Self::context_length), and never longer than
    /// the model was trained on; how the vectors of its tokens become one is what the file says, or their mean. This blocks until
    /// it is ready; in async code use [`load_embedder_async`](Self::load_embedder_async). What concerns answers alone
    /// (`cache_tokens`, `deterministic`) is not looked at; adapters are refused.
    pub fn load_embedder(self) -> Result<LlamaEmbedder, LoadError> {
        embedder::load(&self)
    }

    /// Loads the file as an embedding model, on a blocking thread of the tokio runtime that this is called in.
    pub async fn load_embedder_async(self) -> Result<LlamaEmbedder, LoadError> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || self.load_embedder())
            .await
            .unwrap_or_else(|cause| Err(LoadError::Backend { path, cause: cause.to_string() }))
    }

    /// Loads the model on a blocking thread of the tokio runtime that this is called in.
    pub async fn load_async(self, progress: impl FnMut(f32) + Send + 'static) -> Result<Llama, LoadError> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || self.load(progress))
            .await
            .unwrap_or_else(|cause| Err(LoadError::Backend { path, cause: cause.to_string() }))
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
