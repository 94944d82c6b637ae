//! How often a failed attempt is tried again, and after which delay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A step's retry policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Retry {
    /// Retries after the first attempt.
    pub max: u32,
    /// The first delay, in milliseconds.
    pub initial_ms: u64,
    /// How much longer each delay is than the one before, in hundredths.
    pub factor_percent: u32,
    /// The longest delay, in milliseconds.
    pub limit_ms: u64,
    /// Only errors with these codes; all retryable ones if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
}

impl Retry {
    /// `max` retries, after 500 ms, 1 s, 2 s … at most 30 s.
    pub fn times(max: u32) -> Self {
        Retry { max, initial_ms: 500, factor_percent: 200, limit_ms: 30_000, on: Vec::new() }
    }

    /// The delay before the next attempt after `failures` failed ones, without jitter; `None` when there is none.
    /// An error whose code is listed under `on` is retried even if it is not marked retryable.
    pub fn delay(&self, failures: u32, code: &str, retryable: bool) -> Option<Duration> {
        let listed = self.on.iter().any(|on| on == code);
        if failures > self.max || !(listed || (retryable && self.on.is_empty())) {
            return None;
        }
        let factor = f64::from(self.factor_percent) / 100.0;
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let millis = Duration::from_millis(self.initial_ms).as_secs_f64() * factor.powi(exponent);
        let limit = Duration::from_millis(self.limit_ms);
        Some(Duration::try_from_secs_f64(millis).unwrap_or(limit).min(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_limit_and_end() {
        let retry = Retry { limit_ms: 1_500, ..Retry::times(3) };
        let delays: Vec<_> = (1..=4).map(|n| retry.delay(n, "x", true).map(|d| d.as_millis())).collect();
        assert_eq!(delays, [Some(500), Some(1_000), Some(1_500), None]);
    }

    #[test]
    fn an_error_that_will_come_again_is_not_retried() {
        assert_eq!(Retry::times(3).delay(1, "invalid", false), None);
        let listed = Retry { on: vec!["invalid".into()], ..Retry::times(3) };
        assert!(listed.delay(1, "invalid", false).is_some());
        assert_eq!(listed.delay(1, "other", true), None);
    }
}
