//! LoRA adapters: requests ask for one by name, and none leaves a trace in what others are answered.

use std::fs;

use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Delta, Model, ModelError, Role};
use parkway_llama::{Llama, LlamaConfig, LoadError};
use sha2::{Digest, Sha256};

use crate::lora_file::{ALPHA, Folder, Gguf, RANK, Tensor, WIDTH, WORDS, noise};
use crate::together::order_of_ends;
use crate::{alone, block_on, model_path, user};

/// The model with the adapters `a` and `b`.
fn config(folder: &Folder) -> LlamaConfig {
    with_strength(folder, 1.0)
}

fn with_strength(folder: &Folder, strength: f32) -> LlamaConfig {
    let path = |name: &str, seed| folder.lora(name, &Gguf::lora(seed, strength));
    Llama::gguf(model_path()).context_length(512).adapter("a", path("a", 1)).adapter("b", path("b", 2))
}

fn with(adapter: Option<&str>, request: ChatRequest) -> ChatRequest {
    ChatRequest { adapter: adapter.map(str::to_owned), ..request }
}

const ALL: [Option<&str>; 3] = [None, Some("a"), Some("b")];

fn letter(n: usize) -> ChatRequest {
    let rules = "You read letters to a shop, and say what the writer wants. ".repeat(8);
    let messages = vec![
        ChatMessage::new(Role::System, rules),
        ChatMessage::new(Role::User, format!("Letter {n}: I want a blue lamp and my money back.")),
    ];
    ChatRequest { max_tokens: 16, ..ChatRequest::new(messages) }
}

fn ask(model: &Llama, request: ChatRequest) -> ChatResponse {
    block_on(model.chat(request)).unwrap()
}

fn at_once(model: &Llama, requests: &[ChatRequest]) -> Vec<ChatResponse> {
    block_on(async {
        let ask = |request: ChatRequest| {
            let model = model.clone();
            tokio::spawn(async move { model.chat(request).await.unwrap() })
        };
        let asked: Vec<_> = requests.iter().cloned().map(ask).collect();
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        answers
    })
}

#[test]
fn an_answer_does_not_depend_on_the_adapters_of_others() {
    let _alone = alone();
    let folder = Folder::new("same");
    let model = config(&folder).deterministic(true).load(|_| {}).unwrap();
    let plain = Llama::gguf(model_path()).context_length(512).deterministic(true).load(|_| {}).unwrap();
    let tokens = |answer: ChatResponse| answer.end.tokens;
    let requests: Vec<ChatRequest> = (0..2).flat_map(|n| ALL.map(|adapter| with(adapter, letter(n)))).collect();
    let first: Vec<_> = requests.iter().map(|request| tokens(ask(&model, request.clone()))).collect();
    for answers in first.chunks(3) {
        assert!(answers[0] != answers[1] && answers[1] != answers[2] && answers[0] != answers[2], "{answers:?}");
    }
    // Without an adapter it is the model that has none, before others were put on and after.
    let asked_plain = || ask(&plain, with(None, letter(0))).end;
    assert_eq!(first[0], asked_plain().tokens);
    let together: Vec<_> = at_once(&model, &requests).into_iter().map(tokens).collect();
    assert_eq!(together, first);
    for n in [5, 1, 4, 0, 3, 2, 2, 0, 0, 1] {
        assert_eq!(tokens(ask(&model, requests[n].clone())), first[n], "{n}");
    }
}

#[test]
fn what_was_read_with_one_adapter_is_not_used_with_another() {
    let _alone = alone();
    let folder = Folder::new("cache");
    for deterministic in [false, true] {
        let model = config(&folder).cache_tokens(4_096).deterministic(deterministic).load(|_| {}).unwrap();
        let cached = |adapter, n| ask(&model, with(adapter, letter(n))).end.usage.cached_tokens;
        for adapter in ALL {
            assert_eq!(cached(adapter, 0), 0, "{adapter:?}");
            assert!(cached(adapter, 1) >= 64, "{adapter:?}");
        }
        if !deterministic {
            // It is all there yet, each for its own.
            assert!(ALL.into_iter().all(|adapter| cached(adapter, 2) > 100));
        }
    }
}

