//! What is said to runs from outside, by programs.

use std::sync::Arc;

use parkway::log::{Channel, Resolution, RunStatus};
use parkway::store::Store;
use parkway::testing::{MemoryStore, ScriptedModel};
use parkway::{Parkway, RunOptions, Workflow, inputs};
use serde_json::{Value, json};

const ASKING: &str = r#"
parkway: 1
models: { main: { gguf: { name: none } }, last: { gguf: { name: none } } }
steps:
  confirm: { approve: { prompt: "Go on?" } }
  write: { needs: [confirm], chat: { model: main, prompt: "Write." } }
"#;
const LAST: &str = r#"
  sum: { needs: [write], run_if: always, chat: { model: last, prompt: "Sum up." } }
"#;

/// A store with a run that waits for a yes, and its program gone.
async fn left(workflow: &str) -> (Arc<dyn Store>, parkway::id::RunId) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(parkway::clock::SystemClock)));
    let builder = Parkway::builder().store_with(store.clone());
    let parkway =
        builder.model("main", ScriptedModel::new()).model("last", ScriptedModel::new()).build().await.unwrap();
    let workflow = Workflow::from_source("ask.yaml", workflow).unwrap();
    let mut options = RunOptions::default();
    options.stay = false;
    let run = parkway.start_with(workflow, inputs! {}, options).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Waiting);
    (store, run.id())
}

/// Cancels a run in a program with these models alone.
async fn cancelled(workflow: &str, models: &[&str]) -> Result<RunStatus, String> {
    let (store, run) = left(workflow).await;
    let mut builder = Parkway::builder().store_with(store);
    for name in models {
        builder = builder.model(*name, ScriptedModel::new().otherwise("fine"));
    }
    let parkway = builder.build().await.unwrap();
    parkway.cancel(run, None, "ada".into(), Channel::Program).await.unwrap();
    let run = parkway.resume(run, RunOptions::default()).await.map_err(|error| error.to_string())?;
    Ok(run.wait().await.unwrap().status)
}

#[tokio::test]
async fn a_cancel_needs_models_that_are_never_asked() {
    assert_eq!(cancelled(ASKING, &[]).await, Ok(RunStatus::Cancelled));
}

#[tokio::test]
async fn a_cancel_has_no_model_for_what_always_runs() {
    let workflow = format!("{ASKING}{LAST}");
    assert_eq!(cancelled(&workflow, &["last"]).await, Ok(RunStatus::Cancelled));
    let error = cancelled(&workflow, &["main"]).await.unwrap_err();
    assert!(error.contains("`last` cannot be used"), "{error}");
}

#[tokio::test]
async fn a_run_that_goes_on_lacks_a_model() {
    let (store, run) = left(ASKING).await;
    let parkway = Parkway::builder().store_with(store).build().await.unwrap();
    let error = parkway.resume(run, RunOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), "model", "{error}");
}

#[tokio::test]
async fn what_is_said_to_a_run_that_has_ended_is_kept_for_nobody() {
    let parkway = Parkway::builder().store("sqlite::memory:").build().await.unwrap();
    let workflow = Workflow::from_source("set.yaml", "parkway: 1\nsteps: { a: { set: { n: 1 } } }\n").unwrap();
    let run = parkway.start(workflow, inputs! {}).await.unwrap();
    let _: Value = run.output().await.unwrap();
    let errors = [
        run.cancel().await.unwrap_err(),
        run.signal("paid", json!(1)).await.unwrap_err(),
        run.resolve("a", Resolution::Redo).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), format!("run {} has ended: completed", run.id()));
    }
    let nobody = parkway::id::RunId::new(parkway::clock::Clock::now(&parkway::clock::SystemClock), [7; 16]);
    assert_eq!(parkway.cancel(nobody, None, "ada".into(), Channel::Program).await.unwrap_err().code(), "no_run");
}

#[tokio::test]
async fn a_step_that_is_not_in_doubt_is_resolved() {
    let parkway = Parkway::builder().store("sqlite::memory:").build().await.unwrap();
    let source =
        "parkway: 1\nsteps: { paid: { wait: { signal: paid } } }\noutputs: { n: '${{ steps.paid.output.n }}' }\n";
    let run = parkway.start(Workflow::from_source("wait.yaml", source).unwrap(), inputs! {}).await.unwrap();
    let mut events = run.events();
    while let Some(event) = events.next().await {
        if event.unwrap().kind.name() == "step_waiting" {
            break;
        }
    }
    let error = run.resolve("paid", Resolution::NotDone).await.unwrap_err();
    assert_eq!(error.code(), "out_of_place");
    assert!(error.to_string().contains("is waiting, and only one in doubt"), "{error}");
    assert!(run.resolve("piad", Resolution::NotDone).await.unwrap_err().to_string().contains("no step `piad`"));
    run.signal("paid", json!({ "n": 3 })).await.unwrap();
    assert_eq!(run.output::<Value>().await.unwrap(), json!({ "n": 3 }));
}
