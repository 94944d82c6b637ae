//! The stock room on a scripted model: no network, no GPU, no C++.

use std::sync::Arc;
use std::time::Duration;

use parkway::log::EventKind;
use parkway::testing::{FakeClock, ScriptedModel};
use parkway::{Error, ModelBinding, Parkway, RunOptions};
use stockroom::{Answer, Shelf, answer, begin, tools};

fn reads(part: &str, pieces: u32) -> ModelBinding {
    ModelBinding::new(ScriptedModel::new().otherwise(format!(r#"{{"part": "{part}", "pieces": {pieces}}}"#)))
}

async fn parkway(store: &str, shelf: &Shelf, model: ModelBinding) -> Parkway {
    tools(Parkway::builder().store(store).model("main", model), shelf).build().await.unwrap()
}

#[tokio::test]
async fn a_letter_is_answered_with_a_typed_result() {
    let shelf = Shelf::new([("A-12", 40)]);
    let parkway = parkway("sqlite::memory:", &shelf, reads("A-12", 3)).await;
    let answered = answer(&parkway, "Three A-12, please.").await.unwrap();
    assert_eq!(answered, Answer { part: "A-12".into(), reserved: 3, left: 37 });
    assert_eq!(shelf.pieces("A-12"), Some(37));
}

#[tokio::test]
async fn a_part_that_is_not_there_is_an_error_with_a_code() {
    let shelf = Shelf::new([("A-12", 40)]);
    let parkway = parkway("sqlite::memory:", &shelf, reads("B-7", 1)).await;
    match answer(&parkway, "One B-7, please.").await.unwrap_err() {
        Error::Failed { code, message, step, .. } => {
            assert_eq!((code.as_str(), message.as_str()), ("not_found", "there is no part `B-7`"));
            assert_eq!(step.unwrap().to_string(), "look");
        }
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_person_agrees_from_code() {
    let shelf = Shelf::new([("A-12", 40)]);
    let parkway = parkway("sqlite::memory:", &shelf, reads("A-12", 30)).await;
    let run = begin(&parkway, "Thirty A-12, please.").await.unwrap();
    let mut events = run.events();
    while let Some(event) = events.next().await {
        if let EventKind::ApprovalRequested { key, prompt, .. } = &event.unwrap().kind {
            assert_eq!(parkway.text(*prompt).await.unwrap(), "Reserve 30 of 40 pieces?");
            run.approve(&key.to_string()).await.unwrap();
        }
    }
    assert_eq!(run.output::<Answer>().await.unwrap().left, 10);
}

#[tokio::test]
async fn a_question_that_nobody_answers_runs_out_of_its_time() {
    let shelf = Shelf::new([("A-12", 40)]);
    let clock = Arc::new(FakeClock::default());
    let builder = Parkway::builder().store("sqlite::memory:").model("main", reads("A-12", 30)).clock(clock.clone());
    let parkway = tools(builder, &shelf).build().await.unwrap();
    let run = begin(&parkway, "Thirty A-12, please.").await.unwrap();
    let mut events = run.events();
    while let Some(event) = events.next().await {
        if matches!(event.unwrap().kind, EventKind::ApprovalRequested { .. }) {
            run.stop();
        }
    }
    clock.advance(Duration::from_secs(25 * 3600));
    let run = parkway.resume(run.id(), RunOptions::default()).await.unwrap();
    let error = run.output::<Answer>().await.unwrap_err();
    assert_eq!((error.code(), shelf.pieces("A-12")), ("rejected", Some(40)));
}

#[tokio::test]
async fn a_run_is_taken_up_by_another_engine_on_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("runs.db").display());
    let shelf = Shelf::new([("A-12", 40)]);
    let first = parkway(&store, &shelf, reads("A-12", 12)).await;
    let run = begin(&first, "Twelve A-12, please.").await.unwrap();
    let mut events = run.events();
    while let Some(event) = events.next().await {
        if matches!(event.unwrap().kind, EventKind::ApprovalRequested { .. }) {
            run.stop();
        }
    }
    // The model is not asked again: it would say something else.
    let second = parkway(&store, &shelf, reads("Z-0", 1)).await;
    let run = second.resume(run.id(), RunOptions::default()).await.unwrap();
    run.approve("agree").await.unwrap();
    assert_eq!(run.output::<Answer>().await.unwrap(), Answer { part: "A-12".into(), reserved: 12, left: 28 });
}
