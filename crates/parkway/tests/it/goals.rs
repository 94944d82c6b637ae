//! Goals from Rust, and what is distilled of the runs that reached them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use parkway::distil::{self, Distilled};
use parkway::testing::{MemoryStore, ScriptedModel};
use parkway::trial::Trials;
use parkway::{Answer, Error, Goal, Parkway, Run, Workflow, inputs};
use serde_json::{Value, json};

const GOAL: &str = "Which files in letters are there, and what does the first say? Keep that in out/first.txt.";

/// An engine on a folder with two letters, whose model answers each turn with what is written down for its id.
async fn engine(folder: &Path, answers: &[(&str, Value)]) -> Parkway {
    fs::create_dir_all(folder.join("letters")).unwrap();
    fs::write(folder.join("letters/a.txt"), "Two lamps, please.").unwrap();
    fs::write(folder.join("letters/b.txt"), "One chair, please.").unwrap();
    let answers: Vec<(String, Value)> = answers.iter().map(|(id, answer)| ((*id).to_owned(), answer.clone())).collect();
    let model = ScriptedModel::new().script(move |request| {
        let id = request.step.as_ref().and_then(|step| Some(step.last()?.id.clone())).unwrap_or_default();
        let answer = answers.iter().find(|(turn, _)| *turn == id).unwrap_or_else(|| panic!("no answer to {id}"));
        Ok(answer.1.to_string())
    });
    let store = Arc::new(MemoryStore::new(Arc::new(parkway::clock::SystemClock)));
    Parkway::builder().store_with(store).root(folder).model("main", model).build().await.unwrap()
}

fn goal() -> Goal {
    Goal::new(GOAL).grant("files", json!({ "read": ["."], "write": ["out"] })).tools([
        "files.list",
        "files.read_text",
        "files.write_text",
    ])
}

fn planned() -> [(&'static str, Value); 4] {
    [
        ("line_1", json!({"id": "s1", "tool": "files.list", "args": {"folder": "letters"}, "why": "the files"})),
        (
            "line_2",
            json!({"id": "s2", "tool": "files.read_text", "args": {"path": {"$ref": "s1.files[0].path"}}, "why": "the first"}),
        ),
        (
            "line_3",
            json!({"id": "s3", "tool": "files.write_text", "args": {"path": "out/first.txt", "text": {"$ref": "s2.text"}}, "why": "keep it"}),
        ),
        ("line_4", json!({"done": true, "answer": {"first": {"$ref": "s2.text"}, "kept": {"$ref": "s3.path"}}})),
    ]
}

fn form() -> Value {
    let text = json!({ "type": "string" });
    json!({ "type": "object", "properties": { "first": text, "kept": text }, "required": ["first", "kept"], "additionalProperties": false })
}

/// Writes what was distilled, and runs its test.
fn problems(folder: &Path, distilled: &Distilled) -> String {
    fs::write(folder.join("again.yaml"), distilled.workflow.to_yaml()).unwrap();
    fs::write(folder.join("again.test.yaml"), &distilled.tests).unwrap();
    let trials = Trials::from_path(folder.join("again.test.yaml")).unwrap();
    let outcome = trials.run(&trials.list()[0], &[], false).unwrap();
    outcome.mismatches.iter().map(ToString::to_string).collect()
}

async fn ended(parkway: &Parkway, goal: Goal<Value>) -> (Run, Value) {
    let run = parkway.pursue(goal).await.unwrap();
    let Answer { answer } = run.output().await.unwrap();
    (run, answer)
}

#[tokio::test]
async fn a_distilled_plan_runs_without_a_model_and_with_other_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let parkway = engine(folder.path(), &planned()).await;
    let (run, answer) = ended(&parkway, goal().output_schema(form())).await;
    assert_eq!(answer, json!({ "first": "Two lamps, please.", "kept": "out/first.txt" }));
    let distilled = distil::distil(&parkway, run.id(), "again").await.unwrap();
    insta::assert_snapshot!(distilled.workflow.to_yaml());
    insta::assert_snapshot!(distilled.tests.replace(&run.id().to_string(), "RUN"));
    assert_eq!(problems(folder.path(), &distilled), "");
    // The goal's words are inputs, so that it does the same for another folder.
    fs::create_dir_all(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("other/c.txt"), "A pen.").unwrap();
    let again = parkway.start(distilled.workflow, inputs! { folder: "other" }).await.unwrap();
    let outputs: Value = again.output().await.unwrap();
    assert_eq!(outputs["answer"]["first"], "A pen.");
    let example = distilled.example.unwrap();
    assert_eq!((example.goal.as_str(), example.lines.len()), (GOAL, 4));
}

