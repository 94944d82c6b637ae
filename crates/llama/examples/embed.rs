//! Makes a vector of each text: a JSON string a line in, an array of numbers a line out, and a line about tokens and time to stderr.
//!
//! `cargo run --release -p parkway-llama --example embed MODEL.gguf < TEXTS.jsonl`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the vectors and the figures are its output")]

use std::error::Error;
use std::io;
use std::time::Instant;

use parkway_core::embedder::Embedder;
use parkway_llama::Llama;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: embed MODEL.gguf < TEXTS.jsonl")?;
    let texts = io::stdin().lines().map(|line| Ok(serde_json::from_str(&line?)?));
    let texts = texts.collect::<Result<Vec<String>, Box<dyn Error>>>()?;
    let embedder = Llama::gguf(path).load_embedder_async().await?;
    let started = Instant::now();
    let embeddings = embedder.embed(&texts).await?;
    eprintln!("{} tokens of {} texts in {:.3} s", embeddings.tokens, texts.len(), started.elapsed().as_secs_f64());
    for vector in embeddings.vectors {
        println!("{}", serde_json::to_string(&vector)?);
    }
    Ok(())
}
