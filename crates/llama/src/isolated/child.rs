//! The other end: the process of a model, which loads it and answers what it is asked, until its stdin ends.

use std::collections::HashMap;
use std::io::{self, BufReader, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use parkway_core::model::{ChatRequest, Model, ModelError, SharedModel};
use tokio::sync::{mpsc, oneshot};

use crate::isolated::lines;
use crate::isolated::log::Forward;
use crate::isolated::process::ENV;
use crate::isolated::wire::{self, Failure, LINE, Load, Loaded, PROTOCOL, Piece, Say, Tell};
use crate::{Llama, LlamaConfig, LoadError};

/// Whether the program began with [`serve_child`].
static BEGAN: AtomicBool = AtomicBool::new(false);

/// Lets this program be the process of a model: to be called at the very beginning of `main`. It returns at once, unless the program
/// was started by [`IsolatedConfig::load`](crate::IsolatedConfig::load) to be one; then it answers, and ends the process. An async
/// `main` may call it, too.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     parkway_llama::serve_child();
///     // What the program does.
///     ExitCode::SUCCESS
/// }
/// ```
pub fn serve_child() {
    BEGAN.store(true, Ordering::Relaxed);
    // Whoever sets the variable by hand is no program that speaks.
    if is_child() && !io::stdin().is_terminal() {
        serve();
    }
}

/// Whether this program can be started again as the process of a model.
pub(crate) fn can_serve() -> bool {
    BEGAN.load(Ordering::Relaxed)
}

/// Whether this program was started as the process of a model.
pub(crate) fn is_child() -> bool {
    std::env::var_os(ENV).is_some()
}

fn serve() -> ! {
    prefer_to_die();
    let out = Arc::new(Out::new());
    out.tell(0, &Tell::Hello { protocol: PROTOCOL });
    let (said, hears) = mpsc::channel(64);
    let reading = thread::Builder::new().name("parkway-model-in".into()).spawn(move || read(&said));
    let own = Arc::clone(&out);
    let answer = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(answer_all(hears, &own));
        Ok(())
    };
    // In an async `main` there is a runtime on this thread already, and no second one may begin here.
    let answering = reading.and_then(|_| thread::Builder::new().name("parkway-model-out".into()).spawn(answer));
    if let Err(error) = answering.and_then(|thread| thread.join().unwrap_or(Ok(()))) {
        let path = "".into();
        out.tell(0, &Tell::NotLoaded(LoadError::Process { path, cause: error.to_string() }));
    }
    end()
}

/// Ends this process at once, whatever its threads do: nobody listens any more, and destructors of native code that still computes may
/// do anything.
fn end() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::exit(0)
}

/// Where memory runs out, Linux ends this process rather than the program that runs workflows.
fn prefer_to_die() {
    if cfg!(target_os = "linux") {
        // Not allowed, or no /proc: then it is chosen by its size.
        let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    }
}

/// Hands on what the program says, and ends with it.
fn read(said: &mpsc::Sender<(u64, Result<Say, String>)>) {
    let mut from = BufReader::new(io::stdin().lock());
    while let Ok(Some(line)) = lines::read(&mut from, LINE) {
        // A line that is none is from no program of ours.
        let Ok(line) = wire::parse(&line) else { break };
        if said.blocking_send(line).is_err() {
            break;
        }
    }
    end()
}

async fn answer_all(mut hears: mpsc::Receiver<(u64, Result<Say, String>)>, out: &Arc<Out>) {
    let Some((_, Ok(Say::Load(load)))) = hears.recv().await else { return };
    let Load { config, vocabulary, log } = *load;
    // A program that set its own before it called us logs there.
    let _ = tracing::subscriber::set_global_default(Forward { out: Arc::clone(out), levels: log });
    let Some(loaded) = open(config, vocabulary, out).await else { return };
    let mut open: HashMap<u64, oneshot::Sender<()>> = HashMap::new();
    while let Some((id, said)) = hears.recv().await {
        match said {
            Ok(Say::Ask(request)) => {
                let (cancel, cancelled) = oneshot::channel();
                open.retain(|_, cancel| !cancel.is_closed());
                open.insert(id, cancel);
                tokio::spawn(answer(Arc::clone(&loaded.model), id, *request, cancelled, Arc::clone(out)));
            }
            // Its stream is dropped, and with it what was computed for it.
            Ok(Say::Drop) => drop(open.remove(&id)),
            Ok(Say::Prefill(request)) => loaded.model.prefill(&request),
            Ok(Say::Count(request)) => {
                let (model, out) = (Arc::clone(&loaded.model), Arc::clone(out));
                tokio::task::spawn_blocking(move || out.tell(id, &Tell::Count(model.count_tokens(&request))));
            }
            Ok(Say::Stats) => {
                out.tell(id, &Tell::Stats(loaded.llama.as_ref().map(|llama| Box::new(llama.stats()))));
            }
            Ok(Say::Load(_)) => return,
            Err(cause) => out.tell(id, &Tell::Failed(Failure::Unsupported(cause))),
        }
    }
}

