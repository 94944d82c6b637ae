//! An answer that a person edits in a form and lets go.

use parkway::{Parkway, inputs};
use parkway_core::id::RunId;
use parkway_core::log::{RunStatus, Verdict};
use parkway_core::testing::ScriptedModel;
use serde_json::{Value, json};

use super::site::{Site, Vault, form, verdict};
use super::tools::http_send;

async fn parkway(site: &Site) -> Parkway {
    let model = ScriptedModel::new()
        .when(
            "Answer this letter",
            json!({"answer": "Dear customer, it ships on Friday.", "questions": ["When does it ship?", "What does it cost?"]})
                .to_string(),
        )
        .when("Which of the questions", json!({"open": ["What does it cost?"]}).to_string());
    site.builder()
        .model("main", model)
        .tool(http_send(site.calls.clone()))
        .secrets(Vault([("desk_token", "s3cr3t-token")].into()))
        .build()
        .await
        .unwrap()
}

/// Runs until the approval is asked, with a form that holds `values`.
async fn edited(site: &Site, parkway: &Parkway, values: Value) -> RunId {
    let (run, ended) = site.run(parkway, "answer-letter.yaml", inputs! { to: "buyer@example.com" }).await;
    assert_eq!(ended.status, RunStatus::Waiting, "{:#?}", site.log(parkway, run).await);
    site.tell(parkway, run, form("edit", values)).await;
    run
}

#[tokio::test(start_paused = true)]
async fn what_a_person_edited_and_released_is_what_is_sent() {
    let site = Site::new();
    let parkway = parkway(&site).await;
    let answer = "Dear customer, it ships on Friday and costs 12 euros.";
    let run = edited(&site, &parkway, json!({"answer": answer, "tone": "formal"})).await;
    assert!(site.calls.all().is_empty());
    let ended = site.tell(&parkway, run, verdict("release", Verdict::Approved, None)).await;
    site.assert_completed(&parkway, run, &ended).await;
    let file = format!("out/answers/{run}.md");
    assert_eq!(
        site.outputs(&parkway, run).await,
        json!({"sent": true, "message": "m-1", "answer": answer, "file": file})
    );
    assert_eq!(
        site.calls.all(),
        [json!({
            "method": "POST",
            "url": "https://desk.example.com/api/v1/messages",
            "headers": {"Authorization": "Bearer s3cr3t-token"},
            "json": {"to": "buyer@example.com", "tone": "formal", "body": answer},
        })]
    );
    assert_eq!(site.read(&file), format!("# To buyer@example.com\n\nSent.\n\n{answer}\n"));
}

#[tokio::test(start_paused = true)]
async fn a_form_left_as_it_was_sends_the_draft() {
    let site = Site::new();
    let parkway = parkway(&site).await;
    let run = edited(&site, &parkway, json!({})).await;
    let ended = site.tell(&parkway, run, verdict("release", Verdict::Approved, None)).await;
    site.assert_completed(&parkway, run, &ended).await;
    assert_eq!(site.calls.all()[0]["json"]["body"], "Dear customer, it ships on Friday.");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_released_is_kept_and_not_sent() {
    let site = Site::new();
    let parkway = parkway(&site).await;
    let run = edited(&site, &parkway, json!({"answer": "No."})).await;
    let ended = site.tell(&parkway, run, verdict("release", Verdict::Rejected, Some("too short"))).await;
    assert_eq!(ended.status, RunStatus::Failed);
    assert!(site.calls.all().is_empty());
    let kept = site.read(&format!("out/answers/{run}.md"));
    assert_eq!(kept, "# To buyer@example.com\n\nNot sent: rejected: too short\n\nNo.\n");
}
