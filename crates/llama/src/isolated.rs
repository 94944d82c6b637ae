//! A model in a process of its own: the same mailbox at the end of a pipe, so that what ends llama.cpp ends a few requests and not
//! the program.

mod child;
mod ending;
mod lines;
mod log;
mod parent;
mod process;
mod wire;

use std::path::{self, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc as blocking;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use parkway_core::model::{Capabilities, ChatRequest, Constraint, Deltas, Model, ModelError};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::isolated::parent::{Job, Setup};
use crate::isolated::process::Program;
use crate::isolated::wire::Loaded;
use crate::{GpuLayers, LlamaConfig, LoadError, Stats, constraint, load};

pub use child::serve_child;

/// Requests that a process has at most; others wait.
const IN_FLIGHT: usize = 512;
/// How long is waited for a number that the process finds out.
const SOON: Duration = Duration::from_secs(5);

/// A model file, how to load it, and that it is to run in a process of its own. Made by [`LlamaConfig::isolated`].
///
/// The process is this program, started again: its `main` begins with [`serve_child`]. A program that cannot do so names another one,
/// such as a `parkway` binary that was built with the feature `llama`. If neither is there, loading fails before anything is started.
///
/// ```no_run
/// use parkway_llama::Llama;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     parkway_llama::serve_child();
///     let model = Llama::gguf("SmolLM2-135M-Instruct.Q4_1.gguf").isolated().load(|_| ())?;
///     println!("process {:?}", model.process_id());
///     Ok(())
/// }
/// ```
///
/// Of the environment the process gets `PATH`, `HOME`, `USER`, the folders for temporary files, the paths of libraries, and what begins
/// with `GGML_`, `OMP_`, `GOMP_`, `KMP_`, `CUDA_`, `NVIDIA_`, `HIP_`, `ROCR_`, `ROCM_`, `HSA_`, `GPU_`, `AMD_`, `VK_`, `MESA_`, `MTL_` or
/// `XDG_`; no keys. What llama.cpp logs goes to this program's `tracing`.
#[derive(Clone, Debug)]
pub struct IsolatedConfig {
    config: LlamaConfig,
    program: Option<PathBuf>,
}

impl IsolatedConfig {
    pub(crate) fn new(config: LlamaConfig) -> Self {
        IsolatedConfig { config, program: None }
    }

    /// The program to start instead of this one: one that begins with [`serve_child`], and is of the same version.
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// As [`LlamaConfig::gpu_layers`].
    pub fn gpu_layers(mut self, layers: GpuLayers) -> Self {
        self.config = self.config.gpu_layers(layers);
        self
    }

    /// Starts the process and loads the model there. This blocks until it is ready to answer; in async code use
    /// [`load_async`](Self::load_async). `progress` is called with the share of the weights that is loaded, from 0 to 1.
    /// Beside the errors of [`LlamaConfig::load`] there is [`LoadError::Process`].
    pub fn load(self, progress: impl FnMut(f32) + Send + 'static) -> Result<IsolatedLlama, LoadError> {
        self.start(false, Box::new(progress))
    }

    /// Loads the model on a blocking thread of the tokio runtime that this is called in.
    pub async fn load_async(self, progress: impl FnMut(f32) + Send + 'static) -> Result<IsolatedLlama, LoadError> {
        let path = self.config.path.clone();
        tokio::task::spawn_blocking(move || self.load(progress))
            .await
            .unwrap_or_else(|cause| Err(LoadError::Backend { path, cause: cause.to_string() }))
    }

    /// Reads the vocabulary and the chat template alone, in a process of its own as well, since a file that ends llama.cpp may do so
    /// here. What it gives counts the tokens of prompts, and answers nothing.
    pub fn load_vocabulary(self) -> Result<IsolatedLlama, LoadError> {
        self.start(true, Box::new(|_| ()))
    }

    fn start(self, vocabulary: bool, progress: parent::Progress) -> Result<IsolatedLlama, LoadError> {
        let IsolatedConfig { mut config, program } = self;
        let own = config.path.clone();
        let failed = |cause: String| LoadError::Process { path: own.clone(), cause };
        if own.to_str().is_none() {
            return Err(LoadError::Unreadable { path: own, cause: "its path is not UTF-8".into() });
        }
        let program = find(program).map_err(failed)?;
        // The program may go elsewhere before the process is started again.
        config.path = path::absolute(&own).map_err(|error| failed(error.to_string()))?;
        for adapter in &mut config.adapters {
            adapter.path = path::absolute(&adapter.path).map_err(|error| failed(error.to_string()))?;
        }
        let setup = Setup { program, name: load::name_of(&config), config, vocabulary };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        let (jobs, taken) = mpsc::channel(2 * IN_FLIGHT);
        let (told, loaded) = blocking::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let process_id = Arc::new(AtomicU32::new(0));
        let run = parent::run(setup, progress, told, taken, Arc::clone(&process_id), stopped);
        let thread = thread::Builder::new().name("parkway-model".into()).spawn(move || runtime.block_on(run));
        let thread = thread.map_err(|error| failed(error.to_string()))?;
        let gone = || failed("the thread that starts it ended".into());
        let Loaded { mut capabilities, room } = loaded.recv().unwrap_or_else(|_| Err(gone()))?;
        if !capabilities.device.is_empty() {
            capabilities.device.push_str(", in a process of its own");
        }
        let permits = Arc::new(Semaphore::new(IN_FLIGHT));
        let (stop, thread) = (Some(stop), Some(thread));
        Ok(IsolatedLlama { inner: Arc::new(Inner { capabilities, room, jobs, permits, process_id, stop, thread }) })
    }
}

/// The program to start.
fn find(program: Option<PathBuf>) -> Result<Program, String> {
    if child::is_child() {
        let cause = "this program is the process of a model itself; begin its `main` with `parkway_llama::serve_child()`, before anything else";
        return Err(cause.into());
    }
    match program {
        Some(path) => Ok(Program::at(path)),
        None if child::can_serve() => Program::own(),
        None => {
            let cause = "this program cannot be started again as one; begin its `main` with `parkway_llama::serve_child()`, or name a `parkway` binary that was built with the feature `llama` by `IsolatedConfig::program`";
            Err(cause.into())
        }
    }
}

/// A model that llama.cpp computes in a process of its own. Clones share it.
///
/// It answers as a [`Llama`](crate::Llama) does. When the process ends (it was killed, memory ran short, llama.cpp gave up), each request
/// under way ends with [`ModelError::Backend`], which says how and what to do and is retryable, and the next request starts it again;
/// where it ended three times within ten minutes, the next request is refused instead. When the program ends, however that comes, the process
/// ends as well.
///
/// It does not take turns at the cores with models of this program, as they do with each other: give each fewer
/// [`threads`](LlamaConfig::threads), where several are busy.
///
/// Dropping the last clone cancels what is being decoded and ends the process.
#[derive(Clone, Debug)]
pub struct IsolatedLlama {
    inner: Arc<Inner>,
}

struct Inner {
    capabilities: Capabilities,
    /// Pieces that one stream holds: a whole answer, so that a reader that stalls does not stall the others.
    room: usize,
    jobs: mpsc::Sender<Job>,
    permits: Arc<Semaphore>,
    /// 0 while there is none.
    process_id: Arc<AtomicU32>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IsolatedLlama").field("capabilities", &self.capabilities).finish_non_exhaustive()
    }
}

