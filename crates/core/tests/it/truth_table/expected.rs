//! The large table's lines, with what is expected of each cell.
//!
//! Cells stand in the order of `ENDINGS`: completed, skipped, failed, rejected, expired, timed out, over budget,
//! cancelled, in doubt.

use super::line::{Dependents, Line, Section, dependents, output, outputs, run, step};

/// How a run ends if nothing handles what happened to `x`.
const UNHANDLED: &str = "done done bad bad bad bad bad stop wait";
/// If `x` has `on_error: continue`, which an approval may not have.
const CONTINUED: &str = "done done done no no done bad stop wait";
/// If a group, a loop, a fan-out or a sub-workflow around `x` has it: it does not cover a rejection.
const COVERED: &str = "done done done bad bad done bad stop wait";
/// If a fan-out collects.
const COLLECTED: &str = "done done done done done done bad stop wait";

/// What holds `x` ends as `x` does, but completes where `x` is skipped.
const HOLDER: &str = "done done bad bad bad bad bad stop wait";

/// After what holds `x` and handles nothing.
const AFTER_HOLDER: Dependents = Dependents {
    by_default: "runs runs skip:failed skip:failed skip:failed skip:failed skip:failed skip:cancelled wait",
    failed: "skip:run_if skip:run_if runs runs runs runs runs skip:cancelled wait",
    not_rejected: "runs runs skip:failed skip:failed skip:failed skip:failed skip:failed skip:cancelled wait",
    always: "runs runs runs runs runs runs runs runs wait",
};

/// After what holds `x`, with `on_error: continue`.
const AFTER_COVERED: Dependents = Dependents {
    by_default: "runs runs runs skip:failed skip:failed runs skip:failed skip:cancelled wait",
    failed: "skip:run_if skip:run_if skip:run_if runs runs skip:run_if runs skip:cancelled wait",
    not_rejected: "runs runs runs skip:failed skip:failed runs skip:failed skip:cancelled wait",
    always: "runs runs runs runs runs runs runs runs wait",
};

/// After a fan-out that collects.
const AFTER_COLLECTED: Dependents = Dependents {
    by_default: "runs runs runs runs runs runs skip:failed skip:cancelled wait",
    failed: "skip:run_if skip:run_if skip:run_if skip:run_if skip:run_if skip:run_if runs skip:cancelled wait",
    not_rejected: "runs runs runs runs runs runs skip:failed skip:cancelled wait",
    always: "runs runs runs runs runs runs runs runs wait",
};

pub(super) fn sections() -> Vec<Section> {
    vec![
        Section { title: "The step by itself", lines: alone() },
        Section { title: "The step with `on_error: continue`", lines: continued() },
        Section { title: "A group around it", lines: group() },
        Section { title: "A group around it, with `on_error: continue`", lines: covering_group() },
        Section { title: "A fan-out around it, over two items, one at a time", lines: fan_out() },
        Section { title: "The same with `on_item_error: collect`", lines: collecting() },
        Section { title: "A loop around it", lines: repeated() },
        Section { title: "A sub-workflow around it", lines: sub_workflow() },
        Section { title: "A sub-workflow around it, with `own_run: true`", lines: own_run() },
        Section { title: "What `steps.x` shows", lines: views() },
        Section { title: "`outputs`", lines: run_outputs() },
        Section { title: "`ensure`", lines: ensures() },
    ]
}

