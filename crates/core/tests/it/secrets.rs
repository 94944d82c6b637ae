//! Secrets reach the call that needs them and nothing else; environment variables are read once.

use std::sync::{Arc, Mutex};

use parkway_core::engine::{Executor, ExecutorError};
use parkway_core::id::RunId;
use parkway_core::log::{EventKind, Resolution, RunStatus};
use parkway_core::store::Log;
use parkway_core::testing::ScriptedModel;
use parkway_core::tool::{Effect, ToolContext, ToolError, ToolOutput, tool_fn};
use parkway_core::workflow::{Plan, Verb};
use serde_json::{Value, json};

use crate::check::{Acting, Echo, Vault, World, compare};

const VALUE: &str = "hunter2-Zürich";

type Seen = Arc<Mutex<Vec<Value>>>;

/// A world with the secret TOKEN, and tools that remember what they were called with and give it back.
fn world() -> (World, Seen) {
    let seen = Seen::default();
    let tool = |name: &str, effect, fails: bool| {
        let seen = seen.clone();
        Acting::new(name, effect, move |input: Value, _: ToolContext| {
            seen.lock().unwrap().push(input.clone());
            async move {
                match fails {
                    true => Err(ToolError { retryable: true, ..ToolError::invalid("refused", format!("no: {input}")) }),
                    false => Ok(input),
                }
            }
        })
    };
    let mut world = World::new()
        .tool(tool("t.send", Effect::Read, false))
        .tool(tool("t.once", Effect::AtMostOnce, false))
        .tool(tool("t.refuse", Effect::Read, true));
    world.secrets = Vault([("TOKEN".to_owned(), VALUE.to_owned()), ("OTHER".to_owned(), "other!".to_owned())].into());
    (world, seen)
}

