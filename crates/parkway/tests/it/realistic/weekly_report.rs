//! A weekly report from a database, on two profiles.

use std::fs;

use parkway::settings::{Settings, Sources};
use parkway::{Parkway, inputs};
use parkway_core::log::{RunStatus, Verdict};
use parkway_core::testing::ScriptedModel;
use serde_json::{Value, json};

use super::site::{Site, verdict};
use super::tools::{notify_webhook, sql_query};
use crate::house::workspace;

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

/// A developer's machine, or the server, by the settings in examples/workflows/weekly-report.
async fn parkway(site: &Site, profile: Option<&str>, rows: fn(&str) -> Value) -> Parkway {
    let folder = site.folder.path();
    let example = workspace().join("examples/workflows/weekly-report");
    let mut toml = fs::read_to_string(example.join("parkway.toml")).unwrap();
    // A test has no environment of its own: what stands in variables stands in files here.
    let secrets = [
        (r#"env = "SALES_DB_DEV""#, "sqlite:dev.db"),
        (r#"env = "CHAT_HOOK_DEV""#, "https://hooks.example.com/dev"),
        (r#"env = "SALES_DB""#, "sqlite:prod.db"),
        (r#"env = "CHAT_HOOK""#, "https://hooks.example.com/team"),
    ];
    for (n, (source, value)) in secrets.into_iter().enumerate() {
        assert!(toml.contains(source), "{source}");
        let file = format!("secret-{n}");
        fs::write(folder.join(&file), value).unwrap();
        toml = toml.replace(source, &format!("file = \"{file}\""));
    }
    fs::write(folder.join("parkway.toml"), toml).unwrap();
    let mut sources = Sources::none(folder).project(folder);
    if let Some(profile) = profile {
        sources = sources.profile(profile).system(example.join("server.toml"));
    }
    site.builder()
        .settings(Settings::load(sources).unwrap_or_else(|problems| panic!("{problems}")))
        .model("writer", model())
        .tool(sql_query(site.calls.clone(), rows))
        .tool(notify_webhook(site.calls.clone()))
        .env(|name| (name == "REPORT_FOOTER").then(|| "Questions to the sales desk.".to_owned()))
        .build()
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_server_reports_from_its_database_and_tells_the_team() {
    let site = Site::new();
    let parkway = parkway(&site, Some("prod"), rows).await;
    let inputs = inputs! { publish: true };
    let (run, ended) = site.run(&parkway, "weekly-report/weekly-report.yaml", inputs).await;
    site.assert_completed(&parkway, run, &ended).await;
    assert_eq!(
        site.outputs(&parkway, run).await,
        json!({"report": "out/reports/2026-11-23.md", "revenue": 200, "commented": true, "published": true})
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
    assert!(calls[..3].iter().all(|call| call["database"] == "sqlite:prod.db"), "{calls:?}");
    assert_eq!(calls[3]["url"], "https://hooks.example.com/team");
    assert_eq!(calls[3]["text"], "Report for Sales Europe: out/reports/2026-11-23.md");
}

#[tokio::test(start_paused = true)]
async fn a_developer_reports_from_another_database_and_is_asked_before_the_team_is_told() {
    let site = Site::new();
    let parkway = parkway(&site, None, rows).await;
    let inputs = inputs! { publish: true };
    let (run, ended) = site.run(&parkway, "weekly-report/weekly-report.yaml", inputs).await;
    assert_eq!(ended.status, RunStatus::Waiting, "{:#?}", site.log(&parkway, run).await);
    let calls = site.calls.all();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call["database"] == "sqlite:dev.db"), "{calls:?}");
    let ended = site.tell(&parkway, run, verdict("publish", Verdict::Approved, None)).await;
    site.assert_completed(&parkway, run, &ended).await;
    assert_eq!(site.calls.all()[3]["url"], "https://hooks.example.com/dev");
}

#[tokio::test(start_paused = true)]
async fn a_week_without_orders_has_a_report_without_words() {
    let site = Site::new();
    let parkway = parkway(&site, None, |_| json!([])).await;
    let inputs = inputs! { week_end: "2026-10-05" };
    let (run, ended) = site.run(&parkway, "weekly-report/weekly-report.yaml", inputs).await;
    assert_eq!(ended.status, RunStatus::Completed, "{:#?}", site.log(&parkway, run).await);
    assert_eq!(
        site.outputs(&parkway, run).await,
        json!({"report": "out/reports/2026-10-05.md", "revenue": 0, "commented": false, "published": false})
    );
    assert!(site.read("out/reports/2026-10-05.md").contains("(No comment this week: there were no orders)"));
}