impl IsolatedLlama {
    /// The process as the system calls it; `None` while there is none.
    pub fn process_id(&self) -> Option<u32> {
        Some(self.inner.process_id.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// What the model has done since its process was started; `None` where there is none, or it does not tell within 5 seconds. Waits
    /// for the process to tell.
    pub fn stats(&self) -> Option<Stats> {
        self.ask(Job::Stats).flatten()
    }

    /// Asks for what is known soon.
    fn ask<T>(&self, job: impl FnOnce(blocking::SyncSender<T>) -> Job) -> Option<T> {
        self.process_id()?;
        let (reply, replied) = blocking::sync_channel(1);
        self.inner.jobs.try_send(job(reply)).ok()?;
        replied.recv_timeout(SOON).ok()
    }
}

#[async_trait]
impl Model for IsolatedLlama {
    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    async fn stream(&self, request: ChatRequest) -> Result<Deltas, ModelError> {
        if !request.temperature.is_finite() {
            // JSON has no such number.
            return Err(ModelError::Unsupported(format!("a temperature of {}", request.temperature)));
        }
        let gone = || ModelError::Backend { message: "the thread of its process has ended".into(), retryable: false };
        let permit = Arc::clone(&self.inner.permits).acquire_owned().await.map_err(|_| gone())?;
        let (sender, deltas) = Deltas::channel(self.inner.room);
        let job = Job::Answer { request: Box::new(request), deltas: sender, permit };
        self.inner.jobs.send(job).await.map_err(|_| gone())?;
        Ok(deltas)
    }

    fn prefill(&self, request: &ChatRequest) {
        // Full, or gone: then it is not done.
        let _ = self.inner.jobs.try_send(Job::Prefill(Box::new(request.clone())));
    }

    fn check_constraint(&self, constraint: &Constraint) -> Result<(), ModelError> {
        constraint::check(constraint)
    }

    /// Waits for the process to count; `None` while there is none.
    fn count_tokens(&self, request: &ChatRequest) -> Option<usize> {
        self.ask(|reply| Job::Count(Box::new(request.clone()), reply)).flatten()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of a model's process panicked");
        }
    }
}
