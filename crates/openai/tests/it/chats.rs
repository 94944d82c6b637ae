//! Whole answers, their pieces, and what ends them.

use std::time::Duration;

use parkway_core::model::{
    ChatMessage, ChatRequest, ChatResponse, Delta, FinishReason, Model as _, ModelError, Role, ToolCall, ToolDefinition,
};
use parkway_openai::{OpenAi, Server};
use serde_json::{Value, json};

use crate::served::{Act, CHUNKED, DONE, HELLO, STOP, STREAM, Served, chunk, say, stream};

pub(crate) fn request(text: &str) -> ChatRequest {
    ChatRequest::new(vec![ChatMessage::new(Role::User, text)])
}

pub(crate) async fn model(served: &Served, server: Server) -> OpenAi {
    OpenAi::at(served.url(), "m").server(server).load().await.unwrap()
}

/// What comes of a chat that is streamed so.
pub(crate) async fn answer(events: &[&str], request: ChatRequest) -> Result<ChatResponse, ModelError> {
    let served = Served::events(events).await;
    model(&served, Server::Other).await.chat(request).await
}

#[tokio::test]
async fn an_answer_is_what_its_pieces_say() {
    let served = Served::events(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        HELLO,
        r#"{"choices":[{"index":1,"delta":{"content":"another one"}},{"index":0,"delta":{"content":", wörld 🦀"},"finish_reason":null}]}"#,
        STOP,
        r#"{"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":5,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":8}}}"#,
        DONE,
    ])
    .await;
    let model = model(&served, Server::Other).await;
    let response = model.chat(request("Hi")).await.unwrap();
    assert_eq!((response.text.as_str(), response.thinking.as_str()), ("Hello, wörld 🦀", ""));
    assert_eq!(response.end.finish, FinishReason::Stop);
    let usage = response.end.usage;
    assert_eq!((usage.prompt_tokens, usage.cached_tokens, usage.output_tokens, usage.total()), (11, 8, 5, 16));
    let seen = served.seen();
    assert_eq!(seen.len(), 1, "a declared server of no kind is not asked about");
    assert_eq!(seen[0].what, "POST /v1/chat/completions");
    assert_eq!(
        seen[0].body,
        json!({
            "model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": true,
            "stream_options": {"include_usage": true}, "temperature": 0.0, "seed": 0, "max_tokens": 512,
        })
    );
    assert_eq!(seen[0].header("authorization"), None);
}