fn alone() -> Vec<Line> {
    let mut lines = vec![run("the run, with nothing else in it", "steps: { x: { BODY } }", UNHANDLED)];
    let after = Dependents {
        by_default: "runs skip:x skip:failed skip:failed skip:failed skip:failed skip:failed skip:cancelled wait",
        ..AFTER_HOLDER
    };
    lines.extend(dependents("x: { BODY }", "x", &after, UNHANDLED));
    lines.push(step(
        "`run_if: always`, and an `if` that is false",
        "steps: { x: { BODY }, after: { needs: [x], run_if: always, if: 'false', set: { n: 1 } } }",
        "after",
        "skip:if skip:if skip:if skip:if skip:if skip:if skip:if skip:if wait",
        UNHANDLED,
    ));
    lines.push(step(
        "a step after one with `run_if: always`",
        "steps:
  x: { BODY }
  gate: { needs: [x], run_if: always, set: { n: 1 } }
  after: { needs: [gate], set: { n: 1 } }",
        "after",
        "runs runs skip:failed skip:failed skip:failed skip:failed skip:failed skip:cancelled wait",
        UNHANDLED,
    ));
    lines.push(step(
        "`run_if: failed`, after a step that was skipped for it",
        "steps:
  x: { BODY }
  next: { needs: [x], set: { n: 1 } }
  after: { needs: [next], run_if: failed, set: { n: 1 } }",
        "after",
        "skip:run_if skip:run_if skip:run_if skip:run_if skip:run_if skip:run_if skip:run_if skip:cancelled wait",
        UNHANDLED,
    ));
    lines.push(step(
        "a call that runs beside it",
        "steps: { x: { BODY }, y: { tool: t.short } }",
        "y",
        "done done done done done done skip:failed stop done",
        UNHANDLED,
    ));
    lines.push(step(
        "an approval that is open beside it",
        "steps: { x: { BODY }, y: { approve: { prompt: 'sure?' } } }",
        "y",
        "wait wait skip:failed skip:failed skip:failed skip:failed skip:failed stop wait",
        "wait wait bad bad bad bad bad stop wait",
    ));
    lines
}

fn continued() -> Vec<Line> {
    let after = Dependents {
        by_default: "runs skip:x runs no no runs skip:failed skip:cancelled wait",
        failed: "skip:run_if skip:run_if skip:run_if no no skip:run_if runs skip:cancelled wait",
        not_rejected: "runs runs runs no no runs skip:failed skip:cancelled wait",
        always: "runs runs runs no no runs runs runs wait",
    };
    dependents("x: { BODY, on_error: continue }", "x", &after, CONTINUED)
}

fn group() -> Vec<Line> {
    let mut lines = vec![
        step("the group", "steps: { g: { steps: { x: { BODY } } } }", "g", HOLDER, UNHANDLED),
        output(
            "its output",
            "steps:
  g: { steps: { x: { BODY }, y: { set: { n: 2 } } } }
  after: { set: { seen: '${{ steps.g.output }}' } }",
            "after",
            r#"{"seen":{"x":{"n":1},"y":{"n":2}}} {"seen":{"x":null,"y":{"n":2}}} - - - - - - -"#,
            UNHANDLED,
        ),
        step(
            "the group, where `x` has `on_error: continue`",
            "steps: { g: { steps: { x: { BODY, on_error: continue } } } }",
            "g",
            "done done done no no done bad stop wait",
            CONTINUED,
        ),
        step(
            "a sibling, by default",
            "steps: { g: { steps: { x: { BODY }, after: { needs: [x], set: { n: 1 } } } } }",
            "g.after",
            "runs skip:x skip:failed skip:failed skip:failed skip:failed skip:failed skip:cancelled wait",
            UNHANDLED,
        ),
        step(
            "a sibling, `run_if: failed`",
            "steps: { g: { steps: { x: { BODY }, after: { needs: [x], run_if: failed, set: { n: 1 } } } } }",
            "g.after",
            "skip:run_if skip:run_if runs runs runs runs runs skip:cancelled wait",
            UNHANDLED,
        ),
        step(
            "a sibling, `run_if: always`",
            "steps: { g: { steps: { x: { BODY }, after: { needs: [x], run_if: always, set: { n: 1 } } } } }",
            "g.after",
            "runs runs runs runs runs runs runs runs wait",
            UNHANDLED,
        ),
    ];
    lines.extend(dependents("g: { steps: { x: { BODY } } }", "g", &AFTER_HOLDER, UNHANDLED));
    lines
}

