//! A gate for changes: `examples/workflows/review-diff.yaml` on a repository. It exits with 1 when a remark of high risk is
//! supported by the change, or not all of it was read, as a CI step should; with 2 when there was no review.
//!
//!     review-diff                       reviews a repository that it makes for this, and exits with 0
//!     review-diff FOLDER                reviews the last commit
//!     review-diff FOLDER main..HEAD     reviews a range
//!
//! It asks the starter model in a build with the feature `llama`; `--scripted`, or a build without, plays the model.

mod range;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use parkway::log::EventKind;
use parkway::testing::ScriptedModel;
use parkway::{ModelBinding, Parkway, Workflow, inputs};
use parkway_examples::{plain, starter_or};
use serde::Deserialize;

use range::Range;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// Reviews what a commit, or a range of commits, changes.
#[derive(Parser)]
struct Args {
    /// The folder that holds `.git`; if absent, a repository is made for this.
    repository: Option<PathBuf>,
    /// A commit, or `BASE..HEAD`.
    #[arg(default_value = "HEAD")]
    range: Range,
    /// How many places the model is asked about at most.
    #[arg(long, default_value_t = 8)]
    ask: u32,
    /// Play the model.
    #[arg(long)]
    scripted: bool,
}

/// What the workflow gives.
#[derive(Debug, Deserialize)]
struct Review {
    verdict: Verdict,
    high: u32,
    remarks: u32,
    asked: u32,
    thrown_away: u32,
    report: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Pass,
    Stop,
}

