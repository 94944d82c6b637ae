//! From a file's name to a model that is ready to answer.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use parkway_core::model::{Capabilities, ConstraintKind};
use sha2::{Digest, Sha256};

use crate::adapter;
use crate::batch::Size;
use crate::constraint::Grammars;
use crate::device::{self, Placement, devices};
use crate::memory::{Need, Room};
use crate::model::Inner;
use crate::reading;
use crate::template::ChatTemplate;
use crate::token_env::token_env;
use crate::tokenizer::Tokenizer;
use crate::worker::{Engine, Prompter, Way, Worker};
use crate::{Llama, LlamaConfig, LoadError, Vocabulary};

/// Tokens of a prompt computed at a time, on a CPU and on a GPU: few, so that a dropped request ends soon and nobody who decodes
/// waits for long; many, so that the hardware is busy.
const CHUNK_CPU: u32 = reading::TILE as u32;
const CHUNK_GPU: u32 = 256;
/// Tokens of a batch, those of answers and of prompts.
const ROWS: u32 = 512;
/// Sequences of a context. It has room for the logits of as many tokens.
const SEQUENCES: u32 = 128;
/// What answers can be held to.
const CONSTRAINTS: [ConstraintKind; 4] =
    [ConstraintKind::JsonSchema, ConstraintKind::Choice, ConstraintKind::Regex, ConstraintKind::Lark];
/// The smallest context that is of any use, in tokens.
const SMALLEST: u32 = 64;

/// A model whose weights are loaded.
pub(crate) struct Opened {
    pub(crate) backend: &'static LlamaBackend,
    pub(crate) model: LlamaModel,
    /// SHA-256 (hex) of the file.
    pub(crate) hash: String,
    pub(crate) placement: Placement,
}

/// Loads the weights, where there is memory for them and for a context with so much room.
pub(crate) fn open(
    config: &LlamaConfig,
    room: impl Fn(&LlamaModel) -> Room,
    mut progress: impl FnMut(f32) + Send + 'static,
) -> Result<Opened, LoadError> {
    let path = config.path.as_path();
    check_file(path)?;
    let own = || path.to_owned();
    let backend = device::backend().map_err(|cause| LoadError::Backend { path: own(), cause: cause.to_owned() })?;
    let mut placement = Placement::choose(config, &devices())?;
    if placement.on_gpu()
        && let Some(need) = Need::look(backend, path, room)
    {
        placement.fit(config.gpu_layers, &need, path)?;
    }

    let params = placement.params(config.gpu_split).with_progress_callback(move |done| {
        progress(done);
        true
    });
    let (hash, model) = thread::scope(|scope| {
        let hash = scope.spawn(|| hash_file(path));
        let model = LlamaModel::load_from_file(backend, path, &params).map_err(|_| LoadError::Refused { path: own() });
        (hash.join(), model)
    });
    let model = model?;
    let hash = hash
        .unwrap_or_else(|_| Err(io::Error::other("hashing it panicked")))
        .map_err(|error| LoadError::Unreadable { path: own(), cause: error.to_string() })?;
    Ok(Opened { backend, model, hash, placement })
}

/// The context that is asked for, as far as the model was trained for it.
pub(crate) fn context_length(config: &LlamaConfig, model: &LlamaModel) -> Result<u32, LoadError> {
    let context_length = config.context_length.min(model.n_ctx_train());
    if context_length < SMALLEST {
        let cause = format!("a context of {context_length} tokens; at least {SMALLEST} are needed");
        return Err(LoadError::Config { path: config.path.clone(), cause });
    }
    if context_length < config.context_length {
        tracing::info!(
            context_length,
            asked = config.context_length,
            "the context is as long as the model was trained"
        );
    }
    Ok(context_length)
}

