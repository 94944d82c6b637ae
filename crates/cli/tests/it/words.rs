//! What an operator says to runs from elsewhere: what became of a call in doubt, signals, cancels.

use std::io::Write;
use std::process::Stdio;

use parkway::log::RunStatus;
use serde_json::json;

use crate::bench::{ASK, Bench};
use crate::shop::{self, PAY};

/// A project with a run whose step `pay` is in doubt.
fn in_doubt() -> Bench {
    let bench = Bench::new(PAY);
    assert_eq!(shop::starts(&bench, "flow.yaml"), RunStatus::Waiting);
    bench
}

#[test]
fn a_call_that_was_carried_out_is_made_again() {
    let bench = in_doubt();
    let run = &bench.runs()[0];
    bench.parkway(&["show"]).code(0).says(&format!("in doubt:    parkway resolve {run} pay"));
    bench
        .parkway(&["resolve", "last", "pay", "--done", r#"{"receipt": "R-17"}"#, "--note", "seen in the account"])
        .code(0)
        .says("resolved pay of run")
        .says("it was carried out")
        .says("this one cannot: the tool `bank.pay` is not registered")
        .says("when a program with its tools resumes it");
    assert_eq!(shop::resumes(&bench), RunStatus::Completed);
    assert_eq!(shop::ledger(&bench).len(), 1);
    let shown = bench.parkway(&["show", "--step", "pay"]).code(0).out;
    assert!(shown.contains("resolved by ada (command): it was carried out"), "{shown}");
    assert!(shown.contains("seen in the account") && shown.contains("R-17"), "{shown}");
}

#[test]
fn a_call_that_was_not_carried_out_is_made_under_another_key() {
    let bench = in_doubt();
    bench.parkway(&["resolve", "last", "pay", "--not-done"]).code(0).says("it was not carried out");
    assert_eq!(shop::resumes(&bench), RunStatus::Completed);
    let keys = shop::ledger(&bench);
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_call_that_is_made_again_is_taken_for_the_first_one() {
    let bench = in_doubt();
    let shown = bench.parkway(&["show", "--step", "pay"]).code(0).out;
    assert!(shown.contains(&format!("the key of its call: {}", shop::ledger(&bench)[0])), "{shown}");
    bench.parkway(&["resolve", "last", "pay", "--redo"]).code(0).says("may happen twice").says("a new key");
    assert_eq!(shop::resumes(&bench), RunStatus::Completed);
    let keys = shop::ledger(&bench);
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_second_word_is_told_as_if_it_counted() {
    let bench = in_doubt();
    bench.parkway(&["resolve", "last", "pay", "--not-done"]).code(0);
    bench
        .parkway(&["resolve", "last", "pay", "--redo"])
        .code(2)
        .says("`pay` was resolved already: it was not carried out")
        .says("parkway resume");
}

#[test]
fn a_word_about_a_step_that_is_not_in_doubt_is_taken() {
    let bench = in_doubt();
    bench.parkway(&["resolve", "last", "nothing", "--redo"]).code(2).says("no such step has begun").says("`pay`");
    bench.parkway(&["resolve", "last", "note", "--redo"]).code(2).says("these steps stand in doubt: `pay`");
    bench.parkway(&["resolve", "last", "pay", "--not-done", "--redo"]).code(2).says("cannot be used with");
    bench
        .parkway(&["resolve", "last", "pay"])
        .code(2)
        .says("nobody can be asked")
        .says("`--done JSON`")
        .says("`--not-done`, or `--redo`")
        .says("--step pay");
    bench.parkway(&["resolve", "last", "pay", "--done", "R-17"]).code(2).says("is no JSON").says("@FILE");
    bench.parkway(&["resolve", "last", "pay", "--done", "@none.json"]).code(2).says("cannot read none.json");
    assert_eq!(bench.count("step_resolved"), 0);

    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml"]).code(4);
    let run = &bench.runs()[0];
    bench
        .parkway(&["resolve", "last", "confirm", "--redo"])
        .code(2)
        .says("does not stand in doubt: it is waiting")
        .says(&format!("parkway approve {run} confirm"));
    bench.parkway(&["resolve", "last", "greet", "--redo"]).code(2).says("it is completed");
}

#[test]
fn an_output_is_read_from_the_command_line_only() {
    for stdin in [true, false] {
        let bench = in_doubt();
        bench.write("receipt.json", r#"{ "receipt": "R-18" }"#);
        let mut command =
            bench.command(&["resolve", "last", "pay", "--done", if stdin { "-" } else { "@receipt.json" }]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(br#"{ "receipt": "R-18" }"#).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(shop::resumes(&bench), RunStatus::Completed);
        let shown = bench.parkway(&["show", "--step", "note"]).code(0).out;
        assert!(shown.contains("paid: R-18"), "{shown}");
    }
}

const SIGNALS: &str = r#"
parkway: 1
steps:
  paid: { wait: { signal: paid } }
  sent: { wait: { signal: sent }, needs: [paid] }
outputs: { amount: "${{ steps.paid.output.amount }}", how: "${{ steps.sent.output }}" }
"#;

#[test]
fn a_signal_reaches_no_step_and_says_that_it_does() {
    let bench = Bench::new(SIGNALS);
    let run_says = bench.parkway(&["run", "flow.yaml"]).code(4);
    let run = &bench.runs()[0];
    run_says.says(&format!("signal:      parkway signal {run} paid"));
    bench
        .parkway(&["signal", "last", "piad"])
        .code(2)
        .says("no step of the run waits for a signal `piad`")
        .says("there are `paid`, `sent`");
    bench.parkway(&["signal", "last", "paid", "{amount: 1}"]).code(2).says("is no JSON");
    bench.parkway(&["signal", "last", "sent", r#""by hand""#]).code(0).says("no step waits for it now; it is kept");
    bench
        .parkway(&["signal", "last", "paid", r#"{"amount": 12}"#])
        .code(0)
        .says("paid waits for it")
        .says(&format!("parkway resume {run}"));
    bench.parkway(&["signal", "last", "paid", "3"]).code(0).says("1 signal of it stand before this one");
    assert_eq!(bench.parkway(&["resume"]).code(0).json(), json!({ "amount": 12, "how": "by hand" }));
    bench.parkway(&["signal", "last", "paid"]).code(2).says("has ended: completed").says("parkway show");
}

#[test]
fn a_run_that_nobody_executes_cannot_be_cancelled() {
    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml"]).code(4);
    let run = &bench.runs()[0];
    let ended = bench.parkway(&["cancel", "last", "--note", "wrong person"]).code(5);
    ended.says(&format!("cancelling run {run}")).says(&format!("run {run} was cancelled")).says("parkway show");
    let events = bench.parkway(&["show", "--json"]).out;
    assert!(events.contains("cancel_requested") && events.contains("run_cancelled"), "{events}");
    assert!(!bench.path("out/hello.txt").exists());
    bench.parkway(&["cancel", "last"]).code(2).says("has ended: cancelled");
    bench.parkway(&["resume", "last"]).code(2);
}

#[test]
fn a_word_does_not_reach_the_process_that_executes_the_run() {
    let bench = Bench::new(
        r#"
parkway: 1
steps:
  long: { wait: 50s }
  called: { wait: { signal: called } }
"#,
    );
    let child = bench.command(&["run", "flow.yaml"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while bench.runs().is_empty() {}
    bench.wait_for("step_waiting", 2);
    let ended = bench.parkway(&["signal", "last", "called"]).code(0);
    ended.says("called waits for it").says("takes the signal up now");
    bench.wait_for("step_completed", 1);
    bench.parkway(&["resolve", "last", "long", "--redo"]).code(2).says("no step of the run is in doubt now");
    bench.parkway(&["cancel", "last"]).code(0).says("takes the cancel up now");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_cancel_that_is_only_left_is_lost() {
    let bench = Bench::new(ASK);
    bench.parkway(&["cancel", "last"]).code(2).says("there are no runs yet");
    bench.parkway(&["run", "flow.yaml"]).code(4);
    bench.parkway(&["cancel", "last", "--no-wait"]).code(0).says("go on with: parkway resume");
    assert_eq!(bench.count("cancel_requested"), 0);
    bench.parkway(&["cancel", "last", "--no-wait"]).code(0).says("is being cancelled already");
    let events = bench.parkway(&["cancel", "last", "--json"]).code(5).out;
    let kinds: Vec<_> = events
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"]["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "cancel_requested").count(), 1);
    assert_eq!(kinds.last().map(String::as_str), Some("run_cancelled"));
}

#[test]
fn a_cancel_drops_a_call_in_doubt() {
    let bench = in_doubt();
    bench
        .parkway(&["cancel", "last"])
        .code(1)
        .says("has not ended yet: the tool `bank.pay` is not registered")
        .says("the cancel is kept");
    assert_eq!(shop::resumes(&bench), RunStatus::Waiting);
    bench.parkway(&["resolve", "last", "pay", "--not-done"]).code(0);
    assert_eq!(shop::resumes(&bench), RunStatus::Cancelled);
    assert!(bench.path("out/tidy.txt").exists());
    assert_eq!(shop::ledger(&bench).len(), 1);
}

#[test]
fn an_output_that_the_tool_could_not_return_completes_the_step() {
    let bench = in_doubt();
    // This program has the tool, and so knows better than the command.
    let refused = shop::does(&bench, async |parkway| {
        let run = parkway.find_run("last").await.unwrap().run;
        let outcome = parkway::log::Resolution::Done { output: json!({ "recipe": 1 }) };
        let via = parkway::log::Channel::Program;
        parkway.resolve(run, "pay".parse().unwrap(), outcome, None, "ada".into(), via).await.unwrap_err()
    });
    assert_eq!(refused.code(), "out_of_place");
    assert!(refused.to_string().starts_with("`bank.pay` cannot have returned this"), "{refused}");
    // The command does not have it: then the executor refuses.
    bench.parkway(&["resolve", "last", "pay", "--done", r#"{"recipe": 1}"#]).code(0);
    assert_eq!(shop::resumes(&bench), RunStatus::Waiting);
    assert_eq!(bench.count("step_resolved"), 0);
}
