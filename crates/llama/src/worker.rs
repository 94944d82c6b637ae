//! The threads of a model and the mailboxes between them: one prepares requests, the other alone touches the context.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc as blocking};
use std::thread::{self, JoinHandle};

use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use parkway_core::model::{ChatRequest, DeltaSender, Hints, ModelError, Thoughts};
use tokio::sync::mpsc;

use crate::LoadError;
use crate::adapter::{Adapter, Adapters};
use crate::answer::{Answer, Wanted};
use crate::batch::{self, Batch};
use crate::cache::{self, Cache};
use crate::calls::Calls;
use crate::constraint::{self, Grammars};
use crate::form::{Form, Thinking};
use crate::logprobs::Logprobs;
use crate::sampler::Sampler;
use crate::scheduler::Scheduler;
use crate::solo;
use crate::speech::Speech;
use crate::stats::Counters;
use crate::template::{ChatTemplate, Rendered, thinks};
use crate::tokenizer::Tokenizer;
use crate::tree::Group;
use crate::turns::Cores;

/// Requests that may wait for each of the threads.
const MAILBOX: usize = 256;

/// What any thread may use of a loaded model; the tokenizer is the one part of it that the weights are needed for.
pub(crate) struct Prompter {
    pub(crate) name: String,
    pub(crate) context_length: u32,
    pub(crate) template: ChatTemplate,
    pub(crate) tokenizer: Arc<Tokenizer>,
    /// The names of the adapters, by their numbers.
    pub(crate) adapters: Vec<String>,
    pub(crate) counters: Arc<Counters>,
}

/// The prompt of a request.
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<u32>,
    /// What of the answer may be a thought.
    thinking: Thinking,
}

impl Prompter {
    /// The number of the adapter that a request asks for.
    pub(crate) fn adapter(&self, request: &ChatRequest) -> Result<Adapter, ModelError> {
        let Some(wanted) = &request.adapter else { return Ok(None) };
        let unknown = || match self.adapters.as_slice() {
            [] => ModelError::Unsupported(format!("it has no adapter `{wanted}`, nor any other")),
            known => ModelError::Unsupported(format!("it has no adapter `{wanted}`; it has {}", known.join(", "))),
        };
        self.adapters.iter().position(|name| name == wanted).map(Some).ok_or_else(unknown)
    }

    /// The prompt of a request.
    pub(crate) fn prompt(&self, request: &ChatRequest) -> Result<Prompt, ModelError> {
        let Rendered { pieces, is_thinking } = self.template.render(request).map_err(ModelError::Unsupported)?;
        let thinking = match is_thinking {
            true => Thinking::Within,
            false if self.template.thinks() && thinks(request) => Thinking::May,
            false => Thinking::None,
        };
        Ok(Prompt { tokens: self.tokenizer.prompt(&pieces, request.assistant_prefix.as_deref()), thinking })
    }

    /// How the answer to a request is told apart.
    fn speech(&self, request: &ChatRequest, thinking: Thinking) -> Speech {
        let form = self.template.form().filter(|_| !request.tools.is_empty());
        let thoughts = (thinking != Thinking::None).then(|| Thoughts::new(thinking == Thinking::Within));
        let of_thoughts = [Thoughts::OPEN, Thoughts::CLOSE].into_iter().filter(|_| thoughts.is_some());
        let markers = of_thoughts.chain(form.map(Form::markers).unwrap_or_default().iter().copied());
        let markers = markers.filter_map(|text| Some((self.tokenizer.control(text)?, text))).collect();
        Speech::new(thoughts, form.map(Calls::new), markers)
    }
}

/// How a model computes.
pub(crate) struct Engine {
    pub(crate) path: PathBuf,
    pub(crate) backend: &'static LlamaBackend,
    pub(crate) model: Arc<LlamaModel>,
    pub(crate) adapters: Adapters,
    pub(crate) params: LlamaContextParams,
    pub(crate) way: Way,
    pub(crate) cores: Cores,
}

/// Whether requests are computed together.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// One after the other, in chunks of so many tokens; `goes_on` where a conversation may go on from its exact end.
    Solo { chunk: usize, goes_on: bool },
    /// Together, in batches.
    Together { size: batch::Size, cold_bytes: usize },
}

