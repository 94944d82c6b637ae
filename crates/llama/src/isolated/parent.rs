//! The thread that has the process of a model: it hands requests over and answers back, and starts the process again when it ended.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use parkway_core::model::{Capabilities, ChatRequest, DeltaSender, ModelError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::isolated::log::Levels;
use crate::isolated::process::{Heard, Process, Program};
use crate::isolated::wire::{LINE, Load, Loaded, PROTOCOL, Piece, Say, Tell};
use crate::{LlamaConfig, LoadError, Stats};

/// How long a program has to say that it is a process for models. Its libraries may be on a slow disk.
const HELLO: Duration = Duration::from_secs(10);
/// How often a process may end within some time; then it is not started again before the time is over.
const ENDS: usize = 3;
const WITHIN: Duration = Duration::from_secs(600);

/// What is to be loaded, and by which program.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) program: Program,
    pub(crate) config: LlamaConfig,
    pub(crate) name: String,
    pub(crate) vocabulary: bool,
}

/// What the process is asked for.
pub(crate) enum Job {
    Answer { request: Box<ChatRequest>, deltas: DeltaSender, permit: OwnedSemaphorePermit },
    Prefill(Box<ChatRequest>),
    Count(Box<ChatRequest>, blocking::SyncSender<Option<usize>>),
    Stats(blocking::SyncSender<Option<Stats>>),
}

pub(crate) type Progress = Box<dyn FnMut(f32) + Send>;

/// Starts the process, tells what was loaded, and serves until it is told to stop.
pub(crate) async fn run(
    setup: Setup,
    mut progress: Progress,
    loaded: blocking::SyncSender<Result<Loaded, LoadError>>,
    jobs: mpsc::Receiver<Job>,
    process_id: Arc<AtomicU32>,
    stop: oneshot::Receiver<()>,
) {
    let (process, known) = match load(&setup, &mut progress).await {
        Ok(open) => open,
        // Nobody waits any more if this fails.
        Err(error) => return drop(loaded.send(Err(error))),
    };
    drop(progress);
    let (capabilities, room) = (known.capabilities.clone(), known.room);
    let mut parent = Parent {
        setup,
        capabilities,
        room,
        running: None,
        process_id,
        ends: VecDeque::new(),
        last_end: String::new(),
        dropped: JoinSet::new(),
        last: 0,
    };
    parent.runs(process);
    if loaded.send(Ok(known)).is_err() {
        return;
    }
    tokio::select! {
        () = parent.serve(jobs) => {}
        _ = stop => {}
    }
    parent.process_id.store(0, Ordering::Relaxed);
    if let Some(running) = parent.running.take() {
        running.fail(&ModelError::Cancelled).await;
    }
}

/// Starts the process and waits until it has loaded.
async fn load(setup: &Setup, progress: &mut Progress) -> Result<(Process, Loaded), LoadError> {
    let failed = |cause: String| LoadError::Process { path: setup.config.path.clone(), cause };
    let mut process = Process::start(&setup.program, &setup.name).map_err(failed)?;
    greet(&mut process, &setup.program).await.map_err(failed)?;
    let (config, vocabulary) = (setup.config.clone(), setup.vocabulary);
    let load = Load { config, vocabulary, log: Levels::wanted() };
    process.say(0, &Say::Load(Box::new(load))).map_err(failed)?;
    loop {
        match process.hear().await {
            Heard::Told(_, Ok(Tell::Progress(done)), _) => progress(done),
            Heard::Told(_, Ok(Tell::Loaded(loaded)), _) => return Ok((process, *loaded)),
            Heard::Told(_, Ok(Tell::NotLoaded(error)), _) => return Err(error),
            Heard::Closed => {
                let ending = process.end().await;
                return Err(failed(format!("it {ending} while it loaded; {}", ending.way_out())));
            }
            other => return Err(failed(nonsense(&other))),
        }
    }
}

/// Waits until the program says that it is a process for models.
async fn greet(process: &mut Process, program: &Program) -> Result<(), String> {
    let way_out = "begin the program's `main` with `parkway_llama::serve_child()`, or name a `parkway` binary that was built with the feature `llama` by `IsolatedConfig::program`";
    let name = program.name();
    match timeout(HELLO, process.hear()).await {
        Ok(Heard::Told(_, Ok(Tell::Hello { protocol: PROTOCOL }), _)) => Ok(()),
        Ok(Heard::Told(_, Ok(Tell::Hello { protocol }), _)) => Err(format!(
            "`{name}` speaks version {protocol} of the protocol and this program version {PROTOCOL}; name one of this program's version"
        )),
        Ok(Heard::Closed) => {
            let ending = process.end().await;
            Err(format!("`{name}` is no program for models: it {ending}; {way_out}"))
        }
        Ok(other) => Err(format!("`{name}` is no program for models: {}; {way_out}", nonsense(&other))),
        Err(_) => Err(format!(
            "`{name}` is no program for models: it said nothing for {} seconds; {way_out}",
            HELLO.as_secs()
        )),
    }
}

