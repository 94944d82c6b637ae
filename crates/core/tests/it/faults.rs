//! Tools and models that fail, panic, hang and lose their answers.

use std::sync::Arc;
use std::time::Duration;

use parkway_core::engine::Executor;
use parkway_core::id::RunId;
use parkway_core::log::RunStatus;
use parkway_core::model::{ChatMessage, ChatRequest, Model, ModelError, Role, SharedModel};
use parkway_core::testing::{Fault, FaultyModel, FaultyTool, ScriptedModel};
use parkway_core::tool::{Effect, SharedTool, ToolError};
use serde_json::{Value, json};

use crate::check::{Acting, World};
use crate::ledger::AllowAll;

/// Runs a workflow whose tool `t.work` goes wrong.
async fn run(yaml: &str, effect: Effect, faults: impl FnOnce(FaultyTool) -> FaultyTool) -> (World, RunId, u32) {
    let work = Acting::new("t.work", effect, |input: Value, _| async move { Ok(input) });
    let work = Arc::new(faults(FaultyTool::new(Arc::new(work))));
    let mut world = World::paced();
    world.policy = Arc::new(AllowAll);
    let tool: SharedTool = work.clone();
    world.tools.insert(tool);
    let yaml = format!("parkway: 1\ntools: {{ t: {{}} }}\nsteps:\n{yaml}");
    let (run, _) = world.run(&yaml, json!({})).await;
    (world, run, work.calls())
}

fn lost() -> ToolError {
    ToolError::transient("net", "the line broke")
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_be_repeated_is_given_up_after_one_fault() {
    for effect in [Effect::Pure, Effect::Read, Effect::Idempotent] {
        for (fault, on) in [
            (Fault::Fails(lost()), "net"),
            (Fault::Loses(lost()), "net"),
            (Fault::Panics("by chance".into()), "panic"),
            (Fault::Hangs, "timeout"),
            (Fault::Takes(Duration::from_secs(60)), "timeout"),
        ] {
            let yaml =
                format!("  a: {{ tool: t.work, timeout: 5s, retry: {{ max: 1, on: [{on}] }}, with: {{ n: 1 }} }}");
            let (world, run, calls) = run(&yaml, effect, |tool| tool.on(1, fault.clone())).await;
            let log = world.log(run).await;
            assert_eq!(world.state(run).await.status(), RunStatus::Completed, "{effect:?}, {fault:?}:\n{log}");
            assert_eq!(calls, 2, "{effect:?}, {fault:?}:\n{log}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_repeated_is_repeated_after_a_fault() {
    for (fault, code) in [
        (Fault::Fails(lost()), "net"),
        (Fault::Loses(lost()), "net"),
        (Fault::Panics("by chance".into()), "panic"),
        (Fault::Hangs, "timeout"),
    ] {
        let yaml = "  a: { tool: t.work, timeout: 5s, retry: { max: 3, on: [net, panic, timeout] } }";
        let (world, run, calls) = run(yaml, Effect::AtMostOnce, |tool| tool.on(1, fault.clone())).await;
        let log = world.log(run).await;
        assert!(log.contains(&format!("step_in_doubt a {code}: ")), "{fault:?}:\n{log}");
        assert_eq!((world.state(run).await.status(), calls), (RunStatus::Waiting, 1), "{fault:?}:\n{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_by_chance_hit_other_calls_the_second_time() {
    let yaml = "  a: { for_each: '${{ range(40) | list }}', max_parallel: 1, tool: t.work, retry: { max: 20 }, with: { n: '${{ item }}' } }";
    let mut seen = Vec::new();
    for seed in [7, 7, 8] {
        let (world, run, calls) = run(yaml, Effect::Pure, |tool| tool.shake(seed, 3, Fault::Fails(lost()))).await;
        let log = world.log(run).await;
        assert_eq!(world.state(run).await.status(), RunStatus::Completed, "{log}");
        assert!(calls > 45, "only {} of {calls} calls have failed", calls - 40);
        let of_step = |line: &&str| line.starts_with("step_retried");
        seen.push(log.lines().filter(of_step).map(str::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[1], seen[2]);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_always_fails_does_so_once_too_often() {
    let yaml = "  a: { tool: t.work, retry: { max: 4 }, on_error: continue }";
    let (_, _, calls) = run(yaml, Effect::Read, |tool| tool.always(Fault::Fails(lost()))).await;
    assert_eq!(calls, 5);
}

fn broke() -> ModelError {
    ModelError::Backend { message: "the driver broke".into(), retryable: true }
}

#[tokio::test(start_paused = true)]
async fn a_chat_is_given_up_after_one_fault() {
    let faults: [(Fault<ModelError>, &str); 4] = [
        (Fault::Fails(broke()), "model"),
        (Fault::Loses(broke()), "model"),
        (Fault::Hangs, "timeout"),
        (Fault::Takes(Duration::from_secs(60)), "timeout"),
    ];
    for (fault, code) in faults {
        let model =
            Arc::new(FaultyModel::new(Arc::new(ScriptedModel::new().otherwise("all is well"))).on(1, fault.clone()));
        let world = World::paced();
        let yaml = "parkway: 1\nmodels: { main: {} }\nsteps: { a: { timeout: 5s, retry: 1, chat: { model: main, prompt: how? } } }\noutputs: { said: '${{ steps.a.output }}' }";
        let plan = Arc::new(world.plan(yaml).unwrap());
        let shared: SharedModel = model.clone();
        let models = [("main".to_owned(), shared)].into();
        let (services, control, inputs) = (world.services(), world.control.clone(), json!({}));
        let executor = Executor::create(services, models, control, plan, &inputs).await.unwrap();
        let (run, ended) = world.drive(executor).await;
        let log = world.log(run).await;
        assert_eq!((ended.status, model.calls()), (RunStatus::Completed, 2), "{fault:?}:\n{log}");
        assert!(log.contains(&format!("step_retried a {code}")), "{fault:?}:\n{log}");
        assert_eq!(world.outputs(run).await, json!({ "said": "all is well" }));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_taken_for_whole() {
    let model = FaultyModel::new(Arc::new(ScriptedModel::new().otherwise("all is well"))).always(Fault::Loses(broke()));
    let request = ChatRequest::new(vec![ChatMessage::new(Role::User, "how?")]);
    assert_eq!(model.chat(request.clone()).await.unwrap_err(), broke());
    let mut answer = model.stream(request).await.unwrap();
    assert!(answer.next().await.unwrap().is_ok());
    assert_eq!(answer.next().await.unwrap().unwrap_err(), broke());
    assert!(answer.next().await.is_none());
}
