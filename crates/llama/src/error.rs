//! Why a model could not be loaded, and the way out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why a model could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such file.
    #[error("there is no model file at `{}`; correct the path, or fetch the starter model with `parkway models pull smollm2-135m-instruct`", path.display())]
    Missing {
        /// The path that was given.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("the model file `{}` cannot be read ({cause}); check that it is a file and that you may read it", path.display())]
    Unreadable {
        /// The path that was given.
        path: PathBuf,
        /// What the operating system said.
        cause: String,
    },
    /// The file is something else.
    #[error("`{}` is not a GGUF file; take a model in GGUF form (a download that broke off or an HTML page looks like this too)", path.display())]
    NotGguf {
        /// The path that was given.
        path: PathBuf,
    },
    /// The configuration asks for something that cannot be.
    #[error("the model `{}` cannot be loaded so: {cause}", path.display())]
    Config {
        /// The path that was given.
        path: PathBuf,
        /// What cannot be.
        cause: String,
    },
    /// GPU layers were demanded, but there is no GPU that this build can use.
    #[error("the model `{}` is to run on a GPU, but this build of Parkway sees none; use `gpu_layers: auto`, or a build with the feature `cuda`, `vulkan`, `metal` or `rocm`", path.display())]
    NoGpu {
        /// The path that was given.
        path: PathBuf,
    },
    /// The layers that were asked for do not fit into what the GPUs have free.
    #[error("the model `{}` needs about {needed_mib} MiB on {gpus}, of which {free_mib} MiB are free; end what else uses the GPU, or take `gpu_layers: auto`, a shorter context or a smaller model", path.display())]
    NoMemory {
        /// The path that was given.
        path: PathBuf,
        /// The GPUs.
        gpus: String,
        /// What its layers, its cache and what is computed with need, in MiB; an estimate.
        needed_mib: u64,
        /// What the GPUs have free together, in MiB.
        free_mib: u64,
    },
    /// llama.cpp did not load the weights.
    #[error("llama.cpp cannot load `{}`; its own words are logged through `tracing` at level error (a broken file, a model kind that this version does not know, or too little memory: try fewer `gpu_layers` or a smaller model)", path.display())]
    Refused {
        /// The path that was given.
        path: PathBuf,
    },
    /// The model has no chat template, or one that does not compile.
    #[error("the model `{}` cannot chat: {cause}; take its instruct or chat variant", path.display())]
    Template {
        /// The path that was given.
        path: PathBuf,
        /// What is wrong with the template.
        cause: String,
    },
    /// The model's vocabulary cannot be used.
    #[error("the vocabulary of `{}` cannot be used: {cause}; convert the model again, or take another file", path.display())]
    Vocabulary {
        /// The path that was given.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// An adapter cannot be put on the model.
    #[error("the adapter `{name}` (`{}`) cannot be put on the model: {cause}", path.display())]
    Adapter {
        /// What requests call it.
        name: String,
        /// The path that was given.
        path: PathBuf,
        /// What is in the way, and the way out.
        cause: String,
    },
    /// The model makes no vectors of texts.
    #[error("`{}` is no embedding model: {cause}; take one, such as all-MiniLM-L6-v2, bge or nomic-embed in GGUF form", path.display())]
    NotEmbedder {
        /// The path that was given.
        path: PathBuf,
        /// What it is.
        cause: String,
    },
    /// The weights are loaded, but there is no context for them.
    #[error("llama.cpp cannot make a context of {context_length} tokens for `{}`; ask for a smaller `context_length` or fewer `gpu_layers`", path.display())]
    Context {
        /// The path that was given.
        path: PathBuf,
        /// Tokens that were to fit.
        context_length: u32,
    },
    /// llama.cpp itself did not start, or a thread did not.
    #[error("llama.cpp did not start for `{}`: {cause}", path.display())]
    Backend {
        /// The path that was given.
        path: PathBuf,
        /// What it said.
        cause: String,
    },
    /// The model was to run in a process of its own, and that did not start or ended while it loaded.
    #[error("the model `{}` cannot be loaded in a process of its own: {cause}", path.display())]
    Process {
        /// The path that was given.
        path: PathBuf,
        /// What came of the process, and the way out.
        cause: String,
    },
}

impl LoadError {
    /// Stable code of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::Missing { .. } => "model_missing",
            LoadError::Unreadable { .. } => "model_unreadable",
            LoadError::NotGguf { .. } => "model_not_gguf",
            LoadError::Config { .. } => "model_config",
            LoadError::NoGpu { .. } => "model_no_gpu",
            LoadError::NoMemory { .. } => "model_no_memory",
            LoadError::Refused { .. } => "model_refused",
            LoadError::Template { .. } => "model_template",
            LoadError::Vocabulary { .. } => "model_vocabulary",
            LoadError::Adapter { .. } => "model_adapter",
            LoadError::NotEmbedder { .. } => "model_not_embedder",
            LoadError::Context { .. } => "model_context",
            LoadError::Backend { .. } => "model_backend",
            LoadError::Process { .. } => "model_process",
        }
    }
}