/// The log-probabilities of the best tokens in the first place of an answer, which tell what the cache holds.
fn best(answer: &ChatResponse) -> &[(String, f32)] {
    &answer.end.logprobs[0].top
}

/// How far two such lists are apart, in the best tokens of the first.
fn distance(one: &[(String, f32)], other: &[(String, f32)]) -> f32 {
    let far = |(text, logprob): &(String, f32)| {
        other.iter().find(|(known, _)| known == text).map_or(9.0, |(_, other)| (other - logprob).abs())
    };
    one.iter().take(3).map(far).fold(0.0, f32::max)
}

/// So strong that what is computed with another adapter is far from rounding.
const STRONG: f32 = 10.0;

/// Whether each answer is, but for rounding, what its adapter gave at first, and not what another one gave.
fn assert_own(answers: &[ChatResponse], first: &[ChatResponse]) {
    for (n, answer) in answers.iter().enumerate() {
        let far: Vec<f32> = first.iter().map(|first| distance(best(first), best(answer))).collect();
        let nearest = far.iter().enumerate().all(|(other, there)| other == n || 2.0 * far[n] < *there);
        assert!(nearest, "{:?}: {far:?}", ALL[n]);
    }
}

/// Whether answers with the three are so far apart that a leak shows.
fn far_apart(answers: &[ChatResponse]) {
    let apart = [(0, 1), (1, 2), (0, 2)].map(|(n, m)| distance(best(&answers[n]), best(&answers[m])));
    assert!(apart.iter().all(|apart| *apart > 1.0), "{apart:?}");
}

#[test]
fn in_batches_no_adapter_leaks_into_others() {
    let _alone = alone();
    let folder = Folder::new("leak");
    // Room for two letters at most, so that each has to leave, with and without a place outside the cache.
    for cold in [0, 64 << 20] {
        let model = with_strength(&folder, STRONG).cache_tokens(512).cold_bytes(cold).load(|_| {}).unwrap();
        let request = |adapter, n| ChatRequest { logprobs: Some(16), ..with(adapter, letter(n)) };
        let requests: Vec<ChatRequest> = (0..3).flat_map(|n| ALL.map(|adapter| request(adapter, n))).collect();
        let first: Vec<ChatResponse> = requests.iter().map(|request| ask(&model, request.clone())).collect();
        for answers in first.chunks(3) {
            far_apart(answers);
        }
        let check = |answers: &[ChatResponse]| {
            answers.chunks(3).zip(first.chunks(3)).for_each(|(answers, first)| assert_own(answers, first));
        };
        check(&at_once(&model, &requests));
        let again: Vec<ChatResponse> = requests.iter().map(|request| ask(&model, request.clone())).collect();
        check(&again);
        assert_eq!(model.stats().cold_bytes > 0, cold > 0);
    }
}

#[test]
fn requests_that_are_dropped_do_not_leave_their_adapter_on() {
    let _alone = alone();
    let folder = Folder::new("dropped");
    let model = with_strength(&folder, STRONG).cache_tokens(2_048).load(|_| {}).unwrap();
    let request = |adapter, n| ChatRequest { logprobs: Some(16), ..with(adapter, letter(n)) };
    let first = ALL.map(|adapter| ask(&model, request(adapter, 0)));
    far_apart(&first);
    block_on(async {
        for n in 1..8 {
            let mut streams = Vec::new();
            for adapter in ALL {
                let long = ChatRequest { max_tokens: 200, ..request(adapter, n) };
                streams.push(model.stream(long).await.unwrap());
            }
            let last = &mut streams[n % 3];
            while n % 2 == 0 && !matches!(last.next().await, Some(Ok(Delta::Text(_)))) {}
            if n % 2 == 1 {
                last.next().await;
            }
        }
    });
    assert_own(&ALL.map(|adapter| ask(&model, request(adapter, 0))), &first);
}

