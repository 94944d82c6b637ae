//! The port on a real, small model: SmolLM2-135M-Instruct, one test at a time. Kinds of models of which there is no small one are made
//! by chance (`tiny.rs`).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails panics")]

mod adapters;
mod answers;
mod bad;
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

use std::env;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Constraint, Model, ModelError, Role};
use parkway_llama::Llama;
use serde_json::Value;

/// The model file; a test run without it fails, it does not pass.
fn model_path() -> PathBuf {
    let path = env::var_os("PARKWAY_TEST_GGUF").map_or_else(
        || {
            let home = env::var_os("HOME").expect("HOME is set");
            PathBuf::from(home).join(".cache/parkway/models/SmolLM2-135M-Instruct.Q4_1.gguf")
        },
        PathBuf::from,
    );
    assert!(path.exists(), "there is no model at {}; run `make test`, which fetches it first", path.display());
    path
}

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

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn chat(request: ChatRequest) -> Result<ChatResponse, ModelError> {
    block_on(shared().chat(request))
}

fn user(text: &str) -> ChatRequest {
    ChatRequest::new(vec![ChatMessage::new(Role::User, text)])
}

fn with_schema(mut request: ChatRequest, schema: &Value) -> ChatRequest {
    request.constraint = Some(Constraint::JsonSchema(schema.clone()));
    request
}
