//! `parkway logs`, `diff` and `export`, and what tells of the command itself: `completions`, `man`, `run --dry-run`.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::{ASK, Bench, redacted};

const PARTS: &str = r#"
parkway: 1
name: parts
inputs: { names: { type: array, items: { type: string }, default: [Ada, Bob] }, end: { type: string, default: "!" } }
tools: { files: { write: [out] } }
steps:
  greet:
    for_each: ${{ inputs.names }}
    as: who
    steps: { text: { set: { text: "Hello, ${{ who }}" } } }
    result: "${{ steps.text.output.text }}"
  write:
    tool: files.write_text
    with: { path: out/a.txt, text: "${{ steps.greet.output | join(', ') }}${{ inputs.end }}" }
  more: { if: "${{ inputs.end == '?' }}", set: { asked: true } }
outputs: { bytes: "${{ steps.write.output.bytes }}" }
"#;

#[test]
fn a_dry_run_says_what_would_run_and_leaves_nothing_behind() {
    let bench = Bench::new(ASK);
    let told = bench.parkway(&["run", "flow.yaml", "--dry-run", "--input", "times=3"]).code(0).out;
    assert!(
        told.starts_with("ask  flow.yaml\n") && told.contains("\ninputs\n  who = \"Ada\"\n  times = 3\n"),
        "{told}"
    );
    assert!(told.contains("files.write_text  idempotent"), "{told}");
    bench.parkway(&["run", "flow.yaml", "--dry-run", "--input", "times=x"]).code(2).says("times");
    bench.parkway(&["run", "flow.yaml", "--dry-run", "--input", "none=1"]).code(2).says("none");
    bench.parkway(&["run", "flow.yaml", "--dry-run", "--approve", "nobody"]).code(2).says("nobody");
    let mut left: Vec<_> = fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["flow.yaml", "parkway.toml"]);
}

#[test]
fn the_log_of_a_run_is_told_line_by_line() {
    let bench = Bench::new(PARTS);
    bench.parkway(&["logs"]).code(2).says("there are no runs yet");
    bench.parkway(&["run", "flow.yaml"]).code(0);
    let told = bench.parkway(&["logs"]).code(0).out;
    let told = redacted(&bench, &told);
    // What runs at once ends in any order.
    let mut lines: Vec<_> = told.lines().collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @r"
    2026-01-01 00:00:00     0.0s  greet           2 items
    2026-01-01 00:00:00     0.0s  greet           completed  0.0s
    2026-01-01 00:00:00     0.0s  greet[0].text   completed  0.0s
    2026-01-01 00:00:00     0.0s  greet[1].text   completed  0.0s
    2026-01-01 00:00:00     0.0s  more            skipped  its `if` is false
    2026-01-01 00:00:00     0.0s  run             completed
    2026-01-01 00:00:00     0.0s  run             created  00000000-0000-7000-0000-000000000000  parts
    2026-01-01 00:00:00     0.0s  write           completed  0.0s
    ");
    let step = bench.parkway(&["logs", "last", "--step", "greet[1]"]).code(0).out;
    assert!(!step.is_empty() && step.lines().all(|line| line.contains("greet[1]")), "{step}");
    let events = bench.parkway(&["logs", "last", "--step", "write", "--json"]).code(0).out;
    let kinds: Vec<Value> =
        events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"]["type"].take()).collect();
    assert_eq!(kinds, ["step_started", "step_completed"]);
    assert_eq!(bench.parkway(&["logs", "--json"]).code(0).out, bench.parkway(&["show", "--json"]).code(0).out);
    bench.parkway(&["logs", "last", "--step", "nope"]).code(2).says("there are `greet`, `write`, `more`");
}

#[test]
fn a_log_is_followed_until_the_run_has_ended() {
    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml"]).code(4);
    let follows = bench.command(&["logs", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    bench.parkway(&["approve", "last", "confirm"]).code(0);
    bench.parkway(&["resume"]).code(0);
    let (began, mut follows) = (Instant::now(), follows);
    while follows.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "it goes on after the end");
        thread::sleep(Duration::from_millis(20));
    }
    let out = String::from_utf8(follows.wait_with_output().unwrap().stdout).unwrap();
    let told = bench.parkway(&["logs"]).code(0).out;
    assert_eq!(out, told);
    assert!(told.contains("waits for approval") && told.contains("approved by ada"), "{told}");
}

