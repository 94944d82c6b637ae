//! How probable tokens were, and how sure the model was of a choice.

use parkway_core::model::{ChatRequest, ChatResponse, Constraint};
use serde_json::json;

use crate::{alone, chat, user, with_schema};

fn told(request: ChatRequest) -> ChatResponse {
    let answer = chat(ChatRequest { logprobs: Some(3), max_tokens: 60, ..request }).unwrap();
    let said: String = answer.end.logprobs.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(said, answer.text);
    assert_eq!(answer.end.logprobs.len(), answer.end.tokens.len());
    answer
}

#[test]
fn each_token_of_a_free_answer_has_its_probability_and_its_rivals() {
    let _alone = alone();
    let answer = told(user("What is the capital of France?"));
    assert!(answer.end.logprobs.len() > 3, "{}", answer.text);
    for token in &answer.end.logprobs {
        assert_eq!(token.top.len(), 3);
        assert_eq!(Some(token.top[0].1), token.logprob, "greedy takes the best");
        assert!(token.top.is_sorted_by(|a, b| a.1 >= b.1));
        assert!(token.top.iter().map(|(_, logprob)| logprob.exp()).sum::<f32>() < 1.0001, "{token:?}");
    }
    assert_eq!(answer.end.confidence, None, "a free answer is no choice between few");
    let none = chat(ChatRequest { max_tokens: 5, ..user("Hi") }).unwrap();
    assert!(none.end.logprobs.is_empty(), "nobody asked");
}

#[test]
fn forced_tokens_have_no_probability_and_rivals_are_allowed() {
    let _alone = alone();
    let schema = json!({"type": "object", "properties": {"city": {"enum": ["Paris", "London", "Rome"]}},
        "required": ["city"], "additionalProperties": false});
    let answer = told(with_schema(user("What is the capital of France? As JSON."), &schema));
    let forced = answer.end.logprobs.iter().filter(|token| token.logprob.is_none()).count();
    assert_eq!(forced, answer.end.usage.forced_tokens as usize);
    assert!(forced > 0 && forced < answer.end.logprobs.len());
    for token in answer.end.logprobs.iter().filter(|token| token.logprob.is_some()) {
        let fits = |text: &str| ["Paris", "London", "Rome"].iter().any(|city| city.starts_with(text));
        assert!(token.top.iter().all(|(text, _)| fits(text)), "{token:?}");
    }
    let sure = answer.end.confidence.unwrap();
    assert!((0.0..=1.0).contains(&sure), "{sure}");
}

#[test]
fn a_model_is_surer_of_what_is_plain() {
    let _alone = alone();
    let ask = |text: &str, begun: &str| {
        let choice = Constraint::Choice([" Paris", " Lima"].map(str::to_owned).to_vec());
        let request = ChatRequest { constraint: Some(choice), assistant_prefix: Some(begun.into()), ..user(text) };
        chat(request).unwrap()
    };
    let plain = ask("What is the capital of France?", "The capital of France is");
    assert_eq!(plain.text, " Paris");
    let doubtful = ask("Name a city.", "The city is");
    let (plain, doubtful) = (plain.end.confidence.unwrap(), doubtful.end.confidence.unwrap());
    assert!(plain > 0.9 && doubtful < plain, "{plain} {doubtful}");
    // What leaves nothing to choose leaves nothing to be sure of.
    let schema = json!({"const": "Paris"});
    assert_eq!(chat(with_schema(user("Where?"), &schema)).unwrap().end.confidence, None);
}
