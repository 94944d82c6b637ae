//! `parkway fork RUN --from STEP`.

use parkway::log::Channel;
use parkway::{Fork, ForkStep};
use serde_json::{Value, json};

use crate::args::{ForkArgs, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};
use crate::project::Project;
use crate::render::{clean, counted};
use crate::session::{Session, given, person};

/// The most steps that are named in a line.
const NAMED: usize = 12;

/// Begins a new run from a step of an earlier one on.
pub(crate) async fn fork(global: &Global, args: ForkArgs, out: &mut Out) -> Result<Exit, Failure> {
    let project = Project::find(global)?;
    let look = project.need().await?;
    let run = look.find_run(&args.run).await?.run;
    let fork = look.fork(run, &args.from).await?;
    if args.dry_run && args.following.json {
        out.json(&as_json(&fork))?;
        return Ok(Exit::Done);
    }
    if args.dry_run {
        for line in told(&fork) {
            out.line(&line)?;
        }
        return Ok(Exit::Done);
    }
    drop(look);
    told(&fork).iter().for_each(|line| say(line));
    let session = Session::begin(global, &args.following, out)?;
    project.warn();
    let parkway = project.open(session.builder(&args.following)).await?;
    let options = session.options(given(&args.following, fork.plan())?);
    let (plan, by) = (fork.plan().clone(), person());
    let start = parkway.start_fork(fork, &by, Channel::Command, options);
    session.follow(&parkway, &plan, start, None).await
}

/// What is kept and what will run, before anything does.
fn told(fork: &Fork) -> Vec<String> {
    let mut lines = vec![format!("a fork of run {} from `{}`", fork.from(), fork.step())];
    let mut kept: Vec<_> = fork.kept().iter().take(NAMED).map(|key| clean(&key.to_string())).collect();
    if let Some(more @ 1..) = fork.kept().len().checked_sub(NAMED) {
        kept.push(format!("and {more} more"));
    }
    let nothing = || "nothing is kept".to_owned();
    let keeps =
        (!kept.is_empty()).then(|| format!("{} kept: {}", counted(fork.kept().len() as u64, "step"), kept.join(", ")));
    lines.push(format!("  {}", keeps.unwrap_or_else(nothing)));
    lines.push(format!("  {} done anew:", counted(fork.anew().len() as u64, "step")));
    let width = fork.anew().iter().map(|step| step.key.to_string().len()).max().unwrap_or(0);
    lines.extend(fork.anew().iter().map(|step| format!("    {:width$}  {}", step.key.to_string(), what(step))));
    lines
}

fn what(step: &ForkStep) -> String {
    let tool = step.tool.as_deref().map_or_else(|| step.verb.to_owned(), clean);
    let effect = step.effect.map(|effect| format!("  {}", effect.as_str())).unwrap_or_default();
    let asks = if step.asks() { ", asked about first" } else { "" };
    let doubt = if step.in_doubt { "; nobody knows whether the earlier run has made this call" } else { "" };
    format!("{tool}{effect}{asks}{doubt}")
}

fn as_json(fork: &Fork) -> Value {
    let anew = |step: &ForkStep| {
        json!({
            "step": step.key.to_string(),
            "verb": step.verb,
            "tool": step.tool,
            "effect": step.effect.map(parkway::Effect::as_str),
            "asks": step.asks(),
            "in_doubt": step.in_doubt,
        })
    };
    json!({
        "run": fork.from().to_string(),
        "from": fork.step().to_string(),
        "kept": fork.kept().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "anew": fork.anew().iter().map(anew).collect::<Vec<_>>(),
    })
}
