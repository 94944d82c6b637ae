//! `parkway test [FILE]...`: tests of workflows, and the recordings that they use.

use std::fs;
use std::path::{Path, PathBuf};

use parkway::trial::{self, Outcome, Trial, Trials};
use serde_json::json;

use crate::args::{Global, TestArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};
use crate::project::Project;
use crate::render::counted;

/// What a file of tests is called.
const ENDINGS: [&str; 2] = [".test.yaml", ".test.yml"];
/// How deep folders are looked through.
const DEEP: usize = 12;

/// Runs tests, or records a run for one.
pub(crate) async fn test(global: &Global, args: TestArgs, out: &mut Out) -> Result<Exit, Failure> {
    if let Some(run) = &args.record {
        return record(global, run, &args).await;
    }
    let files = files(&args.files)?;
    let (mut passed, mut failed, mut left_out, mut broken) = (0, Vec::new(), 0, false);
    for file in &files {
        let trials = match Trials::from_path(file) {
            Ok(trials) => trials,
            Err(error) => {
                broken = true;
                Failure::from(error).tell(!global.no_color);
                continue;
            }
        };
        let wanted = |trial: &&Trial| args.only.as_ref().is_none_or(|text| trial.name().contains(text.as_str()));
        let list: Vec<_> = trials.list().iter().filter(wanted).collect();
        left_out += trials.list().len() - list.len();
        if list.is_empty() {
            continue;
        }
        if !args.json {
            out.text(&format!("running {} of {}", counted(number(list.len()), "test"), file.display()))?;
        }
        for trial in list {
            let outcome = trials.run(trial, &[], args.update);
            let (good, wrong) = judge(outcome);
            if args.json {
                let name = trial.name();
                out.json(&json!({ "file": file.display().to_string(), "test": name, "ok": good, "problems": wrong }))?;
            } else {
                out.text(&format!("test {} ... {}", trial.name(), if good { "ok" } else { "FAILED" }))?;
            }
            out.flush()?;
            if good {
                passed += 1;
            } else {
                failed.push((format!("{}: {}", file.display(), trial.name()), wrong));
            }
        }
    }
    if !args.json {
        tell(out, passed, &failed, left_out)?;
    }
    Ok(match (broken, failed.is_empty()) {
        (true, _) => Exit::Invalid,
        (false, true) => Exit::Done,
        (false, false) => Exit::Failed,
    })
}

/// What is wrong, as texts. A run that could not begin is one thing wrong.
fn judge(outcome: Result<Outcome, parkway::Error>) -> (bool, Vec<String>) {
    match outcome {
        Ok(outcome) => {
            let wrong: Vec<_> = outcome.mismatches.iter().map(ToString::to_string).collect();
            (wrong.is_empty(), wrong)
        }
        Err(error) => (false, vec![error.to_string()]),
    }
}

fn tell(out: &mut Out, passed: usize, failed: &[(String, Vec<String>)], left_out: usize) -> Result<(), Failure> {
    for (name, wrong) in failed {
        out.text(&format!("\n---- {name} ----"))?;
        for problem in wrong {
            out.text(problem)?;
        }
    }
    let left_out = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
    let gap = if passed + failed.len() > 0 { "\n" } else { "" };
    out.text(&format!("{gap}{passed} passed, {} failed{left_out}", failed.len()))?;
    Ok(())
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The files that are meant, each once.
fn files(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let here = [PathBuf::from(".")];
    for path in if given.is_empty() { &here } else { given } {
        if path.is_dir() {
            find(path, DEEP, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    files.dedup();
    if files.is_empty() {
        return Err(Failure::invalid("there are no files of tests")
            .help("a test of flow.yaml stands in flow.test.yaml; `parkway test --help` shows one"));
    }
    Ok(files)
}

fn find(folder: &Path, deep: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let cannot = |e| Failure::invalid(format!("the folder {} cannot be read: {e}", folder.display()));
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let Ok(kind) = entry.file_type() else { continue };
        let dull = name.starts_with('.') || ["target", "node_modules"].contains(&name.as_str());
        if kind.is_dir() && !dull && deep > 0 {
            // A folder further down that nobody may read has no tests for this person.
            let _ = find(&path, deep - 1, files);
        } else if kind.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            files.push(path.strip_prefix(".").map(Path::to_path_buf).unwrap_or(path));
        }
    }
    Ok(())
}

/// Writes the model answers of a run to a file.
async fn record(global: &Global, run: &str, args: &TestArgs) -> Result<Exit, Failure> {
    let [file] = args.files.as_slice() else {
        return Err(Failure::invalid("a recording goes to one file")
            .help("write for example `parkway test --record last fixtures/intake.json`"));
    };
    if file.exists() && !args.update {
        return Err(
            Failure::invalid(format!("{} is there already", file.display())).help("write over it with --update")
        );
    }
    let parkway = Project::find(global)?.need().await?;
    let run = parkway.find_run(run).await?.run;
    let recording = trial::record(&parkway, run).await?;
    let cannot = |e| Failure::failed(format!("{} cannot be written: {e}", file.display()));
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(cannot)?;
    }
    fs::write(file, recording).map_err(cannot)?;
    say(&format!(
        "kept the model answers of run {run}; a test beside it uses them with `recorded: {}`",
        file.display()
    ));
    Ok(Exit::Done)
}
