//! `parkway do GOAL`.

use parkway::distil;
use parkway::{Inputs, Parkway, Run};
use serde_json::Value;

use super::goal;
use crate::args::{DoArgs, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::library::Library;
use crate::next::Next;
use crate::out::{Out, say};
use crate::project::Project;
use crate::session::{Session, evidence, given, write_outputs};

/// Plans for a goal, does what was planned, and says what came of it and where it stands.
pub(crate) async fn do_(global: &Global, args: DoArgs, out: &mut Out) -> Result<Exit, Failure> {
    let session = Session::begin(global, &args.following, out)?;
    let project = Project::find(global)?;
    project.warn();
    let parkway = project.open(session.builder(&args.following)).await?;
    let workflow = goal::workflow(global, &args.goal, &project, &parkway, false).await?;
    let plan = parkway.check(&workflow)?;
    let options = session.options(given(&args.following, &plan)?);
    let start = parkway.start_with(workflow, Inputs::new(), options);
    let run = match session.complete(&parkway, &plan, start).await? {
        Ok(run) => run,
        Err(exit) => {
            if exit == Exit::Waiting {
                later(&args);
            }
            return Ok(exit);
        }
    };
    let outputs: Value = run.output().await?;
    if !args.following.json {
        match outputs.get("answer") {
            Some(Value::String(text)) => out.text(text)?,
            answer => out.pretty(answer.unwrap_or(&outputs))?,
        }
        out.flush()?;
    }
    say(&format!("run {} completed", run.id()));
    evidence(&parkway, run.id(), &Next::new(global)).await?;
    // What the run came to is told first, whatever becomes of its plan.
    if let Some(file) = &args.following.json_output {
        write_outputs(file, &outputs)?;
    }
    if args.remember {
        remember(&parkway, &run, &project).await?;
    }
    Ok(Exit::Done)
}

/// Says which flags end with this command, where the run goes on in another one.
fn later(args: &DoArgs) {
    if args.following.json_output.is_some() {
        say("  `--json-output` does not hold for `resume`: give it again");
    }
    if args.remember {
        say("  `--remember` does not hold for `resume`: `parkway distil` keeps the plan, once the run has completed");
    }
}

/// Keeps the plan for goals like this one.
async fn remember(parkway: &Parkway, run: &Run, project: &Project) -> Result<(), Failure> {
    match distil::example(parkway, run.id()).await? {
        Some(plan) => Library::of(project, parkway).add(&plan).await,
        None => {
            say("the plan is not kept as an example: it was mended, or not all of it was done");
            Ok(())
        }
    }
}
