//! A loaded model as the port sees it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use parkway_core::model::{Capabilities, ChatRequest, Constraint, Deltas, Model, ModelError};

use crate::constraint;
use crate::worker::{Job, Prompter, Worker};
use crate::{LlamaConfig, Stats};

/// A model that llama.cpp computes in this process. Clones share it.
///
/// Requests are answered together, each step of the model for all of them. What a prompt begins with in common with another one,
/// which may have been answered or still be, is not computed again;
/// [`Usage::cached_tokens`](parkway_core::model::Usage::cached_tokens) tells how much that was. A request whose prompt and answer
/// find no room beside the others waits for it. A model that was loaded as
/// [`deterministic`](crate::LlamaConfig::deterministic), and one that cannot share (recurrent and hybrid ones), answers one after the
/// other; the latter reads a prompt anew unless it goes on from the exact end of the last one. A constraint applies to what is decoded, that is to the answer without the request's `assistant_prefix`.
///
/// Dropping the last clone cancels the answer that is being decoded, waits for its current step, and frees the model.
#[derive(Clone, Debug)]
pub struct Llama {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) capabilities: Capabilities,
    pub(crate) prompter: Arc<Prompter>,
    pub(crate) worker: Worker,
    /// Pieces that one stream holds: a whole answer, so that a reader that stalls does not stall the model's thread.
    pub(crate) room: usize,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Llama").field("capabilities", &self.capabilities).finish_non_exhaustive()
    }
}

impl Llama {
    /// The model in a GGUF file, to be configured and loaded.
    pub fn gguf(path: impl AsRef<Path>) -> LlamaConfig {
        LlamaConfig::new(path.as_ref().to_owned())
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Llama { inner: Arc::new(inner) }
    }

    /// Pieces that an answer has at most.
    pub(crate) fn room(&self) -> usize {
        self.inner.room
    }

    /// The ids of mere text, as this model's tokenizer writes it; special tokens in it stay text.
    pub fn tokenize(&self, text: &str) -> Vec<u32> {
        self.inner.prompter.tokenizer.plain(text.as_bytes())
    }

    /// What the model has done by now, and what its cache holds.
    pub fn stats(&self) -> Stats {
        self.inner.prompter.counters.snapshot()
    }

    /// The ids of a request's whole prompt, `assistant_prefix` included.
    pub fn prompt_tokens(&self, request: &ChatRequest) -> Result<Vec<u32>, ModelError> {
        Ok(self.inner.prompter.prompt(request)?.tokens)
    }
}

#[async_trait]
impl Model for Llama {
    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    async fn stream(&self, request: ChatRequest) -> Result<Deltas, ModelError> {
        let (sender, deltas) = Deltas::channel(self.inner.room);
        self.inner.worker.post(Job::Answer { request, deltas: sender }).await?;
        Ok(deltas)
    }

    fn prefill(&self, request: &ChatRequest) {
        self.inner.worker.offer(Job::Prefill(request.clone()));
    }

    fn check_constraint(&self, constraint: &Constraint) -> Result<(), ModelError> {
        constraint::check(constraint)
    }

    fn count_tokens(&self, request: &ChatRequest) -> Option<usize> {
        self.inner.prompter.prompt(request).ok().map(|prompt| prompt.tokens.len())
    }
}
