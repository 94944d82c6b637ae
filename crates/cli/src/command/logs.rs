//! `parkway logs [RUN]`: what happened in a run, one line an event, from the log only.

use std::time::Duration;

use parkway::id::{Seq, StepKey};

use crate::args::{Global, LogsArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;
use crate::project::Project;
use crate::render::{Outline, RunView, Symbols, local};
use crate::session::explain;
use crate::step;

/// How often a run that is followed is looked at.
const PAUSE: Duration = Duration::from_millis(300);

/// Tells what has happened, and with `--follow` what happens from now on.
pub(crate) async fn logs(global: &Global, args: LogsArgs, out: &mut Out) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.need().await?;
    let run = parkway.find_run(&args.run).await?.run;
    let mut record = parkway.record(run).await?;
    let mut view = RunView::new();
    view.use_symbols(Symbols::from_env());
    view.describe(Outline::from(&*record.plan));
    let mut new = record.events.clone();
    loop {
        let about = match &args.step {
            Some(text) => match step::find(&parkway, &record, text).await? {
                None if !args.follow => return Err(step::unknown(&record, text)),
                found => Some(found),
            },
            None => None,
        };
        explain(&parkway, &mut view, &new).await?;
        for event in &new {
            view.apply(event);
            let meant = about
                .as_ref()
                .is_none_or(|step| step.as_ref().zip(event.kind.key()).is_some_and(|(step, key)| is_of(key, step)));
            if !meant {
                continue;
            }
            if args.json {
                out.event(event)?;
            } else if let Some(line) = view.plain(event) {
                out.line(&format!("{}  {line}", local(event.at)))?;
            }
        }
        if !args.follow || record.state.status().ended() {
            return Ok(Exit::Done);
        }
        out.flush()?;
        let told = record.events.last().map_or(Seq(0), |event| event.seq);
        loop {
            tokio::time::sleep(PAUSE).await;
            new = parkway.events(run, told).await?;
            if !new.is_empty() {
                break;
            }
        }
        for event in &new {
            record.state.apply(event).map_err(|e| Failure::failed(e.to_string()))?;
        }
        record.events.extend(new.iter().cloned());
    }
}

/// Whether a step is the one that is meant, or within it.
fn is_of(key: &StepKey, meant: &StepKey) -> bool {
    let Some((last, above)) = meant.path().split_last() else { return false };
    let Some(same) = key.path().get(above.len()) else { return false };
    // A fan-out, or a loop, is all of its items.
    let whole = last.item.is_none() && last.iteration == 0;
    key.path().starts_with(above) && same.id == last.id && (same == last || whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_also_what_is_within_it() {
        let of = |key: &str, meant: &str| is_of(&key.parse().unwrap(), &meant.parse().unwrap());
        assert!(of("intake", "intake") && of("intake[3].extract", "intake") && of("intake[3].extract", "intake[3]"));
        assert!(!of("intake[31].extract", "intake[3]") && !of("intake", "intake[3]") && !of("intake", "in"));
        assert!(of("intake[3].extract", "intake[3].extract") && !of("intake[4].extract", "intake[3].extract"));
    }
}
