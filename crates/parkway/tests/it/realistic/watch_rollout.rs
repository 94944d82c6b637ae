//! A monitor with a loop until healthy.

use parkway::{Parkway, inputs};
use parkway_core::log::RunStatus;
use parkway_core::testing::ScriptedModel;
use serde_json::{Value, json};

use super::site::{MayNotify, Site, Vault, signal};
use super::tools::{http_get, notify_webhook};

async fn parkway(site: &Site, answers: fn(&str, usize) -> Option<(u16, &'static str)>) -> Parkway {
    site.builder()
        .model("main", ScriptedModel::new().otherwise("The web server cannot reach its cache."))
        .tool(http_get(site.calls.clone(), answers))
        .tool(notify_webhook(site.calls.clone()))
        .policy(MayNotify)
        .secrets(Vault([("channel", "https://hooks.example.com/ops")].into()))
        .build()
        .await
        .unwrap()
}

fn told(site: &Site) -> Vec<Value> {
    site.calls.all().into_iter().filter_map(|call| call.get("text").cloned()).collect()
}

#[tokio::test(start_paused = true)]
async fn services_are_looked_at_until_they_are_healthy() {
    let site = Site::new();
    let parkway = parkway(&site, |url, n| match (url.contains("api"), n) {
        (true, 1) => None,
        (true, 2) => Some((503, "{}")),
        (true, _) => Some((200, r#"{"status": "ok"}"#)),
        (false, _) => Some((200, "fine")),
    })
    .await;
    let (run, ended) = site.run(&parkway, "watch-rollout.yaml", inputs! {}).await;
    assert_eq!(ended.status, RunStatus::Waiting, "{:#?}", site.log(&parkway, run).await);
    let ended = site.tell(&parkway, run, signal("rolled_out", json!({"version": "4.2.0"}))).await;
    site.assert_completed(&parkway, run, &ended).await;
    assert_eq!(site.outputs(&parkway, run).await, json!({"healthy": true, "sick": []}));
    assert_eq!(told(&site), ["Version 4.2.0 is healthy.\napi after 3 looks\nweb after 1 looks\n"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_sick_sounds_the_alarm() {
    let site = Site::new();
    let parkway = parkway(&site, |url, _| match url {
        "https://api.example.com/health" => Some((200, r#"{"status": "ok"}"#)),
        "https://www.example.com/health" => Some((200, r#"{"status": "starting"}"#)),
        _ => Some((200, "cache: connection refused")),
    })
    .await;
    let (run, _) = site.run(&parkway, "watch-rollout.yaml", inputs! {}).await;
    let ended = site.tell(&parkway, run, signal("rolled_out", json!({}))).await;
    site.assert_completed(&parkway, run, &ended).await;
    assert_eq!(site.outputs(&parkway, run).await, json!({"healthy": false, "sick": ["web"]}));
    assert_eq!(told(&site), ["@here web not healthy after the rollout. The web server cannot reach its cache."]);
    let looks = site.calls.all().iter().filter(|call| call["url"] == "https://www.example.com/health").count();
    assert_eq!(looks, 20);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_nobody_announces_is_told() {
    let site = Site::new();
    let parkway = parkway(&site, |_, _| None).await;
    let (run, ended) = site.run(&parkway, "watch-rollout.yaml", inputs! {}).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    tokio::time::sleep(std::time::Duration::from_secs(2 * 3_600)).await;
    let ended = parkway.resume(run, Default::default()).await.unwrap().wait().await.unwrap();
    assert_eq!(ended.status, RunStatus::Failed, "{:#?}", site.log(&parkway, run).await);
    let told = told(&site);
    assert_eq!(told.len(), 1);
    assert!(told[0].as_str().unwrap().starts_with("The watch over the rollout failed"), "{told:?}");
}
