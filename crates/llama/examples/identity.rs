//! Whether an answer depends on what is asked beside it: 200 prompts, free and constrained, answered greedily in each way in which
//! they can be computed, and compared token by token with the answer that a model gives which answers alone.
//!
//! `cargo run --release -p parkway-llama --example identity MODEL.gguf [PROMPTS]`. Batches of other sizes round otherwise, and where
//! two tokens are nearly as probable, the other one may win: each difference is listed with the margin, in log-probability, between
//! the two best tokens at the place where the answers part, as the model that answers alone saw it. Ends with an error if a
//! deterministic model answered otherwise. `scripts/identity` asks a file with weights of 32 bits, too, with which little is rounded.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::time::Instant;

use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Constraint, Model, Role};
use parkway_llama::{Llama, LlamaConfig};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Above it, a difference is more than rounding.
const NEAR: f32 = 0.1;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: identity MODEL.gguf [PROMPTS]")?;
    let prompts: usize = args.next().map_or(Ok(200), |text| text.parse())?;
    let config = Llama::gguf(path).context_length(1_024);
    let requests: Vec<ChatRequest> = (0..prompts).map(request).collect();

    let one = config.clone().deterministic(true).load_async(|_| ()).await?;
    let started = Instant::now();
    let alone = one_by_one(&one, &requests).await?;
    println!(
        "{prompts} prompts, {} tokens of answers, alone in {:.0} s",
        tokens(&alone),
        started.elapsed().as_secs_f64()
    );
    println!("{:<44}  {:>9}  {:>5}  margins where they part", "way", "identical", "above");
    let mut unlike = 0;
    for way in WAYS {
        let answers = way.answers(&config, &requests, &one).await?;
        let parted = tell(way.name(), &alone, &answers);
        if matches!(way, Way::DeterministicEvicted | Way::DeterministicBusy) {
            unlike += parted;
        }
    }
    if unlike > 0 { Err(format!("{unlike} answers of deterministic models were not the same").into()) } else { Ok(()) }
}

/// A way to compute answers.
#[derive(Clone, Copy)]
enum Way {
    /// One after the other, each begun with the cells of those before.
    Forked,
    /// Sixteen at once.
    Batch,
    /// One after the other in a cache so small that what was kept has to go, twice: the second time is compared.
    Evicted,
    /// One after the other with everything else in between forgotten, by the model that answers alone.
    DeterministicEvicted,
    /// All at once, by a model that answers alone.
    DeterministicBusy,
}

const WAYS: [Way; 5] = [Way::Forked, Way::Batch, Way::Evicted, Way::DeterministicEvicted, Way::DeterministicBusy];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::DeterministicEvicted => "deterministic, after others took the cache",
            Way::DeterministicBusy => "deterministic, all at once",
            Way::Forked => "one by one, forked from what rests",
            Way::Batch => "16 at once",
            Way::Evicted => "one by one, again after eviction",
        }
    }

    /// What is answered so; `one` is a model that answers alone.
    async fn answers(self, config: &LlamaConfig, requests: &[ChatRequest], one: &Llama) -> Outcome<Vec<ChatResponse>> {
        let load = |config: LlamaConfig| config.load_async(|_| ());
        match self {
            Way::DeterministicEvicted => {
                let mut answers = Vec::new();
                for request in requests {
                    let other = ChatRequest::new(vec![ChatMessage::new(Role::User, "What is an otter?")]);
                    one.chat(ChatRequest { max_tokens: 1, ..other }).await?;
                    answers.push(one.chat(request.clone()).await?);
                }
                Ok(answers)
            }
            Way::DeterministicBusy => at_once(&load(config.clone().deterministic(true)).await?, requests).await,
            Way::Forked => one_by_one(&load(config.clone()).await?, requests).await,
            Way::Batch => {
                let model = load(config.clone().cache_tokens(8_192)).await?;
                let mut answers = Vec::new();
                for some in requests.chunks(16) {
                    answers.extend(at_once(&model, some).await?);
                }
                Ok(answers)
            }
            Way::Evicted => {
                let model = load(config.clone().cache_tokens(1_024)).await?;
                one_by_one(&model, requests).await?;
                one_by_one(&model, requests).await
            }
        }
    }
}

async fn one_by_one(model: &Llama, requests: &[ChatRequest]) -> Outcome<Vec<ChatResponse>> {
    let mut answers = Vec::new();
    for request in requests {
        answers.push(model.chat(request.clone()).await?);
    }
    Ok(answers)
}

async fn at_once(model: &Llama, requests: &[ChatRequest]) -> Outcome<Vec<ChatResponse>> {
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

/// Prints how many answers are the same, and gives how many are not.
fn tell(way: &str, alone: &[ChatResponse], answers: &[ChatResponse]) -> usize {
    let mut margins: Vec<f32> = alone.iter().zip(answers).filter_map(|(alone, other)| parting(alone, other)).collect();
    margins.sort_by(f32::total_cmp);
    // Where one of them ended, no margin is known.
    let above = margins.iter().filter(|margin| margin.is_nan() || **margin > NEAR).count();
    let list: Vec<String> = margins.iter().map(|margin| format!("{margin:.3}")).collect();
    let same = alone.len() - margins.len();
    println!("{way:<44}  {same:>4}/{:<4}  {above:>5}  {}", alone.len(), list.join(" "));
    margins.len()
}

/// The margin between the two best tokens where an answer parts from the one that was given alone; `None` where it does not.
fn parting(alone: &ChatResponse, other: &ChatResponse) -> Option<f32> {
    let same = alone.end.tokens.iter().zip(&other.end.tokens).take_while(|(a, b)| a == b).count();
    if same == alone.end.tokens.len() && same == other.end.tokens.len() {
        return None;
    }
    let told = alone.end.logprobs.get(same).map(|token| token.top.as_slice());
    match told {
        Some([best, second, ..]) => Some(best.1 - second.1),
        // One of them ended there.
        _ => Some(f32::NAN),
    }
}

fn tokens(answers: &[ChatResponse]) -> usize {
    answers.iter().map(|answer| answer.end.tokens.len()).sum()
}

/// Every third prompt is to be answered as JSON; all begin alike.
fn request(n: usize) -> ChatRequest {
    let rules = "You read a letter to a shop and say what the writer wants. You add nothing that the letter does not say. \
                 You are brief and friendly, you name the thing and the number of pieces. ";
    let things = ["lamps", "chairs", "cups of blue glass", "boxes of chalk", "globes", "curtains", "doors", "kettles"];
    let wishes = ["Please send", "I want to give back", "What do you ask for", "I never received", "Do you have"];
    let letter = format!(
        "Dear shop, this is customer {}. {} {} {}. {}",
        100 + n * 7,
        wishes[n % wishes.len()],
        3 + n % 17,
        things[n % things.len()],
        "I wait for your answer. ".repeat(n % 4)
    );
    let messages = vec![ChatMessage::new(Role::System, rules.repeat(3)), ChatMessage::new(Role::User, letter)];
    let schema = json!({"type": "object", "additionalProperties": false,
        "properties": {"thing": {"type": "string", "maxLength": 30}, "pieces": {"type": "integer", "minimum": 0, "maximum": 99},
            "kind": {"enum": ["order", "return", "question", "complaint"]}},
        "required": ["thing", "pieces", "kind"]});
    let constraint = n.is_multiple_of(3).then_some(Constraint::JsonSchema(schema));
    let max_tokens = if constraint.is_some() { 80 } else { 24 };
    ChatRequest { constraint, max_tokens, logprobs: Some(2), ..ChatRequest::new(messages) }
}
