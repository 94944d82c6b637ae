//! The thread that alone touches a model's context, and the mailbox that requests reach it by.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc as blocking};
use std::thread::{self, JoinHandle};

use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use parkway_core::model::{ChatEnd, ChatRequest, Delta, DeltaSender, ModelError};
use tokio::sync::mpsc;

use crate::LoadError;
use crate::answer::{self, Task};
use crate::cache::Cache;
use crate::constraint::{self, Grammars};
use crate::sampler::Sampler;
use crate::template::ChatTemplate;
use crate::tokenizer::Tokenizer;

/// Requests that may wait for the thread.
const MAILBOX: usize = 64;

/// What any thread may use of a loaded model; the tokenizer is the one part of it that the weights are needed for.
pub(crate) struct Prompter {
    pub(crate) name: String,
    pub(crate) context_length: u32,
    pub(crate) template: ChatTemplate,
    pub(crate) tokenizer: Arc<Tokenizer>,
}

impl Prompter {
    /// The tokens of a request's prompt.
    pub(crate) fn prompt(&self, request: &ChatRequest) -> Result<Vec<u32>, ModelError> {
        let pieces = self.template.render(&request.messages).map_err(ModelError::Unsupported)?;
        Ok(self.tokenizer.prompt(&pieces, request.assistant_prefix.as_deref()))
    }
}

/// What the thread alone uses.
pub(crate) struct Engine {
    pub(crate) path: PathBuf,
    pub(crate) backend: &'static LlamaBackend,
    pub(crate) model: Arc<LlamaModel>,
    pub(crate) grammars: Grammars,
    pub(crate) params: LlamaContextParams,
    /// Tokens that are computed at a time.
    pub(crate) chunk: usize,
}

/// A request, and where its answer goes.
pub(crate) struct Job {
    pub(crate) request: ChatRequest,
    pub(crate) deltas: DeltaSender,
}

/// The thread of one model. Dropping it cancels what the thread does and waits for it to end: for one chunk at most.
#[derive(Debug)]
pub(crate) struct Worker {
    mailbox: Option<mpsc::Sender<Job>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread and waits until its context is made.
    pub(crate) fn start(engine: Engine, prompter: Arc<Prompter>) -> Result<Self, LoadError> {
        let (mailbox, jobs) = mpsc::channel(MAILBOX);
        // Not tokio's: its blocking calls panic inside a runtime.
        let (ready, is_ready) = blocking::sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let path = engine.path.clone();
        let broken = |cause: String| LoadError::Backend { path: path.clone(), cause };
        let thread = thread::Builder::new()
            .name("parkway-llama".into())
            .stack_size(constraint::STACK)
            .spawn({
                let stop = Arc::clone(&stop);
                move || run(&engine, &prompter, ready, jobs, &stop)
            })
            .map_err(|error| broken(error.to_string()))?;
        // The thread answers before it does anything else, or it is gone.
        is_ready.recv().unwrap_or_else(|_| Err(broken("its thread ended".into())))?;
        Ok(Worker { mailbox: Some(mailbox), stop, thread: Some(thread) })
    }

    /// Hands a job over, waiting while the mailbox is full.
    pub(crate) async fn post(&self, job: Job) -> Result<(), ModelError> {
        let gone = || ModelError::Backend { message: "the model's thread has ended".into(), retryable: false };
        self.mailbox.as_ref().ok_or_else(gone)?.send(job).await.map_err(|_| gone())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.mailbox = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a model's thread panicked");
        }
    }
}

fn run(
    engine: &Engine,
    prompter: &Prompter,
    ready: blocking::SyncSender<Result<(), LoadError>>,
    mut jobs: mpsc::Receiver<Job>,
    stop: &AtomicBool,
) {
    let context_length = prompter.context_length;
    let Ok(context) = engine.model.new_context(engine.backend, engine.params.clone()) else {
        // Nobody waits any more if this fails.
        let _ = ready.send(Err(LoadError::Context { path: engine.path.clone(), context_length }));
        return;
    };
    let mut cache = Cache::new(context, context_length as usize, engine.chunk);
    if ready.send(Ok(())).is_err() {
        return;
    }
    while let Some(job) = jobs.blocking_recv() {
        let _span = tracing::debug_span!("llama.chat", model = prompter.name).entered();
        let start = std::time::Instant::now();
        let result = serve(&job, engine, prompter, &mut cache, stop);
        cache.trim();
        match &result {
            Ok(end) => tracing::debug!(usage = ?end.usage, elapsed = ?start.elapsed(), "answered"),
            Err(error) => tracing::debug!(%error, elapsed = ?start.elapsed(), "not answered"),
        }
        job.deltas.blocking_send(result.map(Delta::Done));
    }
}

fn serve(
    job: &Job,
    engine: &Engine,
    prompter: &Prompter,
    cache: &mut Cache<'_>,
    stop: &AtomicBool,
) -> Result<ChatEnd, ModelError> {
    let Job { request, deltas } = job;
    if deltas.is_closed() || stop.load(Ordering::Relaxed) {
        return Err(ModelError::Cancelled);
    }
    if !(request.temperature.is_finite() && request.temperature >= 0.0) {
        return Err(ModelError::Unsupported(format!("a temperature of {}", request.temperature)));
    }
    let prompt = prompter.prompt(request)?;
    if prompt.is_empty() {
        return Err(ModelError::Unsupported("the prompt is empty".into()));
    }
    let max_tokens = request.max_tokens as usize;
    if prompt.len() + max_tokens > prompter.context_length as usize {
        return Err(ModelError::PromptTooLong {
            model: prompter.name.clone(),
            prompt_tokens: u32::try_from(prompt.len()).unwrap_or(u32::MAX),
            max_tokens: request.max_tokens,
            context_length: prompter.context_length,
        });
    }
    let guide = request.constraint.as_ref().map(|constraint| engine.grammars.compile(constraint)).transpose()?;
    let sampler = Sampler::new(request.temperature, request.seed);
    answer::decode(Task { prompt, guide, sampler, max_tokens, deltas, stop }, &prompter.tokenizer, cache)
}
