//! Whether a GPU computes what the CPU does: one table, with a line for each thing that was looked at.
//!
//! `scripts/gpu-check` finds out what this machine can be built for, and runs it:
//! `cargo run --release -p parkway-llama --features BACKEND --example gpu_check MODEL.gguf [SECONDS [REFERENCE.gguf]]`. On a slow
//! device it asks for less, and ends some time after so many seconds. The CPU may answer with another file of the same model, as one
//! with weights of 32 bits. Ends with an error if a line says `FAIL`.
#![expect(clippy::print_stdout, reason = "the table is its output")]

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use parkway_core::model::{ChatMessage, ChatRequest, ChatResponse, Constraint, Delta, Model, ModelError, Role};
use parkway_llama::{Device, DeviceKind, GpuLayers, Llama, LlamaConfig, devices};
use serde_json::{Value, json};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const CONTEXT: u32 = 1_024;
/// How far the two best tokens of a place may be apart, in log-probability, where answers part: where nothing is rounded, and with
/// quantized weights. What is multiplied with those llama.cpp rounds to 8 bits on a CPU and on most GPUs, each in its own way.
const NEAR: f32 = 0.1;
const NEAR_ROUNDED: f32 = 0.5;
/// How far half of all places may have moved then. A device that computes something else moves all of them.
const MOVED: f32 = 0.25;
/// Fewer tokens a second, and less is asked for.
const SLOW: f64 = 50.0;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: gpu_check MODEL.gguf [SECONDS [REFERENCE.gguf]]")?;
    let seconds = args.next().map_or(Ok(120), |text| text.parse())?;
    let reference = args.next();
    let near = if reference.is_some() { NEAR } else { NEAR_ROUNDED };
    let mut check = Check { log: Log::start(), failed: false, time: Duration::from_secs(seconds), near };
    let config = |path: &str| Llama::gguf(path).context_length(CONTEXT);
    println!("{path}");
    for device in devices() {
        let (free, total) = (device.memory_free >> 20, device.memory_total >> 20);
        println!("{}, {}, {}: {free} of {total} MiB free", device.name, device.description, device.backend);
    }
    println!();
    if card().is_none() {
        check.line("device", false, "this build sees no GPU: a driver is missing, or it was built for another kind");
        return check.end();
    }
    let (alone, work) = check.alone(config(&path), config(reference.as_deref().unwrap_or(&path))).await?;
    let gpu = config(&path).gpu_layers(GpuLayers::All).cache_tokens(2 * CONTEXT).load_async(|_| ()).await?;
    check.fan_out(&gpu, &work, &alone).await?;
    check.forced(&gpu).await?;
    check.soak(&gpu, &work).await?;
    check.end()
}

/// The GPU that is looked at: the first one that llama.cpp uses.
fn card() -> Option<Device> {
    let of_kind = |kind| devices().into_iter().find(|device| device.kind == kind);
    of_kind(DeviceKind::Gpu).or_else(|| of_kind(DeviceKind::IntegratedGpu))
}

/// How much is asked for.
struct Work {
    /// How often the rules stand in a prompt.
    rules: usize,
    /// Tokens of an answer.
    tokens: u32,
    /// Requests at once, and at least one after the other.
    items: usize,
}

const LITTLE: Work = Work { rules: 1, tokens: 8, items: 4 };
const MUCH: Work = Work { rules: 8, tokens: 48, items: 8 };

impl Work {
    fn request(&self, n: usize) -> ChatRequest {
        let rules = "You read letters to a shop and say in few words what the writer wants. ".repeat(self.rules);
        let things = ["lamps", "chairs", "blue cups", "globes", "curtains", "doors", "kettles"];
        let wishes = ["Please send", "I want to give back", "What do you ask for", "I never received"];
        let letter = format!("{} {} {}.", wishes[n % wishes.len()], 3 + n % 17, things[n % things.len()]);
        let messages = vec![ChatMessage::new(Role::System, rules.trim_end()), ChatMessage::new(Role::User, letter)];
        ChatRequest { max_tokens: self.tokens, logprobs: Some(5), ..ChatRequest::new(messages) }
    }
}

