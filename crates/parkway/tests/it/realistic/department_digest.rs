//! A map over a map with a sub-workflow.

use parkway::inputs;
use parkway_core::model::ModelError;
use parkway_core::testing::ScriptedModel;
use serde_json::json;

use super::site::Site;

/// Sums up in too many words first, then in few; does not get through with the agreement.
fn model() -> ScriptedModel {
    ScriptedModel::new().script(|request| {
        let asked = request.messages.last().map_or("", |message| message.content.as_str());
        let summary = |words: usize, topic: &str| {
            json!({"title": format!("About {topic}"), "summary": vec!["word"; words].join(" "), "topics": [topic]})
                .to_string()
        };
        if asked.contains("What must the head of") {
            return Ok(format!("A digest of {} documents.", asked.matches("## ").count()));
        }
        if asked.contains("framework agreement") {
            return Err(ModelError::Backend { message: "the model fell over".into(), retryable: false });
        }
        let words = if asked.contains("too long") { 12 } else { 90 };
        Ok(summary(words, if asked.contains("tickets") { "tickets" } else { "news" }))
    })
}

#[tokio::test(start_paused = true)]
async fn every_document_of_every_department_is_summed_up_and_one_that_fails_is_named() {
    let site = Site::new();
    let parkway = site.builder().model("main", model()).build().await.unwrap();
    let (run, ended) = site.run(&parkway, "department-digest.yaml", inputs! {}).await;
    site.assert_completed(&parkway, run, &ended).await;
    assert_eq!(
        site.outputs(&parkway, run).await,
        json!({
            "index": "out/digest/index.csv",
            "documents": 5,
            "failed": ["examples/data/departments/legal/brenner-agreement.txt"],
        })
    );
    assert_eq!(
        site.read("out/digest/index.csv"),
        "department,page,documents\r\n\
         legal,out/digest/legal.md,1\r\nsales,out/digest/sales.md,2\r\nsupport,out/digest/support.md,2\r\n"
    );
    let sales = site.read("out/digest/sales.md");
    assert!(sales.starts_with("# Sales\n\nA digest of 2 documents.\n\n## 1. quarter-three.txt\n"), "{sales}");
    let legal = site.read("out/digest/legal.md");
    assert!(legal.starts_with("# Legal\n\nNothing new.\n"), "{legal}");
    assert!(legal.contains("the model fell over"), "{legal}");
    // Each summary was too long once.
    let log = site.log(&parkway, run).await;
    let rounds =
        log.iter().filter(|line| line.starts_with("step_started departments[1].documents[0].summary#")).count();
    assert_eq!(rounds, 2, "{log:#?}");
}
