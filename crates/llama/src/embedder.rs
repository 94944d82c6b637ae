//! An embedding model on llama.cpp: a thread that makes vectors of texts, several at once.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc as blocking};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use parkway_core::embedder::{Embedder, EmbedderInfo, Embeddings};
use parkway_core::model::ModelError;
use tokio::sync::{mpsc, oneshot};

use crate::load::{self, Opened};
use crate::memory::Room;
use crate::turns::Cores;
use crate::{LlamaConfig, LoadError};

/// Requests that may wait for the thread.
const MAILBOX: usize = 64;
/// Requests whose texts are computed in turns.
const TOGETHER: usize = 16;
/// Tokens of a batch, or as many as the longest text has: its tokens see each other, so it is computed as a whole.
const ROWS: u32 = 512;
/// Texts of a batch.
const SEQUENCES: u16 = 64;

/// An embedding model that llama.cpp computes in this process. Clones share it.
///
/// Texts are computed several at a time, those of one call and of others; calls take turns, so that one with many texts keeps
/// nobody waiting for long. A text is only ever read as text: what looks like a control token in it stays text. Its tokens, as
/// [`EmbedderInfo::max_tokens`] counts them, are those that the model puts around it, too.
///
/// Dropping the last clone cancels what is being computed, waits for the current batch, and frees the model.
#[derive(Clone, Debug)]
pub struct LlamaEmbedder {
    inner: Arc<Inner>,
}

struct Inner {
    info: EmbedderInfo,
    mailbox: Option<mpsc::Sender<Job>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlamaEmbedder").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.mailbox = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("an embedder's thread panicked");
        }
    }
}

#[async_trait]
impl Embedder for LlamaEmbedder {
    fn info(&self) -> &EmbedderInfo {
        &self.inner.info
    }