fn covering_group() -> Vec<Line> {
    let mut lines = vec![
        step("the group", "steps: { g: { on_error: continue, steps: { x: { BODY } } } }", "g", HOLDER, COVERED),
        step(
            "a sibling, by default",
            "steps: { g: { on_error: continue, steps: { x: { BODY }, after: { needs: [x], set: { n: 1 } } } } }",
            "g.after",
            "runs skip:x skip:x skip:failed skip:failed skip:x skip:failed skip:cancelled wait",
            COVERED,
        ),
        step(
            "a sibling, `run_if: failed`",
            "steps:
  g: { on_error: continue, steps: { x: { BODY }, after: { needs: [x], run_if: failed, set: { n: 1 } } } }",
            "g.after",
            "skip:run_if skip:run_if runs runs runs runs runs skip:cancelled wait",
            COVERED,
        ),
        step(
            "a sibling, after one with `run_if: always`",
            "steps:
  g:
    on_error: continue
    steps:
      x: { BODY }
      gate: { needs: [x], run_if: always, set: { n: 1 } }
      after: { needs: [gate], set: { n: 1 } }",
            "g.after",
            "runs runs runs skip:failed skip:failed runs skip:failed skip:cancelled wait",
            COVERED,
        ),
        step(
            "a continued group around the group",
            "steps: { o: { on_error: continue, steps: { g: { steps: { x: { BODY } } } } } }",
            "o",
            HOLDER,
            COVERED,
        ),
    ];
    lines.extend(dependents("g: { on_error: continue, steps: { x: { BODY } } }", "g", &AFTER_COVERED, COVERED));
    lines
}

fn fan_out() -> Vec<Line> {
    const FAN_OUT: &str = "f: { for_each: [0, 1], max_parallel: 1, steps: { x: { BODY } } }";
    let steps = format!("steps: {{ {FAN_OUT} }}");
    let mut lines = vec![
        step("the fan-out", &steps, "f", HOLDER, UNHANDLED),
        step("its second item", &steps, "f[1]", "done done never stop stop never never never wait", UNHANDLED),
        step(
            "the fan-out, beside the verb",
            "steps: { x: { for_each: [0, 1], max_parallel: 1, BODY } }",
            "x",
            "done skip:if bad bad bad bad bad stop wait",
            UNHANDLED,
        ),
        step(
            "the fan-out, with `on_error: continue`",
            "steps: { f: { for_each: [0, 1], max_parallel: 1, on_error: continue, steps: { x: { BODY } } } }",
            "f",
            HOLDER,
            COVERED,
        ),
        step(
            "the fan-out, where `x` has `on_error: continue`",
            "steps: { f: { for_each: [0, 1], max_parallel: 1, steps: { x: { BODY, on_error: continue } } } }",
            "f",
            "done done done no no done bad stop wait",
            CONTINUED,
        ),
    ];
    lines.extend(dependents(FAN_OUT, "f", &AFTER_HOLDER, UNHANDLED));
    lines
}

fn collecting() -> Vec<Line> {
    const FAN_OUT: &str = "f: { for_each: [0, 1], max_parallel: 1, on_item_error: collect, steps: { x: { BODY } } }";
    let steps = format!("steps: {{ {FAN_OUT} }}");
    let shows =
        |expression: &str| format!("steps: {{ {FAN_OUT}, after: {{ set: {{ seen: \"${{{{ {expression} }}}}\" }} }} }}");
    let mut lines = vec![
        step("the fan-out", &steps, "f", "done done done done done done bad stop wait", COLLECTED),
        step("its second item", &steps, "f[1]", "done done bad bad bad bad never never wait", COLLECTED),
        output(
            "its output",
            &shows("steps.f.output"),
            "after",
            r#"{"seen":[{"x":{"n":1}},{"x":{"n":1}}]} {"seen":[{"x":null},{"x":null}]} {"seen":[null,null]} {"seen":[null,null]} {"seen":[null,null]} {"seen":[null,null]} - - -"#,
            COLLECTED,
        ),
        output(
            "its items' status",
            &shows("steps.f.items | map(attribute='status') | list"),
            "after",
            r#"{"seen":["completed","completed"]} {"seen":["completed","completed"]} {"seen":["failed","failed"]} {"seen":["failed","failed"]} {"seen":["failed","failed"]} {"seen":["failed","failed"]} - - -"#,
            COLLECTED,
        ),
        step(
            "another member of the item, by default",
            "steps: { f: { for_each: [0], on_item_error: collect, steps: { x: { BODY }, after: { needs: [x], set: { n: 1 } } } } }",
            "f[0].after",
            "runs skip:x skip:x skip:x skip:x skip:x skip:failed skip:cancelled wait",
            COLLECTED,
        ),
        step(
            "the fan-out, beside the verb",
            "steps: { x: { for_each: [0, 1], max_parallel: 1, on_item_error: collect, BODY } }",
            "x",
            "done skip:if done done done done bad stop wait",
            COLLECTED,
        ),
        step(
            "a group around the fan-out",
            &format!("steps: {{ g: {{ steps: {{ {FAN_OUT} }} }} }}"),
            "g",
            "done done done done done done bad stop wait",
            COLLECTED,
        ),
    ];
    lines.extend(dependents(FAN_OUT, "f", &AFTER_COLLECTED, COLLECTED));
    lines
}

