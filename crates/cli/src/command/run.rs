//! `parkway run FILE`.

use parkway::Workflow;

use crate::args::{Global, RunArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;
use crate::project::Project;
use crate::session::{Session, add_given, given, read_file};

/// Runs a workflow from its beginning.
pub(crate) async fn run(global: &Global, args: RunArgs, out: &mut Out) -> Result<Exit, Failure> {
    let workflow = Workflow::from_path(&args.file)?;
    let inputs = read_file(&args)?;
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
