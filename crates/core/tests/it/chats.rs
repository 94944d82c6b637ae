//! What a chat may hold beside its prompt: several messages, an adapter, tools that the model may ask for.

use parkway_core::id::RunId;
use parkway_core::log::EventKind;
use parkway_core::model::{ConstraintKind, Role};
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
        EventKind::ModelCalled { call, .. } => call.adapter,
        _ => None,
    });
    assert_eq!(called.as_deref(), Some("legal"));
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
