//! `parkway retry RUN`.

use parkway::Reopening;
use parkway::log::Channel;

use crate::args::{Global, RetryArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::Next;
use crate::out::Out;
use crate::project::Project;
use crate::session::{Session, given, person};

/// Reopens a run that ended badly, and goes on with it.
pub(crate) async fn retry(global: &Global, args: RetryArgs, out: &mut Out) -> Result<Exit, Failure> {
    let (project, next) = (Project::find(global)?, Next::new(global));
    // Without a store there is nothing to do again, and none should come into being.
    drop(project.need().await?);
    let session = Session::begin(global, &args.following, out)?;
    project.warn();
    let parkway = project.open(session.builder(&args.following)).await?;
    let run = parkway.find_run(&args.run).await?;
    if run.held {
        let problem = format!("run {} is being executed by another process", run.run);
        return Err(Failure::failed(problem).help(format!("look at it:  {}", next.show(run.run))));
    }
    let record = parkway.record(run.run).await?;
    let given = given(&args.following, &record.plan)?;
    let mut reopening = Reopening::new(person(), Channel::Command);
    reopening.note = args.note;
    let options = session.options(given);
    let start = parkway.retry(run.run, reopening, options);
    session.follow(&parkway, &record.plan, start, Some(&record)).await
}