fn repeated() -> Vec<Line> {
    const LOOP: &str = "r: { repeat: { until: 'true', max: 2 }, steps: { x: { BODY } } }";
    let mut lines = vec![
        step("the loop", &format!("steps: {{ {LOOP} }}"), "r", HOLDER, UNHANDLED),
        output(
            "its output",
            &format!("steps: {{ {LOOP}, after: {{ set: {{ seen: '${{{{ steps.r.output }}}}' }} }} }}"),
            "after",
            r#"{"seen":{"x":{"n":1}}} {"seen":{"x":null}} - - - - - - -"#,
            UNHANDLED,
        ),
        step(
            "a loop that goes on until it completes, where `x` has `on_error: continue`",
            "steps: { r: { repeat: { until: 'true', max: 2 }, steps: { x: { BODY, on_error: continue } } } }",
            "r",
            "done done done no no done bad stop wait",
            CONTINUED,
        ),
        step(
            "the loop, with `on_error: continue`",
            "steps: { r: { repeat: { until: 'true', max: 2 }, on_error: continue, steps: { x: { BODY } } } }",
            "r",
            HOLDER,
            COVERED,
        ),
    ];
    lines.extend(dependents(LOOP, "r", &AFTER_HOLDER, UNHANDLED));
    lines
}

fn sub_workflow() -> Vec<Line> {
    const SUB: &str = "w: { workflow: child.yaml }";
    let steps = format!("steps: {{ {SUB} }}");
    let mut lines = vec![
        step("the step with `workflow`", &steps, "w", HOLDER, UNHANDLED),
        step(
            "a step of the child, by default",
            &steps,
            "w.after",
            "runs skip:x skip:failed skip:failed skip:failed skip:failed skip:failed skip:cancelled wait",
            UNHANDLED,
        ),
        step(
            "a step of the child, `run_if: always`",
            &steps,
            "w.at_last_after",
            "runs runs runs runs runs runs runs runs wait",
            UNHANDLED,
        ),
        output(
            "its output",
            &format!("steps: {{ {SUB}, after: {{ set: {{ seen: '${{{{ steps.w.output.seen }}}}' }} }} }}"),
            "after",
            r#"{"seen":"completed"} {"seen":"skipped"} - - - - - - -"#,
            UNHANDLED,
        ),
        step(
            "the step with `workflow`, with `on_error: continue`",
            "steps: { w: { workflow: child.yaml, on_error: continue } }",
            "w",
            HOLDER,
            COVERED,
        ),
        step(
            "a collecting fan-out of it",
            "steps: { f: { for_each: [0, 1], max_parallel: 1, on_item_error: collect, workflow: child.yaml } }",
            "f",
            "done done done done done done bad stop wait",
            COLLECTED,
        ),
    ];
    lines.extend(dependents(SUB, "w", &AFTER_HOLDER, UNHANDLED));
    lines
}

fn own_run() -> Vec<Line> {
    const SUB: &str = "w: { workflow: child.yaml, own_run: true }";
    let mut lines = vec![
        step("the step with `workflow`", &format!("steps: {{ {SUB} }}"), "w", HOLDER, UNHANDLED),
        output(
            "its output",
            &format!("steps: {{ {SUB}, after: {{ set: {{ seen: '${{{{ steps.w.output.seen }}}}' }} }} }}"),
            "after",
            r#"{"seen":"completed"} {"seen":"skipped"} - - - - - - -"#,
            UNHANDLED,
        ),
        step(
            "the step with `workflow`, with `on_error: continue`",
            "steps: { w: { workflow: child.yaml, own_run: true, on_error: continue } }",
            "w",
            HOLDER,
            COVERED,
        ),
    ];
    lines.extend(dependents(SUB, "w", &AFTER_HOLDER, UNHANDLED));
    lines
}