struct Check {
    log: Log,
    failed: bool,
    time: Duration,
    /// Above it, a margin where answers of the CPU and the GPU part is a fail.
    near: f32,
}

impl Check {
    fn line(&mut self, about: &str, good: bool, text: impl AsRef<str>) {
        self.failed |= !good;
        println!("{about:<22} {}  {}", if good { "pass" } else { "FAIL" }, text.as_ref());
    }

    fn end(&self) -> Outcome<()> {
        if self.failed { Err("a check failed".into()) } else { Ok(()) }
    }

    /// Answers on the GPU and on the CPU, each alone. Gives those of the GPU.
    async fn alone(&mut self, gpu: LlamaConfig, cpu: LlamaConfig) -> Outcome<(Vec<ChatResponse>, Work)> {
        let gpu = gpu.deterministic(true).gpu_layers(GpuLayers::All).load_async(|_| ()).await?;
        self.layers(&gpu);
        self.memory();

        // The first one compiles what the device runs.
        gpu.chat(ChatRequest { max_tokens: 1, ..LITTLE.request(0) }).await?;
        let mut meter = Meter::start(&gpu);
        let (mut work, mut answers) = (LITTLE, vec![gpu.chat(LITTLE.request(0)).await?]);
        if meter.speed(&gpu) > SLOW {
            (work, answers, meter) = (MUCH, Vec::new(), Meter::start(&gpu));
        }
        while answers.len() < work.items || answers.len() < 48 && meter.started.elapsed() < self.time / 4 {
            answers.push(gpu.chat(work.request(answers.len())).await?);
        }
        let fast = meter.speed(&gpu);
        drop(gpu);

        let cpu = cpu.deterministic(true).gpu_layers(GpuLayers::Count(0)).load_async(|_| ()).await?;
        let (mut told, meter) = (Vec::new(), Meter::start(&cpu));
        for n in 0..answers.len() {
            told.push(cpu.chat(work.request(n)).await?);
        }
        let slow = meter.speed(&cpu);
        self.compare("tokens as on the CPU", &told, &answers, self.near);
        self.line("speed", true, format!("{fast:.1} tokens/s one after the other, the CPU {slow:.1}"));
        Ok((answers, work))
    }

    fn layers(&mut self, gpu: &Llama) {
        // What llama.cpp says that it did, beside what it was asked for.
        let told = self.log.last("offloaded ").unwrap_or_default();
        let told = told.split_whitespace().nth(1).unwrap_or("none").to_owned();
        let good = told.split_once('/').is_some_and(|(some, all)| some == all);
        let device = &gpu.capabilities().device;
        self.line("layers on the device", good && device.contains(&told), format!("{told}, {device}"));
    }

