//! `parkway retry` and `parkway fork`.

use std::fs;

use serde_json::{Value, json};

use crate::bench::Bench;

const LETTER: &str = r#"
parkway: 1
name: letter
tools: { files: { read: [.], write: [out] } }
steps:
  first: { set: { n: 1 } }
  letter: { needs: [first], tool: files.read_text, with: { path: letter.txt }, retry: 0 }
  copy: { tool: files.write_text, with: { path: out/copy.txt, text: "${{ steps.letter.output.text }}" } }
outputs: { path: "${{ steps.copy.output.path }}" }
"#;

#[test]
fn a_retry_does_again_what_failed_and_nothing_else() {
    let bench = Bench::new(LETTER);
    let run = |bench: &Bench| bench.runs()[0].clone();
    let ended = bench.parkway(&["run", "flow.yaml"]).code(1);
    let id = run(&bench);
    let ended = ended.says(&format!("try again:   parkway retry {id}"));
    assert_eq!(ended.out, "");
    bench.parkway(&["show"]).code(0).says(&format!("try again:   parkway retry {id}"));
    fs::write(bench.path("letter.txt"), "dear all").unwrap();
    let ended = bench.parkway(&["retry", "last", "--note", "it was not there"]).code(0);
    assert_eq!(ended.json(), json!({"path": "out/copy.txt"}));
    let ended = ended.says("reopened by ada (command)  it was not there");
    assert!(!ended.err.contains("first"), "{}", ended.err);
    assert_eq!(run(&bench), id);
    let shown = bench.parkway(&["show"]).code(0);
    assert!(shown.out.contains("completed") && !shown.out.contains("not_found"), "{}", shown.out);
    bench.parkway(&["retry", "last"]).code(2).says("has completed").says(&format!("parkway fork {id} --from STEP"));
    bench.parkway(&["retry", "zzz"]).code(2).says("no run is called `zzz`");
}

#[test]
fn a_fork_says_what_it_keeps_before_it_asks_about_what_it_does() {
    let bench = Bench::new(LETTER);
    fs::write(bench.path("letter.txt"), "dear all").unwrap();
    bench.parkway(&["run", "flow.yaml"]).code(0);
    let id = bench.runs()[0].clone();
    let told = bench.parkway(&["fork", "last", "--from", "letter", "--dry-run"]).code(0).out;
    let expected = format!(
        "a fork of run {id} from `letter`\n  1 step kept: first\n  2 steps done anew:\n    letter  files.read_text  read\n    copy    files.write_text  idempotent, asked about first\n"
    );
    assert_eq!(told, expected);
    let told = bench.parkway(&["fork", "last", "--from", "letter", "--dry-run", "--json"]).code(0).json();
    assert_eq!((&told["kept"], &told["anew"][1]["asks"]), (&json!(["first"]), &json!(true)));
    assert_eq!(bench.runs().len(), 1);
    // A yes to all is none to a call of a fork.
    let ended = bench.parkway(&["fork", "last", "--from", "letter", "--yes"]).code(4);
    let forked = bench.runs()[0].clone();
    ended
        .says("1 step kept: first")
        .says(&format!("forked from {id} at letter"))
        .says(&format!("parkway approve {forked} copy"));
    bench.parkway(&["approve", "last", "copy"]).code(0);
    bench.parkway(&["resume"]).code(0);
    let shown = bench.parkway(&["show"]).code(0).out;
    assert!(shown.ends_with(&format!("forked from {id} at letter\n")), "{shown}");
    let listed = bench.parkway(&["runs", "--json"]).code(0).out;
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&listed[0]["forked_from"], &listed[1]["forked_from"]), (&json!(id), &Value::Null));
    let table = bench.parkway(&["runs"]).code(0).out;
    assert!(table.lines().nth(1).unwrap().ends_with(&format!("fork of …{}", &id[id.len() - 12..])), "{table}");
    bench.parkway(&["fork", "last", "--from", "nothing"]).code(2).says("it has `first`, `letter`, `copy`");
}

#[test]
fn the_run_of_a_step_is_listed_with_its_parent_and_is_not_the_last_one() {
    let bench = Bench::new("parkway: 1\nname: outer\nsteps: { sub: { workflow: inner.yaml, own_run: true } }\n");
    bench.write("inner.yaml", "parkway: 1\nname: inner\nsteps: { ask: { approve: { prompt: go? } } }\n");
    bench.parkway(&["run", "flow.yaml"]).code(4);
    let listed = bench.parkway(&["runs", "--json"]).code(0).out;
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let inner = listed.iter().find(|run| run["workflow"] == "inner").unwrap();
    let outer = listed.iter().find(|run| run["workflow"] == "outer").unwrap();
    assert_eq!(inner["parent"], outer["run"]);
    assert!(bench.parkway(&["show", "last"]).code(0).out.contains("outer"));
}
