//! Generated sequences of calls, played on a store and on the store in memory side by side: every answer and everything
//! that can be read must be the same.

mod call;
mod make;
mod play;
mod seen;

use self::call::{Call, sequence, simpler};
use self::play::{Disagreement, play};
use super::Subject;

/// How many sequences may be played to make a failing one smaller.
const PATIENCE: usize = 800;

/// Plays a sequence of calls for each seed — commits that are good, stale, fenced, doubled or malformed, claims, renewals,
/// releases, messages, time that passes, reopening — on a fresh subject and on [`MemoryStore`](crate::testing::MemoryStore)
/// side by side. The same seed always makes the same sequence.
///
/// The subject's clock must stand still unless it is told to advance. Numbers of messages, outbox entries and leaves need
/// not be the model's, only used once and in order; texts of errors may differ, their kinds may not.
///
/// # Panics
///
/// At the first call that is answered otherwise, with the seed and the shortest sequence that was found to show it.
///
/// ```no_run
/// # use parkway_core::testing::conformance::{Subject, agrees_with_model};
/// # async fn test(fresh: impl AsyncFn() -> Box<dyn Subject>) {
/// agrees_with_model(fresh, 0..500).await;
/// # }
/// ```
#[expect(clippy::panic, reason = "a disagreement is a failed test")]
pub async fn agrees_with_model(fresh: impl AsyncFn() -> Box<dyn Subject>, seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let calls = sequence(seed);
        if let Err(found) = play(fresh().await, &calls).await {
            let (calls, found) = shrink(&fresh, calls, found).await;
            let calls: String = calls.iter().enumerate().map(|(n, call)| format!("  {n}: {call:?}\n")).collect();
            panic!("seed {seed}: the store is not like the model in\n{calls}{found}");
        }
    }
}

/// The shortest sequence that is found to fail, and how.
async fn shrink(
    fresh: &impl AsyncFn() -> Box<dyn Subject>,
    mut calls: Vec<Call>,
    mut found: Disagreement,
) -> (Vec<Call>, Disagreement) {
    let mut patience = PATIENCE;
    'shorter: loop {
        calls.truncate(found.at + 1);
        for candidate in simpler(&calls) {
            if patience == 0 {
                return (calls, found);
            }
            patience -= 1;
            if let Err(other) = play(fresh().await, &candidate).await {
                (calls, found) = (candidate, other);
                continue 'shorter;
            }
        }
        return (calls, found);
    }
}
