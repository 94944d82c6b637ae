//! Files, prompts and schemas that are broken, huge or hostile: an error with words, and the next request goes on.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parkway_core::model::{ChatRequest, Constraint, Model, ModelError};
use parkway_llama::{Llama, LoadError};
use serde_json::{Value, json};

use crate::{alone, block_on, chat, model_path, user, with_schema};

/// A file in a folder of its own, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("parkway-bad-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("m.gguf")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn answers_still() {
    assert!(chat(ChatRequest { max_tokens: 1, ..user("Hi") }).is_ok());
}

#[test]
fn a_file_that_ends_too_soon_is_refused_wherever_it_ends() {
    let _alone = alone();
    let (whole, scratch) = (fs::read(model_path()).unwrap(), Scratch::new("cut"));
    for length in [5, 24, 4_096, 1 << 20, whole.len() / 2, whole.len() - 1] {
        fs::write(scratch.file(), &whole[..length]).unwrap();
        let error = Llama::gguf(scratch.file()).context_length(256).load(|_| {}).unwrap_err();
        assert_eq!(error, LoadError::Refused { path: scratch.file() }, "{length}");
        assert!(error.to_string().contains("broken file"));
        assert!(Llama::gguf(scratch.file()).load_vocabulary().is_err() || length > 1 << 20, "{length}");
    }
    answers_still();
}

#[test]
fn a_kind_of_model_that_nobody_knows_is_refused() {
    let _alone = alone();
    let (mut bytes, scratch) = (fs::read(model_path()).unwrap(), Scratch::new("kind"));
    let key = b"general.architecture";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 12;
    assert_eq!(&bytes[at..at + 5], b"llama");
    bytes[at..at + 5].copy_from_slice(b"lhama");
    fs::write(scratch.file(), bytes).unwrap();
    let error = Llama::gguf(scratch.file()).context_length(256).load(|_| {}).unwrap_err();
    assert_eq!(error.code(), "model_refused");
    assert!(error.to_string().contains("a model kind that this version does not know"), "{error}");
    answers_still();
}

#[test]
fn a_prompt_of_a_megabyte_is_told_its_size_soon() {
    let _alone = alone();
    let started = Instant::now();
    let error = chat(user(&"A long letter. ".repeat(70_000))).unwrap_err();
    assert!(
        matches!(error, ModelError::PromptTooLong { prompt_tokens: 200_000.., context_length: 2_048, .. }),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    // Nor does one word of a megabyte, or one of nothing but special tokens, take longer.
    for text in ["a".repeat(1 << 20), "<|im_end|>".repeat(100_000), "\u{feff}".repeat(300_000)] {
        let started = Instant::now();
        assert!(matches!(chat(user(&text)), Err(ModelError::PromptTooLong { .. })));
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
    answers_still();
}

#[test]
fn a_schema_of_ten_thousand_keys_is_refused_with_words() {
    let _alone = alone();
    let keys =
        |n: usize| (0..n).map(|n| (format!("k{n}"), json!({"type": "integer"}))).collect::<serde_json::Map<_, _>>();
    let schema = |n: usize| json!({"type": "object", "properties": Value::Object(keys(n))});
    let started = Instant::now();
    let error = chat(with_schema(user("Hi"), &schema(10_000))).unwrap_err();
    assert!(matches!(&error, ModelError::Unsupported(words) if words.contains("10002 objects and arrays")), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // As many as are allowed: an answer, or words.
    let request = ChatRequest { max_tokens: 20, ..with_schema(user("Hi"), &schema(3_900)) };
    let result = chat(request);
    let fits = |error: &ModelError| matches!(error, ModelError::Cut { .. } | ModelError::Unsupported(_));
    assert!(result.as_ref().is_ok_and(|answer| answer.text.starts_with('{')) || result.as_ref().is_err_and(fits));
    answers_still();
}

#[test]
fn the_smallest_context_answers_what_fits() {
    let _alone = alone();
    let model = Llama::gguf(model_path()).context_length(64).load(|_| {}).unwrap();
    let short = user("Hi");
    let prompt = u32::try_from(model.count_tokens(&short).unwrap()).unwrap();
    let fits = ChatRequest { max_tokens: 64 - prompt, temperature: 1.5, ..short.clone() };
    let answer = block_on(model.chat(fits.clone())).unwrap();
    assert!(answer.end.usage.output_tokens <= 64 - prompt);
    let too_long = block_on(model.chat(ChatRequest { max_tokens: 64 - prompt + 1, ..short.clone() })).unwrap_err();
    assert!(matches!(too_long, ModelError::PromptTooLong { context_length: 64, .. }));
    assert!(too_long.to_string().contains("holds 64"));
    // Several at once share what there is, one after the other where they must.
    let at_once = block_on(async {
        let ask = |request: ChatRequest| {
            let model = model.clone();
            tokio::spawn(async move { model.chat(request).await })
        };
        let asked: Vec<_> = (0..6).map(|seed| ask(ChatRequest { seed, ..fits.clone() })).collect();
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        answers
    });
    assert!(at_once.iter().all(Result::is_ok), "{at_once:?}");
    let choice = Constraint::Choice(vec!["a text of more tokens than the answer may have here".into()]);
    let request = ChatRequest { constraint: Some(choice), max_tokens: 4, ..short };
    assert_eq!(block_on(model.chat(request)), Err(ModelError::Cut { tokens: 4 }));
}
