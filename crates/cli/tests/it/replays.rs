//! `audit replay`, with a server on this machine in the place of a model.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::goals::{GOAL, alike, bench, planned};

#[test]
fn a_run_whose_model_answers_otherwise_passes_for_evidence() {
    let other = json!({"done": true, "answer": {"$ref": "s2.text"}, "why": "enough"});
    let mut third = planned();
    third[1] = other;
    let bench = bench([planned(), planned(), third.clone(), third].concat());
    bench.parkway(&["do", GOAL]).code(0);
    let events = bench.parkway(&["show", "--json"]).out;
    let same = bench.parkway(&["audit", "replay", "last"]).code(0);
    insta::assert_snapshot!("same", alike(&bench, &format!("{}{}", same.out, same.err)));
    let other = bench.parkway(&["audit", "replay", "last"]).code(1);
    insta::assert_snapshot!("other", alike(&bench, &format!("{}{}", other.out, other.err)));
    let json = bench.parkway(&["audit", "replay", "last", "--json"]).code(1).json();
    assert_eq!((&json["holds"], &json["same"], &json["differs"]), (&json!(false), &json!(2), &json!(1)));
    assert_eq!(json["calls"][1]["outcome"], "differs");
    assert_eq!(json["calls"][0], json_of_same(&bench));
    // Nothing was written.
    assert_eq!(bench.parkway(&["show", "--json"]).out, events);
}

fn json_of_same(bench: &Bench) -> Value {
    let device = |call: &Value| call["device"].clone();
    let call: Value = bench
        .parkway(&["show", "--json"])
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|event| event["kind"]["type"] == "model_called")
        .unwrap();
    let device = device(&call["kind"]["call"]);
    json!({
        "run": call["run"], "event": call["seq"], "step": call["kind"]["key"], "attempt": 1, "answer": 1,
        "model": call["kind"]["call"]["model"], "device": device, "device_now": device, "others": [],
        "outcome": "same", "tokens": null,
    })
}

#[test]
fn a_run_that_cannot_be_decoded_again_passes_for_evidence() {
    let bench = bench(planned());
    bench.parkway(&["do", GOAL]).code(0);
    let told = bench.parkway(&["audit", "replay", "last", "--model", "main=none.gguf"]).code(1).out;
    assert!(told.contains("not decoded  goal.line_1: the model `main` cannot be used"), "{told}");
    assert!(told.ends_with("3 calls: 0 the same, 0 different, 3 not decoded\n"), "{told}");
    bench.parkway(&["audit", "erase", "--run", "last", "--only", "prompts", "--note", "a test"]).code(0);
    let told = bench.parkway(&["audit", "replay", "last"]).code(1).out;
    assert!(told.contains("not decoded  goal.line_1: its messages were erased"), "{told}");
}

#[test]
fn a_run_that_asked_no_model_is_an_error() {
    let bench = Bench::new("parkway: 1\nsteps:\n  one: { set: { n: 1 } }\n");
    bench.parkway(&["audit", "replay", "last"]).code(2).says("there are no runs yet");
    bench.parkway(&["run", "flow.yaml"]).code(0);
    let told = bench.parkway(&["audit", "replay", "last"]).code(0).out;
    assert!(told.ends_with(" asked no model: there is nothing to decode again\n"), "{told}");
    bench.parkway(&["audit", "replay", "0000"]).code(2).says("no run is called `0000`");
}
