//! A process that takes part in rounds: whoever gets the run goes on with it, and may be stopped anywhere.

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use parkway_core::testing::StopAt;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use super::life::{Life, open};
use super::matrix::{Files, Stop, name_of, stop_named};
use super::scenario::Scenario;

/// The test that plays a worker, when it is told to.
const PLAYER: &str = "kill::plays_a_worker";
const ROLE: &str = "PARKWAY_KILL_WORKER";
/// Stands for no place where it stops itself.
const NOWHERE: &str = "-";

/// How long a run is held without a renewal.
const LEASE: Duration = Duration::from_millis(60);
/// How long a call takes.
const TAKES: Duration = Duration::from_millis(8);

/// A worker: takes part in each round that it is told of. Returns at once where nobody has told it to play.
pub(crate) async fn play() {
    let Ok(name) = std::env::var(ROLE) else { return };
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let [scenario, stop, folder] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { unreachable!("{line}") };
        let stop = (stop != NOWHERE).then(|| stop_named(&stop.replace('+', " ")));
        let (files, stopped) = (Files::at(Path::new(folder)), Path::new(folder).join("stopped"));
        let store = Arc::new(open(&files.database).await);
        let points = StopAt::new(store.clone(), move |point, moment, nth| {
            // One of the two is enough.
            if stop == Some((point, moment, nth)) && File::create_new(&stopped).is_ok() {
                say("stops");
                kill_process(getpid(), Signal::STOP).unwrap();
            }
        });
        let scenario = Scenario::named(&scenario.replace('+', " "));
        let life = Life::new(scenario, Arc::new(points), files.ledger, &name, TAKES);
        let took = Arc::new(AtomicBool::new(false));
        let takes = took.clone();
        let life = life.with_lease(LEASE, move || {
            takes.store(true, Ordering::Relaxed);
            say("took");
        });
        let told = |event: &parkway_core::log::Event| {
            say(&format!("acknowledged {}", String::from_utf8(event.to_bytes().unwrap()).unwrap()));
        };
        loop {
            match life.run_once(told).await {
                Ok(true) => break,
                // Another one may have it.
                Ok(false) if !took.swap(false, Ordering::Relaxed) => {}
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
pub(super) struct Worker {
    child: Child,
    stdin: ChildStdin,
    pub(super) name: String,
    /// Whether it may be making calls.
    pub(super) active: bool,
    pub(super) done: bool,
}

impl Worker {
    /// Starts a process whose words come with its number.
    pub(super) fn start(number: usize, words: Sender<(usize, String)>) -> Self {
        let name = format!("worker-{number}");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", PLAYER, "--nocapture"])
            .env(ROLE, &name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if let Some((_, word)) = line.unwrap().split_once("says:") {
                    let _ = words.send((number, word.to_owned()));
                }
            }
        });
        Worker { child, stdin, name, active: false, done: true }
    }

    /// Begins a round. The first worker that comes to `stop` stops itself there.
    pub(super) fn begin(&mut self, scenario: Scenario, stop: Option<Stop>, folder: &Path) {
        (self.active, self.done) = (false, false);
        let (scenario, stop) = (scenario.to_string(), stop.map_or(NOWHERE.into(), name_of));
        let (scenario, stop) = (scenario.replace(' ', "+"), stop.replace(' ', "+"));
        writeln!(self.stdin, "{scenario} {stop} {}", folder.display()).unwrap();
    }

    /// Takes in a word of its own.
    pub(super) fn said(&mut self, word: &str) {
        match word {
            "stops" => {}
            "took" => self.active = true,
            _ => (self.active, self.done) = (false, word == "done"),
        }
    }

    /// Stops it, and returns when nothing in it moves any more.
    pub(super) fn stop(&self) {
        self.send(Signal::STOP);
        self.wait_until_stopped();
    }

    pub(super) fn wait_until_stopped(&self) {
        let (_, status) = waitpid(Some(Pid::from_child(&self.child)), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{} has ended: {status:?}", self.name);
    }

    pub(super) fn go_on(&self) {
        self.send(Signal::CONT);
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
