//! Two workers that race for one run, of which the one that holds it is stopped past its lease, and goes on when the other
//! one has taken over.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use parkway_core::testing::{Moment, StopAt, WritePoint};
use parkway_store::SqliteStore;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::runtime::Runtime;

use super::life::{Life, open};
use super::matrix::{Files, Stop, Undisturbed, compare, template, undisturbed};
use super::oracle::examine;
use super::scenario::{Class, Dice, Scenario};
use super::worker::Worker;

/// How long anything may take before it is said to hang.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a round is begun anew whose holder could not be stopped as one that holds the run.
const TRIES: u64 = 30;

/// What a worker is told when the other one was quicker: it has the run, has ended it, has reopened it, or both.
const OVERTAKEN: [&str; 4] = ["another process", "has ended: ", "has not ended: ", "has completed, and a retry"];

/// What came of the rounds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Rounds in which the other worker took the run over from the stopped one, and whose ends were looked at.
    rounds: AtomicU64,
    /// Those whose holder was stopped exactly before or after a write.
    at_points: AtomicU64,
    /// Those in which the one that was stopped went on only when the run had ended.
    slept_through: AtomicU64,
    /// Those in which nothing moved while one was stopped, which may hold the database's lock: it was let go for a moment.
    nudged: AtomicU64,
    /// Those in which the one that was stopped was told that it had lost the run.
    refused: AtomicU64,
    /// Times that the run had ended, or was given back, before its holder was stopped: the round was begun anew.
    too_late: AtomicU64,
    pub(crate) violations: Mutex<Vec<String>>,
}

/// Where the holder is stopped.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before or after a write.
    Point(Stop),
    /// So long after a worker was told of so many events.
    Time(u64, Duration),
}

impl Place {
    fn roll(dice: &mut Dice, calm: &Undisturbed) -> Self {
        if dice.roll(2) == 0 {
            // The calls of an undisturbed run take no time, so that it renews nothing.
            let renewals = [Moment::Before, Moment::After].map(|side| ((WritePoint::Renew, side), 3));
            let passed = calm.passed.iter().map(|(place, times)| (*place, *times)).chain(renewals);
            let mut places: Vec<_> = passed.filter(|((point, side), _)| is_held_at(*point, *side)).collect();
            places.sort();
            let ((point, side), times) = places[dice.roll(places.len() as u64) as usize];
            return Place::Point((point, side, 1 + dice.roll(u64::from(times)) as u32));
        }
        let is_event = |point: WritePoint| WritePoint::RunCreated <= point && point <= WritePoint::RunCancelled;
        let after = calm.passed.iter().filter(|((point, side), _)| *side == Moment::After && is_event(*point));
        let events: u32 = after.map(|(_, times)| times).sum();
        Place::Time(dice.roll(u64::from(events)), Duration::from_micros(dice.roll(10_000)))
    }
}

/// Whether a worker that passes this place may hold the run there.
fn is_held_at(point: WritePoint, side: Moment) -> bool {
    match (point, side) {
        // Others do these, or it is over.
        (WritePoint::RunCreated | WritePoint::Signal | WritePoint::Delivered | WritePoint::KeepSnapshot, _) => false,
        (WritePoint::RunCompleted | WritePoint::RunFailed | WritePoint::RunCancelled, side) => side == Moment::Before,
        (WritePoint::Claim, side) => side == Moment::After,
        (WritePoint::Release, side) => side == Moment::Before,
        _ => true,
    }
}

/// Two workers, and the judge between them.
struct Pair {
    workers: [Worker; 2],
    words: Receiver<(usize, String)>,
    /// Events that a worker was told of, in this round.
    acknowledged: Vec<String>,
    /// Errors other than that a run was lost.
    complaints: Vec<String>,
    /// How often each was told that it had lost the run.
    losses: [u64; 2],
}

/// What came of one try at a round.
struct Came {
    /// Whether the other worker took the run over.
    taken_over: bool,
    slept_through: bool,
    nudged: bool,
    /// Whether the one that was stopped was told, when it went on, that it had lost the run.
    refused: bool,
    violations: Vec<String>,
}

/// Those who stand around a run, and what they see it by.
struct Around {
    runtime: Runtime,
    store: Arc<SqliteStore>,
    people: Life,
    files: Files,
}

impl Around {
    /// Makes the run, with nobody who holds it.
    fn begin(scenario: Scenario, folder: &Path, template: &Path) -> Self {
        let files = Files::at(folder);
        fs::copy(template, &files.database).unwrap();
        let runtime = runtime();
        let store = Arc::new(runtime.block_on(open(&files.database)));
        let points = Arc::new(StopAt::new(store.clone(), |_, _, _| {}));
        let people = Life::new(scenario, points, files.ledger.clone(), "people", Duration::ZERO);
        runtime.block_on(people.create_free());
        Around { runtime, store, people, files }
    }

