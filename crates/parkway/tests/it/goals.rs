//! Goals from Rust, and what is distilled of the runs that reached them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use parkway::distil::{self, Distilled};
use parkway::log::{Channel, RunStatus};
use parkway::testing::{MemoryStore, ScriptedModel};
use parkway::trial::Trials;
use parkway::{Answer, Error, Goal, Parkway, Preapproval, Run, RunOptions, Workflow, inputs};
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

/// The run of a workflow whose agent has the goal and these grants, at its end.
async fn asked(parkway: &Parkway, files: &str) -> Run {
    let source = format!(
        "parkway: 1\nmodels: {{ main: {{}} }}\ntools: {{ files: {{ {files} }} }}\nsteps:\n  ask: {{ agent: {{ model: main, goal: \"{GOAL}\", tools: [\"files.*\"] }} }}\noutputs: {{ said: \"${{{{ steps.ask.output }}}}\" }}\n"
    );
    let workflow = Workflow::from_source("agent.yaml", &source).unwrap();
    let run = parkway.start(workflow, inputs! {}).await.unwrap();
    run.output::<Value>().await.unwrap();
    run
}

#[tokio::test]
async fn a_distilled_plan_runs_without_a_model_and_with_other_inputs() {
    let folder = crate::kept::folder().unwrap();
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
    let folder = crate::kept::folder().unwrap();
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
    let folder = crate::kept::folder().unwrap();
    let answers = [
        ("turn_1", json!({"why": "look", "calls": [{"tool": "files.list", "args": {"folder": "letters"}}]})),
        ("turn_2", json!({"why": "read", "calls": [{"tool": "files.read_text", "args": {"path": "letters/a.txt"}}]})),
        ("turn_3", json!({"sources": ["turn_2_1"], "answer": "Two lamps, please."})),
    ];
    let parkway = engine(folder.path(), &answers).await;
    let run = asked(&parkway, "read: [.]").await;
    let distilled = distil::distil(&parkway, run.id(), "again").await.unwrap();
    insta::assert_snapshot!(distilled.workflow.to_yaml());
    assert_eq!(problems(folder.path(), &distilled), "");
    assert_eq!(distilled.example, None);
}

