//! Two processes that race for one run, of which the one that holds it is stopped past its lease, and goes on when the other
//! one has taken over.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use parkway_core::testing::{StopAt, WritePoint};
use rustix::process::{Pid, Signal, kill_process};

use super::life::{Life, open};
use super::matrix::{Files, compare, template, undisturbed};
use super::oracle::examine;
use super::scenario::{Class, Scenario};

/// The test that plays a worker, when it is told to.
const PLAYER: &str = "kill::plays_a_worker";
const ROLE: &str = "PARKWAY_KILL_WORKER";

/// How long a run is held without a renewal.
const LEASE: Duration = Duration::from_millis(60);
/// How long a call takes.
const TAKES: Duration = Duration::from_millis(8);

/// A worker: takes part in each round that it is told of. Returns at once where nobody has told it to play.
pub(crate) async fn play() {
    let Ok(name) = std::env::var(ROLE) else { return };
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (scenario, folder) = line.split_once(' ').unwrap();
        let files = Files::at(Path::new(folder));
        let store = Arc::new(open(&files.database).await);
        let points = StopAt::new(store.clone(), |_, _, _| {});
        let scenario = Scenario::named(&scenario.replace('+', " "));
        let life = Life::new(scenario, Arc::new(points), files.ledger, &name, TAKES).with_lease(LEASE, || say("took"));
        let told = |event: &parkway_core::log::Event| {
            say(&format!("acknowledged {}", String::from_utf8(event.to_bytes().unwrap()).unwrap()));
        };
        loop {
            match life.run_once(told).await {
                Ok(true) => break,
                Ok(false) => say("left"),
                Err(error) => say(&format!("lost {error}")),
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        store.close().await.unwrap();
        say("done");
    }
}

#[expect(clippy::print_stdout, reason = "a pipe is how it tells")]
fn say(word: &str) {
    println!("\nsays:{word}");
}

/// A worker as the judge sees it.
struct Worker {
    child: Child,
    stdin: ChildStdin,
    /// Whether it may be making calls.
    active: bool,
    done: bool,
}

impl Worker {
    fn start(name: usize, words: Sender<(usize, String)>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", PLAYER, "--nocapture"])
            .env(ROLE, format!("worker-{name}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if let Some((_, word)) = line.unwrap().split_once("says:") {
                    let _ = words.send((name, word.to_owned()));
                }
            }
        });
        Worker { child, stdin, active: false, done: true }
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of the rounds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rounds: AtomicU64,
    /// Rounds in which both had the run, one after the other.
    taken_over: AtomicU64,
    /// Times that a worker was told that it had lost its run.
    fenced: AtomicU64,
    /// Rounds in which the one that was stopped went on only when the run had ended.
    slept_through: AtomicU64,
    /// Rounds in which nothing moved while one was stopped, which may hold the database's lock: it was let go for a moment.
    nudged: AtomicU64,
    /// Rounds whose run had ended before the holder could be stopped.
    too_late: AtomicU64,
    pub(crate) violations: Mutex<Vec<String>>,
}

/// Two workers, and the judge between them.
struct Pair {
    workers: [Worker; 2],
    words: Receiver<(usize, String)>,
    /// Events that a worker was told of, in this round.
    acknowledged: Vec<String>,
    /// Errors other than that a run was lost.
    complaints: Vec<String>,
    takes: u64,
    losses: u64,
}

impl Pair {
    fn start() -> Self {
        let (sender, words) = channel();
        let workers = [0, 1].map(|name| Worker::start(name, sender.clone()));
        Pair { workers, words, acknowledged: Vec::new(), complaints: Vec::new(), takes: 0, losses: 0 }
    }

