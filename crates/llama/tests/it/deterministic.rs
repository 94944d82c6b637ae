//! A model that answers one request after the other, and reuses the prefix that a request shares with the one before it.

use std::sync::OnceLock;

use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Model, ModelError, Role};
use parkway_llama::Llama;

use crate::{alone, block_on, model_path, user};

pub(crate) fn solo() -> &'static Llama {
    static SOLO: OnceLock<Llama> = OnceLock::new();
    SOLO.get_or_init(|| Llama::gguf(model_path()).context_length(2048).deterministic(true).load(|_| {}).unwrap())
}

pub(crate) fn chat(request: ChatRequest) -> Result<ChatResponse, ModelError> {
    block_on(solo().chat(request))
}

/// Makes the model forget its prefix.
fn forget() {
    let mut request = user("x");
    request.max_tokens = 1;
    assert_eq!(chat(request).unwrap().end.usage.cached_tokens, 0);
}

fn about(letter: &str) -> ChatRequest {
    let rules = "You read letters and tell in one sentence what the writer wants. ".repeat(12);
    ChatRequest {
        max_tokens: 32,
        ..ChatRequest::new(vec![ChatMessage::new(Role::System, rules), ChatMessage::new(Role::User, letter)])
    }
}

#[test]
fn a_shared_prefix_is_reused_and_the_answer_is_the_same() {
    let _alone = alone();
    let (first, second) = (about("Please send me two lamps."), about("Where is my order of last week?"));
    forget();
    let cold = chat(second.clone()).unwrap();
    forget();
    assert_eq!(chat(first).unwrap().end.usage.cached_tokens, 0);
    let warm = chat(second.clone()).unwrap();
    assert!(warm.end.usage.cached_tokens >= 64, "{:?}", warm.end.usage);
    assert_eq!(cold.end.usage.cached_tokens, 0);
    assert_eq!((&warm.text, &warm.end.tokens), (&cold.text, &cold.end.tokens));

    // The same request again computes the rest of its prompt anew, and answers the same.
    let again = chat(second).unwrap();
    assert!(again.end.usage.cached_tokens < again.end.usage.prompt_tokens);
    assert_eq!(again.end.tokens, cold.end.tokens);
}

#[test]
fn a_sampled_answer_does_not_depend_on_what_was_asked_before() {
    let _alone = alone();
    let request = ChatRequest { temperature: 0.8, seed: 11, ..about("I want my money back, 30 Euros.") };
    forget();
    let cold = chat(request.clone()).unwrap();
    chat(about("Hello there.")).unwrap();
    let warm = chat(request).unwrap();
    assert!(warm.end.usage.cached_tokens > 0);
    assert_eq!(warm.end.tokens, cold.end.tokens);
}

#[test]
fn an_answer_depends_on_what_else_is_asked() {
    let _alone = alone();
    let requests: Vec<ChatRequest> =
        (0..6).map(|n| about(&format!("Please send me {n} lamps, and {n} more."))).collect();
    let apart: Vec<_> = requests.iter().map(|request| chat(request.clone()).unwrap().end.tokens).collect();
    let at_once: Vec<_> = block_on(async {
        let asked: Vec<_> = requests.iter().map(|request| tokio::spawn(solo().chat(request.clone()))).collect();
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap().unwrap().end.tokens);
        }
        answers
    });
    assert_eq!(apart, at_once);
}
