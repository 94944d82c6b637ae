//! `parkway approve RUN STEP`.

use parkway::Record;
use parkway::id::StepKey;
use parkway::log::{Channel, Verdict};

use crate::args::{ApproveArgs, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::Next;
use crate::out::{columns, say};
use crate::project::Project;
use crate::render::{decided, drawn};
use crate::session::{asked, person, taken_up};
use crate::step;

/// Answers a step that asks, whoever executes its run.
pub(crate) async fn approve(global: &Global, args: ApproveArgs) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.need().await?;
    let run = parkway.find_run(&args.run).await?.run;
    let record = parkway.record(run).await?;
    let found = step::find(&parkway, &record, &args.step).await?;
    let step = asking(&record, &args.step, found)?;
    let next = Next::new(global);
    if let Some(given) = parkway.pending_answer(run, &step).await? {
        // The first answer counts, and a second one would be told as if it did.
        return Err(Failure::invalid(format!("`{step}` was answered already: {}", decided(given)))
            .help(format!("the answer is taken up by: {}", next.resume(run))));
    }
    let verdict = if args.reject { Verdict::Rejected } else { Verdict::Approved };
    parkway.answer(run, step.clone(), verdict, args.note, person(), Channel::Command).await?;
    say(&format!("{} {step} of run {run}", decided(verdict)));
    if let Some(plan) = asked(&parkway, &record, &step).await?.and_then(|asked| asked.plan()) {
        drawn(&plan, columns()).iter().for_each(|line| say(line));
    }
    say(&taken_up(&parkway, &record, "the answer", &next).await?);
    Ok(Exit::Done)
}

/// The step that is meant, if it asks: the one found, or the only one with that id.
fn asking(record: &Record, text: &str, found: Option<StepKey>) -> Result<StepKey, Failure> {
    let asking = record.state.asking().map(|step| &step.key).collect();
    step::meant(record, asking, text, found, "ask", "no step of the run asks now")
}
