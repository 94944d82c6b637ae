//! Processes that are killed at every write point, started again, and looked at when their run has ended.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use parkway_core::testing::{Moment, StopAt, WritePoint};
use rustix::process::{Pid, Signal, getpid, kill_process};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use super::ledger::Ledger;
use super::life::{Life, open};
use super::oracle::{Ending, Found, examine};
use super::scenario::{Class, Dice, Scenario};
use super::tools::TABLE;

/// The test that plays the process, when it is told to.
const PLAYER: &str = "kill::plays_a_process_that_dies";

/// Where a process is killed: the point, the side of it, and for the how manyth time it comes there.
pub(crate) type Stop = (WritePoint, Moment, u32);

/// What the process that is started finds in its environment.
const SCENARIO: &str = "PARKWAY_KILL_SCENARIO";
const FOLDER: &str = "PARKWAY_KILL_FOLDER";
const STOP: &str = "PARKWAY_KILL_STOP";

/// The process that dies. Returns at once where nobody has told it to play.
#[expect(clippy::print_stdout, reason = "a pipe is how it tells")]
pub(crate) async fn play() {
    let (Ok(scenario), Ok(folder)) = (std::env::var(SCENARIO), std::env::var(FOLDER)) else { return };
    let stop = std::env::var(STOP).ok().map(|stop| stop_named(&stop));
    let files = Files::at(Path::new(&folder));
    let store = open(&files.database).await;
    let points = StopAt::new(Arc::new(store), move |point, moment, nth| {
        if stop == Some((point, moment, nth)) {
            die();
        }
    });
    let worker = format!("p{}", getpid().as_raw_nonzero());
    let life = Life::new(Scenario::named(&scenario), Arc::new(points), files.ledger, &worker, Duration::ZERO);
    let told = |event: &parkway_core::log::Event| {
        println!("\nacknowledged {}", String::from_utf8(event.to_bytes().unwrap()).unwrap());
    };
    life.live(told).await.unwrap();
}

fn die() {
    kill_process(getpid(), Signal::KILL).unwrap();
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

pub(crate) fn stop_named(name: &str) -> Stop {
    let [point, moment, nth] = name.split(',').collect::<Vec<_>>()[..] else { unreachable!("{name}") };
    let point = WritePoint::ALL.iter().find(|known| known.name() == point).unwrap();
    let moment = if moment == "before" { Moment::Before } else { Moment::After };
    (*point, moment, nth.parse().unwrap())
}

pub(crate) fn name_of((point, moment, nth): Stop) -> String {
    let moment = if moment == Moment::Before { "before" } else { "after" };
    format!("{},{moment},{nth}", point.name())
}

/// The files of one case.
pub(crate) struct Files {
    pub(crate) database: PathBuf,
    pub(crate) ledger: Ledger,
    words: PathBuf,
}

impl Files {
    pub(crate) fn at(folder: &Path) -> Self {
        Files {
            database: folder.join("runs.db"),
            ledger: Ledger::at(&folder.join("ledger")),
            words: folder.join("words"),
        }
    }
}

/// An empty database with the table of the transactional tools: it is copied for each case.
pub(crate) async fn template(folder: &Path) -> PathBuf {
    let path = folder.join("template.db");
    open(&path).await.close().await.unwrap();
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::query(TABLE).execute(&mut connection).await.unwrap();
    // What is in the write-ahead log would not be copied.
    connection.close().await.unwrap();
    path
}

/// How a process ended that was waited for.
struct Gone {
    status: ExitStatus,
    acknowledged: Vec<String>,
}

/// Starts a process, and waits until it has ended; kills it from outside after `within`, if that is given.
fn start(scenario: Scenario, folder: &Path, stop: Option<Stop>, within: Option<Duration>) -> Gone {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", PLAYER, "--nocapture"]).env(SCENARIO, scenario.to_string()).env(FOLDER, folder);
    if let Some(stop) = stop {
        command.env(STOP, name_of(stop));
    }
    let words = File::options().create(true).append(true).open(Files::at(folder).words).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(words).spawn().unwrap();
    let pipe = BufReader::new(child.stdout.take().unwrap());
    let reading = std::thread::spawn(move || {
        let mut acknowledged = Vec::new();
        for line in pipe.split(b'\n') {
            // A line that was cut by the kill is no word: its JSON does not end.
            let line = String::from_utf8(line.unwrap()).unwrap();
            if let Some(event) = line.strip_prefix("acknowledged ")
                && serde_json::from_str::<serde_json::Value>(event).is_ok()
            {
                acknowledged.push(event.to_owned());
            }
        }
        acknowledged
    });
    if let Some(within) = within {
        std::thread::sleep(within);
        // One that has ended by itself is not waited for yet, and so its number is nobody else's.
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    }
    let status = child.wait().unwrap();
    Gone { status, acknowledged: reading.join().unwrap() }
}

/// What an undisturbed process did: how its run ended, how often it came to each point, and how long it took.
pub(crate) struct Undisturbed {
    ending: Ending,
    violations: Vec<String>,
    pub(crate) passed: HashMap<(WritePoint, Moment), u32>,
    took: Duration,
}

pub(crate) async fn undisturbed(scenario: Scenario, template: &Path) -> Undisturbed {
    let folder = crate::kept::folder().unwrap();
    undisturbed_in(folder.path(), scenario, template).await
}

pub(crate) async fn undisturbed_in(folder: &Path, scenario: Scenario, template: &Path) -> Undisturbed {
    let files = Files::at(folder);
    fs::copy(template, &files.database).unwrap();
    let passed = Arc::new(Mutex::new(HashMap::new()));
    let counting = passed.clone();
    let store = Arc::new(open(&files.database).await);
    let points = StopAt::new(store.clone(), move |point, moment, nth| {
        counting.lock().unwrap().insert((point, moment), nth);
    });
    let begun = Instant::now();
    let life = Life::new(scenario, Arc::new(points), files.ledger.clone(), "undisturbed", Duration::ZERO);
    life.live(|_| {}).await.unwrap_or_else(|e| panic!("{scenario}: {e}\n{}", scenario.files()[0].1));
    let took = begun.elapsed();
    store.close().await.unwrap();
    let found = examine(scenario, &files.database, &files.ledger, &[]).await;
    let passed = passed.lock().unwrap().clone();
    Undisturbed { ending: found.ending, violations: found.violations, passed, took }
}

/// One case: a scenario whose process is killed at its point, on one side of it; at any time where `side` is absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) scenario: Scenario,
    pub(crate) side: Option<Moment>,
}

