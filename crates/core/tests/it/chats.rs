//! What a chat may hold beside its prompt: several messages, an adapter, tools that the model may ask for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parkway_core::id::RunId;
use parkway_core::log::{EventKind, RunStatus};
use parkway_core::model::{ConstraintKind, Model, ModelError, Role};
use parkway_core::testing::ScriptedModel;
use parkway_core::tool::{Effect, ToolError, tool_fn};
use parkway_core::workflow::{Chat, Plan, Verb};
use serde_json::{Value, json};

use crate::check::{World, compare};

/// A tree: its schema points at itself.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Tree {
    #[expect(dead_code, reason = "only the schema matters")]
    name: String,
    #[serde(default)]
    #[expect(dead_code, reason = "only the schema matters")]
    parts: Vec<Tree>,
}

fn world(model: ScriptedModel) -> World {
    let plant = tool_fn("t.plant", Effect::AtMostOnce, |_: Tree| async {
        Err::<Value, _>(ToolError::invalid("called", "a tool that is only offered was called"))
    });
    World::new().model(model).tool(plant.describe("Plants a tree."))
}

fn asking(world: &World, change: impl FnOnce(&mut Chat)) -> Plan {
    let yaml = "parkway: 1\nname: test\nmodels: { main: {} }
steps: { ask: { retry: 0, chat: { model: main, prompt: hello } } }
outputs: { answer: '${{ steps.ask.output }}' }";
    let mut plan = world.plan(yaml).unwrap();
    let Verb::Chat(chat) = &mut plan.graph.nodes[0].verb else { panic!("no chat") };
    change(chat);
    plan
}

async fn run(world: &World, plan: Plan) -> RunId {
    world.drive(world.create_plan(plan, json!({})).await).await.0
}

fn offering(chat: &mut Chat) {
    chat.tools = vec!["t.plant".into(), "t.echo".into()];
}

