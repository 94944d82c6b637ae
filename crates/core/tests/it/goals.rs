//! Goals: what a model writes becomes steps of the run, and ends honestly.

mod agents;
mod around;
mod defects;
mod ends;
mod pace;
mod plans;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkway_core::label::Labels;
use parkway_core::log::RunStatus;
use parkway_core::model::{ChatRequest, ModelError};
use parkway_core::testing::ScriptedModel;
use parkway_core::tool::{Effect, ToolError, ToolSpec};
use serde_json::{Value, json};

use crate::check::{Acting, World};

/// A model whose answer to each turn is written down, by the turn's id; a turn without one is an error.
pub(crate) fn turns(answers: &[(&str, Value)]) -> ScriptedModel {
    let answers: Vec<(String, Value)> = answers.iter().map(|(id, answer)| ((*id).to_owned(), answer.clone())).collect();
    ScriptedModel::new().script(move |request| {
        let id = turn_of(request);
        let answer = answers.iter().find(|(turn, _)| *turn == id).map(|(_, answer)| answer.to_string());
        answer.ok_or_else(|| ModelError::Backend { message: format!("the script has no `{id}`"), retryable: false })
    })
}

pub(crate) fn turn_of(request: &ChatRequest) -> String {
    request.step.as_ref().and_then(|step| step.last().map(|last| last.id.clone())).unwrap_or_default()
}

/// What tools were called with, in the order in which the calls began.
pub(crate) type Calls = Arc<Mutex<Vec<Value>>>;

/// A world with a shop: `shop.find` reads a price, `shop.list` lists names, `shop.send` changes something, `shop.broken` always fails.
pub(crate) fn shop(delay: Duration) -> (World, Calls) {
    let calls = Calls::default();
    let spec = |name: &str, effect, input: Value, output: Value| ToolSpec {
        name: name.into(),
        description: format!("{name} of the shop"),
        input_schema: input,
        output_schema: output,
        effect,
        labels: Labels::UNTRUSTED,
    };
    let name = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": false});
    let price = json!({"type": "object", "properties": {"name": {"type": "string"}, "price": {"type": "integer"}}, "required": ["name", "price"]});
    let names = json!({"type": "object", "properties": {"names": {"type": "array", "items": {"type": "string"}}}, "required": ["names"]});
    let letter = json!({"type": "object", "properties": {"text": {"type": "string"}, "price": {"type": "integer"}}, "required": ["price"], "additionalProperties": false});
    let id = json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]});
    let tools = [
        spec("shop.find", Effect::Read, name.clone(), price),
        spec(
            "shop.list",
            Effect::Read,
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
            names,
        ),
        spec("shop.send", Effect::Idempotent, letter, id),
        spec(
            "shop.broken",
            Effect::Read,
            name,
            json!({"type": "object", "properties": {"price": {"type": "integer"}}, "required": ["price"]}),
        ),
    ];
    let mut world = World::paced();
    for spec in tools {
        let (calls, name) = (calls.clone(), spec.name.clone());
        let act = move |input: Value, _: parkway_core::tool::ToolContext| {
            let (calls, name) = (calls.clone(), name.clone());
            async move {
                calls.lock().unwrap().push(json!({ "tool": name, "args": input }));
                tokio::time::sleep(delay).await;
                match name.as_str() {
                    "shop.find" => {
                        let named = input["name"].as_str().unwrap_or_default();
                        Ok(json!({ "name": named, "price": 100 + named.len() }))
                    }
                    "shop.list" => Ok(json!({ "names": ["pen", "lamp", "chair"] })),
                    "shop.send" => Ok(json!({ "id": "m-77" })),
                    _ => Err(ToolError::invalid("broken", "the shop is closed")),
                }
            }
        };
        world = world.tool(Acting { spec, act });
    }
    (world, calls)
}

/// A workflow of one step with this verb.
pub(crate) fn workflow(verb: &str) -> String {
    format!(
        "parkway: 1\nname: goal\nmodels:\n  main: {{ gguf: {{ path: model.gguf }} }}\ntools:\n  shop: {{}}\nsteps:\n  goal:\n{verb}\noutputs: {{ answer: \"${{{{ steps.goal.output }}}}\" }}\n"
    )
}

/// How a goal ends in the shop: its log, its status, and what was called.
pub(crate) async fn log_of(answers: &[(&str, Value)], verb: &str) -> (String, RunStatus, Vec<Value>) {
    let (world, calls) = shop(Duration::from_secs(1));
    let world = world.model(turns(answers));
    let (run, ended) = world.run(&workflow(verb), json!({})).await;
    let log = world.log(run).await;
    assert_eq!(world.state(run).await.status(), ended.status);
    let calls = calls.lock().unwrap().clone();
    (log, ended.status, calls)
}
