//! What each kind of server is asked, how it is recognised, and what it is never asked for.

use std::time::{Duration, Instant};

use parkway_core::model::{Constraint, ConstraintKind, Model as _, ModelError};
use parkway_openai::{OpenAi, Server};
use serde_json::{Value, json};

use crate::chats::{model, request};
use crate::served::{Act, DONE, STOP, Served, json as whole, nobody, say, status, stream};

fn said(text: &str) -> String {
    let piece = json!({"choices": [{"index": 0, "delta": {"content": text}}]}).to_string();
    stream(&[&piece, STOP, DONE])
}

/// What a server of this kind is sent for a constraint, besides what every request has.
async fn sent(server: Server, constraint: Constraint, answer: &str) -> Result<Value, ModelError> {
    let served = Served::bytes(said(answer)).await;
    let mut asked = request("Hi");
    asked.constraint = Some(constraint);
    let response = model(&served, server).await.chat(asked).await?;
    assert_eq!(response.text, answer);
    assert_eq!(response.end.grammar.map(|hash| hash.len()), Some(64));
    let mut body = served.seen().pop().unwrap().body;
    for known in
        ["model", "messages", "stream", "stream_options", "temperature", "seed", "max_tokens", "max_completion_tokens"]
    {
        body.as_object_mut().unwrap().remove(known);
    }
    Ok(body)
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false})
}

#[tokio::test]
async fn a_schema_is_sent_in_one_form_to_all_that_enforce_it() {
    let expect = json!({"response_format": {
        "type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema()},
    }});
    let kinds = [Server::LlamaServer, Server::Vllm, Server::SgLang, Server::RayServe, Server::Ollama, Server::OpenAi];
    for server in kinds {
        assert_eq!(sent(server, Constraint::JsonSchema(schema()), "{\"n\":1}").await.unwrap(), expect, "{server}");
    }
}

#[tokio::test]
async fn choices_and_patterns_are_sent_in_the_words_of_each() {
    let choice = || Constraint::Choice(vec!["yes".into(), "no".into()]);
    let grammar = "root ::= \"yes\" | \"no\"";
    assert_eq!(sent(Server::LlamaServer, choice(), "no").await.unwrap(), json!({"grammar": grammar}));
    assert_eq!(sent(Server::SgLang, choice(), "no").await.unwrap(), json!({"ebnf": grammar}));
    for server in [Server::Vllm, Server::RayServe] {
        let expect = json!({"structured_outputs": {"choice": ["yes", "no"]}});
        assert_eq!(sent(server, choice(), "no").await.unwrap(), expect);
        let expect = json!({"structured_outputs": {"regex": "[0-9]+"}});
        assert_eq!(sent(server, Constraint::Regex("[0-9]+".into()), "12").await.unwrap(), expect);
    }
    let pattern = Constraint::Regex("[0-9]+".into());
    assert_eq!(sent(Server::SgLang, pattern, "12").await.unwrap(), json!({"regex": "[0-9]+"}));
}

