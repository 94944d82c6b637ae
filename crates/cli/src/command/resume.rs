//! `parkway resume [RUN]`.

use parkway::Parkway;
use parkway::store::{RunFilter, RunSummary};

use crate::args::{Global, ResumeArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::Next;
use crate::out::{Out, say};
use crate::project::Project;
use crate::session::{Session, answer_waiting, given};

/// Goes on with a run where it stands.
pub(crate) async fn resume(global: &Global, args: ResumeArgs, out: &mut Out) -> Result<Exit, Failure> {
    let (project, next) = (Project::find(global)?, Next::new(global));
    // Without a store there is nothing to resume, and none should come into being.
    drop(project.need().await?);
    let session = Session::begin(global, &args.following, out)?;
    project.warn();
    let parkway = project.open(session.builder(&args.following)).await?;
    let run = match &args.run {
        Some(text) => parkway.find_run(text).await?,
        None => newest(&parkway, &next).await?,
    };
    let id = run.run;
    let look = |run| format!("look at it:  {}", next.show(run));
    if run.status.ended() {
        return Err(Failure::invalid(format!("run {id} has ended: {}", run.status.as_str())).help(look(id)));
    }
    if run.held {
        return Err(Failure::failed(format!("run {id} is being executed by another process")).help(look(id)));
    }
    if args.run.is_none() {
        say(&format!("resuming {id}"));
    }
    let record = parkway.record(id).await?;
    let given = given(&args.following, &record.plan)?;
    answer_waiting(&parkway, &record, &given).await?;
    let options = session.options(given);
    let start = parkway.resume(id, options);
    session.follow(&parkway, &record.plan, start, Some(&record)).await
}

/// The newest run that has not ended and that nobody holds.
async fn newest(parkway: &Parkway, next: &Next) -> Result<RunSummary, Failure> {
    let filter = RunFilter { open: true, ..RunFilter::default() };
    let free = parkway.runs(&filter).await?.into_iter().find(|run| !run.held && !run.status.ended());
    free.ok_or_else(|| {
        Failure::invalid("no run can be resumed: each has ended or is being executed")
            .help(format!("they are listed by: {}", next.runs()))
    })
}