/// Loads a model; see [`LlamaConfig::load`].
pub(crate) fn load(config: LlamaConfig, progress: impl FnMut(f32) + Send + 'static) -> Result<Llama, LoadError> {
    let room = |model: &LlamaModel| {
        let cells = cells(&config, config.context_length.min(model.n_ctx_train()), is_solo(&config, model));
        Room { cells, rows: 2 * CHUNK_GPU }
    };
    let Opened { backend, mut model, hash, placement } = open(&config, room, progress)?;
    let own = || config.path.clone();
    let mut capabilities = Capabilities::default();
    let adapters = adapter::load(&config, &mut model, &mut capabilities)?;
    let model = Arc::new(model);
    let (template, tokenizer) = language(&config, &model)?;
    let grammars = token_env(&model, Arc::clone(&tokenizer))
        .and_then(|env| Grammars::new(&env))
        .map_err(|cause| LoadError::Vocabulary { path: own(), cause })?;

    let context_length = context_length(&config, &model)?;
    let on_gpu = placement.on_gpu();
    let chunk = if on_gpu { CHUNK_GPU } else { CHUNK_CPU };
    let threads = i32::try_from(config.threads).unwrap_or(1);
    let solo = is_solo(&config, &model);
    let cells = cells(&config, context_length, solo);
    let (rows, sequences) = if solo { (chunk, 1) } else { (ROWS, SEQUENCES) };
    let slides = window(&model).is_some_and(|window| window < context_length);
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(cells))
        .with_n_batch(rows)
        // Where attention is computed in tiles, a chunk of a prompt is one; elsewhere it is best computed with the answers.
        .with_n_ubatch(if solo || !on_gpu { chunk } else { 2 * chunk })
        .with_n_seq_max(sequences)
        // One cache for all sequences, so that they can share cells.
        .with_kv_unified(true)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_offload_kqv(on_gpu)
        .with_op_offload(on_gpu)
        // Keeps all cells of sliding-window models, so that a shared prefix can be reused.
        .with_swa_full(true);
    let way = match solo {
        // Others begin anew from the exact end of what they have read, or not at all.
        true => Way::Solo { chunk: chunk as usize, goes_on: !config.deterministic },
        false => {
            let sequences = if slides { SEQUENCES / 2 } else { SEQUENCES }.cast_signed();
            let (rows, chunk) = (rows as usize, chunk as usize);
            let (cells, tiles) = (cells as usize, !on_gpu);
            // llama.cpp copies of a sequence what its next token sees, which is not what others begin with.
            let cold_bytes = if slides { 0 } else { config.cold_bytes };
            // What cannot be copied back is better left where it is.
            let rests = if on_gpu || cold_bytes == 0 { cells } else { rests(&model) };
            let size = Size { cells, sequences, rows, chunk, tiles, rests, twins: slides };
            Way::Together { size, cold_bytes }
        }
    };

    let name = name_of(&config);
    let layers = model.n_layer() + 1;
    let cores = placement.cores(layers, config.threads);
    let capabilities = Capabilities {
        name: name.clone(),
        context_length: Some(context_length),
        constraints: CONSTRAINTS.to_vec(),
        tools: template.form().is_some(),
        logprobs: true,
        model_hash: Some(hash),
        template_hash: Some(hex::encode(Sha256::digest(template.source()))),
        device: placement.describe(layers, config.threads),
        ..capabilities
    };
    let names = capabilities.adapters.clone();
    let prompter =
        Arc::new(Prompter { name, context_length, template, tokenizer, adapters: names, counters: Arc::default() });
    prompter.counters.cache_size.store(cells.into(), Ordering::Relaxed);
    let engine = Engine { path: own(), backend, model, adapters, params, way, cores };
    let worker = Worker::start(engine, Arc::clone(&prompter), grammars)?;
    // An answer's tokens, the notices of its prefill, and its end.
    let room = (context_length + context_length / chunk + 3) as usize;
    Ok(Llama::new(Inner { capabilities, prompter, worker, room }))
}

/// Whether requests are answered one after the other. Models that keep a running sum of what they have read cannot go back in it, and
/// so share nothing.
fn is_solo(config: &LlamaConfig, model: &LlamaModel) -> bool {
    config.deterministic || model.is_recurrent() || model.is_hybrid()
}

/// How many tokens back the layers see whose attention slides, where there are such. Where the file does not say it, llama.cpp knows.
fn window(model: &LlamaModel) -> Option<u32> {
    let kind = model.meta_val_str("general.architecture").ok()?;
    let told = model.meta_val_str(&format!("{kind}.attention.sliding_window")).ok();
    let known = match kind.as_str() {
        "gemma2" | "exaone4" | "smallthinker" => Some(4_096),
        "llama4" => Some(8_192),
        _ => None,
    };
    told.and_then(|told| told.parse().ok()).filter(|window| *window > 0).or(known)
}

/// Tokens that the cache has room for.
fn cells(config: &LlamaConfig, context_length: u32, solo: bool) -> u32 {
    let asked = config.cache_tokens.unwrap_or(context_length.saturating_mul(2));
    if solo { context_length } else { asked.max(context_length) }
}

