//! A weekly report from a database, on two profiles.

use parkway::{Parkway, inputs};
use parkway_core::log::RunStatus;
use parkway_core::testing::ScriptedModel;
use serde_json::{Value, json};

use super::site::{MayNotify, Site, Vault};
use super::tools::{notify_webhook, sql_query};

fn rows(sql: &str) -> Value {
    if sql.contains("group by day") {
        json!([{"day": "2026-11-16", "orders": 2, "revenue": 120.5}, {"day": "2026-11-17", "orders": 3, "revenue": 79.5}])
    } else if sql.contains("group by product") {
        json!([{"product": "Blue chair", "revenue": 150.0}, {"product": "Lamp", "revenue": 50.0}])
    } else {
        json!([{"orders": 4, "revenue": 160.0}])
    }
}

fn model() -> ScriptedModel {
    ScriptedModel::new().otherwise(
        json!({"headline": "A quarter more than last week", "text": "Revenue rose to 200.\n\nMost of it came from Blue chair."})
            .to_string(),
    )
}

async fn parkway(site: &Site, database: &'static str) -> Parkway {
    site.builder()
        .model("writer", model())
        .tool(sql_query(site.calls.clone(), rows))
        .tool(notify_webhook(site.calls.clone()))
        .policy(MayNotify)
        .secrets(Vault([("sales_db", database), ("chat_hook", "https://hooks.example.com/team")].into()))
        .env(|name| (name == "REPORT_FOOTER").then(|| "Questions to the sales desk.".to_owned()))
        .build()
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_report_has_the_figures_of_the_database_and_the_words_of_the_model() {
    let site = Site::new();
    let parkway = parkway(&site, "sqlite:dev.db").await;
    let inputs = inputs! { publish: true };
    let (run, ended) = site.run(&parkway, "weekly-report/weekly-report.yaml", inputs).await;
    site.assert_completed(&parkway, run, &ended).await;
    assert_eq!(
        site.outputs(&parkway, run).await,
        json!({"report": "out/reports/2026-11-23.md", "revenue": 200.0, "commented": true, "published": true})
    );
    assert_eq!(
        site.read("out/reports/2026-11-23.md"),
        "# Sales Europe, week until 2026-11-23

**A quarter more than last week**

Revenue rose to 200.

Most of it came from Blue chair.

| day | orders | revenue |
|---|---:|---:|
| 2026-11-16 | 2 | 120.5 |
| 2026-11-17 | 3 | 79.5 |

Revenue: 200 (week before: 160)

1. Blue chair: 150
2. Lamp: 50

Questions to the sales desk.
"
    );
    let calls = site.calls.all();
    assert_eq!(calls.len(), 4);
    assert!(calls[..3].iter().all(|call| call["database"] == "sqlite:dev.db"), "{calls:?}");
    assert_eq!(calls[3]["text"], "Report for Sales Europe: out/reports/2026-11-23.md");
}

#[tokio::test(start_paused = true)]
async fn a_week_without_orders_has_a_report_without_words() {
    let site = Site::new();
    let empty = |_: &str| json!([]);
    let parkway = site
        .builder()
        .model("writer", ScriptedModel::new())
        .tool(sql_query(site.calls.clone(), empty))
        .tool(notify_webhook(site.calls.clone()))
        .secrets(Vault([("sales_db", "sqlite:dev.db"), ("chat_hook", "https://hooks.example.com/team")].into()))
        .env(|_| Some(String::new()))
        .build()
        .await
        .unwrap();
    let inputs = inputs! { week_end: "2026-10-05" };
    let (run, ended) = site.run(&parkway, "weekly-report/weekly-report.yaml", inputs).await;
    assert_eq!(ended.status, RunStatus::Completed, "{:#?}", site.log(&parkway, run).await);
    assert_eq!(
        site.outputs(&parkway, run).await,
        json!({"report": "out/reports/2026-10-05.md", "revenue": 0, "commented": false, "published": false})
    );
    assert!(site.read("out/reports/2026-10-05.md").contains("(No comment this week: there were no orders)"));
}