    async fn embed(&self, texts: &[String]) -> Result<Embeddings, ModelError> {
        if texts.is_empty() {
            return Ok(Embeddings::default());
        }
        let gone = || ModelError::Backend { message: "the embedder's thread has ended".into(), retryable: false };
        let (reply, answer) = oneshot::channel();
        let job = Job { texts: texts.to_vec(), reply };
        self.inner.mailbox.as_ref().ok_or_else(gone)?.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Texts, and where their vectors go.
struct Job {
    texts: Vec<String>,
    reply: oneshot::Sender<Result<Embeddings, ModelError>>,
}

/// Loads an embedder; see [`LlamaConfig::load_embedder`].
pub(crate) fn load(config: &LlamaConfig) -> Result<LlamaEmbedder, LoadError> {
    let path = config.path.clone();
    if !config.adapters.is_empty() {
        let cause = "an embedding model takes no adapters; leave them out".into();
        return Err(LoadError::Config { path, cause });
    }
    let room = |model: &LlamaModel| {
        let rows = config.context_length.min(model.n_ctx_train()).max(ROWS);
        Room { cells: rows, rows }
    };
    let Opened { backend, model, hash, placement } = load::open(config, room, |_| {})?;
    let model = Arc::new(model);
    let pooling = pooling(&model).map_err(|cause| LoadError::NotEmbedder { path: path.clone(), cause })?;
    let max_tokens = load::context_length(config, &model)?;
    let dimensions = u32::try_from(model.n_embd_out()).unwrap_or_default();
    let rows = max_tokens.max(ROWS);
    let threads = i32::try_from(config.threads).unwrap_or(1);
    let params = LlamaContextParams::default()
        .with_embeddings(true)
        .with_pooling_type(pooling)
        .with_n_ctx(NonZeroU32::new(rows))
        .with_n_batch(rows)
        .with_n_ubatch(rows)
        .with_n_seq_max(SEQUENCES.into())
        .with_kv_unified(true)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_offload_kqv(placement.on_gpu())
        .with_op_offload(placement.on_gpu());
    let info = EmbedderInfo {
        name: load::name_of(config),
        dimensions: Some(dimensions),
        max_tokens: Some(max_tokens),
        model_hash: Some(hash),
    };
    let layers = model.n_layer() + 1;
    let device = placement.describe(layers, config.threads);
    let cores = placement.cores(layers, config.threads);
    tracing::info!(name = info.name, device, "embedder loaded");

    let (mailbox, jobs) = mpsc::channel(MAILBOX);
    // Not tokio's: its blocking calls panic inside a runtime.
    let (made, is_made) = blocking::sync_channel(1);
    let stop = Arc::new(AtomicBool::new(false));
    let broken = |cause: String| LoadError::Backend { path: path.clone(), cause };
    let work = Work { path: path.clone(), backend, model, params, cores, info: info.clone(), rows: rows as usize };
    let stopped = Arc::clone(&stop);
    let thread = thread::Builder::new().name("parkway-embedder".into());
    let thread = thread.spawn(move || work.run(&made, jobs, &stopped)).map_err(|error| broken(error.to_string()))?;
    is_made.recv().unwrap_or_else(|_| Err(broken("its thread ended".into())))?;
    Ok(LlamaEmbedder { inner: Arc::new(Inner { info, mailbox: Some(mailbox), stop, thread: Some(thread) }) })
}

/// How the model makes one vector of those of a text's tokens, or why it makes none.
fn pooling(model: &LlamaModel) -> Result<LlamaPoolingType, String> {
    let kind = model.meta_val_str("general.architecture").unwrap_or_default();
    let said = |key: &str| model.meta_val_str(&format!("{kind}.{key}")).ok();
    let pooling = said("pooling_type").and_then(|number| number.parse::<i32>().ok()).map(LlamaPoolingType::from);
    match pooling {
        Some(pooling @ (LlamaPoolingType::Mean | LlamaPoolingType::Cls | LlamaPoolingType::Last)) => Ok(pooling),
        Some(LlamaPoolingType::Rank) => Err("it ranks pairs of texts".into()),
        // An encoder whose file does not say it: the mean is what most of them were trained for.
        _ if said("attention.causal").as_deref() == Some("false") => Ok(LlamaPoolingType::Mean),
        _ => Err(format!("its kind, `{kind}`, writes text, and its file does not say how to make a vector of one")),
    }
}

/// What the thread begins with.
struct Work {
    path: PathBuf,
    backend: &'static LlamaBackend,
    model: Arc<LlamaModel>,
    params: LlamaContextParams,
    cores: Cores,
    info: EmbedderInfo,
    rows: usize,
}

/// A request that is being answered.
struct Open {
    texts: VecDeque<Vec<LlamaToken>>,
    vectors: Vec<Vec<f32>>,
    tokens: u32,
    reply: oneshot::Sender<Result<Embeddings, ModelError>>,
}

impl Work {
    fn run(
        &self,
        made: &blocking::SyncSender<Result<(), LoadError>>,
        mut jobs: mpsc::Receiver<Job>,
        stop: &AtomicBool,
    ) {
        let Ok(context) = self.model.new_context(self.backend, self.params.clone()) else {
            let context_length = self.info.max_tokens.unwrap_or_default();
            // Nobody waits any more if this fails.
            let _ = made.send(Err(LoadError::Context { path: self.path.clone(), context_length }));
            return;
        };
        if made.send(Ok(())).is_err() {
            return;
        }
        let batch = LlamaBatch::new(self.rows, 1);
        let mut batch = Batch { context, batch, cores: self.cores, rows: self.rows, texts: 0 };
        let mut open = VecDeque::new();
        loop {
            if open.is_empty() {
                let Some(job) = jobs.blocking_recv() else { return };
                open.extend(self.begin(job));
            }
            while open.len() < TOGETHER
                && let Ok(job) = jobs.try_recv()
            {
                open.extend(self.begin(job));
            }
            let (dropped, kept) = open.into_iter().partition(|open: &Open| gone(open, stop));
            open = kept;
            dropped.into_iter().for_each(|open: Open| answer(open, Err(ModelError::Cancelled)));
            self.step(&mut batch, &mut open);
        }
    }

    /// Counts the tokens of a request's texts. One that is too long is an answer already.
    fn begin(&self, job: Job) -> Option<Open> {
        let Job { texts, reply } = job;
        let (vocab, mut open) =
            (self.model.vocab(), Open { texts: VecDeque::new(), vectors: Vec::new(), tokens: 0, reply });
        let most = self.info.max_tokens.unwrap_or_default();
        for text in texts {
            if open.reply.is_closed() {
                return None;
            }
            let tokens = vocab.tokenize(text.as_bytes(), true, false);
            let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
            if count > most {
                let model = self.info.name.clone();
                let (prompt_tokens, context_length) = (count, most);
                answer(open, Err(ModelError::PromptTooLong { model, prompt_tokens, max_tokens: 0, context_length }));
                return None;
            }
            open.tokens = open.tokens.saturating_add(count);
            open.texts.push_back(tokens);
        }
        Some(open)
    }

    /// Computes one batch: texts of the first request, and of the others where there is room.
    fn step(&self, batch: &mut Batch<'_>, open: &mut VecDeque<Open>) {
        batch.begin();
        let mut taken = vec![0; open.len()];
        let filled = open.iter().zip(&mut taken).try_for_each(|(open, taken)| {
            for tokens in &open.texts {
                if !batch.fits(tokens) {
                    break;
                }
                batch.add(tokens)?;
                *taken += 1;
            }
            Ok(())
        });
        let computed = filled.and_then(|()| batch.compute()).and_then(|()| {
            let mut seq = 0;
            for (open, taken) in open.iter_mut().zip(&taken) {
                for tokens in open.texts.drain(..*taken) {
                    open.vectors.push(self.vector(batch, seq, &tokens)?);
                    seq += 1;
                }
            }
            Ok(())
        });
        let turns = open.len();
        for taken in taken.into_iter().take(turns) {
            let Some(mut next) = open.pop_front() else { return };
            match &computed {
                Err(error) if taken > 0 => answer(next, Err(error.clone())),
                _ if next.texts.is_empty() => {
                    let vectors = std::mem::take(&mut next.vectors);
                    let embeddings = Embeddings::normalized(vectors, next.tokens);
                    answer(next, Ok(embeddings));
                }
                _ => open.push_back(next),
            }
        }
        // Who was first is last in the next batch.
        if !open.is_empty() {
            open.rotate_left(1);
        }
    }

    fn vector(&self, batch: &Batch<'_>, seq: i32, tokens: &[LlamaToken]) -> Result<Vec<f32>, ModelError> {
        let dimensions = self.info.dimensions.unwrap_or_default() as usize;
        if tokens.is_empty() {
            return Ok(vec![0.0; dimensions]);
        }
        let vector = batch.context.embeddings_seq_ith(seq).map_err(|error| defect(error.to_string()))?;
        match vector.len() == dimensions && vector.iter().all(|x| x.is_finite()) {
            true => Ok(vector.to_vec()),
            false => Err(defect("the model gave no usable vector".into())),
        }
    }
}

/// The context, and the texts that are computed next: each has a sequence of its own.
struct Batch<'m> {
    context: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    cores: Cores,
    rows: usize,
    texts: u16,
}

impl Batch<'_> {
    fn begin(&mut self) {
        self.batch.clear();
        self.texts = 0;
    }

