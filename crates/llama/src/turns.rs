//! One budget of cores for all models of this process, so that two that are busy do not compute at the same time on the same cores.
//!
//! llama.cpp's threads wait for each other by spinning, many times in each batch. Where there are more of them than cores, one that is
//! waited for may not be running, and the others spin for nothing: two busy models together are then many times slower than one
//! after the other. So a batch takes a core for each of its threads, for as long as it is computed, in the order in which batches
//! ask: models alternate, and those whose threads fit beside each other compute at once. What a GPU computes takes none.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::config::cores;

static BUDGET: Budget = Budget::new();

/// How many cores a model's batches take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores(usize);

impl Cores {
    /// Those of a model that computes on a GPU alone.
    pub(crate) const NONE: Cores = Cores(0);

    /// One for each of so many threads, and never more than there are.
    pub(crate) fn of(threads: usize) -> Self {
        Cores(threads.min(cores()))
    }

    /// Waits for its turn, which ends when it is dropped. To be held for one batch.
    pub(crate) fn take(self) -> Turn {
        BUDGET.take(self.0, cores());
        Turn(self)
    }
}

/// The right to compute.
#[derive(Debug)]
#[must_use]
pub(crate) struct Turn(Cores);

impl Drop for Turn {
    fn drop(&mut self) {
        BUDGET.give(self.0.0);
    }
}

struct Budget {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    taken: usize,
    /// The number that who asks next draws.
    next: u64,
    /// The number whose turn it is.
    now: u64,
}

impl Budget {
    const fn new() -> Self {
        Budget { state: Mutex::new(State { taken: 0, next: 0, now: 0 }), changed: Condvar::new() }
    }

    fn take(&self, wanted: usize, all: usize) {
        if wanted == 0 {
            return;
        }
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        // Who came first is first, also where another one would fit.
        while state.now != number || state.taken + wanted > all {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.taken += wanted;
        state.now += 1;
        drop(state);
        self.changed.notify_all();
    }

    fn give(&self, taken: usize) {
        if taken > 0 {
            self.state().taken -= taken;
            self.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn more_is_taken_than_there_is() {
        let (budget, busy) = (Budget::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for wanted in [1, 2, 3, 4, 1, 2] {
                let (budget, busy) = (&budget, &busy);
                scope.spawn(move || {
                    for _ in 0..200 {
                        budget.take(wanted, 4);
                        assert!(busy.fetch_add(wanted, Ordering::SeqCst) + wanted <= 4);
                        thread::yield_now();
                        busy.fetch_sub(wanted, Ordering::SeqCst);
                        budget.give(wanted);
                    }
                });
            }
        });
        let state = budget.state();
        assert_eq!((state.taken, state.next, state.now), (0, 1_200, 1_200));
    }

    #[test]
    fn who_asks_again_at_once_overtakes_who_waits() {
        let budget = Arc::new(Budget::new());
        budget.take(2, 2);
        let waiting = {
            let budget = Arc::clone(&budget);
            thread::spawn(move || {
                budget.take(2, 2);
                thread::sleep(Duration::from_millis(20));
                budget.give(2);
            })
        };
        while budget.state().next < 2 {
            thread::yield_now();
        }
        budget.give(2);
        budget.take(1, 2);
        // It had its turn before this one got one.
        assert_eq!(budget.state().taken, 1);
        waiting.join().unwrap();
    }
}
