//! `parkway runs`.

use parkway::id::RunId;
use parkway::store::{RunFilter, RunSummary};
use serde_json::{Value, json};

use crate::args::{Global, RunsArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, now, say, terminal_columns};
use crate::project::Project;
use crate::render::{Symbols, clean, cut, elapsed, local, width};

/// Ids are shown whole from this width on; a terminal that is narrower gets their ends, which name a run as well.
const WIDE: usize = 100;
const SHORT_ID: usize = 12;
const NAME: usize = 24;

/// Lists runs, newest first.
pub(crate) async fn runs(global: &Global, args: RunsArgs, out: &mut Out) -> Result<Exit, Failure> {
    let project = Project::find(global)?;
    let filter = RunFilter { open: args.open, limit: args.limit, ..RunFilter::default() };
    let parkway = project.look().await?;
    let runs = match &parkway {
        Some(parkway) => parkway.runs(&filter).await?,
        None => Vec::new(),
    };
    let mut origins = Vec::new();
    if let Some(parkway) = &parkway {
        for run in &runs {
            origins.push(parkway.forked_from(run.run).await?);
        }
    }
    let runs: Vec<_> = runs.into_iter().zip(origins).collect();
    if args.json {
        for (run, forked) in &runs {
            out.json(&as_json(run, *forked))?;
        }
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        say("there are no such runs; start one with: parkway run FILE");
        return Ok(Exit::Done);
    }
    for line in table(&runs, terminal_columns()) {
        out.line(&line)?;
    }
    Ok(Exit::Done)
}

fn as_json(run: &RunSummary, forked: Option<RunId>) -> Value {
    json!({
        "run": run.run.to_string(),
        "workflow": run.workflow,
        "status": run.status.as_str(),
        "created": run.created.to_string(),
        "updated": run.updated.to_string(),
        "events": run.head.0,
        "held": run.held,
        "parent": run.parent.map(|parent| parent.to_string()),
        "forked_from": forked.map(|forked| forked.to_string()),
    })
}

fn table(runs: &[(RunSummary, Option<RunId>)], terminal: Option<usize>) -> Vec<String> {
    let symbols = Symbols::from_env();
    let short = terminal.is_some_and(|columns| columns < WIDE);
    let name = |id: RunId| {
        let id = id.to_string();
        id.get(id.len().saturating_sub(SHORT_ID)..).unwrap_or(&id).to_owned()
    };
    let row = |(run, forked): &(RunSummary, Option<RunId>)| {
        let id = run.run.to_string();
        let start = if short { id.len().saturating_sub(SHORT_ID) } else { 0 };
        let end = if run.held { now() } else { run.updated };
        let held = if run.held { "by a process" } else { "" };
        let of = match (run.parent, forked) {
            (Some(parent), _) => format!("part of …{}", name(parent)),
            (None, Some(forked)) => format!("fork of …{}", name(*forked)),
            (None, None) => String::new(),
        };
        [
            id.get(start..).unwrap_or(&id).to_owned(),
            cut(&clean(&run.workflow), NAME, symbols),
            run.status.as_str().to_owned(),
            local(run.created),
            elapsed(end.since(run.created)),
            held.to_owned(),
            of,
        ]
    };
    let of = if runs.iter().any(|(run, forked)| run.parent.is_some() || forked.is_some()) { "OF" } else { "" };
    let head = ["RUN", "WORKFLOW", "STATUS", "STARTED", "TOOK", "HELD", of].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(runs.iter().map(row)).collect();
    let widths: Vec<usize> =
        (0..7).map(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0)).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, most)| {
                let pad = " ".repeat(most.saturating_sub(width(cell)));
                format!("{cell}{pad}")
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            let line = line.trim_end();
            terminal.map_or_else(|| line.to_owned(), |columns| cut(line, columns, symbols))
        })
        .collect()
}
