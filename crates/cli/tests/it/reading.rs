//! Looking at a run that another process executes.

use std::process::Stdio;

use crate::bench::{Bench, MANY};

#[test]
fn a_run_can_be_looked_at_and_not_taken_while_it_lives() {
    let bench = Bench::new(MANY);
    let mut child = bench
        .command(&["run", "flow.yaml", "--input", "items=600"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while bench.runs().is_empty() {}
    bench.wait_for("step_completed", 5);
    let shown = bench.parkway(&["show"]).code(0).out;
    assert!(shown.contains("running"), "{shown}");
    let listed = bench.parkway(&["runs"]).code(0).out;
    assert!(listed.contains("by a process"), "{listed}");
    bench.parkway(&["resume", "last"]).code(1).says("is being executed by another process");
    assert!(child.wait().unwrap().success());
}

/// What editors are told is what the documents say.
#[test]
fn the_schema_for_editors_is_written_as_it_is() {
    let bench = Bench::new(MANY);
    let documents = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/parkway.schema.json");
    let expected = std::fs::read_to_string(documents).unwrap();
    assert_eq!(bench.parkway(&["schema"]).code(0).out.trim_end(), expected.trim_end());
    bench.parkway(&["schema", "--output", "parkway.schema.json"]).code(0).says("yaml-language-server");
    assert_eq!(std::fs::read_to_string(bench.path("parkway.schema.json")).unwrap(), expected);
}
