//! What is said when a run has ended, and which command comes next.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parkway::definition::Verb;
use parkway::id::{RunId, StepKey};
use parkway::log::{RunState, RunStatus, Step, StepStatus, WaitFor};
use parkway::{Ended, Error, Parkway, Run};
use serde_json::Value;

use super::evidence::evidence;
use crate::args::Following;
use crate::exit::Exit;
use crate::failure::{Failure, of_code};
use crate::next::Next;
use crate::out::{Out, say};
use crate::render::{clean, local};

/// The most steps of one kind that are named; a fan-out may have thousands.
const NAMED: usize = 12;

/// What is done with the end of a run.
#[derive(Debug)]
pub(crate) struct Ending {
    json: bool,
    json_output: Option<PathBuf>,
    next: Next,
}

impl Ending {
    /// Refuses an output file that could not be written after all the work.
    pub(crate) fn new(following: &Following, next: Next) -> Result<Self, Failure> {
        if let Some(file) = &following.json_output
            && (file.is_dir() || file.file_name().is_none())
        {
            return Err(Failure::invalid(format!("`--json-output {}` names a folder", file.display()))
                .help("name a file, which is made or replaced: `--json-output out/result.json`"));
        }
        Ok(Ending { json: following.json, json_output: following.json_output.clone(), next })
    }

    /// Names the commands that come next.
    pub(crate) fn next(&self) -> &Next {
        &self.next
    }

    /// Tells how the run ended: outputs on stdout, the rest on stderr.
    pub(crate) async fn tell(
        &self,
        parkway: &Parkway,
        run: &Run,
        ended: &Ended,
        out: &mut Out,
    ) -> Result<Exit, Failure> {
        let id = run.id();
        match ended.status {
            RunStatus::Completed => {
                let outputs: Value = run.output().await?;
                if !self.json {
                    out.pretty(&outputs)?;
                    out.flush()?;
                }
                say(&format!("run {id} completed"));
                match outputs.get("answer") {
                    Some(_) if pursues_a_goal(parkway, id).await? => evidence(parkway, id, &self.next).await?,
                    _ => say(&self.look(id)),
                }
                if let Some(file) = &self.json_output {
                    write_outputs(file, &outputs)?;
                }
                Ok(Exit::Done)
            }
            RunStatus::Failed => {
                let error = match run.output::<Value>().await {
                    Err(error) => error,
                    Ok(_) => return Err(Failure::failed(format!("run {id} failed, and its log does not say why"))),
                };
                let exit = if let Error::Failed { code, .. } = &error { of_code(code) } else { Exit::Failed };
                // On one line: a message that quotes a letter could else add lines in our name.
                let again = format!("try again:   {}", self.next.retry(id));
                Err(Failure::new(exit, clean(&error.to_string()))
                    .help(format!("{}\n  {again}", self.look(id).trim_start())))
            }
            RunStatus::Cancelled => {
                say(&format!("run {id} was cancelled"));
                say(&self.look(id));
                say(&format!("  try again:   {}", self.next.retry(id)));
                Ok(Exit::Cancelled)
            }
            RunStatus::Waiting => self.waiting(parkway, run).await,
            _ => Ok(self.interrupted(Some(id))),
        }
    }

    async fn waiting(&self, parkway: &Parkway, run: &Run) -> Result<Exit, Failure> {
        let state = parkway.record(run.id()).await?.state;
        say(&format!("run {} waits", run.id()));
        way_on(parkway, &state, &self.next).await?;
        Ok(Exit::Waiting)
    }

    fn look(&self, run: RunId) -> String {
        format!("  look at it:  {}", self.next.show(run))
    }

    /// Says how to go on after an interruption.
    pub(crate) fn interrupted(&self, run: Option<RunId>) -> Exit {
        match run {
            Some(run) => say(&format!("interrupted; go on with: {}", self.next.resume(run))),
            None => say("interrupted before the run began; nothing was kept"),
        }
        Exit::Interrupted
    }
}