    /// Takes in what the workers say until nothing comes for `patience`, or `enough`.
    fn listen(&mut self, patience: Duration, mut enough: impl FnMut(&Self, usize, &str) -> bool) -> bool {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok((name, word)) = self.words.recv_timeout(left) else { return false };
            let worker = &mut self.workers[name];
            if let Some(event) = word.strip_prefix("acknowledged ") {
                self.acknowledged.push(event.to_owned());
            } else if word == "took" {
                worker.active = true;
                self.takes += 1;
            } else {
                worker.active = false;
                worker.done = word == "done";
                if let Some(why) = word.strip_prefix("lost ") {
                    self.losses += 1;
                    // What it was stopped in may be over when it goes on.
                    if !why.contains("another process") && !why.contains("has ended: ") {
                        self.complaints.push(format!("worker {name} ended with: {why}"));
                    }
                }
            }
            if enough(self, name, &word) {
                return true;
            }
        }
    }

    fn round(&mut self, scenario: Scenario, template: &Path, tally: &Tally) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::at(folder.path());
        fs::copy(template, &files.database).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let calm = runtime.block_on(undisturbed(scenario, template));
        let store = Arc::new(runtime.block_on(open(&files.database)));
        let points = Arc::new(StopAt::new(store.clone(), |_, _, _| {}));
        let people = Life::new(scenario, points, files.ledger.clone(), "people", Duration::ZERO);
        runtime.block_on(people.create_free());
        let mut dice = scenario.dice();
        (self.takes, self.losses) = (0, 0);
        self.acknowledged.clear();
        for worker in &mut self.workers {
            (worker.active, worker.done) = (false, false);
            let scenario = scenario.to_string().replace(' ', "+");
            writeln!(worker.stdin, "{scenario} {}", folder.path().display()).unwrap();
        }
        let mut holder = 0;
        let took = self.listen(PATIENCE, |_, name, word| {
            holder = name;
            word == "took"
        });
        if !took {
            return Err("nobody takes the run".into());
        }
        std::thread::sleep(Duration::from_micros(dice.roll(30_000)));
        self.workers[holder].send(Signal::STOP);
        let other = 1 - holder;
        let to_the_end = dice.roll(2) == 0;
        let mut nudged = false;
        for _ in 0..100 {
            // It may wait for people, whom the one that sleeps has not answered; or for a word about a call that the
            // sleeper may still make, which nobody can give now.
            let moved = self.listen(Duration::from_millis(700), |pair, name, word| {
                name == other && (pair.workers[other].done || (word == "took" && !to_the_end) || word == "left")
            });
            if self.workers[other].done || (moved && !to_the_end) {
                break;
            }
            // Their words wait for the database, too.
            let patience = Duration::from_millis(400);
            let speaking = async { tokio::time::timeout(patience, people.give_what_is_waited_for(false)).await };
            let said = runtime.block_on(speaking);
            if said == Ok(0) && runtime.block_on(people.in_doubt()) {
                break;
            }
            if !moved || said.is_err() {
                nudged = true;
                self.workers[holder].send(Signal::CONT);
                std::thread::sleep(Duration::from_millis(1));
                self.workers[holder].send(Signal::STOP);
            }
        }
        let slept_through = self.workers[other].done && !self.workers[holder].done;
        if !to_the_end {
            std::thread::sleep(Duration::from_micros(dice.roll(10_000)));
        }
        self.workers[holder].send(Signal::CONT);
        let begun = Instant::now();
        while !self.workers.iter().all(|worker| worker.done) {
            if begun.elapsed() > PATIENCE {
                return Err(format!("the run of {scenario} does not end"));
            }
            self.listen(Duration::from_millis(5), |pair, _, _| pair.workers.iter().all(|worker| worker.done));
            // Nobody can say what became of a call that somebody may still be making.
            let quiet = self.workers.iter().all(|worker| !worker.active);
            runtime.block_on(people.give_what_is_waited_for(quiet));
        }
        runtime.block_on(people.relay());
        runtime.block_on(store.close()).unwrap();
        let count = |counter: &AtomicU64, more: bool| counter.fetch_add(u64::from(more), Ordering::Relaxed);
        count(&tally.rounds, true);
        count(&tally.taken_over, self.takes > 1);
        count(&tally.slept_through, slept_through && self.takes > 1);
        count(&tally.nudged, nudged);
        count(&tally.too_late, self.takes == 1);
        tally.fenced.fetch_add(self.losses, Ordering::Relaxed);
        let found = runtime.block_on(examine(scenario, &files.database, &files.ledger, &self.acknowledged));
        let mut violations = compare(&calm, found);
        violations.append(&mut self.complaints);
        Ok(violations)
    }
}

/// How long anything may take before it is said to hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays so many rounds, several at once.
pub(crate) fn run(rounds: u64, classes: &[Class]) -> (Tally, Duration) {
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let template = runtime.block_on(template(folder.path()));
    let (tally, next) = (Tally::default(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut pair = Pair::start();
                loop {
                    let round = next.fetch_add(1, Ordering::Relaxed);
                    if round >= rounds {
                        return;
                    }
                    let class = classes[round as usize % classes.len()];
                    let scenario = Scenario { point: WritePoint::Commit, class, seed: round };
                    match pair.round(scenario, &template, &tally) {
                        Ok(violations) => {
                            let said = violations.iter().map(|what| format!("{scenario}: {what}"));
                            tally.violations.lock().unwrap().extend(said);
                        }
                        Err(problem) => {
                            tally.violations.lock().unwrap().push(format!("{scenario}: {problem}"));
                            pair = Pair::start();
                        }
                    }
                }
            });
        }
    });
    (tally, begun.elapsed())
}

impl Tally {
    /// What came of the rounds, as it is printed.
    pub(crate) fn print(&self, took: Duration) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut text = String::new();
        let mut line = |what: &str, count: u64| writeln!(text, "{what:<66}{count:>6}").unwrap();
        line("rounds", read(&self.rounds));
        line("the other worker took the run over from the stopped one", read(&self.taken_over));
        line("… and ended it before the stopped one went on", read(&self.slept_through));
        line("nothing moved (the database's lock): the stopped one got 1 ms", read(&self.nudged));
        line("the run had ended before its holder could be stopped", read(&self.too_late));
        line("times that a worker was refused since it had lost the run", read(&self.fenced));
        line("violations", self.violations.lock().unwrap().len() as u64);
        writeln!(text, "{:.0} s", took.as_secs_f64()).unwrap();
        text
    }

    pub(crate) fn taken_over(&self) -> u64 {
        self.taken_over.load(Ordering::Relaxed)
    }
}
