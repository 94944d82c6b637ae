//! Requests that are answered together, in one batch a step.

use std::time::{Duration, Instant};

use parkway_core::id::RunId;
use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Delta, Model, ModelError, Role};
use parkway_llama::Llama;
use serde_json::{Value, json};

use crate::{alone, block_on, model_path, shared, user, with_schema};

const RULES: &str = "You read letters and tell in one sentence what the writer wants. ";

fn about(rules: &str, letter: &str) -> ChatRequest {
    let messages = vec![ChatMessage::new(Role::System, rules.repeat(20)), ChatMessage::new(Role::User, letter)];
    ChatRequest { max_tokens: 24, ..ChatRequest::new(messages) }
}

/// The answers to requests that are all asked at once.
fn at_once(model: &'static Llama, requests: &[ChatRequest]) -> Vec<Result<ChatResponse, ModelError>> {
    block_on(async {
        let asked: Vec<_> = requests.iter().map(|request| tokio::spawn(model.chat(request.clone()))).collect();
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        answers
    })
}

fn loaded(context: u32, cache: u32) -> &'static Llama {
    Box::leak(Box::new(Llama::gguf(model_path()).context_length(context).cache_tokens(cache).load(|_| {}).unwrap()))
}

#[test]
fn what_requests_begin_with_in_common_is_computed_once_for_each() {
    let _alone = alone();
    let model = loaded(1024, 4096);
    let letters =
        ["two lamps", "my money back", "a chair", "an answer", "the bill", "nothing", "a refund", "three cups"];
    let requests: Vec<ChatRequest> = letters.iter().map(|what| about(RULES, &format!("I want {what}."))).collect();
    let answers: Vec<ChatResponse> = at_once(model, &requests).into_iter().map(Result::unwrap).collect();
    let computed: u32 =
        answers.iter().map(|answer| answer.end.usage.prompt_tokens - answer.end.usage.cached_tokens).sum();
    let longest = answers.iter().map(|answer| answer.end.usage.prompt_tokens).max().unwrap();
    assert!(longest > 250 && computed < longest + 8 * 24, "{computed} of prompts of up to {longest} tokens");
    // The first is computed whole, and what came of all of them can be used again.
    assert_eq!(answers.iter().map(|answer| answer.end.usage.cached_tokens).min(), Some(0));
    for (again, before) in at_once(model, &requests).into_iter().zip(&answers) {
        let usage = again.unwrap().end.usage;
        assert_eq!(usage.cached_tokens, usage.prompt_tokens - 1, "{before:?}");
    }
}

#[test]
fn a_conversation_that_goes_on_is_read_from_its_beginning() {
    let _alone = alone();
    let mut request = about("Answer in few words. ", "Name a colour.");
    let first = at_once(shared(), std::slice::from_ref(&request)).remove(0).unwrap();
    request.messages.push(ChatMessage::new(Role::Assistant, first.text));
    request.messages.push(ChatMessage::new(Role::User, "Name another one."));
    let usage = at_once(shared(), &[request]).remove(0).unwrap().end.usage;
    assert!(usage.cached_tokens >= first.end.usage.prompt_tokens, "{usage:?} after {:?}", first.end.usage);
}

#[test]
fn answers_in_one_batch_are_mixed_up() {
    let _alone = alone();
    let schema = |n: usize| {
        json!({"type": "object", "properties": {"n": {"const": n}, "word": {"type": "string", "maxLength": 12}},
        "required": ["n", "word"], "additionalProperties": false})
    };
    let constrained = |n: usize| with_schema(about(RULES, &format!("Letter {n}: I want a lamp.")), &schema(n));
    let mut requests: Vec<ChatRequest> = (0..6).map(|n| ChatRequest { max_tokens: 60, ..constrained(n) }).collect();
    // One that cannot be answered, and one that is cut, touch nobody else.
    requests.insert(2, with_schema(user("Hi"), &json!({"type": "array", "uniqueItems": true})));
    requests.insert(4, ChatRequest { max_tokens: 3, ..constrained(99) });
    let answers = at_once(shared(), &requests);
    assert!(matches!(answers[2], Err(ModelError::Unsupported(_))), "{:?}", answers[2]);
    assert_eq!(answers[4], Err(ModelError::Cut { tokens: 3 }));
    let good = answers.into_iter().enumerate().filter(|(at, _)| ![2, 4].contains(at));
    for (n, (_, answer)) in good.enumerate() {
        let value: Value = serde_json::from_str(&answer.unwrap().text).unwrap();
        assert_eq!(value["n"], n);
    }
}

#[test]
fn more_requests_than_there_is_room_for_fail_or_hang() {
    let _alone = alone();
    let model = loaded(512, 512);
    let requests: Vec<ChatRequest> = (0..12)
        .map(|n| ChatRequest { max_tokens: 40, ..user(&format!("Letter {n}. {}", "Please wait. ".repeat(n * 8))) })
        .collect();
    for answer in at_once(model, &requests) {
        assert!(!answer.unwrap().text.is_empty());
    }
    // One that needs all of it.
    let tokens = u32::try_from(model.count_tokens(&user("Hi")).unwrap()).unwrap();
    let all = ChatRequest { max_tokens: 512 - tokens, ..user("Hi") };
    assert!(at_once(model, &[all]).remove(0).is_ok());
}

