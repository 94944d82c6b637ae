//! Texts that were written to harm, and readers that go away.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::bench::{ASK, Bench, Ended};

/// What clears a screen, sets a title, turns the direction of reading, in the forms that YAML and JSON have.
const EVIL: &str = r"\u001b]0;title\u0007\u009b2J\u202egnp.\u200b";

/// That nothing in it steers a terminal.
#[track_caller]
fn check_harmless(ended: &Ended) {
    for text in [&ended.out, &ended.err] {
        let steers = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{200b}".contains(c);
        assert!(!text.chars().any(steers), "{text:?}");
    }
}

#[test]
fn a_file_name_cannot_steer_the_terminal_through_an_error() {
    let bench = Bench::new(&format!(
        "parkway: 1\ntools: {{ files: {{ read: [.] }} }}\nsteps:\n  a: {{ tool: files.read_text, with: {{ path: \"x{EVIL}\\nrun 1 completed\" }}, retry: 0 }}\n",
    ));
    let ended = bench.parkway(&["run", "flow.yaml"]).code(1);
    check_harmless(&ended);
    // Nor can it add a line in our name.
    assert!(!ended.err.lines().any(|line| line.starts_with("run 1 completed")), "{}", ended.err);
    for args in [&["show"][..], &["show", "--step", "a"], &["show", "--json"], &["resume", "last"], &["runs"]] {
        check_harmless(&bench.parkway(args));
    }
}

#[test]
fn a_workflow_cannot_steer_the_terminal_of_who_checks_it() {
    let evil = format!(
        "parkway: 1\nname: \"n{EVIL}\"\ndescription: \"d{EVIL}\"\ninputs: {{ who: {{ type: string, default: \"{EVIL}\", description: \"{EVIL}\" }} }}\ntools: {{ files: {{ read: [\"r{EVIL}\"] }} }}\nmodels: {{ main: {{ gguf: {{ path: \"{EVIL}\" }} }} }}\nsteps:\n  ask: {{ approve: {{ prompt: \"{EVIL}\" }} }}\n",
    );
    let bench = Bench::new(&evil);
    check_harmless(&bench.parkway(&["check", "flow.yaml"]).code(0));
    check_harmless(&bench.parkway(&["run", "flow.yaml"]).code(4));
    for args in
        [&["show"][..], &["runs"], &["show", "--step", "ask"], &["approve", "last", "ask", "--note", "\u{9b}2J"]]
    {
        check_harmless(&bench.parkway(args).code(0));
    }
    let wrong = format!(
        "parkway: 1\n\"st{EVIL}\": 1\nsteps:\n  a: {{ tool: \"text{EVIL}\", with: {{}} }}\n  b: {{ set: {{ x: \"${{{{ steps.a.output['{EVIL}'].y( }}}}\" }} }}\n",
    );
    bench.write("wrong\u{1b}[2J.yaml", &wrong);
    for command in ["check", "run"] {
        check_harmless(&bench.parkway(&[command, "wrong\u{1b}[2J.yaml"]).code(2));
    }
    check_harmless(&bench.parkway(&["run", "no\u{9b}2J.yaml"]).code(2));
    check_harmless(&bench.parkway(&["run", "flow.yaml", "--input", "who\u{1b}[2J"]).code(2));
}

#[test]
fn a_model_file_cannot_steer_the_terminal_by_its_name() {
    let bench = Bench::new(ASK);
    std::fs::create_dir_all(bench.path("cache/models")).unwrap();
    bench.write("cache/models/m\u{1b}[2J.gguf", "x");
    for args in [&["models", "list"][..], &["models", "show", "m\u{1b}[2J"], &["doctor"]] {
        check_harmless(&bench.parkway(args).code(0));
    }
}

#[test]
fn a_reader_of_messages_that_goes_away_does_not_end_the_run() {
    let bench = Bench::new(ASK);
    let mut command = bench.command(&["run", "flow.yaml", "--yes", "--verbose"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    messages.read_line(&mut line).unwrap();
    drop(messages);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert!(String::from_utf8(output.stdout).unwrap().contains("out/hello.txt"));
}

#[cfg(target_os = "linux")]
#[test]
fn outputs_that_nobody_can_take_are_told_with_their_place() {
    let bench = Bench::new(ASK);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = bench.command(&["run", "flow.yaml", "--yes"]).stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: stdout cannot be written to: "), "{said}");
}
