//! What a model has done since it was loaded, counted where it is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a model has done since it was loaded, and what its cache holds: a snapshot, for benchmarks and watchers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Batches that were computed.
    pub decodes: u64,
    /// Tokens in them, those of prompts and of answers.
    pub rows: u64,
    /// How long they took.
    pub decode_time: Duration,
    /// Masks of constraints that were computed: of the tokens that may follow.
    pub masks: u64,
    /// How long they took together, most of it while a batch was computed.
    pub mask_time: Duration,
    /// What half of the masks took at most, to an eighth.
    pub mask_p50: Duration,
    /// What 99 % of the masks took at most, to an eighth.
    pub mask_p99: Duration,
    /// How long computed batches waited for masks: what constraints cost.
    pub mask_wait: Duration,
    /// Tokens in the cache, what several conversations share counted once.
    pub cached_tokens: u64,
    /// Of how many at most.
    pub cache_size: u64,
    /// Bytes that are kept of what had to leave the cache.
    pub cold_bytes: u64,
    /// Conversations that are in the cache: those that run, and those that are kept for what comes.
    pub sequences: u64,
    /// Requests that are being answered.
    pub running: u64,
    /// Requests that wait for room, or for another one that computes what they begin with.
    pub waiting: u64,
}

/// Eighths of a doubling, from 1 ns to more than an hour.
const BUCKETS: usize = 8 * 42;

/// Where it is counted. Each number by itself is right; two of them may be of different moments.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) decodes: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) decode_nanos: AtomicU64,
    mask_nanos: AtomicU64,
    masks: [AtomicU64; BUCKETS],
    pub(crate) mask_wait_nanos: AtomicU64,
    pub(crate) cached_tokens: AtomicU64,
    pub(crate) cache_size: AtomicU64,
    pub(crate) cold_bytes: AtomicU64,
    pub(crate) sequences: AtomicU64,
    pub(crate) running: AtomicU64,
    pub(crate) waiting: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Counters {
            decodes: zero(),
            rows: zero(),
            decode_nanos: zero(),
            mask_nanos: zero(),
            masks: std::array::from_fn(|_| zero()),
            mask_wait_nanos: zero(),
            cached_tokens: zero(),
            cache_size: zero(),
            cold_bytes: zero(),
            sequences: zero(),
            running: zero(),
            waiting: zero(),
        }
    }
}

impl Counters {
    /// Counts a batch of so many rows.
    pub(crate) fn decoded(&self, rows: usize, took: Duration) {
        self.decodes.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.decode_nanos.fetch_add(nanos(took), Ordering::Relaxed);
    }

    /// Counts a mask.
    pub(crate) fn masked(&self, took: Duration) {
        self.mask_nanos.fetch_add(nanos(took), Ordering::Relaxed);
        self.masks[bucket(nanos(took))].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let masks: Vec<u64> = self.masks.iter().map(read).collect();
        Stats {
            decodes: read(&self.decodes),
            rows: read(&self.rows),
            decode_time: Duration::from_nanos(read(&self.decode_nanos)),
            masks: masks.iter().sum(),
            mask_time: Duration::from_nanos(read(&self.mask_nanos)),
            mask_p50: share(&masks, 50),
            mask_p99: share(&masks, 99),
            mask_wait: Duration::from_nanos(read(&self.mask_wait_nanos)),
            cached_tokens: read(&self.cached_tokens),
            cache_size: read(&self.cache_size),
            cold_bytes: read(&self.cold_bytes),
            sequences: read(&self.sequences),
            running: read(&self.running),
            waiting: read(&self.waiting),
        }
    }
}

/// A duration as a counter counts it.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The bucket of a time: eight of equal width for each doubling.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(8);
    let octave = nanos.ilog2();
    let eighth = (nanos >> (octave - 3)) & 7;
    (8 * (octave as usize - 3) + eighth as usize).min(BUCKETS - 1)
}

/// The longest time of a bucket.
fn upper(bucket: usize) -> Duration {
    let (octave, eighth) = (bucket / 8, bucket as u64 % 8);
    Duration::from_nanos((9 + eighth) << octave)
}

/// What so many percent of the counted took at most.
fn share(counts: &[u64], percent: u64) -> Duration {
    let most = counts.iter().sum::<u64>() * percent;
    let mut sum = 0;
    let found = counts.iter().position(|count| {
        sum += count;
        sum > 0 && sum * 100 >= most
    });
    found.map_or(Duration::ZERO, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_right_to_an_eighth() {
        let counters = Counters::default();
        (1..=1_000).for_each(|micros| counters.masked(Duration::from_micros(micros)));
        let stats = counters.snapshot();
        assert_eq!((stats.masks, stats.mask_time), (1_000, Duration::from_micros(500_500)));
        let near = |found: Duration, micros: u128| {
            let found = found.as_micros();
            assert!(found >= micros && found <= micros + micros / 7, "{found} {micros}");
        };
        near(stats.mask_p50, 500);
        near(stats.mask_p99, 990);
        assert_eq!(Counters::default().snapshot().mask_p99, Duration::ZERO);
    }

    #[test]
    fn any_time_has_a_bucket() {
        for time in [0, 1, 7, 8, 9, 1_000, u64::MAX / 2, u64::MAX] {
            let at = bucket(time);
            assert!(at < BUCKETS);
            assert!(at == BUCKETS - 1 || upper(at) >= Duration::from_nanos(time), "{time}");
        }
    }
}
