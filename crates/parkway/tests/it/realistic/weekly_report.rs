//! A weekly report from a database, on two profiles.

use std::fs;
use std::path::PathBuf;

use parkway::settings::{Settings, Sources};
use parkway::{Ended, Inputs, Parkway, Workflow, inputs};
use parkway_core::id::RunId;
use parkway_core::log::{RunStatus, Verdict};
use parkway_core::testing::ScriptedModel;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::site::{Site, copy, verdict};
use crate::house::workspace;
use crate::servers::{Asked, serve, whole};

const REPORT: &str = "weekly-report.yaml";
const AND_TELL: &str = "tell-team.yaml";

fn model() -> ScriptedModel {
    ScriptedModel::new()
        .when("Best: Chair Norda", "Chair Norda was the best product with 5491.00 EUR. It will reach 6000.00 EUR.")
        .otherwise("Revenue rose from 11710.60 EUR to 17651.90 EUR.")
}

/// The channels of the teams: a server on this machine.
struct Channels {
    address: String,
    asked: Asked,
}

impl Channels {
    async fn new() -> Channels {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = serve(listener, |_, _, _| whole("200 OK", "", "")).await;
        Channels { address, asked }
    }

    /// The channels that were told something, and what.
    fn told(&self) -> Vec<(String, Value)> {
        let asked = self.asked.lock().unwrap();
        let path = |head: &str| head.split(' ').nth(1).unwrap_or_default().to_owned();
        asked.iter().map(|(head, body)| (path(head), body["text"].clone())).collect()
    }
}

/// The folder of the example in the site's, with the channels in the place of those of the team.
fn example(site: &Site, channels: &Channels) -> PathBuf {
    let folder = site.folder.path().join("workflows");
    copy(&workspace().join("examples/workflows/weekly-report"), &folder);
    let file = folder.join(AND_TELL);
    let text = fs::read_to_string(&file).unwrap();
    let granted = "notify: { send: [hooks.example.com] }";
    assert!(text.contains(granted));
    let here = format!("notify: {{ send: [\"http://{}\"], private: [127.0.0.0/8] }}", channels.address);
    fs::write(file, text.replace(granted, &here)).unwrap();
    folder
}