    fn memory(&mut self) {
        let name = card().map(|card| card.name).unwrap_or_default();
        let held: f64 =
            self.log.lines("buffer size =").iter().filter(|line| line.contains(&name)).map(|line| mib(line)).sum();
        let told = self.log.last("needed_mib=").unwrap_or_default();
        let number =
            |key: &str| told.split_once(key).and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<f64>().ok());
        let needed = number("needed_mib=").unwrap_or(0.0);
        let good = held > 0.0 && held <= needed && needed <= 2.0 * held + 512.0;
        self.line(
            "memory needed",
            good,
            format!("{needed:.0} MiB by the estimate before loading, {held:.0} MiB taken"),
        );
    }

    /// Tells where answers part, and how far the two best tokens of each place have moved from each other.
    fn compare(&mut self, about: &str, told: &[ChatResponse], answers: &[ChatResponse], near: f32) {
        let (mut margins, mut moves) = (Vec::new(), Vec::new());
        for (told, answer) in told.iter().zip(answers) {
            let same = told.end.tokens.iter().zip(&answer.end.tokens).take_while(|(a, b)| a == b).count();
            moves.extend((0..=same).filter_map(|at| moved(told, answer, at)));
            if same < told.end.tokens.len().max(answer.end.tokens.len()) {
                margins.push(margin(told, same).unwrap_or(f32::NAN));
            }
        }
        margins.sort_by(f32::total_cmp);
        moves.sort_by(f32::total_cmp);
        let list = margins.iter().map(|margin| format!("{margin:.3}")).collect::<Vec<_>>().join(" ");
        let list = if list.is_empty() { "-".into() } else { list };
        let half = moves.get(moves.len() / 2).copied().unwrap_or(f32::NAN);
        let most = moves.last().copied().unwrap_or(f32::NAN);
        let good = margins.iter().all(|margin| *margin <= near) && half <= near.min(MOVED);
        let (all, same) = (told.len(), told.len() - margins.len());
        let text = format!("{same} of {all} the same; margins where others part: {list} (at most {near})");
        self.line(
            about,
            good,
            format!("{text}; half of {} places moved by {half:.3}, all by {most:.3} at most", moves.len()),
        );
    }

    /// Several requests at once that begin alike.
    async fn fan_out(&mut self, gpu: &Llama, work: &Work, alone: &[ChatResponse]) -> Outcome<()> {
        let requests: Vec<ChatRequest> = (0..work.items).map(|n| work.request(n)).collect();
        let prompts: Vec<Vec<u32>> =
            requests.iter().map(|request| gpu.prompt_tokens(request)).collect::<Result<_, _>>()?;
        let common = |prompt: &Vec<u32>| prompt.iter().zip(&prompts[0]).take_while(|(a, b)| a == b).count();
        let shared = prompts.iter().map(common).min().unwrap_or(0);
        let asked = requests.into_iter().map(|request| {
            let gpu = gpu.clone();
            tokio::spawn(async move { gpu.chat(request).await })
        });
        let mut answers = Vec::new();
        for answer in asked.collect::<Vec<_>>() {
            answers.push(answer.await??);
        }
        let whole: usize = prompts.iter().map(Vec::len).sum();
        let computed: u32 =
            answers.iter().map(|answer| answer.end.usage.prompt_tokens - answer.end.usage.cached_tokens).sum();
        let least = whole - (work.items - 1) * shared;
        let text = format!(
            "{} at once with {shared} tokens in common: {computed} of {whole} prompt tokens computed",
            work.items
        );
        // Some share even more with each other.
        self.line("fan-out", shared > 16 && computed as usize <= least, text);
        self.compare("the same as alone", &alone[..work.items], &answers, self.near);
        Ok(())
    }

    async fn forced(&mut self, gpu: &Llama) -> Outcome<()> {
        let schema = json!({"type": "object", "additionalProperties": false,
            "properties": {"pieces": {"type": "integer", "minimum": 0, "maximum": 99}, "kind": {"enum": ["order", "return", "question"]}},
            "required": ["pieces", "kind"]});
        let request = ChatRequest {
            constraint: Some(Constraint::JsonSchema(schema.clone())),
            max_tokens: 40,
            ..ChatRequest::new(vec![ChatMessage::new(Role::User, "Please send 12 lamps.")])
        };
        let before = gpu.stats();
        let answer = gpu.chat(request).await?;
        let (usage, decodes) = (answer.end.usage, gpu.stats().decodes - before.decodes);
        let value: Value = serde_json::from_str(&answer.text)?;
        let good = usage.forced_tokens > 0
            && decodes <= u64::from(usage.output_tokens - usage.forced_tokens) + 1
            && jsonschema::is_valid(&schema, &value);
        let text = format!(
            "{} of {} tokens forced, {decodes} batches: {}",
            usage.forced_tokens, usage.output_tokens, answer.text
        );
        self.line("forced tokens", good, text);
        Ok(())
    }

    /// Requests of which some are dropped, until the time is over: what they held must be free again.
    async fn soak(&mut self, gpu: &Llama, work: &Work) -> Outcome<()> {
        let (started, mut open, mut asked, mut early) = (Instant::now(), JoinSet::new(), 0, None);
        while asked < 2 * work.items || started.elapsed() < self.time / 2 {
            while open.len() >= work.items {
                open.join_next().await.ok_or("nothing is open")???;
            }
            if early.is_none() && asked >= work.items && started.elapsed() >= self.time / 8 {
                early = Some(held());
            }
            let patience = (asked % 3 == 0).then_some(asked % 4);
            open.spawn(ask(gpu.clone(), ChatRequest { max_tokens: work.tokens / 2, ..work.request(asked) }, patience));
            asked += 1;
        }
        while let Some(ended) = open.join_next().await {
            ended??;
        }
        let ((host, device), (host_now, device_now)) = (early.unwrap_or_else(held), held());
        let told = match (device, device_now) {
            (Some(device), Some(now)) => format!("device {device} → {now} MiB"),
            _ => "the device does not tell".into(),
        };
        let good = host_now <= host + host / 10 && device_now <= device.map(|device| device + 64);
        self.line(
            "memory after a soak",
            good,
            format!("{asked} requests, a third dropped: host {host} → {host_now} MiB, {told}"),
        );
        Ok(())
    }
}

