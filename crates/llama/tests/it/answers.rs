//! Answers: sampling, streaming, limits, cancelling.

use std::time::{Duration, Instant};

use parkway_core::model::{ChatRequest, Delta, FinishReason, Model, ModelError};
use serde_json::json;

use crate::deterministic::{self, solo};
use crate::{alone, block_on, chat, shared, user, with_schema};

#[test]
fn the_same_seed_gives_the_same_tokens() {
    let _alone = alone();
    let at = |temperature, seed| {
        let request = ChatRequest { temperature, seed, max_tokens: 40, ..user("Tell me a story about a fox.") };
        deterministic::chat(request).unwrap().end.tokens
    };
    assert_eq!(at(0.8, 1), at(0.8, 1));
    assert_ne!(at(0.8, 1), at(0.8, 2));
    assert_eq!(at(0.0, 1), at(0.0, 2));
}

#[test]
fn an_answer_streams_prefill_then_text_then_its_end() {
    let _alone = alone();
    let request = ChatRequest { max_tokens: 30, ..user(&format!("Say hello. {}", "Please. ".repeat(100))) };
    let total = u32::try_from(solo().count_tokens(&request).unwrap()).unwrap();
    let (mut prefill, mut text, mut end) = (Vec::new(), String::new(), None);
    block_on(async {
        let mut deltas = solo().stream(request.clone()).await.unwrap();
        while let Some(delta) = deltas.next().await {
            match delta.unwrap() {
                Delta::Prefill { done, total: of } => {
                    assert!(text.is_empty() && of == total);
                    prefill.push(done);
                }
                Delta::Text(piece) => text.push_str(&piece),
                Delta::Done(done) => end = Some(done),
                other => panic!("{other:?}"),
            }
        }
    });
    assert!(prefill.len() > 3 && prefill.is_sorted() && prefill.last() == Some(&total), "{prefill:?}");
    let end = end.unwrap();
    assert_eq!(end.usage.prompt_tokens, total);
    assert_eq!(end.usage.output_tokens as usize, end.tokens.len());
    let whole = deterministic::chat(request).unwrap();
    assert_eq!((whole.text, whole.end.tokens), (text, end.tokens));
}

#[test]
fn an_answer_ends_where_the_model_ends_its_turn() {
    let _alone = alone();
    let answer = chat(user("Say hello.")).unwrap();
    assert_eq!(answer.end.finish, FinishReason::Stop);
    assert!(!answer.text.contains("<|im_end|>") && !answer.text.is_empty(), "{}", answer.text);
}

#[test]
fn a_free_text_at_the_limit_ends_with_length() {
    let _alone = alone();
    let answer = chat(ChatRequest { max_tokens: 5, ..user("Tell me a story about a fox.") }).unwrap();
    assert_eq!((answer.end.finish, answer.end.usage.output_tokens), (FinishReason::Length, 5));
    let none = chat(ChatRequest { max_tokens: 0, ..user("Tell me a story about a fox.") }).unwrap();
    assert_eq!((none.end.finish, none.text.as_str()), (FinishReason::Length, ""));
}

#[test]
fn a_constrained_answer_at_the_limit_is_cut_and_not_half_an_answer() {
    let _alone = alone();
    let schema = json!({"type": "object", "properties": {"story": {"type": "string", "minLength": 400}},
        "required": ["story"], "additionalProperties": false});
    let request = ChatRequest { max_tokens: 20, ..with_schema(user("Tell me a story."), &schema) };
    assert_eq!(chat(request.clone()), Err(ModelError::Cut { tokens: 20 }));
    // Even where the limit falls into the forced beginning.
    assert_eq!(chat(ChatRequest { max_tokens: 2, ..request }), Err(ModelError::Cut { tokens: 2 }));
}

#[test]
fn a_dropped_stream_is_cancelled_while_it_prefills_and_while_it_decodes() {
    let _alone = alone();
    let long = ChatRequest { max_tokens: 900, ..user(&format!("Tell me a story. {}", "Go on and on. ".repeat(200))) };
    let is_text = |delta: &Delta| matches!(delta, Delta::Text(_));
    let is_prefill = |delta: &Delta| matches!(delta, Delta::Prefill { .. });
    for wait_for in [&is_prefill as &dyn Fn(&Delta) -> bool, &is_text] {
        block_on(async {
            let mut deltas = shared().stream(long.clone()).await.unwrap();
            while let Some(delta) = deltas.next().await {
                if wait_for(&delta.unwrap()) {
                    break;
                }
            }
        });
        let start = Instant::now();
        let next = chat(ChatRequest { max_tokens: 1, ..user("Hi") }).unwrap();
        assert_eq!(next.end.usage.output_tokens, 1);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

#[test]
fn a_reader_that_stalls_does_not_stall_the_others() {
    let _alone = alone();
    block_on(async {
        let stalled = shared().stream(ChatRequest { max_tokens: 60, ..user("Tell me a story.") }).await.unwrap();
        let other = shared().chat(ChatRequest { max_tokens: 5, ..user("Hi") }).await.unwrap();
        assert_eq!(other.end.usage.output_tokens, 5);
        drop(stalled);
    });
}

#[test]
fn requests_at_once_are_all_answered() {
    let _alone = alone();
    block_on(async {
        let ask = |n: usize| async move {
            shared().chat(ChatRequest { max_tokens: 3, ..user(&format!("Count to {n}.")) }).await.unwrap()
        };
        let (a, b, c) = tokio::join!(ask(1), ask(2), ask(3));
        assert_eq!([a, b, c].map(|answer| answer.end.usage.output_tokens), [3, 3, 3]);
    });
}

#[test]
fn a_temperature_that_is_none_is_refused() {
    let _alone = alone();
    for temperature in [-1.0, f32::NAN, f32::INFINITY] {
        let error = chat(ChatRequest { temperature, ..user("Hi") }).unwrap_err();
        assert_eq!(error.code(), "unsupported");
    }
}
