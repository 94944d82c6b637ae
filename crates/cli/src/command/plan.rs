//! `parkway plan GOAL`.

use std::path::Path;

use parkway::distil::{self, Drafted};
use parkway::log::EventKind;
use parkway::model::Usage;
use parkway::planning::PlannedStep;
use parkway::{Error, Inputs, Parkway, Record, Workflow};
use serde_json::{Value, json};

use super::check::describe;
use super::distil::{free, write};
use super::{goal, graph};
use crate::args::{Following, Global, GraphFormat, PlanArgs, PlanFormat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::{Next, quoted};
use crate::out::{Out, columns, say};
use crate::project::Project;
use crate::render::{answered, clean, counted, drawn, flow, harmless};
use crate::session::Session;

/// Lets a model plan, and shows what it planned. Nothing of it is done.
pub(crate) async fn plan(global: &Global, args: PlanArgs, out: &mut Out) -> Result<Exit, Failure> {
    args.save.as_deref().map_or(Ok(()), free)?;
    let picture = args.picture.as_deref().map(drawing).transpose()?;
    let following =
        Following { approve: Vec::new(), yes: false, json: false, json_output: None, require_gpu: args.require_gpu };
    let session = Session::begin(global, &following, out)?;
    let project = Project::find(global)?;
    project.warn();
    let parkway = project.open(session.builder(&following)).await?;
    let workflow = goal::workflow(global, &args.goal, &project, &parkway, true).await?;
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
    if let Some((path, format)) = picture {
        write(path, &graph::picture(&parkway, &file, &file.graph().0, format, false))?;
    }
    let passes = match args.format {
        PlanFormat::Text => {
            steps(&drafted).iter().try_for_each(|line| out.text(line))?;
            let passes = outlook(&parkway, &file, &args, out)?;
            out.text(&format!("\nplanned with {}", cost(&record)))?;
            passes
        }
        PlanFormat::Json => {
            let report = report(&parkway, &drafted, &record, &file)?;
            out.pretty(&report)?;
            report["checked"].get("problems").is_none()
        }
    };
    out.flush()?;
    let next = Next::new(global);
    say(&format!("nothing of it was done; run {} wrote it", run.id()));
    say(&format!("  look at it:  {}", next.show(run.id())));
    let file = args.save.as_ref().map(|file| quoted(&file.display().to_string()));
    match file {
        Some(file) if passes => say(&format!("  run it:      parkway run {file}")),
        Some(file) => {
            say("the file was written, and does not pass the check: it is to be mended before it can run");
            say(&format!("  look at it:  parkway check {file}"));
            return Ok(Exit::Failed);
        }
        None => {
            say(&format!("  plan anew and do it:  {}", goal::again(global, &args.goal, "do", &next)));
            say("  this very plan is kept where `--save FILE` stands beside the goal: another turn may plan otherwise");
        }
    }
    Ok(Exit::Done)
}

/// Where a picture goes, and its kind.
fn drawing(path: &Path) -> Result<(&Path, GraphFormat), Failure> {
    free(path)?;
    match graph::by_ending(Some(path)) {
        GraphFormat::Yaml => Err(Failure::invalid(format!("{} would be no picture, but YAML", path.display()))
            .help("end its name in .svg, .dot or .mmd; `--save FILE` writes the plan as YAML")),
        format => Ok((path, format)),
    }
}

/// The steps: what each does and why, and where its values come from.
fn steps(drafted: &Drafted) -> Vec<String> {
    let planned = drafted.draft.steps();
    let mut lines =
        vec![format!("{} for: {}", counted(planned.len() as u64, "step"), clean(&drafted.goal)), String::new()];
    let written: Vec<_> = planned.iter().filter_map(|step| line_of(drafted, step)).cloned().collect();
    lines.extend(drawn(&written, columns()));
    if let Some(answer) = drafted.draft.done().and_then(|done| done.answer.as_ref()) {
        lines.push(String::new());
        lines.extend(answered(answer).iter().map(|line| format!("  {}", harmless(line))));
    }
    lines.push(String::new());
    lines
}

/// The line that a step was written as.
fn line_of<'d>(drafted: &'d Drafted, step: &PlannedStep) -> Option<&'d Value> {
    drafted.lines.iter().find(|line| line.get("id").and_then(Value::as_str) == Some(&step.id))
}

/// What the plan would do, as `check` tells it of any workflow; false, if it does not pass the check.
fn outlook(parkway: &Parkway, file: &Workflow, args: &PlanArgs, out: &mut Out) -> Result<bool, Failure> {
    let (plan, mut doubts) = match parkway.check_all(file) {
        Ok(checked) => checked,
        Err(Error::Invalid(problems)) => {
            out.text(&format!("as a workflow it does not pass the check:\n\n{problems}"))?;
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    // Who gave the flags did not write that file.
    doubts.list.retain(|doubt| doubt.code != "unused-grant");
    let path = args.save.as_ref().map(|path| path.display().to_string());
    let path = path.unwrap_or_else(|| "not saved: `--save FILE` writes it".into());
    for line in describe(&plan, &parkway.outlook(&plan), &path, None, Vec::new()) {
        out.text(&line)?;
    }
    if !doubts.list.is_empty() {
        out.text(&format!("\n{doubts}"))?;
    }
    Ok(true)
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
        let flow = line_of(drafted, step).map(flow);
        json!({ "id": step.id, "tool": step.tool, "effect": effect, "why": step.why, "flow": flow })
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
