//! `parkway do GOAL`.

use parkway::distil::{self, Evidence};
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
use crate::render::{clean, counted};
use crate::session::{Session, given, write_outputs};

/// Plans for a goal, does what was planned, and says what came of it and where it stands.
pub(crate) async fn do_(global: &Global, args: DoArgs, out: &mut Out) -> Result<Exit, Failure> {
    let session = Session::begin(global, &args.following, out)?;
    let project = Project::find(global)?;
    project.warn();
    let parkway = project.open(session.builder(&args.following)).await?;
    let workflow = goal::workflow(global, &args.goal, &project, &parkway, false)?;
    let plan = parkway.check(&workflow)?;
    let options = session.options(given(&args.following, &plan)?);
    let start = parkway.start_with(workflow, Inputs::new(), options);
    let run = match session.complete(&parkway, &plan, start).await? {
        Ok(run) => run,
        Err(exit) => return Ok(exit),
    };
    let outputs: Value = run.output().await?;
    if !args.following.json {
        match outputs.get("answer") {
            Some(Value::String(text)) => out.text(text)?,
            answer => out.pretty(answer.unwrap_or(&outputs))?,
        }
        out.flush()?;
    }
    tell(&parkway, &run, &Next::new(global)).await?;
    if args.remember {
        remember(&parkway, &run, &project).await?;
    }
    if let Some(file) = &args.following.json_output {
        write_outputs(file, &outputs)?;
    }
    Ok(Exit::Done)
}

/// That it completed, and which steps the answer rests on.
async fn tell(parkway: &Parkway, run: &Run, next: &Next) -> Result<(), Failure> {
    let evidence = distil::evidence(parkway, run.id()).await?;
    say(&format!("run {} completed", run.id()));
    let width = evidence.iter().map(|found| found.step.to_string().len()).max().unwrap_or(0);
    let line = |found: &Evidence| {
        let calls = if found.calls > 1 { format!(", {}", counted(found.calls as u64, "call")) } else { String::new() };
        format!("  evidence:    {:width$}  {}{calls}", found.step.to_string(), clean(&found.tool))
    };
    evidence.iter().for_each(|found| say(&line(found)));
    say(&format!("  look at it:  {}", next.show(run.id())));
    if let Some(first) = evidence.first() {
        say(&format!("  one step:    {}", next.show_step(run.id(), &first.step)));
    }
    Ok(())
}

/// Keeps the plan for goals like this one.
async fn remember(parkway: &Parkway, run: &Run, project: &Project) -> Result<(), Failure> {
    match distil::example(parkway, run.id()).await? {
        Some(plan) => Library::of(project).add(&plan),
        None => {
            say("the plan is not kept as an example: it was mended, or not all of it was done");
            Ok(())
        }
    }
}
