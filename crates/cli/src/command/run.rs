//! `parkway run FILE`.

use parkway::{Error, Inputs, Workflow};
use serde_json::Value;

use super::check::describe;
use crate::args::{Global, RunArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;
use crate::project::Project;
use crate::render::harmless;
use crate::session::{Session, add_given, given, read_file};

/// Runs a workflow from its beginning.
pub(crate) async fn run(global: &Global, args: RunArgs, out: &mut Out) -> Result<Exit, Failure> {
    let workflow = Workflow::from_path(&args.file)?;
    let inputs = read_file(&args)?;
    if args.dry_run {
        return rehearse(global, &workflow, inputs, &args, out).await;
    }
    let session = Session::begin(global, &args.following, out)?;
    let project = Project::find(global)?;
    project.warn();
    let parkway = project.open(session.builder(&args.following)).await?;
    let plan = parkway.check(&workflow)?;
    let options = session.options(given(&args.following, &plan)?);
    let inputs = add_given(inputs, &args, &plan)?;
    let start = parkway.start_with(workflow, inputs, options);
    session.follow(&parkway, &plan, start, None).await
}

/// Says what would run with these inputs. Nothing is started, no model is loaded, and no store is opened.
async fn rehearse(
    global: &Global,
    workflow: &Workflow,
    inputs: Inputs,
    args: &RunArgs,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.without_store().await?;
    let plan = parkway.check(workflow)?;
    // A step that nobody has written is to be found before a run, not in it.
    given(&args.following, &plan)?;
    let filled = plan.fill_inputs(add_given(inputs, args, &plan)?).map_err(Error::Inputs)?;
    let names = plan.inputs.get("properties").and_then(Value::as_object).into_iter().flat_map(|fields| fields.keys());
    let values = names.map(|name| format!("  {name} = {}", harmless(&filled[name].to_string()))).collect();
    let file = args.file.display().to_string();
    for line in describe(&plan, &parkway.outlook(&plan), &file, workflow.description(), values) {
        out.text(&line)?;
    }
    Ok(Exit::Done)
}
