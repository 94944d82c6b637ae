//! `parkway distil RUN`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use parkway::distil::{self, Distilled};
use parkway::trial::Trials;
use parkway::{Error, Parkway};

use super::goal;
use crate::args::{DistilArgs, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::library::Library;
use crate::next::quoted;
use crate::out::{Out, say};
use crate::project::Project;
use crate::render::harmless;

/// Writes a workflow and a test of what a run did to reach its goal.
pub(crate) async fn distil(global: &Global, args: DistilArgs, out: &mut Out) -> Result<Exit, Failure> {
    let project = Project::find(global)?;
    let parkway = project.need().await?;
    let run = parkway.find_run(&args.run).await?.run;
    let file = match &args.out {
        Some(file) => file.clone(),
        None => PathBuf::from(goal::name(&distil::goal(&parkway, run).await?)).with_extension("yaml"),
    };
    let name = stem(&file)?;
    let tests = file.with_file_name(format!("{name}.test.yaml"));
    let distilled = distil::distil(&parkway, run, &name).await?;
    // Both or none.
    [&file, &tests].into_iter().try_for_each(|file| free(file))?;
    check(&parkway, &distilled)?;
    write(&file, &distilled.workflow.to_yaml())?;
    write(&tests, &distilled.tests)?;
    tell(&distilled, &file, &tests, out)?;
    let problems = problems(&tests)?;
    if problems.is_empty() {
        if let Some(plan) = &distilled.example {
            Library::of(&project, &parkway).add(plan).await?;
        }
        say(&format!("its test passes; run it with: parkway run {}", quoted(&file.display().to_string())));
        return Ok(Exit::Done);
    }
    out.flush()?;
    Err(Failure::failed(format!("the test of what was distilled fails:\n{}", problems.join("\n")))
        .help(format!("both files are there to be mended: parkway check {}", quoted(&file.display().to_string()))))
}

/// Refuses what does not pass the check, before anything is written.
fn check(parkway: &Parkway, distilled: &Distilled) -> Result<(), Failure> {
    match parkway.check(&distilled.workflow) {
        Ok(_) => Ok(()),
        Err(Error::Invalid(problems)) => Err(Failure::failed(format!(
            "what was distilled does not pass the check, and nothing was written:\n\n{problems}"
        ))
        .help("the run is as it was: `parkway show` tells what it did, and a workflow can be written by hand")),
        Err(error) => Err(error.into()),
    }
}

/// The name of the workflow in a file.
fn stem(file: &Path) -> Result<String, Failure> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    match file.file_stem().and_then(|stem| stem.to_str()).filter(|_| matches!(ending, Some("yaml" | "yml"))) {
        Some(stem) => Ok(stem.to_owned()),
        None => Err(Failure::invalid(format!("`--out {}` names no workflow", file.display()))
            .help("write for example `--out flows/report.yaml`")),
    }
}

/// Refuses a file that is there.
pub(super) fn free(file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Err(Failure::invalid(format!("{} is there already", file.display()))
            .help("name another file, or remove that one"));
    }
    Ok(())
}

/// Writes a file that is not there yet.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(Ok(()), fs::create_dir_all);
    let written = folder.and_then(|()| File::create_new(file)).and_then(|mut new| new.write_all(text.as_bytes()));
    written.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", file.display())))
}

fn tell(distilled: &Distilled, file: &Path, tests: &Path, out: &mut Out) -> Result<(), Failure> {
    out.text(&format!("wrote {}", file.display()))?;
    for input in &distilled.lifted {
        out.text(&format!("  input {} = {}", input.name, harmless(&input.value.to_string())))?;
    }
    for frozen in &distilled.frozen {
        out.text(&format!("  stays as it was: {} = {}", harmless(&frozen.place), harmless(&frozen.value.to_string())))?;
    }
    if distilled.asks {
        out.text("  its answer is written by a chat, and nothing holds it against the results any more")?;
    }
    out.text(&format!("wrote {}", tests.display()))?;
    Ok(out.flush()?)
}

/// What the test says.
fn problems(tests: &Path) -> Result<Vec<String>, Failure> {
    let trials = Trials::from_path(tests)?;
    let mut problems = Vec::new();
    for trial in trials.list() {
        problems.extend(trials.run(trial, &[], false)?.mismatches.iter().map(ToString::to_string));
    }
    Ok(problems)
}