#[tokio::test]
async fn bytes_may_come_in_any_pieces() {
    let events = stream(&[HELLO, r#"{"choices":[{"index":0,"delta":{"content":" é🦀"}}]}"#, STOP, DONE]);
    let body = events.strip_prefix(STREAM).unwrap().replace("\n\n", "\r\n\r\n: still here\r\n\r\n");
    for size in [1, 2, 7] {
        let pieces = body.clone().into_bytes();
        let served = Served::new(move |_| {
            let mut acts = vec![say(CHUNKED)];
            for piece in pieces.chunks(size) {
                let mut bytes = format!("{:x}\r\n", piece.len()).into_bytes();
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(b"\r\n");
                acts.push(Act::Say(bytes));
            }
            acts.push(say("0\r\n\r\n"));
            acts
        })
        .await;
        let response = model(&served, Server::Other).await.chat(request("Hi")).await.unwrap();
        assert_eq!(response.text, "Hello é🦀", "pieces of {size}");
    }
}

#[tokio::test]
async fn deltas_come_as_they_are_said() {
    let served = Served::new(|_| {
        let first = stream(&[HELLO]);
        vec![say(first), Act::Wait(Duration::from_millis(100)), say(format!("data: {STOP}\n\ndata: {DONE}\n\n"))]
    })
    .await;
    let mut deltas = model(&served, Server::Other).await.stream(request("Hi")).await.unwrap();
    assert_eq!(deltas.next().await.unwrap().unwrap(), Delta::Text("Hello".into()));
    assert!(matches!(deltas.next().await.unwrap().unwrap(), Delta::Done(_)));
    assert!(deltas.next().await.is_none());
}

#[tokio::test]
async fn thoughts_are_no_part_of_the_answer_whatever_they_come_in() {
    for thought in ["reasoning_content", "reasoning"] {
        let piece = json!({"choices": [{"index": 0, "delta": {thought: "hm", "content": null}}]}).to_string();
        let response = answer(&[&piece, HELLO, STOP, DONE], request("Hi")).await.unwrap();
        assert_eq!((response.thinking.as_str(), response.text.as_str()), ("hm", "Hello"));
    }
    let pieces = ["<thi", "nk>h", "m</think", ">\n\nHel", "lo"]
        .map(|text| json!({"choices": [{"index": 0, "delta": {"content": text}}]}).to_string());
    let mut events: Vec<&str> = pieces.iter().map(String::as_str).collect();
    events.extend([STOP, DONE]);
    let response = answer(&events, request("Hi")).await.unwrap();
    assert_eq!((response.thinking.as_str(), response.text.as_str()), ("hm", "Hello"));
}

#[tokio::test]
async fn a_server_that_does_not_stream_says_all_at_once() {
    let body = json!({
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "prompt_cache_hit_tokens": 2},
    });
    let served = Served::bytes(crate::served::json(&body)).await;
    let response = model(&served, Server::Other).await.chat(request("Hi")).await.unwrap();
    assert_eq!((response.text.as_str(), response.end.usage.cached_tokens), ("Hello", 2));
}

#[tokio::test]
async fn tokens_are_counted_even_by_a_server_that_counts_none() {
    let timings = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}],"timings":{"prompt_n":4,"cache_n":6,"predicted_n":9}}"#;
    let response = answer(&[HELLO, timings, DONE], request("Hi")).await.unwrap();
    let usage = response.end.usage;
    assert_eq!((usage.prompt_tokens, usage.cached_tokens, usage.output_tokens, usage.guessed), (10, 6, 9, false));
    assert_eq!(response.end.finish, FinishReason::Length);
    let usage = answer(&[HELLO, STOP, DONE], request("Hi")).await.unwrap().end.usage;
    assert!(usage.prompt_tokens > 20 && usage.output_tokens == 2 && usage.guessed, "{usage:?}");
}

fn tools() -> Vec<ToolDefinition> {
    let tool = |name: &str| ToolDefinition {
        name: name.into(),
        description: format!("does {name}"),
        parameters: json!({"type": "object"}),
    };
    vec![tool("files.read"), tool("files_read")]
}

#[tokio::test]
async fn calls_of_tools_go_there_and_back_under_our_names() {
    let served = Served::events(&[
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"files_read_2","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"path\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"x\"}"}},{"index":1,"id":"b","function":{"name":"files_read"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        DONE,
    ])
    .await;
    let model = model(&served, Server::DeepSeek).await;
    let mut request = request("read x");
    request.tools = tools();
    let call = |id: &str, name: &str, arguments: Value| ToolCall { id: id.into(), name: name.into(), arguments };
    let mut asked = ChatMessage::new(Role::Assistant, "");
    asked.tool_calls = vec![call("z", "files.read", json!({"path": "w"}))];
    let mut answered = ChatMessage::new(Role::Tool, "what is in w");
    answered.tool_call_id = Some("z".into());
    request.messages.extend([asked, answered]);
    let response = model.chat(request).await.unwrap();
    assert_eq!(
        response.tool_calls,
        [call("a", "files.read", json!({"path": "x"})), call("b", "files_read", json!({}))]
    );
    let body = served.seen()[0].body.clone();
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": "read x"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "z", "type": "function", "function": {"name": "files_read_2", "arguments": "{\"path\":\"w\"}"}},
            ]},
            {"role": "tool", "content": "what is in w", "tool_call_id": "z"},
        ])
    );
    let names: Vec<_> = body["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(names, ["files_read_2", "files_read"]);
    assert_eq!(body["tools"][0]["function"]["description"], "does files.read");
}

#[tokio::test]
async fn a_broken_call_is_asked_for_again_and_a_cut_one_is_told_as_cut() {
    let piece = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"files_read_2","arguments":"{\"path\":"}}]}}]}"#;
    let served = Served::events(&[piece, STOP, DONE]).await;
    let mut asked = request("read x");
    asked.tools = tools();
    let error = model(&served, Server::DeepSeek).await.chat(asked.clone()).await.unwrap_err();
    assert!(
        error.retryable() && error.to_string().contains("arguments for the tool `files.read` that are no JSON"),
        "{error}"
    );
    let length = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":512}}"#;
    let served = Served::events(&[piece, length, DONE]).await;
    let error = model(&served, Server::DeepSeek).await.chat(asked).await.unwrap_err();
    assert_eq!(error, ModelError::Cut { tokens: 512 });
}