#[tokio::test]
async fn tools_that_a_model_asks_for_come_back_and_are_not_called() {
    let calls = json!({"text": "Now.", "calls": [
        {"tool": "t.plant", "args": {"name": "oak", "parts": [{"name": "leaf", "parts": []}]}},
        {"tool": "t.echo", "args": {"value": 1}},
    ]});
    let world = world(ScriptedModel::new().when("Plants a tree.", calls.to_string()));
    let run = run(&world, asking(&world, offering)).await;
    assert_eq!(world.outputs(run).await, json!({"answer": calls}));
    let request = world.model.requests().remove(0);
    assert_eq!(request.messages[0].role, Role::System);
    assert!(request.messages[0].content.contains(r#""tool":"t.plant","description":"Plants a tree.""#));
    assert_eq!(request.messages[1].content, "hello");
    assert!(request.constraint.is_some());
}

#[tokio::test]
async fn calls_that_do_not_fit_their_tool_are_asked_for_again() {
    let wrong = [
        json!({"text": "", "calls": [{"tool": "t.plant", "args": {"name": 5}}]}),
        json!({"text": "", "calls": [{"tool": "t.plant", "args": {"name": "oak", "parts": [{"nam": 1}]}}]}),
        json!({"text": "", "calls": [{"tool": "t.other", "args": {}}]}),
    ];
    for wrong in wrong {
        let model =
            ScriptedModel::new().when("not valid", r#"{"text": "no", "calls": []}"#).otherwise(wrong.to_string());
        let world = world(model.enforces([]));
        let run = run(&world, asking(&world, offering)).await;
        assert_eq!(world.outputs(run).await, json!({"answer": {"text": "no", "calls": []}}));
        let asked = world.model.requests();
        assert_eq!(asked.len(), 2, "{wrong}");
        assert!(asked.iter().all(|request| request.constraint.is_none()));
    }
}

#[tokio::test]
async fn a_model_with_a_form_of_its_own_for_calls_gets_the_tools_themselves() {
    let call = |args: Value| json!([{"id": "1", "name": "t.plant", "arguments": args}]).to_string();
    let good = call(json!({"name": "oak", "parts": []}));
    let model = ScriptedModel::new().when("not valid", good).otherwise(call(json!({"name": 5}))).calls_tools();
    let world = world(model);
    let run = run(&world, asking(&world, offering)).await;
    let output = json!({"text": "", "calls": [{"tool": "t.plant", "args": {"name": "oak", "parts": []}}]});
    assert_eq!(world.outputs(run).await, json!({"answer": output}));
    let asked = world.model.requests();
    assert_eq!(asked.len(), 2);
    let names: Vec<_> = asked[0].tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["t.plant", "t.echo"]);
    assert_eq!(asked[0].messages.len(), 1, "they are not described in words, too");
    assert!(asked[0].constraint.is_none());
    let mut recorded = Vec::new();
    for event in world.events(run).await {
        if let EventKind::ModelCalled { call, .. } = event.kind {
            recorded.push(world.payload(call.tool_calls.unwrap()).await[0]["arguments"].clone());
        }
    }
    assert_eq!(recorded, [json!({"name": 5}), json!({"name": "oak", "parts": []})]);
}

#[tokio::test]
async fn how_sure_the_model_was_is_recorded_and_can_be_asked_for() {
    let yaml = "
parkway: 1
models: { main: {} }
steps:
  ask: { chat: { model: main, prompt: hello } }
  again: { repeat: { until: index == 1, max: 2 }, chat: { model: main, prompt: hello } }
  doubt: { if: steps.ask.confidence < 0.7, set: { sure: '${{ steps.ask.confidence }}' } }
outputs: { sure: '${{ steps.ask.confidence }}', again: '${{ steps.again.confidence }}', doubt: '${{ steps.doubt.status }}' }";
    let world = world(ScriptedModel::new().otherwise("fine").confidence(0.625));
    let (run, _) = world.run(yaml, json!({})).await;
    assert_eq!(world.outputs(run).await, json!({"sure": 0.625, "again": 0.625, "doubt": "completed"}));
    let world = self::world(ScriptedModel::new().otherwise("fine"));
    let (run, _) = world.run(&yaml.replace("confidence < 0.7", "confidence is none"), json!({})).await;
    assert_eq!(world.outputs(run).await, json!({"sure": null, "again": null, "doubt": "completed"}));
}

#[tokio::test]
async fn a_model_that_asks_to_be_left_alone_is_but_not_for_ever() {
    tokio::time::pause();
    for (asked, waits) in [(90, 90..114), (1_000_000, 3_600..4_501)] {
        let world = World::paced().model(ScriptedModel::new().script({
            let asked_before = AtomicBool::new(false);
            move |_| match asked_before.swap(true, Ordering::Relaxed) {
                false => {
                    let retry_after = Some(Duration::from_secs(asked));
                    Err(ModelError::Busy { message: "too many requests".into(), retry_after })
                }
                true => Ok("fine".into()),
            }
        }));
        let yaml = "parkway: 1\nmodels: { main: {} }\nsteps: { ask: { chat: { model: main, prompt: hello } } }";
        let (run, mut ended) = world.run(yaml, json!({})).await;
        if ended.status == RunStatus::Waiting {
            tokio::time::sleep(Duration::from_secs(asked)).await;
            ended = world.resume(run).await.unwrap();
        }
        assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
        let retried = world.events(run).await.into_iter().find_map(|event| match event.kind {
            EventKind::StepRetried { code, not_before, .. } if code == "busy" => {
                Some(not_before.since(event.at).as_secs())
            }
            _ => None,
        });
        assert!(waits.contains(&retried.unwrap()), "{retried:?}");
    }
}

#[tokio::test]
async fn a_system_message_of_the_authors_keeps_its_place() {
    let world =
        world(ScriptedModel::new().otherwise(r#"{"text": "", "calls": []}"#).enforces([ConstraintKind::JsonSchema]));
    let plan = asking(&world, |chat| {
        let mut system = chat.messages[0].clone();
        system.role = Role::System;
        system.content.text = "Be brief.".into();
        let mut example = chat.messages[0].clone();
        example.role = Role::Assistant;
        chat.messages = vec![system, chat.messages[0].clone(), example, chat.messages[0].clone()];
        offering(chat);
    });
    run(&world, plan).await;
    let messages = world.model.requests().remove(0).messages;
    let roles: Vec<_> = messages.iter().map(|message| message.role.as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert!(messages[0].content.starts_with("Be brief.\n\nYou may ask for tools."), "{}", messages[0].content);
}

#[tokio::test]
async fn an_adapter_is_asked_for_and_recorded() {
    let world = world(ScriptedModel::new().otherwise("fine").adapters(["legal", "poet"]));
    let run = run(&world, asking(&world, |chat| chat.adapter = Some("legal".into()))).await;
    assert_eq!(world.model.requests()[0].adapter.as_deref(), Some("legal"));
    let called = world.events(run).await.into_iter().find_map(|event| match event.kind {
        EventKind::ModelCalled { call, .. } => Some(call),
        _ => None,
    });
    let called = called.unwrap();
    let file = &world.model.capabilities().adapter_files["legal"];
    assert_eq!(called.adapter.as_deref(), Some("legal"));
    assert_eq!((called.adapter_hash.as_ref(), called.adapter_scale_milli), (Some(&file.hash), Some(1_000)));
}

#[tokio::test]
async fn an_adapter_that_the_model_lacks_is_never_passed_over() {
    let world = world(ScriptedModel::new().otherwise("fine"));
    let run = run(&world, asking(&world, |chat| chat.adapter = Some("legal".into()))).await;
    compare(
        &world,
        run,
        "
        step_failed ask unsupported: the model `main` (scripted) has no adapter `legal`; it has none
        run_failed unsupported at ask: the model `main` (scripted) has no adapter `legal`; it has none
        ",
    )
    .await;
    assert!(world.model.requests().is_empty());
}

#[tokio::test]
async fn models_are_told_what_is_to_come() {
    let rules = "Read the letter with care. ".repeat(20);
    let yaml = format!(
        "
parkway: 1
tools: {{ t: {{}} }}
models: {{ main: {{}} }}
steps:
  load: {{ tool: t.echo, with: {{ value: [1, 2, 3] }} }}
  sort:
    for_each: '${{{{ steps.load.output }}}}'
    max_parallel: 1
    steps:
      ask: {{ chat: {{ model: main, system: \"{rules}\", prompt: 'Letter ${{{{ item }}}}' }} }}
      look: {{ tool: t.echo, with: {{ value: '${{{{ steps.ask.output }}}}' }} }}
      short: {{ needs: [look], chat: {{ model: main, prompt: hello }} }}
  sum: {{ needs: [sort], chat: {{ model: main, system: \"{rules}\", prompt: 'All of ${{{{ steps.load.output }}}}' }} }}
"
    );
    let world = world(ScriptedModel::new().otherwise("fine"));
    let (run, ended) = world.run(&yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    let hints: Vec<_> = world
        .model
        .requests()
        .iter()
        .map(|request| {
            assert_eq!(request.hints.run, Some(run));
            (request.step.as_ref().unwrap().to_string(), request.hints.chain, request.hints.more)
        })
        .collect();
    let expected = [
        ("sort[0].ask", 3, 2),
        ("sort[0].short", 1, 2),
        ("sort[1].ask", 3, 1),
        ("sort[1].short", 1, 1),
        ("sort[2].ask", 3, 0),
        ("sort[2].short", 1, 0),
        ("sum", 0, 0),
    ];
    assert_eq!(hints, expected.map(|(step, chain, more)| (step.to_owned(), chain, more)));
}

#[tokio::test]
async fn the_beginning_of_a_prompt_is_told_once_while_the_tool_before_it_runs() {
    let rules = "Read the letter with care. ".repeat(20);
    let yaml = format!(
        "
parkway: 1
tools: {{ t: {{}} }}
models: {{ main: {{}} }}
steps:
  load: {{ for_each: [1, 2], tool: t.echo, with: {{ value: 1 }} }}
  ask: {{ needs: [load], chat: {{ model: main, system: \"{rules}\", prompt: 'Now, ${{{{ steps.load.output }}}}, go on.' }} }}
  short: {{ needs: [load], chat: {{ model: main, prompt: hello }} }}
  tools: {{ needs: [load], chat: {{ model: main, system: \"{rules}\", prompt: hello, tools: [t.echo] }} }}
"
    );
    let model = ScriptedModel::new().when("You may ask for tools", r#"{"text": "", "calls": []}"#).otherwise("fine");
    let world = world(model);
    let (run, ended) = world.run(&yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    let told = world.model.told_ahead();
    assert_eq!(told.len(), 1, "{told:?}");
    let said: Vec<_> = told[0].messages.iter().map(|message| (message.role, message.content.as_str())).collect();
    assert_eq!(said, [(Role::System, rules.trim_end()), (Role::User, "Now,")]);
}