#[tokio::test]
async fn a_step_that_the_answer_does_not_need_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let answers = [
        ("line_1", json!({"id": "s1", "tool": "files.list", "args": {"folder": "letters"}, "why": "the files"})),
        (
            "line_2",
            json!({"id": "s2", "tool": "files.read_text", "for_each": {"$ref": "s1.files"}, "args": {"path": {"$ref": "item.path"}}, "why": "all"}),
        ),
        (
            "line_3",
            json!({"id": "s3", "tool": "files.read_text", "args": {"path": "letters/b.txt"}, "why": "for nothing"}),
        ),
        ("line_4", json!({"done": true})),
        ("answer", json!({"sources": ["s2"], "answer": "Two lamps, please."})),
    ];
    let parkway = engine(folder.path(), &answers).await;
    let run = parkway.pursue(goal()).await.unwrap();
    assert_eq!(run.output::<Answer>().await.unwrap().answer, "Two lamps, please.");
    let evidence = distil::evidence(&parkway, run.id()).await.unwrap();
    let evidence: Vec<_> =
        evidence.iter().map(|found| format!("{} {} {}", found.step, found.tool, found.calls)).collect();
    assert_eq!(evidence, ["goal.s2 files.read_text 2"]);
    let distilled = distil::distil(&parkway, run.id(), "again").await.unwrap();
    insta::assert_snapshot!(distilled.workflow.to_yaml());
    assert_eq!(problems(folder.path(), &distilled), "");
}

#[tokio::test]
async fn what_an_agent_copied_out_of_a_result_becomes_a_reference() {
    let folder = tempfile::tempdir().unwrap();
    let answers = [
        ("turn_1", json!({"why": "look", "calls": [{"tool": "files.list", "args": {"folder": "letters"}}]})),
        ("turn_2", json!({"why": "read", "calls": [{"tool": "files.read_text", "args": {"path": "letters/a.txt"}}]})),
        ("turn_3", json!({"sources": ["turn_2_1"], "answer": "Two lamps, please."})),
    ];
    let parkway = engine(folder.path(), &answers).await;
    let workflow = Workflow::from_source(
        "agent.yaml",
        &format!(
            "parkway: 1\nmodels: {{ main: {{}} }}\ntools: {{ files: {{ read: [.] }} }}\nsteps:\n  ask: {{ agent: {{ model: main, goal: \"{GOAL}\", tools: [\"files.*\"] }} }}\noutputs: {{ said: \"${{{{ steps.ask.output }}}}\" }}\n"
        ),
    );
    let run = parkway.start(workflow.unwrap(), inputs! {}).await.unwrap();
    run.output::<Value>().await.unwrap();
    let distilled = distil::distil(&parkway, run.id(), "again").await.unwrap();
    insta::assert_snapshot!(distilled.workflow.to_yaml());
    assert_eq!(problems(folder.path(), &distilled), "");
    assert_eq!(distilled.example, None);
}

#[tokio::test]
async fn a_draft_is_a_workflow_that_checks() {
    let folder = tempfile::tempdir().unwrap();
    let parkway = engine(folder.path(), &planned()).await;
    let (run, answer) = ended(&parkway, goal().output_schema(form()).draft()).await;
    assert_eq!(answer["lines"].as_array().unwrap().len(), 4);
    let error = distil::distil(&parkway, run.id(), "again").await.unwrap_err();
    assert!(error.to_string().contains("only wrote a plan"), "{error}");
    assert!(!folder.path().join("out").exists());
    let drafted = distil::drafted(&parkway, run.id()).await.unwrap();
    let workflow = drafted.workflow("letters").unwrap();
    insta::assert_snapshot!(workflow.to_yaml());
    parkway.check(&workflow).unwrap();
    let outputs: Value = parkway.start(workflow, inputs! {}).await.unwrap().output().await.unwrap();
    assert_eq!(outputs["answer"]["first"], "Two lamps, please.");
}

#[tokio::test]
async fn a_run_without_a_goal_is_not_distilled() {
    let folder = tempfile::tempdir().unwrap();
    let parkway = engine(folder.path(), &[]).await;
    let workflow = Workflow::from_source("a.yaml", "parkway: 1\nsteps: { a: { set: { b: 1 } } }\n").unwrap();
    let run = parkway.start(workflow, inputs! {}).await.unwrap();
    run.wait().await.unwrap();
    let error = distil::distil(&parkway, run.id(), "again").await.unwrap_err();
    assert!(matches!(error, Error::OutOfPlace(_)), "{error}");
    assert!(error.to_string().contains("pursues no goal"), "{error}");
}
