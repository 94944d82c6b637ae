//! Models that do not keep all that they have read, so that not everything can begin with it: those with running sums, which go on from
//! their exact end alone, and those whose attention slides.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Delta, Model, ModelError, Role, Usage};
use parkway_llama::{Llama, LlamaConfig};

use crate::tiny::{self, Kind, WINDOW};
use crate::{alone, block_on, user};

const KINDS: [Kind; 3] = [Kind::Recurrent, Kind::Hybrid, Kind::Sliding];
const CONTEXT: u32 = 512;

fn config(kind: Kind) -> LlamaConfig {
    static FILES: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let path = files.entry(format!("{kind:?}")).or_insert_with(|| tiny::file(kind));
    Llama::gguf(path).context_length(CONTEXT).threads(1)
}

fn load(config: LlamaConfig) -> &'static Llama {
    Box::leak(Box::new(config.load(|_| {}).unwrap()))
}

fn ask(model: &Llama, request: &ChatRequest) -> ChatResponse {
    block_on(model.chat(request.clone())).unwrap()
}

fn at_once(model: &'static Llama, requests: &[ChatRequest]) -> Vec<ChatResponse> {
    block_on(async {
        let asked: Vec<_> = requests.iter().map(|request| tokio::spawn(model.chat(request.clone()))).collect();
        let mut answers = Vec::new();
        for asked in asked {
            answers.push(asked.await.unwrap().unwrap());
        }
        answers
    })
}

/// A request whose prompt begins with so many bytes of a text, and ends with one of its own. A token is a byte, nearly.
fn request(shared: usize, own: &str) -> ChatRequest {
    let text: String = (0..40).map(|n| format!("{n} lamps, then {} chairs; ", n * 7 % 11)).collect();
    ChatRequest { max_tokens: 12, logprobs: Some(4), ..user(&format!("{}{own}", &text[..shared])) }
}

/// Prompts of which some begin alike for longer than the window, and one is asked twice.
fn requests() -> Vec<ChatRequest> {
    let parts = [
        (300, "A: two."),
        (300, "B: none."),
        (150, "C?"),
        (300, "A: two."),
        (400, "D"),
        (40, "E"),
        (200, ""),
        (0, "F"),
    ];
    parts.map(|(shared, own)| request(shared, own)).to_vec()
}

/// The answers of models that have read nothing before.
fn fresh(kind: Kind, requests: &[ChatRequest]) -> Vec<ChatResponse> {
    requests.iter().map(|request| ask(&config(kind).load(|_| {}).unwrap(), request)).collect()
}

/// What was told first and what is told now are the same, but for rounding.
fn check(about: &str, first: &[ChatResponse], now: &[ChatResponse]) {
    const NEAR: f32 = 0.05;
    assert_eq!(first.len(), now.len());
    for (n, (first, now)) in first.iter().zip(now).enumerate() {
        let same = first.end.tokens.iter().zip(&now.end.tokens).take_while(|(a, b)| a == b).count();
        let ends = same == first.end.tokens.len().max(now.end.tokens.len());
        for (at, (told, other)) in first.end.logprobs.iter().zip(&now.end.logprobs).enumerate().take(same + 1) {
            let moved = told.top.iter().zip(&other.top).map(|((_, a), (_, b))| (a - b).abs()).fold(0.0, f32::max);
            assert!(moved < NEAR, "{about}, request {n}, token {at}: {told:?} {other:?}");
            let parts = at == same && !ends;
            assert!(
                !parts || told.top[0].1 - told.top[1].1 < NEAR,
                "{about}, request {n}, token {at}: {told:?} {other:?}"
            );
        }
        assert!(ends || same < first.end.logprobs.len().min(now.end.logprobs.len()), "{about}, request {n} ends");
    }
}

#[test]
fn an_answer_depends_on_what_was_asked_before_or_beside_it() {
    let _alone = alone();
    for kind in KINDS {
        let requests = requests();
        let first = fresh(kind, &requests);
        let distinct: std::collections::BTreeSet<_> = first.iter().map(|answer| &answer.end.tokens).collect();
        assert!(distinct.len() > 5, "{kind:?} says the same whatever it has read: {distinct:?}");

        let model = load(config(kind));
        for way in ["one by one", "one by one, again"] {
            let now: Vec<_> = requests.iter().map(|request| ask(model, request)).collect();
            check(&format!("{kind:?}, {way}"), &first, &now);
        }
        for way in ["at once after others", "at once, again"] {
            check(&format!("{kind:?}, {way}"), &first, &at_once(model, &requests));
        }
        check(&format!("{kind:?}, at once"), &first, &at_once(load(config(kind)), &requests));
        let usage = ask(model, &requests[0]).end.usage;
        match kind {
            Kind::Sliding => assert_eq!(usage.cached_tokens, usage.prompt_tokens - 1),
            Kind::Recurrent | Kind::Hybrid => assert_eq!(usage.cached_tokens, 0, "another one was asked in between"),
        }
    }
}

