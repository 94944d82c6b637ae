//! A monitor: `examples/workflows/watch-rollout.yaml` against a server that this program starts, with a service that gets
//! healthy and one that never does. It prints each look as it is recorded, and what the webhook was told.
//!
//! It asks the starter model in a build with the feature `llama`; `--scripted`, or a build without, plays the model.
//! `--serve` only serves, for `parkway run examples/workflows/watch-rollout.yaml`.

mod server;

use std::io::Write;

use clap::Parser;
use parkway::log::EventKind;
use parkway::testing::ScriptedModel;
use parkway::{Parkway, Workflow, inputs};
use parkway_examples::{plain, starter_or};
use serde::Deserialize;
use serde_json::json;

use server::Server;

/// The address that stands in the workflow.
const WRITTEN: &str = "127.0.0.1:8790";
const WORKFLOW: &str = include_str!("../workflows/watch-rollout.yaml");

/// Watches a rollout of two services, which this program plays.
#[derive(Parser)]
struct Args {
    /// Play the model, too.
    #[arg(long)]
    scripted: bool,
    /// Only serve, at the address that stands in the workflow, until it is stopped.
    #[arg(long, conflicts_with = "scripted")]
    serve: bool,
}

/// What the workflow gives.
#[derive(Deserialize)]
struct Watch {
    healthy: bool,
    services: Vec<Service>,
}

#[derive(Deserialize)]
struct Service {
    service: String,
    healthy: bool,
    looks: u32,
    waiting: Vec<u64>,
    trend: String,
}

/// What one look saw.
#[derive(Deserialize)]
struct Look {
    said: String,
    waiting: Option<u64>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let mut out = std::io::stdout();
    if args.serve {
        let server = Server::start(WRITTEN).await?;
        writeln!(out, "serving at http://{}; stop it with Ctrl-C", server.address)?;
        return std::future::pending().await;
    }

    let server = Server::start("127.0.0.1:0").await?;
    let address = server.address.to_string();
    let service = |name: &str| {
        json!({
            "name": name,
            "url": format!("http://{address}/{name}/health"),
            "logs": format!("http://{address}/{name}/logs"),
        })
    };
    let names = ["api", "web"];
    let inputs = inputs! {
        services: names.map(service),
        channel: format!("http://{address}/hook"),
        settle: "200ms",
        every: "500ms",
        looks: 6,
    };

    // What the file grants is its own port, where something else may be; this server has one that was free.
    let workflow = Workflow::from_source("watch-rollout.yaml", &WORKFLOW.replace(WRITTEN, &address))?;
    let parkway =
        Parkway::builder().store("sqlite::memory:").model("main", starter_or(played(), args.scripted)?).build().await?;
    let run = parkway.start(workflow, inputs).await?;

    let mut events = run.events();
    while let Some(event) = events.next().await {
        match &event?.kind {
            EventKind::StepCompleted { key, output: Some(output), .. } => {
                // health[0].watch#2.judge: the second look at the first service.
                if let [health, round, judge] = key.path()
                    && judge.id == "judge"
                {
                    let look: Look = serde_json::from_value(parkway.text(*output).await?)?;
                    let name = health.item.and_then(|item| names.get(item as usize)).unwrap_or(&"?");
                    let waiting = look.waiting.map_or_else(String::new, |n| format!(", {n} requests wait"));
                    writeln!(out, "{name}  look {}: {}{waiting}", round.iteration, plain(&look.said))?;
                }
            }
            EventKind::ModelCalled { key, call, .. } => {
                writeln!(out, "{key}: {} tokens of `{}`, {}", call.usage.output_tokens, call.name, call.device)?;
            }
            // The channel is this program's own; a message to somebody else's would be shown to a person first.
            EventKind::ApprovalRequested { key, .. } => {
                writeln!(out, "{key}: may send")?;
                run.approve(&key.to_string()).await?;
            }
            _ => {}
        }
    }

    let watch: Watch = run.output().await?;
    writeln!(out)?;
    for one in &watch.services {
        let state = if one.healthy { "healthy" } else { "not healthy" };
        let waiting: Vec<_> = one.waiting.iter().map(u64::to_string).collect();
        writeln!(
            out,
            "{}: {state} after {} looks; waiting {} ({})",
            one.service,
            one.looks,
            waiting.join(", "),
            one.trend
        )?;
    }
    let messages = server.messages();
    for message in &messages {
        let text = plain(message["text"].as_str().unwrap_or_default());
        writeln!(out, "\nthe webhook was told:\n{}", text.trim_end())?;
    }
    // Silence would be taken for good news.
    match messages.iter().any(|message| message["data"]["healthy"] == watch.healthy) {
        true => Ok(()),
        false => Err("the webhook was not told what the watch saw".into()),
    }
}

fn played() -> ScriptedModel {
    ScriptedModel::new()
        .when("cache: connection refused", r#"{"line":"ERROR cache: connection refused (10.1.0.7:6379)"}"#)
}