    fn fits(&self, tokens: &[LlamaToken]) -> bool {
        let rows = usize::try_from(self.batch.n_tokens()).unwrap_or(usize::MAX);
        self.texts < SEQUENCES && rows.saturating_add(tokens.len()) <= self.rows
    }

    fn add(&mut self, tokens: &[LlamaToken]) -> Result<(), ModelError> {
        for (position, &token) in (0..).zip(tokens) {
            let seq = self.texts.into();
            self.batch.add(token, position, &[seq], true).map_err(|error| defect(error.to_string()))?;
        }
        self.texts += 1;
        Ok(())
    }

    fn compute(&mut self) -> Result<(), ModelError> {
        if self.batch.n_tokens() == 0 {
            return Ok(());
        }
        let _turn = self.cores.take();
        // Models that write text as well remember the last batch; encoders have nothing to forget, and encode here.
        self.context.clear_kv_cache();
        self.context.decode(&mut self.batch).map_err(|error| defect(format!("llama.cpp: {error}")))
    }
}

fn gone(open: &Open, stop: &AtomicBool) -> bool {
    open.reply.is_closed() || stop.load(Ordering::Relaxed)
}

fn answer(open: Open, result: Result<Embeddings, ModelError>) {
    // Nobody waits any more if this fails.
    let _ = open.reply.send(result);
}

fn defect(message: String) -> ModelError {
    ModelError::Backend { message, retryable: false }
}