fn views() -> Vec<Line> {
    const SEEN: &str = "
    set:
      status: ${{ steps.x.status }}
      output: ${{ steps.x.output if steps.x.status != 'completed' else 'its_own' }}
      code: ${{ steps.x.error.code if steps.x.error else none }}";
    vec![
        output(
            "to a step with `run_if: always`",
            &format!("steps:\n  x: {{ BODY }}\n  after:\n    needs: [x]\n    run_if: always{SEEN}"),
            "after",
            r#"{"status":"completed","output":"its_own","code":null}
            {"status":"skipped","output":null,"code":null}
            {"status":"failed","output":null,"code":"broken"}
            {"status":"failed","output":null,"code":"rejected"}
            {"status":"failed","output":null,"code":"rejected"}
            {"status":"failed","output":null,"code":"timeout"}
            {"status":"failed","output":null,"code":"budget"}
            {"status":"cancelled","output":null,"code":null}
            -"#,
            UNHANDLED,
        ),
        output(
            "to a step after it, where it has `on_error: continue`",
            &format!("steps:\n  x: {{ BODY, on_error: continue }}\n  after:\n    needs: [x]{SEEN}"),
            "after",
            r#"{"status":"completed","output":"its_own","code":null}
            -
            {"status":"failed","output":null,"code":"broken"}
            no
            no
            {"status":"failed","output":null,"code":"timeout"}
            -
            -
            -"#,
            CONTINUED,
        ),
        output(
            "how often it was tried",
            "steps: { x: { BODY }, after: { needs: [x], run_if: always, set: { n: '${{ steps.x.attempts }}' } } }",
            "after",
            r#"{"n":1} {"n":0} {"n":1} {"n":0} {"n":0} {"n":1} {"n":0} {"n":1} -"#,
            UNHANDLED,
        ),
    ]
}

fn run_outputs() -> Vec<Line> {
    vec![
        outputs(
            "with a test of its status",
            "steps: { x: { BODY } }
outputs: { seen: \"${{ steps.x.output if steps.x.status == 'completed' else steps.x.status }}\" }",
            r#"{"seen":{"n":1}} {"seen":"skipped"} - - - - - - -"#,
            UNHANDLED,
        ),
        outputs(
            "with a test of its status, where it has `on_error: continue`",
            "steps: { x: { BODY, on_error: continue } }
outputs: { seen: \"${{ steps.x.output if steps.x.status == 'completed' else steps.x.status }}\" }",
            r#"{"seen":{"n":1}} {"seen":"skipped"} {"seen":"failed"} no no {"seen":"failed"} - - -"#,
            CONTINUED,
        ),
        run(
            "without a test of its status",
            "steps: { x: { BODY } }\noutputs: { seen: '${{ steps.x.output }}' }",
            "done no:maybe-skipped bad bad bad bad bad stop wait",
        ),
        run(
            "without a test of its status, where it has `on_error: continue`",
            "steps: { x: { BODY, on_error: continue } }\noutputs: { seen: '${{ steps.x.output }}' }",
            "no:maybe-skipped no:maybe-skipped no:maybe-skipped no:approve-continue,maybe-skipped
            no:approve-continue,maybe-skipped no:maybe-skipped no:maybe-skipped no:maybe-skipped no:maybe-skipped",
        ),
    ]
}

fn ensures() -> Vec<Line> {
    vec![
        run("that is true", "steps: { x: { BODY } }\nensure: [\"steps.x.attempts < 9\"]", UNHANDLED),
        run(
            "that is false",
            "steps: { x: { BODY } }\nensure: [\"steps.x.attempts > 9\"]",
            "bad:ensure bad:ensure bad bad bad bad bad stop wait",
        ),
        run(
            "in error",
            "steps: { x: { BODY } }\nensure: [\"steps.x.status | int > 0\"]",
            "bad:ensure_error bad:ensure_error bad bad bad bad bad stop wait",
        ),
        run(
            "that is false, where it has `on_error: continue`",
            "steps: { x: { BODY, on_error: continue } }\nensure: [\"steps.x.status == 'completed'\"]",
            "done bad:ensure bad:ensure no no bad:ensure bad stop wait",
        ),
    ]
}