/// What a model is asked for.
pub(crate) enum Job {
    /// An answer to a request, and where it goes.
    Answer { request: ChatRequest, deltas: DeltaSender },
    /// To read how a prompt begins that will come.
    Prefill(ChatRequest),
}

/// What the model can begin with.
pub(crate) enum Ready {
    Answer(Box<Request>),
    /// Tokens to be read while there is nothing else to do, with an adapter.
    Prefill(Adapter, Vec<u32>),
}

/// A request with its prompt.
pub(crate) struct Request {
    pub(crate) prompt: Vec<u32>,
    pub(crate) adapter: Adapter,
    pub(crate) answer: Answer,
    pub(crate) hints: Hints,
    /// Which others begin like it.
    pub(crate) group: Option<Group>,
}

/// The threads of one model. Dropping it cancels what they do and waits for them to end: for one step at most.
#[derive(Debug)]
pub(crate) struct Worker {
    mailbox: Option<mpsc::Sender<Job>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Worker {
    /// Starts the threads and waits until the context is made.
    pub(crate) fn start(engine: Engine, prompter: Arc<Prompter>, grammars: Grammars) -> Result<Self, LoadError> {
        let (mailbox, jobs) = mpsc::channel(MAILBOX);
        let (prepared, ready) = mpsc::channel(MAILBOX);
        // Not tokio's: its blocking calls panic inside a runtime.
        let (made, is_made) = blocking::sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let path = engine.path.clone();
        let broken = |cause: String| LoadError::Backend { path: path.clone(), cause };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.into()).stack_size(constraint::STACK);
            thread.spawn(work).map_err(|error| broken(error.to_string()))
        };
        let (context_length, counters) = (prompter.context_length, Arc::clone(&prompter.counters));
        let (stopped, is_stopped) = (Arc::clone(&stop), Arc::clone(&stop));
        let model =
            spawn("parkway-llama", Box::new(move || run(engine, context_length, counters, made, ready, &stopped)))?;
        // The thread answers before it does anything else, or it is gone.
        is_made.recv().unwrap_or_else(|_| Err(broken("its thread ended".into())))?;
        let preparing = move || prepare(&prompter, &grammars, jobs, &prepared, &is_stopped);
        let preparing = spawn("parkway-prompts", Box::new(preparing))?;
        Ok(Worker { mailbox: Some(mailbox), stop, threads: vec![preparing, model] })
    }

    /// Hands a job over if there is room for it.
    pub(crate) fn offer(&self, job: Job) {
        if let Some(mailbox) = &self.mailbox {
            // Full, or gone: then it is not done.
            let _ = mailbox.try_send(job);
        }
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
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a model's thread panicked");
            }
        }
    }
}

fn run(
    mut engine: Engine,
    context_length: u32,
    counters: Arc<Counters>,
    made: blocking::SyncSender<Result<(), LoadError>>,
    mut ready: mpsc::Receiver<Ready>,
    stop: &AtomicBool,
) {
    let adapters = std::mem::take(&mut engine.adapters);
    let Ok(context) = engine.model.new_context(engine.backend, engine.params.clone()) else {
        // Nobody waits any more if this fails.
        let _ = made.send(Err(LoadError::Context { path: engine.path.clone(), context_length }));
        return;
    };
    if made.send(Ok(())).is_err() {
        return;
    }
    match engine.way {
        Way::Solo { chunk, goes_on } => {
            let size = cache::Size { capacity: context_length as usize, chunk, goes_on };
            let mut cache = Cache::new(context, adapters, engine.cores, size, counters);
            while let Some(ready) = ready.blocking_recv() {
                // One alone keeps the beginning that it read last, so that reading ahead would cost what is kept.
                if let Ready::Answer(request) = ready {
                    solo::serve(*request, &mut cache, stop);
                }
            }
        }
        Way::Together { size, cold_bytes } => {
            Scheduler::new(Batch::new(context, adapters, engine.cores, size), cold_bytes, counters).run(ready, stop);
        }
    }
}

