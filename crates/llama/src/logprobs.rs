//! What is told of how probable an answer's tokens were.

use parkway_core::model::TokenLogprob;
use toktrie::SimpleVob;

use crate::tokenizer::Tokenizer;

/// The log-probabilities of one answer, as they were asked for.
#[derive(Debug)]
pub(crate) struct Logprobs {
    /// How many tokens are told that could have stood in the place of one.
    others: usize,
    tokens: Vec<TokenLogprob>,
}

impl Logprobs {
    pub(crate) fn new(others: u8) -> Self {
        Logprobs { others: others.into(), tokens: Vec::new() }
    }

    /// A token that was taken after the model gave these logits, when these tokens were allowed (`None`: all).
    pub(crate) fn sampled(&mut self, token: u32, logits: &[f32], allowed: Option<&SimpleVob>, tokenizer: &Tokenizer) {
        let all = log_sum_exp(logits);
        let logprob = logits.get(token as usize).map(|logit| logit - all);
        let top = best(logits, allowed, self.others);
        let top = top.into_iter().map(|(token, logit)| (text(tokenizer, token), logit - all)).collect();
        self.tokens.push(TokenLogprob { text: text(tokenizer, token), logprob, top });
    }

    /// Tokens that the model was not asked about.
    pub(crate) fn forced(&mut self, tokens: &[u32], tokenizer: &Tokenizer) {
        let forced = |&token: &u32| TokenLogprob { text: text(tokenizer, token), logprob: None, top: Vec::new() };
        self.tokens.extend(tokens.iter().map(forced));
    }

    pub(crate) fn take(&mut self) -> Vec<TokenLogprob> {
        std::mem::take(&mut self.tokens)
    }
}

fn text(tokenizer: &Tokenizer, token: u32) -> String {
    String::from_utf8_lossy(&tokenizer.bytes(token)).into_owned()
}

/// The logarithm of the sum of what the logits are logarithms of.
fn log_sum_exp(logits: &[f32]) -> f32 {
    let usable = || logits.iter().filter(|logit| logit.is_finite());
    let top = usable().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = usable().map(|logit| f64::from(logit - top).exp()).sum();
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm of at most a vocabulary")]
    let log = sum.ln() as f32;
    top + log
}

/// The `most` tokens with the highest logits among those that are allowed, the best first, the lower id among equals.
fn best(logits: &[f32], allowed: Option<&SimpleVob>, most: usize) -> Vec<(u32, f32)> {
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(most + 1);
    for (token, &logit) in (0..).zip(logits) {
        let fits = logit.is_finite() && allowed.is_none_or(|allowed| allowed.is_allowed(token));
        if fits && (best.len() < most || best.last().is_some_and(|last| logit > last.1)) {
            let at = best.partition_point(|other| other.1 >= logit);
            best.insert(at, (token, logit));
            best.truncate(most);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one() {
        let logits = [1.0, 3.0, -2.0, 0.5];
        let all = log_sum_exp(&logits);
        let sum: f32 = logits.iter().map(|logit| (logit - all).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        assert!((log_sum_exp(&[1000.0, 1000.0]) - 1000.693).abs() < 1e-3);
    }

    #[test]
    fn the_best_are_those_that_are_allowed() {
        let logits = [1.0, 3.0, f32::NAN, 3.0, 2.0];
        assert_eq!(best(&logits, None, 3), [(1, 3.0), (3, 3.0), (4, 2.0)]);
        let mut allowed = SimpleVob::alloc(5);
        [0, 2, 3].into_iter().for_each(|token| allowed.allow_token(token));
        assert_eq!(best(&logits, Some(&allowed), 3), [(3, 3.0), (0, 1.0)]);
        assert_eq!(best(&logits, None, 0), []);
    }
}
