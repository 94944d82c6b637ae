//! Whether drafts would pay: the tokens that followed the last words where these stood before, in the prompt or the answer, are proposed
//! as the next ones, and the model looks at all of them at once (prompt lookup decoding,
//! <https://github.com/apoorvumang/prompt-lookup-decoding>).
//!
//! `cargo run --release -p parkway-llama --example drafts MODEL.gguf LETTERS` asks the first question of the order intake about each
//! letter of a folder, which suits drafts as no other work does: the answers are copied from the prompt. What greedy decoding would
//! take of a draft is exactly what stands in the answer. Beside it stands what a batch of more rows costs on this machine.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::fs;
use std::num::NonZeroU32;
use std::time::Instant;

use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use parkway_core::model::{ChatMessage, ChatRequest, Constraint, Model, Role};
use parkway_llama::Llama;
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Rows of a batch of which the cost is measured.
const ROWS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];
/// Tokens that a context holds while it is measured: a letter and a question.
const DEPTH: usize = 300;
/// The longest run of last words that is looked for; the shortest is two.
const WORDS: usize = 4;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(letters)) = (args.next(), args.next()) else {
        return Err("usage: drafts MODEL.gguf LETTERS".into());
    };
    let costs = costs(&path)?;
    println!("rows a batch  ms, median");
    ROWS.iter().zip(&costs).for_each(|(rows, cost)| println!("{rows:>12}  {cost:.1}"));

    let model = Llama::gguf(path).context_length(2_048).deterministic(true).load_async(|_| ()).await?;
    let mut asked = Vec::new();
    for file in fs::read_dir(letters)? {
        let request = request(&fs::read_to_string(file?.path())?);
        let prompt = model.prompt_tokens(&request)?;
        let end = model.chat(request).await?.end;
        let forced = end.logprobs.iter().map(|token| token.logprob.is_none());
        asked.push((prompt, end.tokens.iter().copied().zip(forced).collect::<Vec<_>>()));
    }
    println!("\n{} answers; a draft of at most  batches  rows  ms a answer", asked.len());
    for most in [0, 2, 4, 8, 15] {
        let batches: Vec<usize> = asked.iter().flat_map(|(prompt, answer)| batches(prompt, answer, most)).collect();
        let time: f64 = batches.iter().map(|&rows| cost(&costs, rows)).sum();
        let each = time / asked.len() as f64;
        println!("{most:>30}  {:>7}  {:>4}  {each:.0}", batches.len(), batches.iter().sum::<usize>());
    }
    Ok(())
}

/// The first question of the order intake.
fn request(letter: &str) -> ChatRequest {
    let question = "Copy from the letter: the name of the firm that orders (not of the person), the order number, the delivery date.";
    let mut request =
        ChatRequest::new(vec![ChatMessage::new(Role::User, format!("{}\n\n---\n{question}", letter.trim()))]);
    request.constraint = Some(Constraint::JsonSchema(json!({
        "type": "object",
        "properties": {
            "firm": {"type": "string", "maxLength": 60},
            "order_number": {"type": "string", "pattern": "^[A-Z]{1,3}-[0-9]{2,6}$"},
            "delivery": {"type": "string", "maxLength": 30},
        },
        "required": ["firm", "order_number", "delivery"],
        "additionalProperties": false,
    })));
    request.max_tokens = 120;
    request.logprobs = Some(0);
    request
}

/// Rows of each batch that an answer takes, after its prompt was read, with drafts of at most so many tokens.
fn batches(prompt: &[u32], answer: &[(u32, bool)], most: usize) -> Vec<usize> {
    let mut said = prompt.to_vec();
    let mut batches = Vec::new();
    let forced = |at: usize| answer[at..].iter().take_while(|(_, forced)| *forced).count();
    let mut at = forced(0);
    said.extend(answer[..at].iter().map(|(token, _)| token));
    while at < answer.len() {
        // One that is sampled, with those that are certain after it.
        let fed = 1 + forced(at + 1);
        said.extend(answer[at..at + fed].iter().map(|(token, _)| token));
        at += fed;
        if at == answer.len() {
            break;
        }
        let draft = draft(&said, most);
        let taken = draft.iter().zip(&answer[at..]).take_while(|(drafted, (token, _))| *drafted == token).count();
        batches.push(fed + draft.len());
        said.extend(&draft[..taken]);
        at += taken;
        let certain = if at < answer.len() { forced(at) } else { 0 };
        said.extend(answer[at..at + certain].iter().map(|(token, _)| token));
        at += certain;
    }
    batches
}

/// What followed the last tokens where they stood before.
fn draft(said: &[u32], most: usize) -> Vec<u32> {
    for words in (2..=WORDS).rev() {
        let Some(start) = said.len().checked_sub(words) else { continue };
        let last = &said[start..];
        if let Some(found) = said[..said.len() - 1].windows(words).rposition(|window| window == last) {
            return said[found + words..].iter().take(most).copied().collect();
        }
    }
    Vec::new()
}

/// Milliseconds of batches of [`ROWS`] rows.
fn costs(path: &str) -> Outcome<Vec<f64>> {
    let mut backend = LlamaBackend::init()?;
    backend.void_logs();
    let model = LlamaModel::load_from_file(&backend, path, &LlamaModelParams::default())?;
    let threads = i32::try_from(std::thread::available_parallelism()?.get())?;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(1_024))
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let mut context = model.new_context(&backend, params)?;
    let mut batch = LlamaBatch::new(512, 1);
    let token = |at: usize| LlamaToken(1_000 + i32::try_from(at * 7 % 5_000).unwrap_or_default());
    for at in 0..DEPTH {
        batch.add(token(at), i32::try_from(at)?, &[0], false)?;
    }
    context.decode(&mut batch)?;
    let mut times = vec![Vec::new(); ROWS.len()];
    for round in 0..20 {
        for (rows, times) in ROWS.iter().zip(&mut times) {
            batch.clear();
            for at in DEPTH..DEPTH + rows {
                batch.add(token(at + round), i32::try_from(at)?, &[0], true)?;
            }
            let started = Instant::now();
            context.decode(&mut batch)?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
            context.clear_kv_cache_seq(Some(0), Some(u32::try_from(DEPTH)?), None)?;
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    Ok(times.iter().map(|times| times[times.len() / 2]).collect())
}

/// What a batch of so many rows costs, between those that were measured.
fn cost(costs: &[f64], rows: usize) -> f64 {
    let after = ROWS.iter().position(|&more| more >= rows).unwrap_or(ROWS.len() - 1).max(1);
    let (from, to) = (ROWS[after - 1], ROWS[after]);
    let share = (rows as f64 - from as f64) / (to - from) as f64;
    costs[after - 1] + share * (costs[after] - costs[after - 1])
}
