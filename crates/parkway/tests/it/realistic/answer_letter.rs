//! An answer that a person edits in a form and lets go, sent to a server on this machine.

use std::fs;

use parkway::{Parkway, Workflow, inputs};
use parkway_core::id::RunId;
use parkway_core::log::{RunStatus, Verdict};
use parkway_core::testing::ScriptedModel;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::site::{Site, Vault, form, verdict};
use crate::house::workspace;
use crate::servers::{Asked, serve, whole};

/// A desk that takes messages, and an engine that has its token.
struct Desk {
    site: Site,
    parkway: Parkway,
    address: String,
    asked: Asked,
}

impl Desk {
    async fn new() -> Desk {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let taken = |_: &str, _: &Value, _| {
            whole("201 Created", "Content-Type: application/json\r\n", &json!({"id": "m-1"}).to_string())
        };
        let asked = serve(listener, taken).await;
        let model = ScriptedModel::new()
            .when(
                "Answer this letter",
                json!({"answer": "Dear customer, it ships on Friday.", "questions": ["When does it ship?", "What does it cost?"]})
                    .to_string(),
            )
            .when("Which of the questions", json!({"open": ["What does it cost?"]}).to_string());
        let site = Site::new();
        let secrets = Vault([("desk_token", "s3cr3t-token")].into());
        let parkway = site.builder().model("main", model).secrets(secrets).build().await.unwrap();
        Desk { site, parkway, address, asked }
    }

    /// Runs until the approval is asked, with a form that holds `values`.
    async fn edited(&self, values: Value) -> RunId {
        let text = fs::read_to_string(workspace().join("examples/workflows/answer-letter.yaml")).unwrap();
        let here = format!("http://{}", self.address);
        let granted = format!("http: {{ send: [\"{here}\"], private: [127.0.0.0/8] }}");
        let text =
            text.replace("http: { send: [desk.example.com] }", &granted).replace("https://desk.example.com", &here);
        assert!(text.contains(&granted));
        let workflow = Workflow::from_source("answer-letter.yaml", &text).unwrap();
        let (run, ended) = self.site.follow(&self.parkway, workflow, inputs! { to: "buyer@example.com" }).await;
        assert_eq!(ended.status, RunStatus::Waiting, "{:#?}", self.site.log(&self.parkway, run).await);
        self.site.tell(&self.parkway, run, form("edit", values)).await;
        run
    }

    /// What the desk was sent: the heads of the requests, and their bodies.
    fn sent(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn what_a_person_edited_and_released_is_what_is_sent() {
    let desk = Desk::new().await;
    let answer = "Dear customer, it ships on Friday and costs 12 euros.";
    let run = desk.edited(json!({"answer": answer, "tone": "formal"})).await;
    assert!(desk.sent().is_empty());
    let ended = desk.site.tell(&desk.parkway, run, verdict("release", Verdict::Approved, None)).await;
    desk.site.assert_completed(&desk.parkway, run, &ended).await;
    let file = format!("out/answers/{run}.md");
    assert_eq!(
        desk.site.outputs(&desk.parkway, run).await,
        json!({"sent": true, "message": "m-1", "answer": answer, "file": file})
    );
    let [(head, body)] = &desk.sent()[..] else { panic!("{:?}", desk.sent()) };
    assert!(head.starts_with("POST /api/v1/messages "), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("authorization: bearer s3cr3t-token") && head.contains("idempotency-key: "), "{head}");
    assert_eq!(*body, json!({"to": "buyer@example.com", "tone": "formal", "body": answer}));
    assert_eq!(desk.site.read(&file), format!("# To buyer@example.com\n\nSent.\n\n{answer}\n"));
}

#[tokio::test]
async fn a_form_left_as_it_was_sends_the_draft() {
    let desk = Desk::new().await;
    let run = desk.edited(json!({})).await;
    let ended = desk.site.tell(&desk.parkway, run, verdict("release", Verdict::Approved, None)).await;
    desk.site.assert_completed(&desk.parkway, run, &ended).await;
    assert_eq!(desk.sent()[0].1["body"], "Dear customer, it ships on Friday.");
}

#[tokio::test]
async fn an_answer_that_is_not_released_is_kept_and_not_sent() {
    let desk = Desk::new().await;
    let run = desk.edited(json!({"answer": "No."})).await;
    let no = verdict("release", Verdict::Rejected, Some("too short"));
    let ended = desk.site.tell(&desk.parkway, run, no).await;
    assert_eq!(ended.status, RunStatus::Failed);
    assert!(desk.sent().is_empty());
    let kept = desk.site.read(&format!("out/answers/{run}.md"));
    assert_eq!(kept, "# To buyer@example.com\n\nNot sent: rejected: too short\n\nNo.\n");
}
