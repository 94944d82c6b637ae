//! A model's context and the tokens whose computation it holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use llama_cpp_2::DecodeError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use parkway_core::model::ModelError;

use crate::adapter::{Adapter, Adapters};
use crate::stats::Counters;
use crate::tokenizer::token_of;
use crate::turns::Cores;

/// The one sequence of the context.
const SEQUENCE: i32 = 0;

/// How large a context is, and what is kept in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Tokens that it holds.
    pub(crate) capacity: usize,
    /// Tokens that are computed at a time.
    pub(crate) chunk: usize,
    /// Whether all is kept for a prompt that goes on from its exact end: of use to models that cannot go back.
    pub(crate) goes_on: bool,
}

/// The context of a model with one sequence in it.
///
/// Tokens are computed in chunks that begin at multiples of the chunk's size. What is kept for the next request is whole
/// chunks only, unless it goes on: results depend a little on how tokens are batched, and so an answer after a kept prefix is, bit
/// for bit, the answer without it.
pub(crate) struct Cache<'m> {
    context: LlamaContext<'m>,
    adapters: Adapters,
    /// The adapter that the tokens are computed with.
    adapter: Adapter,
    batch: LlamaBatch<'static>,
    cores: Cores,
    size: Size,
    /// All tokens in the context, in order of their positions.
    tokens: Vec<u32>,
    /// Of these, how many leading ones were computed in whole chunks.
    whole: usize,
    /// Where the last token of the last batch stands in it.
    last: Option<i32>,
    counters: Arc<Counters>,
}

impl<'m> Cache<'m> {
    /// A cache of a size that the context was made for.
    pub(crate) fn new(
        context: LlamaContext<'m>,
        adapters: Adapters,
        cores: Cores,
        size: Size,
        counters: Arc<Counters>,
    ) -> Self {
        let (batch, tokens) = (LlamaBatch::new(size.chunk, 1), Vec::new());
        Cache { context, adapters, adapter: None, batch, cores, size, tokens, whole: 0, last: None, counters }
    }

    /// Keeps what the cache shares with a new prompt and drops the rest: all of it where another adapter is asked for. Tells how many
    /// tokens that saves; at least one is left to compute.
    pub(crate) fn reuse(&mut self, prompt: &[u32], adapter: Adapter) -> usize {
        if adapter != self.adapter {
            self.keep(0);
            self.adapter = adapter;
        }
        let shared = self.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        if self.size.goes_on && shared == self.tokens.len() && shared < prompt.len() {
            return shared;
        }
        let shared = shared.min(self.whole).min(prompt.len().saturating_sub(1));
        self.keep(shared - shared % self.size.chunk);
        self.tokens.len()
    }

    /// Drops what no later request can reuse, and so frees its cells.
    pub(crate) fn trim(&mut self) {
        if !self.size.goes_on {
            self.keep(self.whole);
        }
    }

    /// Computes one chunk of `tokens`, the first ones, and tells how many those were.
    pub(crate) fn feed(&mut self, tokens: &[u32]) -> Result<usize, ModelError> {
        let start = self.tokens.len();
        let tokens = &tokens[..tokens.len().min(self.size.chunk)];
        if tokens.is_empty() || start + tokens.len() > self.size.capacity {
            return Err(defect(format!(
                "{} tokens after {start} do not fit into {}",
                tokens.len(),
                self.size.capacity
            )));
        }
        self.batch.clear();
        for (at, &token) in tokens.iter().enumerate() {
            let token = token_of(token).ok_or_else(|| defect(format!("there is no token {token}")))?;
            let position = i32::try_from(start + at).map_err(|error| defect(error.to_string()))?;
            self.batch
                .add(token, position, &[SEQUENCE], at + 1 == tokens.len())
                .map_err(|error| defect(error.to_string()))?;
        }
        let turn = self.cores.take();
        let started = Instant::now();
        self.adapters.put_on(self.adapter, &mut self.context)?;
        let decoded = self.context.decode(&mut self.batch);
        self.counters.decoded(tokens.len(), started.elapsed());
        drop(turn);
        if let Err(error) = decoded {
            self.clear();
            let retryable = error == DecodeError::NoKvCacheSlot;
            return Err(ModelError::Backend { message: format!("llama.cpp: {error}"), retryable });
        }
        self.tokens.extend_from_slice(tokens);
        self.counters.cached_tokens.store(self.tokens.len() as u64, Ordering::Relaxed);
        self.last = Some(self.batch.n_tokens() - 1);
        if start == self.whole && tokens.len() == self.size.chunk {
            self.whole = self.tokens.len();
        }
        Ok(tokens.len())
    }

    /// The logits after the last token; empty before any was computed.
    pub(crate) fn logits(&self) -> &[f32] {
        self.last.map_or(&[], |last| self.context.get_logits_ith(last))
    }

    fn keep(&mut self, length: usize) {
        if length == self.tokens.len() {
            return;
        }
        self.last = None;
        // Recurrent models cannot remove a part; they say so, and start again.
        let removed = u32::try_from(length).is_ok_and(|length| {
            matches!(self.context.clear_kv_cache_seq(Some(SEQUENCE.unsigned_abs()), Some(length), None), Ok(true))
        });
        if !removed {
            return self.clear();
        }
        self.tokens.truncate(length);
        self.whole = self.whole.min(length);
    }

    fn clear(&mut self) {
        self.context.clear_kv_cache();
        self.tokens.clear();
        self.whole = 0;
        self.last = None;
    }
}

fn defect(message: String) -> ModelError {
    ModelError::Backend { message, retryable: false }
}