/// Whether a goal of the run was reached.
async fn pursues_a_goal(parkway: &Parkway, run: RunId) -> Result<bool, Failure> {
    let record = parkway.record(run).await?;
    let goals = record.plan.graph.iter().filter(|(_, node)| matches!(node.verb, Verb::Goal(_)));
    let keys: Vec<_> = goals.map(|(_, node)| node.id.clone()).collect();
    let reached = |step: &Step| keys.contains(&step.key.to_string()) && step.status == StepStatus::Completed;
    Ok(record.state.steps().iter().any(reached))
}

/// Says what moves a run that nobody executes.
pub(crate) async fn way_on(parkway: &Parkway, state: &RunState, next: &Next) -> Result<(), Failure> {
    let run = state.run();
    let name = |title: &str, commands: Vec<String>| {
        commands.iter().take(NAMED).for_each(|command| say(&format!("  {title:<13}{command}")));
        if let Some(more @ 1..) = commands.len().checked_sub(NAMED) {
            say(&format!("  {:<13}and {more} more", ""));
        }
    };
    name("answer:", state.asking().map(|step| next.approve(run, &step.key)).collect());
    let waits = |step: &Step| Some(step.waiting.as_ref().filter(|_| step.status == StepStatus::Waiting)?.what.clone());
    let waiting: Vec<_> = state.steps().iter().filter_map(|step| Some((&step.key, waits(step)?))).collect();
    let signals = waiting.iter().filter_map(|(key, what)| match what {
        WaitFor::Signal { name, .. } => Some((*key, *name)),
        _ => None,
    });
    let (keys, names): (Vec<&StepKey>, Vec<_>) = signals.unzip();
    let names = parkway.texts(&names).await?;
    let of = |told: fn(RunId, &StepKey, &WaitFor, &Next) -> Option<String>| -> Vec<String> {
        waiting.iter().filter_map(|(key, what)| told(run, key, what, next)).collect()
    };
    name("fill:", of(|run, key, what, next| matches!(what, WaitFor::Input { .. }).then(|| next.input(run, key))));
    name(
        "its run:",
        of(|_, _, what, next| if let WaitFor::Run { run, .. } = what { Some(next.show(*run)) } else { None }),
    );
    let signal = |(key, name): (&StepKey, &Value)| match name.as_str() {
        Some(name) => next.signal(run, name),
        None => format!("its name was erased, for {key}"),
    };
    name("signal:", keys.into_iter().zip(&names).map(signal).collect());
    name(
        "time:",
        of(|_, key, what, _| match what {
            WaitFor::Timer { at } => Some(format!("{}, for {key}", local(*at))),
            _ => None,
        }),
    );
    let in_doubt = state.steps().iter().filter(|step| step.status == StepStatus::InDoubt);
    name("in doubt:", in_doubt.map(|step| next.resolve(run, &step.key)).collect());
    name("go on:", vec![next.resume(run)]);
    Ok(())
}

/// Writes a file as a whole or not at all; to a pipe or a device as it comes.
pub(crate) fn write_outputs(file: &Path, value: &Value) -> Result<(), Failure> {
    let failed = |e: io::Error| {
        Failure::failed(format!("the outputs cannot be written to {}: {e}", file.display()))
            .help("the run completed all the same, and nothing of it has to be done again")
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // A link stays, and what it leads to is written.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
    if fs::metadata(&file).is_ok_and(|found| !found.is_file()) {
        return File::options().write(true).open(&file).and_then(|mut out| writeln!(out, "{value:#}")).map_err(failed);
    }
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = file.with_file_name(name);
    let written = File::create(&part).and_then(|mut out| {
        writeln!(out, "{value:#}")?;
        out.sync_all()?;
        fs::rename(&part, &file)
    });
    written.map_err(|e| {
        let _ = fs::remove_file(&part);
        failed(e)
    })
}