#[tokio::test]
async fn log_probabilities_are_told_token_by_token() {
    let served = Served::events(&[
        r#"{"choices":[{"index":0,"delta":{"content":"yes"},"logprobs":{"content":[{"token":"yes","logprob":-0.25,"top_logprobs":[{"token":"no","logprob":-1.5},{"token":"yes","logprob":-0.25}]}]}}]}"#,
        STOP,
        DONE,
    ])
    .await;
    let mut asked = request("sure?");
    asked.logprobs = Some(2);
    let end = model(&served, Server::Vllm).await.chat(asked.clone()).await;
    // vLLM was asked about itself first, and answered with a chat, which it may.
    let end = end.unwrap().end;
    assert_eq!(end.logprobs.len(), 1);
    assert_eq!((end.logprobs[0].text.as_str(), end.logprobs[0].logprob), ("yes", Some(-0.25)));
    assert_eq!(end.logprobs[0].top, [("yes".to_owned(), -0.25), ("no".to_owned(), -1.5)]);
    let body = served.seen().pop().unwrap().body;
    assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&json!(true), &json!(2)));
    let error = model(&served, Server::Ollama).await.chat(asked).await.unwrap_err();
    assert!(matches!(error, ModelError::Unsupported(_)), "{error}");
}

#[tokio::test]
async fn sampling_is_said_as_a_person_would() {
    let served = Served::events(&[HELLO, STOP, DONE]).await;
    let mut asked = request("Hi");
    (asked.temperature, asked.seed, asked.max_tokens) = (0.7, u64::MAX, 9);
    model(&served, Server::OpenAi).await.chat(asked).await.unwrap();
    let body = &served.seen()[0].body;
    assert_eq!((&body["temperature"], &body["seed"]), (&json!(0.7), &json!(0x7fff_ffff)));
    assert_eq!((&body["max_completion_tokens"], body.get("max_tokens")), (&json!(9), None));
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let mut served = Served::new(|_| vec![say(stream(&[HELLO])), Act::AwaitClose]).await;
    let model = OpenAi::at(served.url(), "m").server(Server::Other).load().await.unwrap();
    let mut deltas = model.stream(request("Hi")).await.unwrap();
    assert!(deltas.next().await.unwrap().is_ok());
    drop(deltas);
    served.closed().await;
}

#[tokio::test]
async fn a_request_that_is_given_up_before_it_is_answered_closes_the_connection() {
    let mut served = Served::new(|_| vec![Act::AwaitClose]).await;
    let model = OpenAi::at(served.url(), "m").server(Server::Other).load().await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(200), model.stream(request("Hi"))).await;
    assert!(given_up.is_err());
    served.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_get_each_its_own_answer() {
    let served = Served::new(|seen| {
        let said = seen.body["messages"][0]["content"].as_str().unwrap_or_default();
        let piece = json!({"choices": [{"index": 0, "delta": {"content": said}}]}).to_string();
        vec![
            say(stream(&[&piece])),
            Act::Wait(Duration::from_millis(50)),
            say(format!("data: {STOP}\n\ndata: {DONE}\n\n")),
        ]
    })
    .await;
    let model = model(&served, Server::Other).await;
    let chats = (0..32).map(|n| {
        let model = model.clone();
        tokio::spawn(async move { (n, model.chat(request(&format!("number {n}"))).await.unwrap().text) })
    });
    for chat in chats.collect::<Vec<_>>() {
        let (n, text) = chat.await.unwrap();
        assert_eq!(text, format!("number {n}"));
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let events = stream(&[HELLO, STOP, DONE]);
    let body = format!("{CHUNKED}{}0\r\n\r\n", chunk(events.strip_prefix(STREAM).unwrap()));
    let served = Served::new(move |_| vec![say(body.clone()), Act::KeepAlive]).await;
    let model = model(&served, Server::Other).await;
    for _ in 0..3 {
        assert_eq!(model.chat(request("Hi")).await.unwrap().text, "Hello");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((served.seen().len(), served.connections()), (3, 1));
}