#[test]
fn an_adapter_that_changes_nothing_gives_the_tokens_of_the_model() {
    let _alone = alone();
    let folder = Folder::new("zero");
    let (zero, one) = (folder.lora("zero", &Gguf::lora(1, 0.0)), folder.lora("one", &Gguf::lora(1, 1.0)));
    let double = folder.lora("double", &Gguf::lora(1, 1.0).float("adapter.lora.alpha", 2.0 * ALPHA));
    let config = Llama::gguf(model_path()).context_length(512).deterministic(true).adapter("zero", zero);
    let config = config.adapter_scaled("off", &one, 0.0).adapter_scaled("twice", &one, 2.0);
    let config = config.adapter("one", &one).adapter("double", &double);
    let model = config.load(|_| {}).unwrap();
    let answer = |adapter| {
        let request = ChatRequest { logprobs: Some(4), ..with(adapter, letter(0)) };
        let end = ask(&model, request).end;
        (end.tokens, end.logprobs)
    };
    let none = answer(None);
    assert_eq!(answer(Some("zero")), none);
    assert_eq!(answer(Some("off")), none);
    let twice = answer(Some("twice"));
    // Asked for one after the other, so that a scale that stays from before shows.
    let one = answer(Some("one"));
    assert!(one != none && one != twice && twice != none);
    assert_eq!(answer(Some("double")), twice);
    assert_eq!((answer(Some("one")), answer(None)), (one, none));
    let scales = model.capabilities().adapter_files.iter().map(|(name, file)| (name.as_str(), file.scale_milli));
    assert_eq!(
        scales.collect::<Vec<_>>(),
        [("double", 1_000), ("off", 0), ("one", 1_000), ("twice", 2_000), ("zero", 1_000)]
    );
}

#[test]
fn a_name_that_no_adapter_has_is_told_with_those_there_are() {
    let _alone = alone();
    let folder = Folder::new("names");
    let model = config(&folder).load(|_| {}).unwrap();
    let capabilities = model.capabilities();
    assert_eq!(capabilities.adapters, ["a", "b"]);
    let hash = hex::encode(Sha256::digest(fs::read(folder.path().join("a.gguf")).unwrap()));
    assert_eq!((&capabilities.adapter_files["a"].hash, capabilities.adapter_files["a"].scale_milli), (&hash, 1_000));
    let error = block_on(model.chat(with(Some("c"), user("Hi")))).unwrap_err();
    assert!(
        matches!(&error, ModelError::Unsupported(words) if words == "it has no adapter `c`; it has a, b"),
        "{error}"
    );
    let error = block_on(crate::shared().chat(with(Some("c"), user("Hi")))).unwrap_err();
    assert!(matches!(&error, ModelError::Unsupported(words) if words.contains("nor any other")), "{error}");
    let vocabulary = config(&folder).load_vocabulary().unwrap();
    assert_eq!(vocabulary.capabilities().adapters, ["a", "b"]);
    let error = config(&folder).load_embedder().unwrap_err();
    assert!(error.to_string().contains("takes no adapters"), "{error}");
}

#[test]
fn what_is_told_ahead_is_read_with_its_adapter() {
    let _alone = alone();
    let folder = Folder::new("ahead");
    let model = config(&folder).cache_tokens(2_048).load(|_| {}).unwrap();
    model.prefill(&with(Some("a"), letter(0)));
    while model.stats().sequences == 0 || model.stats().cached_tokens < 100 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let cached = |adapter| ask(&model, with(adapter, letter(0))).end.usage.cached_tokens;
    assert_eq!((cached(None), cached(Some("b"))), (0, 0));
    assert!(cached(Some("a")) > 64);
}

