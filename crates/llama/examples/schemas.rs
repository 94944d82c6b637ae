//! Answers under many schemas: each must be valid, whatever the model would rather say.
//!
//! `cargo run --release -p parkway-llama --example schemas MODEL.gguf ANSWERS FILE.jsonl…`, where a line is
//! `{"id": …, "ask": what the model is asked, "schema": …}`; `scripts/schemas` makes such files of public suites. Whether they can be
//! enforced is asked of all schemas; the first so many of each file are answered. Answers are sampled at temperature 1, and checked by
//! another implementation of JSON Schema. Ends with an error if one is not valid, or does not have the tokens that its text has.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Constraint, Model, ModelError, Role};
use parkway_llama::Llama;
use serde_json::Value;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Requests at once.
const AT_ONCE: usize = 16;
/// The most tokens of an answer. One that is longer is an error and no answer.
const LONGEST: u32 = 160;

#[derive(Default)]
struct Counts {
    asked: usize,
    valid: usize,
    invalid: Vec<String>,
    cut: usize,
    refused: usize,
    retokenized: usize,
    otherwise: Vec<String>,
    output: u64,
    forced: u64,
}

/// What of all schemas can be enforced.
#[derive(Default)]
struct Enforced {
    schemas: usize,
    /// What cannot be, by the words that say so.
    refused: BTreeMap<String, usize>,
    /// Those that allow no value, and so cannot have an answer.
    unsound: usize,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: schemas MODEL.gguf ANSWERS FILE.jsonl…";
    let model = Llama::gguf(args.next().ok_or(usage)?).context_length(4_096).cache_tokens(16_384);
    let model = model.load_async(|_| ()).await?;
    let answers = args.next().ok_or(usage)?.parse()?;
    let (mut bad, mut files) = (0, Vec::new());
    let mut enforced = Enforced::default();
    for file in args {
        let text = std::fs::read_to_string(&file)?;
        let mut cases: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        cases.iter().try_for_each(|case| enforced.look(&model, case))?;
        cases.truncate(answers);
        files.extend((!cases.is_empty()).then_some((file, cases)));
    }
    enforced.tell();
    for (file, cases) in files {
        let (before, started) = (model.stats(), Instant::now());
        let mut counts = Counts::default();
        let mut open = tokio::task::JoinSet::new();
        for case in cases {
            while open.len() >= AT_ONCE {
                take(&mut counts, &model, open.join_next().await)?;
            }
            let model = model.clone();
            open.spawn(async move {
                let answer = model.chat(request(&case)).await;
                (case, answer)
            });
        }
        while !open.is_empty() {
            take(&mut counts, &model, open.join_next().await)?;
        }
        tell(&file, &counts, started.elapsed());
        let after = model.stats();
        let (wait, decode) = (after.mask_wait - before.mask_wait, after.decode_time - before.decode_time);
        println!(
            "  masks {}; together {:.2} s, of which {:.3} s were waited for: {:.2} % of {:.1} s of decoding",
            after.masks - before.masks,
            (after.mask_time - before.mask_time).as_secs_f64(),
            wait.as_secs_f64(),
            100.0 * wait.as_secs_f64() / decode.as_secs_f64(),
            decode.as_secs_f64(),
        );
        bad += counts.invalid.len() + counts.otherwise.len();
    }
    let stats = model.stats();
    println!("a mask took {:?} at p50, {:?} at p99, of {}", stats.mask_p50, stats.mask_p99, stats.masks);
    if bad > 0 { Err(format!("{bad} answers are not as they must be").into()) } else { Ok(()) }
}

fn request(case: &Value) -> ChatRequest {
    let ask = case["ask"].as_str().unwrap_or("Give an example.");
    let ask = format!("{ask}\n\nAnswer with one JSON value.");
    ChatRequest {
        constraint: Some(Constraint::JsonSchema(case["schema"].clone())),
        temperature: 1.0,
        seed: 7,
        max_tokens: LONGEST,
        ..ChatRequest::new(vec![ChatMessage::new(Role::User, ask)])
    }
}

