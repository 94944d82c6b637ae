//! The prefix that a request shares with the one before it.

use parkway_core::model::{ChatMessage, ChatRequest, Role};

use crate::{alone, chat, forget};

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
