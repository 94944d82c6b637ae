//! The planner on public goals, and calls on public questions: the model held to the form of what it writes, beside the same model that
//! writes as it likes, and as it likes after a beginning that tells it the form. `scripts/planning-data` fetches the data.
//!
//! ```text
//! cargo run --release -p parkway-llama --example planning -- plan MODEL.gguf CASES.jsonl OUT.jsonl [--first N] [--count M] [--side SIDE]…
//! cargo run --release -p parkway-llama --example planning -- calls MODEL.gguf CASES.jsonl OUT.jsonl [--first N] [--count M] [--side SIDE]…
//! ```
//! A side is `constrained`, `free` or `begun`; without any it is all three.
//!
//! What was written stands in `OUT.jsonl`, a line for each case and side. A case that is there already is not asked again, so that a run
//! can be stopped, and be made in parts; the figures are always of the whole file. Answers to questions are judged by
//! `scripts/planning-data --judge OUT.jsonl`.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

mod calls;
#[expect(dead_code, reason = "the check of known plans, which shares it, reads more of a case")]
#[path = "../../../core/examples/planning_validate/cases.rs"]
mod cases;
mod plan;
mod score;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Instant;

use parkway_core::model::{ChatRequest, Model as _, ModelError};
use parkway_llama::Llama;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::cases::{Case, Outcome};

/// Cases that are asked at once.
const AT_ONCE: usize = 4;

/// How the model writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    /// Held to the form of what comes next.
    Constrained,
    /// As it likes, by the same prompt.
    Free,
    /// As it likes, after the first characters of what it should write.
    Begun,
}

impl Side {
    const ALL: [Side; 3] = [Side::Constrained, Side::Free, Side::Begun];
}

struct Asked {
    mode: String,
    model: String,
    cases: String,
    out: String,
    first: usize,
    count: usize,
    sides: Vec<Side>,
}

impl Asked {
    fn read() -> Outcome<Asked> {
        let usage =
            "usage: planning plan|calls MODEL.gguf CASES.jsonl OUT.jsonl [--first N] [--count M] [--side SIDE]…";
        let mut args = std::env::args().skip(1);
        let mut next = || args.next().ok_or(usage);
        let mut asked = Asked {
            mode: next()?,
            model: next()?,
            cases: next()?,
            out: next()?,
            first: 0,
            count: usize::MAX,
            sides: Vec::new(),
        };
        while let Some(flag) = args.next() {
            let value = args.next().ok_or(usage)?;
            match flag.as_str() {
                "--first" => asked.first = value.parse()?,
                "--count" => asked.count = value.parse()?,
                "--side" => asked.sides.push(serde_json::from_value(value.into()).map_err(|_| usage)?),
                _ => return Err(usage.into()),
            }
        }
        if asked.sides.is_empty() {
            asked.sides.extend(Side::ALL);
        }
        Ok(asked)
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let asked = Asked::read()?;
    let cases: Vec<Case> = cases::read(&asked.cases)?.into_iter().skip(asked.first).take(asked.count).collect();
    println!("load {}", load());
    let model = Llama::gguf(&asked.model).context_length(8_192).cache_tokens(12_288).load_async(|_| ()).await?;
    match asked.mode.as_str() {
        "plan" => {
            write_all(&model, cases, &asked, plan::write).await?;
            score::tell(&cases::read(&asked.cases)?, &records(&asked.out)?);
        }
        "calls" => {
            write_all(&model, cases, &asked, calls::write).await?;
            calls::tell(&records(&asked.out)?);
        }
        mode => return Err(format!("there is no {mode}; `plan` and `calls` are what is measured").into()),
    }
    println!("load {}", load());
    Ok(())
}

/// Asks all cases of which the file has nothing yet, several at once, the sides of each after one another, since they read the same
/// prompt; writes each down when it has come.
async fn write_all<R, F>(
    model: &Llama,
    cases: Vec<Case>,
    asked: &Asked,
    write: fn(Llama, Case, Side) -> F,
) -> Outcome<()>
where
    R: Serialize + Send + 'static,
    F: Future<Output = Outcome<R>> + Send + 'static,
{
    let there: BTreeSet<(String, Side)> = match std::fs::exists(&asked.out)? {
        true => records::<Value>(&asked.out)?.iter().filter_map(key).collect(),
        false => BTreeSet::new(),
    };
    let mut file = OpenOptions::new().create(true).append(true).open(&asked.out)?;
    let (mut open, started, mut written) = (tokio::task::JoinSet::new(), Instant::now(), 0);
    let mut cases = cases.into_iter();
    loop {
        while open.len() < AT_ONCE
            && let Some(case) = cases.next()
        {
            let missing = asked.sides.iter().filter(|side| !there.contains(&(case.id.clone(), **side)));
            let missing: Vec<Side> = missing.copied().collect();
            let model = model.clone();
            open.spawn(async move {
                let mut found = Vec::new();
                for side in missing {
                    found.push(write(model.clone(), case.clone(), side).await?);
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(found)
            });
        }
        let Some(found) = open.join_next().await else { break };
        for record in found?? {
            writeln!(file, "{}", serde_json::to_string(&record)?)?;
            written += 1;
        }
    }
    println!("{written} answers in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn records<R: DeserializeOwned>(path: &str) -> Outcome<Vec<R>> {
    std::fs::read_to_string(path)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn key(record: &Value) -> Option<(String, Side)> {
    Some((record["id"].as_str()?.to_owned(), serde_json::from_value(record["side"].clone()).ok()?))
}

/// The answer's text with its tokens: those that it read anew, and those that it wrote. A constrained answer that is cut has no text.
async fn ask(model: &Llama, request: ChatRequest) -> Outcome<(Option<String>, u32, u32)> {
    match model.chat(request).await {
        Ok(answer) => {
            let usage = answer.end.usage;
            Ok((Some(answer.text), usage.prompt_tokens - usage.cached_tokens, usage.output_tokens))
        }
        Err(ModelError::Cut { tokens, .. }) => Ok((None, 0, tokens)),
        Err(error) => Err(error.into()),
    }
}

/// How busy the machine is: processes that want to run, over the last minute, on so many cores.
fn load() -> String {
    let minute = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{} on {cores} cores", minute.split(' ').next().unwrap_or("?"))
}