/// A plan with one call, in the place of a `set` of its arguments, that may name secrets.
fn sending(world: &World, tool: &str, with: &Value, rest: &str) -> Plan {
    let yaml = format!(
        "parkway: 1\nname: test\ntools: {{ t: {{}} }}\nmodels: {{ main: {{}} }}\nsteps:\n  send: {{ retry: 1, tool: {tool}, with: {{}} }}\n{rest}"
    );
    let mut plan = world.plan(&yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let Verb::Tool { with: place, .. } = &mut plan.graph.nodes[0].verb else { panic!("no tool") };
    *place = with.clone();
    plan.secrets = vec!["TOKEN".into(), "OTHER".into()];
    plan
}

async fn run(world: &World, plan: Plan) -> RunId {
    world.drive(world.create_plan(plan, json!({})).await).await.0
}

/// Everything that is kept of all runs.
async fn kept(world: &World) -> String {
    let mut text = String::new();
    for (_, event) in world.store.tail(0, 10_000).await.unwrap() {
        let body = String::from_utf8(event.to_bytes().unwrap()).unwrap();
        for commitment in body.split('"').filter_map(|part| part.parse().ok()) {
            for payload in world.store.payloads(&[commitment]).await.unwrap().into_iter().flatten() {
                text.push_str(&String::from_utf8(payload.bytes).unwrap());
                text.push('\n');
            }
        }
        text.push_str(&body);
        text.push('\n');
    }
    text
}

#[tokio::test]
async fn a_secret_reaches_its_call_and_nothing_that_is_kept() {
    let (world, seen) = world();
    let with = json!({
        "whole": "${{ secrets.TOKEN }}",
        "headers": [{"auth": "Bearer ${{ secrets.TOKEN }}; ${{ secrets.OTHER }} [secret TOKEN]"}],
        "data": "[secret OTHER]",
    });
    let rest = "outputs: { back: '${{ steps.send.output }}' }";
    let run = run(&world, sending(&world, "t.send", &with, rest)).await;
    let auth = format!("Bearer {VALUE}; other! [secret TOKEN]");
    let called = json!({"whole": VALUE, "headers": [{"auth": auth}], "data": "[secret OTHER]"});
    assert_eq!(*seen.lock().unwrap(), [called]);
    let shown = r#"{"whole":"[secret TOKEN]","headers":[{"auth":"Bearer [secret TOKEN]; [secret OTHER] [secret TOKEN]"}],"data":"[secret OTHER]"}"#;
    compare(
        &world,
        run,
        &format!(
            "step_started send #1 {shown} by default.read
            step_completed send {shown}
            run_completed {{\"back\":{shown}}}"
        ),
    )
    .await;
    let kept = kept(&world).await;
    assert!(kept.contains("[secret TOKEN]") && !kept.contains("hunter2") && !kept.contains("other!"), "{kept}");
    let labels = world.events(run).await.into_iter().find_map(|event| match event.kind {
        EventKind::StepStarted { labels, .. } => Some(labels),
        _ => None,
    });
    let labels = labels.unwrap();
    assert!(labels["whole"].secret && labels["headers"].secret && !labels.contains_key("data"));
    assert!(!world.state(run).await.steps()[0].labels.secret);
}

#[tokio::test]
async fn a_secret_in_an_error_or_a_panic_is_not_kept() {
    let (world, seen) = world();
    let panics = Acting::new("t.panic", Effect::Pure, |input: Value, _| async move {
        assert!(input.is_null(), "cannot take {input}");
        Ok(json!(1))
    });
    let world = world.tool(panics);
    let with = json!({"token": "${{ secrets.TOKEN }}"});
    for (tool, message) in [
        ("t.refuse", r#"refused: no: {"token":"[secret TOKEN]"}"#),
        ("t.panic", r#"panic: the tool panicked: cannot take {"token":"[secret TOKEN]"}"#),
    ] {
        let run = run(&world, sending(&world, tool, &with, "")).await;
        let log = world.log(run).await;
        assert!(log.contains(&format!("step_failed send {message}")), "{log}");
    }
    // The second attempt is given the secret too.
    assert_eq!(*seen.lock().unwrap(), [json!({"token": VALUE}), json!({"token": VALUE})]);
    let kept = kept(&world).await;
    assert!(!kept.contains("hunter2"), "{kept}");
}

#[tokio::test]
async fn arguments_that_do_not_fit_do_not_tell_the_secret() {
    let (world, _) = world();
    let world = world.tool(tool_fn("t.number", Effect::Pure, |n: Number| async move { Ok(n.n) }));
    // The checker wants the argument that the run is to be given.
    let mut plan = sending(&world, "t.send", &json!({}), "");
    plan.graph.nodes[0].verb = Verb::Tool { name: "t.number".into(), with: json!({"n": "${{ secrets.TOKEN }}"}) };
    let run = run(&world, plan).await;
    let log = world.log(run).await;
    assert!(
        log.contains("step_failed send invalid: the arguments do not fit `t.number`: at `/n`: \"[secret TOKEN]\""),
        "{log}"
    );
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Number {
    n: u32,
}

#[tokio::test]
async fn a_person_approves_a_call_without_seeing_the_secret() {
    let (world, seen) = world();
    let with = json!({"text": "${{ secrets.TOKEN }}"});
    let run = run(&world, sending(&world, "t.once", &with, "")).await;
    let log = world.log(run).await;
    assert!(log.contains(r#""args":{"text":"[secret TOKEN]"}"#), "{log}");
    assert!(seen.lock().unwrap().is_empty());
    world.answer(run, "send", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(*seen.lock().unwrap(), [json!({"text": VALUE})]);
    assert!(!kept(&world).await.contains("hunter2"));
}

#[tokio::test]
async fn a_secret_that_stands_anywhere_else_is_refused_when_the_run_comes_to_it() {
    let (world, seen) = world();
    let expression = "${{ secrets.TOKEN }}";
    let verbs = [
        Verb::Set { values: json!({"a": expression}) },
        Verb::Approve { prompt: expression.into(), timeout_ms: None, show: None },
        Verb::Tool { name: "t.send".into(), with: json!({"a": "${{ secrets.TOKEN | upper }}"}) },
        Verb::Tool { name: "t.send".into(), with: json!({"a": "${{ secrets.NONE }}"}) },
    ];
    for verb in verbs {
        let mut plan = sending(&world, "t.send", &json!({}), "");
        plan.graph.nodes[0].verb = verb;
        let run = run(&world, plan).await;
        let log = world.log(run).await;
        assert!(log.contains("step_failed send template: "), "{log}");
    }
    let mut plan = sending(&world, "t.send", &json!({}), "");
    plan.graph.nodes[0].condition = Some(json!("secrets.TOKEN == 'x'"));
    let run = run(&world, plan).await;
    assert!(world.log(run).await.contains("a secret may stand in the arguments of a `tool` only"));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_missing_is_told_before_the_run_exists() {
    let (world, _) = world();
    let mut plan = sending(&world, "t.send", &json!({}), "");
    plan.secrets = vec!["TOKEN".into(), "NONE".into(), "NEITHER".into()];
    let error = start(&world, plan.clone()).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "the secret `NONE` has no source; say where it comes from in `parkway.toml`: `[secrets]`, `NONE = { env = \"NONE\" }`; \
         the secret `NEITHER` has no source; say where it comes from in `parkway.toml`: `[secrets]`, `NEITHER = { env = \"NEITHER\" }`"
    );
    (plan.secrets, plan.env) = (Vec::new(), vec!["REGION".into()]);
    let error = start(&world, plan).await.unwrap_err();
    assert!(matches!(&error, ExecutorError::Missing(missing) if missing[0].contains("`REGION`")), "{error}");
    assert_eq!(world.store.tail(0, 1).await.unwrap(), []);
}

async fn start(world: &World, plan: Plan) -> Result<Executor, ExecutorError> {
    Executor::create(world.services(), world.models(), world.control.clone(), Arc::new(plan), &json!({})).await
}

#[tokio::test]
async fn the_environment_is_read_once_and_declared_names_only() {
    let (mut world, _) = world();
    world.env = [("REGION".to_owned(), "north".to_owned()), ("HOME".to_owned(), "secret".to_owned())].into();
    let rest = "
  confirm: { needs: [send], approve: { prompt: ok? } }
  after: { needs: [confirm], set: { region: x } }
outputs: { region: '${{ steps.after.output.region }}' }";
    let mut plan = sending(&world, "t.send", &json!({"text": "in ${{ env.REGION }}"}), rest);
    plan.env = vec!["REGION".into()];
    plan.graph.nodes[2].verb = Verb::Set { values: json!({"region": "${{ env.REGION }}"}) };
    let run = run(&world, plan).await;
    assert!(world.log(run).await.contains(r#"step_completed send {"text":"in north"}"#));
    assert!(!kept(&world).await.contains("HOME"));
    // Another process, with another environment.
    world.env = [("REGION".to_owned(), "south".to_owned())].into();
    world.answer(run, "confirm", true).await;
    world.resume(run).await.unwrap();
    assert_eq!(world.outputs(run).await, json!({"region": "north"}));
}

#[tokio::test]
async fn the_output_schema_sees_what_the_tool_returned() {
    let (world, _) = world();
    let exact = Exact {
        spec: parkway_core::tool::ToolSpec {
            name: "t.exact".into(),
            description: String::new(),
            input_schema: parkway_core::tool::schema_of::<Echo>(),
            output_schema: json!({"const": VALUE}),
            effect: Effect::Pure,
            labels: parkway_core::label::Labels::NONE,
        },
    };
    let world = world.tool(exact);
    let plan = sending(
        &world,
        "t.exact",
        &json!({"value": "${{ secrets.TOKEN }}"}),
        "outputs: { a: '${{ steps.send.output }}' }",
    );
    let run = run(&world, plan).await;
    assert_eq!(world.outputs(run).await, json!({"a": "[secret TOKEN]"}));
}

struct Exact {
    spec: parkway_core::tool::ToolSpec,
}

#[async_trait::async_trait]
impl parkway_core::tool::Tool for Exact {
    fn spec(&self) -> &parkway_core::tool::ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, _: &ToolContext) -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::new(input["value"].clone()))
    }
}

#[tokio::test]
async fn a_secret_that_a_person_tells_of_a_call_in_doubt_is_not_kept() {
    let (mut world, _) = world();
    let lost = Acting::new("t.lost", Effect::AtMostOnce, |_: Value, _: ToolContext| async move {
        Err::<Value, _>(ToolError::transient("net", "the line broke"))
    });
    world = world.tool(lost);
    let with = json!({"token": "${{ secrets.TOKEN }}"});
    let run = run(&world, sending(&world, "t.lost", &with, "")).await;
    world.answer(run, "send", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    world.resolve(run, "send", Resolution::Done { output: json!({"echo": format!("sent {VALUE}")}) }).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    let log = world.log(run).await;
    assert!(log.contains(r#"step_completed send {"echo":"sent [secret TOKEN]"}"#), "{log}");
    let state = world.state(run).await;
    assert!(!state.steps()[0].labels.secret);
}

#[tokio::test]
async fn a_secret_comes_back_in_another_form_and_is_kept() {
    let forms: [fn(&str) -> String; 4] = [
        |value| hex::encode(value),
        |value| hex::encode_upper(value),
        |value| value.replace('ü', "%c3%bc").replace('-', "%2d"),
        |value| value.replace('ü', "\\u00FC"),
    ];
    for form in forms {
        let (world, _) = world();
        let world = world
            .tool(Acting::new("t.form", Effect::Pure, move |input: Value, _| async move {
                Ok(json!(format!("<{}>", form(input["token"].as_str().unwrap()))))
            }))
            .tool(Acting::new("t.form_fails", Effect::Pure, move |input: Value, _| async move {
                Err::<Value, _>(ToolError::invalid("no", format!("<{}>", form(input["token"].as_str().unwrap()))))
            }));
        let with = json!({"token": "${{ secrets.TOKEN }}"});
        let gives = run(&world, sending(&world, "t.form", &with, "")).await;
        assert!(world.log(gives).await.contains("step_completed send \"<[secret TOKEN]>\""));
        let fails = run(&world, sending(&world, "t.form_fails", &with, "")).await;
        assert!(world.log(fails).await.contains("step_failed send no: <[secret TOKEN]>"));
        let kept = kept(&world).await;
        assert!(!kept.contains("unter2") && !kept.contains(&form(VALUE)), "{kept}");
    }
}

/// A tool that gives a secret, and one that fails to.
fn safe(world: World) -> World {
    let gives = |name: &str, effect, fails: bool| {
        let tool = tool_fn(name, effect, move |_: Value| async move {
            match fails {
                true => Err(ToolError::invalid("locked", format!("{VALUE} does not open it"))),
                false => Ok(json!({"token": VALUE, "lines": [VALUE, 7]})),
            }
        });
        tool.labels(parkway_core::label::Labels { untrusted: false, secret: true })
    };
    world.tool(gives("safe.get", Effect::Read, false)).tool(gives("safe.fail", Effect::Read, true)).tool(gives(
        "safe.take",
        Effect::AtMostOnce,
        false,
    ))
}

#[tokio::test]
async fn what_a_tool_gives_that_gives_secrets_is_kept() {
    let (mut world, _) = world();
    world.secrets = Vault::default();
    let world = safe(world);
    let yaml = |tool: &str| {
        format!("parkway: 1\ntools: {{ safe: {{}} }}\nsteps: {{ get: {{ tool: {tool}, with: {{}}, retry: 0 }} }}\n")
    };
    for (tool, says) in
        [("safe.get", "step_completed get \"[secret]\""), ("safe.fail", "step_failed get locked: [secret]")]
    {
        let (run, _) = world.run(&yaml(tool), json!({})).await;
        let log = world.log(run).await;
        assert!(log.contains(says), "{log}");
        assert!(world.state(run).await.steps()[0].labels.secret || tool == "safe.fail");
    }
    let (run, ended) = world.run(&yaml("safe.take"), json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    world.answer(run, "get", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert!(world.log(run).await.contains("step_completed get \"[secret]\""));
    let kept = kept(&world).await;
    assert!(!kept.contains("hunter2"), "{kept}");
}

#[test]
fn an_expression_finds_a_placeholder_where_a_tool_gave_a_secret() {
    let world = safe(world().0);
    let plan = world.plan(
        "parkway: 1\ntools: { safe: {} }\nsteps:\n  get: { tool: safe.get, with: {} }\n  use: { set: { x: '${{ steps.get.output.token }}' } }\n",
    );
    let problems = plan.unwrap_err().to_string();
    assert!(
        problems.contains("error[secret-misused]: what `safe.get` gives is a secret")
            && problems.contains("test.yaml:5:"),
        "{problems}"
    );
    let fine = "parkway: 1\ntools: { safe: {} }\nsteps:\n  get: { tool: safe.get, with: {} }\n  use: { set: { x: '${{ steps.get.status }}' } }\n";
    world.plan(fine).unwrap();
}

#[tokio::test]
async fn what_a_person_says_that_a_tool_of_secrets_gave_is_kept() {
    let (world, _) = world();
    let lost = tool_fn("safe.lost", Effect::AtMostOnce, |_: Value| async move {
        Err::<Value, _>(ToolError::transient("net", format!("the line broke at {VALUE}")))
    });
    let world = world.tool(lost.labels(parkway_core::label::Labels { untrusted: false, secret: true }));
    let yaml = "parkway: 1\ntools: { safe: {} }\nsteps: { get: { tool: safe.lost, with: {} } }\n";
    let (run, _) = world.run(yaml, json!({})).await;
    world.answer(run, "get", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    world.resolve(run, "get", Resolution::Done { output: json!({"token": VALUE}) }).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    let log = world.log(run).await;
    assert!(log.contains("step_completed get \"[secret]\""), "{log}");
    assert!(!kept(&world).await.contains("hunter2"));
}

#[tokio::test]
async fn a_model_that_says_the_key_of_its_server_has_it_kept() {
    let (mut world, _) = world();
    world.secrets = Vault([("KEY".to_owned(), VALUE.to_owned())].into());
    let world = world.model(ScriptedModel::new().otherwise(format!("my key is {VALUE}, {}", hex::encode(VALUE))));
    let yaml = "
parkway: 1
secrets: [KEY]
models: { main: { openai: { url: http://localhost:1/v1, model: m, key: '${{ secrets.KEY }}' } } }
steps: { ask: { chat: { model: main, prompt: hello } } }
outputs: { said: '${{ steps.ask.output }}' }
";
    let (run, _) = world.run(yaml, json!({})).await;
    assert_eq!(world.outputs(run).await, json!({"said": "my key is [secret KEY], [secret KEY]"}));
    let kept = kept(&world).await;
    assert!(!kept.contains("hunter2") && !kept.contains(&hex::encode(VALUE)), "{kept}");
}
