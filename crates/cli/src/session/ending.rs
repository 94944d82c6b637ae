//! What is said when a run has ended, and which command comes next.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use parkway::id::RunId;
use parkway::log::{RunState, RunStatus, StepStatus};
use parkway::{Ended, Error, Parkway, Run};
use serde_json::Value;

use crate::exit::Exit;
use crate::failure::{Failure, of_code};
use crate::out::{Out, say};

/// What is done with the end of a run.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) json: bool,
    pub(crate) json_output: Option<PathBuf>,
}

impl Ending {
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
                if let Some(file) = &self.json_output {
                    write(file, &outputs)?;
                }
                if !self.json {
                    out.pretty(&outputs)?;
                    out.flush()?;
                }
                say(&format!("run {id} completed"));
                say(&format!("  look at it:  parkway show {id}"));
                Ok(Exit::Done)
            }
            RunStatus::Failed => {
                let error = match run.output::<Value>().await {
                    Err(error) => error,
                    Ok(_) => return Err(Failure::failed(format!("run {id} failed, and its log does not say why"))),
                };
                let exit = if let Error::Failed { code, .. } = &error { of_code(code) } else { Exit::Failed };
                Err(Failure::new(exit, error.to_string()).help(format!("look at it:  parkway show {id}")))
            }
            RunStatus::Cancelled => {
                say(&format!("run {id} was cancelled"));
                say(&format!("  look at it:  parkway show {id}"));
                Ok(Exit::Cancelled)
            }
            RunStatus::Waiting => self.waiting(parkway, run).await,
            _ => Ok(self.interrupted(Some(id))),
        }
    }

    async fn waiting(&self, parkway: &Parkway, run: &Run) -> Result<Exit, Failure> {
        let state = parkway.record(run.id()).await?.state;
        say(&format!("run {} waits", run.id()));
        way_on(&state);
        Ok(Exit::Waiting)
    }

    /// Says how to go on after an interruption.
    pub(crate) fn interrupted(&self, run: Option<RunId>) -> Exit {
        match run {
            Some(run) => say(&format!("interrupted; go on with: parkway resume {run}")),
            None => say("interrupted before the run began; nothing was kept"),
        }
        Exit::Interrupted
    }
}

/// Says which commands move a run that nobody executes.
pub(crate) fn way_on(state: &RunState) {
    let id = state.run();
    for step in state.asking() {
        // A shell would take the brackets of an item for a pattern.
        let key = step.key.to_string();
        let key = if key.contains(['[', '#']) { format!("'{key}'") } else { key };
        say(&format!("  answer:      parkway approve {id} {key}"));
    }
    for step in state.steps().iter().filter(|step| step.status == StepStatus::InDoubt) {
        say(&format!("  in doubt:    parkway show {id} --step '{}'", step.key));
    }
    say(&format!("  go on:       parkway resume {id}"));
}

/// Writes a file as a whole or not at all.
fn write(file: &Path, value: &Value) -> Result<(), Failure> {
    let failed = |e: std::io::Error| {
        Failure::failed(format!("the outputs cannot be written to {}: {e}", file.display()))
            .help("they are kept with the run")
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = file.with_file_name(name);
    let written = File::create(&part).and_then(|mut out| {
        writeln!(out, "{value:#}")?;
        out.sync_all()?;
        fs::rename(&part, file)
    });
    written.map_err(|e| {
        let _ = fs::remove_file(&part);
        failed(e)
    })
}
