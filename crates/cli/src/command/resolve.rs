//! `parkway resolve RUN STEP`.

use std::io::{self, IsTerminal, Write};

use parkway::id::StepKey;
use parkway::log::{Channel, Resolution, StepStatus, WaitFor};
use parkway::{Error, Parkway, Record};
use serde_json::Value;

use crate::args::{Global, ResolveArgs, WordArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::Next;
use crate::out::{columns, say};
use crate::project::Project;
use crate::render::{Symbols, resolved};
use crate::session::{Doubt, Word, json_value, person, taken_up};
use crate::step;

/// Says what became of a call in doubt, whoever executes its run.
pub(crate) async fn resolve(global: &Global, args: ResolveArgs) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.need().await?;
    let run = parkway.find_run(&args.run).await?;
    let (id, next) = (run.run, Next::new(global));
    let record = parkway.record(id).await?;
    let found = step::find(&parkway, &record, &args.step).await?;
    let step = in_doubt(&record, &args.step, found, run.held, &next)?;
    if let Some(given) = parkway.pending_resolution(id, &step).await? {
        // The first word counts, and a second one would be told as if it did.
        return Err(Failure::invalid(format!("`{step}` was resolved already: {}", resolved(&given)))
            .help(format!("the word is taken up by: {}", next.resume(id))));
    }
    let (outcome, note, via) = match said(&args.word)? {
        Some(outcome) => (outcome, args.note, Channel::Command),
        None => {
            let (outcome, note) = asked(&parkway, &record, &step, &next).await?;
            (outcome, args.note.or(note), Channel::Prompt)
        }
    };
    let (told, redo) = (resolved(&outcome), outcome == Resolution::Redo);
    let sent = parkway.resolve(id, step.clone(), outcome, note, person(), via).await;
    sent.map_err(|error| refused(error, &parkway, &record, &step))?;
    say(&format!("resolved {step} of run {id}: {told}"));
    if redo {
        say("  its effect may happen twice: the next call has a new key, and the other side takes it for another one");
    }
    say(&taken_up(&parkway, &record, "the word", &next).await?);
    Ok(Exit::Done)
}

/// What the flags say.
fn said(word: &WordArgs) -> Result<Option<Resolution<Value>>, Failure> {
    Ok(match &word.done {
        Some(output) => Some(Resolution::Done { output: json_value(output, "`--done`")? }),
        None if word.not_done => Some(Resolution::NotDone),
        None if word.redo => Some(Resolution::Redo),
        None => None,
    })
}

/// The step that is meant, if it is in doubt: the one found, or the only one with that id.
fn in_doubt(record: &Record, text: &str, found: Option<StepKey>, held: bool, next: &Next) -> Result<StepKey, Failure> {
    let steps = || record.state.steps().iter();
    let doubtful = steps().filter(|step| step.status == StepStatus::InDoubt).map(|step| &step.key).collect();
    let help = found.as_ref().and_then(|key| instead(record, key, held, next));
    let meant = step::meant(record, doubtful, text, found, "stand in doubt", "no step of the run is in doubt now");
    meant.map_err(|failure| match help {
        Some(help) => failure.help(help),
        None => failure,
    })
}

/// What is to be done about a step that is not in doubt.
fn instead(record: &Record, key: &StepKey, held: bool, next: &Next) -> Option<String> {
    let (step, run) = (record.state.step(key)?, record.state.run());
    if step.asks() {
        return Some(format!("it asks for a yes or a no: {}", next.approve(run, key)));
    }
    match step.status {
        StepStatus::Waiting => match &step.waiting.as_ref()?.what {
            WaitFor::Input { .. } => Some(format!("it asks for values: {}", next.input(run, key))),
            WaitFor::Run { run, .. } => Some(format!("it waits for a run of its own: {}", next.show(*run))),
            _ => None,
        },
        StepStatus::Running if held => Some("a process executes it now".to_owned()),
        // What is in doubt is found out by whoever takes the run up.
        StepStatus::Running => Some(format!("its process has ended; go on with: {}", next.resume(run))),
        _ => None,
    }
}

/// A refused output is told with what the tool returns.
fn refused(error: Error, parkway: &Parkway, record: &Record, step: &StepKey) -> Failure {
    let help = match &error {
        Error::OutOfPlace(_) => Doubt::returns(parkway, record, step),
        _ => None,
    };
    let failure = Failure::from(error);
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// What a person at the terminal says, after reading what is known.
async fn asked(
    parkway: &Parkway,
    record: &Record,
    step: &StepKey,
    next: &Next,
) -> Result<(Resolution<Value>, Option<String>), Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::invalid(format!("nothing is said of `{step}`, and nobody can be asked")).help(format!(
            "write `--done JSON` with what the call returned, `--not-done`, or `--redo`\n  look at it:  {}",
            next.show_step(record.state.run(), step)
        )));
    }
    let mut doubt = Doubt::read(parkway, record, step).await?;
    loop {
        let mut lines = doubt.lines(columns(), Symbols::from_env());
        let open = lines.pop().unwrap_or_default();
        lines.iter().for_each(|line| say(line));
        write!(io::stderr(), "{open}")?;
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            return Err(Failure::new(Exit::Interrupted, format!("nothing was said: `{step}` stays in doubt")));
        }
        let check = |output: &Value| parkway.check_returned(record, step, output).map_err(|error| error.to_string());
        if let Word::Said(outcome, note) = doubt.hear(&line, check) {
            return Ok((outcome, note));
        }
    }
}