/// Asks, and drops the answer after so many pieces.
async fn ask(gpu: Llama, request: ChatRequest, patience: Option<usize>) -> Result<(), ModelError> {
    let (mut deltas, mut pieces) = (gpu.stream(request).await?, 0);
    while patience != Some(pieces) {
        match deltas.next().await {
            None | Some(Ok(Delta::Done(_)) | Err(ModelError::Cut { .. })) => return Ok(()),
            Some(Ok(_)) => pieces += 1,
            Some(Err(error)) => return Err(error),
        }
    }
    Ok(())
}

/// What this process holds in MiB, and what is taken of the device, where they tell it.
fn held() -> (u64, Option<u64>) {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0);
    // A driver that tells nothing says that all is free.
    let taken = card().map(|card| (card.memory_total - card.memory_free) >> 20).filter(|taken| *taken > 0);
    (kib >> 10, taken)
}

/// How much nearer or farther the two best tokens of a place are in another answer, in log-probability.
fn moved(told: &ChatResponse, other: &ChatResponse, at: usize) -> Option<f32> {
    let top = &other.end.logprobs.get(at)?.top;
    let now = |text: &str| top.iter().find(|(other, _)| other == text).map(|(_, logprob)| *logprob);
    match told.end.logprobs.get(at)?.top.as_slice() {
        [best, second, ..] => Some(((best.1 - second.1) - (now(&best.0)? - now(&second.0)?)).abs()),
        _ => None,
    }
}

/// How much more probable the best token of a place is than the second best, in log-probability.
fn margin(told: &ChatResponse, at: usize) -> Option<f32> {
    match told.end.logprobs.get(at)?.top.as_slice() {
        [best, second, ..] => Some(best.1 - second.1),
        _ => None,
    }
}

/// Tokens by the clock: on a GPU a batch is still computed when it is handed over.
struct Meter {
    started: Instant,
    rows: u64,
}

impl Meter {
    fn start(model: &Llama) -> Self {
        Meter { started: Instant::now(), rows: model.stats().rows }
    }

    /// Tokens a second since then, those of prompts and of answers.
    fn speed(&self, model: &Llama) -> f64 {
        let rows = u32::try_from(model.stats().rows - self.rows).unwrap_or(u32::MAX);
        f64::from(rows) / self.started.elapsed().as_secs_f64()
    }
}

/// The number before `MiB`.
fn mib(line: &str) -> f64 {
    let number = line.split_once('=').and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0.0)
}

/// What llama.cpp and this library say while they work.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> Self {
        let log = Log::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn lines(&self, with: &str) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }

    /// The last line with these words, from them on.
    fn last(&self, with: &str) -> Option<String> {
        let line = self.lines(with).pop()?;
        line.find(with).map(|at| line[at..].to_owned())
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
