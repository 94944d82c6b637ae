//! Runs that are interrupted, politely or not, and resumed.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{Bench, Ended, MANY};

fn started(bench: &Bench) -> Child {
    let mut command = bench.command(&["run", "flow.yaml", "--input", "items=300"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while bench.runs().is_empty() {}
    bench.wait_for("step_completed", 20);
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// What a run that nobody disturbs gives.
fn undisturbed() -> serde_json::Value {
    let bench = Bench::new(MANY);
    bench.parkway(&["run", "flow.yaml", "--input", "items=300"]).code(0).json()
}

#[test]
fn a_killed_run_goes_on_to_the_same_end() {
    let bench = Bench::new(MANY);
    let child = started(&bench);
    send(&child, Signal::KILL);
    assert_eq!(ended(child).code, None);
    let done = bench.count("step_completed");
    assert!(done < 600, "the run was over before it could be killed");
    let resumed = bench.parkway(&["resume"]).code(0);
    assert_eq!(resumed.json(), undisturbed());
    // What the kill left of a file that was not whole yet is gone, too.
    assert_eq!(fs::read_dir(bench.path("out")).unwrap().count(), 300);
    // What was done before is not done again: 300 writes, 300 items, and the fan-out itself.
    assert_eq!(bench.count("step_completed"), 601);
}

#[test]
fn ctrl_c_ends_cleanly_and_says_how_to_go_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let bench = Bench::new(MANY);
        let child = started(&bench);
        send(&child, signal);
        let run = &bench.runs()[0];
        ended(child).code(130).says(&format!("interrupted; go on with: parkway resume {run}"));
        let listed = bench.parkway(&["runs"]).out;
        assert!(!listed.contains("by a process"), "{listed}");
        assert_eq!(bench.parkway(&["resume", run]).code(0).json(), undisturbed());
    }
}