/// What is loaded.
struct Open {
    model: SharedModel,
    /// The same, where it is more than a vocabulary.
    llama: Option<Llama>,
}

/// Loads what is wanted and tells of it; `None` where that failed.
async fn open(config: LlamaConfig, vocabulary: bool, out: &Arc<Out>) -> Option<Open> {
    let path = config.path.clone();
    let progress = {
        let (out, mut last) = (Arc::clone(out), 0.0);
        move |done: f32| {
            if done >= last + 0.01 || done >= 1.0 {
                last = done;
                out.tell(0, &Tell::Progress(done));
            }
        }
    };
    let load = move || match vocabulary {
        true => config.load_vocabulary().map(|model| (1, Open { model: Arc::new(model), llama: None })),
        false => config
            .load(progress)
            .map(|llama| (llama.room(), Open { model: Arc::new(llama.clone()), llama: Some(llama) })),
    };
    let result = tokio::task::spawn_blocking(load).await;
    match result.unwrap_or_else(|cause| Err(LoadError::Backend { path, cause: cause.to_string() })) {
        Ok((room, open)) => {
            let capabilities = open.model.capabilities().clone();
            out.tell(0, &Tell::Loaded(Box::new(Loaded { capabilities, room })));
            Some(open)
        }
        Err(error) => {
            out.tell(0, &Tell::NotLoaded(error));
            None
        }
    }
}

/// Answers a request, unless it is cancelled before.
async fn answer(model: SharedModel, id: u64, request: ChatRequest, cancelled: oneshot::Receiver<()>, out: Arc<Out>) {
    let result = tokio::select! {
        result = stream(&*model, id, request, &out) => result,
        _ = cancelled => Err(ModelError::Cancelled),
    };
    if let Err(error) = result {
        out.tell(id, &Tell::Failed(error.into()));
    }
}

async fn stream(model: &dyn Model, id: u64, request: ChatRequest, out: &Out) -> Result<(), ModelError> {
    let mut deltas = model.stream(request).await?;
    while let Some(delta) = deltas.next().await {
        let piece = Piece::try_from(delta?)?;
        let is_last = matches!(piece, Piece::Done(_));
        out.tell(id, &Tell::Piece(piece));
        if is_last {
            return Ok(());
        }
    }
    Err(ModelError::Backend { message: "the stream ended before the answer was whole".into(), retryable: true })
}

/// The way to the program. Who tells waits while the program does not read.
pub(crate) struct Out {
    to: Mutex<Box<dyn Write + Send>>,
}

impl Out {
    /// What was stdout; what native code may print there goes to stderr.
    fn new() -> Self {
        Out { to: Mutex::new(taken_stdout().unwrap_or_else(|_| Box::new(io::stdout()))) }
    }

    pub(crate) fn tell(&self, id: u64, tell: &Tell) {
        let line = wire::line(id, tell).or_else(|cause| {
            wire::line(
                id,
                &Tell::Failed(Failure::Unsupported(format!("an answer that cannot be handed over ({cause})"))),
            )
        });
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        if line.is_ok_and(|line| to.write_all(line.as_bytes()).and_then(|()| to.flush()).is_err()) {
            end();
        }
    }
}

#[cfg(unix)]
fn taken_stdout() -> io::Result<Box<dyn Write + Send>> {
    use std::os::fd::AsFd;

    let own = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(Box::new(std::fs::File::from(own)))
}

#[cfg(not(unix))]
fn taken_stdout() -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(io::stdout()))
}
