//! What had to leave the cache and may be wanted again, kept in memory outside of it.

use std::collections::VecDeque;

use crate::adapter::Adapter;

/// A beginning that is shorter is computed again as fast as it is copied back.
pub(crate) const WORTH: usize = 64;

/// Copies of what sequences held, the oldest first, of so many bytes at most.
#[derive(Debug)]
pub(crate) struct Cold<S> {
    kept: VecDeque<Kept<S>>,
    bytes: usize,
    most: usize,
}

#[derive(Debug)]
struct Kept<S> {
    /// The adapter that it was computed with.
    adapter: Adapter,
    tokens: Vec<u32>,
    state: S,
    bytes: usize,
}

impl<S> Cold<S> {
    pub(crate) fn new(most: usize) -> Self {
        Cold { kept: VecDeque::new(), bytes: 0, most }
    }

    /// Whether there is room for anything at all.
    pub(crate) fn keeps(&self) -> bool {
        self.most > 0
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a copy of these tokens would say nothing new.
    pub(crate) fn has(&self, adapter: Adapter, tokens: &[u32]) -> bool {
        self.kept.iter().any(|kept| kept.adapter == adapter && kept.tokens.starts_with(tokens))
    }

    /// Keeps a copy, in place of those that it goes on from; the oldest make room.
    pub(crate) fn keep(&mut self, adapter: Adapter, tokens: Vec<u32>, state: S, bytes: usize) {
        if bytes > self.most {
            return;
        }
        self.kept.retain(|kept| kept.adapter != adapter || !tokens.starts_with(&kept.tokens));
        self.kept.push_back(Kept { adapter, tokens, state, bytes });
        self.bytes = self.kept.iter().map(|kept| kept.bytes).sum();
        while self.bytes > self.most {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.bytes -= oldest.bytes;
        }
    }

    /// The copy that has most of a prompt's beginning, where that is worth it beside the `depth` tokens that are at hand: all its
    /// tokens, and how many of them are the prompt's. It stays the newest.
    pub(crate) fn find(&mut self, adapter: Adapter, prompt: &[u32], depth: usize) -> Option<(&[u32], &S, usize)> {
        let shared = |kept: &Kept<S>| match kept.adapter == adapter {
            true => kept.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count(),
            false => 0,
        };
        let (at, most) = self.kept.iter().map(shared).enumerate().max_by_key(|(_, shared)| *shared)?;
        if most < depth + WORTH {
            return None;
        }
        let found = self.kept.remove(at)?;
        self.kept.push_back(found);
        self.kept.back().map(|kept| (kept.tokens.as_slice(), &kept.state, most))
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(start: u32, n: u32) -> Vec<u32> {
        (start..start + n).collect()
    }

    #[test]
    fn the_longest_beginning_is_found_and_the_oldest_goes() {
        let mut cold = Cold::new(100);
        cold.keep(None, tokens(0, 100), 'a', 40);
        cold.keep(None, tokens(500, 100), 'b', 40);
        assert_eq!(
            cold.find(None, &tokens(0, 200), 0).map(|(all, state, shared)| (all.len(), *state, shared)),
            Some((100, 'a', 100))
        );
        let other = [tokens(0, 80), tokens(900, 9)].concat();
        assert_eq!(cold.find(None, &other, 10).map(|(_, state, shared)| (*state, shared)), Some(('a', 80)));
        assert!(cold.find(None, &other, 30).is_none(), "what is at hand is nearly as long");
        assert!(cold.find(None, &tokens(300, 90), 0).is_none());
        // `a` was of use since, so that `b` goes.
        cold.keep(None, tokens(700, 100), 'c', 40);
        assert_eq!(cold.bytes(), 80);
        assert!(cold.find(None, &tokens(500, 100), 0).is_none() && cold.find(None, &tokens(0, 100), 0).is_some());
    }

    #[test]
    fn what_goes_on_takes_the_place_of_its_beginning() {
        let mut cold = Cold::new(100);
        cold.keep(None, tokens(0, 100), 'a', 40);
        assert!(cold.has(None, &tokens(0, 50)) && !cold.has(None, &tokens(0, 120)));
        cold.keep(None, tokens(0, 150), 'b', 60);
        assert_eq!(cold.bytes(), 60);
        cold.keep(None, tokens(0, 200), 'c', 101);
        assert_eq!((cold.bytes(), cold.has(None, &tokens(0, 200))), (60, false), "it does not fit at all");
        cold.clear();
        assert_eq!(cold.bytes(), 0);
    }

    #[test]
    fn a_copy_is_lent_to_no_other_adapter() {
        let mut cold = Cold::new(100);
        cold.keep(Some(0), tokens(0, 100), 'a', 40);
        assert!(cold.find(None, &tokens(0, 100), 0).is_none() && !cold.has(Some(1), &tokens(0, 50)));
        // Nor does one of another adapter take its place.
        cold.keep(Some(1), tokens(0, 150), 'b', 40);
        assert_eq!(cold.find(Some(0), &tokens(0, 150), 0).map(|(_, state, shared)| (*state, shared)), Some(('a', 100)));
        assert_eq!(cold.find(Some(1), &tokens(0, 150), 0).map(|(_, state, shared)| (*state, shared)), Some(('b', 150)));
    }
}
