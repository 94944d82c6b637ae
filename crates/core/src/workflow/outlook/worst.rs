//! How long steps may take: the time limits of attempts, the delays between them, and how they add up.

use super::{Awaited, Pause, WorstTime};
use crate::workflow::graph::{ForEach, Node, Repeat, Verb, Wait};
use crate::workflow::retry::Retry;

impl WorstTime {
    pub(super) const NO_TIME: WorstTime = WorstTime { open: false, ms: 0 };
    pub(super) const NO_BOUND: WorstTime = WorstTime { open: true, ms: 0 };

    pub(super) fn then(self, next: WorstTime) -> WorstTime {
        WorstTime { open: self.open || next.open, ms: self.ms.saturating_add(next.ms) }
    }

    fn times(self, number: u64) -> WorstTime {
        WorstTime { open: self.open && number > 0, ms: self.ms.saturating_mul(number) }
    }

    /// Ended by a limit, where there is one.
    pub(super) fn within(self, limit: Option<u64>) -> WorstTime {
        match limit {
            Some(limit) => WorstTime { open: false, ms: if self.open { limit } else { self.ms.min(limit) } },
            None => self,
        }
    }

    fn of(limit: Option<u64>) -> WorstTime {
        limit.map_or(WorstTime::NO_BOUND, |ms| WorstTime { open: false, ms })
    }
}

/// What a step waits for by its own words.
pub(super) fn pause(verb: &Verb) -> Option<Pause> {
    let (awaits, limit_ms) = match verb {
        Verb::Approve { timeout_ms, .. } => (Awaited::Approval, *timeout_ms),
        Verb::Input { timeout_ms, .. } => (Awaited::Input, *timeout_ms),
        Verb::Wait(Wait::For(ms)) => (Awaited::Time, Some(*ms)),
        Verb::Wait(Wait::Until(_)) => (Awaited::Time, None),
        Verb::Wait(Wait::Signal { timeout_ms, .. }) => (Awaited::Signal, *timeout_ms),
        _ => return None,
    };
    Some(Pause { awaits, limit_ms })
}

/// The longest that one item, or one round, of a step without members takes.
pub(super) fn of_leaf(node: &Node) -> WorstTime {
    match &node.verb {
        Verb::Tool { .. } | Verb::Chat(_) => {
            let attempts = node.retry.as_ref().map_or(1, |retry| u64::from(retry.max) + 1);
            let delays = node.retry.as_ref().map_or(0, delays);
            WorstTime::of(node.timeout_ms).times(attempts).then(WorstTime { open: false, ms: delays })
        }
        Verb::Set { .. } => WorstTime::NO_TIME,
        verb => pause(verb).map_or(WorstTime::NO_BOUND, |pause| WorstTime::of(pause.limit_ms)),
    }
}

/// The delays between all attempts together. The engine lengthens each by up to a quarter, so that retries spread.
fn delays(retry: &Retry) -> u64 {
    let code = retry.on.first().map_or("", String::as_str);
    let mut total = 0_u64;
    for failures in 1..=retry.max {
        let delay = retry.delay(failures, code, true).map_or(0, |delay| u64::try_from(delay.as_millis()).unwrap_or(0));
        let delay = delay.saturating_add(delay / 4);
        // From here on all delays are alike.
        if delay >= retry.limit_ms && retry.factor_percent >= 100 {
            return total.saturating_add(delay.saturating_mul(u64::from(retry.max - failures + 1)));
        }
        total = total.saturating_add(delay);
    }
    total
}

/// All rounds of what takes so long once.
pub(super) fn rounds(once: WorstTime, repeat: &Repeat) -> WorstTime {
    let between = repeat.delay_ms.saturating_mul(u64::from(repeat.max.saturating_sub(1)));
    once.times(u64::from(repeat.max)).then(WorstTime { open: false, ms: between })
}

/// All items of what takes so long once.
pub(super) fn items(once: WorstTime, for_each: &ForEach) -> WorstTime {
    match length(for_each) {
        Some(items) => once.times(items.div_ceil(u64::from(for_each.max_parallel.max(1)))),
        None => once.then(WorstTime::NO_BOUND),
    }
}

/// The number of items, where the list is written out.
pub(super) fn length(for_each: &ForEach) -> Option<u64> {
    for_each.list.as_array().map(|list| list.len() as u64)
}
