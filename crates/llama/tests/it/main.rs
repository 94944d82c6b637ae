//! The port on a real, small model: SmolLM2-135M-Instruct, one test at a time. Kinds of models of which there is no small one are made
//! by chance (`tiny.rs`).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails panics")]

mod adapters;
mod answers;
mod bad;
#[path = "../common/mod.rs"]
mod common;
mod constraints;
mod deterministic;
mod embeddings;
mod loading;
mod logprobs;
mod lora_file;
mod prompts;
mod tails;
mod thinking;
mod tiny;
mod together;
mod tools;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use parkway_core::model::{ChatRequest, ChatResponse, Constraint, Model, ModelError};
use parkway_llama::Llama;
use serde_json::Value;

use crate::common::{block_on, model_path, user};

/// Two busy models on two cores slow each other down tenfold, so each test has the machine for itself.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The model that the tests share, with a context of 2048 tokens.
fn shared() -> &'static Llama {
    static SHARED: OnceLock<Llama> = OnceLock::new();
    SHARED.get_or_init(|| Llama::gguf(model_path()).context_length(2048).load(|_| {}).unwrap())
}

fn chat(request: ChatRequest) -> Result<ChatResponse, ModelError> {
    block_on(shared().chat(request))
}

fn with_schema(mut request: ChatRequest, schema: &Value) -> ChatRequest {
    request.constraint = Some(Constraint::JsonSchema(schema.clone()));
    request
}