#[test]
fn a_dropped_request_keeps_its_room() {
    let _alone = alone();
    let model = loaded(512, 512);
    let greedy = || ChatRequest { max_tokens: 400, ..user("Tell me a long story about a fox.") };
    block_on(async {
        let mut first = model.stream(greedy()).await.unwrap();
        while !matches!(first.next().await, Some(Ok(Delta::Text(_)))) {}
        // It waits for the first one to end, and then for nobody.
        let mut second = model.stream(ChatRequest { max_tokens: 5, ..greedy() }).await.unwrap();
        let waiting = model.stream(greedy()).await.unwrap();
        drop((first, waiting));
        let start = Instant::now();
        while !matches!(second.next().await.unwrap().unwrap(), Delta::Done(_)) {}
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
}

#[test]
fn a_long_prompt_stalls_who_decodes() {
    let _alone = alone();
    let model = loaded(2048, 4096);
    block_on(async {
        let mut story =
            model.stream(ChatRequest { max_tokens: 300, ..user("Tell me a story about a fox.") }).await.unwrap();
        while !matches!(story.next().await, Some(Ok(Delta::Text(_)))) {}
        let long = ChatRequest { max_tokens: 1, ..user(&"Another letter about lamps. ".repeat(250)) };
        let mut read = model.stream(long).await.unwrap();
        let mut words = 0;
        loop {
            tokio::select! {
                biased;
                word = story.next() => words += usize::from(matches!(word, Some(Ok(Delta::Text(_))))),
                delta = read.next() => if matches!(delta.unwrap().unwrap(), Delta::Done(_)) { break },
            }
        }
        // A word at least for each part of the prompt.
        assert!(words >= 15, "{words} words while a prompt of more than 1,000 tokens was read");
    });
}

#[test]
fn what_was_done_is_counted_and_a_finished_answer_stays_in_the_cache() {
    let _alone = alone();
    let model = Llama::gguf(model_path()).context_length(512).load(|_| {}).unwrap();
    let before = model.stats();
    assert_eq!((before.decodes, before.sequences, before.cached_tokens, before.cache_size), (0, 0, 0, 1_024));
    let schema = json!({"type": "object", "properties": {"urgent": {"type": "boolean"}}, "required": ["urgent"]});
    let request = ChatRequest { max_tokens: 60, ..with_schema(user("Is it urgent?"), &schema) };
    let answer = block_on(model.chat(request)).unwrap();
    // The thread counts on after it has answered.
    let rests = || {
        let stats = model.stats();
        (stats.running == 0 && stats.sequences == 1).then_some(stats)
    };
    let after = std::iter::repeat_with(rests).find_map(|stats| {
        std::thread::yield_now();
        stats
    });
    let after = after.unwrap();
    let usage = answer.end.usage;
    // Of what is forced at the end nothing is computed.
    assert!(
        after.rows <= u64::from(usage.prompt_tokens + usage.output_tokens) && after.rows >= usage.prompt_tokens.into()
    );
    assert_eq!(after.cached_tokens, after.rows);
    assert!(after.masks >= 1 && after.mask_p50 <= after.mask_p99 && after.mask_time > Duration::ZERO);
    assert!(after.decode_time > Duration::ZERO && after.waiting == 0);
}

fn run(n: u8) -> Option<RunId> {
    Some(format!("00000000-0000-7000-8000-0000000000{n:02}").parse().unwrap())
}

/// Asks all of them, in this order, and tells the order in which their answers came.
pub(crate) fn order_of_ends(model: &Llama, requests: Vec<ChatRequest>) -> Vec<usize> {
    block_on(async {
        let (sender, mut ended) = tokio::sync::mpsc::unbounded_channel();
        for (at, request) in requests.into_iter().enumerate() {
            let mut deltas = model.stream(request).await.unwrap();
            let sender = sender.clone();
            tokio::spawn(async move {
                while !matches!(deltas.next().await.unwrap().unwrap(), Delta::Done(_)) {}
                sender.send(at).unwrap();
            });
        }
        drop(sender);
        let mut order = Vec::new();
        while let Some(at) = ended.recv().await {
            order.push(at);
        }
        order
    })
}

/// A request that takes half of a cache of 512 tokens, for `run`.
fn half(n: usize, run: Option<RunId>, chain: u32) -> ChatRequest {
    let mut request =
        ChatRequest { max_tokens: 4, ..user(&format!("Letter {n}. {}", "Please send lamps. ".repeat(40))) };
    request.hints.run = run;
    request.hints.chain = chain;
    request
}

#[test]
fn a_run_that_asks_little_does_not_wait_for_one_that_asks_much() {
    let _alone = alone();
    let model = Llama::gguf(model_path()).context_length(512).cache_tokens(512).load(|_| {}).unwrap();
    let mut requests: Vec<_> = (0..7).map(|n| half(n, run(1), 0)).collect();
    requests.push(half(7, run(2), 0));
    let order = order_of_ends(&model, requests);
    let place = order.iter().position(|at| *at == 7).unwrap();
    assert!(place <= 4, "{order:?}");
}

#[test]
fn of_one_run_the_longest_chain_goes_first() {
    let _alone = alone();
    let model = Llama::gguf(model_path()).context_length(512).cache_tokens(512).load(|_| {}).unwrap();
    let chains = [0, 0, 0, 0, 1, 5];
    let requests = chains.iter().enumerate().map(|(n, chain)| half(n, run(1), *chain)).collect();
    let order = order_of_ends(&model, requests);
    let place = |n: usize| order.iter().position(|at| *at == n).unwrap();
    assert!(place(5) < place(4) && place(4) < place(3) && place(4) < place(2), "{order:?}");
}

#[test]
fn what_is_told_ahead_is_read_while_nobody_asks() {
    let _alone = alone();
    let model = Llama::gguf(model_path()).context_length(1_024).load(|_| {}).unwrap();
    let rules = "You read letters to a shop, and say what the writer wants. ".repeat(20);
    let begun = ChatRequest::new(vec![ChatMessage::new(Role::System, rules.clone())]);
    model.prefill(&begun);
    while model.stats().sequences == 0 || model.stats().cached_tokens < 200 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let messages = vec![ChatMessage::new(Role::System, rules), ChatMessage::new(Role::User, "Lamps, please.")];
    let answer = block_on(model.chat(ChatRequest { max_tokens: 4, ..ChatRequest::new(messages) })).unwrap();
    let usage = answer.end.usage;
    assert!(usage.cached_tokens > 64 && usage.prompt_tokens - usage.cached_tokens < 300, "{usage:?}");
    // One that comes in the midst of it does not wait until all is read, and finds what was.
    let model = Llama::gguf(model_path()).context_length(2_048).load(|_| {}).unwrap();
    let long = user(&"Another letter about lamps. ".repeat(300));
    model.prefill(&long);
    while model.stats().decodes < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let answer = block_on(model.chat(ChatRequest { max_tokens: 2, ..user("Hi") })).unwrap();
    assert!(answer.end.usage.output_tokens <= 2);
    let (read, whole) = (model.stats().cached_tokens, model.count_tokens(&long).unwrap() as u64);
    assert!(read < whole, "{read} of {whole}");
    let asked = block_on(model.chat(ChatRequest { max_tokens: 1, ..long })).unwrap();
    assert!(asked.end.usage.cached_tokens > 64, "{:?}", asked.end.usage);
}

#[test]
fn what_had_to_leave_the_cache_is_copied_back_and_not_read_again() {
    let _alone = alone();
    let letter = |n: usize| ChatRequest {
        max_tokens: 3,
        logprobs: Some(8),
        ..user(&format!("Letter {n}. {}", "Please send lamps. ".repeat(60)))
    };
    let config = Llama::gguf(model_path()).context_length(512).cache_tokens(512);
    let model = config.clone().load(|_| {}).unwrap();
    let first = block_on(model.chat(letter(1))).unwrap();
    for n in 2..5 {
        block_on(model.chat(letter(n))).unwrap();
    }
    let before = model.stats();
    assert!(before.cold_bytes > 1 << 20, "{before:?}");
    let again = block_on(model.chat(letter(1))).unwrap();
    let usage = again.end.usage;
    assert!(usage.cached_tokens > usage.prompt_tokens - 40, "{usage:?}");
    // It is what was read, but for rounding: other cells would tell something else altogether.
    let (first, again) = (&first.end.logprobs[0].top, &again.end.logprobs[0].top);
    for (text, logprob) in first.iter().take(3) {
        let now = again.iter().find(|(other, _)| other == text).map(|(_, logprob)| *logprob).unwrap();
        assert!((now - logprob).abs() < 0.6, "{first:?} {again:?}");
    }
    let read = model.stats().rows - before.rows;
    assert!(read < 60, "{read} tokens were computed");
    // Another end of the same beginning, too.
    let other = user(&format!("Letter 2. {} And cups.", "Please send lamps. ".repeat(58)));
    let usage = block_on(model.chat(ChatRequest { max_tokens: 3, ..other })).unwrap().end.usage;
    assert!(usage.cached_tokens > 200, "{usage:?}");

    let model = config.cold_bytes(0).load(|_| {}).unwrap();
    for n in 1..5 {
        block_on(model.chat(letter(n))).unwrap();
    }
    assert_eq!(model.stats().cold_bytes, 0);
    let usage = block_on(model.chat(letter(1))).unwrap().end.usage;
    assert!(usage.cached_tokens < 64, "{usage:?}");
}
