//! `parkway plan GOAL`.

use parkway::distil::{self, Drafted};
use parkway::log::EventKind;
use parkway::model::Usage;
use parkway::planning::{Condition, PlannedStep};
use parkway::{Error, Inputs, Parkway, Record, Workflow};
use serde_json::{Value, json};

use super::check::describe;
use super::distil::{free, write};
use super::goal;
use crate::args::{Following, Global, PlanArgs, PlanFormat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::{Next, quoted};
use crate::out::{Out, say};
use crate::project::Project;
use crate::render::{clean, counted, harmless};
use crate::session::Session;

/// Lets a model plan, and shows what it planned. Nothing of it is done.
pub(crate) async fn plan(global: &Global, args: PlanArgs, out: &mut Out) -> Result<Exit, Failure> {
    args.save.as_deref().map_or(Ok(()), free)?;
    let following =
        Following { approve: Vec::new(), yes: false, json: false, json_output: None, require_gpu: args.require_gpu };
    let session = Session::begin(global, &following, out)?;
    let project = Project::find(global)?;
    project.warn();
    let parkway = project.open(session.builder(&following)).await?;
    let workflow = goal::workflow(global, &args.goal, &project, &parkway, true)?;
    let frozen = parkway.check(&workflow)?;
    let options = session.options(Vec::new());
    let start = parkway.start_with(workflow, Inputs::new(), options);
    let run = match session.complete(&parkway, &frozen, start).await? {
        Ok(run) => run,
        Err(exit) => return Ok(exit),
    };
    let drafted = distil::drafted(&parkway, run.id()).await?;
    let record = parkway.record(run.id()).await?;
    let name = args.save.as_ref().and_then(|file| file.file_stem()?.to_str()).map(str::to_owned);
    let file = drafted.workflow(&name.unwrap_or_else(|| goal::name(&args.goal.goal)))?;
    if let Some(path) = &args.save {
        write(path, &file.to_yaml())?;
    }
    match args.format {
        PlanFormat::Text => {
            steps(&drafted).iter().try_for_each(|line| out.text(line))?;
            outlook(&parkway, &file, &args, out)?;
            out.text(&format!("\nplanned with {}", cost(&record)))?;
        }
        PlanFormat::Json => out.pretty(&report(&parkway, &drafted, &record, &file)?)?,
    }
    out.flush()?;
    let next = Next::new(global);
    say(&format!("nothing of it was done; run {} wrote it", run.id()));
    say(&format!("  look at it:  {}", next.show(run.id())));
    match &args.save {
        Some(file) => say(&format!("  run it:      parkway run {}", quoted(&file.display().to_string()))),
        None => say(&format!("  do it:       parkway do {}", quoted(&args.goal.goal))),
    }
    Ok(Exit::Done)
}

/// The steps: what each does and why, and where its values come from.
fn steps(drafted: &Drafted) -> Vec<String> {
    let planned = drafted.draft.steps();
    let mut lines =
        vec![format!("{} for: {}", counted(planned.len() as u64, "step"), clean(&drafted.goal)), String::new()];
    let width = planned.iter().map(|step| step.id.len()).max().unwrap_or(0);
    let tools = planned.iter().map(|step| step.tool.chars().count()).max().unwrap_or(0);
    for step in planned {
        let (tool, why) = (clean(&step.tool), clean(&step.why));
        lines.push(format!("  {:width$}  {tool:tools$}  {why}", step.id).trim_end().to_owned());
        let gap = " ".repeat(width + 4);
        lines.extend(flow(step).into_iter().map(|line| format!("{gap}{}", harmless(&line))));
    }
    if let Some(answer) = drafted.draft.done().and_then(|done| done.answer.as_ref()) {
        lines.push(String::new());
        lines.push(format!("  answer  {}", harmless(&answer.to_string())));
    }
    lines.push(String::new());
    lines
}

/// Where the values of a step come from, and when it is done.
fn flow(step: &PlannedStep) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(list) = &step.for_each {
        lines.push(format!("for each item of {list}"));
    }
    lines.extend(step.condition.as_ref().map(|condition| format!("only if {}", when(condition))));
    if let Some(late) = &step.late {
        lines.push(format!("decided when {} is known: {late}", step.uses.join(", ")));
    }
    for (name, value) in &step.args {
        lines.push(match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => format!("{name} <- {reference}"),
            None => format!("{name} = {value}"),
        });
    }
    if !step.after.is_empty() {
        lines.push(format!("after {}", step.after.join(", ")));
    }
    lines
}

fn when(condition: &Condition) -> String {
    let (left, is) = (&condition.left, condition.is.as_str());
    match &condition.right {
        Value::Null => format!("{left} is {}", is.replace('_', " ")),
        right => format!("{left} {is} {right}"),
    }
}

/// What the plan would do, as `check` tells it of any workflow.
fn outlook(parkway: &Parkway, file: &Workflow, args: &PlanArgs, out: &mut Out) -> Result<(), Failure> {
    let (plan, doubts) = match parkway.check_all(file) {
        Ok(checked) => checked,
        Err(Error::Invalid(problems)) => {
            out.text(&format!("as a workflow it does not pass the check:\n\n{problems}"))?;
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let path = args.save.as_ref().map(|path| path.display().to_string());
    let path = path.unwrap_or_else(|| "not saved: `--save FILE` writes it".into());
    for line in describe(&plan, &parkway.outlook(&plan), &path, None, Vec::new()) {
        out.text(&line)?;
    }
    if !doubts.list.is_empty() {
        out.text(&format!("\n{doubts}"))?;
    }
    Ok(())
}

/// What the planning took: turns, and tokens.
fn used(record: &Record) -> (u64, Usage) {
    let mut all = (0, Usage::default());
    for event in &record.events {
        if let EventKind::ModelCalled { call, .. } = &event.kind {
            all.0 += 1;
            all.1.prompt_tokens += call.usage.prompt_tokens;
            all.1.cached_tokens += call.usage.cached_tokens;
            all.1.output_tokens += call.usage.output_tokens;
        }
    }
    all
}

fn cost(record: &Record) -> String {
    let (turns, usage) = used(record);
    let tokens = format!("{} in ({} cached), {} out", usage.prompt_tokens, usage.cached_tokens, usage.output_tokens);
    format!("{}: {tokens}", counted(turns, "turn"))
}

fn report(parkway: &Parkway, drafted: &Drafted, record: &Record, file: &Workflow) -> Result<Value, Failure> {
    let (turns, usage) = used(record);
    let checked = match parkway.check(file) {
        Ok(plan) => json!({ "outlook": parkway.outlook(&plan), "plan": plan }),
        Err(Error::Invalid(problems)) => json!({ "problems": problems.to_string() }),
        Err(error) => return Err(error.into()),
    };
    let step = |step: &PlannedStep| {
        let effect = drafted.draft.tool(&step.tool).map(|tool| tool.effect.as_str());
        json!({ "id": step.id, "tool": step.tool, "effect": effect, "why": step.why, "flow": flow(step) })
    };
    let steps: Vec<_> = drafted.draft.steps().iter().map(step).collect();
    Ok(json!({
        "run": record.state.run().to_string(), "goal": drafted.goal, "lines": drafted.lines, "steps": steps,
        "workflow": file.to_yaml(), "checked": checked,
        "used": {
            "turns": turns, "prompt_tokens": usage.prompt_tokens, "cached_tokens": usage.cached_tokens,
            "output_tokens": usage.output_tokens,
        },
    }))
}
