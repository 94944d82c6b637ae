//! Model turns: what is asked, what is checked, what is asked again, and what it costs.

use parkway_core::model::ModelError;
use parkway_core::testing::ScriptedModel;
use serde_json::json;

use crate::check::{World, check_in};

const ORDER: &str = "
models: { main: { gguf: { name: x } } }
steps:
  ask: { chat: { model: main, system: be brief, prompt: which order, output: { order: { type: string, pattern: '[A-Z]-[0-9]+' } } } }
  after: { set: { order: '${{ steps.ask.output.order }}' } }
";

#[tokio::test]
async fn an_answer_of_the_right_form_is_an_object() {
    let world = World::new().model(ScriptedModel::new().otherwise(r#"{"order": "A-1"}"#));
    check_in(
        &world,
        ORDER,
        r##"
            step_started ask #1 [{"role":"system","content":"be brief"},{"role":"user","content":"which order"}]
            model_called ask turn 1, "{\"order\": \"A-1\"}", valid
            step_completed ask {"order":"A-1"}
            step_started after #1
            step_completed after {"order":"A-1"}
            run_completed {}
"##,
    )
    .await;
    assert!(world.model.requests()[0].constraint.is_some());
}

#[tokio::test]
async fn a_model_that_enforces_nothing_is_told_what_is_wrong_and_asked_again() {
    let script = |request: &parkway_core::model::ChatRequest| {
        Ok(match request.messages.len() {
            2 => "The order is A-1.",
            4 => r#"{"order": "a-1"}"#,
            _ => r#"{"order": "A-1"}"#,
        }
        .to_owned())
    };
    let world = World::new().model(ScriptedModel::new().enforces([]).script(script));
    check_in(
        &world,
        ORDER,
        r##"
            step_started ask #1 [{"role":"system","content":"be brief"},{"role":"user","content":"which order"}]
            model_called ask turn 1, "The order is A-1.", invalid
            model_called ask turn 2, "{\"order\": \"a-1\"}", invalid
            model_called ask turn 3, "{\"order\": \"A-1\"}", valid
            step_completed ask {"order":"A-1"}
            step_started after #1
            step_completed after {"order":"A-1"}
            run_completed {}
"##,
    )
    .await;
    let requests = world.model.requests();
    assert!(requests.iter().all(|request| request.constraint.is_none()));
    let again = &requests[1].messages[3].content;
    assert!(again.starts_with("This is not valid: it is no JSON"), "{again}");
}

#[tokio::test]
async fn repairs_end_and_the_tokens_of_all_turns_are_counted() {
    let world = World::new().model(ScriptedModel::new().enforces([]).otherwise("no idea"));
    check_in(&world, &format!("budget: {{ tokens: 10k }}{ORDER}"), r##"
            step_started ask #1 [{"role":"system","content":"be brief"},{"role":"user","content":"which order"}]
            budget_reserved ask 1548 tokens, 0 calls
            model_called ask turn 1, "no idea", invalid
            model_called ask turn 2, "no idea", invalid
            model_called ask turn 3, "no idea", invalid
            budget_settled ask 93 tokens, 0 calls
            step_failed ask invalid_answer: the model's answer is not of the form asked for, after 3 tries: it is no JSON: expected ident at line 1 column 2
            step_skipped after RunFailed
            run_failed invalid_answer at ask: the model's answer is not of the form asked for, after 3 tries: it is no JSON: expected ident at line 1 column 2
"##).await;
}

#[tokio::test]
async fn a_model_that_fails_for_now_is_asked_again() {
    let calls = std::sync::atomic::AtomicU32::new(0);
    let script =
        move |_: &parkway_core::model::ChatRequest| match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Err(ModelError::Backend { message: "busy".into(), retryable: true }),
            _ => Ok("hello".into()),
        };
    let world = World::new().model(ScriptedModel::new().script(script));
    let yaml = "
models: { main: { gguf: { name: x } } }
steps: { ask: { chat: { model: main, prompt: hi }, retry: { max: 2, initial: 1ms } } }
";
    check_in(
        &world,
        yaml,
        r##"
            step_started ask #1 [{"role":"user","content":"hi"}]
            step_retried ask model: the model failed: busy
            step_started ask #2 [{"role":"user","content":"hi"}]
            model_called ask turn 1, "hello", valid
            step_completed ask "hello"
            run_completed {}
"##,
    )
    .await;
    let requests = world.model.requests();
    assert_ne!(requests[0].seed, requests[1].seed);
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_not_asked_again() {
    let script = |_: &parkway_core::model::ChatRequest| {
        Err(ModelError::PromptTooLong { model: "m".into(), prompt_tokens: 9, max_tokens: 1, context_length: 8 })
    };
    let world = World::new().model(ScriptedModel::new().script(script));
    let yaml = "
models: { main: { gguf: { name: x } } }
steps: { ask: { chat: { model: main, prompt: hi } } }
";
    check_in(&world, yaml, r##"
            step_started ask #1 [{"role":"user","content":"hi"}]
            step_failed ask prompt_too_long: the prompt has 9 tokens and the answer may take 1, but the context of model `m` holds 8
            run_failed prompt_too_long at ask: the prompt has 9 tokens and the answer may take 1, but the context of model `m` holds 8
"##).await;
}

#[tokio::test]
async fn tokens_are_set_aside_before_the_call_and_settled_after_it() {
    let yaml = "
models: { main: { gguf: { name: x } } }
budget: { tokens: 25 }
steps:
  a: { chat: { model: main, prompt: one two three, max_tokens: 10 } }
  b: { needs: [a], chat: { model: main, prompt: one two three, max_tokens: 10 } }
  c: { needs: [b], chat: { model: main, prompt: one two three, max_tokens: 20 } }
";
    check_in(&World::new(), yaml, r##"
            step_started a #1 [{"role":"user","content":"one two three"}]
            budget_reserved a 13 tokens, 0 calls
            model_called a turn 1, "fine", valid
            budget_settled a 4 tokens, 0 calls
            step_completed a "fine"
            step_started b #1 [{"role":"user","content":"one two three"}]
            budget_reserved b 13 tokens, 0 calls
            model_called b turn 1, "fine", valid
            budget_settled b 4 tokens, 0 calls
            step_completed b "fine"
            step_failed c budget: the call needs 23 tokens, and 17 of the budget's 25 are left; raise `budget: { … }` in the workflow
            run_failed budget at c: the call needs 23 tokens, and 17 of the budget's 25 are left; raise `budget: { … }` in the workflow
"##).await;
}

#[tokio::test]
async fn an_answer_that_took_too_long_is_not_free_of_cost() {
    let yaml = "
models: { main: { gguf: { name: x } } }
budget: { tokens: 25 }
steps:
  a: { chat: { model: main, prompt: one two three, max_tokens: 10 }, timeout: 10ms, retry: { max: 2, initial: 1ms } }
";
    let world = World::new().model(ScriptedModel::new().otherwise("x").delay(std::time::Duration::from_secs(60)));
    check_in(&world, yaml, r##"
            step_started a #1 [{"role":"user","content":"one two three"}]
            budget_reserved a 13 tokens, 0 calls
            budget_settled a 13 tokens, 0 calls
            step_retried a timeout: the call took longer than 10ms
            step_failed a budget: the call needs 13 tokens, and 12 of the budget's 25 are left; raise `budget: { … }` in the workflow
            run_failed budget at a: the call needs 13 tokens, and 12 of the budget's 25 are left; raise `budget: { … }` in the workflow
"##).await;
}

#[tokio::test]
async fn the_seed_is_the_authors_or_the_same_in_every_run() {
    let world = World::new();
    let yaml = "
parkway: 1
models: { main: { gguf: { name: x } } }
steps:
  a: { chat: { model: main, prompt: hi, seed: 7, temperature: 0.5 } }
  b: { needs: [a], chat: { model: main, prompt: hi } }
";
    for _ in 0..2 {
        world.run(yaml, json!({})).await;
    }
    let requests = world.model.requests();
    assert_eq!((requests[0].seed, requests[0].temperature), (7, 0.5));
    assert_eq!(requests[1].seed, requests[3].seed);
}
