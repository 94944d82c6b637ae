//! Parkway's ports to language models and embedding models on llama.cpp, inside the process.
//!
//! [`Llama::gguf`] names a model file, [`LlamaConfig::load`] opens it, and [`Llama`] is then a
//! [`Model`](parkway_core::model::Model). Each loaded model has a thread that prepares requests, and one that alone touches the model's
//! context; requests reach it through a bounded mailbox and are answered together: what they begin with in common is computed once.
//!
//! ```no_run
//! use parkway_core::model::{ChatMessage, ChatRequest, Model, Role};
//! use parkway_llama::Llama;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Llama::gguf("SmolLM2-135M-Instruct.Q4_1.gguf").load(|done| println!("{:.0} %", done * 100.0))?;
//! let answer = model.chat(ChatRequest::new(vec![ChatMessage::new(Role::User, "Hello!")])).await?;
//! println!("{}", answer.text);
//! # Ok(())
//! # }
//! ```
//!
//! LoRA adapters are loaded with a model ([`LlamaConfig::adapter`]), and each request may ask for one of them by name.
//!
//! An embedding model is loaded from a file of the same form, and is a [`LlamaEmbedder`]:
//!
//! ```no_run
//! use parkway_core::embedder::Embedder;
//! use parkway_llama::Llama;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let embedder = Llama::gguf("all-MiniLM-L6-v2.F16.gguf").load_embedder_async().await?;
//! let texts = ["Where is my parcel?", "The delivery is late."].map(String::from);
//! let vectors = embedder.embed(&texts).await?.vectors;
//! let cosine: f32 = vectors[0].iter().zip(&vectors[1]).map(|(a, b)| a * b).sum();
//! # Ok(())
//! # }
//! ```
//!
//! A model may run in a process of its own, so that what ends llama.cpp ends a few requests and not the program: [`LlamaConfig::isolated`],
//! and [`serve_child`] at the beginning of `main`.
//!
//! Several models may be loaded, and be asked at once. On a CPU they share its cores: one computes a batch, then another one.
//!
//! Building needs cmake, a C++17 compiler and libclang. The features `cuda`, `vulkan`, `metal` and `rocm` compile
//! llama.cpp for GPUs, `openmp` (on by default) lets it use OpenMP on the CPU. Its log goes to `tracing` under the target
//! `llama-cpp-2` and is talkative at level info; nothing is printed.

mod adapter;
mod config;
mod device;
mod embedder;
mod error;
mod gguf;
mod isolated;
mod load;
mod memory;
mod model;
mod worker;

mod answer;
mod batch;
mod cache;
mod calls;
mod cold;
mod constraint;
mod fairness;
mod form;
mod json;
mod logprobs;
mod mask;
mod reading;
mod sampler;
mod scheduler;
mod shifts;
mod solo;
mod speech;
mod stats;
mod template;
mod text;
mod token_env;
mod tokenizer;
mod tree;
mod turns;
mod vocabulary;

pub use config::{GpuLayers, GpuSplit, LlamaConfig};
pub use device::{Device, DeviceKind, devices};
pub use embedder::LlamaEmbedder;
pub use error::LoadError;
pub use isolated::{IsolatedConfig, IsolatedLlama, serve_child};
pub use model::Llama;
pub use stats::Stats;
pub use vocabulary::Vocabulary;
