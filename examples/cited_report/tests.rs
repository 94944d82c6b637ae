//! The program's parts together, on the documents of the example and a played model.

use std::path::Path;

use clap::Parser;
use parkway::{Parkway, Workflow};

use super::{Args, Report, WORKFLOW, inputs, scripted};

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
