//! The goals with the planner and the liar that are written down.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::script::Script;

const MOST: Duration = Duration::from_secs(60);

async fn prepared(test: &str) -> (Place, Vec<Task>) {
    let place = Place::make(&format!("out/test-ten-goals-{}-{test}", std::process::id())).await.unwrap();
    let tasks = goals::ten(&place).unwrap();
    (place, tasks)
}

/// What a script comes to, and what was told of it.
async fn counted(test: &str, script: fn(&str, &Place) -> Script) -> (Matrix, String) {
    let (place, tasks) = prepared(test).await;
    let mut told = Vec::new();
    let matrix = pursue_all(test, &tasks, played(&tasks, &place, script), &place, MOST, &mut told).await;
    std::fs::remove_dir_all(place.path("")).unwrap();
    (matrix.unwrap(), String::from_utf8(told).unwrap())
}

#[tokio::test]
async fn a_right_plan_is_refused() {
    let (matrix, told) = counted("honest", honest::script).await;
    assert_eq!(matrix.right_and_supported(), 10, "{told}");
}

#[tokio::test]
async fn a_lie_is_believed() {
    let (matrix, told) = counted("liar", liar::script).await;
    assert_eq!((matrix.supported(), matrix.all()), (0, 10), "{told}");
}

#[tokio::test]
async fn a_lie_is_refused_for_another_reason_than_it_should() {
    let (place, tasks) = prepared("reasons").await;
    let model = played(&tasks, &place, liar::script);
    let parkway =
        Parkway::builder().root(place.root()).store("sqlite::memory:").model("main", model).build().await.unwrap();
    let mut codes = BTreeSet::new();
    for task in &tasks {
        let outcome = pursue::pursue(&parkway, task, &place, MOST).await.unwrap();
        codes.insert((outcome.name, outcome.code.unwrap()));
    }
    std::fs::remove_dir_all(place.path("")).unwrap();
    let other: Vec<_> = codes.iter().filter(|(_, code)| code != "unverified").collect();
    // A model that is held to the form cannot name a step that there is not.
    assert!(matches!(other.as_slice(), [("cancelled", _)]), "{other:?}");
}

#[tokio::test]
async fn the_known_limit_is_no_longer_one_and_nobody_says_so() {
    let (place, tasks) = prepared("limit").await;
    let limit: Vec<_> = tasks.into_iter().filter(|task| task.name == liar::LIMIT).collect();
    let mut told = Vec::new();
    let matrix = pursue_all("limit", &limit, played(&limit, &place, liar::limit), &place, MOST, &mut told).await;
    std::fs::remove_dir_all(place.path("")).unwrap();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(matrix.unwrap().supported(), 1, "{told}");
    assert!(told.contains("wrong, but supported: invoice: With VAT the total is 645.50 EUR."), "{told}");
}
