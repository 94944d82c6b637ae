//! The codes of `check`: each is explained, with a file that gives it and one that does not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use parkway::{Diagnostics, Error, Parkway, Workflow};
use regex::Regex;

use crate::bench::Bench;

const CODES: &str = include_str!("../../src/command/explain/codes.md");
/// Codes whose example would be a huge file, no text, or no workflow.
const WITHOUT_EXAMPLE: [&str; 14] = [
    "bad-file",
    "bad-setting",
    "inline-secret",
    "not-text",
    "out-of-bounds",
    "outside-project",
    "toml",
    "too-large",
    "too-many-steps",
    "unconstrained",
    "unenforceable",
    "unknown-profile",
    "unknown-setting",
    "unreadable",
];

/// A code's name, and its fenced files, each with what stands beside the fence.
fn entries() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let fenced = |part: &'static str| {
        let blocks = part.split("```yaml ").skip(1);
        blocks.map(|block| block.split("\n```").next().unwrap().split_once('\n').unwrap()).collect()
    };
    CODES.split("\n## ").skip(1).map(|part| (part.split('\n').next().unwrap(), fenced(part))).collect()
}

/// What is said of a file, with the files beside it.
async fn said(parkway: &Parkway, text: &str, beside: &[(&str, &str)]) -> Diagnostics {
    let folder = crate::kept::folder().unwrap();
    for (name, text) in beside {
        fs::write(folder.path().join(name.strip_prefix("beside ").unwrap()), text).unwrap();
    }
    let file = folder.path().join("flow.yaml");
    fs::write(&file, text).unwrap();
    let checked = Workflow::from_path(&file).and_then(|workflow| parkway.check_all(&workflow).map(|(_, said)| said));
    checked.or_else(|error| if let Error::Invalid(said) = error { Ok(said) } else { Err(error) }).unwrap()
}

#[tokio::test]
async fn no_code_is_explained_by_an_example_that_does_not_give_it() {
    let folder = crate::kept::folder().unwrap();
    let store = format!("sqlite:{}", folder.path().join("runs.db").display());
    let parkway = Parkway::builder().root(folder.path()).store(store).build().await.unwrap();
    let mut wrong = Vec::new();
    for (code, files) in entries() {
        let beside: Vec<_> = files.iter().copied().filter(|(info, _)| info.starts_with("beside ")).collect();
        let bad = files.iter().find(|(info, _)| *info == "bad");
        let good = files.iter().find(|(info, _)| *info == "good");
        let (Some((_, bad)), Some((_, good))) = (bad, good) else {
            if !WITHOUT_EXAMPLE.contains(&code) {
                wrong.push(format!("{code} has no examples"));
            }
            continue;
        };
        let found = said(&parkway, bad, &beside).await;
        if !found.list.iter().any(|problem| problem.code == code) {
            wrong.push(format!("{code} is not given by\n{bad}\nbut\n{found}"));
        }
        let found = said(&parkway, good, &beside).await;
        if found.list.iter().any(|problem| problem.is_error() || problem.code == code) {
            wrong.push(format!("{code}: the good example is wrong\n{good}\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The texts of all source files below a folder.
fn sources(folder: &Path, texts: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, texts),
            // The tests at the ends of files make up codes.
            false if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") => {
                texts.push_str(fs::read_to_string(&path).unwrap().split("#[cfg(test)]\nmod tests").next().unwrap());
            }
            false => {}
        }
    }
}

#[test]
fn no_code_is_told_and_not_explained() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut texts = String::new();
    for folder in ["core/src", "parkway/src", "cli/src"] {
        sources(&crates.join(folder), &mut texts);
    }
    let told =
        r#"(?s)(?:Diagnostic::new|Diagnostic::warning|Problem::new|\.problem|warn)\(\s*"([a-z]+(?:-[a-z]+)*)",\s"#;
    let told: BTreeSet<_> = Regex::new(told).unwrap().captures_iter(&texts).map(|found| found[1].to_owned()).collect();
    assert!(told.len() > 80, "{told:?}");
    let explained: BTreeSet<_> = entries().into_iter().map(|(code, _)| code.to_owned()).collect();
    let missing: Vec<_> = told.difference(&explained).collect();
    let idle: Vec<_> = explained.difference(&told).collect();
    assert!(missing.is_empty() && idle.is_empty(), "not explained: {missing:?}; not told: {idle:?}");
}

#[test]
fn a_code_is_found_as_it_is_shown() {
    let bench = Bench::new("parkway: 1\nsteps: { a: { set: { n: 1.10 } } }\n");
    let shown = |args: &[&str]| bench.parkway(args).code(0).out;
    let explained = shown(&["explain", "error[unknown-step]"]);
    assert!(explained.starts_with("unknown-step: ") && explained.contains("This gives it:"), "{explained}");
    bench.parkway(&["explain", "unkown-step"]).code(2).says("did you mean `unknown-step`?");
    assert!(shown(&["explain"]).contains("maybe-skipped"));
    assert!(shown(&["explain", "filters"]).contains("regex_replace"));
    let failed = shown(&["explain", "key_used"]);
    assert!(failed.starts_with("key_used, of the tools: a change of another number of rows"), "{failed}");
    assert_eq!(shown(&["explain", "invalid"]).lines().count(), 2);
    bench.parkway(&["explain", "rejectd"]).code(2).says("did you mean `rejected`?");
}

#[test]
fn a_warning_is_shown_and_strict_makes_an_error_of_it() {
    let bench = Bench::new("parkway: 1\nsteps: { a: { set: { n: 1.10 } } }\n");
    let ended = bench.parkway(&["check", "flow.yaml"]).code(0).says("1 warning in");
    assert!(ended.out.contains("warning[odd-scalar]"), "{}", ended.out);
    let ended = bench.parkway(&["check", "flow.yaml", "--strict"]).code(2);
    assert!(ended.out.contains("warning[odd-scalar]"), "{}", ended.out);
    let json = bench.parkway(&["check", "flow.yaml", "--format", "json"]).code(0).json();
    assert_eq!(json["problems"][0]["severity"], "warning");
}

#[test]
fn a_code_scanner_finds_the_place() {
    let bench = Bench::new("parkway: 1\nsteps: { a: { tool: text.fnid } }\n");
    let report = bench.parkway(&["check", "flow.yaml", "--format", "sarif"]).code(2).json();
    assert_eq!(report["version"], "2.1.0");
    let run = &report["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "unknown-tool");
    let result = &run["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"unknown-tool".into(), &"error".into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "flow.yaml");
    assert_eq!((&place["region"]["startLine"], &place["region"]["startColumn"]), (&2.into(), &21.into()));
}
