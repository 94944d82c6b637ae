//! `parkway input RUN STEP`.

use std::io::{self, IsTerminal, Write};

use parkway::id::StepKey;
use parkway::log::{Channel, Commitment, Step, StepStatus, WaitFor};
use parkway::{Inputs, Parkway, Record};
use serde_json::Value;

use crate::args::{Global, InputArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::Next;
use crate::out::{columns, say};
use crate::project::Project;
use crate::render::Symbols;
use crate::session::{Form, form_of, from_file, person, taken_up};
use crate::step;

/// Fills the form of a step that asks, whoever executes its run.
pub(crate) async fn input(global: &Global, args: InputArgs) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.need().await?;
    let run = parkway.find_run(&args.run).await?.run;
    let record = parkway.record(run).await?;
    let found = step::find(&parkway, &record, &args.step).await?;
    let step = asking(&record, &args.step, found)?;
    let next = Next::new(global);
    if parkway.pending_values(run, &step).await?.is_some() {
        // The first answer counts, and a second one would be told as if it did.
        return Err(Failure::invalid(format!("`{step}` was filled already"))
            .help(format!("the values are taken up by: {}", next.resume(run))));
    }
    let form = read(&parkway, &record, &step).await?;
    let values = match &args.values {
        Some(file) => form.fill(&args.set, from_file(file)?)?,
        None if !args.set.is_empty() => form.fill(&args.set, Inputs::new())?,
        None => asked(form)?,
    };
    parkway.fill(run, step.clone(), values, person(), Channel::Command).await?;
    say(&format!("filled {step} of run {run}"));
    say(&taken_up(&parkway, &record, "the values", &next).await?);
    Ok(Exit::Done)
}

/// What a step that asks for values asks: its prompt, and what stands in the fields already.
fn asks(step: &Step) -> Option<(Commitment, Option<Commitment>)> {
    match step.waiting.as_ref().filter(|_| step.status == StepStatus::Waiting)?.what {
        WaitFor::Input { prompt, filled, .. } => Some((prompt, filled)),
        _ => None,
    }
}

/// The step that is meant, if it asks for values: the one found, or the only one with that id.
fn asking(record: &Record, text: &str, found: Option<StepKey>) -> Result<StepKey, Failure> {
    let asking = record.state.steps().iter().filter(|step| asks(step).is_some()).map(|step| &step.key).collect();
    let none = "no step of the run asks for values now; an approval is answered by `parkway approve`";
    step::meant(record, asking, text, found, "ask for values", none)
}

async fn read(parkway: &Parkway, record: &Record, step: &StepKey) -> Result<Form, Failure> {
    let schema = form_of(&record.plan, step).cloned().unwrap_or_default();
    let Some((prompt, filled)) = record.state.step(step).and_then(asks) else {
        return Ok(Form::new(step.clone(), String::new(), schema));
    };
    let prompt = parkway.text(prompt).await?.as_str().unwrap_or_default().to_owned();
    let form = Form::new(step.clone(), prompt, schema);
    Ok(match filled {
        Some(filled) => form.filled(&parkway.text(filled).await?),
        None => form,
    })
}

/// The values, asked field by field at the terminal.
fn asked(mut form: Form) -> Result<Value, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::invalid("no values are given, and nobody can be asked for them")
            .help(format!("write `--set NAME=VALUE` or `--values FILE`; fields: {}", form.outline().join("; "))));
    }
    loop {
        let mut lines = form.lines(columns(), Symbols::from_env());
        let open = lines.pop().unwrap_or_default();
        lines.iter().for_each(|line| say(line));
        write!(io::stderr(), "{open}")?;
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            return Err(Failure::new(Exit::Interrupted, "nothing was kept: the form was not filled"));
        }
        if let Some(values) = form.hear(&line) {
            return Ok(values);
        }
    }
}
