//! What the commands look like.

use crate::bench::{ASK, Bench};

#[test]
fn a_step_of_another_item_is_not_shown_for_one_that_is_not_there() {
    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml", "--yes"]).code(0);
    assert_eq!(bench.parkway(&["runs", "--open"]).code(0).out, "");
    bench.parkway(&["show", "last", "--step", "each[3].write"]).code(2).says("has no step").says("there are `write`");
}

#[test]
fn help_gives_examples_and_exit_codes_in_80_columns() {
    let bench = Bench::new(ASK);
    for args in [&["--help"][..], &["run", "--help"], &["resume", "--help"], &["show", "--help"], &["models", "--help"]]
    {
        let help = bench.parkway(args).code(0).out;
        assert!(help.starts_with("Examples:\n"), "{help}");
        let wide = help.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{args:?}");
    }
    assert!(bench.parkway(&["--help"]).out.contains("130  interrupted"));
    assert!(bench.parkway(&["--version"]).code(0).out.starts_with("parkway "));
}

#[test]
fn a_run_that_nobody_executes_says_how_to_go_on() {
    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml"]).code(4);
    let run = &bench.runs()[0];
    bench.parkway(&["show"]).code(0).says("no process executes it").says(&format!("parkway approve {run} confirm"));
    bench.parkway(&["resume", "--yes"]).code(0);
    assert_eq!(bench.parkway(&["show"]).code(0).err, "");
}

#[test]
fn a_run_that_a_step_has_for_itself_is_not_taken_for_the_last_one() {
    let child = "parkway: 1\nsteps:\n  ask: { approve: { prompt: Really? } }\noutputs: { yes: true }\n";
    let bench = Bench::new("parkway: 1\nsteps:\n  sub: { workflow: child.yaml, own_run: true }\n");
    bench.write("child.yaml", child);
    bench.parkway(&["run", "flow.yaml"]).code(4).says("has a run of its own").says("its run:");
    let shown = bench.parkway(&["show"]).code(0).out;
    assert!(shown.contains("workflow child.yaml  waits for its run"), "{shown}");
    let its = shown.lines().find_map(|line| line.trim().strip_prefix("run ")).unwrap();
    bench.parkway(&["approve", its, "ask"]).code(0);
    bench.parkway(&["resume"]).code(0);
    assert!(bench.parkway(&["show", "--step", "sub"]).code(0).out.contains(&format!("its run: {its}")));
}
