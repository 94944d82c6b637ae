//! A slice of what `scripts/power-loss` tries in full.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by ending")]

use std::path::Path;
use std::sync::Arc;

use parkway_power_loss::{Expected, Recording, SCENARIOS, Scope, Tally, try_all};

/// Plays the scenarios that are expected to show this, with a single run at a time.
async fn play(expected: Expected, every: u64) -> Vec<(Arc<Recording>, Tally)> {
    let mut played = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.expected == expected) {
        let mut scenario = *scenario;
        scenario.runs = scenario.runs.min(1);
        let every = if scenario.runs == 0 { 3 } else { every };
        let folder = tempfile::tempdir().unwrap();
        let recording = Arc::new(scenario.record(folder.path()).await.unwrap());
        let memory = Path::new("/dev/shm");
        let images = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let scope = Scope { every, seeds: 1, resume_every: u64::MAX, again_every: 8, again: 2, jobs: 8 };
        let tally = try_all(recording.clone(), scope, images.path()).await;
        played.push((recording, tally));
    }
    played
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_loss_takes_something_acknowledged() {
    for (recording, tally) in play(Expected::NoLoss, 13).await {
        assert_eq!((tally.first_loss.as_ref(), tally.first_break.as_ref()), (None, None));
        assert!(tally.total().images > 10 && tally.contents > 2 && tally.resumed > 2, "{tally:?}");
        assert!(tally.again > 0 && tally.again_images.images > 1, "{tally:?}");
        let waits = recording.waits;
        assert!(waits.transactions > 5, "{waits:?}");
        assert_eq!(waits.for_transactions, waits.transactions, "a transaction waits for the disk once");
        assert_eq!(waits.unsynced, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_under_weaker_settings_is_not_seen() {
    for (recording, tally) in play(Expected::Loss, 13).await {
        assert!(tally.total().lost > 0 && tally.again_images.lost > 0, "{tally:?}");
        assert_eq!(tally.first_break, None, "what is left must be a prefix of the log all the same");
        assert!(recording.waits.unsynced > 0);
    }
}
