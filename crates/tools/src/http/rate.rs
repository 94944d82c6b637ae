//! How often a host is asked: requests beyond the rate wait for their turn.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// The hosts that are remembered without a look at whether they need to be.
const MOST: usize = 1_000;

/// So many requests in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rate {
    most: NonZeroU32,
    span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Span {
    Second,
    Minute,
    Hour,
}

impl Rate {
    /// Reads `5/s`, `60/m`, `1000/h`.
    pub(super) fn parse(text: &str) -> Option<Rate> {
        let (most, span) = text.split_once('/')?;
        let span = match span {
            "s" => Span::Second,
            "m" => Span::Minute,
            "h" => Span::Hour,
            _ => return None,
        };
        Some(Rate { most: most.parse().ok()?, span })
    }

    /// Spread over the span, with no more than a tenth of them at once.
    fn quota(self) -> Quota {
        let quota = match self.span {
            Span::Second => Quota::per_second(self.most),
            Span::Minute => Quota::per_minute(self.most),
            Span::Hour => Quota::per_hour(self.most),
        };
        quota.allow_burst(NonZeroU32::new(self.most.get().div_ceil(10)).unwrap_or(NonZeroU32::MIN))
    }
}

/// The turns of each host, for each rate that was granted.
#[derive(Clone, Default)]
pub(super) struct Turns {
    limiters: Arc<Mutex<HashMap<Rate, Arc<DefaultKeyedRateLimiter<String>>>>>,
}

impl Turns {
    /// Returns when it is the turn of a request to this host.
    pub(super) async fn wait(&self, rate: Rate, host: String) {
        let limiter = {
            let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
            limiters.entry(rate).or_insert_with(|| Arc::new(RateLimiter::keyed(rate.quota()))).clone()
        };
        // Hosts whose turn is open again need not be remembered.
        if limiter.len() > MOST {
            limiter.retain_recent();
        }
        limiter.until_key_ready(&host).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn rates_are_read() {
        for text in ["", "5", "0/s", "-1/s", "5/d", "/s", "5/", "1.5/s", "5 /s", "99999999999/s"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
        assert!(Rate::parse("5/s").is_some() && Rate::parse("60/m").is_some() && Rate::parse("1000/h").is_some());
    }

    #[tokio::test]
    async fn hosts_wait_for_themselves_alone() {
        let (turns, rate) = (Turns::default(), Rate::parse("1/s").unwrap());
        let began = Instant::now();
        for _ in 0..2 {
            turns.wait(rate, "a".into()).await;
        }
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(990), "{waited:?}");
        let began = Instant::now();
        turns.wait(rate, "b".into()).await;
        assert!(began.elapsed() < Duration::from_millis(900));
    }
}
