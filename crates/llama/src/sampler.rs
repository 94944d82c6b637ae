//! Chooses the next token among those that are allowed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use toktrie::SimpleVob;

/// The most tokens that a constraint leaves for it to be a choice between few, and not free text.
const FEW: usize = 256;

/// A token that was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Picked {
    pub(crate) token: u32,
    /// How much more probable it was than the best other one, at temperature 1 among those that a constraint allowed: from 0
    /// to 1. `None` where it was no choice between few.
    pub(crate) margin: Option<f32>,
}

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

    /// The next token; `None` when no allowed token has a usable logit. `allowed: None` allows all. All tokens that end an
    /// answer, as `ends` tells, are one choice.
    pub(crate) fn pick(
        &mut self,
        logits: &[f32],
        allowed: Option<&SimpleVob>,
        ends: impl Fn(u32) -> bool,
    ) -> Option<Picked> {
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
        let token = u32::try_from(token).ok()?;
        let few = allowed.is_some() && candidates.len() <= FEW;
        Some(Picked { token, margin: if few { margin(token, &candidates, top, ends) } else { None } })
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

/// How much more probable a token is than the best of the others; `None` where there is no other.
fn margin(token: u32, candidates: &[(usize, f32)], top: f32, ends: impl Fn(u32) -> bool) -> Option<f32> {
    let (mut sum, mut own, mut end, mut other) = (0.0, 0.0, 0.0, None);
    for &(candidate, logit) in candidates {
        let candidate = u32::try_from(candidate).ok()?;
        let weight = (logit - top).exp();
        sum += weight;
        if candidate == token || (ends(candidate) && ends(token)) {
            own += weight;
        } else if ends(candidate) {
            end += weight;
        } else {
            other = Some(weight.max(other.unwrap_or(0.0)));
        }
    }
    let other = if end > 0.0 { Some(end.max(other.unwrap_or(0.0))) } else { other };
    other.map(|other| ((own - other) / sum).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(sampler: &mut Sampler, logits: &[f32], allowed: Option<&SimpleVob>) -> Option<u32> {
        sampler.pick(logits, allowed, |_| false).map(|picked| picked.token)
    }

    #[test]
    fn a_choice_between_few_says_how_sure_it_was() {
        let logits = [(0.6f32).ln(), (0.3f32).ln(), (0.06f32).ln(), (0.04f32).ln()];
        let check = |allowed: Option<&[u32]>, ends: &[u32], expect: Option<f32>| {
            let allowed = allowed.map(only);
            let picked = Sampler::new(0.0, 7).pick(&logits, allowed.as_ref(), |token| ends.contains(&token)).unwrap();
            match (picked.margin, expect) {
                (Some(found), Some(expect)) => assert!((found - expect).abs() < 1e-5, "{found} {expect}"),
                (found, expect) => assert_eq!(found, expect),
            }
        };
        check(None, &[], None);
        check(Some(&[0, 1, 2, 3]), &[], Some(0.3));
        check(Some(&[0, 3]), &[], Some(0.56 / 0.64));
        check(Some(&[0]), &[], None);
        // Two ends of an answer are one choice, against another and with the one that is taken.
        check(Some(&[0, 1, 2]), &[1, 2], Some(0.24 / 0.96));
        check(Some(&[0, 1, 2]), &[0, 1], Some(0.84 / 0.96));
        check(Some(&[0, 1]), &[0, 1], None);
    }

    fn only(tokens: &[u32]) -> SimpleVob {
        let mut set = SimpleVob::alloc(4);
        tokens.iter().for_each(|&token| set.allow_token(token));
        set
    }

    #[test]
    fn temperature_zero_takes_the_best_allowed_token() {
        let mut sampler = Sampler::new(0.0, 7);
        assert_eq!(pick(&mut sampler, &[1.0, 3.0, 3.0, 2.0], None), Some(1));
        assert_eq!(pick(&mut sampler, &[1.0, 3.0, 3.0, 2.0], Some(&only(&[0, 3]))), Some(3));
    }

    #[test]
    fn nothing_usable_is_none_and_not_a_wrong_token() {
        let mut sampler = Sampler::new(0.8, 7);
        assert_eq!(pick(&mut sampler, &[1.0, 2.0, 1.0, 1.0], Some(&only(&[]))), None);
        assert_eq!(pick(&mut sampler, &[f32::NAN, f32::NEG_INFINITY], None), None);
        assert_eq!(pick(&mut sampler, &[f32::NAN, 0.0], None), Some(1));
    }

    #[test]
    fn a_recorded_seed_gives_the_same_tokens_in_later_versions() {
        let draw = |seed| {
            let mut sampler = Sampler::new(1.0, seed);
            (0..12).map(|_| pick(&mut sampler, &[0.0, 1.0, 0.5, -1.0], None).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(draw(1), [1, 0, 1, 1, 1, 2, 1, 0, 2, 2, 1, 1]);
    }

    #[test]
    fn draws_follow_the_softmax_over_allowed_tokens() {
        let mut sampler = Sampler::new(0.5, 3);
        let logits = [0.0, 9.0, (3.0f32).ln() / 2.0, 9.0];
        let twos = (0..4000).filter(|_| pick(&mut sampler, &logits, Some(&only(&[0, 2]))) == Some(2)).count();
        // At temperature 0.5 the odds are 3 to 1.
        assert!((2880..3120).contains(&twos), "{twos}");
    }
}
