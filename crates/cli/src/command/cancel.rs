//! `parkway cancel RUN`.

use std::sync::atomic::{AtomicBool, Ordering};

use parkway::log::Channel;
use parkway::{Error, ExecutorError, Parkway, Record};

use crate::args::{CancelArgs, Following, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::Next;
use crate::out::{Out, say};
use crate::project::Project;
use crate::session::{Session, person, taken_up};

/// Ends a run: by the process that executes it, else here.
pub(crate) async fn cancel(global: &Global, args: CancelArgs, out: &mut Out) -> Result<Exit, Failure> {
    let (project, next) = (Project::find(global)?, Next::new(global));
    // Without a store there is nothing to cancel, and none should come into being.
    drop(project.need().await?);
    let following =
        Following { approve: Vec::new(), yes: false, json: args.json, json_output: None, require_gpu: false };
    let session = Session::begin(global, &following, out)?;
    project.warn();
    let parkway = project.open(session.builder(&following)).await?;
    let run = parkway.find_run(&args.run).await?;
    let id = run.run;
    if run.status.ended() {
        return Err(Failure::invalid(format!("run {id} has ended: {}", run.status.as_str()))
            .help(format!("look at it:  {}", next.show(id))));
    }
    let record = parkway.record(id).await?;
    if said(&parkway, &record).await? {
        say(&format!("run {id} is being cancelled already"));
    } else {
        parkway.cancel(id, args.note, person(), Channel::Command).await?;
        say(&format!("cancelling run {id}"));
    }
    // Asked after the word: whoever takes the run over from now on sees it.
    let held = parkway.find_run(&id.to_string()).await?.held;
    if held || args.no_wait {
        say(&taken_up(&parkway, &record, "the cancel", &next).await?);
        return Ok(Exit::Done);
    }
    let lacks = record.plan.changed_tools(parkway.tools());
    if !lacks.is_empty() {
        return Err(Failure::failed(format!("run {id} has not ended yet: {}", lacks.join("; ")))
            .help("the cancel is kept: the program that has the run's tools takes it up when it resumes the run"));
    }
    let (taken, options) = (AtomicBool::new(false), session.options(Vec::new()));
    let start = async {
        let started = parkway.resume(id, options).await;
        taken.store(matches!(started, Err(Error::Executor(ExecutorError::Held(_)))), Ordering::Relaxed);
        started
    };
    let followed = session.follow(&parkway, &record.plan, start, Some(&record)).await;
    if taken.into_inner() {
        say("  another process took the run up meanwhile, and the cancel with it");
        return Ok(Exit::Done);
    }
    followed
}

/// Whether the run was told to end before.
async fn said(parkway: &Parkway, record: &Record) -> Result<bool, Failure> {
    Ok(record.state.cancelling() || parkway.pending_cancel(record.state.run()).await?)
}
