//! Exit codes, and what is said beside them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::json;

use crate::bench::{ASK, Bench, MANY};

#[test]
fn a_run_that_waits_is_not_taken_for_done() {
    let bench = Bench::new(ASK);
    let ended = bench.parkway(&["run", "flow.yaml"]).code(4);
    let run = &bench.runs()[0];
    let ended = ended.says(&format!("parkway approve {run} confirm")).says(&format!("parkway resume {run}"));
    assert_eq!(ended.out, "");
    assert!(!bench.path("out/hello.txt").exists());

    bench.parkway(&["approve", "last", "confirm"]).code(0).says(&format!("parkway resume {run}"));
    let ended = bench.parkway(&["resume"]).code(0).says(&format!("parkway show {run}"));
    assert_eq!(ended.json(), json!({"path": "out/hello.txt", "times": 1}));
    assert_eq!(fs::read_to_string(bench.path("out/hello.txt")).unwrap(), "Hello, Ada");
    let events = bench.parkway(&["show", "--json"]).out;
    assert!(events.contains(r#""via":"command""#), "{events}");
}

#[test]
fn a_no_is_not_taken_for_a_failure_of_the_machine() {
    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml"]).code(4);
    bench.parkway(&["approve", "last", "confirm", "--reject", "--note", "not her"]).code(0);
    bench.parkway(&["resume"]).code(3).says("rejected: not her [rejected]");
}

#[test]
fn an_approval_by_flag_is_recorded_as_such() {
    for flags in [&["--approve", "confirm"][..], &["--yes"]] {
        let bench = Bench::new(ASK);
        let args = [&["run", "flow.yaml", "--json-output", "deep/result.json"], flags].concat();
        let ended = bench.parkway(&args).code(0);
        let events = bench.parkway(&["show", "--json"]).out;
        assert!(events.contains(r#""via":"flag""#), "{events}");
        let file = fs::read_to_string(bench.path("deep/result.json")).unwrap();
        assert_eq!(file, ended.out);
        assert_eq!(fs::read_dir(bench.path("deep")).unwrap().count(), 1);
    }
}

#[test]
fn an_approval_by_flag_counts_for_a_step_that_asks_already() {
    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml"]).code(4);
    bench.parkway(&["resume", "--approve", "confirm"]).code(0);
}

#[test]
fn a_mistyped_approval_is_told_before_anything_runs() {
    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml", "--approve", "confrim"]).code(2).says("these steps ask: `confirm`");
    assert!(bench.runs().is_empty());
}

#[test]
fn only_a_step_that_asks_can_be_answered() {
    let bench = Bench::new(ASK);
    bench.parkway(&["approve", "last", "confirm"]).code(2).says("there are no runs yet");
    bench.parkway(&["run", "flow.yaml"]).code(4);
    bench.parkway(&["approve", "last", "greet"]).code(2).says("it is completed").says("these steps ask: `confirm`");
    bench.parkway(&["approve", "last", "nothing"]).code(2).says("no such step has begun");
    bench.parkway(&["approve", "zzz", "confirm"]).code(2).says("no run is called `zzz`");
}

#[test]
fn a_second_answer_is_not_told_as_if_it_counted() {
    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml"]).code(4);
    bench.parkway(&["approve", "last", "confirm"]).code(0);
    let run = &bench.runs()[0];
    bench
        .parkway(&["approve", "last", "confirm", "--reject"])
        .code(2)
        .says("`confirm` was answered already: approved")
        .says(&format!("parkway resume {run}"));
    bench.parkway(&["resume"]).code(0);
    bench.parkway(&["approve", "last", "confirm"]).code(2).says("it is completed");
}

#[test]
fn an_item_is_answered_by_place_or_by_name() {
    let bench = Bench::new(
        r#"
parkway: 1
steps:
  each:
    for_each: [{ name: a.txt }, { name: b.txt }, { name: c.txt }]
    as: file
    key: file.name
    steps: { confirm: { approve: { prompt: "Take ${{ file.name }}?" } } }
"#,
    );
    bench.parkway(&["run", "flow.yaml"]).code(4);
    bench.parkway(&["approve", "last", "confirm"]).code(2).says("several steps are called `confirm`");
    bench.parkway(&["approve", "last", "each[d.txt].confirm"]).code(2).says("these steps ask: `each[0].confirm`");
    bench.parkway(&["approve", "last", "each[b.txt].confirm"]).code(0).says("approved each[1].confirm");
    bench.parkway(&["approve", "last", "each[0].confirm"]).code(0);
    bench.parkway(&["resume"]).code(4);
    bench.parkway(&["approve", "last", "confirm"]).code(0).says("approved each[2].confirm");
    bench.parkway(&["resume"]).code(0);
    let step = bench.parkway(&["show", "--step", "each[c.txt].confirm"]).code(0).out;
    assert!(step.starts_with("each[2].confirm  approve  completed"), "{step}");
}

#[test]
fn a_failed_run_ends_with_its_error_and_the_next_command() {
    let bench = Bench::new(
        "parkway: 1\ntools: { files: { read: [.] } }\nsteps:\n  letter: { tool: files.read_text, with: { path: none.txt }, retry: 0 }\n",
    );
    let ended = bench.parkway(&["run", "flow.yaml"]).code(1);
    let last: Vec<_> = ended.err.lines().rev().take(3).collect();
    let run = &bench.runs()[0];
    assert_eq!(last[0], format!("  try again:   parkway retry {run}"));
    assert_eq!(last[1], format!("  look at it:  parkway show {run}"));
    assert!(last[2].starts_with(&format!("error: run {run} failed at `letter`: ")), "{}", last[2]);
    bench.parkway(&["resume", "last"]).code(2).says("has ended: failed");
    bench.parkway(&["resume"]).code(2).says("no run can be resumed");
}

#[test]
fn inputs_are_read_by_their_types() {
    let bench = Bench::new(ASK);
    let run = |args: &[&str]| bench.parkway(&[&["run", "flow.yaml", "--yes"], args].concat());
    assert_eq!(run(&["--input", "who=3", "--input", "times=3"]).code(0).json()["times"], 3);
    assert_eq!(fs::read_to_string(bench.path("out/hello.txt")).unwrap(), "Hello, 3");
    bench.write("in.json", r#"{"who": "Bob", "times": 7}"#);
    assert_eq!(run(&["--inputs", "in.json", "-i", "times=8"]).code(0).json()["times"], 8);
    assert_eq!(fs::read_to_string(bench.path("out/hello.txt")).unwrap(), "Hello, Bob");
    run(&["--input", "times=three"]).code(2).says("is of the type `integer`").says("--input times=3");
    run(&["--input", "times=1.5"]).code(2).says("the input `times` is wrong");
    run(&["--input", "woh=x"]).code(2).says("did you mean `who`?");
    run(&["--input", "who"]).code(2).says("--input NAME=VALUE");
    run(&["--inputs", "none.json"]).code(2).says("cannot read the values in none.json");
}

#[test]
fn outputs_never_take_the_place_of_a_folder_or_a_device() {
    let bench = Bench::new(ASK);
    fs::create_dir(bench.path("deep")).unwrap();
    for folder in ["deep", "deep/", "..", "/"] {
        let args = ["run", "flow.yaml", "--yes", "--json-output", folder];
        bench.parkway(&args).code(2).says("names a folder").says("--json-output out/result.json");
    }
    assert!(bench.runs().is_empty());
    bench.parkway(&["run", "flow.yaml", "--yes", "--json-output", "/dev/null"]).code(0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    // What cannot be written is told after the outputs.
    let ended = bench.parkway(&["run", "flow.yaml", "--yes", "--json-output", "flow.yaml/result.json"]).code(1);
    assert_eq!(ended.json()["times"], 1);
    ended.says("the outputs cannot be written to flow.yaml/result.json");
}

#[cfg(unix)]
#[test]
fn an_output_file_behind_a_link_is_written_where_it_is() {
    let bench = Bench::new(ASK);
    bench.write("real.json", "");
    std::os::unix::fs::symlink("real.json", bench.path("link.json")).unwrap();
    bench.parkway(&["run", "flow.yaml", "--yes", "--json-output", "link.json"]).code(0);
    assert!(fs::read_to_string(bench.path("real.json")).unwrap().contains("out/hello.txt"));
    assert!(fs::symlink_metadata(bench.path("link.json")).unwrap().is_symlink());
}

#[test]
fn the_next_command_reaches_the_same_store() {
    let bench = Bench::new(ASK);
    let store = ["--store", "sqlite:my runs.db"];
    let parkway = |args: &[&str]| bench.parkway(&[args, &store].concat());
    let ended = parkway(&["run", "flow.yaml"]).code(4);
    let line = ended.err.lines().find(|line| line.contains("parkway approve")).unwrap();
    assert!(line.ends_with(" confirm --store 'sqlite:my runs.db'"), "{line}");
    parkway(&["show"]).code(0).says("--store 'sqlite:my runs.db'");
    parkway(&["approve", "last", "confirm"]).code(0).says("--store 'sqlite:my runs.db'");
    parkway(&["resume"]).code(0).says("--store 'sqlite:my runs.db'");
    parkway(&["resume"]).code(2).says("parkway runs --store 'sqlite:my runs.db'");
    // From the environment it holds for the next command, too.
    let shown = bench.command(&["show"]).env("PARKWAY_STORE", "sqlite:my runs.db").output().unwrap();
    assert!(!String::from_utf8(shown.stderr).unwrap().contains("--store"));
}

#[test]
fn a_thousand_questions_do_not_flood_the_screen() {
    let bench = Bench::new(
        r#"
parkway: 1
steps:
  each:
    for_each: ${{ range(30) | list }}
    as: n
    max_parallel: 30
    steps: { confirm: { approve: { prompt: "Take ${{ n }}?" } } }
"#,
    );
    let ended = bench.parkway(&["run", "flow.yaml"]).code(4).says("and 18 more").says("parkway approve");
    assert!(ended.err.lines().last().unwrap().contains("parkway resume"), "{}", ended.err);
}

#[test]
fn a_store_that_is_none_is_told_with_a_way_out() {
    let bench = Bench::new(ASK);
    fs::create_dir(bench.path("folder")).unwrap();
    bench.write("garbage.db", &"no database ".repeat(100));
    bench.write("empty.db", "");
    for command in [&["run", "flow.yaml", "--yes"][..], &["show"], &["resume"], &["approve", "last", "confirm"]] {
        let with = |store: &str| bench.parkway(&[command, &["--store", store]].concat());
        with("sqlite:folder").code(1).says("folder").says("name a file");
        with("sqlite:garbage.db").code(1).says("not a SQLite database").says("name another file");
        with("sqlite:").code(2).says("--store sqlite:runs.db");
        with("").code(2).says("write `sqlite:PATH`");
    }
    bench.parkway(&["show", "--store", "sqlite:empty.db"]).code(2).says("there are no runs yet");
    bench.parkway(&["run", "flow.yaml", "--yes", "--store", "sqlite:flow.yaml/runs.db"]).code(1).says("cannot be made");
    bench.parkway(&["run", "flow.yaml", "--yes", "--store", "sqlite:empty.db"]).code(0);
}

#[test]
fn a_run_id_that_means_several_is_refused() {
    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml", "--yes"]).code(0);
    bench.parkway(&["run", "flow.yaml", "--yes"]).code(0);
    let run = &bench.runs()[0];
    for command in [&["show", &run[..4]][..], &["resume", &run[..4]], &["approve", &run[..4], "confirm"]] {
        bench.parkway(command).code(2).says("2 runs are called").says("write more of the id");
    }
    bench.parkway(&["show", &run[24..]]).code(0);
}

#[test]
fn what_is_invalid_ends_with_2() {
    let bench = Bench::new("parkway: 1\nsteps: { a: { tool: text.fnid, with: {} } }\n");
    bench.parkway(&["run", "flow.yaml"]).code(2).says("error[unknown-tool]").says("did you mean `text.find`?");
    bench.parkway(&["run", "none.yaml"]).code(2).says("none.yaml");
    bench.parkway(&["run"]).code(2).says("Usage");
    bench.parkway(&["--store", "postgres://x", "runs"]).code(2).says("is no store");
    let json = bench.parkway(&["check", "flow.yaml", "--json"]).code(2).json();
    assert_eq!(json["problems"][0]["code"], "unknown-tool");
}

#[test]
fn events_on_stdout_are_json_and_nothing_else() {
    let bench = Bench::new(ASK);
    let ended = bench.parkway(&["run", "flow.yaml", "--yes", "--json"]).code(0);
    let events: Vec<serde_json::Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["v"] == 7));
    assert_eq!(events[0]["kind"]["type"], "run_created");
    assert_eq!(events.last().unwrap()["kind"]["type"], "run_completed");
    assert_eq!(ended.out, bench.parkway(&["show", "--json"]).out);
}

#[test]
fn a_resumed_run_tells_only_what_is_new() {
    let bench = Bench::new(ASK);
    let before = bench.parkway(&["run", "flow.yaml", "--json"]).code(4).out;
    let after = bench.parkway(&["resume", "--yes", "--json"]).code(0).out;
    assert_eq!(before + &after, bench.parkway(&["show", "--json"]).out);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let bench = Bench::new(MANY);
    bench.parkway(&["run", "flow.yaml", "--input", "items=150"]).code(0);
    let mut child = bench.command(&["show", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("run_created"), "{first}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn hello_needs_nothing() {
    let bench = Bench::new(ASK);
    fs::remove_file(bench.path("parkway.toml")).unwrap();
    let ended = bench.parkway(&["try", "hello"]).code(0).says("parkway show");
    assert_eq!(ended.json(), json!({"right": ["order", "day"], "wrong": ["customer"]}));
    assert_eq!(bench.runs().len(), 1);
    assert!(bench.parkway(&["try"]).code(0).out.starts_with("hello  "));
    bench.parkway(&["try", "nothing"]).code(2).says("there are: hello");
}

#[test]
fn the_project_is_found_from_below() {
    let bench = Bench::new(ASK);
    fs::create_dir(bench.path("deep")).unwrap();
    let mut command = bench.command(&["run", "../flow.yaml", "--yes"]);
    assert!(command.current_dir(bench.path("deep")).output().unwrap().status.success());
    assert!(bench.path("out/hello.txt").exists());
    assert_eq!(bench.runs().len(), 1);
    assert!(!bench.path("deep/.parkway").exists());
}

#[test]
fn looking_leaves_nothing_behind() {
    let bench = Bench::new(ASK);
    bench.parkway(&["runs"]).code(0).says("there are no such runs");
    bench.parkway(&["show"]).code(2).says("parkway run FILE");
    bench.parkway(&["resume"]).code(2).says("there are no runs yet");
    bench.parkway(&["check", "flow.yaml"]).code(0);
    bench.parkway(&["doctor"]).code(0);
    assert!(!bench.path(".parkway").exists());
}

#[test]
fn a_broken_store_is_named_by_the_doctor() {
    let bench = Bench::new(ASK);
    bench.write("runs.db", "this is no database, and never was one, however long one looks at it");
    let ended = bench.parkway(&["doctor", "--store", "sqlite:runs.db"]).code(1);
    assert!(ended.out.contains("!!  store"), "{}", ended.out);
}

#[test]
fn models_are_listed_and_a_pull_fails_with_words() {
    let bench = Bench::new(ASK);
    let listed = bench.parkway(&["models", "list"]).code(0).out;
    assert!(listed.contains("smollm2-135m-instruct") && listed.contains("not here"), "{listed}");
    let shown = bench.parkway(&["models", "show", "smollm2-135m-instruct", "--json"]).code(0).json();
    assert_eq!(shown["licence"], "Apache-2.0");
    bench.parkway(&["models", "show", "nothing"]).code(2).says("smollm2-135m-instruct");
    bench
        .parkway(&["models", "pull", "smollm2-135m-instruct", "--from", "none.whl"])
        .code(1)
        .says("licence Apache-2.0")
        .says("none.whl");
}
