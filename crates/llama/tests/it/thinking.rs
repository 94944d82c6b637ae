//! Thoughts of a model. The test model has none, so its template opens one for it.

use std::sync::OnceLock;

use parkway_core::model::{ChatRequest, ChatResponse, FinishReason, Model};
use parkway_llama::Llama;
use serde_json::json;

use crate::{alone, block_on, model_path, user, with_schema};

const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}\
                      {% endfor %}{{ '<|im_start|>assistant\n' }}";

fn model() -> &'static Llama {
    static MODEL: OnceLock<Llama> = OnceLock::new();
    MODEL.get_or_init(|| {
        let template = format!("{CHATML}{{{{ '<think>\n' }}}}");
        Llama::gguf(model_path()).context_length(2048).chat_template(template).load(|_| {}).unwrap()
    })
}

/// Shown often enough, even a small model ends its thought.
fn request() -> ChatRequest {
    let shown = "<think>\nThat is easy.\n</think>\n\nHello.\n\n".repeat(6);
    ChatRequest { max_tokens: 60, ..user(&format!("{shown}Write exactly this once more.")) }
}

fn think(request: ChatRequest) -> ChatResponse {
    block_on(model().chat(ChatRequest { logprobs: Some(0), ..request })).unwrap()
}

#[test]
fn a_thought_that_the_prompt_opens_is_told_from_the_answer() {
    let _alone = alone();
    let mut ended = 0;
    for (temperature, seed) in [(0.0, 0), (0.6, 1), (0.6, 2), (0.6, 3), (0.9, 4)] {
        let answer = think(ChatRequest { temperature, seed, ..request() });
        println!("{temperature} {seed}: {:?} | {:?}", answer.thinking, answer.text);
        let said: String = answer.end.logprobs.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(answer.end.logprobs.len(), answer.end.tokens.len());
        match said.split_once("</think>") {
            Some((thought, text)) => {
                assert_eq!((answer.thinking.as_str(), answer.text.as_str()), (thought, text.trim_start()));
                ended += 1;
            }
            None => assert_eq!((answer.thinking, answer.text), (said, String::new())),
        }
    }
    assert!(ended > 0, "no thought ended");
}

#[test]
fn an_answer_that_ends_within_a_thought_has_no_text() {
    let _alone = alone();
    let answer = think(ChatRequest { max_tokens: 3, ..user("Tell me a story about a fox.") });
    assert_eq!((answer.text.as_str(), answer.end.finish), ("", FinishReason::Length));
    assert!(!answer.thinking.is_empty() && answer.end.tokens.len() == 3);
}

#[test]
fn an_answer_of_a_given_form_does_not_think() {
    let _alone = alone();
    let schema = json!({"type": "object", "properties": {"city": {"enum": ["<think>a</think>", "Paris"]}}, "required": ["city"],
        "additionalProperties": false});
    let held = with_schema(user("Where?"), &schema);
    let ends = |request: &ChatRequest, text: &str| {
        let tokens = model().prompt_tokens(request).unwrap();
        tokens.ends_with(&model().tokenize(text))
    };
    assert!(ends(&held, "<think>\n\n</think>\n\n"));
    assert!(ends(&user("Where?"), "<think>\n"));
    let answer = block_on(model().chat(held)).unwrap();
    assert_eq!(answer.thinking, "");
    assert!(serde_json::from_str::<serde_json::Value>(&answer.text).is_ok(), "{}", answer.text);
}
