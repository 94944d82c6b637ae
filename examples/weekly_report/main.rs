//! A weekly report in a program: starts the workflow of examples/workflows/weekly-report, lets a person decide about what
//! it wants to write, and takes the result as a struct.
//!
//! It exits with 0 when the report is written, or waits for a person because nobody sits at a terminal; with 3 when the
//! person said no, and with 1 when something failed.

mod question;
mod report;
mod summary;

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use parkway::log::{Channel, EventKind, RunStatus, Verdict};
use parkway::testing::ScriptedModel;
use parkway::{Error, Parkway, Preapproval, RunOptions, Workflow, inputs};
use parkway_examples::plain;

use crate::question::Question;
use crate::report::Report;
use crate::summary::Summary;

const WORKFLOW: &str = "examples/workflows/weekly-report/weekly-report.yaml";

/// The week's sales, from the repository's root.
#[derive(Parser)]
struct Args {
    /// Say yes in advance, in place of being asked.
    #[arg(long)]
    approve: bool,
    /// The day after the last day of the report, such as 2026-11-23; if absent, the end of the last whole week.
    #[arg(long)]
    week_end: Option<String>,
    /// Let a script play the model; a build without the feature `llama` always does.
    #[arg(long)]
    scripted: bool,
    /// The file that keeps runs.
    #[arg(long, default_value = "out/weekly-report/runs.db")]
    runs: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match weekly_report(&Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            // With nobody left to tell, the exit code says it.
            let _ = writeln!(io::stderr(), "error: {}", plain(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

async fn weekly_report(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if let Some(folder) = args.runs.parent() {
        fs::create_dir_all(folder).map_err(|cause| format!("cannot make the folder {}: {cause}", folder.display()))?;
    }
    let store = format!("sqlite:{}", args.runs.display());
    let mut builder = Parkway::builder().store(store.clone());
    if args.scripted || cfg!(not(feature = "llama")) {
        builder = builder.model("writer", scripted());
    }
    let parkway = builder.build().await?;

    let mut inputs = inputs! {};
    if let Some(day) = &args.week_end {
        inputs.insert("week_end".to_owned(), day.as_str().into());
    }
    let mut options = RunOptions::default();
    // With nobody to ask, the run is kept for whoever answers later.
    options.stay = io::stdin().is_terminal();
    if args.approve {
        options.preapprovals =
            vec![Preapproval { step: Some("confirm".into()), by: "flag".into(), via: Channel::Flag }];
    }
    let asks = options.stay && !args.approve;
    let run = parkway.start_with(Workflow::from_path(WORKFLOW)?, inputs, options).await?;

    let mut summary = Summary::default();
    let mut events = run.events();
    while let Some(event) = events.next().await {
        let event = event?;
        summary.add(&event.kind);
        if let EventKind::ApprovalRequested { key, prompt, shown, .. } = &event.kind {
            let question = Question::new(&parkway.text(*prompt).await?, &parkway.text(*shown).await?);
            writeln!(io::stdout(), "{question}")?;
            if asks {
                let verdict = ask().await?;
                run.answer(&key.to_string(), verdict, None, "terminal", Channel::Prompt).await?;
            }
        }
    }

    writeln!(io::stdout(), "{summary}")?;
    if run.wait().await?.status == RunStatus::Waiting {
        let id = run.id();
        writeln!(io::stdout(), "nothing is written until somebody says yes:")?;
        writeln!(
            io::stdout(),
            "  parkway approve {id} confirm --store {store} && parkway resume {id} --store {store}"
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    match run.output::<Report>().await {
        Ok(report) => {
            write!(io::stdout(), "{report}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(Error::Failed { code, .. }) if code == "rejected" => {
            writeln!(io::stdout(), "nothing was written")?;
            Ok(ExitCode::from(3))
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks at the terminal, on a thread of its own, since it waits for as long as the person does.
async fn ask() -> Result<Verdict, Box<dyn std::error::Error>> {
    write!(io::stdout(), "\nyes or no? ")?;
    io::stdout().flush()?;
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    Ok(if question::is_yes(&answer.await??) { Verdict::Approved } else { Verdict::Rejected })
}

/// Plays the model: one paragraph that is right, and one with a figure of its own, which the workflow leaves out.
fn scripted() -> ScriptedModel {
    ScriptedModel::new()
        .when("Best: Chair Norda", "Chair Norda was the best product with 5491.00 EUR. It may well reach 6000.00 EUR.")
        .otherwise("Revenue rose from 11710.60 EUR to 17651.90 EUR. There were 18 orders after 15 the week before.")
}