#[test]
fn a_mixed_load_over_adapters_is_answered_together() {
    let _alone = alone();
    let folder = Folder::new("mixed");
    let model = config(&folder).cache_tokens(4_096).load(|_| {}).unwrap();
    let requests: Vec<ChatRequest> = (0..60).map(|n| with(ALL[n % 3], letter(n))).collect();
    let answers = at_once(&model, &requests);
    assert!(answers.iter().all(|answer| answer.end.usage.output_tokens > 0));
    let stats = model.stats();
    let tokens: u32 = answers.iter().map(|answer| answer.end.usage.output_tokens).sum();
    let read: u32 = answers.iter().map(|answer| answer.end.usage.prompt_tokens - answer.end.usage.cached_tokens).sum();
    // Each beginning was read once for each adapter.
    assert!(read < 3 * 200 + 60 * 40, "{read} tokens of prompts were computed");
    assert!(stats.decodes * 4 < u64::from(tokens), "{} batches for {tokens} tokens", stats.decodes);
    // The one that is asked for by few is not last.
    let mut requests: Vec<ChatRequest> = (60..80).map(|n| with(Some("a"), letter(n))).collect();
    requests.push(with(Some("b"), letter(80)));
    let order = order_of_ends(&model, requests);
    assert_ne!(order.last(), Some(&20), "{order:?}");
}

#[test]
fn a_long_prompt_with_one_adapter_does_not_stall_who_decodes_with_another() {
    let _alone = alone();
    let folder = Folder::new("long");
    let model = config(&folder).context_length(2_048).cache_tokens(4_096).load(|_| {}).unwrap();
    block_on(async {
        let story = ChatRequest { max_tokens: 400, ..user("Tell me a story about a fox.") };
        let mut story = model.stream(with(Some("b"), story)).await.unwrap();
        while !matches!(story.next().await, Some(Ok(Delta::Text(_)))) {}
        let long = ChatRequest { max_tokens: 1, ..user(&"Another letter about lamps. ".repeat(250)) };
        let mut read = model.stream(with(Some("a"), long)).await.unwrap();
        let mut words = 0;
        loop {
            tokio::select! {
                biased;
                Some(word) = story.next() => words += usize::from(matches!(word, Ok(Delta::Text(_)))),
                delta = read.next() => if matches!(delta.unwrap().unwrap(), Delta::Done(_)) { break },
            }
        }
        assert!(words >= 10, "{words} words while a prompt of more than 1,000 tokens was read");
    });
}

/// An adapter of one part.
fn small() -> Gguf {
    let mut file = Gguf::empty();
    file.pair("blk.0.attn_q.weight", (WIDTH, WIDTH), noise(1), noise(2));
    file
}

const A: &str = "blk.0.attn_q.weight.lora_a";
const B: &str = "blk.0.attn_q.weight.lora_b";

