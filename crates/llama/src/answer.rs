//! One answer, from its first token to its last. It is told what the model says and tells what the model reads next; who runs
//! the model, alone or with others in a batch, is not its business.

use std::sync::Arc;
use std::time::Instant;

use parkway_core::model::{ChatEnd, Delta, DeltaSender, FinishReason, ModelError, Usage};
use toktrie::SimpleVob;

use crate::constraint::{Guide, Tries};
use crate::logprobs::Logprobs;
use crate::sampler::{Picked, Sampler};
use crate::speech::Speech;
use crate::stats::Counters;
use crate::tokenizer::Tokenizer;

/// How many tokens are tried in place of one that the tokenizer would write otherwise.
const RESPELLINGS: usize = 32;

/// An answer that is being decoded.
pub(crate) struct Answer {
    tokenizer: Arc<Tokenizer>,
    guide: Option<Guide>,
    /// What the constraint allows next, where that was found out ahead.
    allowed: Option<Result<SimpleVob, ModelError>>,
    sampler: Sampler,
    logprobs: Option<Logprobs>,
    /// The least sure that the model was in a choice that the constraint left it.
    confidence: Option<f32>,
    deltas: DeltaSender,
    counters: Arc<Counters>,
    speech: Speech,
    prompt: usize,
    max_tokens: usize,
    tokens: Vec<u32>,
    forced: usize,
    cached: usize,
    /// The last notice of how much of the prompt was read.
    noticed: usize,
}

/// What follows.
#[derive(Debug)]
pub(crate) enum Next {
    /// The model reads these tokens, and tells what it makes of the last one.
    Feed(Vec<u32>),
    /// The answer is whole.
    End(ChatEnd),
}

/// What an answer is made with.
pub(crate) struct Wanted {
    pub(crate) guide: Option<Guide>,
    pub(crate) speech: Speech,
    pub(crate) sampler: Sampler,
    pub(crate) logprobs: Option<Logprobs>,
    pub(crate) max_tokens: usize,
    pub(crate) deltas: DeltaSender,
    pub(crate) counters: Arc<Counters>,
}

impl Answer {
    /// An answer to a prompt of so many tokens.
    pub(crate) fn new(prompt: usize, wanted: Wanted, tokenizer: Arc<Tokenizer>) -> Self {
        let Wanted { guide, speech, sampler, logprobs, max_tokens, deltas, counters } = wanted;
        let (forced, cached, noticed) = (0, 0, 0);
        Answer {
            tokenizer,
            guide,
            allowed: None,
            sampler,
            logprobs,
            confidence: None,
            deltas,
            counters,
            speech,
            prompt,
            max_tokens,
            tokens: Vec::new(),
            forced,
            cached,
            noticed,
        }
    }

    /// What the constraint forces at the start joins the prompt; it may even be the whole answer.
    pub(crate) fn begin(&mut self) -> Result<Next, ModelError> {
        let forced = self.take_forced()?;
        self.after(forced)
    }

    /// Goes on by what the model makes of the last token that it was fed.
    pub(crate) fn go_on(&mut self, logits: &[f32]) -> Result<Next, ModelError> {
        if self.allowed.is_none() {
            self.look_ahead();
        }
        let mut allowed = self.allowed.take().transpose()?;
        let picked = self.pick(logits, allowed.as_mut())?.ok_or_else(|| ModelError::Backend {
            message: "the model gave no usable logits".into(),
            retryable: false,
        })?;
        let tokenizer = &self.tokenizer;
        self.confidence = match (self.confidence, picked.margin) {
            (Some(least), Some(margin)) => Some(least.min(margin)),
            (least, margin) => least.or(margin),
        };
        if tokenizer.ends(picked.token) {
            return self.end(FinishReason::Stop).map(Next::End);
        }
        let token = match &mut self.guide {
            Some(guide) => guide.accept(picked.token)?,
            None => picked.token,
        };
        if let Some(logprobs) = &mut self.logprobs {
            logprobs.sampled(token, logits, allowed.as_ref(), tokenizer);
        }
        let mut next = vec![token];
        self.take(&next)?;
        next.extend(self.take_forced()?);
        self.after(next)
    }

    /// Picks a token; `None` where there is none. Within a constraint, one that the tokenizer would write otherwise, or after which
    /// it would, is not allowed, if there is any other.
    fn pick(&mut self, logits: &[f32], allowed: Option<&mut SimpleVob>) -> Result<Option<Picked>, ModelError> {
        let Answer { sampler, tokenizer, guide, tokens, .. } = self;
        let ends = |token: u32| tokenizer.ends(token);
        let (Some(allowed), Some(guide)) = (allowed, guide) else { return Ok(sampler.pick(logits, None, ends)) };
        let Some(first) = sampler.pick(logits, Some(allowed), ends) else { return Ok(None) };
        let (mut picked, mut tries) = (first, Tries::default());
        for _ in 0..RESPELLINGS {
            let token = picked.token;
            if ends(token) || guide.spells(tokens, token, ends, &mut tries)? {
                return Ok(Some(picked));
            }
            allowed.disallow_token(token);
            match sampler.pick(logits, Some(allowed), ends) {
                Some(other) => picked = other,
                None => break,
            }
        }
        // Where none is spelled right, what was sampled is as good as any.
        Ok(Some(first))
    }

