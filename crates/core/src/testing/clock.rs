//! A clock that moves only when it is told to, with randomness that repeats.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::id::{Digest, Time};

/// A [`Clock`] for tests. Two of them with the same start give the same times, jitters and random bytes.
#[derive(Debug)]
pub struct FakeClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: Time,
    drawn: u64,
    tick: Duration,
    pace: Option<Instant>,
}

impl FakeClock {
    /// A clock that stands at `start`.
    pub fn new(start: Time) -> Self {
        FakeClock { state: Mutex::new(State { now: start, drawn: 0, tick: Duration::ZERO, pace: None }) }
    }

    /// Makes the clock go forward by `tick` at each look.
    #[must_use]
    pub fn ticking(self, tick: Duration) -> Self {
        self.with(|state| state.tick = tick);
        self
    }

    /// Makes the clock go as the time of tokio's runtime does from now on. Where a test has paused that, waiting for a day
    /// takes no time.
    #[must_use]
    pub fn paced(self) -> Self {
        self.with(|state| state.pace = Some(Instant::now()));
        self
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.with(|state| state.now = state.now.after(by));
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut state)
    }
}

impl Default for FakeClock {
    /// A clock that stands at 2027-01-01T00:00:00Z.
    fn default() -> Self {
        FakeClock::new(Time::from_micros(1_798_761_600_000_000))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Time {
        self.with(|state| {
            state.now = state.now.after(state.tick);
            state.now.after(state.pace.map_or(Duration::ZERO, |since| since.elapsed()))
        })
    }

    fn jitter(&self, most: Duration) -> Duration {
        most / 2
    }

    fn random(&self) -> [u8; 16] {
        let drawn = self.with(|state| {
            state.drawn += 1;
            state.drawn
        });
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::of(&[b"fake clock", &drawn.to_le_bytes()]).as_bytes()[..16]);
        bytes
    }
}
