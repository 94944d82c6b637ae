//! Steps that want values, and those who give them.

use serde_json::json;

use crate::bench::Bench;

const EDIT: &str = r#"
parkway: 1
name: edit
steps:
  edit:
    input:
      prompt: Is 12 right?
      output:
        total: { type: integer, min: 1, default: 12 }
        note: { type: string }
outputs: { total: "${{ steps.edit.output.total }}", note: "${{ steps.edit.output.note }}" }
"#;

#[test]
fn a_form_is_filled_from_elsewhere_and_taken_up() {
    let bench = Bench::new(EDIT);
    let ended = bench.parkway(&["run", "flow.yaml"]).code(4);
    let run = &bench.runs()[0];
    ended.says(&format!("parkway input {run} edit")).says("waits for values");
    bench
        .parkway(&["input", "last", "edit"])
        .code(2)
        .says("nobody can be asked")
        .says("total (integer, at least 1) [12]");
    bench.parkway(&["input", "last", "edti", "--set", "note=x"]).code(2).says("these steps ask for values: `edit`");
    bench.parkway(&["input", "last", "edit", "--set", "note"]).code(2).says("--set NAME=VALUE");
    bench
        .parkway(&["input", "last", "edit", "--set", "total=many", "--set", "note=x"])
        .code(2)
        .says("`many` is no JSON");
    bench.parkway(&["input", "last", "edit", "--set", "total=0", "--set", "note=x"]).code(2).says("minimum");
    bench.parkway(&["input", "last", "edit", "--set", "nte=x"]).code(2).says("did you mean `note`?");
    bench.parkway(&["approve", "last", "edit"]).code(2);
    assert_eq!(bench.count("input_received"), 0);
    bench.write("values.json", r#"{ "total": 3, "note": "from a file" }"#);
    bench.parkway(&["input", "last", "edit", "--values", "values.json", "--set", "total=4"]).code(0).says("resume");
    bench.parkway(&["input", "last", "edit", "--set", "note=late"]).code(2).says("was filled already");
    let ended = bench.parkway(&["resume"]).code(0);
    assert_eq!(ended.json(), json!({ "total": 4, "note": "from a file" }));
    let events = bench.parkway(&["show", "--json"]).out;
    assert!(events.contains(r#""via":"command""#), "{events}");
    let step = bench.parkway(&["show", "--step", "edit"]).code(0).out;
    assert!(step.contains("filled") && step.contains("from a file"), "{step}");
    bench.parkway(&["input", "last", "edit", "--set", "note=x"]).code(2).says("it is completed");
}

#[test]
fn a_test_fills_forms_and_sends_signals_and_waits_for_nothing() {
    let bench = Bench::new(
        r#"
parkway: 1
env: [CITY]
steps:
  pause: { wait: 3d }
  called: { wait: { signal: called, timeout: 1h }, needs: [pause] }
  edit: { input: { prompt: Right?, output: { total: { type: integer } }, timeout: 10s }, needs: [called] }
outputs: { total: "${{ steps.edit.output.total }}", who: "${{ steps.called.output.who }}", city: "${{ env.CITY }}" }
"#,
    );
    bench.write(
        "flow.test.yaml",
        r#"
tests:
  all_comes:
    env: { CITY: Rome }
    signals: [{ name: called, payload: { who: ada } }]
    answers: { edit: { fill: { total: 3 } } }
    expect: { outputs: { total: 3, who: ada, city: Rome } }
  nobody_calls:
    env: { CITY: Rome }
    expect: { status: failed, steps: { called: failed, edit: skipped } }
  nobody_fills:
    env: { CITY: Rome }
    signals: [{ name: called, payload: { who: ada } }]
    expect: { status: failed, steps: { edit: failed } }
"#,
    );
    let ended = bench.parkway(&["test"]).code(0);
    assert!(ended.out.contains("3 passed, 0 failed"), "{}", ended.out);
}