    /// Finds out what the constraint allows next. That needs no logits, so the model may be busy meanwhile.
    pub(crate) fn look_ahead(&mut self) {
        let started = Instant::now();
        self.allowed = self.guide.as_mut().map(Guide::allowed);
        if self.allowed.is_some() {
            self.counters.masked(started.elapsed());
        }
    }

    /// Whether there is anything to look ahead for.
    pub(crate) fn is_guided(&self) -> bool {
        self.guide.is_some()
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.deltas.is_closed()
    }

    /// How many tokens it may still take.
    pub(crate) fn left(&self) -> usize {
        self.max_tokens - self.tokens.len()
    }

    /// Says that so many tokens of the prompt need not be computed.
    pub(crate) fn shares(&mut self, cached: usize) {
        self.cached = cached;
        self.notice(cached);
    }

    /// Says that so many tokens are in the context, those of the prompt first. A watcher is told each `step` of them.
    pub(crate) fn reads(&mut self, done: usize, step: usize) {
        let done = done.min(self.prompt);
        if done == self.prompt && self.noticed < done || done >= self.noticed + step {
            self.notice(done);
        }
    }

    /// Sends the end, or why there is none.
    pub(crate) fn close(self, result: Result<ChatEnd, ModelError>) {
        match &result {
            Ok(end) => tracing::debug!(usage = ?end.usage, "answered"),
            Err(error) => tracing::debug!(%error, "not answered"),
        }
        self.deltas.blocking_send(result.map(Delta::Done));
    }

    fn notice(&mut self, done: usize) {
        self.noticed = done;
        // Where nobody listens, the next look finds that out.
        self.deltas.blocking_send(Ok(Delta::Prefill { done: count(done), total: count(self.prompt) }));
    }

    fn after(&mut self, next: Vec<u32>) -> Result<Next, ModelError> {
        if self.guide.as_ref().is_some_and(Guide::is_complete) {
            return self.end(FinishReason::Stop).map(Next::End);
        }
        match (self.left(), &self.guide) {
            (0, Some(_)) if self.speech.is_free() => self.end(FinishReason::Length).map(Next::End),
            (0, Some(_)) => Err(ModelError::Cut { tokens: count(self.tokens.len()) }),
            (0, None) => self.end(FinishReason::Length).map(Next::End),
            _ => Ok(Next::Feed(next)),
        }
    }

    /// Takes the tokens that the constraint leaves no choice about into the answer.
    fn take_forced(&mut self) -> Result<Vec<u32>, ModelError> {
        let Some(guide) = &mut self.guide else { return Ok(Vec::new()) };
        let forced = guide.take_forced()?;
        self.take(&forced)?;
        if let Some(logprobs) = &mut self.logprobs {
            logprobs.forced(&forced, &self.tokenizer);
        }
        self.forced += forced.len();
        Ok(forced)
    }

    /// Adds tokens to the answer and sends what they say for certain.
    fn take(&mut self, tokens: &[u32]) -> Result<(), ModelError> {
        if self.tokens.len() + tokens.len() > self.max_tokens {
            return Err(ModelError::Cut { tokens: count(self.max_tokens) });
        }
        let mut deltas = Vec::new();
        for &token in tokens {
            match self.speech.marker(token) {
                Some(marker) => self.speech.push(marker.as_bytes(), &mut deltas),
                None => self.speech.push(&self.tokenizer.bytes(token), &mut deltas),
            }
        }
        self.tokens.extend_from_slice(tokens);
        self.say(deltas)
    }

    fn end(&mut self, finish: FinishReason) -> Result<ChatEnd, ModelError> {
        let mut rest = Vec::new();
        self.speech.end(finish == FinishReason::Length, &mut rest);
        self.say(rest)?;
        let usage = Usage {
            prompt_tokens: count(self.prompt),
            cached_tokens: count(self.cached),
            output_tokens: count(self.tokens.len()),
            forced_tokens: count(self.forced),
            guessed: false,
        };
        let grammar = self.guide.as_ref().map(|guide| guide.hash().to_owned());
        Ok(ChatEnd {
            finish,
            usage,
            tokens: std::mem::take(&mut self.tokens),
            grammar,
            logprobs: self.logprobs.as_mut().map(Logprobs::take).unwrap_or_default(),
            confidence: self.confidence,
        })
    }

    /// Sends pieces of the answer, those of one kind together.
    fn say(&self, deltas: Vec<Delta>) -> Result<(), ModelError> {
        let mut joined: Vec<Delta> = Vec::new();
        for delta in deltas {
            match (joined.last_mut(), delta) {
                (Some(Delta::Text(before)), Delta::Text(text)) => before.push_str(&text),
                (Some(Delta::Thinking(before)), Delta::Thinking(text)) => before.push_str(&text),
                (_, delta) => joined.push(delta),
            }
        }
        let heard = !self.is_cancelled() && joined.into_iter().all(|delta| self.deltas.blocking_send(Ok(delta)));
        if heard { Ok(()) } else { Err(ModelError::Cancelled) }
    }
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
