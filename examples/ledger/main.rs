//! Steps that write to a ledger outside the database, in a process that can be ended at chosen places: what becomes of an
//! effect when the process dies around it. `scripts/duplicates` runs it beside LangGraph.

mod append;
mod kill;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use parkway::clock::SystemClock;
use parkway::id::RunId;
use parkway::log::{Channel, Resolution, RunStatus, StepStatus};
use parkway::policy::{Decision, Policy, PolicyRequest, Verdict};
use parkway::sqlite::SqliteStore;
use parkway::store::RunFilter;
use parkway::testing::{Moment, StopAt, WritePoint};
use parkway::{Effect, Parkway, RunOptions, Workflow, inputs};
use serde_json::json;

use crate::append::{Append, Ledger};
use crate::kill::Kill;

/// Runs steps that write to a ledger, or goes on with the run that a killed process has left.
#[derive(Debug, Parser)]
struct Args {
    /// The folder of the database and the ledger.
    #[arg(long, default_value = "out/ledger")]
    folder: PathBuf,
    /// What the tool says of its effect.
    #[arg(long, value_enum, default_value = "idempotent")]
    effect: Declared,
    /// How many steps, one after the other.
    #[arg(long, default_value_t = 5)]
    steps: u32,
    /// Ends this process by SIGKILL: `effect`, `before` or `after` (the commit of its outcome), a colon, and of which step in
    /// order, from 1.
    #[arg(long)]
    kill: Option<Kill>,
    /// Goes on with the newest run, if it is not at its end; begins one where there is none.
    #[arg(long)]
    resume: bool,
}

/// What a tool may say of an effect outside the database.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Declared {
    /// Again under the same key, if need be.
    Idempotent,
    /// Never again; a person says what became of it.
    AtMostOnce,
    /// Never again; the tool looks what became of it.
    Reconciled,
}

/// Lets all calls pass: nobody is there to ask.
struct Unattended;

impl Policy for Unattended {
    fn decide(&self, _: &PolicyRequest<'_>) -> Decision {
        Decision { verdict: Verdict::Allow, rule: "unattended".into(), reason: "nobody is there to ask".into() }
    }

    fn fingerprint(&self) -> String {
        "unattended-1".into()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.folder)?;
    let ledger = Ledger::at(args.folder.join("ledger"));
    let stored = SqliteStore::open(args.folder.join("runs.db"), Arc::new(SystemClock)).await?;
    let kill = args.kill;
    let store = Arc::new(StopAt::new(Arc::new(stored), move |point, moment, nth| {
        if kill.is_some_and(|kill| kill.is_at(point, moment, nth)) {
            kill::now();
        }
    }));
    let effect = match args.effect {
        Declared::Idempotent => Effect::Idempotent,
        Declared::AtMostOnce | Declared::Reconciled => Effect::AtMostOnce,
    };
    let watched = store.clone();
    let done = move || watched.pass(WritePoint::Effect, Moment::After);
    let append = Append::new(ledger.clone(), effect, matches!(args.effect, Declared::Reconciled), done);
    let parkway = Parkway::builder().store_with(store).tool(append).policy(Unattended).build().await?;

    let run = match args.resume.then_some(parkway.runs(&RunFilter::default()).await?.into_iter().next()).flatten() {
        Some(newest) if newest.status.ended() => return report(newest.status, 0),
        Some(newest) => parkway.resume(newest.run, leaving()).await?,
        None => {
            let workflow = Workflow::from_source("ledger.yaml", &workflow(args.steps))?;
            parkway.start_with(workflow, inputs! {}, leaving()).await?
        }
    };
    let mut ended = run.wait().await?;
    let mut doubts = 0;
    while let Some(doubt) = settle(&parkway, run.id(), &ledger).await? {
        doubts += doubt;
        ended = parkway.resume(run.id(), leaving()).await?.wait().await?;
    }
    report(ended.status, doubts)
}

/// Steps that each wait for the one before.
fn workflow(steps: u32) -> String {
    let step = |n: u32| {
        let needs = if n > 1 { format!("needs: s{}, ", n - 1) } else { String::new() };
        format!("  s{n}: {{ {needs}tool: ledger.append, retry: {{ max: 3, initial: 1ms }} }}\n")
    };
    format!(
        "parkway: 1\nname: ledger\ntools: {{ ledger: {{}} }}\nsteps:\n{}",
        (1..=steps).map(step).collect::<String>()
    )
}

/// A run that only waits for a person is given back.
fn leaving() -> RunOptions {
    let mut options = RunOptions::default();
    options.stay = false;
    options
}

/// What a person does who is asked about calls in doubt: looks, and says. `None` where none was in doubt.
async fn settle(parkway: &Parkway, run: RunId, ledger: &Ledger) -> Result<Option<u32>, Box<dyn std::error::Error>> {
    let record = parkway.record(run).await?;
    let mut doubts = None;
    for step in record.state.steps().iter().filter(|step| step.status == StepStatus::InDoubt) {
        let key = record.state.effect_key(&step.key).map(|key| key.to_string()).unwrap_or_default();
        let outcome = match ledger.holds(&key)? {
            true => Resolution::Done { output: append::output() },
            false => Resolution::Redo,
        };
        parkway.resolve(run, step.key.clone(), outcome, None, "operator".into(), Channel::Program).await?;
        doubts = Some(doubts.unwrap_or(0) + 1);
    }
    Ok(doubts)
}

fn report(status: RunStatus, doubts: u32) -> Result<(), Box<dyn std::error::Error>> {
    writeln!(std::io::stdout(), "{}", json!({ "status": status.as_str(), "in_doubt": doubts }))?;
    Ok(())
}
