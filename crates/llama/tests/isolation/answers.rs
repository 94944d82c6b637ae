//! A model answers in a process of its own as it does in a thread.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use parkway_core::model::{ChatRequest, Constraint, Delta, Model, ModelError};
use parkway_llama::Llama;
use serde_json::json;

use crate::system::until;
use crate::{block_on, isolated, long, model_path, user};

crate::tests![
    an_answer_is_another_one_than_in_a_thread,
    what_a_model_tells_is_lost_on_the_way,
    a_dropped_stream_goes_on_in_the_process,
    one_of_many_at_once_is_not_answered,
    a_reader_that_stalls_stalls_the_others,
    a_vocabulary_counts_otherwise,
];

fn an_answer_is_another_one_than_in_a_thread() {
    let config = Llama::gguf(model_path()).context_length(1_024).deterministic(true);
    let schema = json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120}}, "required": ["name", "age"],
        "additionalProperties": false});
    let requests = [
        ChatRequest { max_tokens: 40, ..user("Tell me a story about a fox.") },
        ChatRequest { max_tokens: 40, temperature: 0.8, seed: u64::MAX, ..user("Tell me a story about a fox.") },
        ChatRequest { constraint: Some(Constraint::JsonSchema(schema)), max_tokens: 60, ..user("Who is Anna?") },
        ChatRequest { logprobs: Some(2), max_tokens: 8, ..user("Say hello.") },
        ChatRequest { assistant_prefix: Some("The fox".into()), max_tokens: 9, ..user("What ran?") },
        ChatRequest { max_tokens: 5_000, ..user("Hi") },
        ChatRequest { temperature: -1.0, ..user("Hi") },
        ChatRequest { constraint: Some(Constraint::Regex("(".into())), ..user("Hi") },
    ];
    let expected: Vec<_> = {
        let model = config.clone().load(|_| ()).unwrap();
        requests.iter().map(|request| block_on(model.chat(request.clone()))).collect()
    };
    let model = config.isolated().load(|_| ()).unwrap();
    for (request, expected) in requests.into_iter().zip(expected) {
        assert_eq!(block_on(model.chat(request)), expected);
    }
    let error = block_on(model.chat(ChatRequest { temperature: f32::NAN, ..user("Hi") })).unwrap_err();
    assert_eq!(error, ModelError::Unsupported("a temperature of NaN".into()));
}

fn what_a_model_tells_is_lost_on_the_way() {
    let config = Llama::gguf(model_path()).name("small").context_length(512).threads(1);
    let progress = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&progress);
    let model = config.clone().isolated().load(move |done| seen.lock().unwrap().push(done)).unwrap();
    assert!(progress.lock().unwrap().is_sorted() && progress.lock().unwrap().last() == Some(&1.0));
    let thread = config.load(|_| ()).unwrap();
    let (here, there) = (thread.capabilities(), model.capabilities());
    assert_eq!(there.device, "cpu, 1 thread, in a process of its own");
    assert_eq!((&here.name, &here.model_hash, &here.constraints), (&there.name, &there.model_hash, &there.constraints));
    let request = user("How long is this?");
    assert!(thread.count_tokens(&request).is_some());
    assert_eq!(thread.count_tokens(&request), model.count_tokens(&request));
    let hopeless = Constraint::JsonSchema(json!({"type": "strang"}));
    assert_eq!(thread.check_constraint(&hopeless), model.check_constraint(&hopeless));
    assert_eq!(model.stats().unwrap().decodes, 0);
    model.prefill(&user(&"Read this ahead. ".repeat(20)));
    until("nothing was read ahead", || model.stats().unwrap().rows > 50);
}

fn a_dropped_stream_goes_on_in_the_process() {
    let model = isolated();
    block_on(async {
        let mut deltas = model.stream(long()).await.unwrap();
        while !matches!(deltas.next().await, Some(Ok(Delta::Text(_)))) {}
    });
    let dropped = Instant::now();
    until("it still runs", || model.stats().unwrap().running == 0);
    assert!(dropped.elapsed() < Duration::from_secs(5), "{:?}", dropped.elapsed());
    // Also one that was not begun with.
    block_on(async {
        let streams = [model.stream(long()).await.unwrap(), model.stream(long()).await.unwrap()];
        drop(streams);
        let answer = model.chat(ChatRequest { max_tokens: 3, ..user("Hi") }).await.unwrap();
        assert_eq!(answer.end.usage.output_tokens, 3);
    });
    until("one still runs", || model.stats().is_some_and(|stats| stats.running + stats.waiting == 0));
}

fn one_of_many_at_once_is_not_answered() {
    let model = isolated();
    let answers = block_on(async {
        let ask = |n: usize| {
            let model = model.clone();
            tokio::spawn(
                async move { model.chat(ChatRequest { max_tokens: 2, ..user(&format!("Count to {n}.")) }).await },
            )
        };
        let mut answers = Vec::new();
        for asked in (0..40).map(ask).collect::<Vec<_>>() {
            answers.push(asked.await.unwrap().unwrap().end.usage.output_tokens);
        }
        answers
    });
    assert_eq!(answers, [2; 40]);
    // Together, and not one after the other.
    let stats = model.stats().unwrap();
    assert!(stats.decodes < 40 * 2, "{stats:?}");
}

fn a_reader_that_stalls_stalls_the_others() {
    let model = isolated();
    block_on(async {
        let mut stalled = model.stream(ChatRequest { max_tokens: 400, ..long() }).await.unwrap();
        let other = model.chat(ChatRequest { max_tokens: 5, ..user("Hi") }).await.unwrap();
        assert_eq!(other.end.usage.output_tokens, 5);
        while model.stats().unwrap().running > 0 {}
        let mut last = None;
        while let Some(delta) = stalled.next().await {
            last = Some(delta.unwrap());
        }
        assert!(matches!(last, Some(Delta::Done(_))));
    });
}

fn a_vocabulary_counts_otherwise() {
    let config = Llama::gguf(model_path());
    let (here, there) = (config.clone().load_vocabulary().unwrap(), config.isolated().load_vocabulary().unwrap());
    let request = user("How long is this?");
    assert!(here.count_tokens(&request).is_some());
    assert_eq!(here.count_tokens(&request), there.count_tokens(&request));
    assert_eq!(block_on(here.chat(request.clone())), block_on(there.chat(request)));
    assert_eq!((here.capabilities(), there.stats()), (there.capabilities(), None));
}
