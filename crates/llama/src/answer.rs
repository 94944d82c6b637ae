//! One answer, from the prompt's tokens to the last of its own.

use std::sync::atomic::{AtomicBool, Ordering};

use parkway_core::model::{ChatEnd, Delta, DeltaSender, FinishReason, ModelError, Usage};

use crate::cache::Cache;
use crate::constraint::Guide;
use crate::sampler::Sampler;
use crate::text::TextBuffer;
use crate::tokenizer::Tokenizer;

/// All that is needed to decode one answer.
pub(crate) struct Task<'a> {
    pub(crate) prompt: Vec<u32>,
    pub(crate) guide: Option<Guide>,
    pub(crate) sampler: Sampler,
    pub(crate) max_tokens: usize,
    pub(crate) deltas: &'a DeltaSender,
    /// Set when the model is shut down.
    pub(crate) stop: &'a AtomicBool,
}

/// An answer that is being decoded.
struct Answer<'a, 'm> {
    task: Task<'a>,
    tokenizer: &'a Tokenizer,
    cache: &'a mut Cache<'m>,
    text: TextBuffer,
    tokens: Vec<u32>,
    forced: usize,
    cached: usize,
}

/// Decodes an answer and sends its pieces; the end is for the caller to send.
pub(crate) fn decode(task: Task<'_>, tokenizer: &Tokenizer, cache: &mut Cache<'_>) -> Result<ChatEnd, ModelError> {
    let text = TextBuffer::default();
    Answer { task, tokenizer, cache, text, tokens: Vec::new(), forced: 0, cached: 0 }.run()
}

impl Answer<'_, '_> {
    fn run(mut self) -> Result<ChatEnd, ModelError> {
        // What the constraint forces at the start joins the prompt; it may even be the whole answer.
        let mut next = self.take_forced()?;
        if self.is_complete() {
            return self.end(FinishReason::Stop);
        }
        self.prefill(&next)?;
        while self.tokens.len() < self.task.max_tokens {
            let Some(token) = self.sample()? else { return self.end(FinishReason::Stop) };
            next = match &mut self.task.guide {
                Some(guide) => vec![guide.accept(token)?],
                None => vec![token],
            };
            self.take(&next)?;
            next.extend(self.take_forced()?);
            if self.is_complete() {
                return self.end(FinishReason::Stop);
            }
            if self.tokens.len() < self.task.max_tokens {
                self.feed(&next)?;
            }
        }
        match self.task.guide {
            Some(_) => Err(ModelError::Cut { tokens: count(self.tokens.len()) }),
            None => self.end(FinishReason::Length),
        }
    }

    /// Computes the prompt, as far as it is not in the cache, and these first tokens of the answer.
    fn prefill(&mut self, first: &[u32]) -> Result<(), ModelError> {
        let total = self.task.prompt.len();
        self.cached = self.cache.reuse(&self.task.prompt);
        let mut done = self.cached;
        self.send(Delta::Prefill { done: count(done), total: count(total) })?;
        let all: Vec<u32> = self.task.prompt.iter().chain(first).copied().collect();
        while done < all.len() {
            self.check()?;
            done += self.cache.feed(&all[done..])?;
            self.send(Delta::Prefill { done: count(done.min(total)), total: count(total) })?;
        }
        Ok(())
    }

    fn feed(&mut self, tokens: &[u32]) -> Result<(), ModelError> {
        let mut done = 0;
        while done < tokens.len() {
            self.check()?;
            done += self.cache.feed(&tokens[done..])?;
        }
        Ok(())
    }

    /// The next token; `None` when the answer ends here.
    fn sample(&mut self) -> Result<Option<u32>, ModelError> {
        let allowed = self.task.guide.as_mut().map(Guide::allowed).transpose()?;
        let token = self.task.sampler.pick(self.cache.logits(), allowed.as_ref()).ok_or_else(|| {
            ModelError::Backend { message: "the model gave no usable logits".into(), retryable: false }
        })?;
        Ok((!self.tokenizer.ends(token)).then_some(token))
    }

    /// Takes the tokens that the constraint leaves no choice about into the answer.
    fn take_forced(&mut self) -> Result<Vec<u32>, ModelError> {
        let Some(guide) = &mut self.task.guide else { return Ok(Vec::new()) };
        let forced = guide.take_forced()?;
        self.take(&forced)?;
        self.forced += forced.len();
        Ok(forced)
    }

    /// Adds tokens to the answer and sends the text that is whole.
    fn take(&mut self, tokens: &[u32]) -> Result<(), ModelError> {
        if self.tokens.len() + tokens.len() > self.task.max_tokens {
            return Err(ModelError::Cut { tokens: count(self.task.max_tokens) });
        }
        let mut text = String::new();
        for &token in tokens {
            text.push_str(&self.text.push(&self.tokenizer.bytes(token)));
        }
        self.tokens.extend_from_slice(tokens);
        if text.is_empty() { self.check() } else { self.send(Delta::Text(text)) }
    }

    fn is_complete(&self) -> bool {
        self.task.guide.as_ref().is_some_and(Guide::is_complete)
    }

    fn end(mut self, finish: FinishReason) -> Result<ChatEnd, ModelError> {
        let rest = std::mem::take(&mut self.text).finish();
        if !rest.is_empty() {
            self.send(Delta::Text(rest))?;
        }
        let usage = Usage {
            prompt_tokens: count(self.task.prompt.len()),
            cached_tokens: count(self.cached),
            output_tokens: count(self.tokens.len()),
            forced_tokens: count(self.forced),
        };
        let grammar = self.task.guide.map(|guide| guide.hash().to_owned());
        Ok(ChatEnd { finish, usage, tokens: self.tokens, grammar })
    }

    fn send(&self, delta: Delta) -> Result<(), ModelError> {
        self.check()?;
        if self.task.deltas.blocking_send(Ok(delta)) { Ok(()) } else { Err(ModelError::Cancelled) }
    }

    fn check(&self) -> Result<(), ModelError> {
        let cancelled = self.task.deltas.is_closed() || self.task.stop.load(Ordering::Relaxed);
        if cancelled { Err(ModelError::Cancelled) } else { Ok(()) }
    }
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
