//! Parkway's ports to language models and embedding models over a server that speaks OpenAI's protocol: llama-server, vLLM, SGLang,
//! Ray Serve, Ollama, DeepSeek, OpenAI itself, and others.
//!
//! [`OpenAi::at`] names a server and one of its models, [`OpenAiConfig::load`] finds out what the server can enforce, and [`OpenAi`] is
//! then a [`Model`](parkway_core::model::Model); [`OpenAiConfig::load_embedder`] gives an
//! [`Embedder`](parkway_core::embedder::Embedder). What a server cannot enforce is refused and never left out
//! ([`Server`] tells which can do what); requests are made once, and the engine decides about another try.
//!
//! ```no_run
//! use parkway_core::model::{ChatMessage, ChatRequest, Model, Role};
//! use parkway_core::secret::Secret;
//! use parkway_openai::OpenAi;
//!
//! # async fn example(key: Secret) -> Result<(), Box<dyn std::error::Error>> {
//! let model = OpenAi::at("https://models.example.com/v1", "qwen3-32b").key(key).load().await?;
//! let answer = model.chat(ChatRequest::new(vec![ChatMessage::new(Role::User, "Hello!")])).await?;
//! println!("{}", answer.text);
//! # Ok(())
//! # }
//! ```
//!
//! The key goes to the configured origin in the header `Authorization` and nowhere else: redirects are not followed, proxies are not
//! taken from the environment unless asked, and words of the server that hold the key are cleaned of it. TLS is rustls with ring, and
//! trusts what the operating system trusts. Everything runs in the tokio runtime that it is called in.

mod config;
mod error;
mod server;

mod embedder;
mod model;

mod http;
mod probe;
mod request;

mod constraint;
mod names;

mod answer;
mod calls;
mod sse;

mod failure;
mod scrub;

pub use config::OpenAiConfig;
pub use embedder::OpenAiEmbedder;
pub use error::LoadError;
pub use model::OpenAi;
pub use server::Server;
