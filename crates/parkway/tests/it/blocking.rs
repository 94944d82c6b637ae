//! The engine without `async`.

use parkway::log::{EventKind, RunStatus};
use parkway::{Error, Parkway, RunOptions, Workflow, blocking, inputs};
use serde_json::{Value, json};

const ASK: &str = "
parkway: 1
inputs: { who: { type: string } }
steps:
  confirm: { approve: { prompt: 'Greet ${{ inputs.who }}?' } }
  greet: { needs: [confirm], set: { text: 'Hello, ${{ inputs.who }}' } }
outputs: { text: '${{ steps.greet.output.text }}' }
";

fn ask() -> Workflow {
    Workflow::from_source("ask.yaml", ASK).unwrap()
}

#[test]
fn a_program_without_a_runtime_runs_answers_and_listens() {
    let folder = crate::kept::folder().unwrap();
    let store = format!("sqlite:{}", folder.path().join("runs.db").display());
    let parkway = blocking::Parkway::build(Parkway::builder().store(&store)).unwrap();
    let run = parkway.start(ask(), inputs! { who: "Ada" }).unwrap();
    let asked = run.events().any(|event| matches!(event.unwrap().kind, EventKind::ApprovalRequested { .. }));
    assert!(asked);
    run.approve("confirm").unwrap();
    assert_eq!(run.output::<Value>().unwrap(), json!({"text": "Hello, Ada"}));
    let last = run.events().last().unwrap().unwrap();
    assert!(matches!(last.kind, EventKind::RunCompleted { .. }), "{last:?}");
    let known = parkway.wait_for(parkway.engine().find_run("last")).unwrap().unwrap();
    assert_eq!(known.run, run.id());
    // Another engine in the same process, on the same store.
    let other = blocking::Parkway::build(Parkway::builder().store(&store)).unwrap();
    let stopped = other.start(ask(), inputs! { who: "Bob" }).unwrap();
    stopped.cancel().unwrap();
    assert_eq!(stopped.wait().unwrap().status, RunStatus::Cancelled);
    assert!(matches!(stopped.output::<Value>(), Err(Error::Cancelled(_))));
    assert!(other.resume(run.id(), RunOptions::default()).is_err(), "it is over");
    assert_eq!(parkway.wait_for(parkway.engine().runs(&Default::default())).unwrap().unwrap().len(), 2);
}

#[tokio::test]
async fn within_a_runtime_it_says_what_to_do() {
    let error = blocking::Parkway::build(Parkway::builder().store("sqlite::memory:")).unwrap_err();
    assert!(error.to_string().contains("within an async runtime"), "{error}");
    // One that was made elsewhere ends here without a fault.
    let made = tokio::task::spawn_blocking(|| {
        std::thread::spawn(|| blocking::Parkway::build(Parkway::builder().store("sqlite::memory:")).unwrap())
            .join()
            .unwrap()
    });
    let parkway = made.await.unwrap();
    assert!(parkway.start(ask(), inputs! { who: "Ada" }).is_err());
    drop(parkway);
}
