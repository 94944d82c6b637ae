//! Constraints, enforced token by token on the real vocabulary.

use std::time::{Duration, Instant};

use parkway_core::model::{ChatRequest, Constraint, FinishReason, ModelError};
use serde_json::{Value, json};

use crate::{alone, chat, shared, user, with_schema};

fn schemas() -> Vec<Value> {
    let order = json!({"type": "object", "additionalProperties": false,
        "properties": {"customer": {"type": "string", "maxLength": 30}, "order_number": {"type": ["string", "null"], "maxLength": 12},
            "quantity": {"type": "integer", "minimum": 1, "maximum": 99}, "urgent": {"type": "boolean"}},
        "required": ["customer", "order_number", "quantity", "urgent"]});
    vec![
        order.clone(),
        json!({"type": "array", "items": {"$ref": "#/$defs/order"}, "minItems": 1, "maxItems": 2, "$defs": {"order": order}}),
        json!({"enum": ["refund", "order", "complaint", 7, null, {"a": [1, 2]}]}),
        json!({"type": "object", "additionalProperties": false, "required": ["when", "kind"],
            "properties": {"when": {"type": "string", "format": "date"}, "kind": {"const": "Größe: \"XL\"\n😀"}}}),
        json!({"anyOf": [{"type": "number", "minimum": 0, "maximum": 10, "multipleOf": 0.5}, {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}]}),
    ]
}

const LETTER: &str =
    "Dear shop, this is Anna Weber. Please send me 3 more lamps, like in order AB-1234 of 2026-03-05. It is urgent!";

fn ask(schema: &Value, temperature: f32, seed: u64) -> ChatRequest {
    let text = format!("{LETTER}\n\nWrite down the order as JSON.");
    ChatRequest { temperature, seed, max_tokens: 200, ..with_schema(user(&text), schema) }
}

#[test]
fn answers_are_valid_under_their_schema() {
    let _alone = alone();
    for (at, schema) in schemas().iter().enumerate() {
        for (temperature, seed) in [(0.0, 0), (0.8, 1), (1.5, 2)] {
            let answer = chat(ask(schema, temperature, seed)).unwrap_or_else(|error| panic!("{at}: {error}"));
            let value: Value =
                serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error}: {}", answer.text));
            assert!(jsonschema::is_valid(schema, &value), "{at}: {}", answer.text);
            assert_eq!(answer.end.finish, FinishReason::Stop);
            assert_eq!(answer.end.grammar.as_ref().map(String::len), Some(64));
            assert_eq!(answer.text, value.to_string(), "free white space");
        }
    }
}

#[test]
fn characters_of_several_tokens_are_spelled_as_the_tokenizer_does() {
    let _alone = alone();
    // Emoji in a row, whose first bytes join with those of the next one; and letters that the vocabulary has in pieces.
    for text in ["[🀄-🙏]{3,9}", "[ !a-zß-ž一-鿆🏀-🏿☀-⛿]{3,20}", "([𝐀-𝟿]|[ऀ-ॿ]|👩‍🔬|🇩🇪){2,8}"]
    {
        for seed in 0..12 {
            let request = user("Write something with emoji and letters of other languages.");
            let constraint = Some(Constraint::Regex(text.into()));
            let request = ChatRequest { constraint, temperature: 2.0, seed, max_tokens: 120, ..request };
            let answer = chat(request).unwrap();
            assert_eq!(shared().tokenize(&answer.text), answer.end.tokens, "{text}, seed {seed}: {}", answer.text);
        }
    }
}

#[test]
fn emitted_tokens_are_those_of_the_text() {
    let _alone = alone();
    for (at, schema) in schemas().iter().enumerate() {
        for (temperature, seed) in [(0.0, 0), (1.0, 1), (2.0, 2), (2.0, 3)] {
            let answer = chat(ask(schema, temperature, seed)).unwrap();
            assert_eq!(shared().tokenize(&answer.text), answer.end.tokens, "{at}: {}", answer.text);
        }
    }
}