/// Files that cannot be put on the model, and a word of what is said of each.
fn bad_files() -> Vec<(Vec<u8>, &'static str)> {
    let whole = small().bytes();
    let mut token_embd = Gguf::empty();
    token_embd.tensors = vec![
        Tensor::new("token_embd.weight.lora_a", &[RANK, WORDS], noise(1)),
        Tensor::new("token_embd.weight.lora_b", &[RANK, WIDTH], noise(2)),
    ];
    let of = |name: &str, shape: (u64, u64)| {
        let mut file = Gguf::empty();
        file.pair(name, shape, noise(1), noise(2));
        file
    };
    let shape = |of: &str, shape: &[u64]| small().with(of, |tensor| *tensor = Tensor::new(of, shape, noise(1)));
    let only = |keep: &str| {
        let mut file = small();
        file.tensors.retain(|tensor| tensor.name == keep);
        file
    };
    let stray = Tensor { name: "blk.0.attn_q.weight".into(), ..small().tensors[0].clone() };
    let mut with_stray = small();
    with_stray.tensors.push(stray);
    let mut files = vec![
        (b"<html>".to_vec(), "no GGUF file"),
        (Vec::new(), "no GGUF file"),
        (b"GGUF and then nothing that makes sense".to_vec(), "of version 2 or 3"),
        (whole[..whole.len() - 8_000].to_vec(), "it ends before its part"),
        (fs::read(model_path()).unwrap(), "no LoRA adapter"),
        (small().text("general.type", "model").bytes(), "no LoRA adapter"),
        (small().float("general.type", 1.0).bytes(), "no LoRA adapter"),
        (small().text("adapter.type", "dora").bytes(), "no LoRA adapter"),
        (
            small().text("general.architecture", "qwen2").bytes(),
            "of the kind `qwen2`, and this one is of the kind `llama`",
        ),
        (small().float("general.architecture", 1.0).bytes(), "of the kind ``"),
        (small().float("adapter.lora.alpha", f32::NAN).bytes(), "alpha"),
        (small().tokens("adapter.alora.invocation_tokens", &[1, 2]).bytes(), "activated LoRA"),
        (Gguf::empty().bytes(), "changes nothing"),
        (only(A).bytes(), "lora_b` is missing"),
        (only(B).bytes(), "lora_a` is missing"),
        (with_stray.bytes(), "no LoRA, `blk.0.attn_q.weight`"),
        (of("blk.99.attn_q.weight", (WIDTH, WIDTH)).bytes(), "does not have"),
        (of("blk.0.attn_norm.weight", (WIDTH, 1)).bytes(), "on which llama.cpp puts no adapter"),
        (token_embd.bytes(), "writes tokens with as well"),
        (shape(A, &[WIDTH + 32, RANK]).bytes(), "of the shapes [608, 8, 1, 1]"),
        (shape(A, &[WIDTH, RANK + 1]).bytes(), "of the shapes"),
        (shape(B, &[RANK, WIDTH, 2]).bytes(), "and [8, 576, 2, 1]"),
        (shape(A, &[WIDTH, RANK, 2]).bytes(), "of the shapes"),
        // Integers, which nothing is multiplied with.
        (small().with(A, |tensor| tensor.kind = 26).bytes(), "of none of the forms"),
        (small().with(B, |tensor| tensor.kind = 9_999).bytes(), "of none of the forms"),
    ];
    let none = small().with(A, |tensor| *tensor = Tensor::new(A, &[WIDTH, 0], noise(1)));
    let none = none.with(B, |tensor| *tensor = Tensor::new(B, &[0, WIDTH], noise(1)));
    files.push((none.bytes(), "of the shapes"));
    files.extend([9, 30, 100, 240].map(|length| (whole[..length].to_vec(), "it ends in the midst of its head")));
    files
}

#[test]
fn a_file_that_is_no_adapter_of_the_model_is_refused_with_words() {
    let _alone = alone();
    let folder = Folder::new("bad");
    let load = |path| Llama::gguf(model_path()).context_length(64).adapter("legal", path).load(|_| {});
    for (n, (bytes, said)) in bad_files().into_iter().enumerate() {
        let path = folder.file(&format!("{n}.gguf"), &bytes);
        let error = load(path.clone()).unwrap_err();
        let words = error.to_string();
        assert!(matches!(&error, LoadError::Adapter { .. }) && words.contains(said), "{n}, {said}: {words}");
        assert!(words.starts_with(&format!("the adapter `legal` (`{}`) cannot be put on the model: ", path.display())));
        assert_eq!(error.code(), "model_adapter");
    }
    let missing = load(folder.path().join("none.gguf")).unwrap_err().to_string();
    assert!(missing.contains("there is no such file; correct the path"), "{missing}");
    let folder_itself = load(folder.path().to_owned()).unwrap_err().to_string();
    assert!(folder_itself.contains("it is a directory"), "{folder_itself}");
    // What they are made from is one, also in a file of half the size, and on a model's words where it can be.
    let model = load(folder.lora("good", &small())).unwrap();
    assert!(!ask(&model, ChatRequest { max_tokens: 2, ..with(Some("legal"), user("Hi")) }).end.tokens.is_empty());
}