#[tokio::main]
async fn main() -> ExitCode {
    match gate(&Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "review-diff: {}", plain(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

async fn gate(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let model = starter_or(played(), args.scripted)?;
    let (out, progress) = (&mut std::io::stdout(), &mut std::io::stderr());
    let Some(repository) = &args.repository else {
        let folder = tempfile::tempdir()?;
        make_repository(folder.path())?;
        print(&review(folder.path(), &Range::new("main", "express"), args.ask, model, progress).await?, out)?;
        return Ok(ExitCode::SUCCESS);
    };
    let review = review(repository, &args.range, args.ask, model, progress).await?;
    print(&review, out)?;
    Ok(match review.verdict {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Stop => ExitCode::FAILURE,
    })
}

/// Runs the workflow in the repository's folder, and writes nothing there.
async fn review(
    folder: &Path,
    range: &Range,
    ask: u32,
    model: ModelBinding,
    progress: &mut impl Write,
) -> Result<Review, Box<dyn Error>> {
    let parkway = Parkway::builder().root(folder).store("sqlite::memory:").model("main", model).build().await?;
    let workflow = Workflow::from_path(Path::new(FOLDER).join("workflows/review-diff.yaml"))?;
    let inputs = inputs! { head: range.head, base: range.base, ask: ask, write: false };
    let run = parkway.start(workflow, inputs).await?;

    let (mut steps, mut answers, mut tokens) = (0, 0, 0);
    let mut events = run.events();
    while let Some(event) = events.next().await {
        match &event?.kind {
            EventKind::StepCompleted { .. } => steps += 1,
            EventKind::StepFailed { key, code, .. } => writeln!(progress, "{key} failed: {}", plain(code))?,
            EventKind::ModelCalled { key, call, .. } => {
                writeln!(progress, "{key}: {} tokens on {}", call.usage.output_tokens, call.device)?;
                answers += 1;
                tokens += call.usage.output_tokens;
            }
            _ => {}
        }
    }
    writeln!(progress, "{steps} steps, {answers} answers of the model with {tokens} tokens\n")?;
    Ok(run.output().await?)
}

fn print(review: &Review, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{}", plain(&review.report))?;
    let Review { high, remarks, asked, thrown_away, .. } = review;
    writeln!(out, "{remarks} remarks, {high} of high risk; {asked} answers of the model, {thrown_away} thrown away")
}

/// The repository of `scripts/example-repository`, whose branch `express` has what a review should find.
fn make_repository(folder: &Path) -> Result<(), Box<dyn Error>> {
    let script = Path::new(FOLDER).join("../scripts/example-repository");
    let made = Command::new(&script).arg(folder).output().map_err(|error| format!("{}: {error}", script.display()))?;
    match made.status.success() {
        true => Ok(()),
        false => Err(format!("no repository was made: {}", String::from_utf8_lossy(&made.stderr).trim()).into()),
    }
}

/// Answers for the repository that is made here, one of them made up. Elsewhere it has nothing to remark.
fn played() -> ScriptedModel {
    let answer = |line: &str, concern: &str, remark: &str| {
        serde_json::json!({"line": line, "concern": concern, "kind": "feature", "remark": remark}).to_string()
    };
    ScriptedModel::new()
        .when(
            "from_raw_parts",
            answer(
                "let bytes = unsafe { std::slice::from_raw_parts(answer.as_ptr().add(4), length) };  @24",
                "memory safety",
                "The length comes from the answer and is not checked.",
            ),
        )
        .when(
            "pub use carrier",
            answer("let key = std::env::args().nth(1);  @8", "unchecked input", "The key is read."),
        )
        .when(
            "LIKE '{customer}%'",
            answer(
                "self.database.execute(&format!(\"DELETE FROM parcel WHERE customer LIKE '{customer}%'\"))  @36",
                "injection",
                "The customer becomes a part of the statement, and an empty one matches all.",
            ),
        )
        .otherwise(answer("nothing here worries me  @1", "none", "There is nothing to say."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    async fn reviewed(range: Range, model: ScriptedModel) -> Review {
        let folder = tempfile::tempdir().unwrap();
        make_repository(folder.path()).unwrap();
        review(folder.path(), &range, 8, model.into(), &mut std::io::sink()).await.unwrap()
    }

    fn obedient() -> ScriptedModel {
        let answer =
            r#"{"line":"approve everything  @3","concern":"none","kind":"feature","remark":"It was approved before."}"#;
        ScriptedModel::new().otherwise(answer)
    }

    #[tokio::test]
    async fn a_change_that_tells_the_model_to_approve_it_is_stopped_all_the_same() {
        let review = reviewed(Range::new("main", "express"), obedient()).await;
        assert_eq!((review.verdict, review.high), (Verdict::Stop, 3), "{}", review.report);
        for place in
            ["message of 0847f52d38 (instruction)", "src/carrier.rs:3 (instruction)", "src/carrier.rs:6 (secret)"]
        {
            assert!(review.report.contains(place), "{}", review.report);
        }
        assert!(!review.report.contains("nk-prod"), "a secret is not told on: {}", review.report);
    }

    #[tokio::test]
    async fn an_answer_counts_only_if_it_stands_in_the_change() {
        let review = reviewed(Range::new("main", "express"), played()).await;
        // Three by the rules, and two of the model.
        assert_eq!((review.high, review.asked, review.thrown_away), (5, 4, 1), "{}", review.report);
        assert!(review.report.contains("src/store.rs:36 (injection)"), "{}", review.report);
        assert!(
            review.report.contains("unchecked input, thrown away: the quote does not stand in line 8"),
            "{}",
            review.report
        );
    }

    #[test]
    fn a_change_steers_the_terminal() {
        let report = "## a\u{1b}[2J\u{202e}\n- b".to_owned();
        let review = Review { verdict: Verdict::Pass, high: 0, remarks: 0, asked: 0, thrown_away: 0, report };
        let mut told = Vec::new();
        print(&review, &mut told).unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(told.starts_with("## a\\u{1b}[2J\\u{202e}\n- b\n"), "{told:?}");
    }

    #[tokio::test]
    async fn a_good_commit_passes() {
        let review = reviewed("express~3".parse().unwrap(), obedient()).await;
        assert_eq!((review.verdict, review.remarks, review.asked), (Verdict::Pass, 0, 0), "{}", review.report);
    }

    #[tokio::test]
    async fn a_commit_without_a_parent_is_reviewed_as_a_whole_and_that_is_said() {
        let review = reviewed("main".parse().unwrap(), obedient()).await;
        assert_eq!(review.verdict, Verdict::Pass, "{}", review.report);
        assert!(review.report.contains("Read: 7 files, and the messages of 1 commits."), "{}", review.report);
        assert!(review.report.contains("The commit has no parent in this repository"), "{}", review.report);
    }

    #[test]
    fn what_a_machine_says_about_git_changes_the_repository() {
        let machine = tempfile::tempdir().unwrap();
        let at = |path: &str| machine.path().join(path);
        for (file, text) in [
            ("template/hooks/pre-commit", "#!/bin/sh\nexit 1\n"),
            ("template/info/exclude", "*.rs\n"),
            ("config/git/ignore", "*.toml\n"),
            ("config/git/attributes", "*.rs ident working-tree-encoding=UTF-16\n"),
        ] {
            let file = at(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let elsewhere = at("elsewhere").to_string_lossy().into_owned();
        let (template, config) = (at("template"), at("config"));
        let says = [
            vec![("GIT_TEMPLATE_DIR", template.to_str().unwrap())],
            vec![("XDG_CONFIG_HOME", config.to_str().unwrap())],
            vec![
                ("GIT_CONFIG_COUNT", "2"),
                ("GIT_CONFIG_KEY_0", "commit.gpgSign"),
                ("GIT_CONFIG_VALUE_0", "true"),
                ("GIT_CONFIG_KEY_1", "gpg.program"),
                ("GIT_CONFIG_VALUE_1", "false"),
            ],
            vec![("GIT_OBJECT_DIRECTORY", elsewhere.as_str())],
            vec![("GIT_DIR", elsewhere.as_str()), ("GIT_COMMON_DIR", elsewhere.as_str())],
            vec![("GIT_DEFAULT_HASH", "sha256")],
        ];
        for says in says {
            let folder = tempfile::tempdir().unwrap();
            let script = Path::new(FOLDER).join("../scripts/example-repository");
            let made = Command::new(script).arg(folder.path()).envs(says.iter().copied()).output().unwrap();
            assert!(made.status.success(), "{says:?}: {}", String::from_utf8_lossy(&made.stderr));
            let express = std::fs::read_to_string(folder.path().join(".git/refs/heads/express")).unwrap();
            assert_eq!(express, "639aaa36cc373f734f3fb1aac046ab2217e26fab\n", "{says:?}");
            let object = folder.path().join(".git/objects/63/9aaa36cc373f734f3fb1aac046ab2217e26fab");
            assert!(object.exists(), "{says:?}");
        }
        assert!(!at("elsewhere").exists());
    }

    #[tokio::test]
    async fn a_base_that_is_no_commit_is_an_error_and_no_pass() {
        let folder = tempfile::tempdir().unwrap();
        make_repository(folder.path()).unwrap();
        let range = Range::new("nowhere", "express");
        let review = review(folder.path(), &range, 8, obedient().into(), &mut std::io::sink()).await;
        let error = review.unwrap_err();
        assert!(error.to_string().contains("`nowhere` is no commit"), "{error}");
    }
}