/// A developer's machine, or the server, by the settings in examples/workflows/weekly-report.
async fn parkway(site: &Site, channels: &Channels, profile: Option<&str>) -> Parkway {
    let folder = site.folder.path();
    let example = example(site, channels);
    let mut toml = fs::read_to_string(example.join("parkway.toml")).unwrap();
    // A test has no environment of its own: what stands in variables stands in files here.
    let secrets = [(r#"env = "CHAT_HOOK_DEV""#, "dev"), (r#"env = "CHAT_HOOK""#, "team")];
    for (n, (source, value)) in secrets.into_iter().enumerate() {
        assert!(toml.contains(source), "{source}");
        let file = format!("secret-{n}");
        fs::write(folder.join(&file), format!("http://{}/{value}", channels.address)).unwrap();
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
        .build()
        .await
        .unwrap()
}

async fn begun(site: &Site, parkway: &Parkway, file: &str, inputs: Inputs) -> (RunId, Ended) {
    let workflow = Workflow::from_path(site.folder.path().join("workflows").join(file));
    site.follow(parkway, workflow.unwrap_or_else(|problems| panic!("{problems}")), inputs).await
}

/// Runs up to the question whether to write the report, and says yes.
async fn approved(site: &Site, parkway: &Parkway, file: &str, confirm: &str, inputs: Inputs) -> (RunId, RunStatus) {
    let (run, ended) = begun(site, parkway, file, inputs).await;
    assert_eq!(ended.status, RunStatus::Waiting, "{:#?}", site.log(parkway, run).await);
    assert!(!site.folder.path().join("out/weekly-report/2026-11-23.md").exists());
    let ended = site.tell(parkway, run, verdict(confirm, Verdict::Approved, None)).await;
    (run, ended.status)
}

/// The reports that are entered in the database.
async fn entered(parkway: &Parkway) -> Value {
    let workflow = r#"
parkway: 1
tools: { sql: { databases: { sales: { sqlite: out/weekly-report/sales.db } } } }
steps:
  reports:
    tool: sql.query
    with: { database: sales, sql: "SELECT week_end, orders, cents, run FROM reports" }
outputs: { rows: "${{ steps.reports.output.rows }}" }
"#;
    let workflow = Workflow::from_source("entered.yaml", workflow).unwrap();
    let outputs: Value = parkway.start(workflow, inputs! {}).await.unwrap().output().await.unwrap();
    outputs["rows"].clone()
}

#[tokio::test]
async fn the_server_reports_from_its_database_and_tells_the_team() {
    let site = Site::new();
    let channels = Channels::new().await;
    let parkway = parkway(&site, &channels, Some("prod")).await;
    let (run, status) = approved(&site, &parkway, AND_TELL, "report.confirm", inputs! {}).await;
    assert_eq!(status, RunStatus::Completed, "{:#?}", site.log(&parkway, run).await);
    assert_eq!(site.outputs(&parkway, run).await, json!({"report": "out/weekly-report/2026-11-23.md", "told": true}));
    let report = site.read("out/weekly-report/2026-11-23.md");
    let words = "\n\nRevenue rose from 11710.60 EUR to 17651.90 EUR.\n\n\
                 Chair Norda was the best product with 5491.00 EUR.\n\n| day |";
    assert!(report.contains(words), "{report}");
    assert_eq!(
        entered(&parkway).await,
        json!([{"week_end": "2026-11-23", "orders": 18, "cents": 1_765_190, "run": run.to_string()}])
    );
    let text = "Sales Europe, week until 2026-11-23: 18 orders, 17651.90 EUR. out/weekly-report/2026-11-23.md";
    assert_eq!(channels.told(), [("/team".to_owned(), json!(text))]);
}

#[tokio::test]
async fn a_developer_is_asked_before_the_team_is_told() {
    let site = Site::new();
    let channels = Channels::new().await;
    let parkway = parkway(&site, &channels, None).await;
    let (run, status) = approved(&site, &parkway, AND_TELL, "report.confirm", inputs! {}).await;
    assert_eq!(status, RunStatus::Waiting, "{:#?}", site.log(&parkway, run).await);
    assert!(channels.told().is_empty());
    let ended = site.tell(&parkway, run, verdict("tell", Verdict::Approved, None)).await;
    site.assert_completed(&parkway, run, &ended).await;
    assert_eq!(channels.told()[0].0, "/dev");
}

#[tokio::test]
async fn a_second_report_of_a_week_takes_the_place_of_the_first() {
    let site = Site::new();
    let channels = Channels::new().await;
    let parkway = parkway(&site, &channels, None).await;
    approved(&site, &parkway, REPORT, "confirm", inputs! {}).await;
    let late = "order,day,customer,product,quantity,amount,status\n\
                SE-20442,2026-11-20,Hartley Joinery,Desk Hale 160,1,599.00,shipped\n\
                SE-20448,2026-11-22,Lycée Saint-Aubin,Lamp Alma,5,445.00,cancelled\n";
    fs::write(site.folder.path().join("examples/data/weekly-report/orders-2026-48.csv"), late).unwrap();
    fs::remove_file(site.folder.path().join("out/weekly-report/2026-11-23.md")).unwrap();
    let (run, status) = approved(&site, &parkway, REPORT, "confirm", inputs! {}).await;
    assert_eq!(status, RunStatus::Completed, "{:#?}", site.log(&parkway, run).await);
    assert_eq!(
        entered(&parkway).await,
        json!([{"week_end": "2026-11-23", "orders": 18, "cents": 1_780_590, "run": run.to_string()}])
    );
    let report = site.read("out/weekly-report/2026-11-23.md");
    assert!(!report.contains("Revenue rose from"), "a sentence about the first figures: {report}");
}

#[tokio::test]
async fn a_no_leaves_neither_file_nor_row() {
    let site = Site::new();
    let channels = Channels::new().await;
    let parkway = parkway(&site, &channels, None).await;
    let (run, _) = begun(&site, &parkway, REPORT, inputs! {}).await;
    let ended = site.tell(&parkway, run, verdict("confirm", Verdict::Rejected, None)).await;
    assert_eq!(ended.status, RunStatus::Failed, "{:#?}", site.log(&parkway, run).await);
    assert!(!site.folder.path().join("out/weekly-report/2026-11-23.md").exists());
    assert_eq!(entered(&parkway).await, json!([]));
}