/// What came of a case.
#[derive(Default)]
struct Came {
    kills: u64,
    processes: u64,
    /// Events whose acknowledgement was heard before the last kill.
    acknowledged: u64,
    violations: Vec<String>,
}

fn run_case(case: Case, template: &Path, calm: &Undisturbed) -> Came {
    let times = case.side.and_then(|side| calm.passed.get(&(case.scenario.point, side)).copied());
    let mut times = times.unwrap_or_default();
    loop {
        let came = try_case(case, template, calm, times);
        // How many writes share one commit is a matter of time, so a process may not come to a point as often as the undisturbed one.
        if came.kills > 0 || !came.violations.is_empty() || times <= 1 {
            return came;
        }
        times /= 2;
    }
}

/// A case whose first process is killed at one of the first `times` passes of its point, if it comes there so often.
fn try_case(case: Case, template: &Path, calm: &Undisturbed, times: u32) -> Came {
    let Case { scenario, side } = case;
    let folder = crate::kept::folder().unwrap();
    let files = Files::at(folder.path());
    fs::copy(template, &files.database).unwrap();
    let mut came = Came { violations: calm.violations.clone(), ..Came::default() };
    let mut dice = Dice::new(scenario.seed * 2 + side.map_or(7, |side| side as u64));
    let mut acknowledged = Vec::new();
    // The first process is killed for sure, the second one in half of the cases, if it comes there once more.
    let kills = 1 + scenario.seed % 2;
    for life in 0..40 {
        let mut stop = None;
        let mut within = None;
        if life < kills {
            match side {
                Some(side) => {
                    let times = if life == 0 { times } else { times.min(2) };
                    stop = (times > 0).then(|| (scenario.point, side, 1 + dice.roll(u64::from(times)) as u32));
                }
                None => {
                    // A process takes some time to begin and to end, beside what the run takes.
                    let span = calm.took * 2 + Duration::from_millis(20);
                    within = Some(Duration::from_micros(dice.roll(span.as_micros() as u64)));
                }
            }
        }
        let gone = start(scenario, folder.path(), stop, within);
        came.processes += 1;
        acknowledged.extend(gone.acknowledged);
        if gone.status.success() {
            came.violations.extend(look(scenario, folder, &files, &acknowledged, calm));
            return came;
        }
        let killed = std::os::unix::process::ExitStatusExt::signal(&gone.status) == Some(9);
        if !killed || (stop.is_none() && within.is_none()) {
            let words = fs::read_to_string(&files.words).unwrap_or_default();
            came.violations.push(format!("the process ended with {}: {words}", gone.status));
            return came;
        }
        came.kills += 1;
        came.acknowledged = acknowledged.len() as u64;
    }
    came.violations.push("the run does not end".into());
    came
}

fn look(
    scenario: Scenario,
    folder: TempDir,
    files: &Files,
    acknowledged: &[String],
    calm: &Undisturbed,
) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(examine(scenario, &files.database, &files.ledger, acknowledged));
    let mut violations = compare(calm, found);
    if !violations.is_empty() && std::env::var_os("PARKWAY_KILL_KEEP").is_some() {
        violations.push(format!("the files are kept in {}", folder.keep().display()));
    }
    violations
}

