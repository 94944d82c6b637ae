//! Tests of workflows whose models answer as they did in a real run.

use std::fs;
use std::sync::Arc;

use parkway::testing::{MemoryStore, ScriptedModel};
use parkway::trial::{self, Trials};
use parkway::{Effect, Parkway, Workflow, tool_fn};
use serde_json::Value;

const FLOW: &str = r#"
parkway: 1
inputs: { topic: { type: string, default: tea } }
steps:
  draft: { chat: { model: main, prompt: "Write about ${{ inputs.topic }}." } }
  again: { chat: { model: main, prompt: "Shorten: ${{ steps.draft.output }}" } }
outputs: { text: "${{ steps.again.output }}" }
models: { main: {} }
"#;

/// A folder with the workflow, the recording of a run of it, and this file of tests.
async fn recorded(tests: &str) -> tempfile::TempDir {
    let folder = crate::kept::folder().unwrap();
    fs::write(folder.path().join("flow.yaml"), FLOW).unwrap();
    fs::write(folder.path().join("flow.test.yaml"), tests).unwrap();
    let store = Arc::new(MemoryStore::new(Arc::new(parkway::clock::SystemClock)));
    let model = ScriptedModel::new().when("Write about tea", "Tea is long.").when("Shorten", "Tea.");
    let parkway = Parkway::builder().store_with(store).model("main", model).build().await.unwrap();
    let workflow = Workflow::from_path(folder.path().join("flow.yaml")).unwrap();
    let run = parkway.start(workflow, parkway::inputs! {}).await.unwrap();
    run.output::<Value>().await.unwrap();
    fs::write(folder.path().join("tea.json"), trial::record(&parkway, run.id()).await.unwrap()).unwrap();
    folder
}

fn outcome(folder: &tempfile::TempDir, name: &str) -> String {
    let trials = Trials::from_path(folder.path().join("flow.test.yaml")).unwrap();
    let trial = trials.list().iter().find(|trial| trial.name() == name).unwrap();
    let outcome = trials.run(trial, &[], false).unwrap();
    outcome.mismatches.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_recording_answers_the_same_prompts_and_no_others() {
    let tests = r#"
tests:
  same: { recorded: tea.json, expect: { outputs: { text: Tea. } } }
  other: { recorded: tea.json, inputs: { topic: milk }, expect: { outputs: { text: Tea. } } }
  mixed:
    recorded: tea.json
    inputs: { topic: milk }
    models: { main: [{ step: draft, answer: "Tea is long." }] }
    expect: { outputs: { text: Tea. } }
"#;
    let folder = recorded(tests).await;
    assert_eq!(outcome(&folder, "same"), "");
    assert_eq!(outcome(&folder, "mixed"), "");
    let wrong = outcome(&folder, "other");
    assert!(wrong.contains("the step `draft`, and the recording none either"), "{wrong}");
}

#[tokio::test]
async fn a_tool_of_the_embedder_is_played_and_never_called_by_chance() {
    let folder = crate::kept::folder().unwrap();
    let flow = "parkway: 1\ntools: { mail: {} }\nsteps:\n  send: { tool: mail.send, with: { to: ada }, retry: 0 }\n";
    fs::write(folder.path().join("flow.yaml"), flow).unwrap();
    let tests = "tests:\n  played: { tools: { mail.send: [{ output: sent }] }, expect: { steps: { send: { output: sent } } } }\n  open: { expect: { code: no_answer } }\n";
    fs::write(folder.path().join("flow.test.yaml"), tests).unwrap();
    let mail: parkway::tool::SharedTool = Arc::new(tool_fn("mail.send", Effect::Idempotent, |_: Value| async {
        Err::<Value, _>(parkway::ToolError::invalid("called", "the real tool was called"))
    }));
    let trials = Trials::from_path(folder.path().join("flow.test.yaml")).unwrap();
    for trial in trials.list() {
        let outcome = trials.run(trial, std::slice::from_ref(&mail), false).unwrap();
        assert!(outcome.mismatches.is_empty(), "{}: {:?}", trial.name(), outcome.mismatches);
    }
}

/// Its family is that of a built-in tool; it is not one of them.
#[test]
fn a_database_tool_of_the_embedder_is_not_called_by_chance() {
    let folder = crate::kept::folder().unwrap();
    let flow =
        "parkway: 1\ntools: { sql: {} }\nsteps:\n  ask: { tool: sql.orders, with: { database: prod }, retry: 0 }\n";
    fs::write(folder.path().join("flow.yaml"), flow).unwrap();
    fs::write(folder.path().join("flow.test.yaml"), "tests: { open: { expect: { code: no_answer } } }\n").unwrap();
    let orders: parkway::tool::SharedTool = Arc::new(tool_fn("sql.orders", Effect::Read, |_: Value| async {
        Err::<Value, _>(parkway::ToolError::invalid("called", "the real tool was called"))
    }));
    let trials = Trials::from_path(folder.path().join("flow.test.yaml")).unwrap();
    let outcome = trials.run(&trials.list()[0], std::slice::from_ref(&orders), false).unwrap();
    assert!(outcome.mismatches.is_empty(), "{:?}", outcome.mismatches);
}

/// A database that is a file lies in the test's folder; one at a server is somebody's.
#[test]
fn a_database_in_the_folder_is_the_real_one_and_one_at_a_server_is_never_asked() {
    let flow = r#"
parkway: 1
tools:
  files: { write: [out] }
  sql: { databases: { here: { sqlite: out/here.db, write: true }, there: { postgres: "postgres://a@localhost/b" } } }
inputs: { database: { type: string } }
steps:
  new: { tool: files.write_text, with: { path: out/here.db, text: "" } }
  ask:
    needs: [new]
    tool: sql.query
    with: { database: "${{ inputs.database }}", sql: "SELECT 40 + 2 AS n" }
outputs: { n: "${{ steps.ask.output.rows[0].n }}" }
"#;
    let tests = r#"
tests:
  here: { inputs: { database: here }, expect: { outputs: { n: 42 } } }
  there: { inputs: { database: there }, expect: { code: no_answer } }
  nowhere: { inputs: { database: other }, expect: { code: denied } }
"#;
    let folder = crate::kept::folder().unwrap();
    fs::write(folder.path().join("flow.yaml"), flow).unwrap();
    fs::write(folder.path().join("flow.test.yaml"), tests).unwrap();
    for name in ["here", "there", "nowhere"] {
        assert_eq!(outcome(&folder, name), "", "{name}");
    }
}
