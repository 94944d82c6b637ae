//! How long it takes to recall, beside what the disk takes for one wait in the same minute: with 10,000, 100,000 … memories in one namespace
//! and as many in a hundred others, by words and by vectors of 384 numbers.
//!
//! `cargo run --release -p parkway-store --example memories [FOLDER] [COUNT…]`; the folder decides which disk is measured. Texts have 12
//! words of a vocabulary of 20,000, drawn as words are in a language (the n-th most common one 1/n times as often); questions have 6. The
//! first question after the store was opened is told apart (cold): it reads the vectors.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

mod machine;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::engine::{Author, Outside, Services, record_outside};
use parkway_core::id::{MemoryId, WorkerId};
use parkway_core::log::Channel;
use parkway_core::memory::{Content, Memory, MemoryVector, NewMemory, Recall};
use parkway_core::policy::DefaultPolicy;
use parkway_core::store::Log;
use parkway_core::tool::Toolbox;
use parkway_store::SqliteStore;

use machine::{load, sync_cost};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Memories of one commit.
const TOGETHER: usize = 500;
const NUMBERS: usize = 384;
const QUESTIONS: usize = 200;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let folder = tempfile::tempdir_in(args.next().unwrap_or_else(|| ".".into()))?;
    let asked: Vec<usize> = args.map(|text| text.parse()).collect::<Result<_, _>>()?;
    let counts = if asked.is_empty() { vec![10_000, 100_000] } else { asked };
    println!(
        "memories  written/s  bytes/memory  by words p50, p95   by both cold   p50, p95            fdatasync p50  load"
    );
    for (turn, count) in counts.into_iter().enumerate() {
        let path = folder.path().join(format!("{turn}.db"));
        let mut dice = Dice(count as u64 + 1);
        let written = fill(&path, count, &mut dice).await?;
        let size = fs::metadata(&path)?.len() as f64 / (2 * count) as f64;
        let sync = sync_cost(folder.path())?;
        let store = SqliteStore::open(&path, Arc::new(SystemClock)).await?;
        let by_words = ask(&store, &mut dice, false).await?;
        vectors(&store, &mut dice).await?;
        store.close().await?;
        let store = SqliteStore::open(&path, Arc::new(SystemClock)).await?;
        let start = Instant::now();
        question(&store, &mut dice, true).await?;
        let cold = start.elapsed();
        let by_both = ask(&store, &mut dice, true).await?;
        let ms = |took: Duration| took.as_secs_f64() * 1e3;
        println!(
            "{count:8}  {written:9.0}  {size:12.0}  {:7.2}, {:7.2} ms  {:9.1} ms  {:7.2}, {:7.2} ms  {:10.3} ms  {}",
            ms(by_words.0),
            ms(by_words.1),
            ms(cold),
            ms(by_both.0),
            ms(by_both.1),
            ms(sync),
            load()
        );
        store.close().await?;
    }
    Ok(())
}

/// Chance that is the same each time.
struct Dice(u64);

impl Dice {
    /// From 0 to 1.
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn text(&mut self, words: usize) -> String {
        // The n-th word comes 1/n times as often.
        let word = |roll: f64| 20_000_f64.powf(roll) as u64;
        let words: Vec<String> = (0..words).map(|_| format!("w{}x", word(self.roll()))).collect();
        words.join(" ")
    }

    fn vector(&mut self) -> Vec<f32> {
        let mut vector: Vec<f32> = (0..NUMBERS).map(|_| self.roll() as f32 - 0.5).collect();
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= length);
        vector
    }
}

/// Writes the memories, and gives how many a second.
async fn fill(path: &Path, count: usize, dice: &mut Dice) -> Outcome<f64> {
    let store = Arc::new(SqliteStore::open(path, Arc::new(SystemClock)).await?);
    let clock = Arc::new(SystemClock);
    let services = Services::new(
        store.clone(),
        Arc::new(Toolbox::new()),
        Arc::new(DefaultPolicy),
        clock.clone(),
        WorkerId::new("bench"),
    );
    let by = Author::new("bench", Channel::Program);
    let start = Instant::now();
    for part in 0..count.div_ceil(TOGETHER) {
        let memories = (part * TOGETHER..count.min((part + 1) * TOGETHER))
            .flat_map(|i| [("own".to_owned(), dice.text(12)), (format!("other/{}", i % 100), dice.text(12))]);
        let memory = |(namespace, text)| {
            Outside::Remember(NewMemory::new(MemoryId::new(clock.random()), Content::new(namespace, text), clock.now()))
        };
        record_outside(&services, &by, &memories.map(memory).collect::<Vec<_>>()).await?;
    }
    let took = start.elapsed().as_secs_f64();
    store.close().await?;
    Ok((2 * count) as f64 / took)
}

/// Gives every memory a vector.
async fn vectors(store: &SqliteStore, dice: &mut Dice) -> Outcome<()> {
    for (namespace, _) in store.memory().namespaces().await? {
        let mut after = 0;
        loop {
            let lacking = store.without_vector("bench", &namespace, after, 2_000).await?;
            let Some(last) = lacking.last() else { break };
            after = last.number;
            let made: Vec<_> =
                lacking.iter().map(|memory| (memory.id, MemoryVector::new("bench", dice.vector()))).collect();
            store.keep_vectors(&made).await?;
        }
    }
    Ok(())
}

async fn question(store: &SqliteStore, dice: &mut Dice, by_both: bool) -> Outcome<usize> {
    let mut recall = Recall::new(vec!["own".into()], dice.text(6), SystemClock.now());
    recall.vector = by_both.then(|| MemoryVector::new("bench", dice.vector()));
    Ok(store.memory().recall(&recall).await?.len())
}

/// The median of the questions' times, and what nineteen of twenty stay below.
async fn ask(store: &SqliteStore, dice: &mut Dice, by_both: bool) -> Outcome<(Duration, Duration)> {
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let start = Instant::now();
        question(store, dice, by_both).await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok((times[QUESTIONS / 2], times[QUESTIONS * 19 / 20]))
}
