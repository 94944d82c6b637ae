//! Workflows within workflows, from files to the store on disk.

use std::fs;

use parkway::log::RunStatus;
use parkway::secret::{Secret, SecretError, Secrets};
use parkway::store::RunFilter;
use parkway::{Effect, Error, ModelBinding, Parkway, RunOptions, ToolError, Workflow, inputs, tool_fn};
use parkway_core::testing::ScriptedModel;
use serde_json::{Value, json};

struct One;

#[async_trait::async_trait]
impl Secrets for One {
    async fn get(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        Ok((name == "TOKEN").then(|| Secret::new("hunter2")))
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Post {
    token: String,
    text: String,
}

const PARENT: &str = "
parkway: 1
secrets: [TOKEN]
env: [REGION]
models: { main: { gguf: { name: none } } }
steps:
  near: { workflow: parts/greet.yaml, with: { name: Ada } }
  far: { workflow: parts/greet.yaml, own_run: true, with: { name: '${{ steps.near.output.text }}' } }
  confirm: { workflow: parts/confirm.yaml, own_run: true }
outputs:
  near: ${{ steps.near.output }}
  far: ${{ steps.far.output }}
  by: ${{ steps.confirm.output.by }}
";

const GREET: &str = "
parkway: 1
secrets: [TOKEN]
env: [REGION]
inputs: { name: { type: string }, mark: { type: string, default: '!' } }
models: { main: { gguf: { name: none } } }
steps:
  ask: { chat: { model: main, prompt: 'Greet ${{ inputs.name }}' } }
  post: { tool: post, with: { token: '${{ secrets.TOKEN }}', text: '${{ steps.ask.output }} in ${{ env.REGION }}' } }
outputs: { text: '${{ steps.post.output }}${{ inputs.mark }}' }
ensure: [ steps.post.status == 'completed' ]
";

const CONFIRM: &str = "
parkway: 1
steps: { sure: { approve: { prompt: sure? } } }
outputs: { by: '${{ steps.sure.output.by }}' }
";

async fn parkway(folder: &std::path::Path) -> Parkway {
    let post = tool_fn("post", Effect::Pure, |post: Post| async move {
        match post.token.as_str() {
            "hunter2" => Ok(format!("posted {} with {}", post.text, post.token)),
            other => Err(ToolError::invalid("denied", format!("the token {other} is wrong"))),
        }
    });
    Parkway::builder()
        .store(format!("sqlite:{}", folder.join("runs.db").display()))
        .root(folder)
        .model("main", ModelBinding::new(ScriptedModel::new().otherwise("hello")))
        .tool(post)
        .secrets(One)
        .env(|name| (name == "REGION").then(|| "north".to_owned()))
        .build()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_in_files_run_within_a_run_and_as_runs_of_their_own() {
    let folder = crate::kept::folder().unwrap();
    fs::create_dir(folder.path().join("parts")).unwrap();
    for (name, text) in [("main.yaml", PARENT), ("parts/greet.yaml", GREET), ("parts/confirm.yaml", CONFIRM)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let engine = parkway(folder.path()).await;
    let workflow = Workflow::from_path(folder.path().join("main.yaml")).unwrap();
    let mut options = RunOptions::default();
    options.stay = false;
    let run = engine.start_with(workflow, inputs! {}, options.clone()).await.unwrap();
    let id = run.id();
    let waits = run.output::<Value>().await.unwrap_err();
    assert!(matches!(waits, Error::Waiting(waiting) if waiting == id), "{waits}");
    drop((run, engine));

    // Another process answers the run that asks, and goes on with its parent.
    let engine = parkway(folder.path()).await;
    assert_eq!(engine.runs(&RunFilter::default()).await.unwrap().len(), 3);
    let confirm = id.child(&"confirm".parse().unwrap());
    let yes = parkway::log::Verdict::Approved;
    let via = parkway::log::Channel::Command;
    engine.answer(confirm, "sure".parse().unwrap(), yes, None, "ada".into(), via).await.unwrap();
    let outputs: Value = engine.resume(id, options).await.unwrap().output().await.unwrap();
    let text = "posted hello in north with [secret TOKEN]!";
    assert_eq!(outputs, json!({"near": {"text": text}, "far": {"text": text}, "by": "ada"}));
    let runs = engine.runs(&RunFilter::default()).await.unwrap();
    assert!(runs.iter().all(|run| run.status == RunStatus::Completed), "{runs:?}");
    let mut kept = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            kept.extend(fs::read(path).unwrap());
        }
    }
    let kept = String::from_utf8_lossy(&kept);
    assert!(kept.contains("[secret TOKEN]") && !kept.contains("hunter2"));
}