/// What is wrong with what was found, also compared with the undisturbed run.
pub(crate) fn compare(calm: &Undisturbed, found: Found) -> Vec<String> {
    let mut violations = found.violations;
    for (what, was) in &calm.ending {
        let is = found.ending.get(what);
        if is != Some(was) {
            violations.push(format!("{what} ends as {is:?}, and undisturbed as {was}"));
        }
    }
    let new = found.ending.keys().filter(|what| !calm.ending.contains_key(*what));
    violations.extend(new.map(|what| format!("{what} exists, and does not where nobody is disturbed")));
    violations
}

/// Kills and violations of each row and column.
pub(crate) struct Table {
    cells: BTreeMap<(Option<usize>, Class), (u64, u64)>,
    /// Points and sides at which no process was killed.
    pub(crate) unreached: Vec<String>,
    pub(crate) violations: Vec<String>,
    cases: usize,
    processes: u64,
    acknowledged: u64,
    took: Duration,
}

/// Runs the cases, several at once.
pub(crate) fn run(cases: &[Case]) -> Table {
    let begun = Instant::now();
    let folder = crate::kept::folder().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let template = runtime().block_on(template(folder.path()));
    let (next, processes, acknowledged) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let done = Mutex::new(Vec::new());
    // Cases that follow each other may share their undisturbed run.
    let groups: Vec<&[Case]> = cases.chunk_by(|a, b| a.scenario.to_string() == b.scenario.to_string()).collect();
    // A process mostly waits: for the disk, for times, for its own start.
    let threads = std::thread::available_parallelism().map_or(2, usize::from) * 3;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let calm = runtime().block_on(undisturbed(group[0].scenario, &template));
                    for case in *group {
                        let came = run_case(*case, &template, &calm);
                        processes.fetch_add(came.processes, Ordering::Relaxed);
                        acknowledged.fetch_add(came.acknowledged, Ordering::Relaxed);
                        done.lock().unwrap().push((*case, came.kills, came.violations));
                    }
                }
            });
        }
    });
    let mut table = Table {
        cells: BTreeMap::new(),
        unreached: Vec::new(),
        violations: Vec::new(),
        cases: cases.len(),
        processes: processes.into_inner(),
        acknowledged: acknowledged.into_inner(),
        took: Duration::ZERO,
    };
    let mut reached: BTreeMap<(WritePoint, Moment), u64> = BTreeMap::new();
    for (Case { scenario, side }, kills, violations) in done.into_inner().unwrap() {
        let row = side.map(|_| WritePoint::ALL.iter().position(|point| *point == scenario.point).unwrap());
        let cell = table.cells.entry((row, scenario.class)).or_default();
        cell.0 += kills;
        cell.1 += violations.len() as u64;
        if let Some(side) = side {
            *reached.entry((scenario.point, side)).or_default() += kills;
        }
        table.violations.extend(violations.iter().map(|what| format!("{scenario} {side:?}: {what}")));
    }
    let unreached = reached.iter().filter(|(_, kills)| **kills == 0);
    table.unreached = unreached.map(|((point, side), _)| format!("{point} {side:?}")).collect();
    table.took = begun.elapsed();
    table
}

impl Table {
    /// The table as it is printed: kills and violations.
    pub(crate) fn print(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, cells: Vec<String>| {
            let cells: String = cells.iter().fold(String::new(), |all, cell| format!("{all} {cell:>13}"));
            writeln!(text, "{name:<18}{cells}").unwrap();
        };
        line("kills/violations", Class::ALL.iter().map(|class| class.name().to_owned()).collect());
        let rows: Vec<_> = (0..WritePoint::ALL.len()).map(Some).chain([None]).collect();
        let mut sums: BTreeMap<Class, (u64, u64)> = BTreeMap::new();
        for row in rows {
            let cells = Class::ALL.map(|class| self.cells.get(&(row, class)).copied());
            if cells.iter().all(Option::is_none) {
                continue;
            }
            for (class, cell) in Class::ALL.into_iter().zip(cells) {
                let sum = sums.entry(class).or_default();
                let (kills, violations) = cell.unwrap_or_default();
                *sum = (sum.0 + kills, sum.1 + violations);
            }
            let said = |cell: Option<(u64, u64)>| cell.map_or_else(String::new, |(k, v)| format!("{k}/{v}"));
            let name = row.map_or("at any time", |row| WritePoint::ALL[row].name());
            line(name, cells.into_iter().map(said).collect());
        }
        line("all", Class::ALL.iter().map(|class| sums[class]).map(|(k, v)| format!("{k}/{v}")).collect());
        let Table { cases, processes, acknowledged, took, .. } = self;
        let seconds = took.as_secs_f64();
        writeln!(
            text,
            "{cases} cases, {processes} processes, {acknowledged} events acknowledged before the last kill of a case, \
             {seconds:.0} s"
        )
        .unwrap();
        text
    }
}
