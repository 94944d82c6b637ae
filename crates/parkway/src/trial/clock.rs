//! A clock that goes with the runtime's own, which stands still while anything can be done, and that jumps when told to.

use std::sync::Mutex;
use std::time::Duration;

use parkway_core::clock::Clock;
use parkway_core::id::Time;
use parkway_core::testing::FakeClock;
use tokio::time::Instant;

/// Two of them give the same times and the same chance.
#[derive(Debug)]
pub(super) struct JumpClock {
    chance: FakeClock,
    began: Instant,
    jumped: Mutex<Duration>,
}

impl JumpClock {
    pub(super) fn new() -> Self {
        JumpClock { chance: FakeClock::default(), began: Instant::now(), jumped: Mutex::default() }
    }

    /// Goes on to `time`, if that is later.
    pub(super) fn jump_to(&self, time: Time) {
        let missing = time.since(self.now());
        if let Ok(mut jumped) = self.jumped.lock() {
            *jumped += missing;
        }
    }
}

impl Clock for JumpClock {
    fn now(&self) -> Time {
        let jumped = self.jumped.lock().map(|jumped| *jumped).unwrap_or_default();
        self.chance.now().after(self.began.elapsed() + jumped)
    }

    fn jitter(&self, most: Duration) -> Duration {
        self.chance.jitter(most)
    }

    fn random(&self) -> [u8; 16] {
        self.chance.random()
    }
}
