//! Tests of workflows: what they catch, and how they tell it.

use std::fs;

use crate::bench::{Bench, redacted};

const ORDERS: &str = r#"
parkway: 1
name: orders
inputs: { letters: { type: string, default: data } }
models: { main: { gguf: { name: smollm2-135m-instruct } } }
tools: { files: { read: [data], write: [out] } }
steps:
  list:
    tool: files.list
    with: { folder: "${{ inputs.letters }}", glob: "*.txt" }
  each:
    for_each: ${{ steps.list.output.files }}
    as: file
    steps:
      letter: { tool: files.read_text, with: { path: "${{ file.path }}" } }
      extract:
        chat:
          model: main
          prompt: "Which order? ${{ steps.letter.output.text }}"
          output: { order: { type: string } }
    result: { file: "${{ file.path }}", order: "${{ steps.extract.output.order }}" }
  confirm:
    approve: { prompt: "Write ${{ steps.each.output | length }} orders?", timeout: 24h }
  write:
    needs: [confirm]
    tool: files.write_csv
    with: { path: out/orders.csv, rows: "${{ steps.each.output }}" }
outputs: { rows: "${{ steps.write.output.rows }}" }
"#;

const GOOD: &str = r#"
tests:
  orders_are_written:
    files: { data/a.txt: Order AB-12, data/b.txt: Order CD-34 }
    models:
      main:
        - { step: extract, when: AB-12, answer: { order: AB-12 } }
        - { answer: { order: CD-34 } }
    answers: { confirm: { approve: true, note: fine } }
    expect:
      outputs: { rows: 2 }
      steps:
        list: completed
        each: { output: [{ order: AB-12 }, { order: CD-34 }] }
        "each[1].extract": { status: completed, attempts: 1 }
      events: [step_expanded, approval_requested: confirm, run_completed]
      files: { out/orders.csv: "file,order\r\ndata/a.txt,AB-12\r\ndata/b.txt,CD-34\r\n", out/none.csv: null }
  a_no_stops_it:
    files: { data/a.txt: Order AB-12 }
    models: { main: [{ answer: { order: AB-12 } }] }
    answers: { confirm: { approve: false, note: too few } }
    expect: { status: failed, code: rejected, steps: { write: skipped } }
  silence_is_a_no_after_a_day:
    files: { data/a.txt: Order AB-12 }
    models: { main: [{ answer: { order: AB-12 } }] }
    expect: { code: rejected, steps: { confirm: { status: failed, code: rejected } } }
  a_failed_answer_is_asked_again:
    files: { data/a.txt: Order AB-12 }
    models:
      main:
        - { error: { message: overloaded, retryable: true }, times: 1 }
        - { answer: { order: AB-12 } }
    answers: { confirm: { approve: true } }
    expect: { steps: { extract: { attempts: 2 } } }
  a_tool_can_be_played:
    tools:
      files.list: [{ output: { files: [] } }]
      files.write_csv: [{ step: write, with: { path: out/orders.csv }, error: { code: disk_full, message: no room } }]
    answers: { confirm: { approve: true } }
    expect: { status: failed, code: disk_full, files: { out/orders.csv: null } }
"#;

fn bench(tests: &str) -> Bench {
    let bench = Bench::new("");
    bench.write("orders.yaml", ORDERS);
    bench.write("orders.test.yaml", tests);
    bench
}

#[test]
fn what_is_as_expected_passes_and_nothing_is_waited_for() {
    let bench = bench(GOOD);
    let start = std::time::Instant::now();
    let ended = bench.parkway(&["test"]).code(0);
    // One of them waits a day.
    assert!(start.elapsed().as_secs() < 20);
    insta::assert_snapshot!(ended.out);
    assert!(!bench.path("out").exists() && !bench.path(".parkway").exists(), "a test left something in the project");
    let ended = bench.parkway(&["test", "orders.test.yaml", "--only", "no_stops"]).code(0);
    assert!(ended.out.contains("1 passed, 0 failed, 4 left out"), "{}", ended.out);
}

