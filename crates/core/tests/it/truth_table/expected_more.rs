//! The second table's lines: that the other ways to end do not differ from those in the large one.
//!
//! Cells stand in the order of `MORE_ENDINGS`.

use super::line::{Dependents, Section, dependents, run, step};

/// What fails, fails; a call of unknown outcome waits for a person, also after a cancel.
const UNHANDLED: &str = "bad bad bad bad bad bad wait wait";
const HANDLED: &str = "done done done done done done wait wait";

pub(super) fn sections() -> Vec<Section> {
    let after = Dependents {
        by_default: "skip:failed skip:failed skip:failed skip:failed skip:failed skip:failed wait wait",
        failed: "runs runs runs runs runs runs wait wait",
        not_rejected: "skip:failed skip:failed skip:failed skip:failed skip:failed skip:failed wait wait",
        always: "runs runs runs runs runs runs wait wait",
    };
    let mut alone = vec![run("the run, with nothing else in it", "steps: { x: { BODY } }", UNHANDLED)];
    alone.extend(dependents("x: { BODY }", "x", &after, UNHANDLED));
    let after = Dependents {
        by_default: "runs runs runs runs runs runs wait wait",
        failed: "skip:run_if skip:run_if skip:run_if skip:run_if skip:run_if skip:run_if wait wait",
        not_rejected: "runs runs runs runs runs runs wait wait",
        always: "runs runs runs runs runs runs wait wait",
    };
    let continued = dependents("x: { BODY, on_error: continue }", "x", &after, HANDLED);
    let collecting = "steps: { f: { for_each: [0, 1], on_item_error: collect, steps: { x: { BODY } } } }";
    let collecting = vec![step("the fan-out", collecting, "f", HANDLED, HANDLED)];
    vec![
        Section { title: "The step by itself", lines: alone },
        Section { title: "The step with `on_error: continue`", lines: continued },
        Section { title: "A fan-out around it, with `on_item_error: collect`", lines: collecting },
    ]
}
