//! Prints the table: what was recorded, which disks it could have left, what was missing on them.

#![expect(clippy::print_stdout, reason = "it is what this is for")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use parkway_power_loss::{Expected, SCENARIOS, Scenario, Scope, Tally, try_all};

#[tokio::main]
async fn main() -> ExitCode {
    match tell().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("power-loss: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Where the disks are written: in memory if there is a place for it, since they need not outlive anything.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

async fn tell() -> Result<bool, String> {
    let mut arguments = std::env::args().skip(1);
    let every = match arguments.next() {
        None => 1,
        Some(n) => n.parse().ok().filter(|n| *n > 0).ok_or("usage: power-loss [N]: only each N-th moment")?,
    };
    let jobs = std::thread::available_parallelism().map_or(2, usize::from) * 4;
    let scope = Scope { every, seeds: 4, resume_every: 10, again_every: 16, again: 4, jobs };
    let mut good = true;
    for scenario in SCENARIOS {
        good &= play(scenario, scope).await?;
    }
    println!("{}", if good { "As promised." } else { "NOT as promised." });
    Ok(good)
}

async fn play(scenario: &Scenario, scope: Scope) -> Result<bool, String> {
    let start = Instant::now();
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let recording = Arc::new(scenario.record(folder.path()).await?);
    let images = tempfile::tempdir_in(place()).map_err(|e| e.to_string())?;
    let tally = try_all(recording.clone(), scope, images.path()).await;
    println!("{}", scenario.title);
    let (writes, syncs, acknowledged) = recording.counts();
    println!(
        "  recorded   {writes} writes, {syncs} syncs, {acknowledged} acknowledgements, {} events, {} rows of steps",
        recording.log.len(),
        recording.rows
    );
    let waits = recording.waits;
    println!(
        "  syncs      {} for {} transactions of {} commits; {} for the log's header, {} for opening, checkpoints, closing",
        waits.for_transactions, waits.transactions, waits.commits, waits.for_headers, waits.others
    );
    println!(
        "  power lost at {} moments; {} contents found; runs resumed on {} disks",
        tally.moments, tally.contents, tally.resumed
    );
    println!("  and again  at {} moments while they were resumed on {} of the disks", tally.again_moments, tally.again);
    println!("  {:<28}{:>8}{:>26}{:>14}", "what was not synced", "disks", "acknowledged, and lost", "other faults");
    let rows = tally.images.iter().map(|(fate, row)| (fate.title(), *row));
    for (title, row) in rows.chain([("any, the second time", tally.again_images), ("together", tally.total())]) {
        println!("  {title:<28}{:>8}{:>26}{:>14}", row.images, row.lost, row.broken);
    }
    for first in [&tally.first_loss, &tally.first_break].into_iter().flatten() {
        println!("  first      {first}");
    }
    println!("  {} s\n", start.elapsed().as_secs());
    Ok(as_expected(scenario, &tally))
}

fn as_expected(scenario: &Scenario, tally: &Tally) -> bool {
    let (total, again) = (tally.total(), tally.again_images);
    let as_wanted = match scenario.expected {
        Expected::NoLoss => total.lost == 0,
        // Of a few disks each may have what it should.
        Expected::Loss => total.lost > 0 && (again.lost > 0 || again.images < 20),
    };
    total.broken == 0 && as_wanted
}
