//! Processes that end before their time, and that do not outlive who started them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use parkway_core::model::{ChatRequest, Delta, Model, ModelError};
use parkway_llama::{IsolatedLlama, Llama, LoadError};
use rustix::process::Signal;

use crate::system::{Scratch, children, exists, lives, signal, until};
use crate::{block_on, isolated, long, model_path, roles, user};

crate::tests![
    a_process_that_is_killed_takes_more_than_its_requests_with_it,
    a_process_that_ends_again_and_again_is_started_forever,
    a_process_outlives_its_model,
    a_process_that_stands_still_keeps_its_model_from_being_dropped,
    a_process_outlives_a_program_that_is_killed,
    a_file_that_llama_cpp_refuses_is_told_otherwise_than_in_a_thread,
    a_file_that_ends_llama_cpp_ends_the_program,
    a_file_that_changed_meanwhile_goes_on_answering,
];

fn short(model: &IsolatedLlama) -> Result<u32, ModelError> {
    let answer = block_on(model.chat(ChatRequest { max_tokens: 2, ..user("Hi") }));
    answer.map(|answer| answer.end.usage.output_tokens)
}

fn a_process_that_is_killed_takes_more_than_its_requests_with_it() {
    let (model, other) = (isolated(), isolated());
    let process = model.process_id().unwrap();
    let errors = block_on(async {
        let mut streams = [model.stream(long()).await.unwrap(), model.stream(long()).await.unwrap()];
        let mut beside = other.stream(ChatRequest { max_tokens: 60, ..long() }).await.unwrap();
        for stream in &mut streams {
            while !matches!(stream.next().await, Some(Ok(Delta::Text(_)))) {}
        }
        signal(process, Signal::KILL);
        let mut errors = Vec::new();
        for stream in &mut streams {
            let mut last = None;
            while let Some(delta) = stream.next().await {
                last = Some(delta);
            }
            errors.push(last.unwrap().unwrap_err());
        }
        let mut last = None;
        while let Some(delta) = beside.next().await {
            last = Some(delta.unwrap());
        }
        assert!(matches!(last, Some(Delta::Done(end)) if end.usage.output_tokens == 60));
        errors
    });
    for error in errors {
        assert!(error.retryable() && error.code() == "model", "{error:?}");
        let words = error.to_string();
        assert!(words.contains("was ended by signal 9, SIGKILL"), "{words}");
        assert!(words.contains("memory") && words.contains("smaller model"), "{words}");
        assert!(words.contains("The next request starts it again"), "{words}");
    }
    assert!(!exists(process), "nobody waited for it");
    assert_eq!((model.process_id(), model.count_tokens(&user("Hi"))), (None, None));
    assert_eq!(short(&model), Ok(2));
    assert!(model.process_id().is_some_and(|id| id != process && exists(id)));
    assert_eq!(short(&other), Ok(2));
}

fn a_process_that_ends_again_and_again_is_started_forever() {
    let model = isolated();
    for _ in 0..3 {
        assert_eq!(short(&model), Ok(2));
        let process = model.process_id().unwrap();
        signal(process, Signal::ABORT);
        until("it is not missed", || model.process_id().is_none());
        until("nobody waited for it", || !exists(process));
    }
    let error = block_on(model.chat(user("Hi"))).unwrap_err();
    assert!(!error.retryable(), "{error:?}");
    let words = error.to_string();
    assert!(
        words.contains("ended 3 times within 10 minutes, the last time it was ended by signal 6, SIGABRT"),
        "{words}"
    );
    assert!(model.process_id().is_none() && children(std::process::id()).is_empty());
}

fn a_process_outlives_its_model() {
    let model = isolated();
    let process = model.process_id().unwrap();
    let mut deltas = block_on(model.stream(long())).unwrap();
    assert!(block_on(deltas.next()).is_some());
    drop(model.clone());
    assert!(exists(process));
    drop(model);
    assert!(!exists(process));
    let last = block_on(async {
        let mut last = None;
        while let Some(delta) = deltas.next().await {
            last = Some(delta);
        }
        last
    });
    assert_eq!(last, Some(Err(ModelError::Cancelled)));
}

fn a_process_that_stands_still_keeps_its_model_from_being_dropped() {
    let model = isolated();
    let process = model.process_id().unwrap();
    signal(process, Signal::STOP);
    let started = std::time::Instant::now();
    drop(model);
    assert!(!exists(process) && started.elapsed().as_secs() < 4, "{:?}", started.elapsed());
}

fn a_process_outlives_a_program_that_is_killed() {
    let mut busy = roles::start("busy", Path::new(""), None);
    let mut told = BufReader::new(busy.stdout.take().unwrap()).lines();
    let process: u32 = told.nth(3).unwrap().unwrap().parse().unwrap();
    assert!(exists(process));
    busy.kill().unwrap();
    busy.wait().unwrap();
    until("it still answers", || !lives(process));

    let mut loading = roles::start("loading", Path::new(""), None);
    until("it starts none", || !children(loading.id()).is_empty());
    let process = children(loading.id())[0];
    loading.kill().unwrap();
    loading.wait().unwrap();
    until("it still loads", || !lives(process));
}

fn a_file_that_llama_cpp_refuses_is_told_otherwise_than_in_a_thread() {
    let scratch = Scratch::new("refused");
    let whole = fs::read(model_path()).unwrap();
    for length in [0, 5, 24, whole.len() / 2] {
        let path = scratch.file("m.gguf");
        fs::write(&path, &whole[..length]).unwrap();
        let config = Llama::gguf(&path).context_length(256);
        let error = config.clone().isolated().load(|_| ()).unwrap_err();
        assert_eq!(error, config.load(|_| ()).unwrap_err());
    }
    let missing = Llama::gguf(scratch.file("none.gguf")).isolated().load(|_| ()).unwrap_err();
    assert_eq!(missing, LoadError::Missing { path: scratch.file("none.gguf") });
    let short = Llama::gguf(model_path()).context_length(3).isolated().load(|_| ()).unwrap_err();
    assert_eq!(short.code(), "model_config");
}

fn a_file_that_ends_llama_cpp_ends_the_program() {
    let scratch = Scratch::new("assert");
    let mut bytes = fs::read(model_path()).unwrap();
    let key = b"llama.block_count";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 4;
    assert_eq!(bytes[at..at + 4], 30_u32.to_le_bytes());
    bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(0));
    let path = scratch.file("m.gguf");
    fs::write(&path, bytes).unwrap();
    let error = Llama::gguf(&path).isolated().load(|_| ()).unwrap_err();
    let words = error.to_string();
    assert!(error.code() == "model_process" && words.contains("was ended by signal 6, SIGABRT"), "{words}");
    assert!(words.contains("GGML_ASSERT(") && words.contains("take another file of the model"), "{words}");
}

fn a_file_that_changed_meanwhile_goes_on_answering() {
    let scratch = Scratch::new("changed");
    let path = scratch.file("m.gguf");
    fs::copy(model_path(), &path).unwrap();
    let model = Llama::gguf(&path).context_length(256).isolated().load(|_| ()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    assert_eq!(short(&model), Ok(2));
    signal(model.process_id().unwrap(), Signal::KILL);
    until("it is not missed", || model.process_id().is_none());
    let error = block_on(model.chat(user("Hi"))).unwrap_err();
    assert!(!error.retryable() && error.to_string().contains("its file or its device changed"), "{error}");
    assert!(children(std::process::id()).is_empty());
}
