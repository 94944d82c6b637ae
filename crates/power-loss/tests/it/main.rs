//! A slice of what `scripts/power-loss` tries in full.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by ending")]

use std::sync::Arc;

use parkway_power_loss::{Recording, Scenario, Scope, Tally, try_all};

const SLICE: Scope = Scope { every: 7, seeds: 1, resume_every: u64::MAX, jobs: 2 };

async fn play(scenario: Scenario, scope: Scope) -> (Arc<Recording>, Tally) {
    let folder = tempfile::tempdir().unwrap();
    let recording = Arc::new(scenario.record(folder.path()).await.unwrap());
    let shm = std::path::Path::new("/dev/shm");
    let images = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
    let tally = try_all(recording.clone(), scope, images.path()).await;
    println!("{}: {:?}\n{tally:#?}", scenario.title, recording.waits);
    (recording, tally)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_loss_takes_something_acknowledged() {
    let scenario = Scenario { title: "plain", runs: 2, pragmas: &[], older: None };
    let (recording, tally) = play(scenario, SLICE).await;
    assert_eq!((tally.first_loss, tally.first_break), (None, None));
    println!("{}", recording.ops.len());
}
