//! The program's parts together, on the documents of the example and a played model.

use std::path::Path;

use clap::Parser;
use parkway::log::{Commitment, EventKind};
use parkway::{Parkway, Workflow};
use serde_json::json;

use super::{Args, Report, Tally, WORKFLOW, inputs, scripted};

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Runs the workflow over the example's documents, and writes into a folder of the test's own.
async fn run(test: &str, args: &[&str]) -> Report {
    let folder = format!("out/test-cited-report-{}-{test}", std::process::id());
    let args = Args::parse_from([&["cited-report", "--out", &folder], args].concat());
    let builder = Parkway::builder().store("sqlite::memory:").root(repository()).model("main", scripted::model());
    let parkway = builder.build().await.unwrap();
    let workflow = Workflow::from_source("cited-report.yaml", WORKFLOW).unwrap();
    let run = parkway.start(workflow, inputs(&args)).await.unwrap();
    let report = run.output().await;
    std::fs::remove_dir_all(repository().join(folder)).ok();
    report.unwrap()
}

#[tokio::test]
async fn a_citation_names_lines_that_do_not_hold_its_quotation() {
    let report = run("lines", &[]).await;
    let statements: Vec<_> = report.questions.iter().flat_map(|question| &question.statements).collect();
    assert_eq!(statements.len(), 6, "{report}");
    for statement in statements {
        let text = std::fs::read_to_string(repository().join(&statement.document)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let cited = lines[statement.first - 1..statement.last].join(" ");
        assert!(cited.contains(&statement.quotation), "{statement}: {cited}");
        assert!(statement.quotation.contains(&statement.answer), "{statement}");
    }
}

#[tokio::test]
async fn a_question_without_support_is_dropped() {
    let asked = ["How many parking spaces will there be?", "Who mended the clock?"];
    let report = run("open", &["--question", asked[0], "--question", asked[1]]).await;
    assert_eq!(report.open, asked);
    assert!(report.to_string().contains("open: Who mended the clock?"), "{report}");
}

#[test]
fn a_document_steers_the_terminal() {
    let evil = "\u{1b}[2J\u{202e}";
    let statement = json!({ "answer": evil, "quotation": evil, "document": evil, "first": 1, "last": 2 });
    let report: Report = serde_json::from_value(json!({
        "report": evil, "open": [evil], "refused": 0, "unread": [evil],
        "questions": [{ "ask": evil, "statements": [statement] }],
    }))
    .unwrap();
    let shown = r"\u{1b}[2J\u{202e}";
    let told = report.to_string();
    assert_eq!(told.matches(shown).count(), 7, "{told:?}");
    let message = Commitment::of(&[0; 16], b"");
    let failed = EventKind::StepFailed { key: "read".parse().unwrap(), attempt: 1, code: evil.into(), message };
    assert_eq!(Tally::default().count(&failed).unwrap(), format!("read failed: {shown}"));
    assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told:?}");
}
