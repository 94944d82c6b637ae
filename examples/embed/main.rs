//! Parkway inside a program: a tool of its own, a typed result, an approval given from code. `embed` runs on a scripted
//! model; `embed --model FILE.gguf` and `embed --real` (the starter model) run on a real one, in a build with the
//! feature `llama`.

use std::io::Write;
use std::path::PathBuf;

use clap::Parser;
use parkway::log::EventKind;
use parkway::testing::ScriptedModel;
use parkway::{Effect, ModelBinding, Parkway, ToolError, Workflow, inputs, tool_fn};

/// A stock question, answered by a workflow.
#[derive(Parser)]
struct Args {
    /// Ask the model in this GGUF file.
    #[arg(long, conflicts_with = "real")]
    model: Option<PathBuf>,
    /// Ask the starter model; `parkway models pull smollm2-135m-instruct` fetches it.
    #[arg(long)]
    real: bool,
    /// Keep runs here.
    #[arg(long, default_value = "sqlite::memory:")]
    store: String,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Part {
    /// The number of a part, such as A-12.
    number: String,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct Stock {
    pieces: u32,
}

/// Looks a part up; a real program would ask its database.
async fn lookup(part: Part) -> Result<Stock, ToolError> {
    match part.number.as_str() {
        "A-12" => Ok(Stock { pieces: 40 }),
        "B-7" => Ok(Stock { pieces: 3 }),
        other => Err(ToolError::invalid("not_found", format!("there is no part `{other}`"))),
    }
}

#[derive(Debug, serde::Deserialize)]
struct Report {
    part: String,
    pieces: u32,
    approved_by: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let mut out = std::io::stdout();

    let parkway = Parkway::builder()
        .store(args.store.clone())
        .model("main", model(&args)?)
        .tool(tool_fn("lookup", Effect::Read, lookup).describe("How many pieces of a part are in stock."))
        .build()
        .await?;
    let workflow = Workflow::from_source("stock_question.yaml", include_str!("intake.yaml"))?;
    let run = parkway.start(workflow, inputs! { question: "Do you still have A-12 in stock?" }).await?;

    let mut events = run.events();
    while let Some(event) = events.next().await {
        let event = event?;
        match &event.kind {
            EventKind::ModelCalled { call, .. } => {
                writeln!(
                    out,
                    "the model `{}` wrote {} tokens on {}",
                    call.name, call.usage.output_tokens, call.device
                )?;
            }
            EventKind::ApprovalRequested { key, prompt, .. } => {
                writeln!(out, "asked: {}", parkway.text(*prompt).await?)?;
                run.approve(&key.to_string()).await?;
            }
            _ => {}
        }
    }

    let report: Report = run.output().await?;
    writeln!(out, "{} pieces of {}, approved by the {}", report.pieces, report.part, report.approved_by)?;
    Ok(())
}

#[cfg(feature = "llama")]
fn model(args: &Args) -> Result<ModelBinding, Box<dyn std::error::Error>> {
    let path = match (&args.model, args.real) {
        (Some(path), _) => path.clone(),
        (None, true) => parkway::models::Catalog::open()?.resolve("smollm2-135m-instruct")?,
        (None, false) => return Ok(scripted().into()),
    };
    Ok(parkway::Llama::gguf(path).into())
}

#[cfg(not(feature = "llama"))]
fn model(args: &Args) -> Result<ModelBinding, Box<dyn std::error::Error>> {
    if args.model.is_some() || args.real {
        return Err("this build has no llama.cpp; build it with `--features llama`".into());
    }
    Ok(scripted().into())
}

fn scripted() -> ScriptedModel {
    ScriptedModel::new().when("A-12", r#"{"number":"A-12"}"#)
}
