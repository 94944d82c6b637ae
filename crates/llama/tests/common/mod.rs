//! What the test programs share: the real, small models, and how they are asked.

use std::env;
use std::future::Future;
use std::path::PathBuf;

use parkway_core::model::{ChatMessage, ChatRequest, Role};

/// The file of the starter model.
pub(crate) fn model_path() -> PathBuf {
    cached("PARKWAY_TEST_GGUF", "SmolLM2-135M-Instruct.Q4_1.gguf")
}

/// A file of the model cache, or the one that a variable names; a test run without it fails, it does not pass.
pub(crate) fn cached(variable: &str, name: &str) -> PathBuf {
    let of_cache = || {
        let home = env::var_os("HOME").expect("HOME is set");
        PathBuf::from(home).join(".cache/parkway/models").join(name)
    };
    let path = env::var_os(variable).map_or_else(of_cache, PathBuf::from);
    assert!(path.exists(), "there is no model at {}; run `make test`, which fetches it first", path.display());
    path
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn user(text: &str) -> ChatRequest {
    ChatRequest::new(vec![ChatMessage::new(Role::User, text)])
}
