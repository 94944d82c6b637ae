//! Thousands of requests of random length and constraint, of which many are dropped on the way: none may be lost, and neither memory
//! nor the cache may fill up with what is gone.
//!
//! `cargo run --release -p parkway-llama --example soak MODEL.gguf [REQUESTS [SEED]]`. Ends with an error if a request got no end, if the
//! cache does not have room for the largest request afterwards, or if memory grew by more than a tenth after the first fifth.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use parkway_core::model::{ChatMessage, ChatRequest, Constraint, Delta, Model, ModelError, Role};
use parkway_llama::Llama;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const CONTEXT: u32 = 512;
const AT_ONCE: usize = 24;

/// Numbers from 0 to below a limit.
struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.0.next_u64() % limit as u64).unwrap_or(0)
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: soak MODEL.gguf [REQUESTS [SEED]]")?;
    let requests: usize = args.next().map_or(Ok(10_000), |text| text.parse())?;
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(args.next().map_or(Ok(1), |text| text.parse())?));
    let model = Llama::gguf(path).context_length(CONTEXT).cache_tokens(2_048).load_async(|_| ()).await?;
    let (started, mut ends, mut open) = (Instant::now(), BTreeMap::<String, usize>::new(), tokio::task::JoinSet::new());
    let (mut early, mut most) = (0, 0);
    println!("  asked  seconds  memory (MiB)  cached tokens  sequences  running  waiting");
    for n in 1..=requests {
        while open.len() >= AT_ONCE {
            count(&mut ends, open.join_next().await)?;
        }
        let (request, patience) = request(&mut dice, n);
        open.spawn(ask(model.clone(), request, patience));
        if n % (requests / 20).max(1) == 0 {
            let stats = model.stats();
            // What is kept of what had to leave the cache has a bound of its own.
            let memory = memory() - (stats.cold_bytes >> 20);
            println!(
                "{n:7}  {:7.0}  {memory:12}  {:13}  {:9}  {:7}  {:7}",
                started.elapsed().as_secs_f64(),
                stats.cached_tokens,
                stats.sequences,
                stats.running,
                stats.waiting
            );
            if n <= requests / 5 {
                early = early.max(memory);
            }
            most = most.max(memory);
        }
    }
    while !open.is_empty() {
        count(&mut ends, open.join_next().await)?;
    }
    for (end, times) in &ends {
        println!("{times:7}  {end}");
    }
    let ended: usize = ends.values().sum();
    if ended != requests {
        return Err(format!("{} requests got no end", requests - ended).into());
    }
    // A cell that was not given back would be missing now.
    let all = ChatRequest::new(vec![ChatMessage::new(Role::User, "Tell me a story.")]);
    let prompt = u32::try_from(model.count_tokens(&all).unwrap_or(0))?;
    let largest = model.chat(ChatRequest { max_tokens: CONTEXT - prompt, temperature: 2.0, ..all }).await?;
    println!("the largest request is answered with {} tokens", largest.end.usage.output_tokens);
    println!("memory: at most {early} MiB in the first fifth, at most {most} MiB in all");
    if most > early + early / 10 { Err("memory grew".into()) } else { Ok(()) }
}

/// A random request, and after how many pieces it is dropped, if it is.
fn request(dice: &mut Dice, n: usize) -> (ChatRequest, Option<usize>) {
    let rules = "You read letters to a shop, and say in few words what the writer wants. ".repeat(1 + dice.below(3));
    let own = "Please send me some more of it. ".repeat(dice.below(6));
    let letter = format!("This is customer {}. {own}", if dice.below(3) == 0 { n } else { n % 7 });
    let messages = vec![ChatMessage::new(Role::System, rules), ChatMessage::new(Role::User, letter)];
    let constraint = match dice.below(6) {
        0 => Some(Constraint::Choice(["order", "return", "question"].map(str::to_owned).to_vec())),
        1 => Some(Constraint::JsonSchema(json!({"type": "object", "additionalProperties": false,
            "properties": {"urgent": {"type": "boolean"}, "pieces": {"type": "integer", "minimum": 0, "maximum": 99}},
            "required": ["urgent", "pieces"]}))),
        2 => Some(Constraint::Regex("[A-Z]{2}-[0-9]{2,4}".into())),
        // Cannot be enforced: refused.
        3 if dice.below(4) == 0 => Some(Constraint::JsonSchema(json!({"not": {"type": "string"}}))),
        _ => None,
    };
    let request = ChatRequest {
        constraint,
        temperature: if dice.below(2) == 0 { 0.0 } else { 1.0 },
        seed: n as u64,
        // Now and then too few, or more than fits.
        max_tokens: match dice.below(40) {
            0 => 1,
            1 => CONTEXT,
            _ => u32::try_from(4 + dice.below(14)).unwrap_or(4),
        },
        ..ChatRequest::new(messages)
    };
    (request, (dice.below(3) == 0).then(|| dice.below(5)))
}

/// Asks, and tells how it ended.
async fn ask(model: Llama, request: ChatRequest, patience: Option<usize>) -> String {
    let mut deltas = match model.stream(request).await {
        Ok(deltas) => deltas,
        Err(error) => return error.code().into(),
    };
    let mut pieces = 0;
    loop {
        if patience == Some(pieces) {
            return "dropped".into();
        }
        pieces += 1;
        match deltas.next().await {
            Some(Ok(Delta::Done(_))) => return "answered".into(),
            Some(Ok(_)) => {}
            Some(Err(
                error @ (ModelError::Cut { .. } | ModelError::Unsupported(_) | ModelError::PromptTooLong { .. }),
            )) => {
                return error.code().into();
            }
            Some(Err(error)) => return format!("! {error}"),
            None => return "! no end".into(),
        }
    }
}

fn count(ends: &mut BTreeMap<String, usize>, ended: Option<Result<String, tokio::task::JoinError>>) -> Outcome<()> {
    let Some(ended) = ended else { return Ok(()) };
    let end = ended?;
    if end.starts_with('!') {
        return Err(end.into());
    }
    *ends.entry(end).or_default() += 1;
    Ok(())
}

/// Memory of this process in MiB, where the system tells it.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1_024
}
