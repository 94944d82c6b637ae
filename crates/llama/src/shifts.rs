//! Which adapter is computed with next. A batch is computed with one, so that who asks for another one waits meanwhile.

use std::collections::HashMap;

use crate::adapter::Adapter;

/// Batches of a turn at most. To put on another adapter takes some time, so that it is not done for each token.
const BATCHES: usize = 4;

/// Whose turn it is among adapters: the one whose last turn is longest ago. A turn is a few small batches, or a large one.
#[derive(Debug)]
pub(crate) struct Shifts {
    /// Tokens of a turn.
    turn: usize,
    on: Adapter,
    /// How many of them are left.
    left: usize,
    /// When each was last on, counted in batches.
    last: HashMap<Adapter, u64>,
    now: u64,
}

impl Shifts {
    /// Turns of so many tokens, while others are waited for.
    pub(crate) fn new(turn: usize) -> Self {
        Shifts { turn, on: None, left: turn, last: HashMap::new(), now: 0 }
    }

    /// The adapter that the next batch is computed with, after one of so many tokens: one of those that are asked for. What was asked
    /// for first is told first.
    pub(crate) fn next(&mut self, asked: impl Iterator<Item = Adapter> + Clone, computed: usize) -> Adapter {
        let others = asked.clone().any(|adapter| adapter != self.on);
        self.left = match others {
            true => self.left.saturating_sub(computed.max(self.turn.div_ceil(BATCHES))),
            false => self.turn,
        };
        let stays = self.left > 0 && asked.clone().any(|adapter| adapter == self.on);
        if !stays && let Some(next) = asked.min_by_key(|adapter| self.last.get(adapter).copied().unwrap_or(0)) {
            (self.on, self.left) = (next, self.turn);
        }
        self.now += 1;
        self.last.insert(self.on, self.now);
        self.on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Adapter; 3] = [None, Some(0), Some(1)];

    fn turns(shifts: &mut Shifts, asked: &[Adapter], batches: usize, tokens: usize) -> Vec<Adapter> {
        (0..batches).map(|_| shifts.next(asked.iter().copied(), tokens)).collect()
    }

    #[test]
    fn no_adapter_starves_and_none_is_changed_for_each_token() {
        for (tokens, changes) in [(5, 120 / BATCHES), (64, 120)] {
            let turns = turns(&mut Shifts::new(64), &ALL, 120, tokens);
            for adapter in ALL {
                let of = turns.iter().filter(|turn| **turn == adapter).count();
                assert!(of.abs_diff(40) <= BATCHES, "{of} batches with {adapter:?}");
            }
            let changed = turns.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(changed.abs_diff(changes) <= 1, "{changed} changes with {tokens} tokens in a batch");
        }
    }

    #[test]
    fn who_comes_and_goes_does_not_overtake_who_waits() {
        let mut shifts = Shifts::new(64);
        turns(&mut shifts, &[Some(2)], 1, 1);
        // Two of which one is always new, and one that waits.
        let mut waited = 0;
        for n in 0..40 {
            let turn = shifts.next([Some(n % 2), Some(2)].into_iter(), 1);
            waited = if turn == Some(2) { 0 } else { waited + 1 };
            assert!(waited <= 2 * BATCHES, "{waited} batches");
        }
    }

    #[test]
    fn alone_it_stays_and_then_gives_way_to_who_comes() {
        let mut shifts = Shifts::new(64);
        assert_eq!(turns(&mut shifts, &[Some(3)], 100, 64), vec![Some(3); 100]);
        let turns = turns(&mut shifts, &[Some(3), None], 2 * BATCHES, 1);
        let given = turns.iter().position(Option::is_none).unwrap();
        assert!(given < BATCHES, "{turns:?}");
        assert_eq!(turns.last(), Some(&Some(3)));
    }
}
