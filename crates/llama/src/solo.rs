//! Answers one request after the other, so that each is, bit for bit, what it is without the others.

use std::sync::atomic::{AtomicBool, Ordering};

use parkway_core::model::{ChatEnd, ModelError};

use crate::adapter::Adapter;
use crate::answer::{Answer, Next};
use crate::cache::Cache;
use crate::worker::Request;

/// Answers a request, and sends the end of the answer.
pub(crate) fn serve(request: Request, cache: &mut Cache<'_>, stop: &AtomicBool) {
    let Request { prompt, adapter, mut answer, .. } = request;
    let result = decode(&prompt, adapter, &mut answer, cache, stop);
    cache.trim();
    answer.close(result);
}

fn decode(
    prompt: &[u32],
    adapter: Adapter,
    answer: &mut Answer,
    cache: &mut Cache<'_>,
    stop: &AtomicBool,
) -> Result<ChatEnd, ModelError> {
    let check = |answer: &Answer| match answer.is_cancelled() || stop.load(Ordering::Relaxed) {
        true => Err(ModelError::Cancelled),
        false => Ok(()),
    };
    check(answer)?;
    let mut next = answer.begin()?;
    let mut is_prompt = true;
    loop {
        let tokens = match next {
            Next::Feed(tokens) => tokens,
            Next::End(end) => return Ok(end),
        };
        // What is forced at the start is computed with the prompt.
        let tokens = if is_prompt { [prompt, &tokens].concat() } else { tokens };
        let mut done = 0;
        if is_prompt {
            done = cache.reuse(prompt, adapter);
            answer.shares(done);
        }
        while done < tokens.len() {
            check(answer)?;
            done += cache.feed(&tokens[done..])?;
            if is_prompt {
                answer.reads(done, 1);
            }
        }
        is_prompt = false;
        next = answer.go_on(cache.logits())?;
    }
}