/// Makes requests ready until no more come. What cannot be is told so.
fn prepare(
    prompter: &Prompter,
    grammars: &Grammars,
    mut jobs: mpsc::Receiver<Job>,
    prepared: &mpsc::Sender<Ready>,
    stop: &AtomicBool,
) {
    while let Some(job) = jobs.blocking_recv() {
        let (request, deltas) = match job {
            Job::Answer { request, deltas } => (request, deltas),
            Job::Prefill(request) => {
                // What cannot be rendered is told when it is asked for.
                if let (Ok(adapter), Ok(prompt)) = (prompter.adapter(&request), prompter.prompt(&request)) {
                    let _ = prepared.try_send(Ready::Prefill(adapter, prompt.tokens));
                }
                continue;
            }
        };
        if deltas.is_closed() || stop.load(Ordering::Relaxed) {
            deltas.blocking_send(Err(ModelError::Cancelled));
            continue;
        }
        let adapter = prompter.adapter(&request);
        match adapter.and_then(|adapter| Ok((adapter, check(&request, prompter, grammars)?))) {
            Ok((adapter, (Prompt { tokens: prompt, thinking }, guide))) => {
                let speech = prompter.speech(&request, thinking);
                let sampler = Sampler::new(request.temperature, request.seed);
                let logprobs = request.logprobs.map(Logprobs::new);
                let max_tokens = request.max_tokens as usize;
                let counters = Arc::clone(&prompter.counters);
                let wanted = Wanted { guide, speech, sampler, logprobs, max_tokens, deltas, counters };
                let answer = Answer::new(prompt.len(), wanted, Arc::clone(&prompter.tokenizer));
                let (hints, group) = (request.hints, group(&request));
                let ready = Ready::Answer(Box::new(Request { prompt, adapter, answer, hints, group }));
                if let Err(mpsc::error::SendError(Ready::Answer(request))) = prepared.blocking_send(ready) {
                    let message = "the model's thread has ended".into();
                    request.answer.close(Err(ModelError::Backend { message, retryable: false }));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "not answered");
                deltas.blocking_send(Err(error));
            }
        }
    }
}

/// Which requests begin alike: those of one step of one run, whichever item or round they are of.
fn group(request: &ChatRequest) -> Option<Group> {
    let (run, step) = (request.hints.run?, request.step.as_ref()?);
    let mut hasher = DefaultHasher::new();
    (run, step.path().iter().map(|segment| segment.id.as_str()).collect::<Vec<_>>()).hash(&mut hasher);
    Some(hasher.finish())
}

/// The prompt of a request and its constraint, if the model can take them.
fn check(
    request: &ChatRequest,
    prompter: &Prompter,
    grammars: &Grammars,
) -> Result<(Prompt, Option<constraint::Guide>), ModelError> {
    if !(request.temperature.is_finite() && request.temperature >= 0.0) {
        return Err(ModelError::Unsupported(format!("a temperature of {}", request.temperature)));
    }
    let form = match (request.tools.is_empty(), prompter.template.form(), &request.constraint) {
        (true, ..) => None,
        (false, Some(form), None) => Some(form),
        (false, Some(_), Some(_)) => return Err(ModelError::Unsupported("tools and a constraint at once".into())),
        (false, None, _) => {
            return Err(ModelError::Unsupported("it has no form of its own for calls of tools".into()));
        }
    };
    let prompt = prompter.prompt(request)?;
    let length = prompt.tokens.len();
    if length == 0 {
        return Err(ModelError::Unsupported("the prompt is empty".into()));
    }
    if length + request.max_tokens as usize > prompter.context_length as usize {
        return Err(ModelError::PromptTooLong {
            model: prompter.name.clone(),
            prompt_tokens: u32::try_from(length).unwrap_or(u32::MAX),
            max_tokens: request.max_tokens,
            context_length: prompter.context_length,
        });
    }
    let guide = match (form, &request.constraint) {
        (Some(form), _) => {
            let control = |text: &str| prompter.tokenizer.control(text);
            Some(grammars.compile_calls(form, &request.tools, prompt.thinking, control)?)
        }
        (None, Some(constraint)) => Some(grammars.compile(constraint)?),
        (None, None) => None,
    };
    Ok((prompt, guide))
}
