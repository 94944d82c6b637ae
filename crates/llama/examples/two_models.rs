//! What two models cost each other: the same file loaded twice, asked one after the other, then at once.
//!
//! `cargo run --release -p parkway-llama --example two_models MODEL.gguf [THREADS]`
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::time::Instant;

use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Model, ModelError, Role};
use parkway_llama::Llama;

const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: two_models MODEL.gguf [THREADS]")?;
    let threads = args.next().map(|threads| threads.parse()).transpose()?;
    let load = || {
        let config = Llama::gguf(&path).context_length(512);
        threads.into_iter().fold(config, parkway_llama::LlamaConfig::threads).load_async(|_| {})
    };
    let (one, other) = (load().await?, load().await?);
    println!("{} each", one.capabilities().device);
    for round in 0..ROUNDS {
        let started = Instant::now();
        ask(&one, round).await?;
        ask(&other, round).await?;
        let apart = started.elapsed();
        let started = Instant::now();
        tokio::try_join!(ask(&one, ROUNDS + round), ask(&other, ROUNDS + round))?;
        let at_once = started.elapsed();
        println!("one after the other {:.2} s, at once {:.2} s", apart.as_secs_f64(), at_once.as_secs_f64());
    }
    Ok(())
}

/// An answer of 64 tokens.
async fn ask(model: &Llama, n: usize) -> Result<ChatResponse, ModelError> {
    let text = format!("{n} times: tell me a long story about a fox.");
    let request = ChatRequest::new(vec![ChatMessage::new(Role::User, text)]);
    model.chat(ChatRequest { max_tokens: 64, ..request }).await
}
