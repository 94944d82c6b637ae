//! A context with many sequences in one cache, and the batch that is computed next.

use llama_cpp_2::DecodeError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::session::{LlamaStateSeqFlags, SeqState};
use llama_cpp_2::llama_batch::LlamaBatch;
use parkway_core::model::ModelError;

use crate::adapter::{Adapter, Adapters};
use crate::tokenizer::token_of;
use crate::tree::Seq;
use crate::turns::{Cores, Turn};

/// How large a context is, and how much it computes at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Tokens that all sequences hold together.
    pub(crate) cells: usize,
    /// Sequences at once.
    pub(crate) sequences: Seq,
    /// Tokens of a batch.
    pub(crate) rows: usize,
    /// Tokens of prompts among them.
    pub(crate) chunk: usize,
    /// Whether attention is computed in tiles; see [`reading`](crate::reading).
    pub(crate) tiles: bool,
    /// Tokens that may rest while others are computed.
    pub(crate) rests: usize,
    /// Whether each sequence has a twin, which holds the same cells. Where attention slides, llama.cpp gives the cells of a sequence
    /// that its next token does not see to others, also those that somebody may yet share; what two sequences hold it leaves alone.
    pub(crate) twins: bool,
}

impl Size {
    /// The sequences of the context that hold what a sequence holds.
    fn held_by(self, seq: Seq) -> impl Iterator<Item = Seq> {
        std::iter::once(seq).chain(self.twins.then_some(seq + self.sequences))
    }
}

/// The context. What it is asked for is checked first, because llama.cpp ends the process where it is asked for nonsense.
pub(crate) struct Batch<'m> {
    context: LlamaContext<'m>,
    adapters: Adapters,
    /// The adapter that the batch is computed with.
    adapter: Adapter,
    batch: LlamaBatch<'static>,
    cores: Cores,
    pub(crate) size: Size,
}

impl<'m> Batch<'m> {
    /// A batch for a context that was made for as much.
    pub(crate) fn new(context: LlamaContext<'m>, adapters: Adapters, cores: Cores, size: Size) -> Self {
        Batch { context, adapters, adapter: None, batch: LlamaBatch::new(size.rows, 2), cores, size }
    }

    /// Begins a batch of sequences that are computed with this adapter.
    pub(crate) fn begin(&mut self, adapter: Adapter) {
        self.batch.clear();
        self.adapter = adapter;
    }

    /// Rows in the batch.
    pub(crate) fn rows(&self) -> usize {
        usize::try_from(self.batch.n_tokens()).unwrap_or_default()
    }

    /// Adds a token at its position in a sequence, and gives its row.
    pub(crate) fn add(&mut self, seq: Seq, position: usize, token: u32, logits: bool) -> Result<i32, ModelError> {
        let defect = |what: String| ModelError::Backend { message: what, retryable: false };
        if !(0..self.size.sequences).contains(&seq) || position >= self.size.cells {
            return Err(defect(format!("sequence {seq}, position {position}: out of the context")));
        }
        let token = token_of(token).ok_or_else(|| defect(format!("there is no token {token}")))?;
        let at = i32::try_from(position).map_err(|error| defect(error.to_string()))?;
        let row = self.batch.n_tokens();
        let pair = [seq, seq + self.size.sequences];
        let seqs = if self.size.twins { &pair[..] } else { &pair[..1] };
        self.batch.add(token, at, seqs, logits).map_err(|error| defect(error.to_string()))?;
        Ok(row)
    }

    /// Waits until it may be computed.
    pub(crate) fn turn(&self) -> Turn {
        self.cores.take()
    }

    /// Computes the batch.
    pub(crate) fn decode(&mut self) -> Result<(), ModelError> {
        self.adapters.put_on(self.adapter, &mut self.context)?;
        self.context.decode(&mut self.batch).map_err(|error| {
            let retryable = error == DecodeError::NoKvCacheSlot;
            ModelError::Backend { message: format!("llama.cpp: {error}"), retryable }
        })
    }

    /// The logits of a row of the batch that was computed last, which were asked for.
    pub(crate) fn logits(&self, row: i32) -> &[f32] {
        self.context.get_logits_ith(row)
    }

    /// Lets a sequence begin with so many tokens of another one. That takes no cells and no time worth a word.
    pub(crate) fn share(&mut self, from: Seq, to: Seq, tokens: usize) -> Result<(), ModelError> {
        let end = u32::try_from(tokens).ok();
        self.size.held_by(to).try_for_each(|to| {
            let copied = self.context.copy_kv_cache_seq(from, to, Some(0), end);
            copied.map_err(|error| ModelError::Backend { message: error.to_string(), retryable: false })
        })
    }

    /// A copy of what a sequence holds, where llama.cpp gives one.
    pub(crate) fn copy_out(&self, seq: Seq) -> Option<SeqState> {
        self.context.state_seq_get(seq, LlamaStateSeqFlags::empty()).ok()
    }

    /// Copies the first `tokens` tokens of what a sequence held back, into one that holds nothing. Whether that was done.
    pub(crate) fn copy_in(&mut self, state: &SeqState, seq: Seq, tokens: usize) -> bool {
        let end = u32::try_from(tokens).ok();
        let copied = self.context.state_seq_set(state, seq).is_ok()
            && matches!(self.context.clear_kv_cache_seq(Some(seq.unsigned_abs()), end, None), Ok(true));
        if !copied {
            self.remove(seq);
        }
        copied
    }

    /// Frees the cells that only this sequence has.
    pub(crate) fn remove(&mut self, seq: Seq) {
        // A whole sequence can always be removed, and the number is one of ours.
        for seq in self.size.held_by(seq) {
            let _ = self.context.clear_kv_cache_seq(Some(seq.unsigned_abs()), None, None);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.context.clear_kv_cache();
    }
}