#[test]
fn what_is_certain_is_forced_and_not_sampled() {
    let _alone = alone();
    let usage = chat(ask(&schemas()[0], 0.0, 0)).unwrap().end.usage;
    assert!(usage.forced_tokens > 8 && usage.forced_tokens < usage.output_tokens, "{usage:?}");

    // Where all is certain the model is not even asked.
    let constant = json!({"const": {"answer": 42, "text": "not a matter of taste"}});
    let start = Instant::now();
    let answer = chat(ask(&constant, 0.0, 0)).unwrap();
    assert_eq!(answer.text, r#"{"answer":42,"text":"not a matter of taste"}"#);
    assert_eq!(answer.end.usage.forced_tokens, answer.end.usage.output_tokens);
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
}

#[test]
fn a_choice_is_one_of_the_texts() {
    let _alone = alone();
    let choices = ["order", "order cancelled", "a \"complaint\"", "Größe", "\\o/", "<|im_end|>"];
    let constraint = Some(Constraint::Choice(choices.map(str::to_owned).to_vec()));
    for seed in 0..8 {
        let request = ChatRequest { constraint: constraint.clone(), temperature: 2.0, seed, ..user(LETTER) };
        let answer = chat(request).unwrap();
        assert!(choices.contains(&answer.text.as_str()), "{}", answer.text);
    }
    let only = Some(Constraint::Choice(vec!["yes".into()]));
    let answer = chat(ChatRequest { constraint: only, ..user("Is water wet?") }).unwrap();
    assert_eq!((answer.text.as_str(), answer.end.usage.forced_tokens > 0), ("yes", true));
}

#[test]
fn a_constraint_that_cannot_be_enforced_is_an_error_and_the_next_request_works() {
    let _alone = alone();
    let hostile = [
        json!({"type": "array", "uniqueItems": true}),
        json!({"$ref": "#"}),
        json!({"type": "string", "pattern": "(?=a)b"}),
        json!({"anyOf": vec![json!({"type": "object", "properties": {"a": {"$ref": "#"}}}); 500]}),
        json!({"type": "string", "pattern": "^((a{1,1000}){1,1000}){1,1000}b$", "minLength": 100_000}),
    ];
    for (at, schema) in hostile.iter().enumerate() {
        let start = Instant::now();
        let result = chat(ChatRequest { max_tokens: 10, ..ask(schema, 0.0, 0) });
        assert!(matches!(result, Err(ModelError::Unsupported(_) | ModelError::Cut { .. })), "{at}: {result:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{at}: {:?}", start.elapsed());
        assert!(chat(ChatRequest { max_tokens: 1, ..user("Hi") }).is_ok());
    }
}

#[test]
fn a_regular_expression_and_a_grammar_hold() {
    let _alone = alone();
    for (temperature, seed) in [(0.0, 0), (1.5, 3)] {
        let pattern = "[A-Z]{2}-[0-9]{4}";
        let ask = |constraint| {
            let request = ChatRequest { temperature, seed, max_tokens: 60, ..user(LETTER) };
            chat(ChatRequest { constraint: Some(constraint), ..request }).unwrap().text
        };
        let order = ask(Constraint::Regex(pattern.into()));
        assert!(is_order_number(&order), "{order}");
        let source =
            "start: item (\", \" item)~0..2\nitem: NUMBER \" \" THING\nNUMBER: /[1-9]/\nTHING: \"lamps\" | \"cups\"\n";
        let list = ask(Constraint::Lark(source.into()));
        let items: Vec<&str> = list.split(", ").collect();
        let fits = |item: &&str| matches!(item.split_once(' '), Some((n, "lamps" | "cups")) if n.len() == 1);
        assert!((1..=3).contains(&items.len()) && items.iter().all(fits), "{list}");
    }
}

/// Two capitals, a dash, four digits.
fn is_order_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 7
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2] == b'-'
        && bytes[3..].iter().all(u8::is_ascii_digit)
}