#[tokio::test]
async fn what_a_server_cannot_enforce_is_refused_before_anything_is_sent() {
    let all = [
        Constraint::JsonSchema(schema()),
        Constraint::Choice(vec!["a".into()]),
        Constraint::Regex("a".into()),
        Constraint::Lark("start: \"a\"".into()),
    ];
    for server in Server::ALL {
        let served = Served::bytes(said("a")).await;
        let model = model(&served, server).await;
        let before = served.seen().len();
        for constraint in all.iter().filter(|constraint| !model.capabilities().constraints.contains(&constraint.kind()))
        {
            let mut asked = request("Hi");
            asked.constraint = Some(constraint.clone());
            let error = model.chat(asked).await.unwrap_err();
            assert!(matches!(error, ModelError::Unsupported(_)), "{server}: {error}");
            assert!(error.to_string().contains(server.as_str()), "{error}");
        }
        assert_eq!(served.seen().len(), before, "{server}");
        let none = matches!(server, Server::DeepSeek | Server::Other);
        assert_eq!(model.capabilities().constraints.is_empty(), none, "{server}");
    }
    let open = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let error = sent(Server::OpenAi, Constraint::JsonSchema(open), "{}").await.unwrap_err();
    assert!(matches!(&error, ModelError::Unsupported(words) if words.contains("strict form")), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_keep_to_a_form_is_not_believed() {
    for (constraint, words) in [
        (Constraint::Choice(vec!["yes".into(), "no".into()]), "none of the texts"),
        (Constraint::Regex("[0-9]+".into()), "does not match the regular expression"),
    ] {
        let error = sent(Server::Vllm, constraint, "12 maybe").await.unwrap_err();
        assert!(error.retryable() && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn an_answer_of_a_form_that_is_cut_is_an_error() {
    let length = r#"{"choices":[{"index":0,"delta":{"content":"{"},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":7}}"#;
    let served = Served::events(&[length, DONE]).await;
    let mut asked = request("Hi");
    asked.constraint = Some(Constraint::JsonSchema(schema()));
    let error = model(&served, Server::Ollama).await.chat(asked).await.unwrap_err();
    assert_eq!(error, ModelError::Cut { tokens: 7 });
}

#[tokio::test]
async fn the_beginning_of_an_answer_goes_to_those_that_go_on_with_it() {
    let asked = || {
        let mut asked = request("Hi");
        asked.assistant_prefix = Some("Once".into());
        asked
    };
    for (server, fields) in [
        (Server::LlamaServer, json!({})),
        (Server::Vllm, json!({"continue_final_message": true, "add_generation_prompt": false})),
        (Server::SgLang, json!({"continue_final_message": true})),
    ] {
        let served = Served::bytes(said(" upon")).await;
        model(&served, server).await.chat(asked()).await.unwrap();
        let body = served.seen().pop().unwrap().body;
        assert_eq!(body["messages"][1], json!({"role": "assistant", "content": "Once"}));
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(body[name], *value, "{server}");
        }
    }
    let served = Served::bytes(said(" upon")).await;
    let error = model(&served, Server::OpenAi).await.chat(asked()).await.unwrap_err();
    assert!(matches!(error, ModelError::Unsupported(_)), "{error}");
}

/// A server that answers these paths, and nothing else.
async fn telling(paths: Vec<(&'static str, String)>) -> Served {
    Served::new(move |seen| {
        let found = paths.iter().find(|(path, _)| seen.what == format!("GET {path}"));
        vec![say(found.map_or_else(|| status("404 Not Found", "", "nothing here"), |(_, answer)| answer.clone()))]
    })
    .await
}

fn models(owner: &str, length: Option<u32>) -> String {
    let entry = json!({"id": "m", "object": "model", "owned_by": owner, "max_model_len": length});
    whole(&json!({"object": "list", "data": [entry]}))
}

#[track_caller]
fn check(model: &OpenAi, server: Server, length: Option<u32>) {
    assert_eq!((model.server(), model.capabilities().context_length), (server, length));
    assert!(model.reached());
}

#[tokio::test]
async fn servers_are_known_by_what_they_tell_of_themselves() {
    let props = whole(&json!({"default_generation_settings": {"n_ctx": 4096}, "total_slots": 4}));
    let version = |version: &str| whole(&json!({ "version": version }));
    let load = async |served: &Served| OpenAi::at(served.url(), "m").load().await.unwrap();
    let served = telling(vec![("/v1/models", models("llamacpp", None)), ("/props", props.clone())]).await;
    check(&load(&served).await, Server::LlamaServer, Some(4096));
    let served = telling(vec![("/props", props)]).await;
    check(&load(&served).await, Server::LlamaServer, Some(4096));
    let served = telling(vec![("/v1/models", models("vllm", Some(8192))), ("/version", version("0.11.2"))]).await;
    check(&load(&served).await, Server::Vllm, Some(8192));
    let served = telling(vec![("/v1/models", models("sglang", Some(2048)))]).await;
    check(&load(&served).await, Server::SgLang, Some(2048));
    let served = telling(vec![("/v1/models", models("library", None)), ("/api/version", version("0.12.6"))]).await;
    check(&load(&served).await, Server::Ollama, None);
    let served = telling(vec![("/-/healthz", status("200 OK", "", "success"))]).await;
    check(&load(&served).await, Server::RayServe, None);
    // A version alone makes no vLLM.
    let served = telling(vec![("/v1/models", models("somebody", None)), ("/version", version("1.0"))]).await;
    let model = load(&served).await;
    check(&model, Server::Other, None);
    let capabilities = model.capabilities();
    assert!(capabilities.constraints.is_empty() && !capabilities.tools && !capabilities.logprobs);
    assert_eq!(capabilities.device, format!("server at {}", served.origin));
}

#[tokio::test]
async fn an_older_vllm_is_asked_in_its_own_words() {
    let answers = [("GET /v1/models", models("vllm", None)), ("GET /version", whole(&json!({"version": "0.10.1.1"})))];
    let served = Served::new(move |seen| {
        let told = answers.iter().find(|(what, _)| *what == seen.what);
        vec![say(told.map_or_else(|| said("no"), |(_, answer)| answer.clone()))]
    })
    .await;
    let model = OpenAi::at(served.url(), "m").load().await.unwrap();
    let mut asked = request("Hi");
    asked.constraint = Some(Constraint::Choice(vec!["yes".into(), "no".into()]));
    model.chat(asked.clone()).await.unwrap();
    assert_eq!(served.seen().pop().unwrap().body["guided_choice"], json!(["yes", "no"]));
    asked.constraint = Some(Constraint::Regex("n.".into()));
    model.chat(asked).await.unwrap();
    assert_eq!(served.seen().pop().unwrap().body["guided_regex"], json!("n."));
}

#[tokio::test]
async fn a_server_that_is_not_there_or_does_not_tell_in_time_promises_nothing() {
    let gone = nobody();
    let model = OpenAi::at(format!("{gone}/v1"), "m").load().await.unwrap();
    assert!(!model.reached() && model.server() == Server::Other);
    let served = Served::new(|_| vec![Act::Wait(Duration::from_secs(30))]).await;
    let start = Instant::now();
    let model = OpenAi::at(served.url(), "m").probe_timeout(Duration::from_millis(200)).load().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(!model.reached() && model.server() == Server::Other);
}

#[tokio::test]
async fn what_is_declared_goes_before_what_is_told() {
    let served = telling(vec![("/v1/models", models("somebody", Some(64)))]).await;
    let config = OpenAi::at(served.url(), "m").server(Server::Vllm).context_length(32).tools(true).name("mine");
    let model = config.load().await.unwrap();
    check(&model, Server::Vllm, Some(32));
    let capabilities = model.capabilities();
    assert!(capabilities.tools && capabilities.constraints.contains(&ConstraintKind::Regex));
    assert_eq!(capabilities.name, "mine");
}
