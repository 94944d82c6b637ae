//! The tests that stand beside the examples.

use std::fs;
use std::path::{Path, PathBuf};

use parkway::trial::Trials;

/// The files of tests in a folder and below it.
fn files_of_tests(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_of_tests(&path));
        } else if path.to_string_lossy().ends_with(".test.yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn an_example_does_not_do_what_its_tests_say() {
    let workflows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/workflows");
    let files = files_of_tests(&workflows);
    assert!(files.len() >= 6, "only {files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let trials = Trials::from_path(&file).unwrap_or_else(|error| panic!("{error}"));
        assert!(trials.list().len() > 1, "{} has one test only", file.display());
        for trial in trials.list() {
            let outcome = trials.run(trial, &[], false).unwrap();
            let mismatches: Vec<_> = outcome.mismatches.iter().map(ToString::to_string).collect();
            if !mismatches.is_empty() {
                wrong.push(format!("{}: {}\n{}", file.display(), trial.name(), mismatches.join("\n")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