    /// Says what the run waits for; of calls in doubt only if `doubts`. How many words, unless the database is locked.
    fn speak(&self, doubts: bool) -> Option<usize> {
        let patience = Duration::from_millis(400);
        let speaking = self.people.give_what_is_waited_for(doubts);
        self.runtime.block_on(async { tokio::time::timeout(patience, speaking).await }).ok()
    }

    /// Whether the run is this worker's.
    fn is_held_by(&self, worker: &Worker) -> bool {
        let sql = "SELECT owner FROM parkway_run
            WHERE workflow = 'main' AND status IN ('pending', 'running', 'waiting')";
        self.runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(&self.files.database);
            let mut connection = options.connect().await.unwrap();
            let owner: Option<Option<String>> = sqlx::query_scalar(sql).fetch_optional(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            owner.flatten().as_deref() == Some(&*worker.name)
        })
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl Pair {
    fn start() -> Self {
        let (sender, words) = channel();
        let workers = [0, 1].map(|number| Worker::start(number, sender.clone()));
        Pair { workers, words, acknowledged: Vec::new(), complaints: Vec::new(), losses: [0; 2] }
    }

    fn done(&self) -> bool {
        self.workers.iter().all(|worker| worker.done)
    }

    /// Takes in what the workers say until nothing comes for `patience`, or `enough`.
    fn listen(&mut self, patience: Duration, mut enough: impl FnMut(&Self, usize, &str) -> bool) -> bool {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok((name, word)) = self.words.recv_timeout(left) else { return false };
            if let Some(event) = word.strip_prefix("acknowledged ") {
                self.acknowledged.push(event.to_owned());
            } else {
                self.workers[name].said(&word);
            }
            if let Some(why) = word.strip_prefix("lost ") {
                self.losses[name] += 1;
                if !OVERTAKEN.iter().any(|said| why.contains(said)) {
                    self.complaints.push(format!("worker {name} ended with: {why}"));
                }
            }
            if enough(self, name, &word) {
                return true;
            }
        }
    }

    /// Stops whoever holds the run at that place. Gives nobody if the run has ended before.
    fn stop_holder(&mut self, place: Place, around: &Around) -> Result<Option<usize>, String> {
        let begun = Instant::now();
        while !self.done() {
            if begun.elapsed() > PATIENCE {
                return Err("nobody comes to where it is to be stopped".into());
            }
            let mut holder = 0;
            let there = self.listen(Duration::from_millis(20), |pair, name, word| {
                holder = name;
                match place {
                    Place::Point(_) => word == "stops",
                    Place::Time(events, _) => pair.workers[name].active && pair.acknowledged.len() as u64 >= events,
                }
            });
            if !there {
                // Nobody can say what became of a call that somebody may still be making.
                around.speak(self.workers.iter().all(|worker| !worker.active));
                continue;
            }
            match place {
                Place::Point(_) => self.workers[holder].wait_until_stopped(),
                Place::Time(_, more) => {
                    std::thread::sleep(more);
                    self.workers[holder].stop();
                }
            }
            if around.is_held_by(&self.workers[holder]) {
                return Ok(Some(holder));
            }
            self.workers[holder].go_on();
        }
        Ok(None)
    }

    /// Waits until the other worker has the run, and `to_the_end` until it can do no more. Whether it took it, and whether the
    /// one that is stopped had to be let go for a moment.
    fn wait_for_the_other(&mut self, holder: usize, to_the_end: bool, around: &Around) -> (bool, bool) {
        let other = 1 - holder;
        let (mut took, mut nudged) = (false, false);
        for _ in 0..100 {
            // It may wait for people, whom the one that sleeps has not answered; or for a word about a call that the
            // sleeper may still make, which nobody can give now.
            let moved = self.listen(Duration::from_millis(700), |pair, name, word| {
                took |= name == other && word == "took";
                name == other && (pair.workers[other].done || (took && !to_the_end) || word == "left")
            });
            if self.workers[other].done || (took && !to_the_end) {
                break;
            }
            // Their words wait for the database, too.
            let said = around.speak(false);
            if said == Some(0) && around.runtime.block_on(around.people.in_doubt()) {
                break;
            }
            if !moved || said.is_none() {
                nudged = true;
                self.workers[holder].go_on();
                std::thread::sleep(Duration::from_millis(1));
                self.workers[holder].stop();
            }
        }
        (took, nudged)
    }

