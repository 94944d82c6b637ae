//! Workflows on models at servers: one on this machine says, byte by byte, what a test tells it to.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use parkway::cost::Scope;
use parkway::log::EventKind;
use parkway::model::ModelError;
use parkway::secret::{Secret, SecretError, Secrets};
use parkway::settings::{Settings, Sources};
use parkway::testing::ScriptedModel;
use parkway::{Effect, Error, Goal, OpenAi, Parkway, Workflow, inputs, tool_fn};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const KEY: &str = "sk-hunter2-0123456789";

struct Safe;

#[async_trait::async_trait]
impl Secrets for Safe {
    async fn get(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        Ok((name == "KEY").then(|| Secret::new(KEY)))
    }
}

/// What was asked: the head and the body of each request.
pub(crate) type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers each request, one a connection, with what `script` says to the first line, the body, and how many chats there were.
pub(crate) async fn serve(
    listener: TcpListener,
    mut script: impl FnMut(&str, &Value, usize) -> String + Send + 'static,
) -> Asked {
    let asked = Asked::default();
    let seen = asked.clone();
    tokio::spawn(async move {
        let mut chats = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let (head, body) = loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head
                        .lines()
                        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                    if body.len() >= length.unwrap_or(0) {
                        break (head.to_owned(), serde_json::from_str(body).unwrap_or_default());
                    }
                }
                if stream.read_buf(&mut bytes).await.unwrap() == 0 {
                    break (String::new(), Value::Null);
                }
            };
            let answer = script(head.lines().next().unwrap_or_default(), &body, chats);
            chats += usize::from(head.starts_with("POST"));
            seen.lock().unwrap().push((head, body));
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    asked
}

pub(crate) fn whole(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn nothing() -> String {
    whole("404 Not Found", "", "")
}

fn said(text: &str) -> String {
    let piece = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}});
    let body = format!("data: {piece}\n\ndata: {end}\n\ndata: [DONE]\n\n");
    whole("200 OK", "Content-Type: text/event-stream\r\n", &body)
}

/// An embedder to whom the goal and the last tool mean the same, and all else something else.
fn meaning(line: &str, body: &Value, _: usize) -> String {
    assert!(line.starts_with("POST /v1/embeddings "), "{line}");
    let near = |text: &str| !text.starts_with("many.") || text.starts_with("many.tool_39");
    let texts = body["input"].as_array().into_iter().flatten().enumerate();
    let data: Vec<Value> = texts
        .map(|(index, text)| {
            let vector = if near(text.as_str().unwrap_or_default()) { [1, 0] } else { [0, 1] };
            json!({ "object": "embedding", "index": index, "embedding": vector })
        })
        .collect();
    whole("200 OK", "Content-Type: application/json\r\n", &json!({ "data": data }).to_string())
}

#[tokio::test]
async fn the_embedder_of_the_settings_finds_the_tools_for_a_goal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = crate::kept::folder().unwrap();
    let settings = |embedder: &str| {
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let toml = format!(
            "{embedder}\nstore = \"sqlite::memory:\"\n[models.vectors]\nopenai = {{ url = \"{url}\", model = \"m\" }}\n"
        );
        fs::write(folder.path().join("parkway.toml"), toml).unwrap();
        Settings::load(Sources::none(folder.path()).project(folder.path())).unwrap()
    };
    let (by_words, by_meaning) = (settings(""), settings("embedder = \"vectors\""));
    let asked = serve(listener, meaning).await;
    for (settings, finds) in [(by_words, false), (by_meaning, true)] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = told.clone();
        let model = ScriptedModel::new().script(move |request| {
            seen.lock().unwrap().extend(request.messages.iter().map(|message| message.content.clone()));
            Err(ModelError::Backend { message: "enough was seen".into(), retryable: false })
        });
        let mut builder = Parkway::builder().settings(settings).model("main", model);
        for number in 0..40 {
            let name = format!("many.tool_{number}");
            builder = builder.tool(tool_fn(&name, Effect::Pure, |_: Value| async { Ok(json!({})) }));
        }
        let parkway = builder.build().await.unwrap();
        let run = parkway.pursue(Goal::new("What is there?").tools(["many.*"])).await.unwrap();
        let error = run.output::<parkway::Answer>().await.unwrap_err();
        assert!(error.to_string().contains("enough was seen"), "{error}");
        let told = told.lock().unwrap().join("\n");
        assert_eq!(told.contains("many.tool_39"), finds, "{told}");
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
}

