//! Any text as a template: reading, inspecting and evaluating it ends, within limits, and without a panic.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

static ROOTS: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "inputs": { "name": "a b", "rows": [1, 2.5, null, true, "x"], "none": null },
        "steps": { "load": { "status": "completed", "output": { "rows": [{ "ok": true, "n": 1 }, { "ok": false, "n": 2 }] } } },
        "item": "2026-01-31T10:00:00Z",
        "index": 3,
    })
});

fuzz_target!(|text: &str| {
    let _ = parkway_core::testing::evaluate(text, &ROOTS);
    // Most texts are no expression until they stand between marks.
    let _ = parkway_core::testing::evaluate(&format!("${{{{ {text} }}}}"), &ROOTS);
});
