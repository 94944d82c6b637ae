//! What adapters cost: the same requests without any, with one, and spread over several and none, each on a model that has read nothing yet.
//!
//! `cargo run --release -p parkway-llama --example adapters MODEL.gguf ADAPTER.gguf…`. A batch is computed with one adapter, so that
//! requests for several of them are in smaller batches, and to put on another one takes time, too.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::time::Instant;

use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Model, Role};
use parkway_llama::Llama;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const REQUESTS: usize = 48;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: adapters MODEL.gguf ADAPTER.gguf…")?;
    let adapters: Vec<(String, String)> = args.enumerate().map(|(n, path)| (n.to_string(), path)).collect();
    let names: Vec<Option<&str>> =
        std::iter::once(None).chain(adapters.iter().map(|(name, _)| Some(&**name))).collect();
    println!("way               requests  seconds  tokens  tokens/s  batches  in a batch");
    for (way, used) in [("without", &names[..1]), ("with one", &names[1..2]), ("spread over all", &names[..])] {
        let mut config = Llama::gguf(&path).context_length(1_024).cache_tokens(16_384);
        for (name, path) in &adapters {
            config = config.adapter(name, path);
        }
        let model = config.load_async(|_| ()).await?;
        let started = Instant::now();
        let asked: Vec<_> = (0..REQUESTS).map(|n| tokio::spawn(ask(model.clone(), request(n, used)))).collect();
        let mut tokens = 0;
        for answer in asked {
            tokens += answer.await??.end.usage.output_tokens;
        }
        let (took, stats) = (started.elapsed().as_secs_f64(), model.stats());
        println!(
            "{way:16}  {REQUESTS:8}  {took:7.2}  {tokens:6}  {:8.1}  {:7}  {:10.1}",
            f64::from(tokens) / took,
            stats.decodes,
            f64::from(u32::try_from(stats.rows)?) / f64::from(u32::try_from(stats.decodes)?)
        );
    }
    Ok(())
}

async fn ask(model: Llama, request: ChatRequest) -> Outcome<ChatResponse> {
    Ok(model.chat(request).await?)
}

/// A letter, and an answer of at most 48 tokens.
fn request(n: usize, adapters: &[Option<&str>]) -> ChatRequest {
    let text = format!(
        "Letter {n}: I want {} blue lamps, and my money back for the last ones. Tell me a story about it.",
        n % 9
    );
    let adapter = adapters[n % adapters.len()].map(str::to_owned);
    ChatRequest { max_tokens: 48, adapter, ..ChatRequest::new(vec![ChatMessage::new(Role::User, text)]) }
}