#[test]
fn a_model_that_is_deterministic_is_not() {
    let _alone = alone();
    for kind in KINDS {
        let load = || load(config(kind).deterministic(true));
        let requests = requests();
        let first: Vec<_> = requests.iter().map(|request| ask(load(), request).end.logprobs).collect();
        let model = load();
        for _ in 0..2 {
            let now: Vec<_> = requests.iter().map(|request| ask(model, request).end.logprobs).collect();
            assert_eq!(first, now, "{kind:?}");
        }
        let now: Vec<_> = at_once(model, &requests).into_iter().map(|answer| answer.end.logprobs).collect();
        assert_eq!(first, now, "{kind:?}");
    }
}

#[test]
fn what_is_shared_after_the_cache_was_full_is_gone() {
    let _alone = alone();
    let model = load(config(Kind::Sliding).cache_tokens(2 * CONTEXT));
    // Long ones that share no more than the template, so that each has to make room for the next.
    let other = |n: usize| ChatRequest {
        max_tokens: 40,
        logprobs: Some(4),
        ..user(&format!("{n}: {}", "Please wait for it. ".repeat(10 + n)))
    };
    let mut shared = 0;
    for round in 0..6 {
        ask(model, &request(350, "A"));
        ask(model, &other(round));
        // Others run at the same time, and take what is free.
        let asked = [request(120 + 30 * round, "B"), other(round + 1), request(350, "C"), request(80, "D")];
        let now = at_once(model, &asked);
        check(&format!("round {round}"), &fresh(Kind::Sliding, &asked), &now);
        shared += now.iter().filter(|answer| answer.end.usage.cached_tokens > WINDOW).count();
    }
    assert!(shared > 6, "{shared} answers began with more than the window of another one");
    assert_eq!(model.stats().cold_bytes, 0, "a copy has what the next token sees, which is not what others begin with");
}

#[test]
fn a_conversation_that_goes_on_is_read_again() {
    let _alone = alone();
    for kind in KINDS {
        let model = load(config(kind));
        let mut talk = request(200, "Well?");
        let first = ask(model, &talk);
        talk.messages.push(ChatMessage::new(Role::Assistant, first.text.clone()));
        talk.messages.push(ChatMessage::new(Role::User, "And then?"));
        let second = ask(model, &talk);
        check(&format!("{kind:?}"), &fresh(kind, std::slice::from_ref(&talk)), std::slice::from_ref(&second));
        // Unless it is spelled otherwise: nonsense is not always text.
        let Usage { prompt_tokens, output_tokens, .. } = first.end.usage;
        let read = [first.end.tokens.clone(), model.tokenize(&first.text)];
        if read[0] == read[1] {
            assert_eq!(second.end.usage.cached_tokens, prompt_tokens + output_tokens - 1, "{kind:?}");
        }
    }
}

#[test]
fn a_dropped_request_spoils_the_next_one() {
    let _alone = alone();
    for kind in KINDS {
        let model = load(config(kind));
        let long = ChatRequest { max_tokens: 60, ..request(380, "A") };
        let asked = [request(380, "B"), request(100, "C")];
        let first = fresh(kind, &asked);
        for pieces in [0, 1, 3] {
            block_on(async {
                let mut dropped = model.stream(long.clone()).await.unwrap();
                let mut seen = 0;
                while seen < pieces {
                    seen += usize::from(!matches!(dropped.next().await, Some(Ok(Delta::Done(_))) | None));
                }
            });
            let now: Vec<_> = asked.iter().map(|request| ask(model, request)).collect();
            check(&format!("{kind:?}, dropped after {pieces}"), &first, &now);
        }
    }
}

#[test]
fn an_answer_that_fills_the_context_ends_the_process() {
    let _alone = alone();
    for kind in KINDS {
        for deterministic in [false, true] {
            let model = load(config(kind).deterministic(deterministic).cache_tokens(CONTEXT));
            let prompt = |request: &ChatRequest| u32::try_from(model.count_tokens(request).unwrap()).unwrap();
            for shared in [60, 300, 440] {
                let all = request(shared, "?");
                let max_tokens = CONTEXT - prompt(&all);
                let answer = ask(model, &ChatRequest { max_tokens, temperature: 1.0, ..all.clone() });
                assert!(answer.end.usage.output_tokens <= max_tokens, "{kind:?}");
                let over = block_on(model.chat(ChatRequest { max_tokens: max_tokens + 1, ..all }));
                assert!(matches!(over, Err(ModelError::PromptTooLong { .. })), "{kind:?}: {over:?}");
            }
        }
    }
}
