//! Answers a workload, and tells when each piece of each answer came: one half of the comparison with llama-server
//! (`scripts/rivals/inference`, which says what a workload is, and which is the other half).
//!
//! `cargo run --release -p parkway-llama --example workload MODEL.gguf THREADS CACHE_TOKENS < WORKLOAD.json`
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parkway_core::model::{ChatMessage, ChatRequest, Constraint, Delta, Model, Role};
use parkway_llama::Llama;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: workload MODEL.gguf THREADS CACHE_TOKENS < WORKLOAD.json";
    let path = args.next().ok_or(usage)?;
    let (threads, cache) = (args.next().ok_or(usage)?.parse()?, args.next().ok_or(usage)?.parse()?);
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let workload: Value = serde_json::from_str(&text)?;
    let context = u32::try_from(workload["context"].as_u64().ok_or("no context")?)?;
    let model = Llama::gguf(path).context_length(context).cache_tokens(cache).threads(threads);
    let model = model.load_async(|_| ()).await?;
    for round in workload["rounds"].as_array().ok_or("no rounds")? {
        let (started, mut requests) = (Instant::now(), Vec::new());
        for wave in round.as_array().ok_or("no waves")? {
            requests.extend(answer_wave(&model, wave, started).await?);
        }
        println!("{}", json!({"seconds": started.elapsed().as_secs_f64(), "requests": requests}));
    }
    Ok(())
}

/// Asks all requests of a wave at once, but for those that come when all others have so many pieces.
async fn answer_wave(model: &Llama, wave: &Value, started: Instant) -> Outcome<Vec<Value>> {
    let wave = wave.as_array().ok_or("no wave")?;
    let late = |request: &Value| request["after_pieces"].as_u64().unwrap_or(0);
    let early = wave.iter().filter(|request| late(request) == 0).count();
    // Pieces of the slowest early one: each counts itself in once, when it has enough of them.
    let enough = Arc::new(AtomicUsize::new(0));
    let mut open = Vec::new();
    for value in wave {
        let (model, enough, value) = (model.clone(), enough.clone(), value.clone());
        let needed = wave.iter().map(late).max().unwrap_or(0);
        open.push(tokio::spawn(async move {
            if late(&value) > 0 {
                while enough.load(Ordering::Relaxed) < early {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            answer(&model, &value, started, needed, &enough).await
        }));
    }
    let mut answers = Vec::new();
    for answer in open {
        answers.push(answer.await??);
    }
    Ok(answers)
}

async fn answer(model: &Llama, value: &Value, started: Instant, needed: u64, enough: &AtomicUsize) -> Outcome<Value> {
    let mut messages = Vec::new();
    for message in value["messages"].as_array().ok_or("no messages")? {
        let role = match message["role"].as_str() {
            Some("system") => Role::System,
            Some("assistant") => Role::Assistant,
            _ => Role::User,
        };
        messages.push(ChatMessage::new(role, message["content"].as_str().unwrap_or_default()));
    }
    let request = ChatRequest {
        constraint: value.get("schema").map(|schema| Constraint::JsonSchema(schema.clone())),
        max_tokens: u32::try_from(value["max_tokens"].as_u64().unwrap_or(64))?,
        ..ChatRequest::new(messages)
    };
    let asked = started.elapsed().as_secs_f64();
    let (mut deltas, mut pieces, mut text) = (model.stream(request).await?, Vec::new(), String::new());
    while let Some(delta) = deltas.next().await {
        match delta? {
            Delta::Text(piece) => {
                pieces.push(started.elapsed().as_secs_f64());
                text.push_str(&piece);
                if pieces.len() as u64 == needed {
                    enough.fetch_add(1, Ordering::Relaxed);
                }
            }
            Delta::Done(end) => {
                let usage = end.usage;
                return Ok(json!({"asked": asked, "pieces": pieces, "text": text, "tokens": usage.output_tokens,
                    "prompt": usage.prompt_tokens, "cached": usage.cached_tokens}));
            }
            _ => {}
        }
    }
    Err("an answer had no end".into())
}