fn nonsense(heard: &Heard) -> String {
    match heard {
        Heard::Nonsense(cause) | Heard::Told(_, Err(cause), _) => format!("it said what cannot be read ({cause})"),
        _ => "it said what nobody asked".into(),
    }
}

struct Parent {
    setup: Setup,
    /// What the model was when it was loaded first.
    capabilities: Capabilities,
    room: usize,
    running: Option<Running>,
    /// 0 while there is none.
    process_id: Arc<AtomicU32>,
    /// When the process ended, or could not be started, the oldest first.
    ends: VecDeque<Instant>,
    last_end: String,
    /// Wait for the streams of requests to be dropped.
    dropped: JoinSet<u64>,
    /// The last id. No process gets one that another one had, since a stream may be dropped as its process ends.
    last: u64,
}

/// A process that has loaded, and what it was asked.
struct Running {
    process: Process,
    last: u64,
    open: HashMap<u64, Open>,
    counts: HashMap<u64, blocking::SyncSender<Option<usize>>>,
    stats: HashMap<u64, blocking::SyncSender<Option<Stats>>>,
}

/// A request under way. Its permit is given back when the process has done with it.
struct Open {
    deltas: DeltaSender,
    _permit: OwnedSemaphorePermit,
    /// What an answer may still have, in pieces and in bytes of lines.
    pieces: usize,
    bytes: usize,
    /// Waits for the stream to be dropped.
    watch: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Parent {
    async fn serve(&mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => self.take(job).await,
                    None => return,
                },
                heard = hear(self.running.as_mut()) => self.heard(heard).await,
                Some(dropped) = self.dropped.join_next() => {
                    if let (Ok(id), Some(running)) = (dropped, &self.running) && running.open.contains_key(&id) {
                        // It always can be said, and there is room for it.
                        let _ = running.process.say(id, &Say::Drop);
                    }
                }
            }
        }
    }

    fn runs(&mut self, process: Process) {
        self.process_id.store(process.id(), Ordering::Relaxed);
        let (open, counts, stats) = (HashMap::new(), HashMap::new(), HashMap::new());
        self.running = Some(Running { process, last: self.last, open, counts, stats });
    }

    async fn take(&mut self, job: Job) {
        let (request, deltas, permit) = match job {
            Job::Answer { request, deltas, permit } => (request, deltas, permit),
            other => return self.running.as_mut().map_or((), |running| running.aside(other)),
        };
        if deltas.is_closed() {
            return;
        }
        let asked = match self.up().await {
            Ok(running) => running.ask(request),
            Err(error) => Err(error),
        };
        match asked {
            Ok(id) => {
                let watched = deltas.clone();
                let watch = self.dropped.spawn(async move {
                    watched.closed().await;
                    id
                });
                let open = Open { deltas, _permit: permit, pieces: self.room, bytes: LINE, watch };
                if let Some(running) = &mut self.running {
                    running.open.insert(id, open);
                }
            }
            Err(error) => drop(deltas.send(Err(error)).await),
        }
    }

    /// The process, which is started if there is none.
    async fn up(&mut self) -> Result<&mut Running, ModelError> {
        if self.running.is_none() {
            self.restart().await.map_err(|(message, retryable)| ModelError::Backend { message, retryable })?;
        }
        let gone = || ModelError::Backend { message: "its process is gone".into(), retryable: true };
        self.running.as_mut().ok_or_else(gone)
    }

    async fn restart(&mut self) -> Result<(), (String, bool)> {
        let name = &self.setup.name;
        self.ends.retain(|at| at.elapsed() < WITHIN);
        if self.ends.len() >= ENDS {
            let wait = self.ends.front().map_or(WITHIN, |at| WITHIN.saturating_sub(at.elapsed())).as_secs() / 60 + 1;
            return Err((
                format!(
                    "the process of model `{name}` ended {ENDS} times within {} minutes, the last time it {}; it is started again in {wait} minutes at the earliest",
                    WITHIN.as_secs() / 60,
                    self.last_end
                ),
                false,
            ));
        }
        tracing::warn!(model = name, "the process of the model is started again");
        let (process, loaded) = match load(&self.setup, &mut (Box::new(|_| ()) as Progress)).await {
            Ok(open) => open,
            Err(error) => {
                self.ended(format!("did not start: {error}"));
                return Err((error.to_string(), false));
            }
        };
        if loaded.capabilities != self.capabilities {
            let message = format!(
                "the process of model `{name}` was started again and is not what it was: its file or its device changed meanwhile; start the program again"
            );
            self.ended(format!("was not the same: {message}"));
            return Err((message, false));
        }
        self.runs(process);
        Ok(())
    }

    fn ended(&mut self, how: String) {
        self.ends.push_back(Instant::now());
        self.last_end = how;
    }

    async fn heard(&mut self, heard: Heard) {
        let Some(running) = &mut self.running else { return };
        let wrong = match heard {
            Heard::Told(id, Ok(tell), bytes) => running.told(id, tell, bytes).await,
            Heard::Closed => Err(String::new()),
            other => Err(nonsense(&other)),
        };
        if let Err(wrong) = wrong {
            self.fall(wrong).await;
        }
    }

    /// Ends the process, if it has not ended, and every request that it was asked, with words.
    async fn fall(&mut self, wrong: String) {
        self.process_id.store(0, Ordering::Relaxed);
        let Some(mut running) = self.running.take() else { return };
        self.last = running.last;
        let ending = running.process.end().await;
        let how = if wrong.is_empty() { ending.to_string() } else { format!("was ended, since {wrong}") };
        let message = format!(
            "the process of model `{}` {how}; {}. The next request starts it again",
            self.setup.name,
            if wrong.is_empty() { ending.way_out() } else { "name a program of this program's version" }
        );
        tracing::error!(model = self.setup.name, requests = running.open.len(), "{message}");
        self.ended(how);
        running.fail(&ModelError::Backend { message, retryable: true }).await;
    }
}

