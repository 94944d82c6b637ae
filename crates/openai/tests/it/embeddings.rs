//! Texts in, vectors out.

use std::time::Duration;

use parkway_core::embedder::Embedder as _;
use parkway_core::model::ModelError;
use parkway_core::secret::Secret;
use parkway_openai::OpenAi;
use serde_json::{Value, json};

use crate::served::{Act, Served, json as whole, say, status};

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

async fn fails(answer: String) -> ModelError {
    let served = Served::bytes(answer).await;
    OpenAi::at(served.url(), "e").load_embedder().unwrap().embed(&texts(&["a", "b"])).await.unwrap_err()
}

#[tokio::test]
async fn vectors_come_in_the_order_of_the_texts_batch_by_batch() {
    let served = Served::new(|seen| {
        let texts = seen.body["input"].as_array().unwrap();
        let entry = |(index, text): (usize, &Value)| {
            let length = text.as_str().unwrap().len();
            json!({"object": "embedding", "index": index, "embedding": [3.0 * length as f64, 4.0 * length as f64 * (-1f64).powi(index as i32)]})
        };
        let data: Vec<_> = texts.iter().enumerate().map(entry).rev().collect();
        vec![say(whole(&json!({"data": data, "usage": {"prompt_tokens": 5, "total_tokens": 5}})))]
    })
    .await;
    let embedder = OpenAi::at(served.url(), "e").key(Secret::new("sk-1")).batch(2).load_embedder().unwrap();
    let found = embedder.embed(&texts(&["a", "bb", "ccc"])).await.unwrap();
    assert_eq!(found.tokens, 10);
    let expect = [[0.6, 0.8], [0.6, -0.8], [0.6, 0.8]];
    for (vector, expect) in found.vectors.iter().zip(expect) {
        assert!(vector.iter().zip(expect).all(|(x, y): (&f32, f32)| (x - y).abs() < 1e-6), "{vector:?}");
    }
    let seen = served.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].what, "POST /v1/embeddings");
    assert_eq!(seen[0].body, json!({"model": "e", "input": ["a", "bb"], "encoding_format": "float"}));
    assert_eq!(seen[1].header("authorization"), Some("Bearer sk-1"));
    assert_eq!(embedder.embed(&[]).await.unwrap().vectors.len(), 0);
    assert_eq!(embedder.info().name, "e");
}

#[tokio::test]
async fn what_does_not_fit_the_texts_is_an_error() {
    let entry = |index: u64, vector: Value| json!({"index": index, "embedding": vector});
    for (data, words) in [
        (json!([entry(0, json!([1.0]))]), "sent 1 vectors for 2 texts"),
        (json!([entry(0, json!([1.0])), entry(0, json!([1.0]))]), "for one text twice"),
        (json!([entry(0, json!([1.0])), entry(7, json!([1.0]))]), "for no text"),
        (
            json!([entry(0, json!([1.0])), entry(1, json!([1.0, 2.0]))]),
            "a vector of 2 numbers, where the others have 1",
        ),
        (json!([entry(0, json!([])), entry(1, json!([]))]), "no vector of numbers"),
        (json!([entry(0, json!("AAAA")), entry(1, json!("AAAA"))]), "no vector of numbers"),
        (json!([entry(0, json!([1e300])), entry(1, json!([1.0]))]), "no vector of numbers"),
        (json!("none"), "sent no list of vectors"),
    ] {
        let error = fails(whole(&json!({ "data": data }))).await;
        assert!(!error.retryable() && error.to_string().contains(words), "{error}");
    }
    let error = fails(whole(&json!({"error": {"message": "no", "code": 500}}))).await;
    assert!(error.retryable() && error.to_string().contains("failed (500): no"), "{error}");
    let served = Served::bytes(whole(&json!({"data": [entry(0, json!([1.0, 2.0]))]}))).await;
    let embedder = OpenAi::at(served.url(), "e").dimensions(3).load_embedder().unwrap();
    let error = embedder.embed(&texts(&["a"])).await.unwrap_err();
    assert!(error.to_string().contains("a vector of 2 numbers, where the others have 3"), "{error}");
    assert_eq!(embedder.info().dimensions, Some(3));
}

#[tokio::test]
async fn a_text_that_is_too_long_is_told_and_not_cut() {
    let body = r#"{"error":{"message":"This model's maximum context length is 512 tokens. However, you requested 600 tokens in the input for embedding generation. Please reduce the length of the input.","code":400}}"#;
    let error = fails(status("400 Bad Request", "", body)).await;
    let expect =
        ModelError::PromptTooLong { model: "e".into(), prompt_tokens: 600, max_tokens: 0, context_length: 512 };
    assert_eq!(error, expect);
}

#[tokio::test]
async fn an_embedding_that_is_given_up_closes_the_connection() {
    let mut served = Served::new(|_| vec![Act::AwaitClose]).await;
    let embedder = OpenAi::at(served.url(), "e").load_embedder().unwrap();
    let all = texts(&["a"]);
    assert!(tokio::time::timeout(Duration::from_millis(200), embedder.embed(&all)).await.is_err());
    served.closed().await;
}
