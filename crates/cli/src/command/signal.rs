//! `parkway signal RUN NAME [JSON]`.

use parkway::definition::{Verb, Wait};
use parkway::id::StepKey;
use parkway::log::{Channel, Commitment, StepStatus, WaitFor};
use parkway::{Parkway, Plan, Record};

use crate::args::{Global, SignalArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::Next;
use crate::out::say;
use crate::project::Project;
use crate::render::counted;
use crate::session::{json_value, person, taken_up};

/// Sends a signal to a run, whoever executes it.
pub(crate) async fn signal(global: &Global, args: SignalArgs) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.need().await?;
    let run = parkway.find_run(&args.run).await?;
    let (id, next) = (run.run, Next::new(global));
    if run.status.ended() {
        return Err(Failure::invalid(format!("run {id} has ended: {}", run.status.as_str()))
            .help(format!("look at it:  {}", next.show(id))));
    }
    let payload = json_value(&args.payload, "the signal")?;
    let record = parkway.record(id).await?;
    let waiting = waiting(&parkway, &record, &args.name).await?;
    let known = names(&record.plan);
    if waiting.is_empty() && known.as_ref().is_some_and(|known| !known.contains(&args.name.as_str())) {
        return Err(nobody(&args.name, &known.unwrap_or_default()));
    }
    // Those that were sent before go first.
    let before = parkway.pending_signals(id, &args.name).await?;
    parkway.signal(id, &args.name, payload, person(), Channel::Command).await?;
    say(&format!("sent `{}` to run {id}", args.name));
    say(&match waiting.as_slice() {
        [] => "  no step waits for it now; it is kept for the first one that does".to_owned(),
        waiting if waiting.len() <= before => {
            format!(
                "  {} of it stand before this one; it is kept for the next step that waits",
                counted(before as u64, "signal")
            )
        }
        [step] => format!("  {step} waits for it"),
        waiting => format!("  {} steps wait for it; the one that has waited longest gets it", waiting.len()),
    });
    say(&taken_up(&parkway, &record, "the signal", &next).await?);
    Ok(Exit::Done)
}

/// The steps that wait for a signal of this name.
async fn waiting(parkway: &Parkway, record: &Record, name: &str) -> Result<Vec<StepKey>, Failure> {
    let waits: Vec<(&StepKey, Commitment)> = record
        .state
        .steps()
        .iter()
        .filter(|step| step.status == StepStatus::Waiting)
        .filter_map(|step| match step.waiting.as_ref()?.what {
            WaitFor::Signal { name, .. } => Some((&step.key, name)),
            _ => None,
        })
        .collect();
    let names: Vec<_> = waits.iter().map(|(_, name)| *name).collect();
    let names = parkway.texts(&names).await?;
    let here = waits.into_iter().zip(names).filter(|(_, known)| known.as_str() == Some(name));
    Ok(here.map(|((key, _), _)| key.clone()).collect())
}

/// The names of all signals that steps of the plan may wait for; `None` if one is known only when its step runs.
fn names(plan: &Plan) -> Option<Vec<&str>> {
    let signals = plan.graph.iter().filter_map(|(_, node)| match &node.verb {
        Verb::Wait(Wait::Signal { name, .. }) => Some(name.as_str()),
        _ => None,
    });
    signals.map(|name| (!name.contains("${{") && !name.contains("{%")).then_some(name)).collect()
}

/// That a signal of this name would be kept for ever.
fn nobody(name: &str, known: &[&str]) -> Failure {
    let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    Failure::invalid(format!("no step of the run waits for a signal `{name}`, now or later")).help(match known.len() {
        0 => "its workflow has no `wait: { signal: … }`; an approval is answered by `parkway approve`".to_owned(),
        _ => format!("there are {}", known.join(", ")),
    })
}
