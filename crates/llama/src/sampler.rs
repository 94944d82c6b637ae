//! Chooses the next token among those that are allowed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use toktrie::SimpleVob;

/// Samples tokens at one temperature from one stream of random numbers.
///
/// Temperature 0 takes the most probable token, the lower id among equals. Above 0 it draws from the softmax of the
/// logits divided by the temperature, over the allowed ids only, with one number of ChaCha8 a token: that generator's
/// output is fixed for all versions and platforms, so that a recorded seed stays good. There is no top-k or top-p.
#[derive(Debug)]
pub(crate) struct Sampler {
    temperature: f32,
    random: ChaCha8Rng,
}

impl Sampler {
    /// A sampler; `temperature` is finite and not negative.
    pub(crate) fn new(temperature: f32, seed: u64) -> Self {
        Sampler { temperature, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The next token; `None` when no allowed token has a usable logit. `allowed: None` allows all.
    pub(crate) fn pick(&mut self, logits: &[f32], allowed: Option<&SimpleVob>) -> Option<u32> {
        let mut candidates = Vec::new();
        let mut add = |token: usize| match logits.get(token) {
            Some(&logit) if logit.is_finite() => candidates.push((token, logit)),
            _ => {}
        };
        match allowed {
            Some(allowed) => allowed.iter_set_entries(&mut add),
            None => (0..logits.len()).for_each(&mut add),
        }
        let (best, top) = candidates.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        let token = if self.temperature == 0.0 { best } else { self.draw(&candidates, top)? };
        u32::try_from(token).ok()
    }

    fn draw(&mut self, candidates: &[(usize, f32)], top: f32) -> Option<usize> {
        let temperature = f64::from(self.temperature);
        let weight = |logit: f32| (f64::from(logit - top) / temperature).exp();
        let sum: f64 = candidates.iter().map(|&(_, logit)| weight(logit)).sum();
        let mut left = self.unit() * sum;
        for &(token, logit) in candidates {
            left -= weight(logit);
            if left < 0.0 {
                return Some(token);
            }
        }
        // Rounding may leave a crumb over; it belongs to the last token that had any weight.
        candidates.iter().rev().find(|&&(_, logit)| weight(logit) > 0.0).map(|&(token, _)| token)
    }

    /// A number in `0.0..1.0`, from the upper 53 bits.
    fn unit(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(tokens: &[u32]) -> SimpleVob {
        let mut set = SimpleVob::alloc(4);
        tokens.iter().for_each(|&token| set.allow_token(token));
        set
    }

    #[test]
    fn temperature_zero_takes_the_best_allowed_token() {
        let mut sampler = Sampler::new(0.0, 7);
        assert_eq!(sampler.pick(&[1.0, 3.0, 3.0, 2.0], None), Some(1));
        assert_eq!(sampler.pick(&[1.0, 3.0, 3.0, 2.0], Some(&only(&[0, 3]))), Some(3));
    }

    #[test]
    fn nothing_usable_is_none_and_not_a_wrong_token() {
        let mut sampler = Sampler::new(0.8, 7);
        assert_eq!(sampler.pick(&[1.0, 2.0, 1.0, 1.0], Some(&only(&[]))), None);
        assert_eq!(sampler.pick(&[f32::NAN, f32::NEG_INFINITY], None), None);
        assert_eq!(sampler.pick(&[f32::NAN, 0.0], None), Some(1));
    }

    #[test]
    fn a_recorded_seed_gives_the_same_tokens_in_later_versions() {
        let draw = |seed| {
            let mut sampler = Sampler::new(1.0, seed);
            (0..12).map(|_| sampler.pick(&[0.0, 1.0, 0.5, -1.0], None).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(draw(1), [1, 0, 1, 1, 1, 2, 1, 0, 2, 2, 1, 1]);
    }

    #[test]
    fn draws_follow_the_softmax_over_allowed_tokens() {
        let mut sampler = Sampler::new(0.5, 3);
        let logits = [0.0, 9.0, (3.0f32).ln() / 2.0, 9.0];
        let twos = (0..4000).filter(|_| sampler.pick(&logits, Some(&only(&[0, 2]))) == Some(2)).count();
        // At temperature 0.5 the odds are 3 to 1.
        assert!((2880..3120).contains(&twos), "{twos}");
    }
}