type Answered = (Value, Result<ChatResponse, ModelError>);

fn take(counts: &mut Counts, model: &Llama, joined: Option<Result<Answered, tokio::task::JoinError>>) -> Outcome<()> {
    let Some(joined) = joined else { return Ok(()) };
    let (case, answer) = joined?;
    let id = case["id"].as_str().unwrap_or("?").to_owned();
    counts.asked += 1;
    match answer {
        Ok(answer) => {
            counts.output += u64::from(answer.end.usage.output_tokens);
            counts.forced += u64::from(answer.end.usage.forced_tokens);
            match valid(&case["schema"], &answer.text) {
                Ok(()) => counts.valid += 1,
                Err(why) => counts.invalid.push(format!("{id}: {why}: {}", answer.text)),
            }
            match model.tokenize(&answer.text) == answer.end.tokens {
                true => counts.retokenized += 1,
                false => counts.otherwise.push(format!("{id}: {}", answer.text)),
            }
        }
        Err(ModelError::Cut { .. }) => counts.cut += 1,
        Err(ModelError::Unsupported(_)) => counts.refused += 1,
        Err(error) => return Err(format!("{id}: {error}").into()),
    }
    Ok(())
}

fn valid(schema: &Value, text: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let validator = jsonschema::validator_for(schema).map_err(|error| format!("the schema is none: {error}"))?;
    validator.validate(&value).map_err(|error| error.to_string())
}

/// The words of a refusal without what is different in each schema.
fn keyword(why: &str) -> String {
    let line = why.lines().next().unwrap_or_default();
    match line.split_once('[').or_else(|| line.split_once('{')) {
        Some((before, rest)) if before.contains("keys") => format!("{before}[{}", rest.trim_end()),
        Some((before, _)) => before.trim().to_owned(),
        None => line.chars().take(70).collect(),
    }
}

impl Enforced {
    fn look(&mut self, model: &Llama, case: &Value) -> Outcome<()> {
        self.schemas += 1;
        let why = match model.check_constraint(&Constraint::JsonSchema(case["schema"].clone())) {
            Ok(()) => return Ok(()),
            Err(ModelError::Unsupported(why)) => why,
            Err(error) => return Err(format!("{}: {error}", case["id"]).into()),
        };
        let why = why.trim_start_matches("the constraint cannot be enforced: ");
        match ["nsatisfiable", "allows no value", "empty enum"].iter().any(|word| why.contains(word)) {
            true => self.unsound += 1,
            false => *self.refused.entry(keyword(why)).or_default() += 1,
        }
        Ok(())
    }

    fn tell(&self) {
        let refused: usize = self.refused.values().sum();
        println!("{} schemas; allow no value, and are refused: {}", self.schemas, self.unsound);
        println!("  cannot be enforced, and are refused: {refused} ({:.1} %)", share(refused, self.schemas));
        for (keyword, count) in &self.refused {
            println!("    {count:5}  {keyword}");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn share(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}

fn tell(file: &str, counts: &Counts, took: Duration) {
    println!("{file}: {} asked for in {:.0} s", counts.asked, took.as_secs_f64());
    println!("  valid {}, not valid {}, refused {}", counts.valid, counts.invalid.len(), counts.refused);
    println!("  cut at {LONGEST} tokens: {} ({:.1} %)", counts.cut, share(counts.cut, counts.asked));
    let answers = counts.valid + counts.invalid.len();
    println!("  text has the tokens that were emitted: {} of {answers}", counts.retokenized);
    println!(
        "  tokens {}, forced {} ({:.1} %)",
        counts.output,
        counts.forced,
        share(usize::try_from(counts.forced).unwrap_or(0), usize::try_from(counts.output).unwrap_or(0))
    );
    for line in counts.invalid.iter().chain(&counts.otherwise).take(20) {
        println!("  ! {line}");
    }
}
