//! A folder of documents becomes a report with citations, inside a program: the workflow is the one that `parkway run`
//! takes, its outputs are a type of this program, and its events are counted on the way. In a build with the feature
//! `llama` it asks the starter model, else, or with `--scripted`, a played one.

mod report;
mod scripted;
mod tally;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use parkway::{Inputs, Parkway, Workflow};
use parkway_examples::plain;
use serde_json::json;

use crate::report::Report;
use crate::tally::Tally;

/// The workflow file; the folders that it grants are below the working directory.
const WORKFLOW: &str = include_str!("../workflows/cited-report.yaml");

/// Answers questions from a folder of documents, each answer with the lines that it stands in.
#[derive(Parser)]
struct Args {
    /// The folder, below examples/data.
    #[arg(long, value_name = "FOLDER")]
    documents: Option<String>,
    /// What to answer, in place of the workflow's own questions; repeatable.
    #[arg(long = "question", value_name = "TEXT")]
    questions: Vec<String>,
    /// The folder of the report, below out.
    #[arg(long, value_name = "FOLDER")]
    out: Option<String>,
    /// Exit with 3, not 0, where a question stays open; 1 is an error.
    #[arg(long)]
    complete: bool,
    /// Play the model in place of loading one.
    #[arg(long)]
    scripted: bool,
    /// Keep the run here.
    #[arg(long, value_name = "URL", default_value = "sqlite::memory:")]
    store: String,
}

#[tokio::main]
async fn main() -> std::io::Result<ExitCode> {
    let args = Args::parse();
    match report(&args).await {
        Ok(report) => {
            write!(std::io::stdout(), "{report}")?;
            Ok(ExitCode::from(if args.complete && !report.open.is_empty() { 3 } else { 0 }))
        }
        Err(error) => {
            writeln!(std::io::stderr(), "error: {}", plain(&error.to_string()))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Runs the workflow to its end, and tells on stderr what happens.
async fn report(args: &Args) -> Result<Report, Box<dyn std::error::Error>> {
    let mut builder = Parkway::builder().store(args.store.clone());
    if args.scripted || cfg!(not(feature = "llama")) {
        // A model that the program binds goes before the one that the file names.
        builder = builder.model("main", scripted::model());
    }
    let parkway = builder.build().await?;
    let workflow = Workflow::from_source("cited-report.yaml", WORKFLOW)?;
    let run = parkway.start(workflow, inputs(args)).await?;

    let mut err = std::io::stderr();
    let mut tally = Tally::default();
    let mut events = run.events();
    while let Some(event) = events.next().await {
        if let Some(line) = tally.count(&event?.kind) {
            writeln!(err, "{line}")?;
        }
    }
    writeln!(err, "{tally}")?;

    Ok(run.output().await?)
}

/// What was said on the command line; the workflow has defaults for the rest.
fn inputs(args: &Args) -> Inputs {
    let mut inputs = Inputs::new();
    if let Some(documents) = &args.documents {
        inputs.insert("documents".into(), json!(documents));
    }
    if !args.questions.is_empty() {
        let questions: Vec<_> = args.questions.iter().map(|ask| json!({ "ask": ask })).collect();
        inputs.insert("questions".into(), json!(questions));
    }
    if let Some(out) = &args.out {
        inputs.insert("out".into(), json!(out));
    }
    inputs
}

#[cfg(test)]
mod tests;
