//! `parkway export [RUN]`: all that the store knows of a run, as one JSON document.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;

use parkway::log::Event;
use parkway::{Parkway, Record};
use serde_json::{Value, json};

use crate::args::{ExportArgs, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};
use crate::project::Project;

/// Writes a run: its events as they are kept, and the texts that they point to.
pub(crate) async fn export(global: &Global, args: ExportArgs, out: &mut Out) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.need().await?;
    let run = parkway.find_run(&args.run).await?;
    let document = document(&parkway, &parkway.record(run.run).await?).await?;
    let Some(path) = &args.output else {
        out.pretty(&document)?;
        return Ok(Exit::Done);
    };
    let failed = |e: std::io::Error| {
        let failure = Failure::failed(format!("{} cannot be written: {e}", path.display()));
        if e.kind() == std::io::ErrorKind::AlreadyExists { failure.help("name another file") } else { failure }
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(format!("{document:#}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    say(&format!("{} holds what is known of run {}", path.display(), run.run));
    Ok(Exit::Done)
}

async fn document(parkway: &Parkway, record: &Record) -> Result<Value, Failure> {
    let mut events = Vec::new();
    for event in &record.events {
        let bytes = event.to_bytes().map_err(|e| Failure::failed(e.to_string()))?;
        events.push(serde_json::from_slice::<Value>(&bytes).map_err(|e| Failure::failed(e.to_string()))?);
    }
    let mut wanted: Vec<_> = record.events.iter().flat_map(Event::texts).map(|(_, text)| text).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let values = parkway.texts(&wanted).await?;
    let texts: BTreeMap<_, _> = wanted.iter().map(ToString::to_string).zip(values).collect();
    Ok(json!({
        "format": "parkway-run-1",
        "run": record.state.run().to_string(),
        "workflow": record.plan.workflow,
        "status": record.state.status().as_str(),
        "events": events,
        // By the commitments that stand in the events; null is a text that was erased.
        "texts": texts,
    }))
}
