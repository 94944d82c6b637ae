//! What it brings to answer requests together: the same requests, with a long beginning in common and answers in JSON, one after the
//! other and at once, each on a model that has read nothing yet, and at once again.
//!
//! `cargo run --release -p parkway-llama --example together [--isolated] MODEL.gguf [REQUESTS…]`; with `--isolated` the model is in a process
//! of its own. Tells how many answers have the same tokens
//! in each way, too: batches of other sizes round otherwise, and where two tokens are nearly as probable, the other one may win.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Constraint, Role, SharedModel};
use parkway_llama::Llama;
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    parkway_llama::serve_child();
    let mut args = std::env::args().skip(1).peekable();
    let isolated = args.next_if_eq("--isolated").is_some();
    let path = args.next().ok_or("usage: together [--isolated] MODEL.gguf [REQUESTS…]")?;
    let asked: Vec<usize> = args.map(|text| text.parse()).collect::<Result<_, _>>()?;
    println!(
        "requests  prompt  way                   seconds  tokens  computed  tokens/s  times as fast  same tokens     load"
    );
    for n in if asked.is_empty() { vec![8, 32] } else { asked } {
        let requests: Vec<ChatRequest> = (0..n).map(request).collect();
        let one = load(&path, isolated, true, n).await?;
        let longest = requests.iter().filter_map(|request| one.count_tokens(request)).max().unwrap_or_default();
        let (mut first, started) = (Vec::new(), Instant::now());
        for request in &requests {
            first.push(one.chat(request.clone()).await?);
        }
        let alone = started.elapsed().as_secs_f64();
        tell(n, longest, "one after the other", alone, alone, &first, &first);
        drop(one);
        let all = load(&path, isolated, false, n).await?;
        for way in ["at once, cold", "at once, warm"] {
            let started = Instant::now();
            let answers = at_once(&all, &requests).await?;
            tell(n, longest, way, started.elapsed().as_secs_f64(), alone, &answers, &first);
        }
    }
    Ok(())
}

/// A model with room for all requests, that has read nothing.
async fn load(path: impl AsRef<Path>, isolated: bool, deterministic: bool, requests: usize) -> Outcome<SharedModel> {
    let cells = 2_048 + 256 * u32::try_from(requests)?;
    let config = Llama::gguf(path).context_length(2_048).cache_tokens(cells).deterministic(deterministic);
    Ok(match isolated {
        true => Arc::new(config.isolated().load_async(|_| ()).await?),
        false => Arc::new(config.load_async(|_| ()).await?),
    })
}

async fn at_once(model: &SharedModel, requests: &[ChatRequest]) -> Outcome<Vec<ChatResponse>> {
    let ask = |request: ChatRequest| {
        let model = model.clone();
        tokio::spawn(async move { model.chat(request).await })
    };
    let asked: Vec<_> = requests.iter().cloned().map(ask).collect();
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await??);
    }
    Ok(answers)
}

/// A letter under rules of some 800 tokens.
fn request(n: usize) -> ChatRequest {
    let rules = "You read a letter to a shop and write down what it says as JSON: who writes, what is asked for, how many pieces, \
                 and whether it is urgent. You add nothing that the letter does not say. ";
    let things = ["lamps", "chairs", "cups of blue glass", "boxes of chalk", "globes", "curtains", "doors", "kettles"];
    let letter = format!(
        "Dear shop, this is customer {n}. Please send {} {} by Friday. Thank you!",
        3 + n % 7,
        things[n % things.len()]
    );
    let schema = json!({"type": "object", "additionalProperties": false,
        "properties": {"customer": {"type": "string", "maxLength": 40}, "thing": {"type": "string", "maxLength": 60},
            "pieces": {"type": "integer", "minimum": 0, "maximum": 999}, "urgent": {"type": "boolean"},
            "summary": {"type": "string", "maxLength": 200}},
        "required": ["customer", "thing", "pieces", "urgent", "summary"]});
    let messages = vec![ChatMessage::new(Role::System, rules.repeat(17)), ChatMessage::new(Role::User, letter)];
    ChatRequest { constraint: Some(Constraint::JsonSchema(schema)), max_tokens: 200, ..ChatRequest::new(messages) }
}

fn tell(n: usize, longest: usize, way: &str, took: f64, alone: f64, answers: &[ChatResponse], first: &[ChatResponse]) {
    let tokens: u32 = answers.iter().map(|answer| answer.end.usage.output_tokens).sum();
    let computed: u32 =
        answers.iter().map(|answer| answer.end.usage.prompt_tokens - answer.end.usage.cached_tokens).sum();
    let same = answers.iter().zip(first).filter(|(a, b)| a.end.tokens == b.end.tokens).count();
    println!(
        "{n:8}  {longest:6}  {way:20}  {took:7.2}  {tokens:6}  {computed:8}  {:8.1}  {:13.2}  {same:5} of {n:3}  {:>7}",
        f64::from(tokens) / took,
        alone / took,
        load_average()
    );
}

/// The load average of the last minute, where the system tells it.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("-").to_owned()
}