/// Tokens that may rest in the cache of a model on a CPU. In each layer each head of each row that is computed looks whether it sees
/// a cell, which was measured to take as long as some 20 weights do: so many cells that this is a fifteenth of a row's time.
fn rests(model: &LlamaModel) -> usize {
    let looks = u64::from(model.n_layer()) * u64::from(model.n_head());
    usize::try_from(model.n_params() / (15 * 20 * looks).max(1)).unwrap_or(usize::MAX)
}

/// Reads a model's vocabulary; see [`LlamaConfig::load_vocabulary`].
pub(crate) fn vocabulary(config: LlamaConfig) -> Result<Vocabulary, LoadError> {
    let path = config.path.as_path();
    check_file(path)?;
    let own = || path.to_owned();
    let backend = device::backend().map_err(|cause| LoadError::Backend { path: own(), cause: cause.to_owned() })?;
    let params = device::on_cpu().with_vocab_only(true);
    let model = LlamaModel::load_from_file(backend, path, &params).map_err(|_| LoadError::Refused { path: own() })?;
    let model = Arc::new(model);
    let (template, tokenizer) = language(&config, &model)?;
    let context_length = trained_on(&model).map_or(config.context_length, |most| config.context_length.min(most));
    let name = name_of(&config);
    let capabilities = Capabilities {
        name: name.clone(),
        context_length: Some(context_length),
        constraints: CONSTRAINTS.to_vec(),
        tools: template.form().is_some(),
        logprobs: true,
        // The file is not read as a whole.
        model_hash: None,
        template_hash: Some(hex::encode(Sha256::digest(template.source()))),
        adapters: config.adapters.into_iter().map(|adapter| adapter.name).collect(),
        ..Capabilities::default()
    };
    let (adapters, counters) = (capabilities.adapters.clone(), Arc::default());
    Ok(Vocabulary::new(capabilities, Prompter { name, context_length, template, tokenizer, adapters, counters }))
}

/// The context that the model was trained on. llama.cpp keeps it from one who reads the vocabulary alone.
fn trained_on(model: &LlamaModel) -> Option<u32> {
    let kind = model.meta_val_str("general.architecture").ok()?;
    model.meta_val_str(&format!("{kind}.context_length")).ok()?.parse().ok()
}

pub(crate) fn name_of(config: &LlamaConfig) -> String {
    let stem = || config.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    config.name.clone().unwrap_or_else(stem)
}

pub(crate) fn check_file(path: &Path) -> Result<(), LoadError> {
    let unreadable = |cause: String| LoadError::Unreadable { path: path.to_owned(), cause };
    let found = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => LoadError::Missing { path: path.to_owned() },
        _ => unreadable(error.to_string()),
    };
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let metadata = fs::metadata(path).map_err(found)?;
    if metadata.is_dir() {
        return Err(unreadable("it is a directory".into()));
    }
    if !metadata.is_file() {
        return Err(unreadable("it is a device, pipe or socket".into()));
    }
    if path.to_str().is_none() {
        return Err(unreadable("its path is not UTF-8".into()));
    }
    let mut file = File::open(path).map_err(found)?;
    let mut magic = [0; 4];
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *b"GGUF" => Ok(()),
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(unreadable(error.to_string())),
        _ => Err(LoadError::NotGguf { path: path.to_owned() }),
    }
}

pub(crate) fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// The model's chat template and its tokenizer, each with what it must know of the other.
fn language(config: &LlamaConfig, model: &Arc<LlamaModel>) -> Result<(ChatTemplate, Arc<Tokenizer>), LoadError> {
    let refused = |cause| LoadError::Template { path: config.path.clone(), cause };
    let mut template = chat_template(model, config.chat_template.clone()).map_err(refused)?;
    let tokenizer = Arc::new(Tokenizer::new(Arc::clone(model), template.source()));
    template.guard(tokenizer.reserved());
    Ok((template, tokenizer))
}

fn chat_template(model: &LlamaModel, given: Option<String>) -> Result<ChatTemplate, String> {
    let in_file = || model.meta_val_str("tokenizer.chat_template");
    let source = given.map_or_else(in_file, Ok).map_err(|_| "it has no chat template (a base model?)".to_owned())?;
    let vocab = model.vocab();
    let text = |token: LlamaToken| match token.0 {
        0.. => String::from_utf8_lossy(&vocab.token_to_piece(token, true, None)).into_owned(),
        _ => String::new(),
    };
    ChatTemplate::new(source, text(vocab.bos()), text(vocab.eos()))
}