/// A vLLM that enforces what it is asked to, as the last chat in `asked` shows.
fn enforcing(line: &str, body: &Value, _: usize) -> String {
    match line {
        "GET /v1/models HTTP/1.1" => {
            let list = json!({"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 4096}]});
            whole("200 OK", "", &list.to_string())
        }
        "POST /v1/chat/completions HTTP/1.1" if body["response_format"]["type"] == "json_schema" => said("{\"n\": 3}"),
        "POST /v1/chat/completions HTTP/1.1" => said("three"),
        _ => nothing(),
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    (listener, url)
}

fn workflow(url: &str) -> Workflow {
    Workflow::from_source("count.yaml", &workflow_text(url)).unwrap()
}

fn workflow_text(url: &str) -> String {
    let text = r#"
parkway: 1
secrets: [KEY]
models: { main: { openai: { url: "URL", model: m, key: "${{ secrets.KEY }}" } } }
steps:
  count: { chat: { model: main, prompt: "How many?", output: { n: { type: integer } } }, retry: { max: 1, initial: 1ms } }
outputs: { n: "${{ steps.count.output.n }}" }
"#;
    text.replace("URL", url)
}

async fn parkway(folder: &Path) -> Parkway {
    let store = format!("sqlite:{}", folder.join("runs.db").display());
    Parkway::builder().store(store).root(folder).secrets(Safe).build().await.unwrap()
}

/// Whether each answer of a model was of the form asked for, and whether it was enforced.
async fn answers(engine: &Parkway, run: &parkway::Run) -> Vec<(bool, bool)> {
    let events = engine.record(run.id()).await.unwrap().events;
    let call = |event: &parkway::log::Event| match &event.kind {
        EventKind::ModelCalled { call, .. } => Some((call.valid, call.grammar_hash.is_some())),
        _ => None,
    };
    events.iter().filter_map(call).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_enforces_forms_is_asked_once_and_its_key_is_kept_nowhere() {
    let folder = crate::kept::folder().unwrap();
    let (listener, url) = listen().await;
    let asked = serve(listener, enforcing).await;
    let engine = parkway(folder.path()).await;
    let run = engine.start(workflow(&url), inputs! {}).await.unwrap();
    assert_eq!(run.output::<Value>().await.unwrap(), json!({"n": 3}));
    assert_eq!(answers(&engine, &run).await, [(true, true)]);
    // What a server computes takes nothing of this machine, and is not free for that.
    let total = engine.ledger(&Scope::run(run.id())).await.unwrap().total();
    assert_eq!((total.calls, total.prompt_tokens, total.output_tokens, total.machine), (1, 7, 3, Duration::ZERO));
    assert_eq!((total.energy.unknown_calls, total.energy.known_mj(), total.money.unpriced_calls), (0, 0, 1));
    let asked = asked.lock().unwrap().clone();
    assert!(asked.iter().all(|(head, _)| head.contains(&format!("Bearer {KEY}"))), "{asked:?}");
    let schema = &asked.last().unwrap().1["response_format"]["json_schema"]["schema"];
    assert_eq!(schema["properties"]["n"]["type"], "integer");
    let mut kept = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        kept.extend(fs::read(file.unwrap().path()).unwrap_or_default());
    }
    let kept = String::from_utf8_lossy(&kept);
    assert!(kept.contains("How many?") && !kept.contains("hunter2"));
    assert!(!format!("{engine:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_of_the_kind_that_the_workflow_names() {
    let folder = crate::kept::folder().unwrap();
    let (listener, url) = listen().await;
    // A gateway, which knows one address alone.
    let asked = serve(listener, |line, body, _| match line {
        "POST /v1/chat/completions HTTP/1.1" if body["response_format"]["type"] == "json_schema" => said("{\"n\": 3}"),
        _ => nothing(),
    })
    .await;
    let engine = parkway(folder.path()).await;
    let text = workflow_text(&url).replace("model: m,", "model: m, server: vllm,");
    let run = engine.start(Workflow::from_source("count.yaml", &text).unwrap(), inputs! {}).await.unwrap();
    assert_eq!(run.output::<Value>().await.unwrap(), json!({"n": 3}));
    assert_eq!(answers(&engine, &run).await, [(true, true)]);
    assert!(!asked.lock().unwrap().iter().any(|(head, _)| head.contains("healthz")), "it is not asked what it is");
}

#[test]
fn each_kind_of_server_that_a_workflow_may_name_is_known() {
    let schema: Value = serde_json::from_str(parkway::definition::file_schema()).unwrap();
    let kinds = &schema["$defs"]["model"]["properties"]["openai"]["properties"]["server"]["enum"];
    let kinds: Vec<_> = kinds.as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
    assert!(
        kinds.len() == 8 && kinds.iter().all(|kind| parkway::openai::Server::from_name(kind).is_some()),
        "{kinds:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_server_that_enforces_nothing_is_checked_and_asked_for_again() {
    let folder = crate::kept::folder().unwrap();
    let (listener, url) = listen().await;
    let asked = serve(listener, |line, body, chats| match (line, chats) {
        ("POST /v1/chat/completions HTTP/1.1", _) if !body["response_format"].is_null() => nothing(),
        ("POST /v1/chat/completions HTTP/1.1", 0) => said("There are three."),
        ("POST /v1/chat/completions HTTP/1.1", _) => said("{\"n\": 3}"),
        _ => nothing(),
    })
    .await;
    let engine = parkway(folder.path()).await;
    let run = engine.start(workflow(&url), inputs! {}).await.unwrap();
    assert_eq!(run.output::<Value>().await.unwrap(), json!({"n": 3}));
    assert_eq!(answers(&engine, &run).await, [(false, false), (true, false)]);
    let asked = asked.lock().unwrap();
    let messages = asked.last().unwrap().1["messages"].as_array().unwrap();
    assert_eq!(messages[messages.len() - 2], json!({"role": "assistant", "content": "There are three."}));
    assert!(messages[messages.len() - 1]["content"].as_str().unwrap().starts_with("This is not valid: it is no JSON"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_left_alone_as_long_as_it_asks() {
    let folder = crate::kept::folder().unwrap();
    let (listener, url) = listen().await;
    serve(listener, |line, body, chats| match chats {
        0 if line.starts_with("POST") => whole("429 Too Many Requests", "Retry-After: 1\r\n", "later"),
        _ => enforcing(line, body, chats),
    })
    .await;
    let engine = parkway(folder.path()).await;
    let start = Instant::now();
    let run = engine.start(workflow(&url), inputs! {}).await.unwrap();
    assert_eq!(run.output::<Value>().await.unwrap(), json!({"n": 3}));
    assert!(start.elapsed() >= Duration::from_secs(1));
    let record = engine.record(run.id()).await.unwrap();
    let retried: Vec<_> = record
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::StepRetried { code, .. } => Some(code.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(retried, ["busy"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_waited_for_as_long_as_the_workflow_says() {
    let folder = crate::kept::folder().unwrap();
    let (listener, url) = listen().await;
    // It takes connections, and is silent.
    let silent = tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            taken.push(stream);
        }
    });
    let engine = parkway(folder.path()).await;
    let text = workflow_text(&url).replace("model: m,", "model: m, server: vllm, timeouts: { first_byte: 300ms },");
    let run = engine.start(Workflow::from_source("count.yaml", &text).unwrap(), inputs! {}).await.unwrap();
    let error =
        tokio::time::timeout(Duration::from_secs(60), run.output::<Value>()).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("did not begin to answer within 0.3 s"), "{error}");
    silent.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_later_is_asked_then_what_it_can_do() {
    let folder = crate::kept::folder().unwrap();
    let (listener, url) = listen().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let engine = parkway(folder.path()).await;
    let run = engine.start(workflow(&url), inputs! {}).await.unwrap();
    let error = run.output::<Value>().await.unwrap_err().to_string();
    assert!(error.contains("no server answers at") && error.contains("start it, or correct `url`"), "{error}");
    serve(TcpListener::bind(address).await.unwrap(), enforcing).await;
    let run = engine.start(workflow(&url), inputs! {}).await.unwrap();
    assert_eq!(run.output::<Value>().await.unwrap(), json!({"n": 3}));
    assert_eq!(answers(&engine, &run).await, [(true, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_be_bound_by_the_program() {
    let folder = crate::kept::folder().unwrap();
    let (listener, url) = listen().await;
    serve(listener, enforcing).await;
    let text = r#"
parkway: 1
models: { main: { gguf: { name: none } } }
steps: { ask: { chat: { model: main, prompt: "How many?" } } }
outputs: { text: "${{ steps.ask.output }}" }
"#;
    let binding = OpenAi::at(url, "m").key(Secret::new(KEY));
    let engine =
        Parkway::builder().store("sqlite::memory:").root(folder.path()).model("main", binding).build().await.unwrap();
    assert!(!format!("{engine:?}").contains("hunter2"));
    let run = engine.start(Workflow::from_source("ask.yaml", text).unwrap(), inputs! {}).await.unwrap();
    assert_eq!(run.output::<Value>().await.unwrap(), json!({"text": "three"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_key_has_no_source_does_not_begin() {
    let folder = crate::kept::folder().unwrap();
    let engine = Parkway::builder().store("sqlite::memory:").root(folder.path()).build().await.unwrap();
    let error = engine.start(workflow("http://localhost:1/v1"), inputs! {}).await.unwrap_err();
    assert!(matches!(error, Error::Model { .. }), "{error}");
    let words = "the model `main` cannot be used: its key, the secret `KEY`, has no source; say where it comes from in `parkway.toml`: `[secrets]`, `KEY = { env = \"KEY\" }`";
    assert_eq!(error.to_string(), words);
}
