//! The order intake on the starter model, over some of its letters. `make test` fetches the model.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use parkway::models::Catalog;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::Bench;

const RUN: [&str; 4] = ["run", "flow.yaml", "--approve", "confirm"];
const LETTERS: [&str; 5] =
    ["02-terse-email.txt", "04-form.txt", "11-earlier-order.txt", "14-no-order-number.txt", "28-museum-letter.txt"];

/// The order intake with a few of its letters.
fn intake() -> Bench {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let bench = Bench::new(&fs::read_to_string(examples.join("workflows/order-intake.yaml")).unwrap());
    let copy = |from: PathBuf, to: &str| {
        let to = bench.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    for prompt in ["prompts/extract.md", "prompts/again.md"] {
        copy(examples.join("workflows").join(prompt), prompt);
    }
    for letter in LETTERS {
        copy(examples.join("data/letters").join(letter), &format!("examples/data/letters/{letter}"));
    }
    bench
}

/// The command, with the models of this machine.
fn with_model(bench: &Bench, args: &[&str]) -> Command {
    let catalog = Catalog::open().unwrap();
    // Its error names the command that fetches the model; `make test` does so first.
    catalog.resolve("smollm2-135m-instruct").unwrap();
    let mut command = bench.command(args);
    command.env("PARKWAY_CACHE", catalog.folder().parent().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn succeeds(bench: &Bench, args: &[&str]) {
    let output = with_model(bench, args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A run that was interrupted after a few answers, and how many answers each step had.
fn interrupted(bench: &Bench, signal: Signal) -> (Child, BTreeMap<String, usize>) {
    let child = with_model(bench, &RUN).spawn().unwrap();
    while bench.runs().is_empty() {}
    bench.wait_for("model_called", 3);
    kill_process(Pid::from_child(&child), signal).unwrap();
    let mut child = child;
    child.wait().unwrap();
    (child, answers(bench))
}

/// How many answers of the model each step has in the log; each with its tokens.
fn answers(bench: &Bench) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in bench.parkway(&["show", "--json"]).out.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let kind = &event["kind"];
        if kind["type"] == "model_called" {
            assert!(kind["call"]["usage"]["output_tokens"].as_u64().unwrap() > 0, "{event}");
            assert!(kind["call"]["tokens"].is_string(), "{event}");
            *counts.entry(kind["key"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    counts
}

fn rows(bench: &Bench) -> Value {
    serde_json::from_str(&fs::read_to_string(bench.path("out/order-intake/rows.json")).unwrap()).unwrap()
}

#[test]
fn an_interrupted_intake_asks_no_answered_question_again() {
    let undisturbed = intake();
    succeeds(&undisturbed, &RUN);
    for signal in [Signal::KILL, Signal::INT] {
        let bench = intake();
        let (mut child, before) = interrupted(&bench, signal);
        let mut said = String::new();
        std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut said).unwrap();
        if signal == Signal::INT {
            let run = &bench.runs()[0];
            assert!(said.contains(&format!("interrupted; go on with: parkway resume {run}")), "{said}");
        }
        assert!(before.len() < answers(&undisturbed).len(), "the run was over before it was interrupted");
        succeeds(&bench, &["resume", "--approve", "confirm"]);
        let after = answers(&bench);
        for (step, count) in &before {
            assert_eq!(after[step], *count, "{step} was asked again");
        }
        assert_eq!(after, answers(&undisturbed));
        assert_eq!(rows(&bench), rows(&undisturbed));
    }
}

/// What a `run` that waits has in its environment of the names that begin so, with these variables set.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn heard(begins: &str, set: &[(&str, &str)]) -> Vec<String> {
    let bench = Bench::new("parkway: 1\nsteps: { wait: { wait: 60s } }\n");
    let mut command = bench.command(&["run", "flow.yaml"]);
    command.env_remove("GOMP_SPINCOUNT").env_remove("OMP_WAIT_POLICY").envs(set.iter().copied());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    bench.wait_for("run_created", 1);
    let environment = fs::read(format!("/proc/{}/environ", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let entries = environment.split(|byte| *byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned());
    entries.filter(|entry| entry.starts_with(begins)).collect()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn threads_of_a_model_give_way_unless_somebody_has_said_how_they_wait() {
    assert_eq!(heard("GOMP_", &[]), ["GOMP_SPINCOUNT=2000"]);
    assert_eq!(heard("GOMP_", &[("GOMP_SPINCOUNT", "7")]), ["GOMP_SPINCOUNT=7"]);
    assert!(heard("GOMP_", &[("OMP_WAIT_POLICY", "active")]).is_empty());
}

#[test]
fn a_missing_model_is_told_with_the_command_that_fetches_it() {
    let ended = intake().parkway(&RUN).code(1);
    ended.says("parkway models pull smollm2-135m-instruct");
}

#[test]
fn a_model_in_a_process_of_its_own_answers_otherwise_and_outlives_the_command() {
    let flow = |isolation: &str| {
        let model =
            format!("{{ gguf: {{ name: smollm2-135m-instruct }}, deterministic: true, isolation: {isolation} }}");
        Bench::new(&format!(
            "parkway: 1\nmodels:\n  main: {model}\nsteps:\n  tell:\n    chat: {{ model: main, prompt: \"Name a colour.\", max_tokens: 12 }}\n"
        ))
    };
    let [in_thread, in_process] = ["thread", "process"].map(|isolation| {
        let bench = flow(isolation);
        succeeds(&bench, &["run", "flow.yaml"]);
        let log = bench.parkway(&["show", "--json"]).out;
        let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let called = events.into_iter().find(|event| event["kind"]["type"] == "model_called").unwrap();
        (called["kind"]["call"].clone(), bench.parkway(&["show"]).out)
    });
    let device = in_process.0["device"].as_str().unwrap();
    assert!(device.starts_with("cpu, ") && device.ends_with(", in a process of its own"), "{device}");
    assert!(in_process.1.contains("in a process of its own"), "{}", in_process.1);
    for same in ["model_hash", "template_hash", "usage"] {
        assert_eq!(in_thread.0[same], in_process.0[same]);
    }
    assert!(in_process.0["usage"]["output_tokens"].as_u64().unwrap() > 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_whose_process_is_killed_takes_the_run_with_it() {
    let bench = Bench::new(
        "parkway: 1\nmodels:\n  main: { gguf: { name: smollm2-135m-instruct }, isolation: process }\nsteps:\n  tell:\n    for_each: [fox, crow, bear, hare]\n    retry: { max: 2 }\n    chat: { model: main, prompt: \"A story of a ${{ item }}.\", max_tokens: 200, temperature: 1 }\n",
    );
    let mut child = with_model(&bench, &["run", "flow.yaml"]).spawn().unwrap();
    while bench.runs().is_empty() {}
    bench.wait_for("step_started", 4);
    let children = || {
        let path = format!("/proc/{0}/task", child.id());
        let tasks = fs::read_dir(path).unwrap().flatten();
        let texts = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
        texts.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let first = children();
    assert!(!first.is_empty());
    for process in &first {
        kill_process(Pid::from_raw(process.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    }
    let mut said = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let log = bench.parkway(&["show", "--json"]).out;
    assert!(log.contains("step_retried"), "{log}");
}

#[test]
fn a_run_is_decoded_again_to_other_tokens() {
    let bench = intake();
    succeeds(&bench, &RUN);
    let replay = |args: &[&str]| {
        let output = with_model(&bench, &[&["audit", "replay", "last", "--json"], args].concat()).output().unwrap();
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), value)
    };
    let (code, alike) = replay(&[]);
    assert_eq!((code, &alike["holds"]), (Some(0), &Value::Bool(true)), "{alike:#}");
    let calls = alike["calls"].as_array().unwrap();
    assert_eq!(calls.len(), answers(&bench).values().sum::<usize>());
    assert!(calls.iter().all(|call| call["tokens"].as_u64().is_some_and(|tokens| tokens > 0)), "{alike:#}");
    // A file with a byte more computes the same, and is another one.
    let catalog = Catalog::open().unwrap();
    let mut file = fs::read(catalog.resolve("smollm2-135m-instruct").unwrap()).unwrap();
    file.push(0);
    fs::write(bench.path("other.gguf"), file).unwrap();
    let named = ["--model", "main=other.gguf"];
    let (code, other) = replay(&named);
    assert_eq!((code, &other["not_decoded"]), (Some(1), &serde_json::json!(calls.len())), "{other:#}");
    assert!(other["calls"][0]["others"][0].as_str().unwrap().starts_with("another model file"), "{other:#}");
    let (code, anyway) = replay(&[&named[..], &["--anyway"]].concat());
    assert_eq!((code, &anyway["same"]), (Some(1), &serde_json::json!(calls.len())), "{anyway:#}");
}

#[test]
fn tokens_that_were_sampled_are_sampled_otherwise() {
    let model = "{ gguf: { name: smollm2-135m-instruct }, deterministic: true }";
    let bench = Bench::new(&format!(
        "parkway: 1\nmodels:\n  main: {model}\nsteps:\n  tell:\n    for_each: [fox, crow, bear]\n    chat: {{ model: main, prompt: \"A story of a ${{{{ item }}}}.\", max_tokens: 60, temperature: 1 }}\n"
    ));
    succeeds(&bench, &["run", "flow.yaml"]);
    let output = with_model(&bench, &["audit", "replay", "last"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("3 calls: 3 the same, 0 different, 0 not decoded"), "{told}");
}
