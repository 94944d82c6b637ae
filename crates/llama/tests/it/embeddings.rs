//! Vectors of texts, on a real, small embedder: all-MiniLM-L6-v2.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parkway_core::embedder::{Embedder, Embeddings};
use parkway_core::model::ModelError;
use parkway_llama::{Llama, LlamaEmbedder, LoadError};

use crate::common::cached;
use crate::{alone, block_on, model_path};

/// The embedder's file.
pub(crate) fn embedder_path() -> PathBuf {
    cached("PARKWAY_TEST_EMBEDDER", "all-MiniLM-L6-v2.F16.gguf")
}

fn embedder() -> &'static LlamaEmbedder {
    static SHARED: OnceLock<LlamaEmbedder> = OnceLock::new();
    SHARED.get_or_init(|| Llama::gguf(embedder_path()).load_embedder().unwrap())
}

fn embed(texts: &[&str]) -> Result<Embeddings, ModelError> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    block_on(embedder().embed(&texts))
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn it_says_what_it_is() {
    let _alone = alone();
    let info = embedder().info();
    assert_eq!((info.dimensions, info.max_tokens), (Some(384), Some(512)));
    assert_eq!(info.name, "all-MiniLM-L6-v2.F16");
    assert_eq!(info.model_hash.as_ref().map(String::len), Some(64));
}

#[test]
fn texts_of_like_meaning_lie_further_apart_than_others() {
    let _alone = alone();
    let texts = [
        "The parcel arrived broken and the customer wants a refund.",
        "A client asks for the money back because the delivery was damaged.",
        "The cat sleeps on the warm windowsill.",
        "A kitten naps in the sun by the window.",
    ];
    let vectors = embed(&texts).unwrap().vectors;
    let (claims, cats) = (cosine(&vectors[0], &vectors[1]), cosine(&vectors[2], &vectors[3]));
    let far = cosine(&vectors[0], &vectors[2]).max(cosine(&vectors[1], &vectors[3]));
    println!("claims {claims:.4}, cats {cats:.4}, far {far:.4}");
    assert!(claims > far + 0.3 && cats > far + 0.3, "{claims} {cats} {far}");
    // Those of a plain forward pass in numpy: `scripts/embedder --check`.
    assert!((claims - 0.621).abs() < 0.005 && (cats - 0.629).abs() < 0.005, "{claims} {cats}");
    for vector in &vectors {
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-5);
    }
}

#[test]
fn a_text_has_another_vector_among_others_than_alone() {
    let _alone = alone();
    // More texts than a batch has room for, of all lengths.
    let texts: Vec<String> =
        (1..=150).map(|n| format!("Letter {n}: {}", "please send me a lamp, ".repeat(n % 23))).collect();
    let together = block_on(embedder().embed(&texts)).unwrap();
    let mut tokens = 0;
    for at in [0, 22, 45, 63, 64, 100, 149] {
        let alone = block_on(embedder().embed(&texts[at..=at])).unwrap();
        let near = cosine(&alone.vectors[0], &together.vectors[at]);
        assert!(near > 0.999, "{at}: {near}");
        tokens += alone.tokens;
    }
    assert_eq!(together.vectors.len(), 150);
    assert!(together.tokens > tokens);
}

#[test]
fn a_text_that_is_too_long_is_cut() {
    let _alone = alone();
    // A token each, and two around all of them.
    let (fits, long) = ("lamp ".repeat(510), "lamp ".repeat(511));
    assert_eq!(embed(&[&fits]).unwrap().tokens, 512);
    let error = embed(&["short", &long, "short"]).unwrap_err();
    let ModelError::PromptTooLong { model, prompt_tokens, context_length, .. } = error else { panic!("{error}") };
    assert_eq!((model.as_str(), prompt_tokens, context_length), ("all-MiniLM-L6-v2.F16", 513, 512));
    // The next request is not harmed.
    assert_eq!(embed(&["short"]).unwrap().vectors.len(), 1);
}

#[test]
fn nothing_and_the_empty_text_are_errors() {
    let _alone = alone();
    assert_eq!(embed(&[]).unwrap(), Embeddings::default());
    let embeddings = embed(&["", " \n", "lamp"]).unwrap();
    assert_eq!((embeddings.vectors.len(), embeddings.tokens), (3, 7));
    // Both are nothing but what the model puts around a text.
    assert!(cosine(&embeddings.vectors[0], &embeddings.vectors[1]) > 0.9999);
}

#[test]
fn a_text_can_write_control_tokens() {
    let _alone = alone();
    let embeddings = embed(&["[SEP]", "[ sep ]"]).unwrap();
    assert_eq!(embeddings.tokens, 2 * (3 + 2));
    assert!(cosine(&embeddings.vectors[0], &embeddings.vectors[1]) > 0.9999);
}

#[test]
fn many_texts_keep_others_waiting_and_a_dropped_call_goes_on() {
    let _alone = alone();
    let many: Vec<String> = (0..3_000).map(|n| format!("Letter {n}: {}", "a lamp, please. ".repeat(20))).collect();
    let one = ["Where is my parcel?".to_owned()];
    block_on(async {
        let _ = embedder().embed(&one).await;
        let all = embedder().embed(&many);
        tokio::pin!(all);
        let started = Instant::now();
        tokio::select! {
            biased;
            _ = &mut all => panic!("3,000 texts were faster than one"),
            answer = async {
                // Until the many are at work.
                tokio::time::sleep(Duration::from_millis(100)).await;
                embedder().embed(&one).await
            } => assert_eq!(answer.unwrap().vectors.len(), 1),
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    });
    // The many were dropped: the thread is free at once.
    let started = Instant::now();
    block_on(embedder().embed(&one)).unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn calls_from_many_places_get_each_others_vectors() {
    let _alone = alone();
    let texts: Vec<String> = (0..24).map(|n| format!("Order {n} of {} lamps.", n * 7)).collect();
    let apart = block_on(embedder().embed(&texts)).unwrap().vectors;
    let at_once = block_on(async {
        let asked: Vec<_> = texts
            .iter()
            .map(|text| {
                let text = [text.clone()];
                tokio::spawn(async move { embedder().embed(&text).await })
            })
            .collect();
        let mut vectors = Vec::new();
        for answer in asked {
            vectors.extend(answer.await.unwrap().unwrap().vectors);
        }
        vectors
    });
    for (a, b) in apart.iter().zip(&at_once) {
        assert!(cosine(a, b) > 0.999);
    }
}

#[test]
fn a_model_that_chats_is_taken_for_an_embedder_or_an_embedder_for_one_that_chats() {
    let _alone = alone();
    let error = Llama::gguf(model_path()).load_embedder().unwrap_err();
    assert!(matches!(&error, LoadError::NotEmbedder { .. }), "{error}");
    assert_eq!(error.code(), "model_not_embedder");
    let words = error.to_string();
    assert!(words.contains("no embedding model") && words.contains("all-MiniLM-L6-v2"), "{words}");
    let error = Llama::gguf(embedder_path()).load(|_| {}).unwrap_err();
    assert!(matches!(error, LoadError::Template { .. }), "{error}");
    let error = Llama::gguf(embedder_path()).context_length(8).load_embedder().unwrap_err();
    assert!(matches!(error, LoadError::Config { .. }), "{error}");
}