async fn hear(running: Option<&mut Running>) -> Heard {
    match running {
        Some(running) => running.process.hear().await,
        None => std::future::pending().await,
    }
}

impl Running {
    fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Hands a request over, and gives its id.
    fn ask(&mut self, request: Box<ChatRequest>) -> Result<u64, ModelError> {
        let id = self.id();
        match self.process.say(id, &Say::Ask(request)) {
            Ok(true) => Ok(id),
            Ok(false) => Err(ModelError::Busy {
                message: "its process does not read what it is asked".into(),
                retry_after: None,
            }),
            Err(cause) => Err(ModelError::Unsupported(cause)),
        }
    }

    /// What is left out where it cannot be done at once.
    fn aside(&mut self, job: Job) {
        let id = self.id();
        let say = match &job {
            Job::Prefill(request) => Say::Prefill(request.clone()),
            Job::Count(request, _) => Say::Count(request.clone()),
            Job::Stats(_) => Say::Stats,
            Job::Answer { .. } => return,
        };
        if self.process.say(id, &say) != Ok(true) {
            return;
        }
        match job {
            Job::Count(_, reply) => drop(self.counts.insert(id, reply)),
            Job::Stats(reply) => drop(self.stats.insert(id, reply)),
            Job::Prefill(_) | Job::Answer { .. } => {}
        }
    }

    /// Takes in what the process tells; an error where it tells what it must not.
    async fn told(&mut self, id: u64, tell: Tell, bytes: usize) -> Result<(), String> {
        match tell {
            Tell::Piece(piece) => return self.piece(id, piece, bytes).await,
            // Also where one that is not open was refused: it was counted, or the model was asked to read ahead.
            Tell::Failed(failure) => {
                self.counts.remove(&id);
                if let Some(open) = self.open.remove(&id) {
                    open.deltas.send(Err(failure.into())).await;
                }
            }
            // Who asked may have waited long enough.
            Tell::Count(count) => drop(self.counts.remove(&id).map(|reply| reply.try_send(count))),
            Tell::Stats(stats) => {
                if let Some(reply) = self.stats.remove(&id) {
                    // Nobody may wait any more.
                    let _ = reply.try_send(stats.map(|stats| *stats));
                }
            }
            Tell::Hello { .. } | Tell::Progress(_) | Tell::Loaded(_) | Tell::NotLoaded(_) | Tell::Log(_) => {
                return Err("it said what nobody asked".into());
            }
        }
        Ok(())
    }

    async fn piece(&mut self, id: u64, piece: Piece, bytes: usize) -> Result<(), String> {
        let Some(open) = self.open.get_mut(&id) else { return Err("it answered what nobody asked".into()) };
        // Within what the stream holds, so that no reader is waited for.
        if open.pieces == 0 || open.bytes < bytes {
            return Err("it answered more than an answer can be".into());
        }
        (open.pieces, open.bytes) = (open.pieces - 1, open.bytes - bytes);
        let is_last = matches!(piece, Piece::Done(_));
        open.deltas.send(Ok(piece.into())).await;
        if is_last {
            self.open.remove(&id);
        }
        Ok(())
    }

    async fn fail(mut self, error: &ModelError) {
        for (_, open) in self.open.drain() {
            // There is room for the end of a stream, if the process kept to what an answer can be.
            let _ = timeout(Duration::from_millis(100), open.deltas.send(Err(error.clone()))).await;
        }
    }
}