#[tokio::test]
async fn a_draft_is_a_workflow_that_checks() {
    let folder = crate::kept::folder().unwrap();
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

/// A plan whose second step is done only if this can be said of the files.
fn conditional(is: &str) -> Vec<(&'static str, Value)> {
    let condition = json!({"left": {"$ref": "s1.files"}, "is": is});
    let answer = json!({"first": {"$ref": "s2.text"}, "kept": {"$ref": "s1.files[0].path"}});
    vec![
        ("line_1", json!({"id": "s1", "tool": "files.list", "args": {"folder": "letters"}, "why": "the files"})),
        (
            "line_2",
            json!({"id": "s2", "tool": "files.read_text", "if": condition, "args": {"path": "letters/a.txt"}, "why": "one"}),
        ),
        ("line_3", json!({"done": true, "answer": answer})),
        ("answer", json!({"sources": ["s1"], "answer": {"first": "", "kept": "letters/a.txt"}})),
    ]
}

#[tokio::test]
async fn a_step_that_is_done_on_a_condition_leaves_a_file_that_checks() {
    for is in ["not_empty", "empty"] {
        let folder = crate::kept::folder().unwrap();
        let parkway = engine(folder.path(), &conditional(is)).await;
        let goal = || goal().output_schema(form());
        let (run, answer) = ended(&parkway, goal()).await;
        let distilled = distil::distil(&parkway, run.id(), "again").await.unwrap();
        parkway.check(&distilled.workflow).unwrap();
        assert_eq!(problems(folder.path(), &distilled), "");
        let (run, _) = ended(&parkway, goal().draft()).await;
        let workflow = distil::drafted(&parkway, run.id()).await.unwrap().workflow("again").unwrap();
        parkway.check(&workflow).unwrap();
        let outputs: Value = parkway.start(workflow, inputs! {}).await.unwrap().output().await.unwrap();
        let first = if is == "not_empty" { answer["first"].clone() } else { json!(null) };
        assert_eq!(outputs["answer"]["first"], first);
    }
}

#[tokio::test]
async fn an_answer_is_written_also_where_a_step_before_it_was_skipped() {
    let folder = crate::kept::folder().unwrap();
    let mut answers = conditional("empty");
    answers[2].1 = json!({"done": true});
    let parkway = engine(folder.path(), &answers).await;
    let (run, _) = ended(&parkway, goal().draft()).await;
    let workflow = distil::drafted(&parkway, run.id()).await.unwrap().workflow("again").unwrap();
    parkway.check(&workflow).unwrap();
    insta::assert_snapshot!(workflow.to_yaml());
}

#[tokio::test]
async fn what_an_agent_did_in_turns_is_not_done_at_once() {
    let folder = crate::kept::folder().unwrap();
    let calls = |tool: &str, args: &[Value]| json!({"why": "go on", "calls": args.iter().map(|args| json!({"tool": tool, "args": args})).collect::<Vec<_>>()});
    let answers = [
        ("turn_1", calls("files.read_text", &[json!({"path": "letters/a.txt"}), json!({"path": "letters/b.txt"})])),
        (
            "turn_2",
            calls(
                "files.write_text",
                &[
                    json!({"path": "out/a.txt", "text": "Lamps."}),
                    json!({"path": "out/b.txt", "text": "Two lamps, please."}),
                ],
            ),
        ),
        ("turn_3", calls("files.read_text", &[json!({"path": "out/a.txt"}), json!({"path": "out/b.txt"})])),
        ("turn_4", json!({"sources": ["turn_1_1", "turn_1_2", "turn_3_1", "turn_3_2"], "answer": "Lamps."})),
    ];
    let parkway = engine(folder.path(), &answers).await;
    let run = asked(&parkway, "read: [.], write: [out]").await;
    let distilled = distil::distil(&parkway, run.id(), "again").await.unwrap();
    insta::assert_snapshot!(distilled.workflow.to_yaml());
    assert_eq!(problems(folder.path(), &distilled), "");
    // What is written is told, where it is no reference to what was found.
    let frozen: Vec<_> = distilled.frozen.iter().map(|frozen| format!("{} {}", frozen.place, frozen.value)).collect();
    assert_eq!(frozen, ["s3.path \"out/a.txt\"", "s3.text \"Lamps.\"", "s4.path \"out/b.txt\""]);
    assert!(distilled.asks);
}

#[tokio::test]
async fn what_a_patch_changed_is_not_changed_before_what_the_plan_looked_at() {
    let folder = crate::kept::folder().unwrap();
    let write = json!({"path": "out/first.txt", "text": "kept"});
    let answers = [
        ("line_1", json!({"id": "s1", "tool": "files.list", "args": {"folder": "letters"}, "why": "the files"})),
        (
            "line_2",
            json!({"id": "s2", "tool": "files.read_text", "args": {"path": "letters/none.txt"}, "why": "is not there"}),
        ),
        ("line_3", json!({"done": true})),
        ("line_4", json!({"id": "s3", "tool": "files.write_text", "args": write, "why": "keep it"})),
        ("line_5", json!({"done": true})),
        ("answer", json!({"sources": ["s1", "s3"], "answer": "out/first.txt"})),
    ];
    let parkway = engine(folder.path(), &answers).await;
    let run = parkway.pursue(goal()).await.unwrap();
    run.output::<Answer>().await.unwrap();
    let distilled = distil::distil(&parkway, run.id(), "again").await.unwrap();
    let yaml = distilled.workflow.to_yaml();
    assert!(yaml.contains("  s3:\n    description: keep it\n    needs:\n      - s1\n"), "{yaml}");
    assert_eq!(problems(folder.path(), &distilled), "");
    assert_eq!(distilled.example, None);
}

#[tokio::test]
async fn a_plan_that_was_approved_is_not_done_unasked_from_its_file() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(folder.path(), &planned()).await;
    let goal = || goal().approve(true).output_schema(form());
    let mut options = RunOptions::default();
    options.preapprovals = vec![Preapproval { step: None, by: "ada".into(), via: Channel::Flag }];
    let run = parkway.start_with(goal().into_workflow().unwrap(), inputs! {}, options).await.unwrap();
    run.output::<Value>().await.unwrap();
    let distilled = distil::distil(&parkway, run.id(), "again").await.unwrap();
    insta::assert_snapshot!(distilled.workflow.to_yaml());
    assert_eq!(problems(folder.path(), &distilled), "");
    fs::remove_file(folder.path().join("out/first.txt")).unwrap();
    let (run, _) = ended(&parkway, goal().draft()).await;
    let workflow = distil::drafted(&parkway, run.id()).await.unwrap().workflow("again").unwrap();
    let mut options = RunOptions::default();
    options.stay = false;
    let run = parkway.start_with(workflow, inputs! {}, options).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Waiting);
    assert!(!folder.path().join("out/first.txt").exists());
}

#[tokio::test]
async fn a_line_that_was_refused_is_no_example() {
    let folder = crate::kept::folder().unwrap();
    let [first, second, third, done] = planned().map(|(_, line)| line);
    let answers = [
        ("line_1", json!({"id": "s1", "tool": "files.list", "args": {"folder": 3}, "why": "wrong"})),
        ("line_2", first.clone()),
        ("line_3", json!({"id": "s1", "tool": "files.list", "args": {"folder": "out"}, "why": "again"})),
        ("line_4", second.clone()),
        ("line_5", json!({"done": true, "answer": {"first": {"$ref": "s9.text"}}})),
        ("line_6", third.clone()),
        ("line_7", done.clone()),
    ];
    let parkway = engine(folder.path(), &answers).await;
    let (run, _) = ended(&parkway, goal().output_schema(form())).await;
    let example = distil::example(&parkway, run.id()).await.unwrap().unwrap();
    assert_eq!(example.lines, [first, second, third, done]);
}

#[tokio::test]
async fn a_run_without_a_goal_is_not_distilled() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(folder.path(), &[]).await;
    let workflow = Workflow::from_source("a.yaml", "parkway: 1\nsteps: { a: { set: { b: 1 } } }\n").unwrap();
    let run = parkway.start(workflow, inputs! {}).await.unwrap();
    run.wait().await.unwrap();
    let error = distil::distil(&parkway, run.id(), "again").await.unwrap_err();
    assert!(matches!(error, Error::OutOfPlace(_)), "{error}");
    assert!(error.to_string().contains("pursues no goal"), "{error}");
}