    fn play(
        &mut self,
        scenario: Scenario,
        calm: &Undisturbed,
        template: &Path,
        dice: &mut Dice,
        place: Place,
    ) -> Result<Came, String> {
        let folder = crate::kept::folder().unwrap();
        let around = Around::begin(scenario, folder.path(), template);
        self.losses = [0; 2];
        self.acknowledged.clear();
        let stop = match place {
            Place::Point(stop) => Some(stop),
            Place::Time(..) => None,
        };
        for worker in &mut self.workers {
            worker.begin(scenario, stop, folder.path());
        }
        let (mut taken_over, mut slept_through, mut nudged, mut refused) = (false, false, false, false);
        if let Some(holder) = self.stop_holder(place, &around)? {
            let to_the_end = dice.roll(2) == 0;
            let took;
            (took, nudged) = self.wait_for_the_other(holder, to_the_end, &around);
            slept_through = self.workers[1 - holder].done && !self.workers[holder].done;
            if !to_the_end {
                std::thread::sleep(Duration::from_micros(dice.roll(10_000)));
            }
            let before = self.losses[holder];
            self.workers[holder].go_on();
            self.wait_for_the_end(scenario, &around)?;
            refused = self.losses[holder] > before;
            // In a moment in which it was let go it may have given the run back.
            taken_over = took && (!nudged || refused);
        }
        self.wait_for_the_end(scenario, &around)?;
        around.runtime.block_on(around.people.relay());
        around.runtime.block_on(around.store.close()).unwrap();
        let found = examine(scenario, &around.files.database, &around.files.ledger, &self.acknowledged);
        let mut violations = compare(calm, around.runtime.block_on(found));
        violations.append(&mut self.complaints);
        Ok(Came { taken_over, slept_through, nudged, refused, violations })
    }

    fn wait_for_the_end(&mut self, scenario: Scenario, around: &Around) -> Result<(), String> {
        let begun = Instant::now();
        while !self.done() {
            if begun.elapsed() > PATIENCE {
                return Err(format!("the run of {scenario} does not end"));
            }
            self.listen(Duration::from_millis(5), |pair, _, _| pair.done());
            // Nobody can say what became of a call that somebody may still be making.
            around.speak(self.workers.iter().all(|worker| !worker.active));
        }
        Ok(())
    }
}

/// Plays a round until the other worker takes the run over, and looks at the end of each try.
fn play_round(scenario: Scenario, pair: &mut Pair, template: &Path, tally: &Tally) {
    let count = |counter: &AtomicU64, more: u64| counter.fetch_add(more, Ordering::Relaxed);
    let complain = |what: &str| tally.violations.lock().unwrap().push(format!("{scenario}: {what}"));
    let calm = runtime().block_on(undisturbed(scenario, template));
    for number in 0..TRIES {
        let mut dice = Dice::new(scenario.dice().roll(u64::MAX) ^ number);
        let place = Place::roll(&mut dice, &calm);
        let came = match pair.play(scenario, &calm, template, &mut dice, place) {
            Ok(came) => came,
            Err(problem) => {
                *pair = Pair::start();
                return complain(&format!("stopped at {place:?}: {problem}"));
            }
        };
        came.violations.iter().for_each(|what| complain(&format!("stopped at {place:?}: {what}")));
        if came.taken_over {
            count(&tally.rounds, 1);
            count(&tally.at_points, u64::from(matches!(place, Place::Point(_))));
            count(&tally.slept_through, u64::from(came.slept_through));
            count(&tally.nudged, u64::from(came.nudged));
            count(&tally.refused, u64::from(came.refused));
            return;
        }
        count(&tally.too_late, 1);
    }
    complain(&format!("nobody took the run over in {TRIES} tries"));
}

/// Plays so many rounds, several at once.
pub(crate) fn run(rounds: u64, points: &[WritePoint], classes: &[Class]) -> (Tally, Duration) {
    let begun = Instant::now();
    let folder = crate::kept::folder().unwrap();
    let template = runtime().block_on(template(folder.path()));
    let (tally, next) = (Tally::default(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // They mostly wait, for leases that run out.
        for _ in 0..6 {
            scope.spawn(|| {
                let mut pair = Pair::start();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= rounds {
                        return;
                    }
                    let (point, class) = (points[seed as usize % points.len()], classes[seed as usize % classes.len()]);
                    play_round(Scenario { point, class, seed }, &mut pair, &template, &tally);
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
        line("rounds: the other worker took the run over from the stopped one", read(&self.rounds));
        line("… stopped before or after a write", read(&self.at_points));
        line("… stopped at any time", read(&self.rounds) - read(&self.at_points));
        line("… and was refused when it went on", read(&self.refused));
        line("… and went on only when the other one had ended the run", read(&self.slept_through));
        line("… nothing moved (the database's lock): the stopped one got 1 ms", read(&self.nudged));
        line("begun anew, since the run had ended before its holder was stopped", read(&self.too_late));
        line("violations", self.violations.lock().unwrap().len() as u64);
        writeln!(text, "{:.0} s", took.as_secs_f64()).unwrap();
        text
    }

    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}