#[test]
fn two_runs_are_compared() {
    let bench = Bench::new(PARTS);
    bench.parkway(&["run", "flow.yaml"]).code(0);
    bench.parkway(&["run", "flow.yaml", "--input", "end=?", "--input", r#"names=["Ada", "Eve", "Kim"]"#]).code(0);
    let runs = bench.runs();
    let told = bench.parkway(&["diff", &runs[1], "last"]).code(0).out;
    insta::assert_snapshot!(redacted(&bench, &told), @r#"
    before  00000000-0000-7000-0000-000000000000  parts  completed  2026-01-01 00:00:00
    after   00000000-0000-7000-0000-000000000000  parts  completed  2026-01-01 00:00:00

    the plans are the same

    inputs
        {
      -   "end": "!",
      +   "end": "?",
          "names": [
            "Ada",
      -     "Bob"
      +     "Eve",
      +     "Kim"
          ]

    outputs
        {
      -   "bytes": 23
      +   "bytes": 35
        }

    greet[1]
      - Hello, Bob
      + Hello, Eve

    greet[1].text
        {
      -   "text": "Hello, Bob"
      +   "text": "Hello, Eve"
        }

    greet[2]
      only in the run after

    greet[2].text
      only in the run after

    write
        {
      -   "bytes": 23,
      +   "bytes": 35,
          "path": "out/a.txt",
      -   "sha256": "df9bbe0d7dbe37f7ebdf693a5bc2d2a27c9d1cfd13675a2860d9eef14620…
      +   "sha256": "2c936c8d6559d94002884e8d4c61fd0b91410b89c643265535f9f3f7328f…
        }

    more
      completed, and was skipped
      + {
      +   "asked": true
      + }

    3 steps alike, 6 not
    "#);
    let told = bench.parkway(&["diff", &runs[1], &runs[0], "--json"]).code(0).json();
    assert_eq!((&told["same_plan"], &told["alike"]), (&json!(true), &json!(3)));
    let more = told["steps"].as_array().unwrap().iter().find(|step| step["step"] == "more").unwrap();
    assert_eq!((&more["before"]["status"], &more["after"]["output"]), (&json!("skipped"), &json!({"asked": true})));
    let same = bench.parkway(&["diff", "last", "last"]).code(0).out;
    assert!(same.ends_with("alike, 0 not\n"), "{same}");
    bench.write("flow.yaml", &PARTS.replace("Hello", "Good day"));
    bench.parkway(&["run", "flow.yaml"]).code(0);
    assert!(bench.parkway(&["diff", &runs[1], "last"]).code(0).out.contains("\nthe plans differ\n"));
    bench.parkway(&["diff", "last", "zzz"]).code(2).says("no run is called `zzz`");
}

#[test]
fn an_export_holds_the_events_and_all_that_they_point_to() {
    let bench = Bench::new(PARTS);
    bench.parkway(&["run", "flow.yaml"]).code(0);
    let document = bench.parkway(&["export"]).code(0).json();
    assert_eq!((&document["format"], &document["status"]), (&json!("parkway-run-1"), &json!("completed")));
    let events = bench.parkway(&["show", "--json"]).code(0).out;
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(document["events"], json!(events));
    let last = events.last().unwrap()["kind"]["outputs"].as_str().unwrap();
    assert_eq!(document["texts"][last], json!({"bytes": 23}));
    assert!(document["texts"].as_object().unwrap().values().all(|text| !text.is_null()));
    bench.parkway(&["export", "--output", "run.json"]).code(0).says("run.json holds what is known of run");
    assert_eq!(serde_json::from_str::<Value>(&fs::read_to_string(bench.path("run.json")).unwrap()).unwrap(), document);
    bench.parkway(&["export", "--output", "run.json"]).code(1).says("name another file");
}

#[test]
fn the_command_tells_of_itself() {
    let bench = Bench::new(ASK);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = bench.parkway(&["completions", shell]).code(0).out;
        assert!(script.contains("dry-run") && script.contains("export"), "{shell}");
    }
    let page = bench.parkway(&["man"]).code(0).out;
    assert!(page.contains(".TH parkway 1") && page.contains("parkway\\-logs"), "{page}");
    bench.parkway(&["man", "--folder", "man"]).code(0).says("man parkway-run");
    let page = fs::read_to_string(bench.path("man/parkway-store-backup.1")).unwrap();
    assert!(page.contains(".TH parkway-store-backup 1"), "{page}");
}
