//! The port to time and chance, so that tests can decide both.

use std::time::Duration;

use crate::id::Time;

/// Where the engine takes the time, jitter and randomness from.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Time;

    /// A duration between zero and `most`, to spread retries.
    fn jitter(&self, most: Duration) -> Duration;

    /// Sixteen bytes that nobody can guess: salts and ids.
    fn random(&self) -> [u8; 16];
}

/// The machine's clock and the operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::from_micros(jiff::Timestamp::now().as_microsecond())
    }

    fn jitter(&self, most: Duration) -> Duration {
        let [a, b, c, d, ..] = self.random();
        most.mul_f64(f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX))
    }

    fn random(&self) -> [u8; 16] {
        // Two UUIDs of version 4: each holds 122 random bits, with fixed bits in bytes 6 and 8.
        let (mut a, b) = (*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes());
        a[6] ^= b[0];
        a[8] ^= b[1];
        a
    }
}
