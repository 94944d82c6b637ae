//! Where a key goes, and where it never does.

use parkway_core::model::Model as _;
use parkway_core::secret::Secret;
use parkway_openai::{LoadError, OpenAi, OpenAiConfig, Server};
use serde_json::json;

use crate::chats::request;
use crate::served::{DONE, HELLO, STOP, Served, json as whole, say, status, stream};

const KEY: &str = "sk-very-secret-0123456789";

fn config(served: &Served) -> OpenAiConfig {
    OpenAi::at(served.url(), "m").key(Secret::new(KEY))
}

#[tokio::test]
async fn a_key_goes_into_one_header_of_each_request_and_nowhere_else() {
    let served = Served::new(|seen| match seen.what.as_str() {
        "POST /v1/chat/completions" => vec![say(stream(&[HELLO, STOP, DONE]))],
        _ => vec![say(status("404 Not Found", "", ""))],
    })
    .await;
    let model = config(&served).load().await.unwrap();
    model.chat(request("Hi")).await.unwrap();
    let seen = served.seen();
    assert!(seen.len() > 1, "the server was asked about itself");
    for request in seen {
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {KEY}")));
        let others: String =
            request.head.lines().filter(|line| !line.to_lowercase().starts_with("authorization")).collect();
        assert!(!others.contains(KEY) && !request.body.to_string().contains(KEY), "{others}");
    }
}

#[tokio::test]
async fn no_error_shows_the_key_that_a_server_sends_back() {
    let echo = format!("Incorrect API key provided: {KEY}. Authorization: Bearer {KEY}");
    let error = json!({"error": {"message": echo, "code": KEY}});
    let bodies = [
        status("401 Unauthorized", "", &error.to_string()),
        status("400 Bad Request", "", &echo),
        status("500 Internal Server Error", "", &format!("{}{KEY}{}", "x".repeat(390), "y".repeat(30_000))),
        whole(&error),
        stream(&[HELLO, &error.to_string()]),
        stream(&[HELLO, &echo]),
        stream(&[&json!({"choices": [{"index": 0, "finish_reason": KEY}]}).to_string(), DONE]),
        stream(&[&json!({"choices": [{"index": 0, "delta": {"refusal": echo}}]}).to_string()]),
    ];
    for body in bodies {
        let served = Served::bytes(body.clone()).await;
        let error = config(&served).server(Server::Other).load().await.unwrap().chat(request("Hi")).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("very-secret"), "{shown}");
        assert!(shown.contains("[secret]") || body.contains("xxxx"), "{shown}");
    }
}

#[tokio::test]
async fn nothing_prints_a_key() {
    let served = Served::events(&[HELLO, STOP, DONE]).await;
    let config = config(&served).server(Server::Other);
    let embedder = config.clone().load_embedder().unwrap();
    let shown = format!("{config:?} {:?} {embedder:?}", config.clone().load().await.unwrap());
    assert!(!shown.contains("very-secret"), "{shown}");
    assert!(format!("{config:?}").contains("key: Some([secret])"), "{config:?}");
}

#[tokio::test]
async fn a_key_that_was_not_accepted_says_whose_value_to_check() {
    let served = Served::bytes(status("401 Unauthorized", "", "")).await;
    let error = config(&served).server(Server::Other).load().await.unwrap().chat(request("Hi")).await.unwrap_err();
    assert!(error.to_string().contains("check the value of the secret that `key` names"), "{error}");
    assert!(!error.retryable());
}

#[tokio::test]
async fn what_cannot_be_an_address_or_a_key_is_told_when_it_is_loaded() {
    let load = async |url: &str, key: Option<&str>| {
        let mut config = OpenAi::at(url, "m").server(Server::Other);
        if let Some(key) = key {
            config = config.key(Secret::new(key));
        }
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
        config.load().await.map(|_| ())
    };
    for (url, cause) in [
        ("localhost:8080", "neither `http` nor `https`"),
        ("not an address", "no URL"),
        ("ftp://localhost/v1", "neither `http` nor `https`"),
        ("http://me:hunter2@localhost/v1", "user's name or password"),
        ("http://hunter2@localhost/v1", "user's name or password"),
        ("http://localhost/v1?key=hunter2", "after a `?`"),
    ] {
        let error = load(url, None).await.unwrap_err();
        assert!(matches!(error, LoadError::Address { .. }) && error.code() == "server_address");
        assert!(error.to_string().contains(cause) && !error.to_string().contains("hunter2"), "{error}");
    }
    for key in ["", " ", "sk-one\nsk-two", "sk one", "schlüssel"] {
        let error = load("http://localhost/v1", Some(key)).await.unwrap_err();
        assert!(matches!(error, LoadError::Key { .. }), "{error}");
        assert!(!error.to_string().contains("sk"), "{error}");
    }
    // A line break at the end is no part of it.
    load("http://localhost/v1/", Some("sk-one\n")).await.unwrap();
}
