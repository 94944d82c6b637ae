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
