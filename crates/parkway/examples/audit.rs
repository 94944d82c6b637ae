//! What the log's evidence costs: what hashing takes of a step, how many events a second are held against the tree, how many with their
//! texts and the state of their runs, and how long a proof takes; beside what the disk takes for one wait in the same minute.
//!
//! `cargo run --release -p parkway --example audit [FOLDER] [EVENTS…]`; the folder decides which disk is measured. The events are those of
//! real runs: a workflow with one call of a pure tool for each of 100 items, an output of some 100 bytes each.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

#[path = "../../store/examples/machine/mod.rs"]
mod machine;

use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use parkway::audit::{Extent, SigningKey, Trust, verify_export};
use parkway::id::{RunId, Seq};
use parkway::log::Event;
use parkway::log::tree::{Frontier, leaf_hash};
use parkway::upkeep::{self, Depth};
use parkway::{Parkway, Workflow, inputs};
use serde_json::Value;

use machine::{load, processor, sync_cost};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SOURCE: &str = "parkway: 1
steps:
  found:
    for_each: ${{ range(100) }}
    max_parallel: 8
    tool: text.find
    with: { text: \"The open stack around open-weight models is PARK, and Parkway is its agentic layer.\", values: [Parkway] }
outputs: { n: \"${{ steps.found.output | length }}\" }
";
const STEPS: f64 = 100.0;
/// Runs that are written at once.
const AT_ONCE: u64 = 64;
const PROOFS: usize = 200;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let folder = tempfile::tempdir_in(args.next().unwrap_or_else(|| ".".into()))?;
    let asked: Vec<u64> = args.map(|text| text.parse()).collect::<Result<_, _>>()?;
    let counts = if asked.is_empty() { vec![100_000, 1_000_000] } else { asked };
    println!(
        "  events  tree only  fully checked  an export read  a proof p50, p95   fdatasync p50  load   (events a second)"
    );
    for count in counts {
        let path = folder.path().join(format!("{count}.db"));
        let sync = sync_cost(folder.path())?;
        let parkway = Parkway::builder().store(format!("sqlite:{}", path.display())).build().await?;
        let log = parkway.audit();
        let runs = fill(&parkway, count).await?;
        let key = SigningKey::generate(&log.origin().await?)?;
        log.sign(&key).await?;
        let trust = Trust { keys: vec![key.public()], heads: Vec::new() };
        let start = Instant::now();
        let report = log.verify(&trust).await??;
        let tree = rate(report.events, start);
        let start = Instant::now();
        let checked = upkeep::check(&path, Depth::Full).await?;
        if !checked.is_sound() {
            return Err(format!("{:?}", checked.problems).into());
        }
        let full = rate(report.events, start);
        let mut export = Vec::new();
        log.export(&mut export, Extent::Whole).await?;
        let start = Instant::now();
        verify_export(export.as_slice(), &trust)?;
        let read = rate(report.events, start);
        let mut times = Vec::new();
        for n in 0..PROOFS {
            let (run, seq) = (runs[n * 7919 % runs.len()], Seq(1 + n as u64));
            let start = Instant::now();
            log.export(&mut Vec::new(), Extent::Event(run, seq)).await?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let ms = |took: Duration| took.as_secs_f64() * 1e3;
        println!(
            "{:8}  {tree:9.0}  {full:13.0}  {read:14.0}  {:7.3}, {:5.3} ms  {:10.3} ms  {}",
            report.events,
            ms(times[PROOFS / 2]),
            ms(times[PROOFS * 19 / 20]),
            ms(sync),
            load()
        );
        fs::remove_file(&path)?;
    }
    Ok(())
}

fn rate(events: u64, since: Instant) -> f64 {
    events as f64 / since.elapsed().as_secs_f64()
}

/// What the hashes of a step take of the processor: those of its leaves, and of the nodes that they complete.
fn hashing(events: &[Vec<u8>], steps: f64) {
    let (mut tree, start) = (Frontier::default(), processor());
    let rounds = 1_000;
    for _ in 0..rounds {
        events.iter().for_each(|bytes| drop(tree.append(leaf_hash(bytes))));
    }
    let took = (processor() - start).as_secs_f64() / f64::from(rounds) / steps;
    let count = events.len() as f64 / steps;
    println!(
        "hashes of a step: {:.2} µs of the processor for {count:.1} events and the nodes that they complete",
        took * 1e6
    );
}

/// Executes runs that have about so many events together, and gives them.
async fn fill(parkway: &Parkway, events: u64) -> Outcome<Vec<RunId>> {
    let workflow = Workflow::from_source("audit.yaml", SOURCE)?;
    let first = parkway.start(workflow.clone(), inputs! {}).await?;
    first.output::<Value>().await?;
    let written = parkway.events(first.id(), Seq(0)).await?;
    let bytes: Vec<Vec<u8>> = written.iter().map(Event::to_bytes).collect::<Result<_, _>>()?;
    hashing(&bytes, STEPS);
    let (mut runs, mut left) = (vec![first.id()], events / bytes.len() as u64);
    while left > 0 {
        let mut begun = Vec::new();
        for _ in 0..left.min(AT_ONCE) {
            begun.push(parkway.start(workflow.clone(), inputs! {}).await?);
        }
        left -= begun.len() as u64;
        for run in begun {
            run.output::<Value>().await?;
            runs.push(run.id());
        }
    }
    Ok(runs)
}
