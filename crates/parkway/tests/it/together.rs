//! Several runs, and several engines, in one program.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parkway::store::RunFilter;
use parkway::testing::ScriptedModel;
use parkway::{Builder, Effect, Error, ExecutorError, Parkway, RunOptions, Workflow, inputs, tool_fn, trial};
use serde_json::{Value, json};

#[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
struct Number {
    n: u32,
}

fn workflow(yaml: &str) -> Workflow {
    Workflow::from_source("flow.yaml", yaml).unwrap()
}

fn engine() -> Builder {
    Parkway::builder().store("sqlite::memory:")
}

#[tokio::test]
async fn a_run_beyond_the_limit_starts_when_another_has_ended() {
    let parkway = engine().max_parallel_runs(1).build().await.unwrap();
    let waits = "parkway: 1\nsteps: { wait: { wait: { signal: go } } }\n";
    let first = parkway.start(workflow(waits), inputs! {}).await.unwrap();
    let mut second = tokio::spawn({
        let parkway = parkway.clone();
        async move { parkway.start(workflow("parkway: 1\nsteps: { a: { set: { x: 1 } } }\n"), inputs! {}).await }
    });
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut second).await.is_err());
    assert_eq!(parkway.runs(&RunFilter::default()).await.unwrap().len(), 1);
    first.signal("go", json!(null)).await.unwrap();
    first.output::<Value>().await.unwrap();
    second.await.unwrap().unwrap().output::<Value>().await.unwrap();
}

#[tokio::test]
async fn a_run_that_is_executed_here_is_not_waited_for() {
    let parkway = engine().max_parallel_runs(1).build().await.unwrap();
    let waits = "parkway: 1\nsteps: { wait: { wait: { signal: go } } }\n";
    let run = parkway.start(workflow(waits), inputs! {}).await.unwrap();
    let error = parkway.resume(run.id(), RunOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Executor(ExecutorError::Held(_))), "{error}");
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_the_limit_allows() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    let slow = tool_fn("slow", Effect::Read, move |input: Number| {
        let (now, most) = (now.clone(), most.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, parkway::ToolError>(input)
        }
    });
    let parkway = engine().tool(slow).max_parallel_calls(3).build().await.unwrap();
    let yaml = "parkway: 1\ntools: { slow: {} }\nsteps:\n  all: { for_each: '${{ range(12) }}', max_parallel: 12, tool: slow, \
                with: { n: '${{ item }}' } }\noutputs: { n: '${{ steps.all.output | sum(attribute=\"n\") }}' }\n";
    let run = parkway.start(workflow(yaml), inputs! {}).await.unwrap();
    assert_eq!(run.output::<Value>().await.unwrap(), json!({ "n": 66 }));
    assert_eq!(seen.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_limit_of_nothing_is_refused() {
    for builder in [engine().max_parallel_runs(0), engine().max_parallel_calls(0)] {
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.code(), "setup");
        assert!(error.to_string().contains("allow at least 1"), "{error}");
    }
}

#[tokio::test]
async fn engines_of_one_program_share_a_file_or_nothing() {
    let folder = crate::kept::folder().unwrap();
    let at = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let answers = |text: &str| ScriptedModel::new().otherwise(text);
    let build =
        async |store: String, text: &str| engine().store(store).model("main", answers(text)).build().await.unwrap();
    let one = build(at("shared.db"), "one").await;
    let two = build(at("shared.db"), "two").await;
    let three = build(at("own.db"), "three").await;
    let yaml = "parkway: 1\nmodels: { main: {} }\nsteps: { ask: { chat: { model: main, prompt: Who? } } }\noutputs: { who: '${{ steps.ask.output }}' }\n";
    for (parkway, who) in [(&one, "one"), (&two, "two"), (&three, "three")] {
        let run = parkway.start(workflow(yaml), inputs! {}).await.unwrap();
        assert_eq!(run.output::<Value>().await.unwrap()["who"], who);
    }
    let known = async |parkway: &Parkway| parkway.runs(&RunFilter::default()).await.unwrap().len();
    assert_eq!((known(&one).await, known(&two).await, known(&three).await), (2, 2, 1));
}

#[tokio::test]
async fn a_recorded_run_answers_in_a_test() {
    let yaml = "parkway: 1\nmodels: { main: {} }\ninputs: { name: { type: string } }\nsteps: { greet: { chat: { model: main, prompt: 'Greet ${{ inputs.name }}.' } } }\noutputs: { text: '${{ steps.greet.output }}' }\n";
    let real = engine().model("main", ScriptedModel::new().otherwise("Good day, Ada.")).build().await.unwrap();
    let run = real.start(workflow(yaml), inputs! { name: "Ada" }).await.unwrap();
    run.output::<Value>().await.unwrap();
    let folder = crate::kept::folder().unwrap();
    let file = folder.path().join("greet.json");
    std::fs::write(&file, trial::record(&real, run.id()).await.unwrap()).unwrap();

    let played = engine().model("main", trial::recorded(&file, "main").unwrap()).build().await.unwrap();
    let run = played.start(workflow(yaml), inputs! { name: "Ada" }).await.unwrap();
    assert_eq!(run.output::<Value>().await.unwrap()["text"], "Good day, Ada.");
    let run = played.start(workflow(yaml), inputs! { name: "Bob" }).await.unwrap();
    let error = run.output::<Value>().await.unwrap_err().to_string();
    assert!(error.contains("Greet Bob."), "{error}");
    assert!(trial::recorded(folder.path().join("none.json"), "main").unwrap_err().to_string().contains("none.json"));
}
