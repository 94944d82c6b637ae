//! Any text as a workflow file: reading and checking it ends, within limits, and without a panic.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use parkway_core::tool::{Effect, ToolError, Toolbox, tool_fn};
use parkway_core::workflow::{Definition, Plan, Requirements};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize, JsonSchema)]
struct Echo {
    text: String,
    times: Option<u32>,
    tags: Vec<String>,
}

static TOOLS: LazyLock<Toolbox> = LazyLock::new(|| {
    let mut tools = Toolbox::new();
    for (name, effect) in [("t.echo", Effect::Pure), ("t.write", Effect::Idempotent)] {
        tools.insert(Arc::new(tool_fn(name, effect, |echo: Echo| async move { Ok::<_, ToolError>(echo) })));
    }
    tools
});

fuzz_target!(|text: &str| {
    let read = |name: &str| match name {
        "a.md" => Ok("Hello ${{ inputs.name }}".to_owned()),
        "a.yaml" => Ok("parkway: 1\nsteps: { one: { set: { n: 1 } } }\n".to_owned()),
        // A workflow that uses itself.
        "self.yaml" => Ok(text.to_owned()),
        _ => Err("no such file".to_owned()),
    };
    match Definition::parse("fuzz.yaml", text, read) {
        Ok(definition) => {
            if let Err(wrong) = Plan::check(&definition, &Requirements::new(&TOOLS, "fuzz")) {
                let _ = wrong.to_string();
            }
        }
        Err(wrong) => drop(wrong.to_string()),
    }
});