#[test]
fn what_is_not_as_expected_is_told_with_its_place() {
    let bench = bench(
        r#"
tests:
  all_is_wrong:
    files: { data/a.txt: Order AB-12 }
    models: { main: [{ answer: { order: XX-1 } }] }
    answers: { confirm: { approve: true }, confrim: { approve: true } }
    expect:
      status: failed
      code: rejected
      outputs: { rows: 2 }
      steps:
        each: { output: [{ order: AB-12 }] }
        extract: { status: skipped, attempts: 2, code: cut }
        wirte: completed
      events: [run_completed, approval_requested]
      files: { out/none.csv: there, out/orders.csv: "\e[31m" }
  nobody_answers_the_model:
    files: { data/a.txt: "Order AB-12 \e[31m" }
    models: { main: [{ when: Order ZZ, answer: { order: X } }] }
    expect: { outputs: { rows: 1 } }
  nobody_answers_the_person:
    inputs: { letters: none }
    tools: { files.list: [{ output: { files: [] } }] }
    expect: { status: waiting }
"#,
    );
    let ended = bench.parkway(&["test"]).code(1);
    assert!(!ended.out.contains('\u{1b}'), "{:?}", ended.out);
    insta::assert_snapshot!(redacted(&bench, &ended.out));
    let lines: Vec<_> = bench.parkway(&["test", "--json"]).code(1).out.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains("\"ok\":false"), "{}", lines[0]);
}

#[test]
fn a_mistake_in_a_file_of_tests_is_told_with_its_place() {
    for (tests, says) in [
        ("tests:\n  a:\n    inptus: {}\n    expect: {}\n", "orders.test.yaml:3:5"),
        ("tests:\n  a:\n    inptus: {}\n    expect: {}\n", "did you mean `inputs`?"),
        ("tests:\n  a: { inputs: {} }\n", "the key `expect` is missing"),
        ("tests:\n  a:\n    expect: { status: complete }\n", "did you mean `completed`?"),
        ("tests:\n  a:\n    models: { main: [{ step: x }] }\n    expect: {}\n", "`answer` or an `error`"),
        ("tests:\n  a:\n    recorded: none.json\n    expect: {}\n", "orders.test.yaml:3:15"),
        ("tests:\n  a: { expect: {} }\n  a: { expect: {} }\n", "duplicate"),
        ("workflow: none.yaml\ntests: {}\n", "none.yaml"),
        ("", "orders.test.yaml"),
    ] {
        bench(tests).parkway(&["test"]).code(2).says(says);
    }
    let bench = bench("tests:\n  a:\n    tools: { file.list: [{ output: 1 }] }\n    expect: {}\n");
    let out = bench.parkway(&["test"]).code(1).out;
    assert!(out.contains("no tool is called `file.list`; did you mean `files.list`?"), "{out}");
    let bench = self::bench("tests:\n  a:\n    expect: {}\n");
    bench.write("orders.yaml", "parkway: 1\nsteps: { a: { tool: none } }\n");
    let out = bench.parkway(&["test"]).code(1).out;
    assert!(out.contains("FAILED") && out.contains("error["), "{out}");
    let empty = Bench::new("");
    empty.parkway(&["test"]).code(2).says("there are no files of tests");
}

#[test]
fn a_file_of_a_test_cannot_be_put_outside_its_folder() {
    for path in ["../evil.txt", "/tmp/evil.txt"] {
        let bench = bench(&format!("tests:\n  a:\n    files: {{ {path}: x }}\n    expect: {{}}\n"));
        let out = bench.parkway(&["test"]).code(1).out;
        assert!(out.contains("is no path within the test's folder") && out.contains("orders.test.yaml:3:14"), "{out}");
    }
}

#[test]
fn a_story_that_changed_is_shown_until_it_is_accepted() {
    let tests = |order: &str| {
        format!(
            "tests:\n  one:\n    files: {{ data/a.txt: {{ file: letter.txt }} }}\n    models: {{ main: [{{ answer: {{ order: {order} }} }}] }}\n    answers: {{ confirm: {{ approve: true }} }}\n    expect: {{ snapshot: true }}\n"
        )
    };
    let bench = bench(&tests("AB-12"));
    bench.write("letter.txt", "Order AB-12");
    let out = bench.parkway(&["test"]).code(1).out;
    assert!(out.contains("there is no snapshot snapshots/orders.one.snap; write it with --update"), "{out}");
    bench.parkway(&["test", "--update"]).code(0);
    bench.parkway(&["test"]).code(0);
    insta::assert_snapshot!(fs::read_to_string(bench.path("snapshots/orders.one.snap")).unwrap());
    bench.write("orders.test.yaml", &tests("CD-34"));
    let out = bench.parkway(&["test"]).code(1).out;
    assert!(out.contains("  - model_called each[0].extract") && out.contains("CD-34"), "{out}");
    bench.parkway(&["test", "--update"]).code(0);
    bench.parkway(&["test"]).code(0);
}
