//! Whose turn it is: several runs share a model evenly, however much each of them asks.

use std::collections::HashMap;

use parkway_core::id::RunId;

/// How much was done for each run, counted in tokens of prompts. Whoever had least is next; one that is new, or comes back, begins
/// with as much as the one that has least of those that ask, so that nobody can save up turns.
#[derive(Debug, Default)]
pub(crate) struct Fairness {
    served: HashMap<Option<RunId>, u64>,
}

impl Fairness {
    /// Says which runs ask for something now; the others are forgotten.
    pub(crate) fn asking(&mut self, runs: impl Iterator<Item = Option<RunId>> + Clone) {
        let least = runs.clone().filter_map(|run| self.served.get(&run).copied()).min().unwrap_or(0);
        self.served = runs.map(|run| (run, self.served.get(&run).copied().unwrap_or(least))).collect();
    }

    /// Counts what is done for a run.
    pub(crate) fn serve(&mut self, run: Option<RunId>, tokens: usize) {
        *self.served.entry(run).or_default() += tokens as u64;
    }

    /// How much was done for a run.
    pub(crate) fn served(&self, run: Option<RunId>) -> u64 {
        self.served.get(&run).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(n: u8) -> Option<RunId> {
        Some(format!("00000000-0000-7000-8000-0000000000{n:02}").parse().unwrap())
    }

    #[test]
    fn who_had_least_is_next_and_nobody_saves_up_turns() {
        let (a, b, c) = (run(1), run(2), run(3));
        let mut fairness = Fairness::default();
        fairness.asking([a, b].into_iter());
        fairness.serve(a, 100);
        assert!(fairness.served(b) < fairness.served(a));
        fairness.serve(b, 150);
        // One that comes late is not owed what the others had.
        fairness.asking([a, b, c].into_iter());
        assert_eq!((fairness.served(a), fairness.served(b), fairness.served(c)), (100, 150, 100));
        // Who went away and comes back neither.
        fairness.asking([b].into_iter());
        fairness.serve(b, 1_000);
        fairness.asking([a, b].into_iter());
        assert_eq!(fairness.served(a), 1_150);
    }
}
